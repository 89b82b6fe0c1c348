"""The room on a disk that caches leave to what is published."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES: Final = 2**30
"""The free bytes that are enough on any disk."""
SHARE: Final = 20
"""The divisor of a disk's size that gives the free bytes for a small disk."""


def check(place: Path | int) -> None:
    """Check that a cache may write to the disk of a folder, or of an open file.

    Raises:
        OSError: Less than a twentieth of the disk and than a gibibyte is free, or it can't be
            found out.
    """
    disk = shutil.disk_usage(place)
    if disk.free < min(MOST_BYTES, disk.total // SHARE):
        raise OSError(errno.ENOSPC, "what little room is free is left to version files")
