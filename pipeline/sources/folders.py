"""Exports in a folder of this computer: one on its own disk, or one that is mounted.

Names are decoded as UTF-8 in every locale.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportsMissing, ExportsUnreadable
from pipeline.sources.exports import SKIPPED, File, Fingerprint, legible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SKIPPED: Final = tuple(os.fsencode(sign) for sign in SKIPPED)
_LINK_OUT: Final = "it is a link out of the exports folder; copy its target into the folder"
_NO_FILE: Final = "it is no regular file; put a file in its place"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with exports at any depth."""

    path: Path

    def check(self) -> None:
        """See that the folder is there.

        Raises:
            ExportsMissing: It is not.
        """
        if not self.path.is_dir():
            raise ExportsMissing(str(self.path))

    def list_files(self) -> tuple[File, ...]:
        """List the files of the folder at any depth, in the order of names.

        Skips files and folders whose names begin with `.` or `_`: unfinished copies, and metadata
        of other programs. Follows links that end inside the folder, and visits each folder once.
        The list includes links that end outside and files that can't be examined, so that they are
        refused by name.

        Raises:
            ExportsMissing: There is no such folder.
            ExportsUnreadable: It, or a folder below, can't be listed, so that files may be missing.
        """
        self.check()
        root = os.fsencode(self.path)
        files = []
        for entry, is_out in _walk(root):
            path = Path(os.fsdecode(entry.path))
            file = look_at(path, os.fsdecode(os.path.relpath(entry.path, root)))
            if is_out:
                file = replace(file, problem=_LINK_OUT, is_folder=_is_folder(entry))
            files.append(file)
        return tuple(sorted(files, key=attrgetter("name")))

    def changed(self, files: Iterable[File]) -> tuple[str, ...]:
        """List the names of files whose fingerprint has changed since it was taken."""
        return _changed(files)


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """Files that are named one by one, wherever they are on this computer."""

    paths: Sequence[Path]

    def check(self) -> None:
        """Do nothing: a file that is missing is refused by its name."""

    def list_files(self) -> tuple[File, ...]:
        """List the files in the order of their paths; one that is named twice is listed once."""
        files = [look_at(Path(path), path) for path in {one.as_posix() for one in self.paths}]
        return tuple(sorted(files, key=attrgetter("name")))

    def changed(self, files: Iterable[File]) -> tuple[str, ...]:
        """List the names of files whose fingerprint has changed since it was taken."""
        return _changed(files)


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
            if not is_out and _is_folder(entry):
                heappush(waiting, (is_linked or entry.is_symlink(), entry.path))
            else:
                yield entry, is_out


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    """Return whether an entry is a folder or a link to one; a link that ends nowhere is none."""
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


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
    status = _status(path)
    is_special = status is not None and not stat.S_ISREG(status.st_mode)
    return File(
        legible(_decoded(os.fsencode(name))),
        _decoded(os.fsencode(path)),
        _fingerprint(status),
        _NO_FILE if is_special else None,
    )


def _changed(files: Iterable[File]) -> tuple[str, ...]:
    return tuple(
        file.name
        for file in files
        if _fingerprint(_status(_path(file.location))) != file.fingerprint
    )


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _fingerprint(status: os.stat_result | None) -> Fingerprint:
    if status is None:
        return Fingerprint(0, 0)
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _path(location: str) -> Path:
    return Path(os.fsdecode(location.encode("utf-8", "surrogateescape")))
