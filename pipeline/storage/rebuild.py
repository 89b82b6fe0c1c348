"""The catalog rebuilt from version files: in place if it is sound, else in a new file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import BufdirError, StoreDamaged
from pipeline.model.states import RunSource
from pipeline.storage import deletions, file_digests, nightly_record, run_queue
from pipeline.storage.catalog import FILE, Catalog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.deletions import Deletion
    from pipeline.model.versions import Version
    from pipeline.storage.file_digests import Place
    from pipeline.storage.nightly_record import NightlyRecord


@dataclass(frozen=True, slots=True)
class CatalogContent:
    """The snapshots of a rebuilt catalog."""

    current: Sequence[Version]
    """The current version of each."""
    deleted: Sequence[Deletion]
    digests: Mapping[Place, str]
    """The digest of each version file of these."""


def rebuild(data: Path, content: CatalogContent, now: datetime) -> str | None:
    """Fill the catalog with this, and forget all other snapshots and all runs.

    A catalog that is damaged anywhere is set aside, and a new file is made.

    Returns:
        The name of the file that was set aside; None where the catalog was sound.

    Raises:
        Busy: A nightly run goes on.
        StoreTooNew: A newer release wrote the catalog; it stays as it is.
        StoreUnusable: The catalog can't be read or written at the moment.
    """
    try:
        _fill(data, content, now, None)
    except StoreDamaged:
        record = _readable_record(data)
        aside = _set_aside(data, now)
        _fill(data, content, now, record)
        return aside
    return None


def _fill(data: Path, content: CatalogContent, now: datetime, record: NightlyRecord | None) -> None:
    """Fill the catalog in one transaction.

    Args:
        data: The data folder.
        content: The snapshots that it shall name.
        now: The present instant.
        record: The record of the last nightly run from a catalog that was set aside.
    """
    with (
        Catalog.open(data, rebuild=True) as catalog,
        run_queue.nightly_run(catalog, lambda: now, RunSource.COMMAND) as run,
        catalog.transaction(),
    ):
        catalog.clear(keeping_run=run.id)
        for version in content.current:
            catalog.restore(version)
        for deletion in content.deleted:
            deletions.add(catalog, deletion)
        file_digests.write(catalog, content.digests)
        if record is not None:
            nightly_record.write(catalog, record)
        catalog.mark_complete()
        nightly_record.read(catalog)
        catalog.check_integrity()


def readable_digests(data: Path) -> Mapping[Place, str]:
    """Read the digests of version files from a catalog whose structure is sound, else none."""
    try:
        with Catalog.open_read_only(data) as catalog:
            catalog.check_integrity(quick=True)
            return file_digests.read(catalog)
    except BufdirError:
        return {}


def _readable_record(data: Path) -> NightlyRecord | None:
    """Read the record, with the blocked organisations, from a damaged catalog if possible."""
    try:
        with Catalog.open_read_only(data) as catalog:
            return nightly_record.read(catalog)
    except BufdirError:
        return None


def _set_aside(data: Path, now: datetime) -> str | None:
    """Rename the catalog, with the journal that belongs to it."""
    path = data / FILE
    aside = path.with_name(f"{FILE}.{now:%Y%m%dT%H%M%SZ}")
    for suffix in ("-journal", ""):
        old = path.with_name(f"{path.name}{suffix}")
        if old.exists():
            old.replace(aside.with_name(f"{aside.name}{suffix}"))
    return aside.name
