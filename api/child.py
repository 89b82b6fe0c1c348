"""What a child process does: one run, within bounds of memory and time, then it ends.

It is handed a run that a dispatcher has claimed, and inherits the descriptor that keeps the claim
alive, even if the dispatcher dies. Its exit code tells what it could not say itself.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline import logs, settings
from pipeline.errors import BufdirError
from pipeline.runs.context import Work
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import Run

ENDED: Final = 0
"""The run has come to its end, well or not."""
FAULT: Final = 1
"""A mistake in our code; also what Python ends with by itself."""
OUT_OF_MEMORY: Final = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute one claimed run."""
    given = _parse(arguments)
    _bound(given.memory_mb, given.seconds)
    with Catalog.open(given.data) as catalog:
        return _run(catalog, run_queue.find(catalog, given.run))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api.child", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    return parser.parse_args(arguments)


def _bound(memory_mb: int, seconds: int) -> None:
    """The system ends this process when its time is over, and gives it no more memory than this.

    What is bounded is private memory that can be written (RLIMIT_DATA), not address space
    (RLIMIT_AS): Arrow and Polars reserve, and map from files, far more than they use.
    """
    signal.alarm(seconds)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_mb * 1024 * 1024
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _run(catalog: Catalog, run: Run) -> int:
    logger = logs.configure("text")
    try:
        chosen = settings.load(catalog.data)
        logger = logs.configure(chosen.log.format).bind(run=run.id)
        logger.info("run_started")
        _compute(Work(catalog.data, chosen, catalog, _now, logger.info), run)
    except BufdirError as error:
        logger.warning("run_failed", problem=str(error))
        run_queue.end(catalog, run.id, _now(), str(error))
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException:
        logger.exception("run_broke")
        return FAULT
    return ENDED


def _compute(work: Work, run: Run) -> None:
    from pipeline.runs import compute  # noqa: PLC0415 (an engine; the API imports this module without one)

    ended = compute.refresh(work, [run])
    for problem in ended.refused.values():
        work.tell("export_refused", problem=problem)
    (outcome,) = ended.outcomes
    work.tell("run_ended", snapshot=outcome.id, outcome=outcome.outcome, version=outcome.version)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
