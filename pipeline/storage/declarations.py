"""Declarations of operators: exports that are gone on purpose, and falls that are meant.

A later run reads them. A declaration about an export ends when the export is back. One about a
snapshot ends with its next version.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pipeline.model.states import Retirement
from pipeline.storage import nightly_record
from pipeline.storage.database import text_of
from pipeline.storage.entries import json_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.storage.database import Database


class RetiredExport(msgspec.Struct, frozen=True):
    """An export that is gone on purpose."""

    name: str
    retirement: Retirement
    declared_at: datetime
    declared_by: str
    note: str


class AcceptedFall(msgspec.Struct, frozen=True):
    """A fall of one snapshot that is meant."""

    number: int
    """The number of the snapshot."""
    rows: int
    """The rows to which it falls."""
    kept: bool
    """Whether the fall is never published: the numbers stay."""
    declared_at: datetime
    declared_by: str
    note: str


def retired(catalog: Database) -> Mapping[str, RetiredExport]:
    """Read the exports that are gone on purpose, by name."""
    rows = catalog.execute("SELECT * FROM retired_exports ORDER BY name")
    return {row["name"]: catalog.decode(row, RetiredExport) for row in rows}


def retire(catalog: Database, declared: Sequence[RetiredExport]) -> None:
    """Declare exports to be gone on purpose; a later declaration replaces an earlier one."""
    with catalog.transaction():
        for one in declared:
            catalog.execute(
                "INSERT OR REPLACE INTO retired_exports VALUES (?, ?, ?, ?, ?)",
                (one.name, one.retirement, text_of(one.declared_at), one.declared_by, one.note),
            )
        nightly_record.void(catalog)


def unretire(catalog: Database, names: Collection[str]) -> None:
    """Take such declarations back."""
    if names:
        with catalog.transaction():
            end_retirements(catalog, names)
            nightly_record.void(catalog)


def end_retirements(catalog: Database, names: Collection[str]) -> None:
    """End such declarations, because a nightly run has found the exports again."""
    catalog.execute(
        "DELETE FROM retired_exports WHERE name IN (SELECT value FROM json_each(?))",
        (json_of(names),),
    )


def accepted(catalog: Database) -> Mapping[int, AcceptedFall]:
    """Read the falls that are meant, by the number of the snapshot."""
    rows = catalog.execute("SELECT * FROM accepted_falls ORDER BY number")
    found = [catalog.decode({**row, "kept": bool(row["kept"])}, AcceptedFall) for row in rows]
    return {one.number: one for one in found}


def accept(catalog: Database, declared: Sequence[AcceptedFall]) -> None:
    """Declare falls to be meant; a later declaration replaces an earlier one."""
    with catalog.transaction():
        for one in declared:
            catalog.execute(
                "INSERT OR REPLACE INTO accepted_falls VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(one.number, one.rows, one.kept),
                    *(text_of(one.declared_at), one.declared_by, one.note),
                ),
            )
        nightly_record.void(catalog)


def unaccept(catalog: Database, numbers: Collection[int]) -> None:
    """Take such declarations back."""
    with catalog.transaction():
        end_accepted(catalog, numbers)
        nightly_record.void(catalog)


def end_accepted(catalog: Database, numbers: Collection[int]) -> None:
    """End such declarations, because each snapshot has a new version, or its rows back."""
    catalog.execute(
        "DELETE FROM accepted_falls WHERE number IN (SELECT value FROM json_each(?))",
        (json_of(numbers),),
    )
