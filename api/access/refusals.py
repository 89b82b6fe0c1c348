"""The refusals of one worker on their way to the audit log: a flood writes a few lines only.

The first refusal of a caller is a line at once. Equal ones that follow are one line a minute, with
their count. A caller has a few lines only. Its further refusals count together, and hide those of
no other caller.
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

from api.access.forwarding import network_of
from pipeline.errors import BufdirError
from pipeline.model.access import ANONYMOUS, Caller, Role
from pipeline.model.audit import Act
from pipeline.storage.catalog import Catalog

_PERIOD_SECONDS: Final = 60
_MOST_KINDS: Final = 6
"""Kinds of refusals of one source in a period; its further ones count together."""
_MOST_STRANGERS: Final = 64
"""Networks of callers without a token in a period; further ones count together."""
_MANY: Final = "several"
"""The address, the method or the problem of refusals that count together."""
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OTHER_METHOD: Final = "other"
"""Any other method, which callers may invent."""
_Source = tuple[str, str | None]
"""The name of a token, or `anonymous` with a network."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Refusals that count together."""

    name: str
    address: str | None
    """A network of IPv6, as the limits of writes count it, or an address of IPv4."""
    method: str
    problem: str

    @property
    def source(self) -> _Source:
        """The caller, whose kinds are few."""
        return (self.name, self.address if self.name == ANONYMOUS else None)

    @property
    def surplus(self) -> _Kind:
        """The kind of all refusals of this caller beyond those that have one of their own."""
        address = self.address if self.name == ANONYMOUS else _MANY
        return _Kind(self.name, address, _MANY, _MANY)


class RefusalLog:
    """Counts refusals, and records them for the audit log while it runs."""

    def __init__(
        self, data: Path, logger: FilteringBoundLogger, period_seconds: float = _PERIOD_SECONDS
    ) -> None:
        """Record nothing yet.

        Args:
            data: The data folder.
            logger: The log, for an audit log that can't be written.
            period_seconds: The time for which equal refusals are added up.
        """
        self._data = data
        self._logger = logger
        self._period_seconds = period_seconds
        self._first: list[_Kind] = []
        """Those that are still to be recorded at once."""
        self._further: dict[_Source, Counter[_Kind]] = {}
        """The number of equal ones that followed, in this period, by their callers."""
        self._awake = asyncio.Event()
        self._is_ending = False

    def add(self, caller: Caller, method: str, problem: str) -> None:
        """Count one refusal; call it in the event loop's thread.

        Args:
            caller: The caller who was refused.
            method: The method of the request.
            problem: The name of the kind of problem.
        """
        address = caller.address and network_of(caller.address)
        known = method if method in _METHODS else _OTHER_METHOD
        kind = self._bounded(_Kind(caller.name, address, known, problem))
        further = self._further.setdefault(kind.source, Counter())
        if kind in further:
            further[kind] += 1
            return
        further[kind] = 0
        self._first.append(kind)
        self._awake.set()

    def _bounded(self, kind: _Kind) -> _Kind:
        """Give a refusal's kind, or the one of those that are too many."""
        further = self._further.get(kind.source)
        if further is None:
            strangers = sum(name == ANONYMOUS for name, _ in self._further)
            is_full = kind.name == ANONYMOUS and strangers >= _MOST_STRANGERS
            return _Kind(_MANY, _MANY, _MANY, kind.problem) if is_full else kind
        return kind if kind in further or len(further) < _MOST_KINDS else kind.surplus

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Record during the block, and what is left at its end."""
        recording = asyncio.create_task(self._record_all())
        try:
            yield
        finally:
            self._is_ending = True
            self._awake.set()
            await recording  # not cancelled: it may be writing
            await self._record(Counter(self._first) + self._all_further())

    async def _record_all(self) -> None:
        end = monotonic() + self._period_seconds
        while not self._is_ending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0, end - monotonic())):
                    await self._awake.wait()
            self._awake.clear()
            found, self._first = Counter(self._first), []
            if monotonic() >= end:
                end = monotonic() + self._period_seconds
                found += self._all_further()
                self._begin_period()
            await self._record(found)

    def _all_further(self) -> Counter[_Kind]:
        return Counter(
            {kind: n for further in self._further.values() for kind, n in further.items()}
        )

    def _begin_period(self) -> None:
        """Forget all kinds but those that go on, which are recorded at the end of each period."""
        going_on = (kind for kind, more in self._all_further().items() if more)
        self._further = {}
        for kind in going_on:
            self._further.setdefault(kind.source, Counter())[kind] = 0

    async def _record(self, found: Counter[_Kind]) -> None:
        if not found:
            return
        try:
            await run_sync(self._write, found)
        except (BufdirError, OSError) as error:
            self._logger.warning("audit_unwritable", problem=str(error))

    def _write(self, found: Counter[_Kind]) -> None:
        with Catalog.open(self._data) as catalog:
            for kind, count in found.items():
                caller = Caller(kind.name, kind.address, None, Role.READ)
                catalog.record(Act.REFUSE, kind.method, kind.problem, by=caller, count=count)
        if catalog.audit_problem:
            self._logger.warning("audit_unwritable", problem=catalog.audit_problem)
