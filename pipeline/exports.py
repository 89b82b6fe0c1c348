"""The export files: which there are, and whether one has changed. Opens none of them.

A file is known by its path below the exports folder; two looks with the same `Fingerprint` saw
the same bytes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportRefused, ExportsMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FOLDER: Final = "exports"
SUFFIX: Final = ".parquet"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the file system says of a file; it differs after every change to its content.

    The change time can't be set back, so a copy that keeps size and modification time is seen.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class File:
    """One file under the exports folder, unopened."""

    name: str
    """Its path below the exports folder, with `/`; the later name wins ties."""
    path: Path
    fingerprint: Fingerprint


def check_folder(data: Path) -> Path:
    """The folder that holds the exports.

    Raises:
        ExportsMissing: It is not there.
    """
    folder = data / FOLDER
    if not folder.is_dir():
        raise ExportsMissing(str(folder))
    return folder


def find(data: Path) -> tuple[File, ...]:
    """Every export file at any depth, by name; hidden files are copies still being written.

    Raises:
        ExportsMissing: There is no exports folder.
    """
    folder = check_folder(data)
    paths = (
        path
        for path in folder.rglob(f"*{SUFFIX}")
        if path.is_file() and not _hidden(path.relative_to(folder).parts)
    )
    files = (look_at(path, path.relative_to(folder).as_posix()) for path in paths)
    return tuple(sorted(files, key=lambda file: file.name))


def look_at(path: Path, name: str) -> File:
    """The file as it is at this moment.

    Raises:
        ExportRefused: It is gone or can't be looked at.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ExportRefused(name, os_problem(error)) from error
    return File(
        name,
        path,
        Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino),
    )


def changed(files: Iterable[File]) -> tuple[str, ...]:
    """The names of those that are no longer what they were when they were looked at."""
    return tuple(file.name for file in files if _differs(file))


def _differs(file: File) -> bool:
    try:
        return look_at(file.path, file.name).fingerprint != file.fingerprint
    except ExportRefused:
        return True


def os_problem(error: OSError) -> str:
    """Why the system would not open a file, as the middle of a sentence."""
    return f"it can't be opened ({os.strerror(error.errno or 0)})"


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)
