"""Blocked cells: cells whose numbers stay until somebody acts, and the sentences about them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from pipeline.model.states import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence


class BlockedCell(msgspec.Struct, frozen=True):
    """A cell whose numbers stay until somebody acts."""

    id: str | None
    """Its snapshot; None where it has no version."""
    org_id: str
    reporting_period_id: str
    reason: Reason
    exports: tuple[str, ...]
    """The exports because of which it is blocked."""
    rows_before: int
    """The rows of its version."""
    rows_now: int
    """The rows that would count."""

    problem: str = ""
    """The reason, as a sentence."""
    remedy: str = ""
    """The acts or the command that end it."""

    @property
    def key(self) -> tuple[str, str]:
        """Its organisation and period."""
        return self.org_id, self.reporting_period_id

    @property
    def sentence(self) -> str:
        """The reason and what ends it."""
        return f"{self.problem}; {self.remedy}"

    def described(self) -> BlockedCell:
        """Give the same cell with its sentences."""
        return msgspec.structs.replace(self, problem=problem([self]), remedy=remedy([self]))


def problem(cells: Sequence[BlockedCell]) -> str:
    """Describe why cells are blocked that have the same reason and exports."""
    first, exports = cells[0], cells[0].exports
    more = f" and {len(exports) - 1:,} more" if len(exports) > 1 else ""
    export = f"export {exports[0]}{more}" if exports else "an export"
    match first.reason:
        case Reason.GONE:
            return f"{export} is gone, and {_left(cells)}"
        case Reason.SHRUNK:
            return f"{export} has fewer rows than before, and {_left(cells)}"
        case Reason.RETIRED:
            return f"rows of {export} are gone as declared with --keep, and {_left(cells)}"
        case _:
            return f"{export}, which names {_organisations(cells)}, is refused now"


def _left(cells: Sequence[BlockedCell]) -> str:
    """Count the rows that are left; a cell without a version had none that could be compared."""
    rows = [(one.rows_now, one.rows_before) for one in cells if one.id]
    if not rows:
        return "published snapshots with the same months rest on it"
    now, before = map(sum, zip(*rows, strict=True))
    return f"{now:,} of {before:,} rows are left"


def remedy(cells: Sequence[BlockedCell]) -> str:
    """Describe what ends the block of cells that have the same reason and exports."""
    first = cells[0]
    ids = " ".join(cell.id for cell in cells if cell.id)
    match first.reason:
        case Reason.GONE:
            names = " ".join(map(shlex.quote, first.exports))
            return f"put it back, or declare why: bufdir retire {names} --keep (or --retract)"
        case Reason.SHRUNK if ids:
            return (
                f"export it again, or declare that it is meant: bufdir accept {ids} "
                "(with --keep it is not published, and the numbers stay)"
            )
        case Reason.SHRUNK:
            return f"export it again, or count what is left: {_forced(cells)}"
        case Reason.RETIRED:
            return f"count what is left: {_forced(cells)}"
        case _:
            return f"put a whole export in its place, or count without it: {_forced(cells)}"


def _organisations(cells: Sequence[BlockedCell]) -> str:
    names = sorted({cell.org_id for cell in cells})
    return names[0] if len(names) == 1 else f"{len(names):,} organisations"


def _forced(cells: Sequence[BlockedCell]) -> str:
    """Write the commands that count these cells, and no other: force would count those too."""
    of_organisation: dict[str, set[str]] = {}
    for cell in cells:
        of_organisation.setdefault(cell.org_id, set()).add(cell.reporting_period_id)
    organisations: dict[tuple[str, ...], list[str]] = {}
    for org_id, period_ids in sorted(of_organisation.items()):
        organisations.setdefault(tuple(sorted(period_ids)), []).append(org_id)
    return "; ".join(
        " ".join(
            [
                "bufdir run --force",
                *(f"--org {name}" for name in names),
                *(f"--period {name}" for name in period_ids),
            ]
        )
        for period_ids, names in organisations.items()
    )
