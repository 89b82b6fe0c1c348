"""The audit log: `audit.jsonl` in the data folder, and its outbox in the catalog.

An act is recorded in the outbox by the transaction that commits it, so no act lacks its line. After
the commit the outbox is moved to the file. A process that is killed in between leaves its acts to
the next one that records something. Lines are only ever appended, each with the hash of the one
before.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.model import audit
from pipeline.model.audit import Act, AuditEntry, AuditLine, Tail

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from pipeline.model.access import Caller
    from pipeline.storage.database import Database

FILE: Final = "audit.jsonl"
DONE: Final = "done"
FAILED: Final = "failed"
QUEUED: Final = "queued"
"""The end of a request that started a run, or was added to one."""
UNCHANGED: Final = "unchanged"
_MODE: Final = 0o640
_BATCH: Final = 500
"""Acts that are moved to the file at once."""
_MOST_REPAIRS: Final = 4
"""More lines than a killed process leaves in addition to its acts."""
_BLOCK_BYTES: Final = 64 * 1024


def record(  # noqa: PLR0913 (one argument a field)
    catalog: Database,
    caller: Caller,
    act: Act,
    what: str,
    *,
    end: str = DONE,
    count: int = 1,
) -> None:
    """Put an act into the outbox, as part of the transaction around this call.

    Its instant is the computer's own: no caller decides it.
    """
    entry = AuditEntry(
        id=secrets.token_hex(8),
        at=datetime.now(UTC).replace(microsecond=0),
        who=caller.name,
        address=caller.address,
        act=act,
        what=audit.shortened(what),
        end=audit.shortened(end),
        count=count,
    )
    body = msgspec.json.encode(entry).decode()
    catalog.execute("INSERT INTO audit_outbox (body) VALUES (?)", (body,))


def pending(catalog: Database) -> int:
    """Count the acts that the file does not have yet."""
    ((count,),) = catalog.execute("SELECT count(*) FROM audit_outbox")
    return int(count)


def tail(catalog: Database) -> Tail | None:
    """Read the last line that the catalog knows; None before the first one."""
    rows = catalog.execute("SELECT line, hash FROM audit_tail")
    return catalog.decode(rows[0], Tail) if rows else None


def waiting(catalog: Database) -> frozenset[str]:
    """Read the ids of the acts that wait in the outbox."""
    rows = catalog.execute("SELECT body FROM audit_outbox")
    return frozenset(msgspec.json.decode(row["body"], type=AuditEntry).id for row in rows)


def drain(catalog: Database, data: Path) -> None:
    """Move the outbox to the file; acts that are in the file already are not written again.

    Raises:
        OSError: The file can't be written; the acts stay in the outbox.
        StoreUnusable, StoreDamaged: The catalog can't be read or written at the moment.
    """
    with _locked(data / FILE) as descriptor:
        while rows := catalog.execute(
            f"SELECT id, body FROM audit_outbox ORDER BY id LIMIT {_BATCH}"
        ):
            entries = [msgspec.json.decode(row["body"], type=AuditEntry) for row in rows]
            last = _append(descriptor, entries, tail(catalog))
            with catalog.transaction():
                catalog.execute("DELETE FROM audit_outbox WHERE id <= ?", (rows[-1]["id"],))
                catalog.execute(
                    "INSERT OR REPLACE INTO audit_tail (id, line, hash) VALUES (1, ?, ?)",
                    (last.line, last.hash),
                )


def lines(data: Path) -> Iterator[bytes]:
    """Read the file, one line after the other, each with its end; none where there is no file."""
    with unchanging(data) as found:
        yield from found


@contextmanager
def unchanging(data: Path) -> Iterator[Iterable[bytes]]:
    """Give the lines of the file, each with its end, while no process adds any.

    None are given where there is no file. Within the block the catalog agrees with the file, as
    processes change both under one lock.
    """
    try:
        file = (data / FILE).open("rb")
    except FileNotFoundError:
        yield ()
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield file


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the file during the block, for one process at a time; make it where it is missing."""
    is_new = not path.exists()
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_new:
            _flush_folder(path.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _append(descriptor: int, entries: Sequence[AuditEntry], known: Tail | None) -> Tail:
    """Append these acts where the file lacks them, flush it, and return its last line.

    Args:
        descriptor: The file, which is locked.
        entries: The acts, in order.
        known: The last line that the catalog knows: where the file has fewer, the chain goes on
            from there, so that the gap is seen.
    """
    repair = _cut_torn_line(descriptor)
    last_lines = _last_lines(descriptor, len(entries) + _MOST_REPAIRS)
    written = [line for raw in last_lines if (line := audit.decoded(raw)) is not None]
    ids = {line.id for line in written}
    end = _end_of(last_lines) or Tail(0, audit.NOTHING_BEFORE)
    repair += _repair_of_older(written, known, {entry.id for entry in entries})
    if known is not None and known.line > end.line:
        end = known
    missing = [*repair, *(entry for entry in entries if entry.id not in ids)]
    added = list(audit.chained(missing, end))
    if added:
        _write(descriptor, b"".join(added))
    return Tail(end.line + len(added), audit.hash_of(added[-1][:-1])) if added else end


def _end_of(last_lines: Sequence[bytes]) -> Tail | None:
    """Give the number and hash of the last line; one that can't be read counts by its place."""
    for back, raw in enumerate(reversed(last_lines)):
        line = audit.decoded(raw)
        if line is not None:
            return Tail(line.line + back, audit.hash_of(last_lines[-1]))
    return None if not last_lines else Tail(len(last_lines), audit.hash_of(last_lines[-1]))


def _cut_torn_line(descriptor: int) -> list[AuditEntry]:
    """Cut off a last line without an end, which a killed process left; return the act of that."""
    size = os.fstat(descriptor).st_size
    position = size
    while position > 0:
        begin = max(0, position - _BLOCK_BYTES)
        block = os.pread(descriptor, position - begin, begin)
        newline = block.rfind(b"\n")
        if newline >= 0:
            position = begin + newline + 1
            break
        position = begin
    if position == size:
        return []
    os.ftruncate(descriptor, position)
    return [_repair(f"a torn line of {size - position} bytes at the end was cut off")]


def _repair_of_older(
    written: Sequence[AuditLine], known: Tail | None, waiting: Collection[str]
) -> list[AuditEntry]:
    """Put on record that the catalog is older than the file: after this, it knows all lines."""
    if known is None or not any(audit.is_unknown(line, known, waiting) for line in written):
        return []
    return [_repair(f"{audit.NEWER} {known.line}")]


def _repair(what: str) -> AuditEntry:
    return AuditEntry(
        id=secrets.token_hex(8),
        at=datetime.now(UTC).replace(microsecond=0),
        who="audit",
        address=None,
        act=Act.REPAIR,
        what=what,
        end=DONE,
    )


def _last_lines(descriptor: int, count: int) -> list[bytes]:
    """Read the last complete lines, without their ends."""
    position = os.fstat(descriptor).st_size
    content = b""
    while position > 0 and content.count(b"\n") <= count:
        begin = max(0, position - _BLOCK_BYTES)
        content = os.pread(descriptor, position - begin, begin) + content
        position = begin
    return content.split(b"\n")[:-1][-count:]


def _write(descriptor: int, content: bytes) -> None:
    """Append bytes and flush them; where that fails, the file is as it was."""
    size = os.fstat(descriptor).st_size
    try:
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
