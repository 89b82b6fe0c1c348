"""Version files and quarantine files: named, read, compared, swept.

No file names the current version: the catalog does. It has the digest of each file too.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import StoreDamaged, StoreTooNew
from pipeline.model import versions
from pipeline.model.states import FileState
from pipeline.storage import durable_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pipeline.model.versions import Version

SNAPSHOTS: Final = "snapshots"
QUARANTINE: Final = "quarantine"
_BLOCK: Final = 1 << 20
_REMEDY: Final = "restore it from a backup, or compute it again with run --force"
_VERSIONED: Final = re.compile(r"agg-(\d{3}|[1-9]\d{3,11})/v([1-9]\d*)", re.ASCII)


def version_path(data: Path, number: int, version: int) -> Path:
    """Name the file of a version."""
    return Path(_name(os.fspath(data), number, version))


def _name(data: str, number: int, version: int) -> str:
    return os.path.join(data, SNAPSHOTS, versions.snapshot_id(number), f"v{version}.json")


def folder_of(data: Path, number: int) -> Path:
    """Name the folder of a snapshot's version files."""
    return data / SNAPSHOTS / versions.snapshot_id(number)


def numbers_with(data: Path, name: str) -> Iterator[int]:
    """Yield the numbers of snapshots with a file of such a name, once for each file."""
    for path in (data / SNAPSHOTS).glob(f"agg-*/{name}"):
        form = _VERSIONED.fullmatch(f"{path.parent.name}/v1")
        if form is not None:
            yield int(form[1])


def relative_name(number: int, version: int) -> str:
    """Name the file of a version below the data folder."""
    return f"{SNAPSHOTS}/{versions.snapshot_id(number)}/v{version}.json"


def quarantine_path(data: Path, number: int, version: int) -> Path:
    """Name the file of the rows that a version left out."""
    return Path(data, QUARANTINE, versions.snapshot_id(number), f"v{version}.jsonl")


def unplaced_path(data: Path) -> Path:
    """Name the file of the rows that the last nightly run could assign to no cell."""
    return data / QUARANTINE / "unplaced.jsonl"


def read(data: Path, number: int, version: int, sha256: str | None = None) -> Version:
    """Read a version from its file.

    Args:
        data: The data folder.
        number: The number of the snapshot.
        version: The number of the version.
        sha256: The digest of the file in the catalog; None where it has none.

    Raises:
        StoreDamaged: The file is missing, or its content is not what was written.
        StoreTooNew: A newer release wrote it.
    """
    name = _name(os.fspath(data), number, version)
    try:
        found = content(data, number, version, None)
        decoded = decode(data, number, version, found)  # first, as it names a newer release
        _check_digest(name, found, sha256)
    except StoreDamaged as error:
        raise StoreDamaged(error.file, f"{error.problem}; {_REMEDY}") from error
    return decoded


def content(data: Path, number: int, version: int, sha256: str | None) -> bytes:
    """Read the bytes of a version file, and compare them with their digest.

    Raises:
        StoreDamaged: The file is missing, or has another digest.
    """
    name = _name(os.fspath(data), number, version)
    try:
        found = _bytes(name)
    except FileNotFoundError as error:
        raise StoreDamaged(name, "it is missing") from error
    except OSError as error:
        raise StoreDamaged(name, str(error)) from error
    _check_digest(name, found, sha256)
    return found


def _bytes(name: str) -> bytes:
    """Read a file by system calls: for thousands of small ones that takes a third of the time."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(descriptor, _BLOCK), b""))
    finally:
        os.close(descriptor)


def _check_digest(name: str, found: bytes, sha256: str | None) -> None:
    if sha256 is not None and hashlib.sha256(found).hexdigest() != sha256:
        raise StoreDamaged(name, "its content is not what was published")


def decode(data: Path, number: int, version: int, content_: bytes) -> Version:
    """Read a version from the bytes of its file.

    Raises:
        StoreDamaged: They are no version, or another one.
        StoreTooNew: A newer release wrote them.
    """
    name = _name(os.fspath(data), number, version)
    try:
        found = versions.decode(content_)
    except versions.NewerSchema as error:
        raise StoreTooNew(name, error.schema_version, versions.SCHEMA_VERSION) from error
    except msgspec.DecodeError as error:
        raise StoreDamaged(name, str(error)) from error
    if (found.id, found.version) != (versions.snapshot_id(number), version):
        raise StoreDamaged(name, f"it is version {found.version} of {found.id}")
    return found


def all_exist(data: Path, current: Mapping[int, int]) -> bool:
    """Return whether the file of each snapshot's version exists; version 0 has none."""
    folder = os.fspath(data)
    return all(
        os.path.exists(_name(folder, number, version))
        for number, version in current.items()
        if version
    )


def examine(
    data: Path, number: int, version: int, sha256: str | None
) -> tuple[FileState, Version | None]:
    """Return whether a version can be read and has its digest, and the version if it can."""
    try:
        return FileState.READABLE, read(data, number, version, sha256)
    except StoreDamaged:
        return FileState.UNREADABLE, None
    except StoreTooNew:
        return FileState.NEWER, None


def remove_versions(data: Path, number: int) -> None:
    """Remove all versions of a snapshot, and the rows that they left out."""
    shutil.rmtree(data / QUARANTINE / versions.snapshot_id(number), ignore_errors=True)
    for path in folder_of(data, number).glob("v*.json*"):
        path.unlink(missing_ok=True)


def set_aside(data: Path, number: int, version: int) -> str | None:
    """Give a damaged version file another name, which no reader looks for; return it.

    Returns:
        The new name below the data folder; None where the file is missing.
    """
    path = version_path(data, number, version)
    names = (f"{path.name}.damaged{suffix}" for suffix in chain([""], (f".{n}" for n in count(2))))
    aside = next(other for other in map(path.with_name, names) if not other.exists())
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    durable_files.flush([str(path.parent)])
    return aside.relative_to(data).as_posix()


@durable_files.translating_errors()
def remove_quarantine(data: Path, replaced: Iterable[tuple[int, int]]) -> None:
    """Remove the rows that older versions left out; the current ones have their own files.

    They are flushed, so that a power cut brings none back.

    Args:
        data: The data folder.
        replaced: The numbers of the snapshots, and of the versions.

    Raises:
        StoreUnusable: A file can't be removed.
    """
    folders = set()
    for place in replaced:
        path = quarantine_path(data, *place)
        with suppress(FileNotFoundError):
            path.unlink()
            folders.add(str(path.parent))
    durable_files.flush(folders)


def all_versions(data: Path) -> Iterator[tuple[int, int]]:
    """Yield snapshot number and version of every version file, in order."""
    yield from sorted(_ours((data / SNAPSHOTS).glob("agg-*/v*.json")))


def _ours(paths: Iterable[Path]) -> Iterator[tuple[int, int]]:
    """Yield snapshot number and version of each file; files of other programs are skipped."""
    for path in paths:
        form = _VERSIONED.fullmatch(f"{path.parent.name}/{path.stem}")
        if form is not None:
            yield int(form[1]), int(form[2])


@durable_files.translating_errors()
def sweep_snapshot(data: Path, number: int, current: int) -> None:
    """Remove the versions of one snapshot that a run wrote and did not publish.

    Raises:
        StoreUnusable: They can't be removed.
    """
    for known, version in _ours(version_path(data, number, 1).parent.glob("v*.json")):
        if version > current:
            version_path(data, known, version).unlink(missing_ok=True)
            quarantine_path(data, known, version).unlink(missing_ok=True)


@durable_files.translating_errors()
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
            if name.startswith(durable_files.TEMPORARY) or (
                found is not None and is_unreachable(int(found[1]), int(found[2]))
            ):
                yield Path(parent, name)
