"""The metrics of `pipeline.model.metrics` as expressions, for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from pipeline.model.columns import KEY
from pipeline.model.metrics import METRICS, Aggregation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.model.metrics import Metric


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
