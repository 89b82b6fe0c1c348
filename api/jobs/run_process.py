"""The run process: executes one acquired run, within limits of memory and time, then exits.

A dispatcher acquires the run and passes on the descriptor of its lock. The run therefore stays
acquired while this process lives, even if the dispatcher dies. The exit code reports how it ended.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from api.jobs import endings
from pipeline import logs, settings
from pipeline.confinement.endings import exit_code_of
from pipeline.errors import BufdirError, ProcessDied
from pipeline.logs import EventSink
from pipeline.model.states import Outcome
from pipeline.runs import confined
from pipeline.runs.context import RunContext
from pipeline.runs.reading import Reading
from pipeline.settings import Settings
from pipeline.storage import permissions, run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one acquired run; return the exit code."""
    given = _parse(arguments)
    permissions.restrict_new_files()
    signal.alarm(given.seconds)  # ends this process, and the system then ends its child
    try:
        return _run(given)
    except BufdirError as error:
        # The end of the run can't be recorded here; the supervisor tries it again.
        logs.configure("text", "info").warning("run_failed", run=given.run, problem=str(error))
        return endings.EXIT_STORE_UNUSABLE


def _run(given: argparse.Namespace) -> int:
    """Continue in a child process with bounds; return the exit code."""
    logger = logs.configure("text", "info").bind(run=given.run)
    try:
        chosen = settings.load(given.data).with_memory(given.memory_mb)
        opened = partial(_context, given.data, chosen, events=_drop, writes=False)
        bounds = confined.over_exports(given.data, chosen, opened).enter()
    except ProcessDied as error:
        return _die_like(error)
    except BufdirError as error:
        return _fail(given, error, logger)
    return _execute(given, chosen, bounds)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    return parser.parse_args(arguments)


@contextmanager
def _context(
    data: Path, chosen: Settings, bounds: Reading, events: EventSink, *, writes: bool
) -> Iterator[RunContext]:
    open_catalog = Catalog.open if writes else Catalog.open_read_only
    with open_catalog(data) as catalog:
        known = confined.with_known(bounds, catalog, chosen)
        yield RunContext(data, chosen, catalog, _now, events, writes, known)


def _execute(given: argparse.Namespace, chosen: Settings, bounds: Reading) -> int:
    logger = logs.configure(chosen.log.format, chosen.log.level).bind(run=given.run)
    logger.info("run_started")
    try:
        with _context(given.data, chosen, bounds, logger.info, writes=True) as context:
            outcome = _compute(context, run_queue.find(context.catalog, given.run))
    except BufdirError as error:
        return _fail(given, error, logger)
    except BaseException as error:
        if bounds.is_broken_by(error):
            return exit_code_of(error)
        if isinstance(error, MemoryError):
            return endings.EXIT_OUT_OF_MEMORY
        logger.exception("run_crashed")
        return endings.EXIT_CRASHED
    is_failed = outcome in {Outcome.FAILED, Outcome.BLOCKED}
    return endings.EXIT_FAILED if is_failed else endings.EXIT_SUCCEEDED


def _fail(given: argparse.Namespace, error: BufdirError, logger: FilteringBoundLogger) -> int:
    """Record why the run has failed; return the exit code."""
    logger.warning("run_failed", problem=str(error))
    with Catalog.open(given.data) as catalog:
        run_queue.end(catalog, given.run, _now(), error.public)
    return endings.EXIT_FAILED


def _die_like(error: ProcessDied) -> int:
    """End as the child has ended, for the supervisor to see."""
    if error.code < 0:
        signal.signal(-error.code, signal.SIG_DFL)
        os.kill(os.getpid(), -error.code)
    return error.code


def _drop(event: str, **fields: object) -> None:
    """Drop the events of probes."""


def _compute(context: RunContext, run: Run) -> Outcome:
    """Compute the run's snapshot; return its outcome."""
    # Loads what an engine needs; importers of this module do not.
    from pipeline.runs.run import refresh  # noqa: PLC0415

    result = refresh(context, [run])
    for problem in result.refused.values():
        context.events("export_refused", problem=problem)
    (made,) = result.outcomes
    context.events("run_ended", snapshot=made.id, outcome=made.outcome, version=made.version)
    return made.outcome


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
