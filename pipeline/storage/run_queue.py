"""Who computes what: runs in the catalog, each claimed by one living process or by none.

A process that computes holds a lock file for as long as it lives, so a claim needs no clock: one
whose lock is free was left behind, and is taken up by the next one that looks. A night claims
everything at once. At any time at most one process computes a cell.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import Busy
from pipeline.model import versions
from pipeline.storage import catalog as index

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.storage.catalog import Catalog

FOLDER: Final = ".locks"
MOST_ATTEMPTS: Final = 3
"""After so many processes that died over one run, the run has failed."""

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"

API: Final = "api"
COMMAND: Final = "command"
NIGHT: Final = "night"

_POLL_SECONDS: Final = 0.05
_A_NIGHT: Final = "a night"


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt to compute one snapshot; a night has no number of its own."""

    id: int
    number: int | None
    source: str
    state: str
    forced: bool
    owner: str | None
    attempts: int
    error: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has still to come to its end."""
        return self.state in (QUEUED, RUNNING)


@dataclass(frozen=True, slots=True)
class Owner:
    """A name under which runs can be claimed, and the descriptor that keeps the claims alive.

    They live as long as any process has the descriptor open: a child that it is passed to, and
    the process that minds that child. So nobody takes up a run whose end is yet to be told.
    """

    name: str
    descriptor: int


def hold(data: Path) -> Owner:
    """A new name to claim runs under; to be given up with `release`."""
    name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    path = _lock(data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return Owner(name, descriptor)


def release(data: Path, holder: Owner) -> None:
    """Give up a name; what is still claimed under it is taken up by the next one that looks."""
    _lock(data, holder.name).unlink(missing_ok=True)
    os.close(holder.descriptor)


@contextmanager
def owner(data: Path) -> Iterator[str]:
    """A name for this process under which it can claim runs while the block lasts."""
    holder = hold(data)
    try:
        yield holder.name
    finally:
        release(data, holder)


def _lock(data: Path, name: str) -> Path:
    return data / FOLDER / f"{name}.lock"


def _alive(data: Path, name: str) -> bool:
    path = _lock(data, name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


def find(catalog: Catalog, run_id: int) -> Run:
    """The run with this id."""
    row = catalog.connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return _run(row)


def open_runs(catalog: Catalog) -> Sequence[Run]:
    """All runs that have not come to their end, oldest first; abandoned ones are queued again."""
    with catalog.transaction():
        _take_up(catalog)
        rows = catalog.connection.execute(
            "SELECT * FROM runs WHERE state IN (?, ?) ORDER BY id", (QUEUED, RUNNING)
        ).fetchall()
    return [_run(row) for row in rows]


def latest(catalog: Catalog, number: int) -> Run | None:
    """The newest run of a snapshot."""
    row = catalog.connection.execute(
        "SELECT * FROM runs WHERE number = ? ORDER BY id DESC LIMIT 1", (number,)
    ).fetchone()
    return None if row is None else _run(row)


def queue(catalog: Catalog, number: int, *, forced: bool, now: datetime) -> Run:
    """Ask for a run of a snapshot; the one that is already queued or running serves as well.

    A forced run is not served by an unforced one that has begun, for that may change nothing:
    the one that is open is made forced, and looks at this when it decides.
    """
    with catalog.transaction():
        catalog.set_processing(number)
        row = catalog.connection.execute(
            "SELECT * FROM runs WHERE number = ? AND state IN (?, ?)", (number, QUEUED, RUNNING)
        ).fetchone()
        if row is None:
            row = _insert(catalog, number, API, QUEUED, None, now, forced=forced)
        elif forced:
            row = catalog.connection.execute(
                "UPDATE runs SET forced = 1 WHERE id = ? RETURNING *", (row["id"],)
            ).fetchone()
    return _run(row)


def acquire_queued(catalog: Catalog, name: str, at_once: int) -> Run | None:
    """Claim the oldest queued run; None while a night goes on or `at_once` are running."""
    with catalog.transaction():
        _take_up(catalog)
        if _night(catalog) is not None or _running(catalog, API) >= at_once:
            return None
        row = catalog.connection.execute(
            "UPDATE runs SET state = ?, owner = ?, source = ?, attempts = attempts + 1 WHERE id = "
            "(SELECT min(id) FROM runs WHERE state = ?) RETURNING *",
            (RUNNING, name, API, QUEUED),
        ).fetchone()
    return None if row is None else _run(row)


def claim(catalog: Catalog, numbers: Sequence[int], name: str, now: datetime) -> list[Run]:
    """Claim runs of these snapshots for this process, all of them or none.

    Raises:
        Busy: A night, or another process's run of one of them, is going on.
    """
    with catalog.transaction():
        _take_up(catalog)
        night = _night(catalog)
        if night is not None:
            raise Busy(_A_NIGHT, _holder(night))
        return [_claim_one(catalog, number, name, now) for number in numbers]


def _claim_one(catalog: Catalog, number: int, name: str, now: datetime) -> Run:
    row = catalog.connection.execute(
        "SELECT * FROM runs WHERE number = ? AND state IN (?, ?)", (number, QUEUED, RUNNING)
    ).fetchone()
    if row is None:
        return _run(_insert(catalog, number, COMMAND, RUNNING, name, now, forced=False))
    if row["state"] == RUNNING:
        what = f"a run of {versions.snapshot_id(number)}"
        raise Busy(what, _holder(_run(row)))
    taken = catalog.connection.execute(
        "UPDATE runs SET state = ?, owner = ?, source = ?, attempts = attempts + 1 WHERE id = ? "
        "RETURNING *",
        (RUNNING, name, COMMAND, row["id"]),
    ).fetchone()
    return _run(taken)


@contextmanager
def night(catalog: Catalog, now: datetime) -> Iterator[str]:
    """Claim everything while the block lasts, once the runs that are going on have ended.

    Raises:
        Busy: Another night is going on.
    """
    with owner(catalog.data) as name:
        with catalog.transaction():
            _take_up(catalog)
            other = _night(catalog)
            if other is not None:
                raise Busy(_A_NIGHT, _holder(other))
            run = _run(_insert(catalog, None, NIGHT, RUNNING, name, now, forced=False))
        try:
            _wait_for_others(catalog)
            yield name
        except (Exception, KeyboardInterrupt) as error:
            end(catalog, run.id, now, str(error) or f"it was ended by {type(error).__name__}")
            raise
        end(catalog, run.id, now)


def _wait_for_others(catalog: Catalog) -> None:
    while any(run.state == RUNNING and run.number is not None for run in open_runs(catalog)):
        time.sleep(_POLL_SECONDS)


def last_runs_clean(catalog: Catalog) -> bool:
    """Whether the last night, and every run since, has come to its end and without a fault.

    If so, nobody left half of anything behind.
    """
    last = catalog.connection.execute(
        "SELECT max(id) FROM runs WHERE number IS NULL AND state IN (?, ?)", (DONE, FAILED)
    ).fetchone()[0]
    faults = catalog.connection.execute(
        "SELECT count(*) FROM runs WHERE id >= ? AND (state = ? OR attempts > 1)", (last, FAILED)
    ).fetchone()[0]
    return last is not None and not faults


def end(catalog: Catalog, run_id: int, now: datetime, error: str | None = None) -> None:
    """The run has come to its end; with what went wrong, if anything did."""
    with catalog.transaction():
        row = catalog.connection.execute(
            "UPDATE runs SET state = ?, error = ?, ended_at = ? WHERE id = ? "
            "AND state IN (?, ?) RETURNING *",
            (FAILED if error else DONE, error, index.text_of(now), run_id, QUEUED, RUNNING),
        ).fetchone()
        if row is not None and error:
            _fail(catalog, row["number"], error)


def requeue(catalog: Catalog, run_id: int) -> None:
    """The process of this run died; somebody else may take it up, a few times."""
    with catalog.transaction():
        _requeue(catalog, find(catalog, run_id))


def give_back(catalog: Catalog, run_id: int) -> None:
    """The process of this run was ended on purpose, which does not count as an attempt."""
    catalog.connection.execute(
        "UPDATE runs SET state = ?, owner = NULL, attempts = attempts - 1 "
        "WHERE id = ? AND state = ?",
        (QUEUED, run_id, RUNNING),
    )


def _take_up(catalog: Catalog) -> None:
    """Queue the runs again whose processes are dead; a dead night leaves nothing to take up."""
    rows = catalog.connection.execute("SELECT * FROM runs WHERE state = ?", (RUNNING,)).fetchall()
    for run in map(_run, rows):
        if run.owner is None or not _alive(catalog.data, run.owner):
            _requeue(catalog, run)


def _requeue(catalog: Catalog, run: Run) -> None:
    if not run.is_open:
        return
    if run.number is None or run.attempts >= MOST_ATTEMPTS:
        times = "" if run.attempts == 1 else f" {run.attempts} times"
        problem = f"its process was killed{times}"
        catalog.connection.execute(
            "UPDATE runs SET state = ?, error = ? WHERE id = ?", (FAILED, problem, run.id)
        )
        _fail(catalog, run.number, problem)
        return
    catalog.connection.execute(
        "UPDATE runs SET state = ?, owner = NULL WHERE id = ?", (QUEUED, run.id)
    )


def _fail(catalog: Catalog, number: int | None, problem: str) -> None:
    """EventSink of a failed run where no version stands; a night's is all that it had begun."""
    if number is None:
        catalog.fail_unfinished(problem)
    else:
        catalog.set_first_failed(number, problem)


def _night(catalog: Catalog) -> Run | None:
    row = catalog.connection.execute(
        "SELECT * FROM runs WHERE number IS NULL AND state = ?", (RUNNING,)
    ).fetchone()
    return None if row is None else _run(row)


def _running(catalog: Catalog, source: str) -> int:
    row = catalog.connection.execute(
        "SELECT count(*) FROM runs WHERE state = ? AND source = ?", (RUNNING, source)
    ).fetchone()
    return int(row[0])


def _insert(  # noqa: PLR0913, PLR0917 (one argument a column)
    catalog: Catalog,
    number: int | None,
    source: str,
    state: str,
    name: str | None,
    now: datetime,
    *,
    forced: bool,
) -> sqlite3.Row:
    row: sqlite3.Row = catalog.connection.execute(
        "INSERT INTO runs (number, source, state, forced, owner, attempts, queued_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (number, source, state, forced, name, int(state == RUNNING), index.text_of(now)),
    ).fetchone()
    return row


def _holder(run: Run) -> str:
    return f"process {(run.owner or '?').partition('-')[0]}"


def _run(row: sqlite3.Row) -> Run:
    return Run(
        id=row["id"],
        number=row["number"],
        source=row["source"],
        state=row["state"],
        forced=bool(row["forced"]),
        owner=row["owner"],
        attempts=row["attempts"],
        error=row["error"],
    )
