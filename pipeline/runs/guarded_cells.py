"""The judgement of the guard on all cells of a run, each compared export by export. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.model.cells import NO_CONTENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model.cells import Cell, CellContent
    from pipeline.model.declarations import Declaration
    from pipeline.runs.guard import Fall, Guard
    from pipeline.runs.published import Published, SurveyedCells


@dataclass(frozen=True, slots=True)
class GuardedCells:
    """The judgement of the guard on published cells whose rows, or declarations, are others now."""

    falls: Mapping[Cell, Fall]
    """The falls that are not published by themselves."""
    declared: Mapping[Cell, Sequence[Declaration]]
    """What operators have declared about these changes."""
    fallen: Mapping[str, Sequence[Cell]]
    """The cells of falls by organisation."""
    followed: Mapping[Cell, Mapping[str, int]]
    """The rows of versions by export under the names of now, where these differ."""

    def fall(self, cell: Cell, published: Published | None, content: CellContent) -> Fall | None:
        """Find the fall of a cell; without a version, that of one that has months of it."""
        if published is not None and published.entry.version:
            return self.falls.get(cell)
        for other in self.fallen.get(cell.org_id, ()):
            if other.period.overlaps(cell.period):
                return replace(self.falls[other], before=0, now=content.rows)
        return None


def judge(
    survey: SurveyedCells,
    entries: Mapping[Cell, Published],
    contents: Mapping[str, Mapping[Cell, CellContent]],
    guard: Guard,
) -> GuardedCells:
    """Compare each version that has other rows now with these, export by export.

    Args:
        survey: The rows of the exports.
        entries: The snapshots, by cell.
        contents: The rows of each cell that has any, by kind of period.
        guard: The bounds of falls, and what has become of exports since versions were counted.
    """
    moved = guard.changes.moved
    other = {
        cell: one
        for cell, one in entries.items()
        if one.entry.version
        and (
            contents[cell.period.kind].get(cell, NO_CONTENT).digest != one.entry.row_digest
            or guard.keeps(one.entry)
        )
    }
    same = {
        cell: one.exports
        for cell, one in entries.items()
        if cell not in other and one.exports and not one.exports.keys().isdisjoint(moved)
    }
    wanted = [*other, *same]
    now = survey.rows_by_export(wanted) if wanted else {}
    falls, declared = {}, {}
    for cell, one in other.items():
        fall = guard.fall(one.entry, one.exports, now[cell])
        if fall is not None:
            falls[cell] = fall
        declared[cell] = guard.declared(one.entry, one.exports, now[cell])
    fallen: dict[str, list[Cell]] = {}
    for cell in falls:
        fallen.setdefault(cell.org_id, []).append(cell)
    followed = {cell: now[cell] for cell in same}
    for cell, one in other.items():
        if one.exports:
            followed[cell] = guard.changes.followed(one.exports, now[cell])
    followed = {
        cell: exports for cell, exports in followed.items() if exports != entries[cell].exports
    }
    return GuardedCells(falls, declared, fallen, followed)
