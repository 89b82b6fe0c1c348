"""The runs in the catalog: each one as a value, the newest ones, the last nightly run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.model.states import RunSource, RunState
from pipeline.storage import owners

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.storage.catalog import Catalog


MOST_ATTEMPTS: Final = 3
"""After so many processes that died over one run, the run has failed."""
OPEN: Final = "state IN ('queued', 'running')"
"""The condition of runs that have not ended."""


class Run(msgspec.Struct, frozen=True):
    """One attempt to compute one snapshot; a nightly run has no snapshot number."""

    id: int
    number: int | None
    source: RunSource
    state: RunState
    forced: bool
    owner: str | None
    attempts: int
    queued_at: datetime
    ended_at: datetime | None
    """None while the run is open, and where its process was killed."""
    error: str | None
    asked_by: str | None
    """The caller of the API who asked for it; None where a command did."""

    @property
    def is_open(self) -> bool:
        """Whether the run has still to end."""
        return self.state in (RunState.QUEUED, RunState.RUNNING)


def find(catalog: Catalog, run_id: int) -> Run:
    """Read the run with this id."""
    (run,) = runs(catalog, "SELECT * FROM runs WHERE id = ?", run_id)
    return run


def open_runs(catalog: Catalog) -> Sequence[Run]:
    """Read all runs that have not ended, oldest first; abandoned ones as they will be requeued."""
    found = runs(catalog, f"SELECT * FROM runs WHERE {OPEN} ORDER BY id")
    return [run for run in (_as_found(catalog, run) for run in found) if run.is_open]


def count_open(catalog: Catalog) -> int:
    """Count the runs of snapshots that have not ended."""
    ((count,),) = catalog.execute(f"SELECT count(*) FROM runs WHERE number IS NOT NULL AND {OPEN}")
    return int(count)


def latest(catalog: Catalog, number: int) -> Run | None:
    """Read the newest run of a snapshot."""
    return first(catalog, "SELECT * FROM runs WHERE number = ? ORDER BY id DESC LIMIT 1", number)


def last_nightly(catalog: Catalog) -> Run | None:
    """Read the newest nightly run, ended or not; one whose process was killed has failed."""
    run = first(
        catalog,
        "SELECT * FROM runs WHERE number IS NULL AND source = ? ORDER BY id DESC LIMIT 1",
        RunSource.NIGHTLY,
    )
    return None if run is None else _as_found(catalog, run)


def last_nightly_success(catalog: Catalog) -> datetime | None:
    """Read when the newest nightly run that succeeded ended."""
    run = first(
        catalog,
        "SELECT * FROM runs WHERE number IS NULL AND source = ? AND state = 'done' "
        "ORDER BY id DESC LIMIT 1",
        RunSource.NIGHTLY,
    )
    return None if run is None else run.ended_at


def last_runs_clean(catalog: Catalog) -> bool:
    """Return whether the last nightly run and all runs since ended without an error.

    If so, none of them left half-written files behind.
    """
    ((last,),) = catalog.execute(
        "SELECT max(id) FROM runs WHERE number IS NULL AND state IN ('done', 'failed')"
    )
    ((failures,),) = catalog.execute(
        "SELECT count(*) FROM runs WHERE id >= ? AND (state = 'failed' OR attempts > 1)", (last,)
    )
    return last is not None and not failures


def requeued(run: Run) -> Run:
    """Decide what becomes of an open run whose process died: it is queued again, or has failed."""
    if run.number is None or run.attempts >= MOST_ATTEMPTS:
        times = "" if run.attempts == 1 else f" {run.attempts} times"
        problem = f"its process was killed{times}"
        return msgspec.structs.replace(run, state=RunState.FAILED, error=problem)
    return msgspec.structs.replace(run, state=RunState.QUEUED, owner=None)


def is_abandoned(catalog: Catalog, run: Run) -> bool:
    """Return whether a run is running by the catalog, and its process is dead."""
    if run.state != RunState.RUNNING:
        return False
    return run.owner is None or not owners.is_alive(catalog.data, run.owner)


def _as_found(catalog: Catalog, run: Run) -> Run:
    return requeued(run) if is_abandoned(catalog, run) else run


def first(catalog: Catalog, sql: str, *params: object) -> Run | None:
    """Run a statement that returns runs, and read the first."""
    return next(iter(runs(catalog, sql, *params)), None)


def runs(catalog: Catalog, sql: str, *params: object) -> list[Run]:
    """Run a statement that returns runs, and read all of them."""
    return [_run(catalog, dict(row)) for row in catalog.execute(sql, params)]


def _run(catalog: Catalog, row: Mapping[str, object]) -> Run:
    return catalog.decode({**row, "forced": bool(row["forced"])}, Run)
