"""The meaning of each number: participations, distinct people, seconds, distinct activities."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import metrics, versions
from tests.given import CELL, SUMMER, cells, export, people, row

if TYPE_CHECKING:
    from pathlib import Path


def numbers(participations: int, people: int, seconds: int, activities: int) -> dict[str, int]:
    return {
        "participations": participations,
        "people": people,
        "seconds": seconds,
        "activities": activities,
    }


def test_a_person_in_two_categories_is_one_person_in_all(engine: str, data: Path) -> None:
    export(data, [row(), row(activity_id="a2", bufdir_category="eldre", hours=1.5)])
    counted = cells(engine, data)[CELL]
    assert counted.total == numbers(participations=2, people=1, seconds=12_600, activities=2)
    assert counted.categories["ungdom"] == numbers(1, 1, 7200, 1)
    assert counted.categories["eldre"] == numbers(1, 1, 5400, 1)
    assert counted.categories["foreldre_barn"] == numbers(0, 0, 0, 0)


def test_an_activity_in_two_categories_is_one_activity_in_all(engine: str, data: Path) -> None:
    export(data, [row(), row(participant_id="p2", bufdir_category="eldre")])
    counted = cells(engine, data)[CELL]
    assert (counted.total["people"], counted.total["activities"]) == (2, 1)
    assert (
        counted.categories["ungdom"]["activities"] == counted.categories["eldre"]["activities"] == 1
    )


def test_a_person_who_comes_again_is_one_person_and_two_participations(
    engine: str, data: Path
) -> None:
    export(data, [row(), row(activity_id="a2"), row(activity_id="a3", participant_id="p2")])
    assert cells(engine, data)[CELL].total == numbers(3, 2, 21_600, 3)


def test_people_and_activities_are_counted_in_each_organisation_for_itself(
    engine: str, data: Path
) -> None:
    export(data, [row(), row(org_id="org-2")])
    found = cells(engine, data)
    assert {cell: counted.total for cell, counted in found.items()} == {
        CELL: numbers(1, 1, 7200, 1),
        ("org-2", "rp-2024-q4"): numbers(1, 1, 7200, 1),
    }


def test_rejected_rows_add_to_no_number(engine: str, data: Path) -> None:
    export(
        data,
        [
            row(),
            row(activity_id="a2", participant_id="p2", hours=25.0),
            row(activity_id="a3", participant_id="p3", bufdir_category=None),
            row(activity_id="a4", participant_id="p4", deleted=True),
        ],
    )
    assert cells(engine, data)[CELL].total == numbers(1, 1, 7200, 1)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("year", {"rp-2024": (2, 1)}),
        ("half-year", {"rp-2024-h2": (2, 1)}),
        ("tertial", {"rp-2024-t2": (1, 1), "rp-2024-t3": (1, 1)}),
        ("quarter", {"rp-2024-q3": (1, 1), "rp-2024-q4": (1, 1)}),
        ("month", {"rp-2024-m7": (1, 1), "rp-2024-m11": (1, 1)}),
    ],
)
def test_the_numbers_of_every_kind_of_period_are_counted_from_rows(
    engine: str, data: Path, kind: str, expected: dict[str, tuple[int, int]]
) -> None:
    export(data, [row(), row(activity_id="a2", started_at=SUMMER)])
    found = cells(engine, data, kind)
    assert {
        period_id: (counted.total["participations"], counted.total["people"])
        for (_, period_id), counted in found.items()
    } == expected


def total_seconds(engine: str, data: Path, hours: list[Any], kind: Any = None) -> int:
    rows = [row(participant_id=f"p{n}", hours=value) for n, value in enumerate(hours)]
    export(data, rows, types={"hours": kind or pa.float64()})
    return cells(engine, data)[CELL].total["seconds"]


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [
        (0.0, 0),
        (1.0, 3600),
        (0.1, 360),
        (0.7, 2520),
        (1 / 3, 1200),
        (2 / 3, 2400),
        (0.25, 900),
        (1.1, 3960),
        (1.005, 3618),
        (0.00125, 5),  # 4.5 s
        (0.000125, 0),  # 0.45 s
        (0.0001388, 0),  # 0.49968 s
        (0.0001389, 1),  # 0.50004 s
        (0.00375, 14),  # 13.5 s
        (0.5 / 3600, 1),
        (1.5 / 3600, 2),
        (2.5 / 3600, 3),
        (57.5 / 3600, 57),  # written 0.01597222222222222: 57.499999999999992 s
        (0.14125, 509),  # 508.5 s
        (0.499999 / 3600, 0),
        (23.999999, 86_400),
        (24.0, 86_400),
        (-0.0, 0),
    ],
)
def test_hours_are_whole_seconds_rounded_half_up(
    engine: str, data: Path, hours: float, seconds: int
) -> None:
    assert total_seconds(engine, data, [hours]) == seconds


def test_a_sum_that_float_addition_gets_wrong_is_right(engine: str, data: Path) -> None:
    tenths = [0.1] * 3000
    assert sum(tenths) != 300
    assert total_seconds(engine, data, tenths) == 300 * 3600


def test_large_and_small_hours_are_summed_to_the_second_in_any_order(
    engine: str, data: Path
) -> None:
    hours = [24.0, 0.1, 0.2, 1 / 3, 0.0003, 7.77] * 50
    expected = sum(math.floor(Fraction(value) * 3600 + Fraction(1, 2)) for value in hours)
    for seed in range(3):
        random.Random(seed).shuffle(hours)  # noqa: S311 no secret
        assert total_seconds(engine, data, hours) == expected


def test_seconds_are_rounded_for_each_row_and_not_for_the_sum(engine: str, data: Path) -> None:
    assert total_seconds(engine, data, [0.4 / 3600] * 10) == 0
    assert total_seconds(engine, data, [0.6 / 3600] * 10) == 10


@pytest.mark.parametrize(
    ("kind", "hours", "seconds"),
    [
        (pa.int8(), [1, 2, 24], 97_200),
        (pa.uint64(), [3], 10_800),
        (pa.decimal128(6, 2), [Decimal("0.10"), Decimal("1.75")], 6660),
        (pa.decimal128(10, 5), [Decimal("0.00125"), Decimal("0.00375")], 19),
        (pa.decimal128(10, 5), [Decimal("0.14125"), Decimal("0.25125")], 509 + 905),
        (pa.decimal128(38, 30), [Decimal("0.1")], 360),
        (pa.float32(), [0.1, 0.7, 1.1], 360 + 2520 + 3960),
        (pa.float32(), [23.9], 86_040),
        (pa.float16(), [0.1], 360),
    ],
    ids=str,
)
def test_every_type_of_hours_is_read_to_the_second(
    engine: str, data: Path, kind: Any, hours: list[Any], seconds: int
) -> None:
    assert total_seconds(engine, data, hours, kind) == seconds


@pytest.mark.parametrize("digits", [3, 4, 5])
def test_hours_with_few_decimals_are_rounded_as_if_they_were_exact(
    engine: str, data: Path, digits: int
) -> None:
    """A double is not 0.00375, but the seconds are those of 0.00375 all the same."""
    some = random.Random(1)  # noqa: S311 (no secret)
    exact = [Decimal(n).scaleb(-digits) for n in some.sample(range(24 * 10**digits), 5000)]
    exact += [Decimal(n) / 800 for n in range(1, 19_200, 2)]  # exactly half a second over
    expected = sum(math.floor(Fraction(value) * 3600 + Fraction(1, 2)) for value in exact)
    assert total_seconds(engine, data, [float(value) for value in exact]) == expected


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0"),
        (3600, "1"),
        (33_517_800, "9310.5"),
        (5_616_000, "1560"),
        (1, "0.0003"),
        (2, "0.0006"),
        (9, "0.0025"),
        (90, "0.025"),
        (1200, "0.3333"),
        (2400, "0.6667"),
        (3599, "0.9997"),
        (3_599_999_999, "999999.9997"),
        (10**15, "277777777777.7778"),
    ],
)
def test_seconds_are_shown_as_hours_with_at_most_four_decimals(seconds: int, shown: str) -> None:
    assert repr(versions.hours(seconds)) == shown


@given(st.integers(0, 10**12))
def test_shown_hours_are_within_half_of_the_last_decimal(seconds: int) -> None:
    shown = versions.hours(seconds)
    exact = Fraction(seconds, 3600)
    assert abs(Fraction(repr(shown)) - exact) <= Fraction(1, 20_000)
    assert isinstance(shown, int) == (seconds % 3600 == 0)


def test_ten_thousand_people_are_counted_exactly(engine: str, data: Path) -> None:
    rows = people(10_000) + [row(participant_id=f"p{n}", activity_id="a2") for n in range(1, 5001)]
    export(data, rows)
    assert cells(engine, data)[CELL].total == numbers(15_000, 10_000, 15_000 * 7200, 2)


def test_people_whose_ids_differ_little_are_different(engine: str, data: Path) -> None:
    ids = ["a", "A", "a ", " a", "á", "a\u0301", "a\x00", "aa", "0", "00", "1", "01", "1.0", "🙂"]
    export(data, [row(participant_id=id_) for id_ in ids])
    assert cells(engine, data)[CELL].total["people"] == len(ids)


def test_every_metric_is_explained() -> None:
    assert [metric.name for metric in metrics.METRICS] == list(numbers(0, 0, 0, 0))
    for metric in metrics.METRICS:
        assert metric.meaning.endswith(".")
