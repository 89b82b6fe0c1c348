"""The metrics as expressions, for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.model.columns import HOURS
from pipeline.model.metrics import Aggregation

if TYPE_CHECKING:
    from pipeline.model.metrics import Metric

_HALF_MICROSECONDS = (nw.col(HOURS) * 7_200_000_000 + 0.5).floor().cast(nw.Int64())
SECONDS_OF_ROW: Final = (_HALF_MICROSECONDS // 1_000_000 + 1) // 2
"""Hours as whole seconds, rounded half up, for rows that count.

First to half a microsecond, because doubles hold few decimals exactly: 0.14125 hours are 508.5
seconds, which as doubles come out as 508.49999999999994. Summed as integers, no order changes a
digit.
"""


def expression(metric: Metric) -> nw.Expr:
    """A metric of each group, in `group_by(...).agg(...)`, on any engine."""
    match metric.over:
        case Aggregation.COUNT:
            return nw.len()
        case Aggregation.COUNT_DISTINCT:
            return nw.col(metric.column).n_unique()
        case Aggregation.SUM:
            return nw.col(metric.column).sum()
