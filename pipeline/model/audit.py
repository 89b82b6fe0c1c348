"""The audit log as values: acts, lines, and the chain of their hashes with its checks."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

NOTHING_BEFORE: Final = "0" * 64
"""The hash that the first line has of the line before."""
NEWER: Final = "the catalog is older than the file, and knows its lines only up to line"
FOLLOW: Final = (
    "a catalog from a backup follows the revocations of the file once bufdir reindex is started"
)
_MOST_CHARACTERS: Final = 500


class Act(StrEnum):
    """The kind of an act."""

    CREATE = "create"
    """The first run of a snapshot was asked for."""
    REFRESH = "refresh"
    DELETE = "delete"
    UNDELETE = "undelete"
    RUN = "run"
    """The run of one snapshot ended."""
    NIGHTLY = "nightly"
    """A nightly run ended."""
    REINDEX = "reindex"
    ACCEPT = "accept"
    UNACCEPT = "unaccept"
    RETIRE = "retire"
    UNRETIRE = "unretire"
    TOKEN_CREATE = "token_create"  # noqa: S105 (the name of an act)
    TOKEN_REVOKE = "token_revoke"  # noqa: S105 (the name of an act)
    REFUSE = "refuse"
    """Requests were refused."""
    REPAIR = "repair"
    """The file was found in another state than the catalog knew: torn, or longer."""


class AuditEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One act. Has no token and no participant."""

    id: str
    """Drawn at random, so that no act is written twice."""
    at: datetime
    who: str
    """The name of a token, `anonymous`, or `local:` and the user of this computer."""
    address: str | None = msgspec.field(name="from")
    act: Act
    what: str
    end: str
    count: int = 1
    """The number of equal acts; over 1 for refusals only."""


class AuditLine(AuditEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the audit log."""

    line: int
    """The number of the line, from 1."""
    previous: str
    """The SHA-256 of the line before, without its end."""


class Tail(msgspec.Struct, frozen=True):
    """The last line of the audit log that the catalog knows."""

    line: int
    hash: str


class ChainProblem(msgspec.Struct, frozen=True):
    """A place where the chain is broken."""

    line: int
    """The line of the file, from 1."""
    problem: str


def shortened(text: str) -> str:
    """Bound a text that a line has."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def hash_of(raw: bytes) -> str:
    """Give the hash of a line, without its end."""
    return sha256(raw).hexdigest()


def chained(entries: Iterable[AuditEntry], tail: Tail) -> Iterator[bytes]:
    """Encode acts as the lines that follow a line, each with its end."""
    for entry in entries:
        fields = msgspec.structs.asdict(entry)
        line = AuditLine(**fields, line=tail.line + 1, previous=tail.hash)
        raw = msgspec.json.encode(line)
        tail = Tail(line.line, hash_of(raw))
        yield raw + b"\n"


def decoded(raw: bytes) -> AuditLine | None:
    """Decode a line; None where it is none."""
    try:
        return msgspec.json.decode(raw, type=AuditLine)
    except (msgspec.DecodeError, ValueError):
        return None


def is_unknown(line: AuditLine, known: Tail | None, waiting: Collection[str]) -> bool:
    """Return whether a catalog does not know a line, so that it is older than the file.

    A killed process may leave lines in the file whose acts still wait in the catalog.

    Args:
        line: The line.
        known: The last line that the catalog knows; None before the first one.
        waiting: The ids of the acts that wait there.
    """
    is_later = known is None or line.line > known.line
    return is_later and line.id not in waiting and line.act is not Act.REPAIR


def problems_of(
    lines: Iterable[bytes], known: Tail | None, waiting: Collection[str]
) -> list[ChainProblem]:
    """Find where the chain of an audit log is broken, or longer than the catalog knows.

    Args:
        lines: The lines of the file, in order, each with its end.
        known: The last line that the catalog knows.
        waiting: The ids of the acts that wait in the catalog.
    """
    found: list[ChainProblem] = []
    tail, place, is_known, unknown = Tail(0, NOTHING_BEFORE), 0, known is None, 0
    for place, whole in enumerate(lines, start=1):
        raw = whole.removesuffix(b"\n")
        line = decoded(raw)
        found += _problems_of_line(place, line, tail, is_torn=raw == whole)
        if line is not None and is_unknown(line, known, waiting):
            unknown = unknown or place
        tail = Tail(tail.line + 1 if line is None else line.line, hash_of(raw))
        if tail.line == (known and known.line):
            is_known = True
            if tail != known:
                found.append(ChainProblem(place, "it was changed after it was written"))
    if known is not None and not is_known:
        problem = f"the catalog knows {known.line} lines; those at the end were removed"
        found.append(ChainProblem(place + 1, problem))
    if unknown:
        problem = f"{NEWER} {known.line if known else 0}; {FOLLOW}"
        found.append(ChainProblem(unknown, problem))
    return found


def _problems_of_line(
    place: int, line: AuditLine | None, before: Tail, *, is_torn: bool
) -> Iterator[ChainProblem]:
    if is_torn:
        yield ChainProblem(place, "it is torn; the next command that writes a line cuts it off")
    elif line is None:
        yield ChainProblem(place, "it is no line of an audit log")
    elif line.line != before.line + 1:
        problem = (
            f"it has the number {line.line}, not {before.line + 1}: lines were removed or moved"
        )
        yield ChainProblem(place, problem)
    elif line.previous != before.hash:
        yield ChainProblem(place - 1, f"it was changed after line {place} was written")
