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
    "audit.jsonl",
    "snapshots",
    "quarantine",
    "cache",
    "crashes",
    ".locks",
)
"""What is ours in a data folder; files in a folder are as safe as the folder."""
_KEY: Final = "cache.key"
_MASK_OF_KEYS: Final = 0o077


def restrict_new_files() -> None:
    """Take `_MASK` from all that this process and its children create; a tighter mask stays."""
    os.umask(os.umask(_MASK) | _MASK)


def too_wide(data: Path) -> list[Path]:
    """List what of ours others may read or write, and keys that the group may."""
    found = (data / name for name in (*_OURS, _KEY))
    return [path for path in found if _excess(path)]


def _excess(path: Path) -> int:
    """Give the permissions that a file or folder should not have."""
    with suppress(OSError):
        if not path.is_symlink():
            mask = _MASK_OF_KEYS if path.name == _KEY else _MASK
            return stat.S_IMODE(path.lstat().st_mode) & mask
    return 0


def restrict_existing(data: Path) -> None:
    """Take `_MASK` from what an earlier release, or another program, has left wider.

    What belongs to another user stays as it is: only that user may change it.
    """
    for path in too_wide(data):
        with suppress(OSError):
            path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~_excess(path))
