"""Hours as whole seconds: the decimal that is written, times 3600, rounded half up, once.

`tests/spark/test_workarounds.py` has the same for Spark, which rounds hours near a half elsewhere.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.definitions.seconds import add_seconds
from tests.given import LOCAL_ENGINES, applied, examples

if TYPE_CHECKING:
    from pipeline.definitions.dialect import Dialect, Frame

LONGEST = 8784
"""The most hours that a setting lets count."""
HALVES = st.integers(0, LONGEST * 3600 - 1).map(lambda n: (2 * n + 1) / 7200)
STEPS = st.integers(-2, 2)


def expected(hours: float) -> int:
    return math.floor(Fraction(Decimal(repr(hours))) * 3600 + Fraction(1, 2))


def seconds(engine: str, hours: list[float], *, counts: bool = True) -> list[int | None]:
    rows = pa.table({"hours": pa.array(hours, pa.float64())})

    def step(frame: Frame, _: Dialect) -> Frame:
        return add_seconds(frame, nw.lit(counts)).select("seconds")

    return applied(engine, rows, step)["seconds"].to_list()


def neighbour(value: float, steps: int) -> float:
    """Return the double that is this number of doubles further."""
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.copysign(math.inf, steps))
    return abs(value)


@pytest.mark.parametrize(
    ("hours", "whole"),
    [
        (0.14125, 509),  # 508.5 s, though the product of doubles is 508.49999999999994
        (0.000138888861111, 0),  # 0.4999998999996 s
        (0.0001388888888888889, 1),  # 0.50000000000000004 s
        (0.0009722222222222222, 3),  # 3.49999999999999992 s
        (0.00125, 5),  # 4.5 s
        (math.nextafter(0.00125, 0), 4),
        (8783.99875, 31_622_396),  # 31,622,395.5 s
        (5e-324, 0),
    ],
)
def test_hours_are_rounded_by_the_decimal_that_they_are_written_as(
    local_engine: str, hours: float, whole: int
) -> None:
    assert expected(hours) == whole
    assert seconds(local_engine, [hours]) == [whole]


@settings(max_examples=examples(100))
@given(st.lists(st.builds(neighbour, HALVES, STEPS) | st.floats(0, LONGEST), min_size=1))
@pytest.mark.parametrize("local_engine", LOCAL_ENGINES)
def test_every_double_near_a_half_is_rounded_as_it_is_written(
    local_engine: str, hours: list[float]
) -> None:
    assert seconds(local_engine, hours) == [expected(value) for value in hours]


@pytest.mark.parametrize("local_engine", LOCAL_ENGINES)
def test_all_half_seconds_of_a_day_are_rounded_as_they_are_written(local_engine: str) -> None:
    halves = (2 * np.arange(0, 86_400, 3) + 1) / 7200
    around = [halves, np.nextafter(halves, 0), np.nextafter(halves, 25)]
    hours = np.concatenate(around).tolist()
    assert seconds(local_engine, hours) == [expected(value) for value in hours]


@settings(max_examples=examples(60))
@given(st.lists(st.decimals(0, LONGEST, places=5).map(float), min_size=1))
@pytest.mark.parametrize("local_engine", LOCAL_ENGINES)
def test_short_decimals_are_rounded_as_they_are_written(
    local_engine: str, hours: list[float]
) -> None:
    assert seconds(local_engine, hours) == [expected(value) for value in hours]


@pytest.mark.parametrize("hours", [math.inf, -math.inf, math.nan, -1.5 / 3600, 1e300])
def test_hours_that_can_not_count_stop_nothing(local_engine: str, hours: float) -> None:
    assert seconds(local_engine, [hours], counts=False) == [None]
