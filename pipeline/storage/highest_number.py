"""The highest snapshot number that was ever given out, in a file of its own.

So no id is given out again after the catalog was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.storage import durable_files, version_files

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "highest-id"


def read(data: Path) -> int:
    """Read the highest number; 0 where none was given out."""
    try:
        noted = int((data / version_files.SNAPSHOTS / _FILE).read_text())
    except (OSError, ValueError):
        noted = 0
    return max([noted, *version_files.numbers_with(data, "*.json")])


def write(data: Path, number: int) -> None:
    """Record that all numbers up to this one are taken."""
    durable_files.write({data / version_files.SNAPSHOTS / _FILE: f"{number}\n".encode()})
