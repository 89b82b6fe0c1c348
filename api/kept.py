"""Whole replies to reads, kept in a worker for as long as nothing is published.

All that a read says follows from the catalog and from version files, which never change. So a
reply holds until the catalog is written to, which the head of its file tells without a lock.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from pipeline.storage import catalog

_MOST_BYTES: Final = 64 * 1024 * 1024
"""Of bodies that one worker keeps; then those go that were not asked for the longest."""
_OVERHEAD_BYTES: Final = 1024
"""About what is kept with each body."""
_COUNTER_OFFSET: Final = 24
_COUNTER_BYTES: Final = 4
"""Where SQLite counts changes (section 1.3.7 of its file format): every commit, in this mode."""

State = tuple[int, int, int, bytes]
Kept = TypeVar("Kept")


class CatalogChangeCounter:
    """What state the catalog's file is in. It stays open here.

    To close it would take away every lock that SQLite holds on it in this process.
    """

    def __init__(self, data: Path) -> None:
        """Nothing is opened yet."""
        self._path = str(data / catalog.FILE)
        self._inode = -1
        self._descriptor = -1

    def state(self) -> State | None:
        """What the catalog is in; another after every change, None where it can't be told."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 (a call as quick as can be)
            if self._inode != status.st_ino:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._inode = os.fstat(self._descriptor).st_ino
            counter = os.pread(self._descriptor, _COUNTER_BYTES, _COUNTER_OFFSET)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size, counter


class ResponseCache(Generic[Kept]):
    """Replies by request, each of the catalog's present state."""

    def __init__(self, state: Callable[[], State | None]) -> None:
        """Nothing is kept yet.

        Args:
            state: What the catalog is in; another after every change.
        """
        self.state = state
        self._state: State | None = None
        self._kept: OrderedDict[bytes, tuple[Kept, int]] = OrderedDict()
        self._bytes = 0

    def find(self, request: bytes) -> Kept | None:
        """The reply to this request, where it still holds."""
        state = self.state()
        if state is None or state != self._state:
            self._kept.clear()
            self._bytes, self._state = 0, state
            return None
        found = self._kept.get(request)
        if found is None:
            return None
        self._kept.move_to_end(request)
        return found[0]

    def keep(self, request: bytes, reply: Kept, body_bytes: int, before: State | None) -> None:
        """Keep a reply, unless the catalog has changed since `before`, when it was asked for."""
        if before is None or before != self._state or before != self.state():
            return
        weight = body_bytes + len(request) + _OVERHEAD_BYTES
        _, old = self._kept.pop(request, (None, 0))
        self._kept[request] = reply, weight
        self._bytes += weight - old
        while self._bytes > _MOST_BYTES:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone
