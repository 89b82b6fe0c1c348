"""Spark's own way of the steps that Narwhals does not give rightly there, or not quickly.

`tests/spark/test_workarounds.py` fails once a level or a division is given rightly there as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import narwhals as nw
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.definitions.aggregates import expressions
from pipeline.model.breakdowns import BREAKDOWN, TOTAL, VALUE
from pipeline.model.metrics import METRICS, Aggregation, metrics_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column

    from pipeline.definitions.dialect import Frame, StepFunction
    from pipeline.model.metrics import Metric


@dataclass(frozen=True, slots=True)
class SparkDialect:
    """The steps as expressions of Spark."""

    together: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By column, others that equal values of it share, and by which the rows are partitioned."""

    def with_level(self, rows: Frame, name: str, value: str, steps: StepFunction) -> Frame:
        """Look a level up by bucket.

        Spark can't compile a tree over a thousand thresholds. Buckets are so narrow that each has
        one threshold at most.
        """
        return _with_column(rows, name, _looked_up(F.col(value), steps))

    def with_replaced(self, rows: Frame, column: str, values: Mapping[str, str]) -> Frame:
        """Look values up in a map; Narwhals can't over Spark Connect."""
        pairs = [F.lit(text) for pair in values.items() for text in pair]
        replaced = F.try_element_at(F.create_map(*pairs), F.col(column))
        return _with_column(rows, column, F.coalesce(replaced, F.col(column)))

    def counts(self, rows: Frame, breakdowns: Mapping[str, str], groups: Sequence[str]) -> Frame:
        """Count each kind of different values by itself, and sum up with the first of them.

        Spark's own way gives each row once more for each kind of different values, and sends them
        all to other executors.
        """
        first, *others = metrics_by(Aggregation.COUNT_DISTINCT)
        summed = metrics_by(Aggregation.COUNT, Aggregation.SUM)
        native = rows.to_native()
        parts = [
            self._counted(native, breakdowns, groups, first, summed),
            *(self._counted(native, breakdowns, groups, metric, ()) for metric in others),
        ]
        sums = [F.sum(metric.name).alias(metric.name) for metric in METRICS]
        # Not joined: a cluster may take a part for small enough to be sent to all executors.
        all_parts = reduce(DataFrame.unionByName, parts).groupBy(*groups, BREAKDOWN, VALUE)
        found: Frame = nw.from_native(all_parts.agg(*sums))
        return found

    def _counted(
        self,
        rows: DataFrame,
        breakdowns: Mapping[str, str],
        groups: Sequence[str],
        different: Metric,
        summed: Sequence[Metric],
    ) -> DataFrame:
        """Compute these metrics by group, breakdown and value; the others are zero."""
        together = self.together.get(different.column, ())
        key = (*groups, *together, different.column)
        sums = [F.sum(one.name).alias(one.name) for one in summed]
        by_value = nw.from_native(rows).group_by(*key, *breakdowns.values())
        once = by_value.agg(*expressions(summed)).to_native()
        divided = once.select(*key, *(one.name for one in summed), F.inline(_pairs(breakdowns)))
        grouped = (*key, BREAKDOWN, VALUE)
        each = divided.groupBy(*grouped).agg(*sums) if sums else divided.select(*grouped).distinct()
        count = F.count(different.column).alias(different.name)
        zero = F.lit(0).cast("bigint")
        zeros = [zero.alias(one.name) for one in METRICS if one not in {different, *summed}]
        counted = each.groupBy(*groups, BREAKDOWN, VALUE).agg(count, *sums)
        return counted.select("*", *zeros)


def _pairs(breakdowns: Mapping[str, str]) -> Column:
    """Give the breakdowns of a row and its values, `TOTAL` first, as an array."""
    values = {TOTAL: F.lit("")} | {
        name: F.coalesce(F.col(column), F.lit("")) for name, column in breakdowns.items()
    }
    return F.array(
        *(
            F.struct(F.lit(name).alias(BREAKDOWN), value.alias(VALUE))
            for name, value in values.items()
        )
    )


def _with_column(rows: Frame, name: str, column: Column) -> Frame:
    found: Frame = nw.from_native(rows.to_native().withColumn(name, column))
    return found


def _looked_up(value: Column, steps: StepFunction) -> Column:
    thresholds = list(steps.thresholds)
    if not thresholds:
        return F.lit(steps.levels[0]).cast("bigint")
    first, last = thresholds[0], thresholds[-1]
    width = min((b - a for a, b in pairwise(thresholds)), default=1)
    of_bucket = {(threshold - first) // width: n for n, threshold in enumerate(thresholds)}
    edges, below, above = [], [], []
    passed = 0
    for bucket in range((last - first) // width + 1):
        below.append(steps.levels[passed])
        passed = of_bucket.get(bucket, passed - 1) + 1
        edges.append(thresholds[passed - 1])
        above.append(steps.levels[passed])
    clipped = F.greatest(F.least(value, F.lit(last)), F.lit(first))
    bucket = _divided(clipped - F.lit(first), width)
    reached = value >= F.get(_array(edges), bucket)
    return F.when(reached, F.get(_array(above), bucket)).otherwise(F.get(_array(below), bucket))


def _divided(value: Column, divisor: int) -> Column:
    """Divide whole numbers, towards zero; a division of doubles is wrong beyond 2^53."""
    quotient: Column = F.call_function("div", value, F.lit(divisor).cast("bigint")).cast("int")
    return quotient


def _array(numbers: Sequence[int]) -> Any:  # noqa: ANN401 (a Column, of a package without types)
    """Write an array of constants; as one text, it is one call to Spark's driver."""
    return F.expr(f"array({', '.join(f'{number}L' for number in numbers)})")
