"""What a tracer does to a process at one of its calls: kill it, or have the call fail."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

_NAMES: Final = ("open", "make_folder", "symlink", "link", "rename", "remove", "remove_folder")
_GROW: Final = ("write", "write_several", "open", "make_folder", "symlink", "link")
_ALL: Final = (*_GROW, "rename", "remove", "remove_folder", "truncate", "sync", "sync_all")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault of the disk: which calls fail, and how."""

    error: int
    """The error of the calls; 0 has them write half of their bytes."""
    kinds: tuple[str, ...]
    """The kinds of calls that it concerns."""
    lasts: bool
    """Whether it lasts from its beginning on, or concerns one call."""


DISTURBANCES: Final = {
    "the disk is full": Disturbance(errno.ENOSPC, _GROW, lasts=True),
    "the disk is full for a moment": Disturbance(errno.ENOSPC, _GROW, lasts=False),
    "the disk fails": Disturbance(errno.EIO, _ALL, lasts=True),
    "the disk fails once": Disturbance(errno.EIO, _ALL, lasts=False),
    "the folder becomes read-only": Disturbance(errno.EROFS, (*_GROW, *_NAMES), lasts=True),
    "permission is denied": Disturbance(errno.EACCES, _NAMES, lasts=True),
    "writes are short": Disturbance(0, ("write",), lasts=True),
}


@dataclass(frozen=True, slots=True)
class Interference:
    """A disturbance, or death, that begins at a call."""

    at: int
    """The number of the call, counted from 1."""
    disturbance: Disturbance | None = None
    """None kills the process, with all that it started, before the call."""

    def kills(self, point: int) -> bool:
        """Return whether the process dies at this call."""
        return self.disturbance is None and point == self.at

    def fails(self, point: int, kind: str) -> bool:
        """Return whether this call fails."""
        if self.disturbance is None or kind not in self.disturbance.kinds or point < self.at:
            return False
        return self.disturbance.lasts or point == self.at
