"""The export files: their names and fingerprints. Opens none of them.

The name of a file is its path below the exports folder. Files with the same `Fingerprint` have
the same bytes. Names are decoded as UTF-8 in every locale.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportsMissing, ExportsUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FOLDER: Final = "exports"
SUFFIX: Final = ".parquet"
_SKIPPED: Final = (b".", b"_")
"""First characters of names that are no exports."""
_LINK_OUT: Final = "it is a link out of the exports folder; copy its target into the folder"
_ILLEGIBLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The file system's record of a file, which differs after every change to its content.

    Programs can't set the change time back. It reveals a copy with the old size and modification
    time.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    @property
    def values(self) -> tuple[int, int, int, int]:
        """The same as a tuple."""
        return self.size, self.modified_ns, self.changed_ns, self.inode


@dataclass(frozen=True, slots=True)
class File:
    """One file under the exports folder, unopened."""

    name: str
    """Its path below the exports folder, with `/`; the later name wins ties."""
    path: Path
    """Its path for Python, decoded by the locale."""
    fingerprint: Fingerprint
    problem: str | None = None
    """The reason why it may not be opened."""

    @property
    def location(self) -> str:
        """Its path for libraries that take paths as UTF-8."""
        return _decoded(os.fsencode(self.path))


@dataclass(frozen=True, slots=True)
class Listing:
    """All files under the exports folder, by name."""

    files: tuple[File, ...]
    """The export files."""
    others: tuple[str, ...]
    """The names of files with another ending, which are not read."""


def check_folder(data: Path) -> Path:
    """Return the folder with the exports.

    Raises:
        ExportsMissing: It is not there.
    """
    folder = data / FOLDER
    if not folder.is_dir():
        raise ExportsMissing(str(folder))
    return folder


def find(data: Path) -> tuple[File, ...]:
    """Find every export file at any depth, in the order of names.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: It, or a folder below, can't be listed, so that files may be missing.
    """
    return list_files(data).files


def list_files(data: Path) -> Listing:
    """List the files of the exports folder at any depth, in the order of names.

    Skips files and folders whose names begin with `.` or `_`: unfinished copies, and metadata of
    other programs. Follows links that end inside the folder, and visits each folder once. The list
    includes links that end outside and files that can't be examined, so that they are refused by
    name.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: It, or a folder below, can't be listed, so that files may be missing.
    """
    root = os.fsencode(check_folder(data))
    files, others = [], []
    for entry, is_out in _walk(root):
        path, name = Path(os.fsdecode(entry.path)), os.fsdecode(os.path.relpath(entry.path, root))
        if entry.name.lower().endswith(os.fsencode(SUFFIX)) or entry.is_dir():
            files.append(replace(look_at(path, name), problem=_LINK_OUT if is_out else None))
        else:
            others.append(look_at(path, name).name)
    return Listing(tuple(sorted(files, key=attrgetter("name"))), tuple(sorted(others)))


def _walk(root: bytes) -> Iterator[tuple[os.DirEntry[bytes], bool]]:
    """Find each file, and each link to a folder; add whether it is a link that ends outside."""
    inside = os.path.realpath(root)
    # Folders before links to them, so that a file has the same name on every system.
    waiting, seen = [(False, root)], set()
    while waiting:
        is_linked, folder = heappop(waiting)
        if (real := os.path.realpath(folder)) in seen:
            continue
        seen.add(real)
        for entry in _entries(folder):
            is_out = entry.is_symlink() and _leads_out(entry.path, inside)
            if entry.is_dir() and not is_out:
                heappush(waiting, (is_linked or entry.is_symlink(), entry.path))
            else:
                yield entry, is_out


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(_SKIPPED)]
    except OSError as error:
        raise ExportsUnreadable(_decoded(folder), os.strerror(error.errno or 0)) from error


def _leads_out(link: bytes, inside: bytes) -> bool:
    """Return whether a link ends outside this folder, at something that exists."""
    real = os.path.realpath(link)
    return Path(os.fsdecode(real)).exists() and os.path.commonpath([real, inside]) != inside


def look_at(path: Path, name: str) -> File:
    """Take the fingerprint of a file; one that can't be examined has an empty fingerprint.

    Args:
        path: The path of the file.
        name: The name to give it, decoded by the locale as the path is.
    """
    signs = _decoded(os.fsencode(name))
    legible = "".join(sign if is_legible(sign) else ascii(sign)[1:-1] for sign in signs)
    return File(legible, path, _fingerprint(path))


def _fingerprint(path: Path) -> Fingerprint:
    try:
        status = path.stat()
    except OSError:
        return Fingerprint(0, 0, 0, 0)
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def is_legible(name: str) -> bool:
    """Return whether a name can be printed: it is text, and has no control characters."""
    return _ILLEGIBLE.search(name) is None


def changed(files: Iterable[File]) -> tuple[str, ...]:
    """List the names of files whose fingerprint has changed since it was taken."""
    return tuple(file.name for file in files if _fingerprint(file.path) != file.fingerprint)


def os_problem(error: OSError) -> str:
    """Give the reason why the system did not open a file, as the middle of a sentence."""
    return f"it can't be opened ({os.strerror(error.errno or 0)})"
