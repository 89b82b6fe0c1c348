"""A cell, what it is computed from, and what is counted in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.model import ledger
from pipeline.model.breakdowns import BY_CATEGORY
from pipeline.model.metrics import zeros

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.model.breakdowns import Breakdown
    from pipeline.model.metrics import Numbers
    from pipeline.model.periods import Period


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One organisation in one period."""

    org_id: str
    period: Period

    @property
    def key(self) -> tuple[str, str]:
        """Its organisation and the id of its period, as the catalog has them."""
        return self.org_id, self.period.id

    def __str__(self) -> str:
        return f"{self.org_id} in {self.period.id}"


@dataclass(frozen=True, slots=True)
class CellContent:
    """The rows that decide a cell's numbers: how many are in it, and a digest of their values."""

    rows: int
    """Rows of the cell, counted or not."""
    digest: str
    """Equal for equal rows, in any files and any order."""


NO_CONTENT: Final = CellContent(0, "empty")
"""The content of a cell without rows."""


@dataclass(frozen=True, slots=True)
class CellNumbers:
    """Everything that is counted in one cell."""

    total: Numbers
    breakdowns: Mapping[str, Mapping[str, Numbers]]
    """By breakdown, then by value: categories in the configured order, other values sorted."""
    ledger: Mapping[str, int]
    """Rows by ledger line, zeros included; their sum is the rows of the cell."""

    @property
    def categories(self) -> Mapping[str, Numbers]:
        """The numbers by category, zeros included."""
        return self.breakdowns[BY_CATEGORY]


def no_numbers(breakdowns: Iterable[Breakdown]) -> CellNumbers:
    """Give the numbers of a cell without rows."""
    return CellNumbers(
        zeros(), {one.name: no_shares(one) for one in breakdowns}, ledger.complete({})
    )


def no_shares(breakdown: Breakdown) -> dict[str, Numbers]:
    """Give the numbers by value of a cell in which no row counts."""
    return {value: zeros() for value in breakdown.values or ()}
