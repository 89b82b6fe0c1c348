"""What every handler needs: the data folder, the settings, the clock, and who starts runs.

Each call opens the catalog for itself, so that it sees what is current and nothing older.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from api.orders import Orders
from pipeline.errors import SnapshotNotReady, StoreDamaged
from pipeline.model.versions import Version
from pipeline.settings import Settings
from pipeline.storage import version_files
from pipeline.storage.catalog import BUSY_SECONDS, Catalog, Entry


@dataclass(frozen=True, slots=True)
class Service:
    """One worker's view of the house."""

    data: Path
    settings: Settings
    wake: Callable[[], None]
    """Has queued runs looked for at once."""
    is_stopping: Callable[[], bool]
    """Whether the server is about to end, so that nothing may be waited for."""
    orders: Orders
    """The order of lists."""

    def catalog(self, busy_seconds: float = BUSY_SECONDS) -> Catalog:
        """The catalog, opened for one piece of work; to be closed after it."""
        return Catalog.open(self.data, busy_seconds=busy_seconds)

    def now(self) -> datetime:
        """The present, as an instant."""
        return datetime.now(UTC)

    def public(self, sentence: str) -> str:
        """What a run has to say, without where on this machine the data lies."""
        return sentence.replace(f"{self.data}/", "")

    def current(self, snapshot_id: str) -> tuple[Entry, Version | None]:
        """A snapshot and its current version, where it has one.

        Raises:
            InvalidValue: This is no id.
            SnapshotNotFound: There is none, or no longer.
            StoreDamaged: Its version can't be read.
        """
        with self.catalog() as catalog:
            entry = catalog.get(snapshot_id)
        if not entry.version:
            return entry, None
        try:
            return entry, _version(self.data, entry.number, entry.version, entry.refreshed_at)
        except StoreDamaged:
            # Where it was deleted just now, its files are gone and the catalog knows.
            with self.catalog() as catalog:
                catalog.get(snapshot_id)
            raise

    def published(self, snapshot_id: str) -> Version:
        """A snapshot's current version.

        Raises:
            SnapshotNotReady: It has none yet.
            InvalidValue, SnapshotNotFound, StoreDamaged: As `current`.
        """
        entry, version = self.current(snapshot_id)
        if version is None:
            raise SnapshotNotReady(entry.id, entry.status)
        return version


@lru_cache(maxsize=1024)
def _version(data: Path, number: int, version: int, refreshed_at: datetime | None) -> Version:
    """A version never changes; its instant tells it from another that a backup brought back."""
    del refreshed_at
    return version_files.read(data, number, version)
