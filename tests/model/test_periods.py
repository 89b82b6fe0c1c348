"""Period ids, their intervals, and that every instant is in exactly one of a kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidValue, PeriodNotBegun
from pipeline.model import periods
from pipeline.model.periods import KINDS, Period
from pipeline.runs import lifecycle

OSLO = ZoneInfo("Europe/Oslo")
ALL = [
    Period(kind, ordinal)
    for kind, months in KINDS.items()
    for ordinal in range(periods.MONTHS // months)
]
FIRST = datetime(2000, 1, 1, tzinfo=OSLO)
AFTER = datetime(2101, 1, 1, tzinfo=OSLO)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("period_id", "kind", "start", "end"),
    [
        ("rp-2024", "year", "2023-12-31T23:00", "2024-12-31T23:00"),
        ("rp-2024-h1", "half-year", "2023-12-31T23:00", "2024-06-30T22:00"),
        ("rp-2024-h2", "half-year", "2024-06-30T22:00", "2024-12-31T23:00"),
        ("rp-2024-t1", "tertial", "2023-12-31T23:00", "2024-04-30T22:00"),
        ("rp-2024-t2", "tertial", "2024-04-30T22:00", "2024-08-31T22:00"),
        ("rp-2024-t3", "tertial", "2024-08-31T22:00", "2024-12-31T23:00"),
        ("rp-2024-q1", "quarter", "2023-12-31T23:00", "2024-03-31T22:00"),
        ("rp-2024-q2", "quarter", "2024-03-31T22:00", "2024-06-30T22:00"),
        ("rp-2024-q3", "quarter", "2024-06-30T22:00", "2024-09-30T22:00"),
        ("rp-2024-q4", "quarter", "2024-09-30T22:00", "2024-12-31T23:00"),
        ("rp-2024-m1", "month", "2023-12-31T23:00", "2024-01-31T23:00"),
        ("rp-2024-m3", "month", "2024-02-29T23:00", "2024-03-31T22:00"),
        ("rp-2024-m10", "month", "2024-09-30T22:00", "2024-10-31T23:00"),
        ("rp-2024-m12", "month", "2024-11-30T23:00", "2024-12-31T23:00"),
        ("rp-2000", "year", "1999-12-31T23:00", "2000-12-31T23:00"),
        ("rp-2100", "year", "2099-12-31T23:00", "2100-12-31T23:00"),
    ],
)
def test_a_period_is_the_time_from_local_midnight_to_local_midnight(
    period_id: str, kind: str, start: str, end: str
) -> None:
    period = periods.parse(period_id)
    assert period.kind == kind
    assert period.id == period_id
    assert period.start(OSLO) == utc(start)
    assert period.end(OSLO) == utc(end)
    assert period.start(OSLO).utcoffset() == timedelta(0)


def test_another_zone_has_another_midnight() -> None:
    assert periods.parse("rp-2024-q1").start(ZoneInfo("UTC")) == utc("2024-01-01T00:00")
    assert periods.parse("rp-2024-q1").end(ZoneInfo("UTC")) == utc("2024-04-01T00:00")


def test_every_period_is_parsed_from_its_id() -> None:
    assert len(ALL) == 101 * (1 + 2 + 3 + 4 + 12)
    assert [periods.parse(period.id) for period in ALL] == ALL
    assert len({period.id for period in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", KINDS)
def test_periods_of_a_kind_follow_each_other_without_gap_or_overlap(kind: str) -> None:
    of_kind = [period for period in ALL if period.kind == kind]
    assert of_kind[0].start(OSLO) == FIRST
    assert of_kind[-1].end(OSLO) == AFTER
    for before, after in pairwise(of_kind):
        assert before.end(OSLO) == after.start(OSLO) > before.start(OSLO)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 12, 31), timezones=st.just(OSLO)))  # noqa: DTZ001
def test_every_instant_is_in_exactly_one_period_of_a_kind(moment: datetime) -> None:
    instant = moment.astimezone(UTC)
    local = instant.astimezone(OSLO)
    for kind, months in KINDS.items():
        holding = [
            period
            for period in ALL
            if period.kind == kind and period.start(OSLO) <= instant < period.end(OSLO)
        ]
        assert [period.ordinal for period in holding] == [
            ((local.year - 2000) * 12 + local.month - 1) // months
        ]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "rp",
        "2024-q4",
        "rp-24-q4",
        "rp-20245",
        "RP-2024-Q4",
        "rp-2024-Q4",
        "rp-2024-",
        "rp-2024-q",
        "rp-2024-q0",
        "rp-2024-q5",
        "rp-2024-q04",
        "rp-2024-q10",
        "rp-2024-h0",
        "rp-2024-h3",
        "rp-2024-t4",
        "rp-2024-m0",
        "rp-2024-m13",
        "rp-2024-m01",
        "rp-2024-m100",
        "rp-2024-w1",
        "rp-2024-4",
        "rp-2024q4",
        "rp_2024_q4",
        " rp-2024-q4",
        "rp-2024-q4 ",
        "rp-2024-q4\n",
        "rp-1999",
        "rp-2101",
        "rp-1999-q4",
        "rp-2101-q1",
        "rp-٢٠٢٤",
        "rp-2024-q٤",
        "rp-2024-q4..rp-2024-q4",
    ],
)
def test_malformed_periods_are_refused_with_the_allowed_forms(wrong: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        periods.parse(wrong)
    assert refused.value.value == wrong
    assert refused.value.field == "period"
    assert str(refused.value).startswith(f"period {wrong!r}: ")


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("rp-2024-q4", ["rp-2024-q4"]),
        ("rp-2024-q1..rp-2024-q4", [f"rp-2024-q{n}" for n in (1, 2, 3, 4)]),
        ("rp-2024-q4..rp-2025-q1", ["rp-2024-q4", "rp-2025-q1"]),
        ("rp-2023..rp-2025", ["rp-2023", "rp-2024", "rp-2025"]),
        ("rp-2024-m12..rp-2025-m1", ["rp-2024-m12", "rp-2025-m1"]),
        ("rp-2024-t3..rp-2024-t3", ["rp-2024-t3"]),
    ],
)
def test_a_range_is_every_period_from_the_first_to_the_last(text: str, ids: list[str]) -> None:
    assert [period.id for period in periods.parse_range(text)] == ids


@pytest.mark.parametrize(
    "wrong",
    [
        "rp-2024-q4..rp-2024-q1",
        "rp-2024-q1..rp-2024-m4",
        "rp-2024..rp-2024-q4",
        "rp-2024-q1..",
        "..rp-2024-q1",
        "..",
        "rp-2024-q1...rp-2024-q2",
        "rp-2024-q1..rp-2024-q2..rp-2024-q3",
        "rp-2024-q1-rp-2024-q2",
        "rp-2024-q1..rp-2024-q5",
    ],
)
def test_malformed_ranges_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue):
        periods.parse_range(wrong)


def test_a_period_has_begun_from_its_first_instant_on() -> None:
    period = periods.parse("rp-2025-q1")
    midnight = utc("2024-12-31T23:00")
    assert lifecycle.has_begun(period, OSLO, midnight)
    assert not lifecycle.has_begun(period, OSLO, midnight - timedelta(microseconds=1))


def test_a_period_that_has_not_begun_is_refused_with_the_day_on_which_it_does() -> None:
    with pytest.raises(PeriodNotBegun) as refused:
        lifecycle.check("org-1", "rp-2025-q2", OSLO, utc("2025-03-31T21:59"))
    assert str(refused.value) == (
        "period rp-2025-q2 has not begun: it begins 2025-04-01; ask for it from then on"
    )
    assert lifecycle.check("org-1", "rp-2025-q2", OSLO, utc("2025-03-31T22:00")).id == "rp-2025-q2"


@pytest.mark.parametrize("wrong", ["", "org 1", "-a", "a/b", "x" * 65, "org-1\n", "ørg"])
def test_a_malformed_organisation_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidValue, match="organisations are written with letters"):
        lifecycle.check(wrong, "rp-2024-q4", OSLO, utc("2025-01-01T00:00"))


def test_a_range_stops_being_one_where_the_years_end() -> None:
    assert len(periods.parse_range("rp-2000-m1..rp-2100-m12")) == 101 * 12


def test_a_month_with_a_leading_zero_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(InvalidValue, match="no leading zero; write rp-2024-m3"):
        periods.parse("rp-2024-m03")


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("rp-2024", "rp-2024-q1", True),
        ("rp-2024-q1", "rp-2024-t1", True),
        ("rp-2024-q2", "rp-2024-t1", True),
        ("rp-2024-q2", "rp-2024-q3", False),
        ("rp-2024-m12", "rp-2025", False),
        ("rp-2024-m12", "rp-2024-h2", True),
    ],
)
def test_periods_overlap_where_they_have_a_month_in_common(
    one: str, other: str, *, overlap: bool
) -> None:
    assert periods.parse(one).overlaps(periods.parse(other)) is overlap
    assert periods.parse(other).overlaps(periods.parse(one)) is overlap
