"""What may be asked of a cell's snapshot: that it be made, made anew, or taken away.

Asks only; computing is for whoever claims the run. Loads no engine, so that the API can use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import CellMismatch, PeriodNotBegun, SnapshotExists
from pipeline.model import periods, versions
from pipeline.storage import run_queue, version_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from pipeline.model.periods import Period
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.run_queue import Run


def check(org_id: str, period_id: str, zone: ZoneInfo, now: datetime) -> Period:
    """See that a cell may be asked for at all.

    Raises:
        InvalidValue: The organisation's or the period's id can't be one.
        PeriodNotBegun: The period lies in the future.
    """
    versions.check_organisation(org_id)
    period = periods.parse(period_id)
    check_begun(period, zone, now)
    return period


def check_begun(period: Period, zone: ZoneInfo, now: datetime) -> None:
    """See that a period does not lie in the future.

    Raises:
        PeriodNotBegun: It does.
    """
    if not has_begun(period, zone, now):
        raise PeriodNotBegun(period.id, period.start(zone).astimezone(zone).date().isoformat())


def has_begun(period: Period, zone: ZoneInfo, now: datetime) -> bool:
    """Whether anything can have happened in a period yet."""
    return period.start(zone) <= now


def ensure(catalog: Catalog, cells: Iterable[tuple[str, str]], now: datetime) -> Sequence[Entry]:
    """The snapshots of these organisations and periods, in their order; made where missing."""
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
    """The snapshot of a cell that has no version yet, with a run of it queued.

    Raises:
        SnapshotExists: The cell has a version.
    """
    with catalog.transaction():
        (entry,) = ensure(catalog, [(org_id, period.id)], now)
        if entry.version:
            raise SnapshotExists(entry.id, org_id, period.id)
        run_queue.queue(catalog, entry.number, forced=False, now=now)
        return catalog.get(entry.id)


def refresh(catalog: Catalog, entry: Entry, now: datetime, *, forced: bool) -> Run:
    """A queued run of a snapshot, or the one that is already open."""
    return run_queue.queue(catalog, entry.number, forced=forced, now=now)


def check_same(entry: Entry, org_id: str | None, period_id: str | None) -> None:
    """See that a request means the cell that the snapshot is of.

    Raises:
        CellMismatch: It names another organisation or period.
    """
    if org_id not in (None, entry.org_id):
        raise CellMismatch(entry.id, "org_id", str(org_id), entry.org_id)
    if period_id not in (None, entry.reporting_period_id):
        actual = entry.reporting_period_id
        raise CellMismatch(entry.id, "reporting_period_id", str(period_id), actual)


def delete(catalog: Catalog, snapshot_id: str) -> Entry:
    """Take a snapshot out of every read, with its files.

    Raises:
        InvalidValue: This is no id.
        SnapshotNotFound: There is none, or no longer.
    """
    with catalog.transaction():
        entry = catalog.get(snapshot_id)
        catalog.delete(entry.number)
    version_files.remove(catalog.data, entry.number)
    return entry
