"""Deleting and undeleting over nightly runs, runs by hand, and a lost catalog."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import NotUndeletable, SnapshotExists, SnapshotNotFound, StoreDamaged
from pipeline.model.states import Reason
from pipeline.runs import lifecycle, reindex
from pipeline.runs.check import check
from pipeline.runs.run import run_cells
from pipeline.runs.status import status
from pipeline.storage import deletion_markers, deletions, run_queue, version_files
from tests.given import CELL, NOW, QUARTER, DataFolder, computed, people, row

if TYPE_CHECKING:
    from pipeline.runs.context import NightlyResult
    from pipeline.storage.catalog import Entry

BY = "local:kari"
Q4 = "org-1 rp-2024-q4"


@pytest.fixture
def two(folder: DataFolder) -> DataFolder:
    """Two snapshots: agg-001 with two versions, and agg-002."""
    for count in (1, 2):
        folder.export([*people(count), row(org_id="org-2")])
        folder.nightly()
    return folder


def delete(folder: DataFolder, snapshot_id: str = "agg-001") -> None:
    with folder.context() as context:
        lifecycle.delete(context.catalog, snapshot_id, folder.now, BY)


def undelete(folder: DataFolder, snapshot_id: str = "agg-001") -> Entry:
    with folder.context() as context:
        return lifecycle.undelete(context.catalog, snapshot_id, folder.now, 30)


def ask(folder: DataFolder, organisations: list[str] | None = None) -> list[str]:
    """Run the quarter by hand; return the ids of the snapshots."""
    with folder.context() as context:
        return [one.id for one in run_cells(context, [QUARTER], organisations).outcomes]


def refusal(folder: DataFolder, snapshot_id: str = "agg-001") -> str:
    with pytest.raises(NotUndeletable) as refused:
        undelete(folder, snapshot_id)
    return str(refused.value)


def later(folder: DataFolder, days: int) -> NightlyResult:
    folder.now += timedelta(days=days)
    return folder.nightly()


def test_no_nightly_run_makes_a_deleted_snapshot_again(two: DataFolder) -> None:
    delete(two)
    two.export([*people(3), row(org_id="org-2")])
    assert computed(two.nightly()) == set()
    for days in (1, 40):
        later(two, days)
        assert CELL not in two.published()
    with two.context() as context:
        assert set(check(context).plan) == {"leave"}


def test_a_full_nightly_run_makes_it_no_more(two: DataFolder) -> None:
    delete(two)
    assert computed(two.nightly(full=True)) == {"org-2 rp-2024-q4"}


def test_a_quiet_nightly_run_stays_quiet_after_a_deletion(two: DataFolder) -> None:
    delete(two)
    assert not two.nightly().changed


def test_an_undeleted_snapshot_has_its_id_and_all_its_versions(two: DataFolder) -> None:
    before, files = two.published(), two.files()
    delete(two)
    assert undelete(two).id == "agg-001"
    assert two.published() == before
    assert two.files() == files
    assert computed(two.nightly()) == set()
    assert two.published() == before


def test_the_next_nightly_run_brings_an_undeleted_snapshot_up_to_date(two: DataFolder) -> None:
    delete(two)
    two.export([*people(3), row(org_id="org-2")])
    two.nightly()
    undelete(two)
    assert two.published()[CELL].total["participations"] == 2
    assert computed(two.nightly()) == {Q4}
    assert two.published()[CELL].version == 3


def test_a_deletion_is_undone_after_days_of_nightly_runs(two: DataFolder) -> None:
    before = two.published()
    delete(two)
    for _ in range(29):
        later(two, 1)
    undelete(two)
    assert two.published() == before


def test_after_the_days_files_are_removed_and_the_deletion_is_final(two: DataFolder) -> None:
    delete(two)
    two.now += timedelta(days=30)
    assert refusal(two) == (
        "agg-001 can't be undeleted: it was deleted at 2025-02-01T03:30:00Z, longer ago than "
        "history.undelete_days = 30; make a new snapshot with bufdir run --org org-1 "
        "--period rp-2024-q4"
    )
    assert "snapshots/agg-001/v2.json" in two.files()
    two.nightly()
    assert [name for name in two.files() if "agg-001" in name] == ["snapshots/agg-001/deleted.json"]
    assert ("deleted_files_removed", {"snapshots": 1}) in two.events
    assert "longer ago than" in refusal(two)


def test_a_run_that_names_the_organisation_makes_it_again_with_a_new_id(two: DataFolder) -> None:
    delete(two)
    assert ask(two) == ["agg-002"]
    assert ask(two, ["org-1"]) == ["agg-003"]
    assert refusal(two) == (
        "agg-001 can't be undeleted: org-1 in rp-2024-q4 has the snapshot agg-003 now; delete "
        "agg-003 first"
    )
    later(two, 30)
    assert two.published()[CELL].id == "agg-003"
    assert not [name for name in two.files() if "agg-001" in name]
    with pytest.raises(SnapshotNotFound):
        undelete(two)


def test_a_request_for_the_cell_makes_it_again_with_a_new_id(two: DataFolder) -> None:
    delete(two)
    with two.context() as context:
        assert lifecycle.create(context.catalog, "org-1", QUARTER, NOW).id == "agg-003"
    assert computed(two.nightly()) == {Q4}
    with two.context() as context, pytest.raises(SnapshotExists):
        lifecycle.create(context.catalog, "org-1", QUARTER, NOW)


def test_the_older_of_two_deleted_snapshots_of_a_cell_can_be_undeleted_too(two: DataFolder) -> None:
    delete(two)
    ask(two, ["org-1"])
    delete(two, "agg-003")
    undelete(two)
    assert two.published()[CELL].id == "agg-001"
    assert "has the snapshot agg-001 now" in refusal(two, "agg-003")


def test_what_is_not_deleted_is_not_undeleted(two: DataFolder) -> None:
    assert refusal(two) == "agg-001 can't be undeleted: it is not deleted; nothing has to be done"
    with pytest.raises(SnapshotNotFound):
        undelete(two, "agg-009")


def test_an_undeletion_of_a_damaged_version_is_refused(two: DataFolder) -> None:
    delete(two)
    version_files.version_path(two.data, 1, 2).write_bytes(b"{")
    with pytest.raises(StoreDamaged, match=r"agg-001/v2\.json is damaged"):
        undelete(two)
    with two.context() as context:
        assert deletions.find(context.catalog, "agg-001")


def test_a_deletion_survives_the_loss_of_the_catalog(two: DataFolder) -> None:
    before = two.published()
    delete(two)
    with two.context() as context:
        known = deletions.read(context.catalog)
    (two.data / "catalog.sqlite").unlink()
    assert reindex.run(two.data, NOW).snapshots == 1
    with two.context() as context:
        assert deletions.read(context.catalog) == known
    assert computed(two.nightly()) == set()
    undelete(two)
    assert two.published() == before


def test_a_final_deletion_survives_the_loss_of_the_catalog(two: DataFolder) -> None:
    delete(two)
    later(two, 30)
    (two.data / "catalog.sqlite").unlink()
    reindex.run(two.data, NOW)
    assert computed(two.nightly()) == set()
    assert "longer ago than" in refusal(two)
    assert ask(two, ["org-1"]) == ["agg-003"]


def test_after_a_damaged_marker_and_a_lost_catalog_the_snapshot_stays_deleted(
    two: DataFolder,
) -> None:
    delete(two)
    deletion_markers.path_of(two.data, 1).write_bytes(b"{}")
    (two.data / "catalog.sqlite").unlink()
    two.now += timedelta(days=3)
    (problem,) = reindex.run(two.data, two.now).damaged
    assert problem.endswith("agg-001 stays deleted, as if that had been done now")
    assert CELL not in two.published()
    later(two, 29)
    undelete(two)
    assert two.published()[CELL].version == 2


def test_a_power_cut_during_a_deletion_is_repaired_by_the_next_nightly_run(two: DataFolder) -> None:
    delete(two)
    deletion = deletion_markers.read(two.data, 1)
    undelete(two)
    deletion_markers.write(two.data, deletion)  # as if the catalog had not committed
    two.nightly()
    assert list(deletion_markers.numbers(two.data)) == []
    delete(two)
    deletion_markers.path_of(two.data, 1).unlink()
    two.nightly()
    assert list(deletion_markers.numbers(two.data)) == [1]


def test_leftover_files_of_a_deleted_snapshot_are_swept_and_its_version_is_not(
    two: DataFolder,
) -> None:
    delete(two)
    left = two.data / "snapshots" / "agg-001" / "v3.json"
    left.write_bytes(b"{")
    with two.context() as context:
        run = run_queue.enqueue(context.catalog, 2, forced=True, now=NOW)
        run_queue.end(context.catalog, run.id, NOW, "its process was killed")
    two.nightly()
    assert not left.exists()
    undelete(two)
    assert two.published()[CELL].version == 2


def test_a_blocked_snapshot_that_is_deleted_is_not_listed_as_blocked(folder: DataFolder) -> None:
    folder.export(people(30))
    folder.export([row(org_id="org-2")], "b.parquet")
    folder.nightly()
    (folder.data / "exports" / "a.parquet").unlink()
    (blocked,) = folder.nightly().blocked
    assert blocked.reason is Reason.GONE
    delete(folder)
    with folder.context() as context:
        found = status(context.catalog)
    assert (list(found.blocked), found.deleted, found.snapshots) == ([], 1, 1)
    assert list(folder.nightly().blocked) == []
    undelete(folder)
    (blocked,) = folder.nightly().blocked
    assert (blocked.id, blocked.reason) == ("agg-001", Reason.GONE)


def test_a_snapshot_without_a_version_is_deleted_and_undeleted(folder: DataFolder) -> None:
    folder.export(people(1))
    with folder.context() as context:
        lifecycle.create(context.catalog, "org-1", QUARTER, NOW)
    delete(folder)
    assert computed(folder.nightly()) == set()
    assert undelete(folder).status == "failed"
    assert computed(folder.nightly()) == {Q4}
    assert folder.published()[CELL].id == "agg-001"
