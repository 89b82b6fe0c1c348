"""National identity numbers are known by their dates and control digits."""

from __future__ import annotations

import random

import polars as pl
import pytest

from pipeline.sources.identity_numbers import CHANCE, ELEVEN_DIGITS, IDENTITY_NUMBER, OTHER, kinds
from tests.identity_numbers import first_number, made_up, number, numbers


def kind(value: str | None) -> int:
    (found,) = kinds(pl.Series([value], dtype=pl.String)).to_list()
    return int(found)


@pytest.mark.parametrize(
    "date",
    [
        "010170",  # today's
        "410170",  # a D-number
        "014170",  # an H-number, or made up by NAV
        "016670",  # made up by NAV
        "018170",  # made up by Skatteetaten
        "418170",  # a D-number, made up by Skatteetaten
        "719270",  # its last day
    ],
)
def test_every_kind_of_number_is_known(date: str) -> None:
    assert kind(first_number(date)) == IDENTITY_NUMBER


@pytest.mark.parametrize("remainder", range(11))
def test_from_2032_on_the_first_control_digit_leaves_up_to_3(remainder: int) -> None:
    expected = IDENTITY_NUMBER if remainder <= 3 else ELEVEN_DIGITS
    assert {kind(one) for one in numbers("018130", remainder)} == {expected}


@pytest.mark.parametrize(
    ("date", "individual", "remainder", "expected"),
    [
        ("310170", 0, 0, IDENTITY_NUMBER),
        ("320170", 0, 0, ELEVEN_DIGITS),
        ("000170", 0, 0, ELEVEN_DIGITS),
        ("310470", 0, 0, ELEVEN_DIGITS),
        ("301270", 0, 0, IDENTITY_NUMBER),
        ("011370", 0, 0, ELEVEN_DIGITS),
        ("010070", 0, 0, ELEVEN_DIGITS),
        ("290272", 0, 0, IDENTITY_NUMBER),
        ("290271", 0, 0, ELEVEN_DIGITS),
        ("290200", 0, 0, ELEVEN_DIGITS),  # 1900 is no leap year
        ("290200", 500, 0, IDENTITY_NUMBER),  # 2000 is one
        ("290200", 0, 1, IDENTITY_NUMBER),  # numbers of 2032 have no century
        ("010160", 500, 0, IDENTITY_NUMBER),  # 1860
        ("010150", 500, 0, ELEVEN_DIGITS),  # no century has it
        ("010150", 500, 2, IDENTITY_NUMBER),
        ("010150", 750, 0, ELEVEN_DIGITS),
        ("010150", 900, 0, IDENTITY_NUMBER),  # 1950
        ("010139", 750, 0, IDENTITY_NUMBER),  # 2039
    ],
)
def test_only_days_that_there_are_count(
    date: str, individual: int, remainder: int, expected: int
) -> None:
    assert kind(first_number(date, individual, remainder)) == expected


def test_each_control_digit_counts() -> None:
    right = first_number("018170")
    for place in (9, 10):
        others = {right[:place] + digit + right[place + 1 :] for digit in "0123456789"} - {right}
        assert {kind(one) for one in others} <= {ELEVEN_DIGITS, IDENTITY_NUMBER}
        assert sum(kind(one) == IDENTITY_NUMBER for one in others) <= 1


def test_a_zero_that_numbers_lose_is_added() -> None:
    right = first_number("018170")
    assert right[0] == "0"
    assert kind(right[1:]) == IDENTITY_NUMBER


@pytest.mark.parametrize("sign", [" ", "-", "\u00a0"])
def test_date_and_person_may_be_apart(sign: str) -> None:
    right = first_number("118170")
    assert kind(f"{right[:6]}{sign}{right[6:]}") == IDENTITY_NUMBER
    assert kind(f"{right[:5]}{sign}{right[5:]}") == OTHER


@pytest.mark.parametrize(
    "value", [None, "", "p1", "123456789", "123456789012", "1234567890a", "١٢٣٤٥٦٧٨٩٠١", "é" * 5]
)
def test_everything_else_is_no_eleven_digits(value: str | None) -> None:
    assert kind(value) == OTHER


def test_of_random_eleven_digits_a_few_are_identity_numbers() -> None:
    drawn = random.Random(2032)  # noqa: S311 (not for secrets)
    found = kinds(pl.Series([f"{drawn.randrange(10**11):011d}" for _ in range(200_000)]))
    share = (found == IDENTITY_NUMBER).mean()
    assert isinstance(share, float)
    assert 0.008 < share < CHANCE
    assert (found > OTHER).all()


def test_made_up_numbers_are_different_and_all_known() -> None:
    found = made_up(2_000)
    assert len(set(found)) == 2_000
    assert set(kinds(pl.Series(found)).to_list()) == {IDENTITY_NUMBER}


def test_some_people_have_no_number() -> None:
    assert any(number("018170", individual) is None for individual in range(1000))
