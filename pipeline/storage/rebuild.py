"""The catalog rebuilt from version files: in place if it is sound, else in a new file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import BufdirError, StoreDamaged
from pipeline.model.states import RunSource
from pipeline.storage import (
    deletions,
    file_digests,
    logged_tokens,
    nightly_record,
    run_queue,
    tokens,
)
from pipeline.storage.catalog import FILE, Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.access import Grant
    from pipeline.model.deletions import Deletion
    from pipeline.model.versions import Version
    from pipeline.storage.file_digests import Place
    from pipeline.storage.logged_tokens import Disagreement
    from pipeline.storage.nightly_record import NightlyRecord

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class CatalogContent:
    """The snapshots of a rebuilt catalog."""

    current: Sequence[Version]
    """The current version of each."""
    deleted: Sequence[Deletion]
    digests: Mapping[Place, str]
    """The digest of each version file of these."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of rebuilding the catalog."""

    set_aside: str | None
    """The name of the old file that was set aside; None where the catalog was sound."""
    tokens: Disagreement
    """The tokens that are revoked now by the audit log."""


def rebuild(data: Path, content: CatalogContent, now: datetime) -> Rebuilt:
    """Fill the catalog with this, and forget all other snapshots and all runs.

    A catalog that is damaged anywhere is set aside, and a new file is made.

    Raises:
        Busy: A nightly run goes on.
        StoreTooNew: A newer release wrote the catalog; it stays as it is.
        StoreUnusable: The catalog can't be read or written at the moment.
    """
    try:
        return Rebuilt(None, _fill(data, content, now, _Kept()))
    except StoreDamaged:
        kept = _readable(data)
        aside = _set_aside(data, now)
        return Rebuilt(aside, _fill(data, content, now, kept))


@dataclass(frozen=True, slots=True)
class _Kept:
    """The parts of a damaged catalog that no version file has, as far as they can be read."""

    record: NightlyRecord | None = None
    """The record of the last nightly run."""
    tokens: Mapping[str, Grant] = field(default_factory=dict)


def _fill(data: Path, content: CatalogContent, now: datetime, kept: _Kept) -> Disagreement:
    """Fill the catalog in one transaction; return the tokens in which it was behind the audit log.

    Args:
        data: The data folder.
        content: The snapshots that it shall name.
        now: The present instant.
        kept: What a catalog had that was set aside.
    """
    with (
        Catalog.open(data, rebuild=True) as catalog,
        run_queue.nightly_run(catalog, lambda: now, RunSource.COMMAND) as run,
    ):
        logged = logged_tokens.read(data)
        with catalog.transaction():
            catalog.clear(keeping_run=run.id)
            for version in content.current:
                catalog.restore(version)
            for deletion in content.deleted:
                deletions.add(catalog, deletion)
            file_digests.write(catalog, content.digests)
            if kept.record is not None:
                nightly_record.write(catalog, kept.record)
            tokens.restore(catalog, kept.tokens)
            behind = logged_tokens.follow(catalog, logged, now)
            catalog.mark_complete()
            nightly_record.read(catalog)
            catalog.check_integrity()
    return behind


def readable_digests(data: Path) -> Mapping[Place, str]:
    """Read the digests of version files from a catalog whose structure is sound, else none."""
    try:
        with Catalog.open_read_only(data) as catalog:
            catalog.check_integrity(quick=True)
            return file_digests.read(catalog)
    except BufdirError:
        return {}


def _readable(data: Path) -> _Kept:
    """Read the record, with the blocked organisations, and the tokens of a damaged catalog."""
    return _Kept(
        record=_read(data, nightly_record.read, None),
        tokens=_read(data, tokens.by_digest, {}),
    )


def _read(data: Path, read: Callable[[Catalog], Found], otherwise: Found) -> Found:
    """Read a part of a damaged catalog if possible."""
    try:
        with Catalog.open_read_only(data) as catalog:
            return read(catalog)
    except BufdirError:
        return otherwise


def _set_aside(data: Path, now: datetime) -> str | None:
    """Rename the catalog, with the journal that belongs to it."""
    path = data / FILE
    aside = path.with_name(f"{FILE}.{now:%Y%m%dT%H%M%SZ}")
    for suffix in ("-journal", ""):
        old = path.with_name(f"{path.name}{suffix}")
        if old.exists():
            old.replace(aside.with_name(f"{aside.name}{suffix}"))
    return aside.name
