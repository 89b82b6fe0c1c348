"""The sums of validated rows: by organisation, month, reason and value, and their distinct ids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.definitions.aggregates import expressions
from pipeline.definitions.steps import MONTH, REASON, ROWS
from pipeline.engines import row_hash
from pipeline.engines.polars import distinct, scan
from pipeline.engines.polars.distinct import ORG_NUMBER, VALUE_NUMBER
from pipeline.engines.quarantine import name_at
from pipeline.engines.row_hash import CHECKSUM, ROW_HASH
from pipeline.model.breakdowns import VALUE
from pipeline.model.columns import ORG_ID
from pipeline.model.ledger import LEDGER
from pipeline.model.metrics import Aggregation, metrics_by
from pipeline.model.periods import MONTHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.numbering import Numbering
from pipeline.engines.polars.numbering import value_number

ADDITIVE: Final = metrics_by(Aggregation.COUNT, Aggregation.SUM)
"""Metrics that add up over groups without a row in common."""
ADDITIVE_NAMES: Final = tuple(metric.name for metric in ADDITIVE)
SUMMED: Final = (ROWS, CHECKSUM, *ADDITIVE_NAMES)
"""The sums of one group."""
_GROUP: Final = "group"


def sums(
    validated: pl.DataFrame,
    numbers: Numbering,
    latest_hash: str,
    more: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Sum up rows by organisation, month, reason and category (`VALUE`): all of `SUMMED`.

    Args:
        validated: Rows with a verdict, numbered.
        numbers: Their numbering.
        latest_hash: The column with the row hash of the latest statement of the row's
            participation: it decides the cell that it takes a row from, too.
        more: Further columns to group by, and how many values each may have.
    """
    more = more or {}
    sizes = {
        ORG_NUMBER: len(numbers.organisations),
        MONTH: MONTHS,
        REASON: len(LEDGER),
        VALUE_NUMBER: len(numbers.categories),
        **more,
    }
    summand = row_hash.checksum(pl.col(ROW_HASH), pl.col(latest_hash))
    rows = validated.lazy().with_columns(_group(sizes).alias(_GROUP), summand)
    found = (
        nw.from_native(rows)
        .group_by(_GROUP)
        .agg(
            nw.len().cast(nw.Int64()).alias(ROWS),
            nw.col(CHECKSUM).sum(),
            *expressions(ADDITIVE),
        )
    )
    return (
        scan.native(found)
        .select(*_ungrouped(sizes, validated.schema), *SUMMED)
        .with_columns(
            name_at(ORG_NUMBER, numbers.organisations).alias(ORG_ID),
            name_at(VALUE_NUMBER, numbers.categories).alias(VALUE),
        )
        .select(ORG_ID, MONTH, REASON, VALUE, *more, *SUMMED)
        .collect()
    )


def _group(sizes: Mapping[str, int]) -> pl.Expr:
    """Make one number of these columns, by which groups are found in half the time.

    Args:
        sizes: How many values each may have, from 0; null is one more.
    """
    fits = math.prod(size + 1 for size in sizes.values()) < 2**63
    group = pl.lit(0, pl.Int64 if fits else pl.Int128)
    for column, size in sizes.items():
        group = group * (size + 1) + pl.col(column).cast(pl.Int64).fill_null(size)
    return group


def _ungrouped(sizes: Mapping[str, int], schema: pl.Schema) -> list[pl.Expr]:
    """Give the columns of which `_group` made one number."""
    columns, rest = [], pl.col(_GROUP)
    for column, size in reversed(list(sizes.items())):
        value = rest.mod(size + 1)
        columns.append(pl.when(value < size).then(value).cast(schema[column]).alias(column))
        rest = rest.floordiv(size + 1)
    return columns


def shares(validated: pl.LazyFrame, numbers: Numbering) -> dict[str, pl.DataFrame]:
    """Sum up counted rows by organisation, month and `VALUE`, for each further breakdown."""
    counted = nw.from_native(validated.filter(pl.col(REASON).is_null()))
    return {
        one.name: scan.native(
            counted.with_columns(nw.col(one.column).fill_null("").alias(VALUE))
            .group_by(ORG_ID, MONTH, VALUE)
            .agg(*expressions(ADDITIVE))
        ).collect(engine="streaming")
        for one, _ in numbers.breakdowns[1:]
    }


def counted_ids(validated: pl.LazyFrame, numbers: Numbering) -> dict[str, DistinctIds]:
    """Collect the ids of those of these rows that count, for each breakdown."""
    counted = validated.filter(pl.col(REASON).is_null())
    organisations = numbers.organisations.to_list()
    return {
        one.name: distinct.collect(counted, organisations, values.to_list(), value_number(one.name))
        for one, values in numbers.breakdowns
    }
