"""The limit of writes by one caller in a minute, shared by all workers of a data folder.

A file that is mapped into memory has one slot a caller: the time at which all writes so far would
be spent at the allowed rate (the generic cell rate algorithm). Counting a write takes microseconds
and flushes nothing. The file may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

from api.access.forwarding import network_of
from pipeline.errors import StoreUnusable
from pipeline.model.access import ANONYMOUS, Caller
from pipeline.storage import owners

FILE: Final = "write-limits"
_MINUTE: Final = 60.0
_ROUNDING_SECONDS: Final = 0.001
"""Sums of intervals are that exact, so that none refuses the last write of a burst."""
_SLOT: Final = struct.Struct("<Qd")
"""The hash of a caller, and the time in seconds since 1970."""
_SLOTS: Final = 4096
_PROBES: Final = 8
"""Callers that share all of these slots with busy others share the last of them."""


class WriteLimits:
    """The counts of writes by caller."""

    def __init__(self, data: Path, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        """Open nothing yet.

        Args:
            data: The data folder.
            per_minute: The most writes of one caller, at once and a minute.
            clock: Seconds since 1970.
        """
        self._path = data / owners.FOLDER / FILE
        self._interval = _MINUTE / per_minute
        self._clock = clock
        self._descriptor = -1
        self._slots: mmap.mmap | None = None

    def count(self, caller: Caller) -> int:
        """Count a write; return 0, or the seconds after which it would be accepted.

        Raises:
            StoreUnusable: The file can't be made.
        """
        key = _key(caller)
        with self._locked() as slots:
            now = self._clock()
            offset, spent = _find(slots, key, now)
            spent = max(spent, now) + self._interval
            if (wait := spent - now - _MINUTE) > _ROUNDING_SECONDS:
                return max(1, math.ceil(wait))
            _SLOT.pack_into(slots, offset, key, spent)
            return 0

    @contextmanager
    def _locked(self) -> Iterator[mmap.mmap]:
        slots = self._slots or self._open()
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield slots
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _open(self) -> mmap.mmap:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
            # On a full disk, a page that is not there yet would end the process when it is written.
            os.posix_fallocate(self._descriptor, 0, _SLOTS * _SLOT.size)
            self._slots = mmap.mmap(self._descriptor, _SLOTS * _SLOT.size)
        except OSError as error:
            raise StoreUnusable(str(self._path), str(error.strerror)) from error
        return self._slots


def _find(slots: mmap.mmap, key: int, now: float) -> tuple[int, float]:
    """Find the slot of a caller, and the time until which its writes are spent."""
    free: int | None = None
    offset = 0
    for probe in range(_PROBES):
        offset = (key + probe) % _SLOTS * _SLOT.size
        found, spent = _SLOT.unpack_from(slots, offset)
        # After the clock went back, or in a damaged file, a time can be too far away.
        is_spent = not now < spent <= now + 2 * _MINUTE
        if found == key:
            return offset, now if is_spent else spent
        if is_spent and free is None:
            free = offset
    if free is not None:
        return free, now
    return offset, float(_SLOT.unpack_from(slots, offset)[1])


def _key(caller: Caller) -> int:
    """Give a token one key, and a caller without a token one for the address."""
    name = f"token {caller.name}"
    if caller.name == ANONYMOUS:
        name = f"address {network_of(caller.address or '')}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
