"""Deletions: in the catalog and in marker files, so that neither alone can lose one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.errors import SnapshotNotFound, StoreDamaged, StoreUnusable
from pipeline.model.deletions import Deletion
from pipeline.runs import lifecycle
from pipeline.storage import deletion_markers, deletions, version_files
from pipeline.storage.catalog import Catalog
from tests.storage import released

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)
DELETION = Deletion(
    id="agg-001",
    org_id="org-1",
    reporting_period_id="rp-2024-q4",
    version=2,
    created_at=datetime(2025, 1, 1, tzinfo=UTC),
    deleted_at=NOW,
    deleted_by="local:kari",
)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Open the catalog that the first release wrote."""
    with Catalog.open(released.copy(tmp_path)) as opened:
        yield opened


def delete(catalog: Catalog, snapshot_id: str = "agg-001", now: datetime = NOW) -> Deletion:
    return deletions.delete(catalog, snapshot_id, now, "local:kari")


def read_damaged(data: Path, offset: int) -> None:
    path = deletion_markers.path_of(data, 1)
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    try:
        deletion_markers.read(data, 1)
    finally:
        content[offset] ^= 1
        path.write_bytes(content)


def test_a_deleted_snapshot_is_in_no_read_and_its_files_stay(catalog: Catalog) -> None:
    before = {path: path.read_bytes() for path in catalog.data.glob("*/agg-001/*")}

    deletion = delete(catalog)

    with pytest.raises(SnapshotNotFound):
        catalog.get("agg-001")
    assert catalog.of_cell("org-1", "rp-2024-q4") is None
    assert 1 not in catalog.current_versions()
    assert {path: path.read_bytes() for path in before} == before
    assert deletions.read(catalog) == [deletion]
    assert deletions.kept_versions(catalog) == {1: 2}


def test_the_catalog_and_the_marker_have_the_same_deletion(catalog: Catalog) -> None:
    deletion = delete(catalog, now=NOW.replace(microsecond=5))

    assert deletion.deleted_at == NOW
    assert deletions.find(catalog, "agg-001") == deletion
    assert deletion_markers.read(catalog.data, 1) == deletion
    assert list(deletion_markers.numbers(catalog.data)) == [1]


def test_a_deletion_that_fails_leaves_no_marker(catalog: Catalog) -> None:
    catalog.execute("DROP TABLE deletions")
    with pytest.raises(StoreDamaged, match="no such table: deletions"):
        delete(catalog)
    assert catalog.get("agg-001").version == 2
    assert not deletion_markers.path_of(catalog.data, 1).exists()


def test_undeleting_gives_the_same_entry_that_no_run_has_decided_since(catalog: Catalog) -> None:
    before = catalog.get("agg-001")
    deletion = delete(catalog)

    deletions.undelete(catalog, deletion, version_files.read(catalog.data, 1, 2))

    after = catalog.get("agg-001")
    assert (after.id, after.version, after.digest) == (before.id, before.version, before.digest)
    assert released.numbers(catalog) == released.NUMBERS
    assert after.inputs is None
    assert deletions.read(catalog) == []


def test_a_deletion_whose_commit_fails_leaves_no_marker(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    with (
        Catalog.open(data, busy_seconds=0) as catalog,
        closing(sqlite3.connect(catalog.path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN")
        other.execute("SELECT * FROM snapshots").fetchone()
        with pytest.raises(StoreUnusable, match="locked"):
            lifecycle.delete(catalog, "agg-001", NOW, "local:kari")
        assert catalog.get("agg-001").version == 2
    assert list(deletion_markers.numbers(data)) == []


def test_a_second_deletion_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    deletion = delete(catalog)
    with pytest.raises(SnapshotNotFound):
        delete(catalog, now=NOW + timedelta(days=1))
    assert deletions.read(catalog) == [deletion_markers.read(catalog.data, 1)] == [deletion]


def test_a_snapshot_without_a_version_comes_back_as_failed(catalog: Catalog) -> None:
    deletion = delete(catalog, "agg-007")
    deletions.undelete(catalog, deletion, None)
    entry = catalog.get("agg-007")
    assert (entry.status, entry.version, entry.created_at) == ("failed", 0, deletion.created_at)
    assert entry.error == (
        "it was deleted before its first version was published; start its run again"
    )


def test_files_that_are_removed_leave_the_deletion_while_its_cell_has_no_snapshot(
    catalog: Catalog,
) -> None:
    deletions.remove(catalog, delete(catalog), NOW + timedelta(days=30))

    (removed,) = deletions.read(catalog)
    assert removed.removed_at == NOW + timedelta(days=30)
    assert deletion_markers.read(catalog.data, 1) == removed
    assert [path.name for path in catalog.data.glob("*/agg-001/*")] == ["deleted.json"]
    assert deletions.by_cell(catalog) == {("org-1", "rp-2024-q4"): removed}
    assert deletions.kept_versions(catalog) == {}


def test_files_that_are_removed_take_the_deletion_away_once_the_cell_was_made_again(
    catalog: Catalog,
) -> None:
    deletion = delete(catalog)
    catalog.create([("org-1", "rp-2024-q4")], NOW, above=20)

    deletions.remove(catalog, deletion, NOW)

    assert deletions.read(catalog) == []
    assert list(catalog.data.glob("*/agg-001")) == []


def test_of_several_deletions_of_a_cell_only_the_last_is_needed(catalog: Catalog) -> None:
    first = delete(catalog)
    catalog.create([("org-1", "rp-2024-q4")], NOW, above=20)
    last = delete(catalog, "agg-021")

    assert deletions.by_cell(catalog) == {("org-1", "rp-2024-q4"): last}
    deletions.remove(catalog, first, NOW)
    assert deletions.read(catalog) == [last]


def test_markers_are_repaired_after_a_power_cut_between_marker_and_catalog(
    catalog: Catalog,
) -> None:
    deletion = delete(catalog)
    deletion_markers.path_of(catalog.data, 1).unlink()
    deletion_markers.write(catalog.data, msgspec.structs.replace(DELETION, id="agg-002"))

    damage = deletion_markers.repair(catalog.data, [deletion], catalog.current_versions())

    assert damage == []
    assert list(deletion_markers.numbers(catalog.data)) == [1]
    assert deletion_markers.read(catalog.data, 1) == deletion


def test_a_damaged_marker_is_reported_and_written_again_from_the_catalog(catalog: Catalog) -> None:
    deletion = delete(catalog)
    path = deletion_markers.path_of(catalog.data, 1)
    path.write_bytes(path.read_bytes().replace(b"org-1", b"org-2"))

    (damage,) = deletion_markers.repair(catalog.data, [deletion], [])

    assert str(damage) == f"{path} is damaged: it was written again from the catalog"
    assert deletion_markers.read(catalog.data, 1) == deletion


def test_a_marker_with_any_byte_changed_is_damaged(tmp_path: Path) -> None:
    deletion_markers.write(tmp_path, DELETION)
    assert deletion_markers.read(tmp_path, 1) == DELETION
    for offset in range(deletion_markers.path_of(tmp_path, 1).stat().st_size):
        with pytest.raises(StoreDamaged):
            read_damaged(tmp_path, offset)


def test_a_deletion_can_be_undone_until_its_days_are_over() -> None:
    assert DELETION.can_be_undone(NOW + timedelta(days=30, seconds=-1), 30)
    assert not DELETION.can_be_undone(NOW + timedelta(days=30), 30)
    assert not DELETION.can_be_undone(NOW, 0)
