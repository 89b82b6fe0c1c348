"""The refusals of one worker on their way to the audit log: a flood writes a few lines only.

The first refusal of a caller is a line at once. Equal ones that follow are one line a minute, with
their count.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from anyio.to_thread import run_sync
from structlog.typing import FilteringBoundLogger

from pipeline.errors import BufdirError
from pipeline.model.access import Caller, Role
from pipeline.model.audit import Act
from pipeline.storage.catalog import Catalog

_PERIOD_SECONDS: Final = 60
_MOST_KINDS: Final = 64
"""Kinds of refusals in a period; those beyond count together."""
_MANY: Final = "several"
"""The address of refusals that count together."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Refusals that count together."""

    name: str
    address: str | None
    method: str
    problem: str


class RefusalLog:
    """Counts refusals, and records them for the audit log while it runs."""

    def __init__(self, data: Path, logger: FilteringBoundLogger) -> None:
        """Record nothing yet."""
        self._data = data
        self._logger = logger
        self._first: list[_Kind] = []
        """Those that are still to be recorded at once."""
        self._further: Counter[_Kind] = Counter()
        """The number of equal ones that followed, in this period."""
        self._awake = asyncio.Event()

    def add(self, caller: Caller, method: str, problem: str) -> None:
        """Count one refusal; call it in the event loop's thread.

        Args:
            caller: The caller who was refused.
            method: The method of the request.
            problem: The name of the kind of problem.
        """
        kind = _Kind(caller.name, caller.address, method, problem)
        if kind not in self._further and len(self._further) >= _MOST_KINDS:
            kind = _Kind(_MANY, _MANY, _MANY, problem)
        if kind in self._further:
            self._further[kind] += 1
            return
        self._further[kind] = 0
        self._first.append(kind)
        self._awake.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record during the block, and what is left at its end."""
        recording = asyncio.create_task(self._record_all())
        try:
            yield
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)
            await self._record(Counter(self._first) + self._further)

    async def _record_all(self) -> None:
        end = monotonic() + _PERIOD_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0, end - monotonic())):
                    await self._awake.wait()
            self._awake.clear()
            found, self._first = Counter(self._first), []
            if monotonic() >= end:
                end = monotonic() + _PERIOD_SECONDS
                found += self._further
                # A caller who goes on is recorded at the end of the next period, not at once.
                self._further = Counter({kind: 0 for kind, more in self._further.items() if more})
            await self._record(found)

    async def _record(self, found: Counter[_Kind]) -> None:
        if not found:
            return
        try:
            await run_sync(self._write, found)
        except BufdirError as error:
            self._logger.warning("audit_unwritable", problem=str(error))

    def _write(self, found: Counter[_Kind]) -> None:
        with Catalog.open(self._data) as catalog:
            for kind, count in found.items():
                caller = Caller(kind.name, kind.address, None, Role.READ)
                catalog.record(Act.REFUSE, kind.method, kind.problem, by=caller, count=count)
        if catalog.audit_problem:
            self._logger.warning("audit_unwritable", problem=catalog.audit_problem)
