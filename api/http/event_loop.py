"""Work that is done once per event-loop iteration, for all requests answered in it.

Every system call releases the interpreter lock, and the worker then waits for the server's threads
to return it. Under load that takes longer than the call itself.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import TextIO, TypeVar

Seen = TypeVar("Seen")


def once_per_iteration(look: Callable[[], Seen]) -> Callable[[], Seen]:
    """Return the same function, called at most once per event-loop iteration.

    Its result is never older than a request that uses it. A request that arrives after the call is
    answered in a later iteration, which makes a call of its own.
    """
    seen: list[Seen] = []

    def cached_look() -> Seen:
        if not seen:
            asyncio.get_running_loop().call_soon(seen.clear)
            seen.append(look())
        return seen[0]

    return cached_look


class BatchedFile(io.TextIOBase):
    """A file that writes all texts of one event-loop iteration at once."""

    def __init__(self, file: TextIO) -> None:
        """Write to this file."""
        self._file = file
        self._texts: list[str] = []

    def write(self, text: str) -> int:
        """Schedule this text for the end of the iteration."""
        if not self._texts:
            asyncio.get_running_loop().call_soon(self._write)
        self._texts.append(text)
        return len(text)

    def _write(self) -> None:
        text = "".join(self._texts)
        self._texts.clear()
        self._file.write(text)
        self._file.flush()
