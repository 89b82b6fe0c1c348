"""Spark's own way of the steps that Narwhals does not give rightly there, or not quickly.

The one place for such work-arounds; a test for each fails once Narwhals does as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.model.breakdowns import BREAKDOWN, TOTAL, VALUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column

    from pipeline.definitions.dialect import Frame, StepFunction

_DIGITS: Final = (15, 16, 17)
"""Numbers of digits: doubles have room for 15; with 17, each double has a decimal of its own."""
_EXPONENT: Final = "binary_exponent"
_MANTISSA: Final = "mantissa"
_INTEGRAL: Final = "digits_before_point"
_SCRATCH: Final = (_EXPONENT, _MANTISSA, _INTEGRAL)
_SPLIT_OFF: Final = 33
"""The power of two that is split off, so that the rest of a power fits into 64 bits."""


class SparkDialect:
    """The steps as expressions of Spark."""

    def with_level(self, rows: Frame, name: str, value: str, steps: StepFunction) -> Frame:
        """Look a level up by bucket.

        Spark can't compile a tree over a thousand thresholds. Buckets are so narrow that each has
        one threshold at most.
        """
        return _with_column(rows, name, _looked_up(F.col(value), steps))

    def with_text(self, rows: Frame, name: str, double: str) -> Frame:
        """Compute the shortest decimal that reads as the double, by integers.

        Java before release 19 may write one digit too many (JDK-4511638), and Spark writes as Java
        does.
        """
        value = F.col(double)
        exponent = F.floor(F.log2(value)).cast("int")
        scratch = {
            # An exponent that is one too small does no harm, one too large would lose a bit.
            _EXPONENT: F.lit(53) - exponent,
            _MANTISSA: (value * F.pow(F.lit(2.0), F.lit(53) - exponent)).cast("bigint"),
            _INTEGRAL: F.floor(F.log10(value)).cast("int") + 1,
        }
        with_scratch = rows.to_native().withColumns(scratch)
        texts = [_rounded(digits) for digits in _DIGITS]
        shortest = F.coalesce(
            *(F.when(text.cast("double") == value, text) for text in texts[:-1]), texts[-1]
        )
        found: Frame = nw.from_native(with_scratch.withColumn(name, shortest).drop(*_SCRATCH))
        return found

    def with_replaced(self, rows: Frame, column: str, values: Mapping[str, str]) -> Frame:
        """Look values up in a map; Narwhals can't over Spark Connect."""
        pairs = [F.lit(text) for pair in values.items() for text in pair]
        replaced = F.try_element_at(F.create_map(*pairs), F.col(column))
        return _with_column(rows, column, F.coalesce(replaced, F.col(column)))

    def with_breakdowns(self, rows: Frame, breakdowns: Mapping[str, str]) -> Frame:
        """Explode each row; a union would read and plan the rows once for each breakdown."""
        values = {TOTAL: F.lit("")} | {
            name: F.coalesce(F.col(column), F.lit("")) for name, column in breakdowns.items()
        }
        pairs = F.array(
            *(
                F.struct(F.lit(name).alias(BREAKDOWN), value.alias(VALUE))
                for name, value in values.items()
            )
        )
        found: Frame = nw.from_native(rows.to_native().select("*", F.inline(pairs)))
        return found


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


def _rounded(digits: int) -> Column:
    """Write the decimal with this many digits that is nearest to mantissa / 2^exponent.

    All numbers have fewer than 38 digits, which Spark's widest decimal has.
    """
    mantissa, power = _wide(_MANTISSA), _wide("concat('1', repeat('0', places))")
    half = f"{_wide(f'shiftleft(1L, {_EXPONENT} - {_SPLIT_OFF})')} * {2**_SPLIT_OFF}"
    number = f"(2 * {mantissa} * {power} + {half}) div (2 * {half})"
    whole = "if(length(digits) > places, left(digits, length(digits) - places), '0')"
    fraction = "lpad(right(digits, places), places, '0')"
    text = f"transform(array(string({number})), digits -> concat({whole}, '.', {fraction}))[0]"
    return F.expr(f"transform(array({digits} - {_INTEGRAL}), places -> {text})[0]")


def _wide(expression: str) -> str:
    return f"cast({expression} AS DECIMAL(38, 0))"
