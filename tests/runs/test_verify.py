"""Snapshots recomputed on the second engine and compared, number by number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline.errors import InvalidValue, LedgerBroken, SnapshotNotFound
from pipeline.model import periods
from pipeline.model.cells import CellContent
from pipeline.model.states import Action, EngineName, Reason
from pipeline.runs import gather, lifecycle, publish
from pipeline.runs import verify as verifying
from pipeline.runs.plan import Decision, Plan
from pipeline.runs.published import cell_of
from pipeline.runs.run import run_cells
from pipeline.storage import version_files
from tests.given import CELL, NOW, Q4, SUMMER, DataFolder, as_newer_release, people, row
from tests.tampering import tamper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.engines import Survey
    from pipeline.model.cells import Cell, CellNumbers
    from pipeline.runs.verify import VerifiedSnapshot


@pytest.fixture
def populated(folder: DataFolder) -> DataFolder:
    folder.export([*people(3), row(participant_id="x", hours=None)], "a.parquet")
    folder.export([row(org_id="org-2"), row(started_at=SUMMER, participant_id="s")], "b.parquet")
    folder.nightly()
    return folder


def verify(folder: DataFolder, ids: Sequence[str] | None = None) -> dict[str, VerifiedSnapshot]:
    with folder.context() as context:
        return {one.id: one for one in verifying.verify(context, ids).snapshots}


def verdicts(folder: DataFolder, ids: Sequence[str] | None = None) -> dict[str, str]:
    return {id_: one.verdict for id_, one in verify(folder, ids).items()}


def test_what_a_nightly_run_published_the_second_engine_gives_too(populated: DataFolder) -> None:
    assert verdicts(populated) == {"agg-001": "match", "agg-002": "match", "agg-003": "match"}


def test_a_catalog_that_lists_other_numbers_than_were_published_is_reported(
    populated: DataFolder,
) -> None:
    with populated.context() as context:
        context.catalog.execute("UPDATE snapshots SET seconds = 1 WHERE number = 1")
    assert verdicts(populated)["agg-001"] == "catalog_mismatch"


def test_each_version_is_recomputed_on_another_engine_than_counted_it(
    populated: DataFolder,
) -> None:
    with populated.context() as context:
        on_duckdb = context.with_engine(EngineName.DUCKDB)
        run_cells(on_duckdb, [periods.parse("rp-2024-q4")], ["org-1"], force=True)
    counted_by = {cell: version.engine for cell, version in populated.published().items()}
    assert counted_by[CELL] == "duckdb"
    assert set(counted_by.values()) == {"duckdb", "polars"}
    engines = {id_: one.engine for id_, one in verify(populated).items()}
    assert engines == {"agg-001": "polars", "agg-002": "duckdb", "agg-003": "duckdb"}
    assert set(verdicts(populated).values()) == {"match"}


def test_refused_exports_are_named_by_verify(populated: DataFolder) -> None:
    (populated.data / "exports" / "c.parquet").write_bytes(b"")
    with populated.context() as context:
        verified = verifying.verify(context)
    assert list(verified.refused) == ["c.parquet"]
    assert {one.verdict for one in verified.snapshots} == {"match"}


def test_some_snapshots_can_be_verified_alone_and_once(populated: DataFolder) -> None:
    assert verdicts(populated, ["agg-003", "agg-001", "agg-003"]) == {
        "agg-003": "match",
        "agg-001": "match",
    }


def test_every_number_that_differs_is_named_with_both(populated: DataFolder) -> None:
    version = populated.published()[CELL]
    tamper(
        populated.data,
        total={**version.total, "people": 99},
        categories=version.categories | {"eldre": {**version.categories["eldre"], "seconds": 7}},
        ledger=version.ledger | {"hours_missing": 0, "deleted": 1},
    )
    found = verify(populated)["agg-001"]
    assert found.verdict == "mismatch"
    assert {(one.name, one.published, one.recomputed) for one in found.differences} == {
        ("total.people", 99, 3),
        ("categories.eldre.seconds", 7, 0),
        ("ledger.hours_missing", 0, 1),
        ("ledger.deleted", 1, 0),
    }
    assert verdicts(populated)["agg-002"] == "match"


def test_a_category_that_a_version_lacks_differs_where_it_counts(populated: DataFolder) -> None:
    version = populated.published()[CELL]
    fewer = {name: share for name, share in version.categories.items() if name != "ungdom"}
    tamper(populated.data, categories=fewer)
    names = [one.name for one in verify(populated)["agg-001"].differences]
    assert names == [
        f"categories.ungdom.{metric}"
        for metric in ("participations", "people", "seconds", "activities")
    ]


def test_a_snapshot_whose_exports_have_changed_is_stale_and_not_wrong(
    populated: DataFolder,
) -> None:
    populated.export(people(5), "a.parquet")
    assert verdicts(populated) == {"agg-001": "stale", "agg-002": "match", "agg-003": "match"}
    assert verify(populated)["agg-001"].differences == ()


def test_a_snapshot_whose_exports_are_gone_is_reported_so(populated: DataFolder) -> None:
    (populated.data / "exports" / "b.parquet").unlink()
    assert verdicts(populated) == {
        "agg-001": "match",
        "agg-002": "source_missing",
        "agg-003": "source_missing",
    }


def test_a_snapshot_without_a_version_is_unpublished(populated: DataFolder) -> None:
    with populated.context() as context:
        lifecycle.create(context.catalog, "org-1", periods.parse("rp-2024"), NOW)
    assert verdicts(populated)["agg-004"] == "unpublished"


def test_a_snapshot_of_zeros_is_verified_too(populated: DataFolder) -> None:
    with populated.context() as context:
        run_cells(context, [periods.parse("rp-2020")], ["org-1"])
    assert verdicts(populated)["agg-004"] == "match"


def test_a_snapshot_whose_file_is_damaged_is_damaged(populated: DataFolder) -> None:
    version_files.version_path(populated.data, 1, 1).write_bytes(b"{")
    assert verdicts(populated) == {"agg-001": "corrupt", "agg-002": "match", "agg-003": "match"}


def test_a_snapshot_of_a_newer_release_is_named_and_the_others_are_verified(
    populated: DataFolder,
) -> None:
    as_newer_release(version_files.version_path(populated.data, 1, 1))
    assert verdicts(populated) == {"agg-001": "newer", "agg-002": "match", "agg-003": "match"}


def test_verifying_an_unknown_snapshot_is_refused(populated: DataFolder) -> None:
    with pytest.raises(SnapshotNotFound):
        verify(populated, ["agg-009"])
    with pytest.raises(InvalidValue):
        verify(populated, ["nine"])


def test_verifying_nothing_is_nothing(folder: DataFolder) -> None:
    assert verdicts(folder) == {}


def test_verifying_changes_nothing(populated: DataFolder) -> None:
    before = (populated.files(), populated.published())
    verify(populated)
    assert (populated.files(), populated.published()) == before


class OneShareShort:
    """A survey whose numbers by category lack some of one metric."""

    def __init__(self, survey: Survey, metric: str) -> None:
        self.survey = survey
        self.metric = metric

    def __getattr__(self, name: str) -> Any:
        return getattr(self.survey, name)

    def count(self, kind: str, cells: Any) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count, and take one from the first category that has any."""
        for found in self.survey.count(kind, cells):
            for numbers in found.values():
                share = next(one for one in numbers.categories.values() if one[self.metric])
                share[self.metric] -= 1
            yield found


@pytest.mark.parametrize(
    ("metric", "whole"),
    [("participations", "3 participations read, 2"), ("seconds", "21,600 seconds")],
)
def test_a_breakdown_that_does_not_add_up_to_the_total_publishes_nothing(
    populated: DataFolder, metric: str, whole: str
) -> None:
    with populated.context() as context:
        entry = context.catalog.get("agg-001")
        cell = cell_of(entry)
        with gather.gather(context, context.engine()) as inputs:
            content = inputs.survey.contents("quarter")[cell]
            again = Plan([Decision(cell, Action.COMPUTE, Reason.FORCED, entry, content)])
            short = replace(inputs, survey=cast("Survey", OneShareShort(inputs.survey, metric)))
            with pytest.raises(LedgerBroken, match=f"org-1 in rp-2024-q4 by category .*: {whole}"):
                publish.execute(context, short, again, [], "inputs")
    assert populated.versions()[Q4] == 1
    assert "snapshots/agg-001/v2.json" not in populated.files()


class OneExportShort:
    """A survey that lacks one export of a cell."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def __getattr__(self, name: str) -> Any:
        return getattr(self.survey, name)

    def rows_by_export(self, cells: Any) -> Mapping[Cell, Mapping[str, int]]:
        found = self.survey.rows_by_export(cells)
        return {cell: dict(list(exports.items())[1:]) for cell, exports in found.items()}


def test_exports_that_do_not_account_for_the_rows_publish_nothing(populated: DataFolder) -> None:
    populated.export([row(participant_id="p9")], "more.parquet")
    with populated.context() as context, gather.gather(context, context.engine()) as inputs:
        cell, content = next(iter(inputs.survey.contents("quarter").items()))
        entry = context.catalog.of_cell(*cell.key)
        again = Plan([Decision(cell, Action.COMPUTE, Reason.FORCED, entry, content)])
        short = replace(inputs, survey=cast("Survey", OneExportShort(inputs.survey)))
        with pytest.raises(LedgerBroken, match=f"the ledger of {cell} by export does not add"):
            publish.execute(context, short, again, [], "inputs")
    assert set(populated.versions().values()) == {1}


def test_a_ledger_that_does_not_add_up_publishes_nothing(populated: DataFolder) -> None:
    with populated.context() as context:
        entry = context.catalog.get("agg-001")
        cell = cell_of(entry)
        wrong = Decision(cell, Action.COMPUTE, Reason.ROWS, entry, CellContent(5, "wrong"))
        with gather.gather(context, context.engine()) as inputs:
            assert inputs.survey.contents("quarter")[cell].rows == 4
            with pytest.raises(LedgerBroken) as broken:
                publish.execute(context, inputs, Plan([wrong]), [], "inputs")
    assert populated.versions()[Q4] == 1
    assert "snapshots/agg-001/v2.json" not in populated.files()
    assert str(broken.value) == (
        "the ledger of org-1 in rp-2024-q4 does not add up: 5 rows read, 4 accounted for; "
        "nothing was published, report this as a bug"
    )
