"""The record of the last nightly run: by which terms, over which files, with which result.

A run claims the record when it begins and writes it when it ends. An undeletion or a declaration
in between voids the claim, because the run has decided without it; the record is then not current.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.storage.database import Database


class FileRecord(msgspec.Struct, frozen=True):
    """An export as the nightly run found it."""

    fingerprint: tuple[int, int, int, int]
    """The account of the file that its location gave; zeros where it is not known."""
    rows: int | None
    problem: str | None
    """The reason for which it was refused; None where it was accepted."""
    organisations: tuple[str, ...]
    """The organisations that it named when it could last be read."""
    checksum: str | None
    """The content checksum: the same for the same rows in any order."""

    @property
    def is_complete(self) -> bool:
        """Whether a nightly run has found it; other runs know a part of its organisations."""
        return self.rows is not None or self.problem is not None


class NightlyRecord(msgspec.Struct, frozen=True):
    """All that the next nightly run compares with."""

    run_id: int
    """The nightly run; 0 before the first."""
    ended_at: datetime
    terms: str
    """The digest of the terms."""
    inputs: str
    """The digest of terms and files together."""
    files: dict[str, FileRecord]
    """By name, the refused ones too."""
    until: datetime | None
    """The instant at which the first deferred period begins; None where none is deferred."""
    ignored_columns: tuple[str, ...]
    """The columns without a meaning that a nightly run has named so far."""
    retained_snapshots: tuple[int, ...] = ()
    """The numbers of snapshots that stay as they are, as operators declared with --keep."""
    other_files: tuple[str, ...] = ()
    """The files of no source that a nightly run has named so far."""
    gone: dict[str, FileRecord] = {}
    """The exports that are gone and that versions rest on, by name."""
    set_aside: tuple[str, ...] = ()
    """The exports of older dumps that a nightly run has named so far."""
    last_new: dict[str, datetime] = {}
    """By source, the instant at which an export of a new name or content was last found."""
    unlisted: dict[str, str] = {}
    """By name, the problem of each refused file that is no export: a list of checksums, or a file
    that a list has and the location has not."""


EMPTY: Final = NightlyRecord(0, datetime.fromtimestamp(0, UTC), "", "", {}, None, ())
"""The record before the first nightly run. No run owns it, so it is never current."""


def read(catalog: Database) -> NightlyRecord | None:
    """Read the record that was written last, current or not.

    Raises:
        StoreDamaged: The record in the catalog is not what was written.
    """
    rows = catalog.execute("SELECT body FROM nightly_record WHERE body IS NOT NULL")
    if not rows:
        return None
    try:
        return msgspec.json.decode(rows[0]["body"], type=NightlyRecord)
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise catalog.damaged(f"the record of the last nightly run: {error}") from error


def is_current(catalog: Database) -> bool:
    """Return whether the record's run still owns it.

    Nothing was undeleted or declared since it began.
    """
    return bool(
        catalog.execute(
            "SELECT 1 FROM nightly_record WHERE body IS NOT NULL AND claimed_by = run_id"
        )
    )


def claim(catalog: Database, run_id: int) -> None:
    """Make a nightly run, which begins, the owner; the record so far is no longer current."""
    catalog.execute(
        "INSERT INTO nightly_record (id, claimed_by) VALUES (1, ?) "
        "ON CONFLICT (id) DO UPDATE SET claimed_by = excluded.claimed_by",
        (run_id,),
    )


def write(catalog: Database, record: NightlyRecord) -> bool:
    """Store the record of a nightly run; return whether that run still owns it.

    The record is stored in either case: which files name which organisations stays true.
    """
    ((claimed_by,),) = catalog.execute(
        "INSERT INTO nightly_record (id, run_id, body) VALUES (1, ?, ?) ON CONFLICT (id) "
        "DO UPDATE SET run_id = excluded.run_id, body = excluded.body RETURNING claimed_by",
        (record.run_id, msgspec.json.encode(record).decode()),
    )
    return bool(claimed_by == record.run_id)


def void(catalog: Database) -> None:
    """Take the record, or the right to write it, from its run."""
    catalog.execute("UPDATE nightly_record SET claimed_by = NULL")


def add_organisations(catalog: Database, named: Mapping[str, Collection[str]]) -> None:
    """Add organisations that a run between two nightly runs found in files.

    Args:
        catalog: The catalog.
        named: The organisations by name of the file; others that it named before stay.
    """
    with catalog.transaction():
        record = read(catalog) or EMPTY
        files = dict(record.files)
        for name, organisations in named.items():
            file = files.get(name, FileRecord((0, 0, 0, 0), None, None, (), None))
            both = tuple(sorted({*file.organisations, *organisations}))
            files[name] = msgspec.structs.replace(file, organisations=both)
        if files != record.files:
            write(catalog, msgspec.structs.replace(record, files=files))
