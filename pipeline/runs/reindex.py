"""Reindex: rebuilds the catalog from the snapshot files, after it was lost, damaged or restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import StoreDamaged
from pipeline.storage import rebuild, version_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.versions import Version


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


def run(data: Path, now: datetime) -> Reindexed:
    """Rebuild the catalog: the newest readable version of each snapshot is current.

    Raises:
        Busy: A nightly run is going on.
    """
    newest, damaged = _newest(data)
    rebuilt = rebuild.rebuild(data, newest, now)
    return Reindexed(len(newest), damaged, rebuilt.set_aside, rebuilt.lost_tokens)


def _newest(data: Path) -> tuple[list[Version], list[str]]:
    """Find the newest readable version of each cell, and the problems of other versions."""
    found: dict[int, Version] = {}
    damaged = []
    for number, version in version_files.all_versions(data):
        try:
            found[number] = version_files.read(data, number, version)
        except StoreDamaged as error:
            damaged.append(str(error))
    of_cell: dict[tuple[str, str], Version] = {}
    for newer in found.values():  # in the order of their ids, so that the newer one comes later
        cell = (newer.org_id, newer.reporting_period_id)
        older = of_cell.get(cell)
        if older is not None:
            damaged.append(
                f"{older.id} is of {older.org_id} in {older.reporting_period_id} as {newer.id} "
                f"is, which is newer and current; the next nightly run deletes {older.id}"
            )
        of_cell[cell] = newer
    return list(of_cell.values()), damaged
