"""Reindex: rebuilds the catalog from the snapshot files, after it was lost, damaged or restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import StoreDamaged
from pipeline.model import checksummed, versions
from pipeline.model.deletions import Deletion
from pipeline.storage import deletion_markers, file_digests, rebuild, version_files
from pipeline.storage.rebuild import CatalogContent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.versions import Version
    from pipeline.storage.file_digests import Place


@dataclass(frozen=True, slots=True)
class Reindexed:
    """The result of rebuilding the catalog."""

    snapshots: int
    damaged: Sequence[str]
    """Version files that can't be read; an older version of the snapshot is current, if any."""
    set_aside: str | None
    """The new path of the old catalog, if it could not be repaired in place."""
    lost_tokens: Sequence[str] = ()
    """The tokens that were lost with the old catalog, and are revoked now."""
    revoked_tokens: Sequence[str] = ()
    """The tokens that the catalog took for valid, and the audit log revokes."""


@dataclass(slots=True)
class _Found:
    """The content of all snapshot folders."""

    newest: dict[int, Version] = field(default_factory=dict)
    """The newest readable version of each snapshot, deleted ones too."""
    deleted: list[Deletion] = field(default_factory=list)
    digests: dict[Place, str] = field(default_factory=dict)
    """The digest of each readable version file."""
    damaged: list[str] = field(default_factory=list)
    unusable: list[Place] = field(default_factory=list)
    """The version files whose content is none of theirs."""


def run(data: Path, now: datetime) -> Reindexed:
    """Rebuild the catalog: the newest readable version of each snapshot is current.

    What is deleted by its marker stays deleted. Damaged version files are given other names.

    Raises:
        Busy: A nightly run is going on.
    """
    found = _Found()
    _read_versions(data, found)
    _read_markers(data, found, now)
    deleted = {versions.snapshot_number(one.id) for one in found.deleted}
    current = _current(found, deleted)
    numbers = deleted | {versions.snapshot_number(one.id) for one in current}
    digests = {place: one for place, one in found.digests.items() if place[0] in numbers}
    rebuilt = rebuild.rebuild(data, CatalogContent(current, found.deleted, digests), now)
    for place in found.unusable:
        version_files.set_aside(data, *place)
    return Reindexed(
        len(current),
        found.damaged,
        rebuilt.set_aside,
        rebuilt.tokens.lost_names,
        rebuilt.tokens.revoked_names,
    )


def _read_versions(data: Path, found: _Found) -> None:
    known = rebuild.readable_digests(data)
    for place in version_files.all_versions(data):
        try:
            content = version_files.content(data, *place, None)
        except StoreDamaged as error:
            found.damaged.append(str(error))
            continue
        try:
            found.newest[place[0]] = _decode(data, place, content, known.get(place))
            found.digests[place] = file_digests.digest_of(content)
        except StoreDamaged as error:
            found.damaged.append(f"{error}; it is set aside under another name")
            found.unusable.append(place)


def _decode(data: Path, place: Place, content: bytes, sha256: str | None) -> Version:
    """Read a version; a file without a checksum of its own must have its digest in the catalog."""
    version = version_files.decode(data, *place, content)
    if sha256 and checksummed.body(content) is None:
        version_files.content(data, *place, sha256)
    return version


def _read_markers(data: Path, found: _Found, now: datetime) -> None:
    """Find what is deleted; of a damaged marker, the snapshot's cell is known by its version."""
    for number in deletion_markers.numbers(data):
        try:
            found.deleted.append(deletion_markers.read(data, number))
        except StoreDamaged as error:
            version = found.newest.get(number)
            id_ = versions.snapshot_id(number)
            if version is not None:
                found.deleted.append(_deletion_of(version, now))
            found.damaged.append(f"{error}; {id_} stays deleted, as if that had been done now")


def _deletion_of(version: Version, now: datetime) -> Deletion:
    return Deletion(
        version.id,
        version.org_id,
        version.reporting_period_id,
        version.version,
        version.created_at,
        now.replace(microsecond=0),
        "unknown",
    )


def _current(found: _Found, deleted: Collection[int]) -> list[Version]:
    """Choose the current version of each cell; report older snapshots of the same cell."""
    of_cell: dict[tuple[str, str], Version] = {}
    for number, newer in found.newest.items():  # by id, so that the newer one comes later
        if number in deleted:
            continue
        cell = (newer.org_id, newer.reporting_period_id)
        older = of_cell.get(cell)
        if older is not None:
            found.damaged.append(
                f"{older.id} is of {older.org_id} in {older.reporting_period_id} as {newer.id} "
                f"is, which is newer and current; the next nightly run deletes {older.id}"
            )
        of_cell[cell] = newer
    return list(of_cell.values())
