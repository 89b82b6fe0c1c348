"""The metrics of `pipeline.model.metrics` as expressions, for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.model.columns import HOURS, KEY
from pipeline.model.metrics import METRICS, Aggregation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.model.metrics import Metric

_MOST: Final = 10_000
"""More hours than any setting of `max_hours` lets count."""
_NEAR: Final = 1e-7
"""The distance from half a second, in seconds, within which decimal digits decide.

Far more than a product of doubles can be wrong, for any hours that may count.
"""


_SECONDS: Final = nw.col(HOURS) * 3600
IS_NEAR_HALF: Final = (_SECONDS - _SECONDS.floor() - 0.5).abs() < _NEAR
"""Whether hours are so close to half a second that only their digits decide."""


def seconds_of_row(*, has_halves: bool = True) -> nw.Expr:
    """Give hours as whole seconds, rounded half up, for rows that count.

    Hours are the decimal that their double is written as: 0.14125 h are 508.5 s, though 3600 times
    the double is less. The product of doubles decides wherever it is not close to half a second.
    Summed as integers, no order changes a digit.

    Args:
        has_halves: False where `IS_NEAR_HALF` is true of no row, which takes half the time.
    """
    # Hours that can't count may be infinite, which no integer is.
    hours = nw.when(nw.col(HOURS).is_between(0, _MOST)).then(nw.col(HOURS))
    rounded = (hours * 3600 + 0.5).floor().cast(nw.Int64())
    if not has_halves:
        return rounded
    near = nw.when(IS_NEAR_HALF).then(hours)
    below = (near * 3600).floor().cast(nw.Int64())
    exact = below + _reaches_half(near, below).cast(nw.Int64())
    return nw.when(IS_NEAR_HALF).then(exact).otherwise(rounded)


def _reaches_half(hours: nw.Expr, below: nw.Expr) -> nw.Expr:
    """Compare hours, as they are written, with half a second more than these whole seconds.

    Exact, in integers: the decimals d of the fraction f / 10^d are compared with a half n / 7200,
    which is n * 125 * 10^(d - 5) / 9. Null where hours are null, at nearly no cost there.
    """
    text = hours.cast(nw.String())
    whole = hours.floor().cast(nw.Int64())
    decimals = _length(text) - _length(whole.cast(nw.String())) - 1
    # So close to a half, hours have five decimals or more.
    scale = (nw.lit(10.0) ** (decimals - 5)).cast(nw.Int64())
    digits = text.str.replace_all(".", "", literal=True).cast(nw.Int64())
    fraction = digits - whole * scale * 100_000
    half = below * 2 + 1 - whole * 7200
    return fraction * 9 >= half * 125 * scale


def _length(text: nw.Expr) -> nw.Expr:
    return text.str.len_chars().cast(nw.Int64())


def expression(metric: Metric) -> nw.Expr:
    """Give a metric of each group, for `group_by(...).agg(...)`, as a whole number."""
    return _aggregated(metric).cast(nw.Int64()).alias(metric.name)


def expressions(metrics: Iterable[Metric] = METRICS) -> list[nw.Expr]:
    """Give these metrics, each under its name."""
    return [expression(metric) for metric in metrics]


def _aggregated(metric: Metric) -> nw.Expr:
    match metric.aggregation:
        case Aggregation.COUNT:
            return nw.len()
        case Aggregation.COUNT_DISTINCT:
            return _distinct(metric.column)
        case Aggregation.SUM:
            return nw.col(metric.column).sum()


def _distinct(column: str) -> nw.Expr:
    """Count the different values that are not null; a counted row has every column of the key."""
    values = nw.col(column)
    if column in KEY:
        return values.n_unique()
    return values.n_unique().cast(nw.Int64()) - values.is_null().any().cast(nw.Int64())
