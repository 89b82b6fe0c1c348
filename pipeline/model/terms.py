"""The terms: all that decides a number apart from the rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.model.breakdowns import Breakdown, by_category, column_of, further
from pipeline.model.columns import COLUMNS, Column
from pipeline.model.ledger import LEDGER
from pipeline.model.metrics import METRICS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DEFINITIONS: Final = 2
"""Raised whenever a number could come out differently from the same rows and settings."""


@dataclass(frozen=True)
class Terms:
    """The settings and definitions by which rows are read and counted."""

    zone: ZoneInfo
    """The zone of midnights and wall-clock times."""
    categories: tuple[str, ...]
    """The categories that count, in the order in which they are shown."""
    max_hours: float
    """The most hours of one participation."""
    further_breakdowns: tuple[str, ...] = ()
    """The names of the breakdowns in addition to category."""

    @cached_property
    def breakdowns(self) -> tuple[Breakdown, ...]:
        """All breakdowns; category comes first."""
        return by_category(self.categories), *further(self.further_breakdowns)

    @cached_property
    def further_columns(self) -> tuple[Column, ...]:
        """The columns that only the further breakdowns read."""
        return tuple(map(column_of, further(self.further_breakdowns)))

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns that are read."""
        return (*COLUMNS, *self.further_columns)

    @cached_property
    def digest(self) -> str:
        """The 32 hexadecimal digits that differ when equal rows could give other numbers.

        How files name our columns and categories is left out: it decides the values of rows, and so
        the rows' digest.
        """
        metrics = [(metric.name, metric.aggregation.value, metric.column) for metric in METRICS]
        return digest_of(
            DEFINITIONS,
            LEDGER,
            metrics,
            self.zone.key,
            self.categories,
            float(self.max_hours),
            self.further_breakdowns,
        )


def digest_of(*values: Any) -> str:  # noqa: ANN401 (any value of JSON)
    """Give 32 hexadecimal digits that are equal for equal values: the one digest of settings."""
    return hashlib.blake2b(msgspec.json.encode(values), digest_size=16).hexdigest()
