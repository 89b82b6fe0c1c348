"""Snapshots recomputed on the second engine and compared, number by number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipeline.errors import InvalidValue, LedgerBroken, SnapshotNotFound
from pipeline.model import periods, versions
from pipeline.runs import compute, inspection, lifecycle
from pipeline.storage import version_files
from tests.pipeline.given import CELL, NOW, SUMMER, House, people, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.runs.inspection import Verified


@pytest.fixture
def lived(house: House) -> House:
    house.export([*people(3), row(participant_id="x", hours=None)], "a.parquet")
    house.export([row(org_id="org-2"), row(started_at=SUMMER, participant_id="s")], "b.parquet")
    house.night()
    return house


def verify(house: House, ids: Sequence[str] | None = None) -> dict[str, Verified]:
    with house.work() as work:
        return {one.id: one for one in inspection.verify(work, ids).snapshots}


def verdicts(house: House, ids: Sequence[str] | None = None) -> dict[str, str]:
    return {id_: one.verdict for id_, one in verify(house, ids).items()}


def tamper(house: House, changes: dict[str, Any]) -> None:
    """Change what a version says behind everybody's back."""
    version = house.published()[CELL]
    changed = msgspec.structs.replace(version, **changes)
    version_files.write({version_files.version_path(house.data, 1, 1): versions.encode(changed)})


def test_what_a_night_published_the_second_engine_gives_too(lived: House) -> None:
    assert verdicts(lived) == {"agg-001": "equal", "agg-002": "equal", "agg-003": "equal"}


def test_a_catalog_that_lists_other_numbers_than_were_published_is_told(lived: House) -> None:
    with lived.work() as work:
        work.catalog.connection.execute("UPDATE snapshots SET seconds = 1 WHERE number = 1")
    assert verdicts(lived)["agg-001"] == "mislisted"


def test_refused_exports_are_named_by_verify(lived: House) -> None:
    (lived.data / "exports" / "c.parquet").write_bytes(b"")
    with lived.work() as work:
        verified = inspection.verify(work)
    assert list(verified.refused) == ["c.parquet"]
    assert {one.verdict for one in verified.snapshots} == {"equal"}


def test_some_snapshots_can_be_verified_alone_and_once(lived: House) -> None:
    assert verdicts(lived, ["agg-003", "agg-001", "agg-003"]) == {
        "agg-003": "equal",
        "agg-001": "equal",
    }


def test_every_number_that_differs_is_named_with_both(lived: House) -> None:
    version = lived.published()[CELL]
    tamper(
        lived,
        {
            "total": msgspec.structs.replace(version.total, people=99),
            "categories": version.categories
            | {"eldre": msgspec.structs.replace(version.categories["eldre"], seconds=7)},
            "ledger": version.ledger | {"hours_missing": 0, "deleted": 1},
        },
    )
    found = verify(lived)["agg-001"]
    assert found.verdict == "different"
    assert {(one.name, one.published, one.recomputed) for one in found.differences} == {
        ("total.people", 99, 3),
        ("categories.eldre.seconds", 7, 0),
        ("ledger.hours_missing", 0, 1),
        ("ledger.deleted", 1, 0),
    }
    assert verdicts(lived)["agg-002"] == "equal"


def test_a_category_that_a_version_lacks_differs_where_it_counts(lived: House) -> None:
    version = lived.published()[CELL]
    fewer = {name: share for name, share in version.categories.items() if name != "ungdom"}
    tamper(lived, {"categories": fewer})
    names = [one.name for one in verify(lived)["agg-001"].differences]
    assert names == [
        f"categories.ungdom.{metric}"
        for metric in ("participations", "people", "seconds", "activities")
    ]


def test_a_snapshot_whose_exports_have_changed_is_stale_and_not_wrong(lived: House) -> None:
    lived.export(people(5), "a.parquet")
    assert verdicts(lived) == {"agg-001": "stale", "agg-002": "equal", "agg-003": "equal"}
    assert verify(lived)["agg-001"].differences == ()


def test_a_snapshot_whose_exports_are_gone_is_gone(lived: House) -> None:
    (lived.data / "exports" / "b.parquet").unlink()
    assert verdicts(lived) == {"agg-001": "equal", "agg-002": "gone", "agg-003": "gone"}


def test_a_snapshot_without_a_version_is_unpublished(lived: House) -> None:
    with lived.work() as work:
        lifecycle.create(work.catalog, "org-1", periods.parse("rp-2024"), NOW)
    assert verdicts(lived)["agg-004"] == "unpublished"


def test_a_snapshot_of_zeros_is_verified_too(lived: House) -> None:
    with lived.work() as work:
        compute.run_cells(work, [periods.parse("rp-2020")], ["org-1"])
    assert verdicts(lived)["agg-004"] == "equal"


def test_a_snapshot_whose_file_is_damaged_is_damaged(lived: House) -> None:
    version_files.version_path(lived.data, 1, 1).write_bytes(b"{")
    assert verdicts(lived) == {"agg-001": "damaged", "agg-002": "equal", "agg-003": "equal"}


def test_verifying_what_is_not_there_is_told(lived: House) -> None:
    with pytest.raises(SnapshotNotFound):
        verify(lived, ["agg-009"])
    with pytest.raises(InvalidValue):
        verify(lived, ["nine"])


def test_verifying_nothing_is_nothing(house: House) -> None:
    assert verdicts(house) == {}


def test_verifying_changes_nothing(lived: House) -> None:
    before = (lived.files(), lived.published())
    verify(lived)
    assert (lived.files(), lived.published()) == before


def test_a_ledger_that_does_not_add_up_publishes_nothing(lived: House) -> None:
    with lived.work() as work:
        gathered = compute.gather(work)
        entry = work.catalog.get("agg-001")
        cell = compute.cell_of(entry)
        content = gathered.judged.contents("quarter")[cell]
        plan = compute.plan(work, entry, cell, content)
        assert [sum(of.ledger.values()) for _, of in compute.count(gathered, [plan])] == [4]
        with pytest.raises(LedgerBroken) as broken:
            list(compute.count(gathered, [replace(plan, rows=5)]))
    assert str(broken.value) == (
        "the ledger of org-1 in rp-2024-q4 does not add up: 5 rows read, 4 accounted for; "
        "nothing was published, report this as a fault"
    )
