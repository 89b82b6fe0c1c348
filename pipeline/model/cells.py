"""A cell and what is counted in it, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.model.numbers import Numbers
    from pipeline.model.periods import Period


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Everything that is counted in one cell."""

    total: Numbers
    categories: Mapping[str, Numbers]
    """By category, zeros included, in the configured order."""
    ledger: Mapping[str, int]
    """Rows by ledger line, zeros included; all of them together are the rows read."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One organisation in one period."""

    org_id: str
    period: Period
