"""The nightly run: computes what is stale, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import StoreDamaged
from pipeline.runs import nightly, reindex
from pipeline.storage import run_queue, version_files
from tests.given import (
    CELL,
    LATER,
    NOW,
    OTHER,
    Q2,
    Q3,
    Q4,
    DataFolder,
    as_newer_release,
    computed,
    ledger,
    people,
    replace_fields,
    row,
    table,
    write,
)


def reads(folder: DataFolder) -> int:
    return sum(event == "exports_read" for event, _ in folder.events)


def test_the_first_nightly_run_computes_every_cell(populated: DataFolder) -> None:
    assert populated.versions() == {Q2: 1, Q3: 1, Q4: 1, OTHER: 1}
    assert {cell: v.total["participations"] for cell, v in populated.published().items()} == {
        CELL: 3,
        ("org-1", "rp-2024-q3"): 1,
        ("org-1", "rp-2024-q2"): 1,
        ("org-2", "rp-2024-q4"): 2,
    }


def test_a_version_has_every_number_of_its_cell(populated: DataFolder) -> None:
    version = populated.published()[CELL]
    assert (version.id, version.version) == ("agg-001", 1)
    assert version.created_at == version.refreshed_at == NOW
    assert version.period_start == datetime(2024, 9, 30, 22, tzinfo=UTC)
    assert version.period_end == datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert version.total["seconds"] == 3 * 7200
    assert list(version.categories) == list(populated.settings.categories)
    assert ledger(version.ledger) == {"counted": 3}
    with populated.context() as context:
        entry = context.catalog.get("agg-001")
    assert (entry.status, entry.version, entry.participations) == ("completed", 1, 3)
    assert (entry.seconds, entry.activities, entry.rows) == (21_600, 1, 3)


def test_a_second_nightly_run_computes_nothing_and_reads_nothing(populated: DataFolder) -> None:
    before, files = reads(populated), populated.files()
    result = populated.nightly()
    assert not result.changed
    assert (result.outcomes, result.rows, result.files) == ((), 7, 3)
    assert reads(populated) == before
    assert populated.files() == files


def test_a_full_nightly_run_computes_everything_and_changes_no_digest(
    populated: DataFolder,
) -> None:
    before = populated.published()
    populated.now = NOW + timedelta(days=1)
    assert computed(populated.nightly(full=True)) == {Q2, Q3, Q4, OTHER}
    after = populated.published()
    assert populated.versions() == {Q2: 2, Q3: 2, Q4: 2, OTHER: 2}
    for cell, version in after.items():
        assert version == replace_fields(
            before[cell], {"version": 2, "refreshed_at": populated.now, "cause": "forced"}
        )


def test_a_nightly_run_without_a_catalog_removes_no_version(populated: DataFolder) -> None:
    """A version without rows in any export can't be computed again."""
    versions = {name for name in populated.files() if name.endswith(".json")}
    (populated.data / "catalog.sqlite").unlink()
    with suppress(StoreDamaged):
        populated.nightly()
    assert versions <= populated.files()


def test_the_ledger_of_a_nightly_run_adds_up_to_its_rows(populated: DataFolder) -> None:
    dirt = [
        row(org_id=None),
        row(participant_id="p1", updated_at=LATER, deleted=True),
        row(participant_id="x", hours=None),
        row(participant_id="y", started_at=datetime(2124, 1, 1, tzinfo=UTC)),
    ]
    populated.export(dirt, "dirt.parquet")
    result = populated.nightly()
    assert sum(result.ledger.values()) == result.rows == 7 + 4
    with populated.gathered() as inputs:
        without_cell = inputs.survey.rows_without_cell
    in_cells = sum(sum(v.ledger.values()) for v in populated.published().values())
    assert in_cells + sum(without_cell.values()) == result.rows


def test_no_exports_is_an_empty_nightly_run(folder: DataFolder) -> None:
    result = folder.nightly()
    assert (result.files, result.rows, list(result.outcomes)) == (0, 0, [])
    assert not folder.nightly().changed


def test_an_empty_export_is_read_and_has_no_cells(folder: DataFolder) -> None:
    write(folder.data, table([]))
    result = folder.nightly()
    assert (result.files, result.rows, list(result.outcomes)) == (1, 0, [])


def test_a_nightly_run_reports_what_it_does(populated: DataFolder) -> None:
    events = [event for event, _ in populated.events]
    assert events[0] == "exports_read"
    assert ("exports_read", {"files": 3, "rows": 7}) in populated.events
    assert ("snapshots_published", {"snapshots": 4}) in populated.events


def test_a_lost_catalog_is_refused_until_it_is_rebuilt(populated: DataFolder) -> None:
    (populated.data / "catalog.sqlite").unlink()
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="rebuild it with bufdir reindex"):
            populated.nightly()
    assert reindex.run(populated.data, NOW).snapshots == 4
    assert computed(populated.nightly()) == set()


def test_a_nightly_run_ends_when_it_ends_and_not_when_it_began(populated: DataFolder) -> None:
    began = populated.now
    with populated.context() as context:

        def later(*_: object, **__: object) -> None:
            populated.now = began + timedelta(minutes=5)

        populated.export(people(4), "more.parquet")
        nightly.run(replace(context, events=later))
        last = run_queue.last_nightly(context.catalog)
    assert last is not None
    assert (last.queued_at, last.ended_at) == (began, began + timedelta(minutes=5))


def test_a_version_file_of_a_newer_release_fails_its_snapshot_and_the_others_go_on(
    populated: DataFolder,
) -> None:
    path = version_files.version_path(populated.data, 1, 1)
    as_newer_release(path)
    content = path.read_bytes()
    more = [*people(7, activity_id="more"), *people(7, activity_id="more", org_id="org-2")]
    populated.export(more, "more.parquet")
    result = populated.nightly()
    assert computed(result) == {OTHER}
    (failed,) = (one for one in result.outcomes if one.outcome == "failed")
    assert (failed.id, failed.reason) == ("agg-001", "newer_version")
    assert "a newer release of this program wrote" in str(failed.problem)
    assert computed(populated.nightly(full=True)) == {Q2, Q3, OTHER}
    assert path.read_bytes() == content
    with populated.context() as context:
        assert context.catalog.get("agg-001").version == 1
