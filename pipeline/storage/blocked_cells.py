"""The list of blocked cells: what the last run of each decided not to publish, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.model.blocked import BlockedCell

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pipeline.storage.database import Database


def read(catalog: Database) -> Sequence[BlockedCell]:
    """Read the list, by organisation and period."""
    rows = catalog.execute("SELECT body FROM blocked_cells ORDER BY org_id, reporting_period_id")
    try:
        return [msgspec.json.decode(row["body"], type=BlockedCell) for row in rows]
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise catalog.damaged(f"the list of blocked cells: {error}") from error


def find(catalog: Database, org_id: str, period_id: str) -> BlockedCell | None:
    """Read a cell of the list, where it is on it."""
    return next((one for one in read(catalog) if one.key == (org_id, period_id)), None)


def write(
    catalog: Database, cells: Sequence[BlockedCell], decided: Collection[tuple[str, str]] | None
) -> None:
    """Replace what the list has of some cells, or the whole list.

    Args:
        catalog: The catalog.
        cells: The blocked ones.
        decided: All cells that a run has decided, by organisation and period; None is every cell.
    """
    with catalog.transaction():
        if decided is None:
            catalog.execute("DELETE FROM blocked_cells")
        for cell in decided or ():
            catalog.execute(
                "DELETE FROM blocked_cells WHERE org_id = ? AND reporting_period_id = ?", cell
            )
        for one in cells:
            catalog.execute(
                "INSERT OR REPLACE INTO blocked_cells VALUES (?, ?, ?)",
                (*one.key, msgspec.json.encode(one).decode()),
            )


def count(catalog: Database) -> int:
    """Count the blocked cells."""
    ((number,),) = catalog.execute("SELECT count(*) FROM blocked_cells")
    return int(number)
