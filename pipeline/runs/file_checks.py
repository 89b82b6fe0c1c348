"""The check of what is stored, in each nightly run: version files in turn, and the catalog.

Compares every version file with its digest within `guard.verify_days`, and each current one with
the numbers that the catalog lists. Reports damage, and repairs only markers of deletions; the run
itself computes damaged current versions again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import StoreDamaged, StoreTooNew
from pipeline.model import versions
from pipeline.model.damage import DamagedFile
from pipeline.runs import lifecycle
from pipeline.storage import catalog as catalogs
from pipeline.storage import deletions, file_digests, version_files
from pipeline.storage.file_digests import UNKNOWN, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.runs.context import RunContext
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.file_digests import Place

_DAY: Final = timedelta(days=1)
_REINDEX: Final = "rebuild the catalog with bufdir reindex"
_CURRENT: Final = "restore it from a backup; nightly runs compute it again if exports have its rows"
_OLDER: Final = "restore it from a backup, or let bufdir reindex set it aside"


@dataclass(frozen=True, slots=True)
class FileChecks:
    """The damage that a nightly run found before it decided anything."""

    damaged: Sequence[DamagedFile]
    current: Sequence[Place]
    """The places of current versions whose files are damaged."""


def check(context: RunContext) -> FileChecks:
    """Check the catalog, the markers of deletions, and the version files that are due.

    Raises:
        StoreDamaged: The structure of the catalog is damaged.
    """
    catalog, now = context.catalog, context.clock()
    catalog.check_integrity(quick=True)
    damaged = [_of_marker(context.data, error) for error in lifecycle.repair_markers(catalog)]
    damaged += _lost_snapshots(catalog)
    entries = {entry.number: entry for entry in catalog.entries().values()}
    due = _due(catalog, entries, now, context.settings.guard.verify_days)
    found = dict(_judge(catalog, due, entries))
    damaged += found.values()
    if damaged != file_digests.damaged(catalog):  # a commit takes as long as the whole check
        file_digests.set_damaged(catalog, damaged)
    current = [place for place, one in found.items() if one.version and _is_current(place, entries)]
    return FileChecks(damaged, current)


def all_damage(catalog: Catalog) -> Sequence[DamagedFile]:
    """Find the damage of all version files, and of what the catalog lists; write nothing."""
    entries = {entry.number: entry for entry in catalog.entries().values()}
    known = file_digests.read(catalog)
    found = [*_lost_snapshots(catalog)]
    found += [one for _, one in _judge(catalog, known, entries, writes=False)]
    return found


def _of_marker(data: Path, error: StoreDamaged) -> DamagedFile:
    name = error.file.removeprefix(f"{data}/")
    return DamagedFile(name, None, None, error.problem, "nothing has to be done")


def _lost_snapshots(catalog: Catalog) -> Iterator[DamagedFile]:
    """Name the snapshots of which the catalog has digests, and neither an entry nor a deletion."""
    for number in file_digests.without_snapshot(catalog):
        id_ = versions.snapshot_id(number)
        problem = f"it has version files of {id_}, and no snapshot {id_}"
        yield DamagedFile(catalogs.FILE, id_, None, problem, _REINDEX)


def _due(
    catalog: Catalog, entries: Mapping[int, Entry], now: datetime, days: int
) -> Mapping[Place, str]:
    """Choose the version files to check now, and record how far that is.

    After an upgrade or a reindex all are due. Files that were damaged are always due.
    """
    reached = file_digests.progress(catalog)
    if reached is None:
        _adopt(catalog, entries)
        return _all(catalog, now)
    since = max(1, ceil((now - reached.checked_at) / _DAY))
    if since >= days:
        return _all(catalog, now) if days > 1 else file_digests.read(catalog)
    limit = ceil(file_digests.count(catalog) * since / days)
    due = file_digests.after(catalog, (reached.number, reached.version), limit)
    _set_progress(catalog, due, now)
    return {**due, **_damaged_before(catalog)}


def _all(catalog: Catalog, now: datetime) -> Mapping[Place, str]:
    due = file_digests.read(catalog)
    _set_progress(catalog, due, now)
    return due


def _set_progress(catalog: Catalog, due: Mapping[Place, str], now: datetime) -> None:
    last = list(due)[-1] if due else (0, 0)
    file_digests.set_progress(catalog, Progress(now, *last))


def _damaged_before(catalog: Catalog) -> Mapping[Place, str]:
    """Choose the files that the last nightly run found damaged, and those of the same snapshots."""
    ids = {one.id for one in file_digests.damaged(catalog) if one.id}
    return file_digests.all_of(catalog, [versions.snapshot_number(id_) for id_ in sorted(ids)])


def _adopt(catalog: Catalog, entries: Mapping[int, Entry]) -> None:
    """Take the files that have no digest yet into the check: those of an earlier release."""
    newest = {
        **deletions.kept_versions(catalog),
        **{number: entry.version for number, entry in entries.items()},
    }
    found = version_files.all_versions(catalog.data)
    places = {(number, version) for number, version in found if version <= newest.get(number, 0)}
    places |= {place for place in newest.items() if place[1]}
    missing = sorted(places - file_digests.read(catalog).keys())
    file_digests.write(catalog, dict.fromkeys(missing, UNKNOWN))


def _judge(
    catalog: Catalog,
    due: Mapping[Place, str],
    entries: Mapping[int, Entry],
    *,
    writes: bool = True,
) -> Iterator[tuple[Place, DamagedFile]]:
    """Yield the damage of these version files, and of what the catalog lists of current ones."""
    adopted: dict[Place, str] = {}
    for place, sha256 in due.items():
        is_current = _is_current(place, entries)
        try:
            content = version_files.content(catalog.data, *place, sha256 or None)
            if sha256 == UNKNOWN:
                version_files.decode(catalog.data, *place, content)
                adopted[place] = file_digests.digest_of(content)
            if is_current and not _agrees(entries[place[0]], content):
                yield place, _misstated(place)
        except StoreDamaged as error:
            yield place, _of_version(place, error, is_current=is_current)
        except StoreTooNew:
            continue  # the run itself fails its snapshot
    if adopted and writes:
        file_digests.write(catalog, adopted)


def _is_current(place: Place, entries: Mapping[int, Entry]) -> bool:
    number, version = place
    return number in entries and entries[number].version == version


def _agrees(entry: Entry, content: bytes) -> bool:
    """Return whether the catalog lists what a file has whose digest is right."""
    return entry.agrees_with(versions.decode_listed(content))


def _misstated(place: Place) -> DamagedFile:
    id_ = versions.snapshot_id(place[0])
    problem = f"what it lists of {id_} is not what version {place[1]} has"
    return DamagedFile(catalogs.FILE, id_, None, problem, _REINDEX)


def _of_version(place: Place, error: StoreDamaged, *, is_current: bool) -> DamagedFile:
    number, version = place
    return DamagedFile(
        version_files.relative_name(number, version),
        versions.snapshot_id(number),
        version,
        error.problem,
        _CURRENT if is_current else _OLDER,
    )


def set_aside_replaced(context: RunContext, checked: FileChecks) -> FileChecks:
    """Set damaged files aside in whose place the run has published a newer version.

    Returns:
        The same damage, with what was done about it.
    """
    current = context.catalog.current_versions()
    replaced = [place for place in checked.current if current.get(place[0], 0) > place[1]]
    if not replaced:
        return checked
    done = {}
    for number, version in replaced:
        aside = version_files.set_aside(context.data, number, version)
        where = f", and the damaged file is {aside} now" if aside else ""
        remedy = f"version {current[number]} was computed in its place{where}"
        done[version_files.relative_name(number, version)] = remedy
    damaged = [
        msgspec.structs.replace(one, version=None, remedy=done[one.file])
        if one.file in done
        else one
        for one in checked.damaged
    ]
    with context.catalog.transaction():
        file_digests.delete(context.catalog, replaced)
        file_digests.set_damaged(context.catalog, damaged)
    return FileChecks(damaged, ())
