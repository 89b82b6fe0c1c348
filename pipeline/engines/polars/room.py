"""The room on a disk that caches leave to what is published."""

from __future__ import annotations

import errno
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LEAST_BYTES: Final = 2**30
"""The free bytes below which no cache is written."""


def check(place: Path | int) -> None:
    """Check that a cache may write to the disk of a folder, or of an open file.

    Raises:
        OSError: Less than a gibibyte is free there, or it can't be found out.
    """
    if shutil.disk_usage(place).free < LEAST_BYTES:
        raise OSError(errno.ENOSPC, "less than 1 GiB is free, which is left to version files")
