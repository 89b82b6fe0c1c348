"""The state of the catalog's file, read without a lock, so that replies can be cached by it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pipeline.storage import catalog

_COUNTER_OFFSET: Final = 24
_COUNTER_BYTES: Final = 4
"""SQLite's counter of changes (section 1.3.7 of its file format): every commit raises it here."""

State = tuple[int, int, int, bytes]


class CatalogChangeCounter:
    """The state of the catalog's file, which differs after every commit.

    The file stays open: closing it would drop every lock that SQLite has on it in this process.
    """

    def __init__(self, data: Path) -> None:
        """Open nothing yet."""
        self._path = str(data / catalog.FILE)
        self._inode = -1
        self._descriptor = -1

    def state(self) -> State | None:
        """Return the present state; None where it can't be read."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 (the fastest call)
            if self._inode != status.st_ino:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                self._inode = os.fstat(self._descriptor).st_ino
            counter = os.pread(self._descriptor, _COUNTER_BYTES, _COUNTER_OFFSET)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size, counter
