"""The catalog's schema, and the way up to it from each earlier schema version.

Runs every migration in one transaction: a process that is killed in the middle leaves the file as
it was, and the next opening starts again. Refuses a newer schema by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.errors import StoreTooNew
from pipeline.storage.database import REBUILD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.storage.database import Database

SCHEMA_VERSION: Final = 4
"""Raised whenever a table changes; `MIGRATIONS` then gains a step from the version before."""
_FIRST_MARKED: Final = 2
_MARK: Final = 0x4266_0000
"""From schema version 2 on, SQLite's `application_id` is this plus the schema version. A damaged
byte changes one of the two only, so it is not mistaken for a newer release's catalog."""

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS snapshots (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        org_id TEXT NOT NULL,
        reporting_period_id TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'processing',
        version INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        refreshed_at TEXT,
        digest TEXT,
        rows INTEGER,
        participations INTEGER,
        seconds INTEGER,
        activities INTEGER,
        error TEXT,
        row_digest TEXT,
        terms_digest TEXT,
        inputs TEXT,
        UNIQUE (org_id, reporting_period_id)
    )
    """,
    "CREATE INDEX IF NOT EXISTS snapshots_by_period ON snapshots (reporting_period_id)",
    """CREATE TABLE IF NOT EXISTS runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        number INTEGER,
        source TEXT NOT NULL,
        state TEXT NOT NULL,
        forced INTEGER NOT NULL DEFAULT 0,
        owner TEXT,
        attempts INTEGER NOT NULL DEFAULT 0,
        queued_at TEXT NOT NULL,
        ended_at TEXT,
        error TEXT,
        asked_by TEXT
    )
    """,
    """CREATE UNIQUE INDEX IF NOT EXISTS one_open_run ON runs (ifnull(number, 0))
        WHERE state IN ('queued', 'running')
    """,
    "CREATE INDEX IF NOT EXISTS runs_of_snapshot ON runs (number, id)",
)
_NIGHTLY_RECORD: Final = """CREATE TABLE IF NOT EXISTS nightly_record (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        run_id INTEGER,
        claimed_by INTEGER,
        body TEXT
    )
    """


_GUARD: Final = (
    """CREATE TABLE IF NOT EXISTS blocked_cells (
        org_id TEXT NOT NULL,
        reporting_period_id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (org_id, reporting_period_id)
    )
    """,
    """CREATE TABLE IF NOT EXISTS followed_exports (
        number INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        body TEXT NOT NULL
    )
    """,
    """CREATE TABLE IF NOT EXISTS retired_exports (
        name TEXT PRIMARY KEY,
        retirement TEXT NOT NULL,
        declared_at TEXT NOT NULL,
        declared_by TEXT NOT NULL,
        note TEXT NOT NULL
    )
    """,
    """CREATE TABLE IF NOT EXISTS accepted_falls (
        number INTEGER PRIMARY KEY,
        rows INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        declared_at TEXT NOT NULL,
        declared_by TEXT NOT NULL,
        note TEXT NOT NULL
    )
    """,
)
_FATAL_EXPORTS: Final = (
    """CREATE TABLE IF NOT EXISTS fatal_exports (
        name TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL,
        problem TEXT NOT NULL,
        conditions TEXT NOT NULL
    )
    """,
)
_ACCESS: Final = (
    """CREATE TABLE IF NOT EXISTS tokens (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        organisations TEXT,
        role TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT,
        revoked_at TEXT
    )
    """,
    """CREATE TABLE IF NOT EXISTS audit_outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL
    )
    """,
    """CREATE TABLE IF NOT EXISTS audit_tail (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        line INTEGER NOT NULL,
        hash TEXT NOT NULL
    )
    """,
)

_DELETIONS: Final = (
    """CREATE TABLE IF NOT EXISTS deletions (
        number INTEGER PRIMARY KEY,
        org_id TEXT NOT NULL,
        reporting_period_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        deleted_at TEXT NOT NULL,
        deleted_by TEXT NOT NULL,
        removed_at TEXT
    )
    """,
)
_FILE_DIGESTS: Final = (
    """CREATE TABLE IF NOT EXISTS file_digests (
        number INTEGER NOT NULL,
        version INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (number, version)
    ) WITHOUT ROWID
    """,
    """CREATE TABLE IF NOT EXISTS file_check (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        checked_at TEXT NOT NULL,
        number INTEGER NOT NULL,
        version INTEGER NOT NULL
    )
    """,
    "CREATE TABLE IF NOT EXISTS damaged_files (body TEXT NOT NULL)",
)
_TRUST: Final = (*_FATAL_EXPORTS, *_ACCESS, *_DELETIONS, *_FILE_DIGESTS)


def schema_version(database: Database) -> int:
    """Read the schema version of a catalog; 0 where it has no tables yet.

    Raises:
        StoreTooNew: A newer release wrote it.
        StoreDamaged: The header contradicts itself.
    """
    ((found,),) = database.execute("PRAGMA user_version")
    ((mark,),) = database.execute("PRAGMA application_id")
    if found >= 0 and mark == (_MARK + found if found >= _FIRST_MARKED else 0):
        if found > SCHEMA_VERSION:
            raise StoreTooNew(str(database.path), found, SCHEMA_VERSION)
        return int(found)
    if found > SCHEMA_VERSION:
        raise database.damaged(
            f"its schema version is {found}, newer than this release's {SCHEMA_VERSION}, but its "
            f"application id {mark} does not confirm that",
            f"use the release that wrote it, or {REBUILD}",
        )
    raise database.damaged(f"its schema version {found} and application id {mark} don't match")


def upgrade(database: Database, *, complete: bool = True) -> None:
    """Bring a catalog to this release's schema, in one transaction.

    Args:
        database: An empty file, or a catalog of any earlier schema version.
        complete: Mark a catalog that is made here as complete, see `mark_complete`.
    """
    with database.transaction():
        found = schema_version(database)  # another process may have been first
        if found == 0:
            _create(database)
        for version in range(found or SCHEMA_VERSION, SCHEMA_VERSION):
            MIGRATIONS[version](database)
        if found or complete:
            mark_complete(database)


def mark_complete(database: Database) -> None:
    """Give a catalog its schema version; without one, every opening takes it for lost."""
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute(f"PRAGMA application_id = {_MARK + SCHEMA_VERSION}")


def _create(database: Database) -> None:
    for statement in (*_SCHEMA, _NIGHTLY_RECORD, *_GUARD, *_TRUST):
        database.execute(statement)


def _from_1(database: Database) -> None:
    """Add what `inputs` and digests need; make one record of what the last nightly run found."""
    for column in ("row_digest", "terms_digest", "inputs"):
        database.execute(f"ALTER TABLE snapshots ADD COLUMN {column} TEXT")
    database.execute(_NIGHTLY_RECORD)
    try:
        record = _record_of_1(database)
    except msgspec.DecodeError as error:
        raise database.damaged(str(error)) from error
    if record["files"] or record["run_id"]:
        # No run claims it, so the next nightly run looks at everything again.
        database.execute(
            "INSERT INTO nightly_record (id, run_id, body) VALUES (1, ?, ?)",
            (record["run_id"], msgspec.json.encode(record).decode()),
        )
    database.execute("DROP TABLE files")
    database.execute("DROP TABLE facts")


def _record_of_1(database: Database) -> dict[str, Any]:
    """Write the record as schema version 2 does; what version 1 did not know is empty."""
    last = database.execute(
        "SELECT id, ended_at FROM runs WHERE number IS NULL AND state = 'done' "
        "AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1"
    )
    ignored = database.execute("SELECT value FROM facts WHERE name = 'ignored'")
    files = {row["name"]: _file_of_1(dict(row)) for row in database.execute("SELECT * FROM files")}
    return {
        "run_id": last[0]["id"] if last else 0,
        "ended_at": last[0]["ended_at"] if last else "1970-01-01T00:00:00Z",
        "terms": "",
        "inputs": "",
        "files": files,
        "until": None,
        "ignored_columns": msgspec.json.decode(ignored[0]["value"], type=list[str])
        if ignored
        else [],
        "blocked": {
            org_id: name
            for name, file in files.items()
            if file["problem"] is not None
            for org_id in file["organisations"]
        },
    }


def _file_of_1(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "fingerprint": [0, 0, 0, 0],
        "rows": row["rows"],
        "problem": row["problem"],
        "organisations": msgspec.json.decode(row["organisations"], type=list[str]),
        "checksum": None,
    }


def _from_2(database: Database) -> None:
    """Add the list of blocked cells, and the declarations of operators."""
    for statement in _GUARD:
        database.execute(statement)


def _from_3(database: Database) -> None:
    """Add what protects numbers: tokens, audit, deletions, digests of files, fatal exports."""
    for statement in _TRUST:
        database.execute(statement)
    database.execute("ALTER TABLE runs ADD COLUMN asked_by TEXT")


MIGRATIONS: Final[Mapping[int, Callable[[Database], None]]] = {
    1: _from_1,
    2: _from_2,
    3: _from_3,
}
"""By schema version, the step to the next one. A step is never changed once it is released."""
