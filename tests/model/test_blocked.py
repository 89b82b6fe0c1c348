"""Sentences about blocked cells: the reason, and a command that does no more than it should."""

from __future__ import annotations

from pipeline.model.blocked import BlockedCell, problem, remedy
from pipeline.model.states import Reason


def cell(
    org_id: str, quarter: int, reason: Reason, *, rows: tuple[int, int] | None = None
) -> BlockedCell:
    """Make a blocked cell; one without rows before and now has no version."""
    before, now = rows or (0, 3)
    id_ = f"agg-00{quarter}" if rows else None
    return BlockedCell(id_, org_id, f"rp-2024-q{quarter}", reason, ("a b.parquet",), before, now)


def test_the_command_that_forces_names_no_cell_that_is_not_blocked() -> None:
    refused = [
        cell(org_id, quarter, Reason.REFUSED_EXPORT, rows=(9, 1))
        for org_id, quarters in (("a", (1, 2)), ("b", (2,)), ("c", (1, 2)))
        for quarter in quarters
    ]
    assert remedy(refused) == (
        "put a whole export in its place, or count without it: "
        "bufdir run --force --org a --org c --period rp-2024-q1 --period rp-2024-q2; "
        "bufdir run --force --org b --period rp-2024-q2"
    )


def test_rows_of_cells_without_a_version_are_not_among_those_that_are_left() -> None:
    cells = [cell("a", 1, Reason.GONE, rows=(9, 1)), cell("a", 2, Reason.GONE)]
    assert problem(cells) == "export a b.parquet is gone, and 1 of 9 rows are left"
    assert remedy(cells).endswith("bufdir retire 'a b.parquet' --keep (or --retract)")
    assert problem(cells[1:]) == (
        "export a b.parquet is gone, and published snapshots with the same months rest on it"
    )


def test_only_snapshots_with_a_version_are_to_be_accepted() -> None:
    cells = [cell("a", 1, Reason.SHRUNK, rows=(90, 1)), cell("a", 2, Reason.SHRUNK)]
    assert "bufdir accept agg-001 (with --keep" in remedy(cells)
    assert remedy(cells[1:]) == (
        "export it again, or count what is left: bufdir run --force --org a --period rp-2024-q2"
    )
