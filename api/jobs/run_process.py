"""The run process: executes one acquired run, within limits of memory and time, then exits.

A dispatcher acquires the run and passes on the descriptor of its lock. The run therefore stays
acquired while this process lives, even if the dispatcher dies. The exit code reports how it ended.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from api.jobs import endings
from pipeline import logs, settings
from pipeline.errors import BufdirError
from pipeline.model.states import Outcome
from pipeline.runs.context import RunContext
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one acquired run; return the exit code."""
    given = _parse(arguments)
    _limit(given.memory_mb, given.seconds)
    try:
        with Catalog.open(given.data) as catalog:
            return _execute(catalog, run_queue.find(catalog, given.run))
    except BufdirError as error:
        # The end of the run can't be recorded here; the supervisor tries it again.
        logs.configure("text", "info").warning("run_failed", run=given.run, problem=str(error))
        return endings.EXIT_STORE_UNUSABLE


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    return parser.parse_args(arguments)


def _limit(memory_mb: int, seconds: int) -> None:
    """Have the system end this process after its time, and limit its memory.

    The limit is on private writable memory (RLIMIT_DATA), not on address space (RLIMIT_AS). Arrow
    and Polars reserve, and map from files, far more than they use.
    """
    signal.alarm(seconds)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mb * 1024 * 1024
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _execute(catalog: Catalog, run: Run) -> int:
    logger = logs.configure("text", "info")
    try:
        chosen = settings.load(catalog.data)
        logger = logs.configure(chosen.log.format, chosen.log.level).bind(run=run.id)
        logger.info("run_started")
        outcome = _compute(RunContext(catalog.data, chosen, catalog, _now, logger.info), run)
    except BufdirError as error:
        logger.warning("run_failed", problem=str(error))
        run_queue.end(catalog, run.id, _now(), error.public)
        return endings.EXIT_FAILED
    except MemoryError:
        return endings.EXIT_OUT_OF_MEMORY
    except BaseException:
        logger.exception("run_crashed")
        return endings.EXIT_CRASHED
    is_failed = outcome in {Outcome.FAILED, Outcome.BLOCKED}
    return endings.EXIT_FAILED if is_failed else endings.EXIT_SUCCEEDED


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
