"""Marker files in the folders of deleted snapshots, so that a lost catalog loses no deletion.

The catalog decides what is deleted. A marker is written before the transaction of its deletion
commits, and removed after that of the undeletion. After a power cut in between, `repair` makes both
agree.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import StoreDamaged
from pipeline.model import deletions, versions
from pipeline.storage import durable_files, version_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from pipeline.model.deletions import Deletion

FILE: Final = "deleted.json"


def path_of(data: Path, number: int) -> Path:
    """Name the marker of a snapshot."""
    return version_files.folder_of(data, number) / FILE


def write(data: Path, deletion: Deletion) -> None:
    """Write a marker so that it is complete or missing, also after a power cut."""
    number = versions.snapshot_number(deletion.id)
    content = {path_of(data, number): deletions.encode(deletion)}
    durable_files.write(content, temporaries=data / version_files.SNAPSHOTS)


def remove(data: Path, number: int) -> None:
    """Remove a marker, and its folder where nothing else is in it."""
    durable_files.remove([path_of(data, number)])


def numbers(data: Path) -> Iterator[int]:
    """Yield the numbers of all snapshots that have a marker, in order."""
    yield from sorted(version_files.numbers_with(data, FILE))


def read(data: Path, number: int) -> Deletion:
    """Read the marker of a snapshot.

    Raises:
        StoreDamaged: It is missing, or its content is not what was written.
    """
    path = path_of(data, number)
    try:
        found = deletions.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise StoreDamaged(str(path), str(error)) from error
    if found.id != versions.snapshot_id(number):
        raise StoreDamaged(str(path), f"it is of {found.id}")
    return found


def repair(
    data: Path, deleted: Collection[Deletion], current: Collection[int]
) -> Sequence[StoreDamaged]:
    """Write each marker that is missing or damaged; remove those of snapshots that are not deleted.

    Args:
        data: The data folder.
        deleted: The deletions that the catalog has.
        current: The numbers of the snapshots that the catalog has.

    Returns:
        The damage that was found and repaired; a missing marker is none.
    """
    damage = []
    for deletion in deleted:
        number = versions.snapshot_number(deletion.id)
        path = path_of(data, number)
        if not path.exists():
            write(data, deletion)
        elif path.read_bytes() != deletions.encode(deletion):
            damage.append(StoreDamaged(str(path), "it was written again from the catalog"))
            write(data, deletion)
    _sweep(data)
    folder = os.fspath(data / version_files.SNAPSHOTS)
    for number in current:  # thousands: texts take a tenth of Path's time
        if os.access(f"{folder}/{versions.snapshot_id(number)}/{FILE}", os.F_OK):
            remove(data, number)
    return damage


def _sweep(data: Path) -> None:
    """Remove markers that a killed process has not written to their end."""
    for path in (data / version_files.SNAPSHOTS).glob(f"{durable_files.TEMPORARY}*-{FILE}"):
        path.unlink(missing_ok=True)
