"""The SQLite file: how it is opened, transactions, and the one translation of SQLite's errors.

Rollback journal with full sync, not WAL: Debian 12 ships SQLite 3.40, which has the WAL-reset
bug, and several processes share this file.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Final, Literal, Self, TypeVar
from urllib.parse import quote

import msgspec

from pipeline.errors import StoreDamaged, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

Decoded = TypeVar("Decoded")

BUSY_SECONDS: Final = 60
"""The longest wait for another process that writes."""
REBUILD: Final = "rebuild it with bufdir reindex"
_PRIMARY: Final = 0xFF
"""The bits of an extended error code with the primary one."""
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
    }
)
"""The primary codes of errors that leave the file as it was. All others mean damage, even a
missing table: every statement is ours, and runs in the tests."""


class Database:
    """One connection to a SQLite file, or to a copy in memory; for one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Use a connection to the file, or to a copy of it in memory; the path is for messages."""
        connection.row_factory = sqlite3.Row
        self.connection = connection
        self.path = path
        self._refuses_writes = False

    def flush_writes(self) -> None:
        """Have each transaction outlast a power cut, and need no second file."""
        self.execute("PRAGMA journal_mode = DELETE")
        self.execute("PRAGMA synchronous = EXTRA")

    def refuse_writes(self) -> None:
        """Let this connection only read from now on."""
        self.execute("PRAGMA query_only = ON")
        self._refuses_writes = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a transaction that is open is rolled back."""
        self.connection.close()

    def execute(
        self, sql: str, params: Sequence[object] | Mapping[str, object] = ()
    ) -> list[sqlite3.Row]:
        """Run one statement, and return all its rows.

        Raises:
            StoreUnusable: The file can't be read or written at the moment.
            StoreDamaged: The content of the file is not what was written.
        """
        try:
            return self.connection.execute(sql, params).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translated(error) from error

    def change(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one statement that changes rows, and return how many it changed.

        Raises:
            StoreUnusable, StoreDamaged: As `execute`.
        """
        try:
            return self.connection.execute(sql, params).rowcount
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translated(error) from error

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement that changes rows, with each of these values.

        Raises:
            StoreUnusable, StoreDamaged: As `execute`.
        """
        try:
            self.connection.executemany(sql, rows)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translated(error) from error

    @contextmanager
    def transaction(self, kind: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
        """Make all writes of the block visible at once, or none; inside another one, part of it.

        A deferred transaction is for reading: all its statements see the same moment.
        """
        if self._is_in_transaction():
            yield
            return
        self.execute(f"BEGIN {kind}")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back after some errors, such as a full disk.
            if self._is_in_transaction():
                self.execute("ROLLBACK")
            raise

    def _is_in_transaction(self) -> bool:
        return self.connection.in_transaction

    def lock_for_reading(self) -> None:
        """Prevent writes of others until the transaction around this call has ended."""
        self.execute("SELECT 1 FROM sqlite_schema LIMIT 1")

    def copy_to(self, target: Database) -> None:
        """Copy all content into another database, as of one moment."""
        with self.transaction("DEFERRED"):
            self.lock_for_reading()  # without it, the copy would wait for a writer without end
            try:
                self.connection.backup(target.connection)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise self._translated(error) from error

    def check_integrity(self, *, quick: bool = False) -> None:
        """Have SQLite check all of the file; a quick check leaves out the entries of indexes.

        Raises:
            StoreDamaged: SQLite found damage.
        """
        ((found,), *_) = self.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check")
        if found != "ok":
            raise self.damaged(str(found))

    def decode(self, row: sqlite3.Row | Mapping[str, object], kind: type[Decoded]) -> Decoded:
        """Convert a row to a value with a field for each column.

        Raises:
            StoreDamaged: A column has a value that its field can't have.
        """
        try:
            return msgspec.convert(dict(row), kind)
        except msgspec.ValidationError as error:
            raise self.damaged(str(error)) from error

    def damaged(self, problem: str, remedy: str = REBUILD) -> StoreDamaged:
        """Make the error that names this file, the problem, and what to do."""
        return StoreDamaged(str(self.path), f"{problem}; {remedy}")

    def _translated(self, error: Exception) -> Exception:
        """Translate SQLite's error; one that means a wrong call of ours stays what it is."""
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            return error
        # Text that is no UTF-8, in a row or in SQLite's own message, is an error without a code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & _PRIMARY not in _PASSING or self._is_locked_by_its_header(code):
            return self.damaged(str(error))
        return StoreUnusable(str(self.path), str(error))

    def _is_locked_by_its_header(self, code: int) -> bool:
        """Return whether a file is read-only to SQLite, but not to the system.

        Then a wrong write version in its header forbids writing. The header itself is not read:
        closing the file would drop the locks that other connections of this process hold.
        """
        if self._refuses_writes or code != sqlite3.SQLITE_READONLY:
            return False
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)


def connect(path: Path, *, busy_seconds: float, is_read_only: bool = False) -> sqlite3.Connection:
    """Connect to a SQLite file.

    Args:
        path: The file; it is made where it is missing, unless the connection is read-only.
        busy_seconds: The longest wait for another process that writes.
        is_read_only: Make nothing. SQLite itself may still restore the state before a
            transaction that a power cut interrupted.

    Raises:
        StoreUnusable: The file can't be opened.
    """
    address = str(path)
    if is_read_only:
        # SQLite undoes an interrupted transaction only where it may write, so not mode=ro.
        address = f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"
    try:
        return sqlite3.connect(
            address,
            uri=is_read_only,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.OperationalError as error:
        raise StoreUnusable(str(path), str(error)) from error


def connect_to_memory() -> sqlite3.Connection:
    """Connect to an empty database in memory."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def text_of(instant: datetime) -> str:
    """Write an instant as the catalog does: UTC, to the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
