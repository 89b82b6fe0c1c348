"""The SQLite index: which snapshots there are, which version of each is current, what was read.

Readers see what stands here and nothing else, so one transaction makes a version current. Rollback
journal with full sync, not WAL: the SQLite 3.40 of Debian 12 lies in the range with the
WAL-reset fault, and several processes share this file.
"""

from __future__ import annotations

import sqlite3
from array import array
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from pipeline.errors import SnapshotNotFound, StoreDamaged, StoreUnusable
from pipeline.model import versions
from pipeline.storage import version_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.model.listing import Listing
    from pipeline.model.versions import Version

FILE: Final = "catalog.sqlite"
_EDITION: Final = 1
BUSY_SECONDS: Final = 60
"""How long to wait while another process writes."""

PROCESSING: Final = "processing"
COMPLETED: Final = "completed"
FAILED: Final = "failed"

_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id TEXT NOT NULL,
    reporting_period_id TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT '{PROCESSING}',
    version INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    refreshed_at TEXT,
    digest TEXT,
    rows INTEGER,
    participations INTEGER,
    seconds INTEGER,
    activities INTEGER,
    error TEXT,
    UNIQUE (org_id, reporting_period_id)
);
CREATE INDEX IF NOT EXISTS snapshots_by_period ON snapshots (reporting_period_id);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    forced INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_at TEXT NOT NULL,
    ended_at TEXT,
    error TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS one_open_run ON runs (ifnull(number, 0))
    WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS runs_of_snapshot ON runs (number, id);
CREATE TABLE IF NOT EXISTS files (
    name TEXT PRIMARY KEY,
    rows INTEGER,
    problem TEXT,
    organisations TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)
"""

DELETIONS: Final = "deletions"
"""The fact that tells how many snapshots were deleted."""
_COLUMN: Final = {"participant_count": "participations"}
"""The column that holds what lists are sorted by, where it has another name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One snapshot as the catalog knows it; the numbers are None while there is no version."""

    number: int
    org_id: str
    reporting_period_id: str
    status: str
    version: int
    created_at: datetime
    refreshed_at: datetime | None
    digest: str | None
    rows: int | None
    """How many rows lay in the cell, counted or not."""
    participations: int | None
    seconds: int | None
    activities: int | None
    error: str | None

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return versions.snapshot_id(self.number)


@dataclass(frozen=True, slots=True)
class KnownFile:
    """An export as the last night found it."""

    name: str
    rows: int | None
    problem: str | None
    """Why it was refused; None where it was accepted."""
    organisations: Sequence[str]
    """The organisations that it named when it could last be read."""


def text_of(instant: datetime) -> str:
    """An instant as the catalog writes it: UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Catalog:
    """One connection to the catalog of a data folder; for one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, data: Path) -> None:
        """Use `Catalog.open` instead."""
        self.connection = connection
        self.data = data

    @classmethod
    def open(cls, data: Path, *, rebuild: bool = False, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open the catalog of a data folder, and make it where there is none.

        Args:
            data: The data folder.
            rebuild: Make one even where snapshots lie that it does not know of yet; it is one
                from `mark_whole` on.
            busy_seconds: How long to wait while another process writes.

        Raises:
            StoreUnusable: It can't be read or written at the moment.
            StoreDamaged: It is no catalog, one of another edition, or lost while its snapshots
                are there: a new one would take them for orphans.
        """
        path = data / FILE
        data.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(
                path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
        except sqlite3.OperationalError as error:
            raise StoreUnusable(str(path), str(error)) from error
        catalog = cls(connection, data)
        try:
            catalog._prepare(rebuild=rebuild)
        except BaseException as error:
            catalog.close()
            if isinstance(error, sqlite3.OperationalError):
                raise StoreUnusable(str(path), str(error)) from error
            if isinstance(error, sqlite3.DatabaseError):
                problem = f"{error}; rebuild it with bufdir reindex"
                raise StoreDamaged(str(path), problem) from error
            raise
        return catalog

    def _prepare(self, *, rebuild: bool) -> None:
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        self.connection.execute("PRAGMA synchronous = EXTRA")
        if self._edition() == 0:
            if not rebuild and next(version_files.all_versions(self.data), None) is not None:
                problem = "it is lost, and snapshots are there; rebuild it with bufdir reindex"
                raise StoreDamaged(str(self.data / FILE), problem)
            with self.transaction():
                if self._edition() == 0:  # another process may have been first
                    for statement in _SCHEMA.split(";\n"):
                        self.connection.execute(statement)
                    if not rebuild:
                        self.mark_whole()
        edition = self._edition()
        if edition != _EDITION and not (rebuild and edition == 0):
            problem = (
                f"it is of edition {edition}, this program reads {_EDITION}; "
                "rebuild it with bufdir reindex"
            )
            raise StoreDamaged(str(self.data / FILE), problem)

    def mark_whole(self) -> None:
        """All that should be here is here: from now on this is the catalog."""
        self.connection.execute(f"PRAGMA user_version = {_EDITION}")

    def _edition(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    @contextmanager
    def transaction(self, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
        """All that is written inside becomes visible at once, or not at all.

        A deferred one is for reading only: all of it sees the same moment.
        """
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    # What there is

    def get(self, snapshot_id: str) -> Entry:
        """The snapshot with this id.

        Raises:
            InvalidValue: This is no id.
            SnapshotNotFound: There is none, or no longer.
        """
        number = versions.snapshot_number(snapshot_id)
        row = self.connection.execute(
            "SELECT * FROM snapshots WHERE number = ?", (number,)
        ).fetchone()
        # Another way of writing the same number, agg-0001, is the id of nothing.
        if row is None or versions.snapshot_id(number) != snapshot_id:
            raise SnapshotNotFound(snapshot_id)
        return _entry(row)

    def of_cell(self, org_id: str, period_id: str) -> Entry | None:
        """The snapshot of a cell, where there is one."""
        row = self.connection.execute(
            "SELECT * FROM snapshots WHERE org_id = ? AND reporting_period_id = ?",
            (org_id, period_id),
        ).fetchone()
        return None if row is None else _entry(row)

    def list(self, listing: Listing) -> tuple[Sequence[Entry], int]:
        """One page of snapshots, and how many there are on all pages; both of one moment."""
        where, given, order = _listed(listing)
        page = {"limit": -1 if listing.limit is None else listing.limit, "offset": listing.offset}
        with self.transaction("DEFERRED"):
            total = self.connection.execute(
                f"SELECT count(*) FROM snapshots WHERE true{where}", given
            ).fetchone()[0]
            rows = self.connection.execute(
                f"SELECT * FROM snapshots WHERE true{where} "
                f"ORDER BY {order}, number LIMIT :limit OFFSET :offset",
                given | page,
            ).fetchall()
        return [_entry(row) for row in rows], total

    def hold_still(self) -> None:
        """Let nobody write until the transaction that this one is in has ended."""
        self.connection.execute("SELECT 1 FROM snapshots LIMIT 1").fetchone()

    def order(self, listing: Listing) -> array[int]:
        """The numbers of all snapshots that are listed, in order."""
        where, given, order = _listed(listing)
        rows = self.connection.execute(
            f"SELECT number FROM snapshots WHERE true{where} ORDER BY {order}, number", given
        )
        return array("q", (number for (number,) in rows))

    def at(self, numbers: Sequence[int]) -> Sequence[Entry]:
        """The snapshots with these numbers, in this order."""
        places = ", ".join("?" * len(numbers))
        rows = self.connection.execute(
            f"SELECT * FROM snapshots WHERE number IN ({places})", [*numbers]
        )
        found = {row["number"]: _entry(row) for row in rows}
        return [found[number] for number in numbers]

    def entries(self) -> Mapping[tuple[str, str], Entry]:
        """All snapshots by organisation and period."""
        rows = self.connection.execute("SELECT * FROM snapshots ORDER BY number")
        return {(row["org_id"], row["reporting_period_id"]): _entry(row) for row in rows}

    # What becomes of it

    def create(
        self, cells: Iterable[tuple[str, str]], now: datetime, above: int
    ) -> Sequence[Entry]:
        """Give each of these organisations and periods a snapshot, in this order.

        Args:
            cells: Organisation and period of each; none of them has a snapshot.
            now: When they came to be.
            above: New ids are higher than this, and than all that were ever given out here.
        """
        entries = []
        with self.transaction():
            self._reserve(above)
            for org_id, period_id in cells:
                row = self.connection.execute(
                    "INSERT INTO snapshots (org_id, reporting_period_id, created_at) "
                    "VALUES (?, ?, ?) RETURNING *",
                    (org_id, period_id, text_of(now)),
                ).fetchone()
                entries.append(_entry(row))
        return entries

    def _reserve(self, above: int) -> None:
        """Give out no id up to this number any more."""
        known = self.connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'"
        ).fetchone()
        if known is None:
            self.connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('snapshots', ?)", (above,)
            )
        elif known["seq"] < above:
            self.connection.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = 'snapshots'", (above,)
            )

    def publish(self, version: Version) -> bool:
        """Make this version the current one; False where its snapshot was deleted meanwhile."""
        changed = self.connection.execute(
            "UPDATE snapshots SET status = ?, version = ?, refreshed_at = ?, digest = ?, "
            "rows = ?, participations = ?, seconds = ?, activities = ?, error = NULL "
            "WHERE number = ? AND version < ?",
            (
                COMPLETED,
                version.version,
                text_of(version.refreshed_at),
                version.digest,
                sum(version.ledger.values()),
                version.total.participations,
                version.total.seconds,
                version.total.activities,
                versions.snapshot_number(version.id),
                version.version,
            ),
        ).rowcount
        return bool(changed)

    def restore(self, version: Version) -> None:
        """Take a snapshot and its current version into the catalog, from its file."""
        self.connection.execute(
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

    def set_first_failed(self, number: int, error: str) -> None:
        """A snapshot without a version failed; one that has a version keeps it, and its status."""
        self.connection.execute(
            "UPDATE snapshots SET status = ?, error = ? WHERE number = ? AND version = 0",
            (FAILED, error, number),
        )

    def fail_unfinished(self, error: str) -> None:
        """A night failed, and with it every first version that nobody else is at work on."""
        self.connection.execute(
            "UPDATE snapshots SET status = ?, error = ? WHERE version = 0 AND status = ? "
            "AND number NOT IN (SELECT number FROM runs WHERE number IS NOT NULL "
            "AND state IN ('queued', 'running'))",
            (FAILED, error, PROCESSING),
        )

    def set_processing(self, number: int) -> None:
        """A snapshot without a version is being computed again."""
        self.connection.execute(
            "UPDATE snapshots SET status = ?, error = NULL WHERE number = ? AND version = 0",
            (PROCESSING, number),
        )

    def delete(self, number: int) -> None:
        """Take a snapshot out of every read; the next night looks at everything again."""
        with self.transaction():
            self.connection.execute("DELETE FROM snapshots WHERE number = ?", (number,))
            self.connection.execute(
                "UPDATE runs SET state = 'failed', error = 'its snapshot was deleted' "
                "WHERE number = ? AND state = 'queued'",
                (number,),
            )
            self.remember(DELETIONS, str(int(self.fact(DELETIONS) or 0) + 1))

    def clear(self, *, keeping_runs_of: str) -> None:
        """Forget snapshots, runs and what was read; not which organisations a file names.

        The runs of the process that builds the catalog anew stay, too.
        """
        with self.transaction():
            for table in ("snapshots", "facts"):
                self.connection.execute(f"DELETE FROM {table}")
            self.connection.execute("DELETE FROM runs WHERE owner IS NOT ?", (keeping_runs_of,))

    # What was read

    def fact(self, name: str) -> str | None:
        """A remembered fact."""
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def remember(self, name: str, value: str) -> None:
        """Keep a fact, in place of the one before."""
        self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def files(self) -> Mapping[str, KnownFile]:
        """The exports that the last night found, by name."""
        rows = self.connection.execute("SELECT * FROM files ORDER BY name")
        return {
            row["name"]: KnownFile(
                row["name"],
                row["rows"],
                row["problem"],
                msgspec.json.decode(row["organisations"], type=list[str]),
            )
            for row in rows
        }

    def remember_files(self, files: Iterable[KnownFile]) -> None:
        """Keep what the exports were found to be, in place of what was known before."""
        with self.transaction():
            self.connection.execute("DELETE FROM files")
            self._put_files(files)

    def remember_named(self, named: Mapping[str, Collection[str]]) -> None:
        """Keep that these files name these organisations, besides what is known of them."""
        with self.transaction():
            known = self.files()
            files = [known.get(name, KnownFile(name, None, None, ())) for name in named]
            self._put_files(
                replace(file, organisations=sorted({*file.organisations, *named[file.name]}))
                for file in files
            )

    def _put_files(self, files: Iterable[KnownFile]) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO files (name, rows, problem, organisations) VALUES (?, ?, ?, ?)",
            [
                (f.name, f.rows, f.problem, msgspec.json.encode(f.organisations).decode())
                for f in files
            ],
        )

    def current_versions(self) -> Mapping[int, int]:
        """The current version of every snapshot; 0 where there is none yet."""
        rows = self.connection.execute("SELECT number, version FROM snapshots")
        return {row["number"]: row["version"] for row in rows}


def _listed(listing: Listing) -> tuple[str, dict[str, str | int], str]:
    """The condition of a list, its values by name, and its order."""
    filters = {
        "org_id": listing.org_id,
        "reporting_period_id": listing.reporting_period_id,
        "status": listing.status,
    }
    given: dict[str, str | int] = {
        name: value for name, value in filters.items() if value is not None
    }
    where = "".join(f" AND {name} = :{name}" for name in given)
    name = listing.sort.removeprefix("-")
    return where, given, f"{_COLUMN.get(name, name)} {'ASC' if name == listing.sort else 'DESC'}"


def _entry(row: sqlite3.Row) -> Entry:
    values = dict(row)
    values["created_at"] = _instant(values["created_at"])
    values["refreshed_at"] = _instant(values["refreshed_at"])
    return Entry(**values)
