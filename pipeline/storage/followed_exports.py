"""The exports of versions under the names that these have now, where files have moved since.

A version file names the exports from which it was counted, and never changes. Files are renamed,
copied and merged later. So that each change is found once, by comparison with the last run, the
catalog has what a run has found. It is of one version: a newer one has names of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.storage.database import Database


@dataclass(frozen=True, slots=True)
class FollowedExports:
    """The exports of one version under their names of now."""

    number: int
    """The number of the snapshot."""
    version: int
    exports: Mapping[str, int]
    """The rows of the version by export."""


def read(catalog: Database) -> Mapping[tuple[int, int], Mapping[str, int]]:
    """Read the rows by export of each version whose exports have other names now.

    Returns:
        The rows by export, by the number of the snapshot and that of the version.

    Raises:
        StoreDamaged: They are not what was written.
    """
    rows = catalog.execute("SELECT number, version, body FROM followed_exports")
    try:
        return {
            (row["number"], row["version"]): msgspec.json.decode(row["body"], type=dict[str, int])
            for row in rows
        }
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise catalog.damaged(f"the names of exports: {error}") from error


def write(catalog: Database, followed: Iterable[FollowedExports]) -> None:
    """Write the exports of these versions, in the place of what earlier ones had."""
    with catalog.transaction():
        for one in followed:
            catalog.execute(
                "INSERT OR REPLACE INTO followed_exports VALUES (?, ?, ?)",
                (one.number, one.version, msgspec.json.encode(one.exports).decode()),
            )


def delete(catalog: Database, number: int) -> None:
    """Delete those of one snapshot."""
    catalog.execute("DELETE FROM followed_exports WHERE number = ?", (number,))
