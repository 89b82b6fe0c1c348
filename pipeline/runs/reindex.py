"""The catalog built anew from the snapshot files: after it was lost, damaged, or restored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import StoreDamaged
from pipeline.storage import catalog as index
from pipeline.storage import run_queue, version_files
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.versions import Version


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What the files gave."""

    snapshots: int
    damaged: Sequence[str]
    """Version files that can't be read; an older version of the snapshot stands, if any."""
    set_aside: str | None
    """Where the old catalog lies, if it was no catalog any longer."""


def run(data: Path, now: datetime) -> Reindexed:
    """Rebuild the catalog: the newest readable version of each snapshot is current.

    Raises:
        Busy: A night is going on.
    """
    set_aside = _set_aside_if_unreadable(data, now)
    newest, damaged = _newest(data)
    with (
        Catalog.open(data, rebuild=True) as catalog,
        run_queue.night(catalog, now) as holder,
        catalog.transaction(),
    ):
        catalog.clear(keeping_runs_of=holder)
        for version in newest:
            catalog.restore(version)
        catalog.mark_whole()
    return Reindexed(len(newest), damaged, set_aside)


def _newest(data: Path) -> tuple[list[Version], list[str]]:
    """The newest readable version of each cell, and what is wrong with others."""
    found: dict[int, Version] = {}
    damaged = []
    for number, version in version_files.all_versions(data):
        try:
            found[number] = version_files.read(data, number, version)
        except StoreDamaged as error:
            damaged.append(str(error))
    of_cell: dict[tuple[str, str], Version] = {}
    for newer in found.values():  # in the order of their ids: the later one is the newer
        cell = (newer.org_id, newer.reporting_period_id)
        older = of_cell.get(cell)
        if older is not None:
            damaged.append(
                f"{older.id} is of {older.org_id} in {older.reporting_period_id} as {newer.id} "
                f"is, which is newer and stands; the next night takes {older.id} away"
            )
        of_cell[cell] = newer
    return list(of_cell.values()), damaged


def _set_aside_if_unreadable(data: Path, now: datetime) -> str | None:
    """Move a file out of the way that is no catalog, or one of another edition."""
    path = data / index.FILE
    if not path.exists():
        return None
    try:
        Catalog.open(data, rebuild=True).close()
    except StoreDamaged:
        aside = path.with_name(f"{index.FILE}.{now:%Y%m%dT%H%M%SZ}")
        path.replace(aside)
        path.with_name(f"{index.FILE}-journal").unlink(missing_ok=True)
        return aside.name
    return None
