"""Snapshot files and what lies beside them: written whole or not at all, read, swept.

Files are written under temporary names, flushed and renamed; their folders are flushed too. No
file says which version is current: the catalog does.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import StoreDamaged
from pipeline.model import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pipeline.model.versions import Version

SNAPSHOTS: Final = "snapshots"
QUARANTINE: Final = "quarantine"
_HIGHEST: Final = "highest-id"
_MEND: Final = "restore it from a backup, or compute it anew with run --force"
_TEMPORARY: Final = ".tmp-"
_MANY: Final = 16
"""From so many files on, they are flushed together."""
_VERSIONED: Final = re.compile(r"agg-(\d{3}|[1-9]\d{3,11})/v([1-9]\d*)", re.ASCII)


def version_path(data: Path, number: int, version: int) -> Path:
    """Where a version lies."""
    return Path(data, SNAPSHOTS, versions.snapshot_id(number), f"v{version}.json")


def quarantine_path(data: Path, number: int, version: int) -> Path:
    """Where the rows lie that a version left out."""
    return Path(data, QUARANTINE, versions.snapshot_id(number), f"v{version}.jsonl")


def unplaced_path(data: Path) -> Path:
    """Where the rows lie that the last night could lay to no cell."""
    return data / QUARANTINE / "unplaced.jsonl"


def read(data: Path, number: int, version: int) -> Version:
    """A version, from its file.

    Raises:
        StoreDamaged: The file is gone, or is not what was written.
    """
    path = version_path(data, number, version)
    try:
        found = versions.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise StoreDamaged(str(path), f"{error}; {_MEND}") from error
    if (found.id, found.version) != (versions.snapshot_id(number), version):
        problem = f"it is version {found.version} of {found.id}; {_MEND}"
        raise StoreDamaged(str(path), problem)
    return found


def is_readable(data: Path, number: int, version: int) -> bool:
    """Whether a version is there and can be read."""
    try:
        read(data, number, version)
    except StoreDamaged:
        return False
    return True


def write(contents: Mapping[Path, bytes]) -> None:
    """Put all these files where they belong, whole, so that they outlast a power cut."""
    temporary = {
        path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}"): path for path in contents
    }
    try:
        for written, path in temporary.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            written.write_bytes(contents[path])
        _flush(temporary)
        for written, path in temporary.items():
            written.replace(path)
    except BaseException:
        for written in temporary:
            written.unlink(missing_ok=True)
        raise
    _flush(_folders(contents))


def _folders(paths: Iterable[Path]) -> set[Path]:
    """The folders that hold the files, and those that hold the folders, which may be new."""
    own = {path.parent for path in paths}
    return own | {folder.parent for folder in own}


def _flush(paths: Collection[Path]) -> None:
    """Wait until all these files or folders are on disk."""
    if len(paths) < _MANY:
        for path in paths:
            with _opened(path) as descriptor:
                os.fsync(descriptor)
        return
    # One flush of a whole file system takes less time than two small ones of files.
    for path in {path.stat().st_dev: path for path in paths}.values():
        with _opened(path) as descriptor:
            _flush_file_system(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flush_file_system(descriptor: int) -> None:
    """As syncfs(2), which Python does not offer; unlike sync(2) it tells of failures."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def remove(data: Path, number: int) -> None:
    """Take away all files of a snapshot."""
    for folder in (SNAPSHOTS, QUARANTINE):
        shutil.rmtree(data / folder / versions.snapshot_id(number), ignore_errors=True)


def remove_quarantine(data: Path, number: int, version: int) -> None:
    """Take away the rows that an older version left out; the current one has its own."""
    quarantine_path(data, number, version).unlink(missing_ok=True)


def all_versions(data: Path) -> Iterator[tuple[int, int]]:
    """Every snapshot's number and version that has a file, in order."""
    yield from sorted(_ours((data / SNAPSHOTS).glob("agg-*/v*.json")))


def _ours(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """The snapshot's number and version of each file; what others put there is passed over."""
    for path in paths:
        form = _VERSIONED.fullmatch(f"{path.parent.name}/{path.stem}")
        if form is not None:
            yield int(form[1]), int(form[2])


def sweep_snapshot(data: Path, number: int, current: int) -> None:
    """Take away the versions of one snapshot that a run left behind before it published them."""
    for known, version in _ours(version_path(data, number, 1).parent.glob("v*.json")):
        if version > current:
            version_path(data, known, version).unlink(missing_ok=True)
            quarantine_path(data, known, version).unlink(missing_ok=True)


def sweep(data: Path, current: Mapping[int, int]) -> int:
    """Take away what no reader can reach: half-written files, unpublished versions.

    Args:
        data: The data folder.
        current: The current version of each snapshot; 0 where there is none yet.

    Returns:
        How many files were taken away.
    """
    orphans = [
        *_orphans(data / SNAPSHOTS, lambda number, version: version > current.get(number, 0)),
        *_orphans(data / QUARANTINE, lambda number, version: version != current.get(number, 0)),
    ]
    for path in orphans:
        path.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    return len(orphans)


def _orphans(folder: Path, is_unreachable: Callable[[int, int], bool]) -> Iterator[Path]:
    # Of thousands of files only those that must go are worth a path.
    for place, _, names in os.walk(folder):
        snapshot_ = place.rpartition(os.sep)[2]
        for name in names:
            found = _VERSIONED.fullmatch(f"{snapshot_}/{name.rpartition('.')[0]}")
            if name.startswith(_TEMPORARY) or (
                found is not None and is_unreachable(int(found[1]), int(found[2]))
            ):
                yield Path(place, name)


def highest_number(data: Path) -> int:
    """The highest snapshot number that was ever given out; 0 where none was.

    Kept beside the snapshots so that no id comes back after the catalog was lost.
    """
    try:
        noted = int((data / SNAPSHOTS / _HIGHEST).read_text())
    except (OSError, ValueError):
        noted = 0
    return max([noted, *(number for number, _ in all_versions(data))])


def note_highest_number(data: Path, number: int) -> None:
    """Remember that all numbers up to this one are taken."""
    write({data / SNAPSHOTS / _HIGHEST: f"{number}\n".encode()})
