"""The dispatcher in each worker process: starts children for queued runs and sees to their end.

The catalog says what is queued and how many may run, so any number of workers and servers share
it. Here no export is opened: a child does that, within bounds, and whatever becomes of it, its run
comes to an end or is taken up again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from prometheus_client import Counter
from structlog.typing import FilteringBoundLogger

from api import child
from pipeline.errors import BufdirError
from pipeline.settings import RunSettings
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import Owner, Run

LOOK_SECONDS: Final = 0.5
"""How long a run that somebody else queued waits at most until it is seen."""
GRACE_SECONDS: Final = 5
"""A child ends itself when its time is over; after this much more it is killed."""

FAULT: Final = "a fault of ours ended it, which is in the log of the server"
"""What is said of a run in whose code there is a mistake."""

_CHILD_VARIABLES: Final = {
    # Where memory runs out, Rust ends at once instead of asking for more to tell of it.
    "RUST_BACKTRACE": "0",
    # NumPy comes along with Arrow and computes nothing here; its threads would cost memory.
    "OPENBLAS_NUM_THREADS": "1",
}

ENDED_RUNS: Final = Counter(
    "bufdir_runs", "Child processes that came to an end, by how they did.", ["end"]
)


@dataclass(slots=True)
class Dispatcher:
    """Looks for queued runs, and minds the children that compute them."""

    data: Path
    limits: RunSettings
    logger: FilteringBoundLogger
    spare: Owner | None = None
    """The name under which the next run will be claimed."""
    awake: asyncio.Event = field(default_factory=asyncio.Event)
    minders: set[asyncio.Task[None]] = field(default_factory=set)
    trouble: str = ""
    """Why runs can't be looked for at the moment."""

    def wake(self) -> None:
        """Look at once; from the thread of the event loop."""
        self.awake.set()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Dispatch while the block lasts; then end the children and give their runs back."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            for task in (looking, *self.minders):
                task.cancel()
            await asyncio.gather(looking, *self.minders, return_exceptions=True)
            if self.spare is not None:
                run_queue.release(self.data, self.spare)

    async def _look(self) -> None:
        while True:
            try:
                await self._start_queued()
                self.trouble = ""
            except (BufdirError, OSError, sqlite3.Error) as error:
                if self.trouble != str(error):  # once, not twice a second
                    self.trouble = str(error)
                    self.logger.warning("dispatch_failed", problem=self.trouble)
            except Exception:
                self.logger.exception("dispatch_broke")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.awake.wait()
            self.awake.clear()

    async def _start_queued(self) -> None:
        while len(self.minders) < self.limits.at_once:
            owner = self.spare = self.spare or run_queue.hold(self.data)
            run = await run_sync(self._take, owner)
            if run is None:
                return
            self.spare = None
            minder = asyncio.create_task(self._mind(run, owner))
            self.minders.add(minder)
            minder.add_done_callback(self._ended)

    def _take(self, owner: Owner) -> Run | None:
        with Catalog.open(self.data) as catalog:
            return run_queue.acquire_queued(catalog, owner.name, self.limits.at_once)

    def _ended(self, minder: asyncio.Task[None]) -> None:
        self.minders.discard(minder)
        self.awake.set()

    async def _mind(self, run: Run, owner: Owner) -> None:
        """Start a run's child, wait for it, and mark_latest what it left open."""
        try:
            await run_sync(self._settle, run, await self._child(run, owner))
        except asyncio.CancelledError:
            self._in_catalog(lambda catalog: run_queue.give_back(catalog, run.id))
            raise
        except Exception:
            # No process, or no catalog, to be had: without its owner the run is taken up again.
            self.logger.exception("minding_failed", run=run.id)
        finally:
            run_queue.release(self.data, owner)

    async def _child(self, run: Run, owner: Owner) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", child.__name__, "--data", str(self.data), "--run", str(run.id)),
            *("--memory-mb", str(self.limits.memory_mb), "--seconds", str(self.limits.seconds)),
            stdin=DEVNULL,
            env={**os.environ, **_CHILD_VARIABLES},
            # The run stays claimed while the child lives, even if this process does not.
            pass_fds=[owner.descriptor],
            # The terminal's Ctrl-C is for the server, which ends its children in its own way.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self.limits.seconds + GRACE_SECONDS):
                return await process.wait()
        except TimeoutError:
            return -signal.SIGALRM
        finally:
            await _kill(process)

    def _settle(self, run: Run, code: int) -> None:
        """End a run whose child could not, or leave it to be taken up again."""
        how, problem = self._verdict(code)
        ENDED_RUNS.labels(how).inc()
        if how == "ended":
            return
        self.logger.warning("child_ended", run=run.id, end=how, code=code)
        if problem is None:
            self._in_catalog(lambda catalog: run_queue.requeue(catalog, run.id))
        else:
            now = datetime.now(UTC)
            self._in_catalog(lambda catalog: run_queue.end(catalog, run.id, now, problem))

    def _verdict(self, code: int) -> tuple[str, str | None]:
        """How a child ended by its exit code, and what that says of its run."""
        limits = self.limits
        if code == child.ENDED:
            return "ended", None
        if code == -signal.SIGALRM:
            return "out_of_time", f"it took longer than runs.seconds = {limits.seconds}"
        # Rust aborts where it gets no memory; Python raises, and the child says so.
        if code in (child.OUT_OF_MEMORY, -signal.SIGABRT):
            problem = f"it needed more than runs.memory_mb = {limits.memory_mb} MB"
            return "out_of_memory", problem
        return ("killed", None) if code < 0 else ("fault", FAULT)

    def _in_catalog(self, work: Callable[[Catalog], None]) -> None:
        with Catalog.open(self.data) as catalog:
            work(catalog)


async def _kill(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
