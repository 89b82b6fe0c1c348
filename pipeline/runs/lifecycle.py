"""Requests about the snapshot of a cell: create, refresh and delete it.

Only queues runs; the process that acquires a run computes. Loads no engine, so that the API can use
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import CellMismatch, PeriodNotBegun, SnapshotExists
from pipeline.model import periods, versions
from pipeline.model.audit import Act
from pipeline.storage import audit, run_queue, version_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

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
            above = version_files.highest_number(catalog.data)
            made = catalog.create(missing, now, above)
            version_files.note_highest_number(catalog.data, made[-1].number)
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


def delete(catalog: Catalog, snapshot_id: str) -> Entry:
    """Delete a snapshot from the catalog, and then its files.

    Raises:
        InvalidValue: The id is invalid.
        SnapshotNotFound: No snapshot has this id.
    """
    with catalog.transaction():
        entry = catalog.get(snapshot_id)
        catalog.delete(entry.number)
        cell = f"{entry.org_id} in {entry.reporting_period_id}"
        catalog.record(Act.DELETE, f"{entry.id}: {cell}")
    version_files.remove(catalog.data, entry.number)
    return entry
