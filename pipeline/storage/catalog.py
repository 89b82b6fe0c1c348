"""The catalog: which snapshots there are, which version of each is current, which runs.

Readers see what the catalog names and nothing else, so one transaction makes a version current.
Refuses to make a new catalog where snapshot files are, for it would take them for orphans.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from pipeline.errors import BufdirError
from pipeline.model import versions
from pipeline.model.states import SnapshotStatus
from pipeline.storage import (
    actors,
    audit,
    database,
    migrations,
    nightly_record,
    permissions,
    version_files,
)
from pipeline.storage.database import BUSY_SECONDS, text_of
from pipeline.storage.entries import AMONG, LISTED, Entry, EntryReads, json_of, listed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.access import Caller
    from pipeline.model.audit import Act
    from pipeline.model.deletions import Deletion
    from pipeline.model.versions import Version

__all__ = ["BUSY_SECONDS", "FILE", "Catalog", "Entry"]

FILE: Final = "catalog.sqlite"
_PUBLISH: Final = (
    "UPDATE snapshots SET status = ?, version = ?, error = NULL, inputs = ?, "
    f"{', '.join(f'{name} = ?' for name in LISTED)} WHERE number = ? AND version < ?"
)


class Catalog(EntryReads):
    """A connection to the catalog of a data folder; for one thread at a time.

    It is opened on behalf of a caller, who is named in the audit log. The organisations that the
    caller may not see are invisible to reads of snapshots.
    """

    def __init__(
        self, connection: sqlite3.Connection, data: Path, caller: Caller | None = None
    ) -> None:
        """Use `open` or `open_read_only` instead."""
        super().__init__(connection, data / FILE)
        self.data = data
        self._caller = caller
        self.visible = None if caller is None else caller.organisations
        self._has_recorded = False
        self.audit_problem: str | None = None
        """The reason why acts are still in the outbox, once the catalog was closed."""

    @classmethod
    def open(
        cls,
        data: Path,
        *,
        rebuild: bool = False,
        busy_seconds: float = BUSY_SECONDS,
        caller: Caller | None = None,
    ) -> Self:
        """Open the catalog of a data folder; make it where it is missing, migrate it where old.

        Args:
            data: The data folder.
            rebuild: Make a catalog even where there are snapshot files; it is complete from
                `mark_complete` on.
            busy_seconds: The longest wait for another process that writes.
            caller: On whose behalf it is opened; None for the user of this computer.

        Raises:
            StoreUnusable: It can't be read or written at the moment.
            StoreDamaged: It is no catalog, or is lost while snapshot files are there.
            StoreTooNew: A newer release wrote it.
        """
        data.mkdir(parents=True, exist_ok=True)
        permissions.restrict_existing(data)
        catalog = cls(database.connect(data / FILE, busy_seconds=busy_seconds), data, caller)
        try:
            catalog.flush_writes()
            found = migrations.schema_version(catalog)
            if found == 0 and not rebuild:
                catalog._check_not_lost()
            if found != migrations.SCHEMA_VERSION:
                migrations.upgrade(catalog, complete=not rebuild)
        except BaseException:
            catalog.close()
            raise
        return catalog

    @classmethod
    def open_read_only(cls, data: Path, *, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open the catalog of a data folder for commands that only look: nothing is written.

        A missing catalog is an empty one in memory. An older schema is migrated in memory.

        Raises:
            StoreUnusable, StoreDamaged, StoreTooNew: As `open`.
        """
        if not (data / FILE).exists():
            return cls._in_memory(data)
        connection = database.connect(data / FILE, busy_seconds=busy_seconds, is_read_only=True)
        catalog = cls(connection, data)
        try:
            catalog.refuse_writes()
            if migrations.schema_version(catalog) == migrations.SCHEMA_VERSION:
                return catalog
            migrated = cls._in_memory(data, older=catalog)
        except BaseException:
            catalog.close()
            raise
        catalog.close()
        return migrated

    @classmethod
    def _in_memory(cls, data: Path, older: Catalog | None = None) -> Self:
        """Make a catalog in memory: an empty one, or a migrated copy of an older one."""
        catalog = cls(database.connect_to_memory(), data)
        try:
            if older is not None:
                older.copy_to(catalog)
            if migrations.schema_version(catalog) == 0:
                catalog._check_not_lost()
            migrations.upgrade(catalog)
            catalog.refuse_writes()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _check_not_lost(self) -> None:
        if next(version_files.all_versions(self.data), None) is not None:
            raise self.damaged("it is lost, and snapshots are there")

    @property
    def caller(self) -> Caller:
        """The caller on whose behalf the catalog was opened."""
        if self._caller is None:
            self._caller = actors.local_caller()
        return self._caller

    def record(
        self,
        act: Act,
        what: str,
        end: str = audit.DONE,
        *,
        by: Caller | None = None,
        count: int = 1,
    ) -> None:
        """Record an act for the audit log, in the transaction around this call.

        Args:
            act: The kind of act.
            what: Its object, such as the id of a snapshot.
            end: How it ended.
            by: On whose behalf it was done, if not on the caller's.
            count: The number of equal acts.
        """
        audit.record(self, by or self.caller, act, what, end=end, count=count)
        self._has_recorded = True

    def close(self) -> None:
        """Move what was recorded to the audit log, then close the connection.

        Where the log can't be written, the acts stay in the catalog for the next one that records.
        """
        if self._has_recorded and not self.connection.in_transaction:
            self._has_recorded = False
            try:
                audit.drain(self, self.data)
            except OSError as error:
                self.audit_problem = f"{audit.FILE} can't be written ({error.strerror})"
            except BufdirError as error:
                self.audit_problem = str(error)
        super().close()

    def mark_complete(self) -> None:
        """Declare a rebuilt catalog complete: from now on every opening takes it for the one."""
        migrations.mark_complete(self)

    def create(
        self, cells: Iterable[tuple[str, str]], now: datetime, above: int
    ) -> Sequence[Entry]:
        """Give each of these organisations and periods a snapshot, in this order.

        Args:
            cells: Organisation and period of each; none of them has a snapshot.
            now: The instant of their creation.
            above: New ids are higher than this, and than all that were ever given out here.
        """
        entries: list[Entry] = []
        with self.transaction():
            self._reserve(above)
            for org_id, period_id in cells:
                entries += self._entries(
                    "INSERT INTO snapshots (org_id, reporting_period_id, created_at) "
                    "VALUES (?, ?, ?) RETURNING *",
                    (org_id, period_id, text_of(now)),
                )
        return entries

    def _reserve(self, above: int) -> None:
        """Give out no id up to this number any more."""
        known = self.execute("SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'")
        if not known:
            self.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('snapshots', ?)", (above,)
            )
        elif known[0]["seq"] < above:
            self.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'snapshots'", (above,))

    def publish(self, version: Version, inputs: str | None = None) -> bool:
        """Make this version the current one; return False where its snapshot was deleted.

        Args:
            version: A version whose file is on disk.
            inputs: The digest of terms and export files that it was computed by.
        """
        _, *others = listed(version)
        changed = self.change(
            _PUBLISH,
            (
                *(SnapshotStatus.COMPLETED, version.version, inputs),
                *(text_of(version.refreshed_at), *others),
                *(versions.snapshot_number(version.id), version.version),
            ),
        )
        return bool(changed)

    def confirm(self, numbers: Sequence[int], inputs: str) -> None:
        """Record that these snapshots were found up to date by these terms and export files."""
        self.execute(
            f"UPDATE snapshots SET inputs = ? WHERE {AMONG} AND inputs IS NOT ?",
            (inputs, json_of(numbers), inputs),
        )

    def restore(self, version: Version) -> None:
        """Take a snapshot and its current version into the catalog, from its file."""
        self.execute(
            "INSERT INTO snapshots (number, org_id, reporting_period_id, created_at) "
            "VALUES (?, ?, ?, ?)",
            (
                versions.snapshot_number(version.id),
                version.org_id,
                version.reporting_period_id,
                text_of(version.created_at),
            ),
        )
        self.publish(version)

    def restore_failed(self, deletion: Deletion) -> None:
        """Take a deleted snapshot that never had a version into the catalog again."""
        self.execute(
            "INSERT INTO snapshots "
            "(number, org_id, reporting_period_id, created_at, status, error) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(versions.snapshot_number(deletion.id), *deletion.key),
                *(text_of(deletion.created_at), SnapshotStatus.FAILED),
                "it was deleted before its first version was published; start its run again",
            ),
        )

    def set_first_failed(self, number: int, error: str) -> None:
        """Set the status of a snapshot whose first run failed; one with a version is unchanged."""
        self.execute(
            "UPDATE snapshots SET status = ?, error = ? WHERE number = ? AND version = 0",
            (SnapshotStatus.FAILED, error, number),
        )

    def fail_unfinished(self, error: str) -> None:
        """Record that a nightly run failed, and every first version without another run."""
        self.execute(
            "UPDATE snapshots SET status = ?, error = ? WHERE version = 0 AND status = ? "
            "AND number NOT IN (SELECT number FROM runs WHERE number IS NOT NULL "
            "AND state IN ('queued', 'running'))",
            (SnapshotStatus.FAILED, error, SnapshotStatus.PROCESSING),
        )

    def set_processing(self, number: int) -> None:
        """Record that a snapshot without a version is being computed again."""
        self.execute(
            "UPDATE snapshots SET status = ?, error = NULL WHERE number = ? AND version = 0",
            (SnapshotStatus.PROCESSING, number),
        )

    def clear(self, *, keeping_run: int) -> None:
        """Forget snapshots and runs, before the catalog is rebuilt.

        The run that rebuilds it stays, and so does which file names which organisations.
        """
        with self.transaction():
            self.execute("DELETE FROM snapshots")
            for table in ("deletions", "file_digests", "file_check", "damaged_files"):
                self.execute(f"DELETE FROM {table}")
            self.execute("DELETE FROM runs WHERE id <> ?", (keeping_run,))
            nightly_record.void(self)
