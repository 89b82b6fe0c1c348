"""The cache of replies to reads in one worker, valid until the catalog changes.

A reply to a read follows from the catalog and from version files, which never change. A change of
the catalog therefore invalidates every cached reply, and nothing else does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from api.http.change_counter import State

_MAX_BYTES: Final = 64 * 1024 * 1024
"""The limit of one worker; above it the least recently used replies are dropped."""
_OVERHEAD_BYTES: Final = 1024
"""An estimate of the size of one reply without its body."""

Cached = TypeVar("Cached")


class ResponseCache(Generic[Cached]):
    """Replies by request, all of the catalog's present state."""

    def __init__(self, state: Callable[[], State | None]) -> None:
        """Start empty.

        Args:
            state: The state of the catalog; differs after every change.
        """
        self.state = state
        self._state: State | None = None
        self._replies: OrderedDict[bytes, tuple[Cached, int]] = OrderedDict()
        self._bytes = 0

    def get(self, request: bytes) -> Cached | None:
        """Return the reply to this request; None where none of the present state is cached."""
        state = self.state()
        if state is None or state != self._state:
            self._replies.clear()
            self._bytes, self._state = 0, state
            return None
        found = self._replies.get(request)
        if found is None:
            return None
        self._replies.move_to_end(request)
        return found[0]

    def put(self, request: bytes, reply: Cached, body_bytes: int, before: State | None) -> None:
        """Add a reply, unless the catalog has changed since `before`, the start of its request."""
        if before is None or before != self._state or before != self.state():
            return
        weight = body_bytes + len(request) + _OVERHEAD_BYTES
        _, old = self._replies.pop(request, (None, 0))
        self._replies[request] = reply, weight
        self._bytes += weight - old
        while self._bytes > _MAX_BYTES:
            _, (_, dropped) = self._replies.popitem(last=False)
            self._bytes -= dropped
