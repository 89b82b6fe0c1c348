"""Identity numbers for tests, by a plain implementation of their rules.

Months of made-up people have 80 added, so most of these can be no real person's. Those with the
months of today are computed from rules; none is written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST: Final = (3, 7, 6, 1, 8, 9, 4, 5, 2)
SECOND: Final = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def number(date: str, individual: int, remainder: int = 0) -> str | None:
    """Add the control digits to a date and the digits of a person; None where there are none.

    Args:
        date: Day, month and year of two digits each.
        individual: The number of the person.
        remainder: The remainder that the first control digit leaves.
    """
    digits = f"{date}{individual:03d}"
    first = (remainder - _sum(FIRST, digits)) % 11
    if first == 10:
        return None
    digits = f"{digits}{first}"
    second = -_sum(SECOND, digits) % 11
    return None if second == 10 else f"{digits}{second}"


def _sum(weights: tuple[int, ...], digits: str) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True))


def numbers(date: str, remainder: int = 0) -> Iterator[str]:
    """Give all numbers of a date."""
    for individual in range(1000):
        if (found := number(date, individual, remainder)) is not None:
            yield found


def first_number(date: str, individual: int = 0, remainder: int = 0) -> str:
    """Give the first number of a date from this individual number on."""
    found = (number(date, one, remainder) for one in range(individual, 1000))
    return next(one for one in found if one is not None)


def made_up(count: int) -> list[str]:
    """Give different numbers of people whom Skatteetaten has made up, born in the 1970s."""
    dates = (f"{day:02d}81{year}" for year in range(70, 80) for day in range(1, 32))
    found = (one for date in dates for one in list(numbers(date))[:400])
    return [next(found) for _ in range(count)]
