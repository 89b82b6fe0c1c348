"""Supervision of one run process: starts it, waits for it within limits, and records its end."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from structlog.typing import FilteringBoundLogger

from api import prometheus
from api.jobs import run_process
from api.jobs.endings import ending
from pipeline.errors import BufdirError
from pipeline.settings import RunSettings
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.owners import Owner
from pipeline.storage.run_queue import Run

GRACE_SECONDS: Final = 5
"""A run process ends itself when its time is over; after this much more it is killed."""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Starts run processes over a data folder, and records how each ended."""

    data: Path
    limits: RunSettings
    logger: FilteringBoundLogger

    async def supervise(self, run: Run, owner: Owner) -> None:
        """Execute an acquired run in a process, then end, requeue or give back what it left."""
        try:
            await run_sync(self._record, run, await self._execute(run, owner))
        except asyncio.CancelledError:
            self._in_catalog(lambda catalog: run_queue.release(catalog, run.id))
            raise
        except BufdirError as error:
            # The catalog can't be written. Without its owner the run is requeued.
            self.logger.warning("supervision_failed", run=run.id, problem=str(error))
        except Exception:
            # No process or no catalog was available. Without its owner the run is requeued.
            self.logger.exception("supervision_failed", run=run.id)
        finally:
            owners.close(self.data, owner)

    async def _execute(self, run: Run, owner: Owner) -> int:
        """Execute a run in a process of its own; return its exit code."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", run_process.__name__, "--data", str(self.data), "--run", str(run.id)),
            *("--memory-mb", str(self.limits.memory_mb), "--seconds", str(self.limits.seconds)),
            stdin=DEVNULL,
            # The run stays acquired while its process lives, even if this one does not.
            pass_fds=[owner.descriptor],
            # The terminal's Ctrl-C is for the server, which ends its run processes itself.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self.limits.seconds + GRACE_SECONDS):
                return await process.wait()
        except TimeoutError:
            return -signal.SIGALRM
        finally:
            await _kill(process)

    def _record(self, run: Run, code: int) -> None:
        """End a run whose process could not, or requeue it."""
        end = ending(code, self.limits)
        prometheus.RUNS.labels(end.how).inc()
        if end.is_recorded:
            return
        self.logger.warning("run_process_exited", run=run.id, end=end.how.value, code=code)
        if end.problem is None:
            self._in_catalog(lambda catalog: run_queue.requeue(catalog, run.id))
        else:
            now, problem = datetime.now(UTC), end.problem
            self._in_catalog(lambda catalog: run_queue.end(catalog, run.id, now, problem))

    def _in_catalog(self, work: Callable[[Catalog], None]) -> None:
        with Catalog.open(self.data) as catalog:
            work(catalog)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
