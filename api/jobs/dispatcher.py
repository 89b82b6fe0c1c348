"""The dispatcher in each worker: acquires queued runs and starts a run process for each.

The queue is in the catalog, which limits how many runs go on, so any number of workers and servers
share it. No export is opened here: a run process does that, within its limits. However the process
ends, its run comes to an end or is requeued.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from structlog.typing import FilteringBoundLogger

from api import prometheus
from api.jobs.endings import RunEnd
from api.jobs.supervisor import Supervisor
from pipeline.errors import BufdirError
from pipeline.settings import RunSettings
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.owners import Owner
from pipeline.storage.run_queue import Run

LOOK_SECONDS: Final = 0.5
"""The longest time until a run that another process queued is seen."""


class Dispatcher:
    """The loop that looks for queued runs, and the tasks that supervise their processes."""

    def __init__(self, data: Path, limits: RunSettings, logger: FilteringBoundLogger) -> None:
        """Start nothing yet."""
        self._data = data
        self._limits = limits
        self._logger = logger
        self._supervisor = Supervisor(data, limits, logger)
        self._tasks: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._spare: Owner | None = None
        """The owner for the next run."""
        self._problem = ""
        """The reason why runs can't be looked for at the moment."""

    def wake(self) -> None:
        """Look for queued runs at once; call it in the event loop's thread."""
        self._awake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Dispatch during the block; then kill the run processes and give their runs back."""
        for end in RunEnd:
            prometheus.RUNS.labels(end)  # so that the first of its kind is an increase from 0
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            for task in (looking, *self._tasks):
                task.cancel()
            await asyncio.gather(looking, *self._tasks, return_exceptions=True)
            if self._spare is not None:
                owners.close(self._data, self._spare)

    async def _look(self) -> None:
        while True:
            try:
                await self._start_queued()
                self._problem = ""
            except (BufdirError, OSError) as error:
                if self._problem != str(error):  # once, not twice a second
                    self._problem = str(error)
                    self._logger.warning("dispatch_failed", problem=self._problem)
            except Exception:
                self._logger.exception("dispatcher_crashed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._awake.wait()
            self._awake.clear()

    async def _start_queued(self) -> None:
        while len(self._tasks) < self._limits.at_once:
            owner = self._spare = self._spare or owners.create(self._data)
            run = await run_sync(self._acquire, owner)
            if run is None:
                return
            self._spare = None
            task = asyncio.create_task(self._supervisor.supervise(run, owner))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _acquire(self, owner: Owner) -> Run | None:
        with Catalog.open(self._data) as catalog:
            return run_queue.acquire_queued(catalog, owner.name, self._limits.at_once)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._awake.set()
