"""Digests in the catalog: the SHA-256 of each version file, and how far nightly runs have checked.

A version file never changes, so its digest is written once, in the transaction that publishes it.
Files of earlier releases have the digest with which the first nightly run found them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.model.damage import DamagedFile
from pipeline.storage.database import text_of
from pipeline.storage.entries import AMONG, json_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.storage.database import Database

UNKNOWN: Final = ""
"""The digest of a file of an earlier release that was damaged when it was first looked at."""
Place = tuple[int, int]
"""The number of a snapshot, and that of its version."""


class Progress(msgspec.Struct, frozen=True):
    """The last version file that a nightly run has checked, and when."""

    checked_at: datetime
    number: int
    version: int


def digest_of(content: bytes) -> str:
    """Digest the content of a file."""
    return hashlib.sha256(content).hexdigest()


def write(catalog: Database, digests: Mapping[Place, str]) -> None:
    """Write the digests of these version files."""
    with catalog.transaction():
        catalog.execute_many(
            "INSERT OR REPLACE INTO file_digests VALUES (?, ?, ?)",
            [(*place, sha256) for place, sha256 in digests.items()],
        )


def find(catalog: Database, number: int, version: int) -> str | None:
    """Read the digest of a version file; None where it is not known."""
    rows = catalog.execute(
        "SELECT sha256 FROM file_digests WHERE number = ? AND version = ?", (number, version)
    )
    return str(rows[0]["sha256"]) or None if rows else None


def all_of(catalog: Database, numbers: Sequence[int]) -> Mapping[Place, str]:
    """Read the digests of all versions of these snapshots, unknown ones too."""
    return _read(catalog, f"WHERE {AMONG}", json_of(numbers))


def read(catalog: Database) -> Mapping[Place, str]:
    """Read all digests, in the order of snapshots and versions."""
    return _read(catalog, "")


def after(catalog: Database, place: Place, limit: int) -> Mapping[Place, str]:
    """Read the digests of the next version files after this one; after the last comes the first."""
    following = _read(catalog, "WHERE (number, version) > (?, ?)", *place, limit=limit)
    first = _read(catalog, "", limit=limit - len(following))
    return {**following, **first}


def _read(catalog: Database, where: str, *params: object, limit: int = -1) -> dict[Place, str]:
    rows = catalog.execute(
        f"SELECT number, version, sha256 FROM file_digests {where} "
        "ORDER BY number, version LIMIT ?",
        (*params, limit),
    )
    return {(row["number"], row["version"]): row["sha256"] for row in rows}


def count(catalog: Database) -> int:
    """Count the version files with a digest."""
    ((number,),) = catalog.execute("SELECT count(*) FROM file_digests")
    return int(number)


def without_snapshot(catalog: Database) -> Mapping[int, int]:
    """Read the newest version of each snapshot that the catalog has lost: only digests are left."""
    rows = catalog.execute(
        "SELECT number, max(version) AS newest FROM file_digests "
        "WHERE number NOT IN (SELECT number FROM snapshots) "
        "AND number NOT IN (SELECT number FROM deletions) GROUP BY number"
    )
    return {row["number"]: row["newest"] for row in rows}


def delete(catalog: Database, places: Iterable[Place]) -> None:
    """Delete the digests of version files that are set aside."""
    for place in places:
        catalog.execute("DELETE FROM file_digests WHERE number = ? AND version = ?", place)


def delete_all_of(catalog: Database, number: int) -> None:
    """Delete the digests of a snapshot whose files are removed."""
    catalog.execute("DELETE FROM file_digests WHERE number = ?", (number,))


def progress(catalog: Database) -> Progress | None:
    """Read how far nightly runs have checked; None where none has since an upgrade or reindex."""
    rows = catalog.execute("SELECT checked_at, number, version FROM file_check")
    return catalog.decode(rows[0], Progress) if rows else None


def set_progress(catalog: Database, reached: Progress) -> None:
    """Record how far a nightly run has checked."""
    catalog.execute(
        "INSERT OR REPLACE INTO file_check VALUES (1, ?, ?, ?)",
        (text_of(reached.checked_at), reached.number, reached.version),
    )


def damaged(catalog: Database) -> Sequence[DamagedFile]:
    """Read the damage that the last nightly run found."""
    rows = catalog.execute("SELECT body FROM damaged_files ORDER BY rowid")
    try:
        return [msgspec.json.decode(row["body"], type=DamagedFile) for row in rows]
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise catalog.damaged(f"the list of damaged files: {error}") from error


def set_damaged(catalog: Database, found: Iterable[DamagedFile]) -> None:
    """Replace the list of damage."""
    with catalog.transaction():
        catalog.execute("DELETE FROM damaged_files")
        for one in found:
            catalog.execute(
                "INSERT INTO damaged_files VALUES (?)", (msgspec.json.encode(one).decode(),)
            )
