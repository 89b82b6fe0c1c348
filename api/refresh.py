"""What PUT does: ask for a run and wait for its end, without holding up other calls.

Where the last night read the very same exports by the same settings, its version is the answer.

A run that had begun before the call may have read the exports before it too, so it does not serve:
the next one does. Waits by looking at the catalog, for the run may go on in any process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Final

from anyio.to_thread import run_sync
from msgspec import UNSET, UnsetType

from api.problems import FaultOfOurs
from api.requests import RefreshBody
from api.service import Service
from api.worker import FAULT
from pipeline import settings
from pipeline.errors import BufdirError, RunFailed
from pipeline.runs import lifecycle
from pipeline.storage import nightly_record, run_queue
from pipeline.storage.catalog import Catalog, Entry
from pipeline.storage.run_queue import Run

_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.25
_LONGER: Final = 1.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that was asked for, and the snapshot as it was then."""

    run: Run
    entry: Entry


async def refresh(service: Service, snapshot_id: str, body: RefreshBody) -> tuple[Entry, bool]:
    """The snapshot once it is refreshed, and whether that came to its end in time.

    Raises:
        InvalidValue: This is no id.
        SnapshotNotFound: There is none, or no longer.
        CellMismatch: The body names another cell.
        RunFailed: The run failed; what was published stands.
        FaultOfOurs: It failed, and neither the exports nor the settings are to blame.
    """
    deadline = monotonic() + service.settings.runs.wait_seconds
    standing = await run_sync(_standing, service, snapshot_id, body)
    if standing is not None:
        return standing, True
    asked = await run_sync(_ask, service, snapshot_id, body)
    earlier = asked.run.id if asked.run.state == run_queue.RUNNING else None
    while True:
        service.wake()
        ended = await _end(service, asked.run, deadline)
        entry = await run_sync(_look, service, snapshot_id)
        if ended is None:
            return entry, False
        if ended.id != earlier:
            if ended.error is not None:
                raise _failure(service, entry, ended.error)
            if entry.version > asked.entry.version or not body.force_refresh:
                return entry, True
        asked = await run_sync(_ask, service, snapshot_id, body)


def _standing(service: Service, snapshot_id: str, body: RefreshBody) -> Entry | None:
    """The snapshot, where nothing is forced and it is known to be what the exports say."""
    with service.catalog() as catalog:
        entry = catalog.get(snapshot_id)
        lifecycle.check_same(entry, _given(body.org_id), _given(body.reporting_period_id))
        stands = not body.force_refresh and _stands(service, catalog, entry)
    return entry if stands else None


def _stands(service: Service, catalog: Catalog, entry: Entry) -> bool:
    try:
        # A run would read the settings anew, so what they were when we started does not serve.
        chosen = settings.load(service.data)
        service.current(entry.id)
        return nightly_record.stands(catalog, chosen, entry, service.now())
    except BufdirError:
        return False  # a run will say what is wrong


def _ask(service: Service, snapshot_id: str, body: RefreshBody) -> Asked:
    with service.catalog() as catalog, catalog.transaction():
        entry = catalog.get(snapshot_id)
        lifecycle.check_same(entry, _given(body.org_id), _given(body.reporting_period_id))
        run = lifecycle.refresh(catalog, entry, service.now(), forced=body.force_refresh)
    return Asked(run, entry)


def _given(value: str | UnsetType) -> str | None:
    return None if value is UNSET else value


def _look(service: Service, snapshot_id: str) -> Entry:
    with service.catalog() as catalog:
        return catalog.get(snapshot_id)


async def _end(service: Service, run: Run, deadline: float) -> Run | None:
    """The run once it has come to its end; None where that takes too long."""
    pause = _FIRST_PAUSE_SECONDS
    while (found := await run_sync(_find, service, run.id)).is_open:
        left = deadline - monotonic()
        if left <= 0 or service.is_stopping():
            return None
        await asyncio.sleep(min(pause, left))
        pause = min(pause * _LONGER, _LONGEST_PAUSE_SECONDS)
    return found


def _find(service: Service, run_id: int) -> Run:
    with service.catalog() as catalog:
        return run_queue.find(catalog, run_id)


def _failure(service: Service, entry: Entry, problem: str) -> Exception:
    if problem == FAULT:
        return FaultOfOurs(entry.id)
    return RunFailed(entry.id, service.public(problem))
