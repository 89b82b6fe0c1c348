"""The refresh of a snapshot: queues a run and waits for its end, without blocking other requests.

A version that is fresh already is the reply, without a run. A run that had begun before the request
may have read older exports, so the next run is the one that counts. Waits by polling the catalog,
because any process may execute the run.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from anyio.to_thread import run_sync
from msgspec import UNSET, UnsetType

from api.errors import RunCrashed, SnapshotBlocked
from api.jobs.endings import CRASHED_PROBLEM
from api.snapshots.requests import RefreshBody
from api.snapshots.service import Service
from pipeline import settings
from pipeline.errors import BufdirError, RunFailed
from pipeline.model.audit import Act
from pipeline.model.states import RunState
from pipeline.runs import lifecycle, staleness
from pipeline.storage import audit, blocked_cells, run_queue
from pipeline.storage.catalog import Catalog, Entry
from pipeline.storage.run_queue import Run

_FIRST_PAUSE_SECONDS: Final = 0.02
_MAX_PAUSE_SECONDS: Final = 0.25
_PAUSE_GROWTH: Final = 1.5


@dataclass(frozen=True, slots=True)
class _Queued:
    """A run that was queued, and the snapshot as it was then."""

    run: Run
    entry: Entry


async def refresh(service: Service, snapshot_id: str, body: RefreshBody) -> tuple[Entry, bool]:
    """Refresh a snapshot; return it, and whether the run ended within the waiting time.

    Raises:
        InvalidValue: This is no id.
        SnapshotNotFound: No snapshot has this id, or it was deleted.
        CellMismatch: The body names another cell.
        RunFailed: The run failed; the published version is unchanged.
        SnapshotBlocked: The run left it as it is until somebody acts.
        RunCrashed: A fault of the program ended the run.
    """
    deadline = monotonic() + service.settings.runs.wait_seconds
    queued = await run_sync(_begin, service, snapshot_id, body)
    if isinstance(queued, Entry):
        return queued, True
    earlier = queued.run.id if queued.run.state == RunState.RUNNING else None
    while True:
        service.wake()
        ended = await _end(service, queued.run, deadline)
        entry = await run_sync(_entry, service, snapshot_id)
        if ended is None:
            return entry, False
        if ended.id != earlier:
            if ended.error is not None:
                raise await run_sync(_failure, service, entry, ended.error)
            if entry.version > queued.entry.version or not body.force_refresh:
                return entry, True
        queued = await run_sync(_queue_again, service, snapshot_id, body)


def _begin(service: Service, snapshot_id: str, body: RefreshBody) -> _Queued | Entry:
    """Record the request, in one transaction with the run that it queues.

    Returns:
        The run; the snapshot where a run is neither forced nor needed.
    """
    with service.writing() as catalog:
        entry = catalog.get(snapshot_id)
        _check_same(entry, body)
        if not body.force_refresh and _is_fresh(service, catalog, entry):
            catalog.record(Act.REFRESH, entry.id, audit.UNCHANGED)
            return entry
        with catalog.transaction():
            queued = _enqueue(service, catalog, snapshot_id, body)
            what = f"{entry.id}, forced" if body.force_refresh else entry.id
            catalog.record(Act.REFRESH, what, audit.QUEUED)
        return queued


def _is_fresh(service: Service, catalog: Catalog, entry: Entry) -> bool:
    """Return whether a snapshot's version certainly agrees with the exports of now."""
    try:
        # A run reads the settings again, so those from this worker's start do not count.
        chosen = settings.load(service.data)
        service.current(entry.id)
        return staleness.is_fresh(catalog, chosen, entry)
    except BufdirError:
        return False  # a run will report the problem


def _queue_again(service: Service, snapshot_id: str, body: RefreshBody) -> _Queued:
    """Queue another run for a request that is on record already."""
    with service.catalog() as catalog, catalog.transaction():
        return _enqueue(service, catalog, snapshot_id, body)


def _enqueue(service: Service, catalog: Catalog, snapshot_id: str, body: RefreshBody) -> _Queued:
    entry = catalog.get(snapshot_id)
    _check_same(entry, body)
    run = lifecycle.refresh(catalog, entry, service.now(), forced=body.force_refresh)
    return _Queued(run, entry)


def _check_same(entry: Entry, body: RefreshBody) -> None:
    lifecycle.check_same(entry, _optional(body.org_id), _optional(body.reporting_period_id))


def _optional(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value


def _entry(service: Service, snapshot_id: str) -> Entry:
    with service.catalog() as catalog:
        return catalog.get(snapshot_id)


async def _end(service: Service, run: Run, deadline: float) -> Run | None:
    """Wait for the end of a run; None where the deadline passes or the server stops."""
    pause = _FIRST_PAUSE_SECONDS
    while (found := await run_sync(_find, service, run.id)).is_open:
        left = deadline - monotonic()
        if left <= 0 or service.is_stopping():
            return None
        await asyncio.sleep(min(pause, left))
        pause = min(pause * _PAUSE_GROWTH, _MAX_PAUSE_SECONDS)
    return found


def _find(service: Service, run_id: int) -> Run:
    with service.catalog() as catalog:
        return run_queue.find(catalog, run_id)


def _failure(service: Service, entry: Entry, problem: str) -> Exception:
    """Give the failure of a run that ended with this problem."""
    if problem == CRASHED_PROBLEM:
        return RunCrashed(entry.id)
    with service.catalog() as catalog:
        blocked = blocked_cells.find(catalog, entry.org_id, entry.reporting_period_id)
    if blocked is not None and blocked.sentence == problem:
        return SnapshotBlocked(entry.id, service.public(problem))
    return RunFailed(entry.id, service.public(problem))
