"""The steps that engines compute in different ways, always with the same result.

Narwhals gives most expressions alike on every engine, but not all of them rightly or quickly. Each
engine passes its own way of these; `STANDARD` is the way in Narwhals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import narwhals as nw

from pipeline.definitions.aggregates import expressions
from pipeline.model.breakdowns import BREAKDOWN, TOTAL, VALUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Frame: TypeAlias = nw.LazyFrame[Any]
"""Rows that are not computed yet, on any engine."""


@dataclass(frozen=True, slots=True)
class StepFunction:
    """A function that is constant between thresholds.

    Values below the first threshold have the first level; from each threshold on, values have the
    next level.
    """

    thresholds: Sequence[int]
    """In rising order."""
    levels: Sequence[int]
    """One more than there are thresholds."""


class Dialect(Protocol):
    """The steps in the way of one engine."""

    def with_level(self, rows: Frame, name: str, value: str, steps: StepFunction) -> Frame:
        """Add the level of a whole number; that of null has no meaning."""

    def with_replaced(self, rows: Frame, column: str, values: Mapping[str, str]) -> Frame:
        """Replace values of a text column; others, and null, are unchanged."""

    def counts(self, rows: Frame, breakdowns: Mapping[str, str], groups: Sequence[str]) -> Frame:
        """Compute the metrics: one row per group, breakdown and value, in no order.

        Args:
            rows: The rows that count.
            breakdowns: The column of each breakdown, by its name.
            groups: The columns of a group, none of them null.

        Returns:
            The columns of the group, `BREAKDOWN`, `VALUE` and the metrics. The breakdown `TOTAL`
            has all rows of a group under the empty value. In the others, null and empty values are
            one, the empty text.
        """


class _Standard:
    """The steps as Narwhals expressions."""

    def with_level(self, rows: Frame, name: str, value: str, steps: StepFunction) -> Frame:
        level = _level(nw.col(value), steps.thresholds, steps.levels)
        return rows.with_columns(level.alias(name))

    def with_replaced(self, rows: Frame, column: str, values: Mapping[str, str]) -> Frame:
        replaced = nw.col(column).replace_strict(
            list(values), list(values.values()), default=nw.col(column), return_dtype=nw.String()
        )
        return rows.with_columns(replaced)

    def counts(self, rows: Frame, breakdowns: Mapping[str, str], groups: Sequence[str]) -> Frame:
        values = {TOTAL: nw.lit("")} | {
            name: nw.col(column).fill_null("") for name, column in breakdowns.items()
        }
        divided = nw.concat(
            [
                rows.with_columns(nw.lit(name).alias(BREAKDOWN), value.alias(VALUE))
                for name, value in values.items()
            ]
        )
        return divided.group_by(*groups, BREAKDOWN, VALUE).agg(*expressions())


STANDARD: Final = _Standard()
"""The dialect of every engine that needs no way of its own."""


def _level(value: nw.Expr, thresholds: Sequence[int], levels: Sequence[int]) -> nw.Expr:
    """Find the level by a binary tree.

    Engines compare a value with ten of a thousand thresholds, and none has to plan a chain of a
    thousand terms.
    """
    if not thresholds:
        return nw.lit(levels[0])
    middle = len(thresholds) // 2
    return (
        nw.when(value >= thresholds[middle])
        .then(_level(value, thresholds[middle + 1 :], levels[middle + 1 :]))
        .otherwise(_level(value, thresholds[:middle], levels[: middle + 1]))
    )
