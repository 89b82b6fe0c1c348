"""The breakdowns of a cell's numbers: by category, and by further columns named in the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.model.columns import CATEGORY, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

BY_CATEGORY: Final = "category"
"""The name of the breakdown that every snapshot has."""
NO_VALUE: Final = ""
"""The key of counted rows whose column is null or empty."""
BREAKDOWN: Final = "breakdown"
"""The column with the name of a breakdown, or `TOTAL`."""
VALUE: Final = "value"
"""The column with the value of a breakdown."""
TOTAL: Final = "total"
"""The name for all rows of a cell, which no breakdown may have."""
_PREFIX: Final = "by_"
"""Prefix that distinguishes the columns of further breakdowns from all other columns."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """One way to divide a cell's counted rows."""

    name: str
    column: str
    """The column, by our name for it, whose values divide the rows."""
    values: tuple[str, ...] | None = None
    """The values that are shown, zeros included, in order; None shows those that occur, sorted."""


def by_category(categories: Iterable[str]) -> Breakdown:
    """Give the breakdown by category, in the configured order."""
    return Breakdown(BY_CATEGORY, CATEGORY, tuple(categories))


def further(names: Iterable[str]) -> tuple[Breakdown, ...]:
    """Give the breakdowns of these names, each over a column of its own."""
    return tuple(Breakdown(name, f"{_PREFIX}{name}") for name in names)


def column_of(breakdown: Breakdown) -> Column:
    """Describe the column of a further breakdown: optional; null and empty are one value."""
    return Column(breakdown.column, Kind.ID, required=False)
