"""Version files, quarantine files, and the highest id: written atomically, read, swept.

Files are written under temporary names, flushed and renamed; their folders are flushed too. No
file names the current version: the catalog does.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import StoreDamaged, StoreTooNew, StoreUnusable
from pipeline.model import versions
from pipeline.model.states import FileState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from pipeline.model.versions import Version

SNAPSHOTS: Final = "snapshots"
QUARANTINE: Final = "quarantine"
_HIGHEST: Final = "highest-id"
_REMEDY: Final = "restore it from a backup, or compute it again with run --force"
_TEMPORARY: Final = ".tmp-"
_MANY: Final = 16
"""The count of files from which on they are flushed together."""
_VERSIONED: Final = re.compile(r"agg-(\d{3}|[1-9]\d{3,11})/v([1-9]\d*)", re.ASCII)


def version_path(data: Path, number: int, version: int) -> Path:
    """Name the file of a version."""
    return Path(_name(os.fspath(data), number, version))


def _name(data: str, number: int, version: int) -> str:
    return os.path.join(data, SNAPSHOTS, versions.snapshot_id(number), f"v{version}.json")


def quarantine_path(data: Path, number: int, version: int) -> Path:
    """Name the file of the rows that a version left out."""
    return Path(data, QUARANTINE, versions.snapshot_id(number), f"v{version}.jsonl")


def unplaced_path(data: Path) -> Path:
    """Name the file of the rows that the last nightly run could assign to no cell."""
    return data / QUARANTINE / "unplaced.jsonl"


def read(data: Path, number: int, version: int) -> Version:
    """Read a version from its file.

    Raises:
        StoreDamaged: The file is missing, or its content is not what was written.
        StoreTooNew: A newer release wrote it.
    """
    path = version_path(data, number, version)
    try:
        found = versions.decode(path.read_bytes())
    except versions.NewerSchema as error:
        known = versions.SCHEMA_VERSION
        raise StoreTooNew(str(path), error.schema_version, known) from error
    except (OSError, msgspec.DecodeError) as error:
        raise StoreDamaged(str(path), f"{error}; {_REMEDY}") from error
    if (found.id, found.version) != (versions.snapshot_id(number), version):
        problem = f"it is version {found.version} of {found.id}; {_REMEDY}"
        raise StoreDamaged(str(path), problem)
    return found


def all_exist(data: Path, current: Mapping[int, int]) -> bool:
    """Return whether the file of each snapshot's version exists; version 0 has none."""
    folder = os.fspath(data)
    return all(
        os.path.exists(_name(folder, number, version))
        for number, version in current.items()
        if version
    )


def examine(data: Path, number: int, version: int) -> tuple[FileState, Version | None]:
    """Return whether a version can be read, and the version if it can."""
    try:
        return FileState.READABLE, read(data, number, version)
    except StoreDamaged:
        return FileState.UNREADABLE, None
    except StoreTooNew:
        return FileState.NEWER, None


@contextmanager
def _translating_errors() -> Iterator[None]:
    """Raise `StoreUnusable` where the system refuses to write, such as on a full disk."""
    try:
        yield
    except OSError as error:
        path = error.filename2 or error.filename or SNAPSHOTS
        raise StoreUnusable(os.fsdecode(path), str(error.strerror or error)) from error


@_translating_errors()
def write(contents: Mapping[Path, bytes]) -> None:
    """Write all these files so that each is complete or missing, also after a power cut.

    Raises:
        StoreUnusable: They can't be written; none of them is there.
    """
    paths = {os.path.abspath(path): content for path, content in contents.items()}
    temporary = {_temporary_name(path): path for path in paths}
    try:
        for written, path in temporary.items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(written, "wb") as file:
                file.write(paths[path])
        _flush(temporary)
        for written, path in temporary.items():
            os.replace(written, path)
    except BaseException:
        for written in temporary:
            with suppress(OSError):  # the first error is reported; the next run sweeps
                Path(written).unlink(missing_ok=True)
        raise
    _flush(_folders(paths))


def _temporary_name(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f"{_TEMPORARY}{os.getpid()}-{name}")


def _folders(paths: Iterable[str]) -> set[str]:
    """List the folders of the files, and the parents of those folders, which may be new."""
    own = {os.path.dirname(path) for path in paths}
    return own | {os.path.dirname(folder) for folder in own}


def _flush(paths: Collection[str]) -> None:
    """Wait until all these files or folders are on disk."""
    if len(paths) < _MANY:
        for path in paths:
            with _opened(path) as descriptor:
                os.fsync(descriptor)
        return
    # To flush a whole file system once takes less time than to flush two small files.
    for path in {os.stat(path).st_dev: path for path in paths}.values():
        with _opened(path) as descriptor:
            _flush_file_system(descriptor)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)


def _flush_file_system(descriptor: int) -> None:
    """Call syncfs(2), which Python does not offer; unlike sync(2) it reports failures."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def remove(data: Path, number: int) -> None:
    """Remove all files of a snapshot."""
    for folder in (SNAPSHOTS, QUARANTINE):
        shutil.rmtree(data / folder / versions.snapshot_id(number), ignore_errors=True)


@_translating_errors()
def remove_quarantine(data: Path, number: int, version: int) -> None:
    """Remove the rows that an older version left out; the current one has its own file.

    Raises:
        StoreUnusable: The file can't be removed.
    """
    quarantine_path(data, number, version).unlink(missing_ok=True)


def all_versions(data: Path) -> Iterator[tuple[int, int]]:
    """Yield snapshot number and version of every version file, in order."""
    yield from sorted(_ours((data / SNAPSHOTS).glob("agg-*/v*.json")))


def _ours(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Yield snapshot number and version of each file; files of other programs are skipped."""
    for path in paths:
        form = _VERSIONED.fullmatch(f"{path.parent.name}/{path.stem}")
        if form is not None:
            yield int(form[1]), int(form[2])


@_translating_errors()
def sweep_snapshot(data: Path, number: int, current: int) -> None:
    """Remove the versions of one snapshot that a run wrote and did not publish.

    Raises:
        StoreUnusable: They can't be removed.
    """
    for known, version in _ours(version_path(data, number, 1).parent.glob("v*.json")):
        if version > current:
            version_path(data, known, version).unlink(missing_ok=True)
            quarantine_path(data, known, version).unlink(missing_ok=True)


@_translating_errors()
def sweep(data: Path, current: Mapping[int, int]) -> int:
    """Remove what no reader can reach: temporary files and unpublished versions.

    Args:
        data: The data folder.
        current: The current version of each snapshot; 0 where there is none yet.

    Returns:
        The count of removed files.

    Raises:
        StoreUnusable: They can't be removed.
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
    # A path is made only of files that must go: there are thousands of others.
    for parent, _, names in os.walk(folder):
        snapshot_ = parent.rpartition(os.sep)[2]
        for name in names:
            found = _VERSIONED.fullmatch(f"{snapshot_}/{name.rpartition('.')[0]}")
            if name.startswith(_TEMPORARY) or (
                found is not None and is_unreachable(int(found[1]), int(found[2]))
            ):
                yield Path(parent, name)


def highest_number(data: Path) -> int:
    """Read the highest snapshot number that was ever given out; 0 where none was.

    It has a file of its own, so that no id is given out again after the catalog was lost.
    """
    try:
        noted = int((data / SNAPSHOTS / _HIGHEST).read_text())
    except (OSError, ValueError):
        noted = 0
    return max([noted, *(number for number, _ in all_versions(data))])


def note_highest_number(data: Path, number: int) -> None:
    """Record that all numbers up to this one are taken."""
    write({data / SNAPSHOTS / _HIGHEST: f"{number}\n".encode()})
