"""The catalog rebuilt from version files: in place if it is sound, else in a new file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import BufdirError, StoreDamaged
from pipeline.model.access import Grant, Role
from pipeline.model.audit import Act, decoded
from pipeline.model.states import RunSource
from pipeline.storage import (
    audit,
    deletions,
    file_digests,
    nightly_record,
    run_queue,
    tokens,
)
from pipeline.storage.catalog import FILE, Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.deletions import Deletion
    from pipeline.model.versions import Version
    from pipeline.storage.file_digests import Place
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
    lost_tokens: Sequence[str]
    """The tokens that have to be made again under other names."""


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


def _fill(data: Path, content: CatalogContent, now: datetime, kept: _Kept) -> Sequence[str]:
    """Fill the catalog in one transaction; return the names of tokens that are lost.

    Args:
        data: The data folder.
        content: The snapshots that it shall name.
        now: The present instant.
        kept: What a catalog had that was set aside.
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
        if kept.record is not None:
            nightly_record.write(catalog, kept.record)
        tokens.restore(catalog, kept.tokens)
        lost = () if tokens.are_made(catalog) else _revoke_lost_tokens(catalog, now)
        catalog.mark_complete()
        nightly_record.read(catalog)
        catalog.check_integrity()
    return lost


def readable_digests(data: Path) -> Mapping[Place, str]:
    """Read the digests of version files from a catalog whose structure is sound, else none."""
    try:
        with Catalog.open_read_only(data) as catalog:
            catalog.check_integrity(quick=True)
            return file_digests.read(catalog)
    except BufdirError:
        return {}


def _revoke_lost_tokens(catalog: Catalog, now: datetime) -> Sequence[str]:
    """Take the tokens that only the audit log knows into the catalog, as revoked ones.

    Their hashes are lost. Without any token, everybody could write from now on.
    """
    names = [
        line.what.partition(":")[0]
        for raw in audit.lines(catalog.data)
        if (line := decoded(raw.removesuffix(b"\n"))) is not None and line.act is Act.TOKEN_CREATE
    ]
    lost = {
        f"lost {name}": Grant(name, (), Role.READ, now, None, revoked_at=now)
        for name in dict.fromkeys(names)
    }
    tokens.restore(catalog, lost)
    return [grant.name for grant in lost.values()]


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
