"""The context of every handler: the data folder, the settings, the clock and the caller.

Each request opens the catalog for itself, so that it never sees an older state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from api.access.gate import open_role_of
from api.errors import NotAllowed
from api.snapshots.current_versions import CurrentVersionCache
from api.snapshots.sorted_ids import SortedIdCache
from pipeline.errors import BufdirError, SnapshotNotReady, StoreDamaged
from pipeline.model import addresses
from pipeline.model.access import Caller, Role
from pipeline.model.versions import Version
from pipeline.settings import Settings
from pipeline.storage import file_digests, tokens
from pipeline.storage.catalog import BUSY_SECONDS, Catalog, Entry


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one worker that handlers use."""

    data: Path
    settings: Settings
    wake: Callable[[], None]
    """The function that makes the dispatcher look for queued runs at once."""
    is_stopping: Callable[[], bool]
    """Whether the server is about to stop, so that requests may not wait."""
    sorted_ids: SortedIdCache
    versions: CurrentVersionCache
    caller: Caller
    """The caller on whose behalf the catalog is opened, who sees the snapshots there."""
    logger: FilteringBoundLogger

    def catalog(self, busy_seconds: float = BUSY_SECONDS) -> Catalog:
        """Open the catalog for one request; its user closes it."""
        return Catalog.open(self.data, busy_seconds=busy_seconds, caller=self.caller)

    @contextmanager
    def writing(self) -> Iterator[Catalog]:
        """Open the catalog for a request that records an act; log where the audit log is behind."""
        with self.catalog() as catalog:
            yield catalog
        if catalog.audit_problem:
            self.logger.warning("audit_unwritable", problem=catalog.audit_problem)

    def check_covers(self, org_id: str) -> None:
        """Check that the caller may ask for snapshots of an organisation.

        Raises:
            NotAllowed: The caller's token is for others.
        """
        if not self.caller.covers(org_id):
            raise NotAllowed(f"this token is not for {org_id}")

    def open_role(self) -> Role | None:
        """Return the role of callers without a token; None where they may not even read.

        While the catalog can't be read, tokens count as made.
        """
        are_made = True
        with suppress(BufdirError), self.catalog() as catalog:
            are_made = tokens.are_made(catalog)
        return open_role_of(self.settings.access, are_made=are_made)

    def now(self) -> datetime:
        """Return the present instant."""
        return datetime.now(UTC)

    def public(self, sentence: str) -> str:
        """Remove the data folder and the addresses of exports and cluster from a run's message."""
        place = addresses.parse(self.settings.exports.location)
        is_below = place.is_folder and not Path(place.path).is_absolute()
        hidden = sentence if is_below else sentence.replace(str(place), addresses.FOLDER)
        if cluster := self.settings.engine.cluster:
            hidden = hidden.replace(cluster, "the cluster")
        return hidden.replace(f"{self.data}/", "")

    def current(self, snapshot_id: str) -> tuple[Entry, Version | None]:
        """Return a snapshot and its current version; None where it has none yet.

        Raises:
            InvalidValue: This is no id.
            SnapshotNotFound: No snapshot has this id, or it was deleted.
            StoreDamaged: Its version can't be read.
        """
        with self.catalog() as catalog:
            entry = catalog.get(snapshot_id)
            sha256 = file_digests.find(catalog, entry.number, entry.version)
        if not entry.version:
            return entry, None
        try:
            return entry, self.versions.read(entry, sha256)
        except StoreDamaged:
            # If a deletion removed the files meanwhile, the catalog has no entry any more.
            with self.catalog() as catalog:
                catalog.get(snapshot_id)
            raise

    def published(self, snapshot_id: str) -> Version:
        """Return a snapshot's current version.

        Raises:
            SnapshotNotReady: It has none yet.
            InvalidValue: This is no id.
            SnapshotNotFound: No snapshot has this id, or it was deleted.
            StoreDamaged: Its version can't be read.
        """
        entry, version = self.current(snapshot_id)
        if version is None:
            raise SnapshotNotReady(entry.id, entry.status)
        return version
