"""What is done once in a turn of the event loop, for all calls that are answered in it.

Each time a worker asks the system for something, it lets go of the interpreter, and then waits for
the server's threads to give it back: under load that takes longer than the asking.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import TextIO, TypeVar

Seen = TypeVar("Seen")


def once_a_turn(look: Callable[[], Seen]) -> Callable[[], Seen]:
    """The same look, taken at most once in a turn.

    What it sees is never older than a call that goes by it: a call that is answered before the
    look is forgotten was waiting when the look was taken.
    """
    seen: list[Seen] = []

    def seen_in_this_turn() -> Seen:
        if not seen:
            asyncio.get_running_loop().call_soon(seen.clear)
            seen.append(look())
        return seen[0]

    return seen_in_this_turn


class OnceATurn(io.TextIOBase):
    """A file to which whole turns are written at once."""

    def __init__(self, file: TextIO) -> None:
        """Write to this file."""
        self._file = file
        self._texts: list[str] = []

    def write(self, text: str) -> int:
        """Have this text written at the end of the turn."""
        if not self._texts:
            asyncio.get_running_loop().call_soon(self._write)
        self._texts.append(text)
        return len(text)

    def _write(self) -> None:
        text = "".join(self._texts)
        self._texts.clear()
        self._file.write(text)
        self._file.flush()
