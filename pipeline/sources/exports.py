"""The export files: which there are, and whether one has changed. Opens none of them.

A file is known by its path below the exports folder; two looks with the same `Fingerprint` saw
the same bytes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportsMissing, ExportsUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER: Final = "exports"
SUFFIX: Final = ".parquet"
_ILLEGIBLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


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

    Links are followed. A file that can't be looked at is among them, to be refused by its name.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: It, or a folder below, can't be listed, so that files may be missing.
    """
    folder = check_folder(data)
    files = (look_at(path, path.relative_to(folder).as_posix()) for path in _walk(folder))
    return tuple(sorted(files, key=lambda file: file.name))


def _walk(folder: Path) -> Iterator[Path]:
    seen = set()
    for place, folders, names in os.walk(folder, onerror=_refuse_folder, followlinks=True):
        if os.path.realpath(place) in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(SUFFIX) and not name.startswith("."):
                yield Path(place, name)


def _refuse_folder(error: OSError) -> None:
    raise ExportsUnreadable(str(error.filename), os.strerror(error.errno or 0)) from error


def look_at(path: Path, name: str) -> File:
    """The file as it is at this moment; one that can't be looked at has an empty fingerprint."""
    name = "".join(sign if is_legible(sign) else ascii(sign)[1:-1] for sign in name)
    try:
        status = path.stat()
    except OSError:
        return File(name, path, Fingerprint(0, 0, 0, 0))
    return File(
        name,
        path,
        Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino),
    )


def is_legible(name: str) -> bool:
    """Whether a name can be written down: no bytes that are no text, and none that steer a line."""
    return _ILLEGIBLE.search(name) is None


def changed(files: Iterable[File]) -> tuple[str, ...]:
    """The names of those that are no longer what they were when they were looked at."""
    return tuple(file.name for file in files if look_at(file.path, file.name) != file)


def os_problem(error: OSError) -> str:
    """Why the system would not open a file, as the middle of a sentence."""
    return f"it can't be opened ({os.strerror(error.errno or 0)})"
