"""The run queue: runs in the catalog, each acquired by one living owner or by none.

At any time at most one process computes a cell. A nightly run acquires everything at once. A run
whose owner died is abandoned; the next process that looks requeues it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline import redaction
from pipeline.errors import BufdirError, Busy
from pipeline.model import versions
from pipeline.model.access import Caller, Role
from pipeline.model.audit import Act
from pipeline.model.states import RunSource, RunState
from pipeline.storage import audit, owners, run_history
from pipeline.storage.database import text_of
from pipeline.storage.entries import json_of
from pipeline.storage.run_history import (
    MOST_ATTEMPTS,
    OPEN,
    Run,
    count_open,
    find,
    last_nightly,
    last_nightly_success,
    last_runs_clean,
    latest,
    open_runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from pipeline.storage.catalog import Catalog

__all__ = [
    "MOST_ATTEMPTS",
    "NightlyRun",
    "Run",
    "acquire",
    "acquire_queued",
    "count_open",
    "end",
    "enqueue",
    "find",
    "last_nightly",
    "last_nightly_success",
    "last_runs_clean",
    "latest",
    "nightly_run",
    "open_runs",
    "release",
    "requeue",
    "requeue_abandoned",
    "unforce",
]

_POLL_SECONDS: Final = 0.05
_NIGHTLY_RUN: Final = "a nightly run"
_ACQUIRE: Final = (
    "UPDATE runs SET state = 'running', owner = ?, source = ?, attempts = attempts + 1 WHERE id = "
)
_NEXT: Final = (
    "(SELECT runs.id FROM runs LEFT JOIN snapshots ON snapshots.number = runs.number "
    f"WHERE runs.{OPEN} AND runs.state = 'queued' "
    "ORDER BY ifnull(snapshots.version, 0) = 0, runs.id LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class NightlyRun:
    """A nightly run that goes on: its id, and the owner under which it acquires others."""

    id: int
    owner: str


def enqueue(catalog: Catalog, number: int, *, forced: bool, now: datetime) -> Run:
    """Ask for a run of a snapshot; one that is already queued or running serves as well.

    A forced run is not served by an unforced one that has begun, which may change nothing. So the
    open run becomes forced, and reads that when it decides.
    """
    with catalog.transaction():
        catalog.set_processing(number)
        run = _open_run(catalog, number)
        if run is None:
            return _insert(catalog, number, RunSource.API, None, now, forced=forced)
        if not forced:
            return run
        return run_history.runs(
            catalog, "UPDATE runs SET forced = 1 WHERE id = ? RETURNING *", run.id
        )[0]


def acquire_queued(catalog: Catalog, owner: str, at_once: int) -> Run | None:
    """Acquire the next queued run: refreshes before first runs, each in the order of requests.

    Somebody waits for a refresh. First runs are many where somebody asks for many periods.

    Returns:
        None where no run is queued, a nightly run goes on, or `at_once` runs do.
    """
    with catalog.transaction():
        requeue_abandoned(catalog)
        ((running,),) = catalog.execute(
            "SELECT count(*) FROM runs WHERE state = 'running' AND source = ?", (RunSource.API,)
        )
        if _nightly_run(catalog) is not None or running >= at_once:
            return None
        return run_history.first(catalog, f"{_ACQUIRE}{_NEXT} RETURNING *", owner, RunSource.API)


def acquire(catalog: Catalog, numbers: Sequence[int], owner: str, now: datetime) -> list[Run]:
    """Acquire runs of these snapshots for this process, all of them or none.

    Raises:
        Busy: A nightly run, or another process's run of one of them, goes on.
    """
    with catalog.transaction():
        requeue_abandoned(catalog)
        _check_no_nightly_run(catalog)
        return [_acquire_one(catalog, number, owner, now) for number in numbers]


def _acquire_one(catalog: Catalog, number: int, owner: str, now: datetime) -> Run:
    run = _open_run(catalog, number)
    if run is None:
        return _insert(catalog, number, RunSource.COMMAND, owner, now)
    if run.state == RunState.RUNNING:
        raise Busy(f"a run of {versions.snapshot_id(number)}", _holder(run))
    return run_history.runs(catalog, f"{_ACQUIRE}? RETURNING *", owner, RunSource.COMMAND, run.id)[
        0
    ]


@contextmanager
def nightly_run(
    catalog: Catalog, clock: Callable[[], datetime], source: RunSource = RunSource.NIGHTLY
) -> Iterator[NightlyRun]:
    """Acquire everything for as long as the block lasts, once the runs that go on have ended.

    Args:
        catalog: The catalog.
        clock: The time, asked when the run begins and when it ends.
        source: NIGHTLY; another command that needs everything for itself gives its own.

    Raises:
        Busy: Another nightly run goes on.
    """
    owners.sweep(catalog.data)
    with owners.temporary(catalog.data) as owner:
        with catalog.transaction():
            requeue_abandoned(catalog)
            _check_no_nightly_run(catalog)
            run = _insert(catalog, None, source, owner, clock())
        try:
            _wait_for_others(catalog)
            yield NightlyRun(run.id, owner)
        except (Exception, KeyboardInterrupt) as error:
            with suppress(BufdirError):  # the first failure is reported; the run is abandoned
                end(catalog, run.id, clock(), _problem(error))
            raise
        end(catalog, run.id, clock())


def _problem(error: BaseException) -> str:
    """Give the reason for which a run ended."""
    return redaction.summary(error) if str(error) else f"it was ended by {type(error).__name__}"


def _wait_for_others(catalog: Catalog) -> None:
    """Wait until no snapshot's run goes on; those whose process dies meanwhile are requeued."""
    while True:
        requeue_abandoned(catalog)
        if not catalog.execute(
            "SELECT 1 FROM runs WHERE state = 'running' AND number IS NOT NULL LIMIT 1"
        ):
            return
        time.sleep(_POLL_SECONDS)


def end(catalog: Catalog, run_id: int, now: datetime, error: str | None = None) -> None:
    """Record that a run has ended, with the error if there was one; a second end is ignored."""
    state = RunState.FAILED if error else RunState.DONE
    with catalog.transaction():
        ended = run_history.first(
            catalog,
            f"UPDATE runs SET state = ?, error = ?, ended_at = ? WHERE id = ? AND {OPEN} "
            "RETURNING *",
            *(state, error, text_of(now), run_id),
        )
        if ended is not None:
            _record_end(catalog, ended)
            if error:
                _fail_snapshots(catalog, ended.number, error)


def unforce(catalog: Catalog, run_ids: Sequence[int]) -> None:
    """Record that the versions which runs were forced to make are there."""
    catalog.execute(
        "UPDATE runs SET forced = 0 WHERE id IN (SELECT value FROM json_each(?))",
        (json_of(run_ids),),
    )


def release(catalog: Catalog, run_id: int) -> None:
    """Put an acquired run back, as its process was ended on purpose: that is no attempt."""
    catalog.execute(
        "UPDATE runs SET state = 'queued', owner = NULL, attempts = attempts - 1 "
        "WHERE id = ? AND state = 'running'",
        (run_id,),
    )


def requeue(catalog: Catalog, run_id: int) -> None:
    """Put a run back whose process died; after `MOST_ATTEMPTS` of them the run has failed."""
    with catalog.transaction():
        _requeue(catalog, find(catalog, run_id))


def requeue_abandoned(catalog: Catalog) -> None:
    """Put the runs back whose processes died; a nightly run that died has failed."""
    with catalog.transaction():
        running = run_history.runs(catalog, "SELECT * FROM runs WHERE state = 'running'")
        abandoned = [run for run in running if run_history.is_abandoned(catalog, run)]
        for run in abandoned:
            _requeue(catalog, run)
    if abandoned:
        owners.sweep(catalog.data)


def _requeue(catalog: Catalog, run: Run) -> None:
    if not run.is_open:
        return
    run = run_history.requeued(run)
    catalog.execute(
        "UPDATE runs SET state = ?, owner = ?, error = ? WHERE id = ?",
        (run.state, run.owner, run.error, run.id),
    )
    if run.state == RunState.FAILED:
        _record_end(catalog, run)
        _fail_snapshots(catalog, run.number, str(run.error))


def _record_end(catalog: Catalog, run: Run) -> None:
    """Record the end of a run for the audit log, in the transaction that ends it."""
    end = audit.DONE if run.state == RunState.DONE else audit.FAILED
    if run.number is not None:
        by = None if run.asked_by is None else Caller(run.asked_by, None, None, Role.WRITE)
        catalog.record(Act.RUN, versions.snapshot_id(run.number), end, by=by)
    else:
        act = Act.NIGHTLY if run.source == RunSource.NIGHTLY else Act.REINDEX
        catalog.record(act, f"run {run.id}", end)


def _fail_snapshots(catalog: Catalog, number: int | None, problem: str) -> None:
    """Record a failed run where no version is; a nightly run's failure is that of all it began."""
    if number is None:
        catalog.fail_unfinished(problem)
    else:
        catalog.set_first_failed(number, problem)


def _check_no_nightly_run(catalog: Catalog) -> None:
    other = _nightly_run(catalog)
    if other is not None:
        raise Busy(_NIGHTLY_RUN, _holder(other))


def _nightly_run(catalog: Catalog) -> Run | None:
    return run_history.first(
        catalog, "SELECT * FROM runs WHERE number IS NULL AND state = 'running'"
    )


def _open_run(catalog: Catalog, number: int) -> Run | None:
    return run_history.first(catalog, f"SELECT * FROM runs WHERE number = ? AND {OPEN}", number)


def _insert(  # noqa: PLR0913 (one argument a column)
    catalog: Catalog,
    number: int | None,
    source: RunSource,
    owner: str | None,
    now: datetime,
    *,
    forced: bool = False,
) -> Run:
    """Insert a run: queued, or running where it has an owner."""
    state = RunState.QUEUED if owner is None else RunState.RUNNING
    asked_by = catalog.caller.name if source == RunSource.API else None
    (run,) = run_history.runs(
        catalog,
        "INSERT INTO runs (number, source, state, forced, owner, attempts, queued_at, "
        "asked_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        *(number, source, state, forced, owner, int(owner is not None), text_of(now), asked_by),
    )
    return run


def _holder(run: Run) -> str:
    return f"process {owners.process_of(run.owner or '?')}"
