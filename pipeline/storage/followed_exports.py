"""The exports of versions under the names that these have now, where files have moved since.

A version file names the exports from which it was counted, and never changes. Files are renamed,
copied and merged later. So that each change is found once, by comparison with the last run, the
catalog has what a run has found. A new version ends that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.storage.entries import json_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.storage.database import Database


def read(catalog: Database) -> Mapping[int, Mapping[str, int]]:
    """Read the rows by export of each snapshot whose exports have other names now, by number.

    Raises:
        StoreDamaged: They are not what was written.
    """
    rows = catalog.execute("SELECT number, body FROM followed_exports")
    try:
        return {
            row["number"]: msgspec.json.decode(row["body"], type=dict[str, int]) for row in rows
        }
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise catalog.damaged(f"the names of exports: {error}") from error


def write(catalog: Database, followed: Mapping[int, Mapping[str, int]]) -> None:
    """Write the rows by export of these snapshots."""
    for number, exports in followed.items():
        catalog.execute(
            "INSERT OR REPLACE INTO followed_exports VALUES (?, ?)",
            (number, msgspec.json.encode(exports).decode()),
        )


def end(catalog: Database, numbers: Collection[int]) -> None:
    """Delete those of these snapshots, because each has a new version, or is deleted."""
    catalog.execute(
        "DELETE FROM followed_exports WHERE number IN (SELECT value FROM json_each(?))",
        (json_of(numbers),),
    )
