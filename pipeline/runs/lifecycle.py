"""Requests about the snapshot of a cell: create, refresh, delete and undelete it.

Only queues runs; the process that acquires a run computes. Loads no engine, so that the API can use
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import CellMismatch, NotUndeletable, PeriodNotBegun, SnapshotExists
from pipeline.model import periods, versions
from pipeline.model.audit import Act
from pipeline.storage import (
    audit,
    deletion_markers,
    deletions,
    file_digests,
    highest_number,
    run_queue,
    version_files,
)
from pipeline.storage.database import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from pipeline.errors import StoreDamaged
    from pipeline.model.deletions import Deletion
    from pipeline.model.periods import Period
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.run_queue import Run


def check(org_id: str, period_id: str, zone: ZoneInfo, now: datetime) -> Period:
    """Check that a cell can exist, and return its period.

    Raises:
        InvalidValue: The id of the organisation or of the period is invalid.
        PeriodNotBegun: The period is in the future.
    """
    versions.check_organisation(org_id)
    period = periods.parse(period_id)
    check_begun(period, zone, now)
    return period


def check_begun(period: Period, zone: ZoneInfo, now: datetime) -> None:
    """Check that a period has begun.

    Raises:
        PeriodNotBegun: The period is in the future.
    """
    if not has_begun(period, zone, now):
        raise PeriodNotBegun(period.id, period.start(zone).astimezone(zone).date().isoformat())


def has_begun(period: Period, zone: ZoneInfo, now: datetime) -> bool:
    """Return whether a period has begun, so that it can have participations."""
    return period.start(zone) <= now


def ensure(catalog: Catalog, cells: Iterable[tuple[str, str]], now: datetime) -> Sequence[Entry]:
    """Return the snapshots of these cells, in their order; create those that are missing."""
    with catalog.transaction():
        known = {cell: catalog.of_cell(*cell) for cell in dict.fromkeys(cells)}
        missing = [cell for cell, entry in known.items() if entry is None]
        if missing:
            above = highest_number.read(catalog.data)
            made = catalog.create(missing, now, above)
            highest_number.write(catalog.data, made[-1].number)
            known |= dict(zip(missing, made, strict=True))
    return [entry for entry in known.values() if entry is not None]


def create(catalog: Catalog, org_id: str, period: Period, now: datetime) -> Entry:
    """Create the snapshot of a cell that has no version yet, and queue a run of it.

    Raises:
        SnapshotExists: The cell has a version.
    """
    with catalog.transaction():
        (entry,) = ensure(catalog, [(org_id, period.id)], now)
        if entry.version:
            raise SnapshotExists(entry.id, org_id, period.id)
        run_queue.enqueue(catalog, entry.number, forced=False, now=now)
        catalog.record(Act.CREATE, f"{entry.id}: {org_id} in {period.id}", audit.QUEUED)
        return catalog.get(entry.id)


def refresh(catalog: Catalog, entry: Entry, now: datetime, *, forced: bool) -> Run:
    """Queue a run of a snapshot, or return its open run if there is one."""
    return run_queue.enqueue(catalog, entry.number, forced=forced, now=now)


def check_same(entry: Entry, org_id: str | None, period_id: str | None) -> None:
    """Check that a request names the cell of the snapshot.

    Raises:
        CellMismatch: The request names another organisation or period.
    """
    if org_id not in (None, entry.org_id):
        raise CellMismatch(entry.id, "org_id", str(org_id), entry.org_id)
    if period_id not in (None, entry.reporting_period_id):
        actual = entry.reporting_period_id
        raise CellMismatch(entry.id, "reporting_period_id", str(period_id), actual)


def delete(catalog: Catalog, snapshot_id: str, now: datetime, by: str) -> Deletion:
    """Delete a snapshot: no read finds it any longer, and its files stay for a time.

    Args:
        catalog: The catalog.
        snapshot_id: The snapshot.
        now: The present.
        by: The name of who deletes it.

    Raises:
        InvalidValue: The id is invalid.
        SnapshotNotFound: No snapshot has this id.
    """
    return deletions.delete(catalog, snapshot_id, now, by)


def undelete(catalog: Catalog, snapshot_id: str, now: datetime, days: int) -> Entry:
    """Publish a deleted snapshot again, under its id and with its versions.

    Args:
        catalog: The catalog.
        snapshot_id: The snapshot.
        now: The present.
        days: The days for which a deletion can be undone.

    Raises:
        InvalidValue: The id is invalid.
        SnapshotNotFound: No snapshot ever had this id, or it was removed with its deletion.
        NotUndeletable: It is not deleted, the days are over, or its cell has another snapshot.
        StoreDamaged: Its version file can't be read.
    """
    with catalog.transaction():
        deletion = deletions.find(catalog, snapshot_id)
        if deletion is None:
            catalog.get(snapshot_id)
            raise NotUndeletable(snapshot_id, "it is not deleted; nothing has to be done")
        _check_undeletable(catalog, deletion, now, days)
        number = versions.snapshot_number(snapshot_id)
        version = None
        if deletion.version:
            sha256 = file_digests.find(catalog, number, deletion.version)
            version = version_files.read(catalog.data, number, deletion.version, sha256)
        deletions.undelete(catalog, deletion, version)
        entry = catalog.get(snapshot_id)
        catalog.record(Act.UNDELETE, f"{entry.id}: {entry.org_id} in {entry.reporting_period_id}")
    deletion_markers.remove(catalog.data, number)
    return entry


def _check_undeletable(catalog: Catalog, deletion: Deletion, now: datetime, days: int) -> None:
    cell = f"{deletion.org_id} in {deletion.reporting_period_id}"
    other = catalog.of_cell(*deletion.key)
    if not deletion.can_be_undone(now, days):
        problem = (
            f"it was deleted at {text_of(deletion.deleted_at)}, longer ago than "
            f"history.undelete_days = {days}"
        )
        if other is None:
            problem += (
                f"; make a new snapshot with bufdir run --org {deletion.org_id} "
                f"--period {deletion.reporting_period_id}"
            )
        raise NotUndeletable(deletion.id, problem)
    if other is not None:
        problem = f"{cell} has the snapshot {other.id} now; delete {other.id} first"
        raise NotUndeletable(deletion.id, problem)


def repair_markers(catalog: Catalog) -> Sequence[StoreDamaged]:
    """Make the markers of deletions agree with the catalog; return the damage that was repaired."""
    with catalog.transaction():  # so that no deletion begins or ends meanwhile
        return deletion_markers.repair(
            catalog.data, deletions.read(catalog), catalog.current_versions()
        )


def remove_expired(catalog: Catalog, now: datetime, days: int) -> int:
    """Remove the files of deleted snapshots whose days are over; return how many snapshots."""
    expired = [
        one
        for one in deletions.read(catalog)
        if one.removed_at is None and not one.can_be_undone(now, days)
    ]
    for one in expired:
        deletions.remove(catalog, one, now)
    return len(expired)
