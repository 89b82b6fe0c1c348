"""What the engine works around: each test fails once that is no longer needed."""

from __future__ import annotations

import io
import math
import re
import subprocess
from contextlib import redirect_stdout
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest

from pipeline.definitions.dialect import STANDARD, StepFunction
from pipeline.engines.spark import stored
from pipeline.engines.spark.dialect import SparkDialect
from pipeline.model.periods import month_starts_us
from tests.given import defaults, export, numbers_of, opened, row, settings, survey_of
from tests.spark.conftest import compiled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.definitions.dialect import Dialect

pytestmark = pytest.mark.spark
HALVES: Final = ((2 * np.arange(0, 86_400, 29) + 1) / 7200).tolist()
"""Hours of half a second and a whole number of seconds, within a day."""
_MOST_COMPILED: Final = 8000
"""The bytes of a method above which Java does not compile it."""


@pytest.fixture
def spark() -> Any:
    engine: Any = opened("spark")
    return engine.cluster.spark


def largest_method(frame: Any) -> int:
    """Return the size in bytes of the largest method that Spark compiles for a query."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        frame.explain("codegen")
    return max(int(size) for size in re.findall(r"maxMethodCodeSize:(\d+)", printed.getvalue()))


def test_narwhals_divides_whole_numbers_as_doubles(spark: Any) -> None:
    nanoseconds = 2**60 + 999
    frame = spark.createDataFrame([(nanoseconds,)], "n bigint")
    by_narwhals = nw.from_native(frame).select((nw.col("n") // 1000).alias("q")).to_native()
    micros, beyond = stored.split_nanoseconds("started_at", frame.n)
    ((exact, rest),) = frame.select(micros, beyond).collect()
    assert (exact, rest) == divmod(nanoseconds, 1000)
    assert by_narwhals.collect()[0].q != exact, "split_nanoseconds is needed no longer"


@pytest.mark.parametrize("value", [0, -1, 999, -1000, -1001, 2**63 - 1, -(2**63)])
def test_nanoseconds_are_split_exactly(spark: Any, value: int) -> None:
    frame = spark.createDataFrame([(value,)], "n bigint")
    assert tuple(frame.select(*stored.split_nanoseconds("updated_at", frame.n)).first()) == divmod(
        value, 1000
    )


def test_java_writes_some_doubles_with_a_digit_too_many(spark: Any) -> None:
    frame = spark.createDataFrame([(value,) for value in HALVES], "near double")
    is_old = int(java_release()) < 19
    texts = [row.text for row in frame.selectExpr("string(near) AS text").collect()]
    has_longer = any(text != repr(near) for text, near in zip(texts, HALVES, strict=True))
    assert has_longer == is_old, "exact_seconds is needed no longer"


def test_hours_near_half_a_second_are_rounded_by_the_decimal_that_they_are_written_as(
    data: Path,
) -> None:
    around = [HALVES, np.nextafter(HALVES, 0), np.nextafter(HALVES, 25), [0.25, 1.0, 1.5]]
    hours = np.concatenate(around).tolist()
    rows = [row(activity_id=f"a{n}", hours=value, line=n) for n, value in enumerate(hours)]
    export(data, rows, types={"line": pa.int64()})
    with survey_of(data, settings(breakdowns={"line": "line"}), "spark") as survey:
        (numbers,) = numbers_of(survey).values()
    assert {int(line): found["seconds"] for line, found in numbers.breakdowns["line"].items()} == {
        line: rounded(value) for line, value in enumerate(hours)
    }


def rounded(hours: float) -> int:
    return math.floor(Fraction(Decimal(repr(hours))) * 3600 + Fraction(1, 2))


def java_release() -> str:
    ended = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True)
    found = re.search(r'version "(\d+)', ended.stderr)
    assert found is not None
    return found[1]


def levelled(spark: Any, dialect: Dialect, values: Sequence[int], steps: StepFunction) -> Any:
    frame = nw.from_native(spark.createDataFrame([(value,) for value in values], "v bigint"))
    return dialect.with_level(frame, "level", "v", steps).to_native()


def test_a_tree_over_all_months_is_too_large_to_compile(spark: Any) -> None:
    starts = month_starts_us(defaults().zone)
    steps = StepFunction(starts[1:-1], range(len(starts) - 1))
    frame = nw.from_native(spark.range(1).selectExpr("id AS v"))
    by_tree = STANDARD.with_level(frame, "level", "v", steps).to_native()
    looked_up = SparkDialect().with_level(frame, "level", "v", steps).to_native()
    with compiled(spark):
        assert largest_method(looked_up) < _MOST_COMPILED
        assert largest_method(by_tree) > _MOST_COMPILED, "with_level is needed no longer"


@pytest.mark.parametrize(
    "steps",
    [
        StepFunction([], [7]),
        StepFunction([5], [1, 2]),
        StepFunction([-10, -9, 0, 1, 50], [0, 9, 8, 7, 6, 5]),
        StepFunction([-(2**60), 0, 2**60], [1, 2, 3, 4]),
    ],
)
def test_a_level_is_found_on_both_sides_of_every_threshold(spark: Any, steps: StepFunction) -> None:
    near = {value + side for value in (0, *steps.thresholds) for side in (-1, 0, 1)}
    values = sorted({*near, 2**63 - 1, -(2**63)})
    expected = [steps.levels[sum(one <= value for one in steps.thresholds)] for value in values]
    found = levelled(spark, SparkDialect(), values, steps).collect()
    assert [row.level for row in found] == expected


def test_a_stage_with_a_method_that_is_too_large_is_compiled_in_parts(spark: Any) -> None:
    assert spark.conf.get("spark.sql.codegen.hugeMethodLimit") == str(_MOST_COMPILED)
