"""Who may read what this program writes: its user, and the group, which may only read.

Files are 0640 or tighter, folders 0750 or tighter, keys 0600, whatever the mask of the caller.
Exports and settings are not ours, so they keep their permissions.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_MASK: Final = 0o027
"""The permissions that no file has: writing for the group, everything for others."""
_OURS: Final = (
    "catalog.sqlite",
    "catalog.sqlite-journal",
    "snapshots",
    "quarantine",
    "cache",
    "crashes",
    ".locks",
)
"""What is ours in a data folder; files in a folder are as safe as the folder."""


def restrict_new_files() -> None:
    """Take `_MASK` from all that this process and its children create; a tighter mask stays."""
    os.umask(os.umask(_MASK) | _MASK)


def restrict_existing(data: Path) -> None:
    """Take `_MASK` from what an earlier release, or another program, has left wider.

    What belongs to another user stays as it is: only that user may change it.
    """
    for name in _OURS:
        with suppress(OSError):
            path = data / name
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & _MASK and not path.is_symlink():
                path.chmod(mode & ~_MASK)
