"""National identity numbers, known by their dates and control digits.

Eleven digits: day, month, year, three of the person, two control digits. Sources: Skatteetaten,
https://skatteetaten.github.io/folkeregisteret-api-dokumentasjon/nytt-fodselsnummer-fra-2032/ for
control digits and synthetic people; forskrift om folkeregistrering, 2-2, for centuries; KITH 11/98
for H-numbers.

- Days of D-numbers have 40 added.
- Months have 40 added in H-numbers and for made-up people of NAV, 65 in others of NAV, 80 for
  those of Skatteetaten.
- The first control digit leaves the remainder 0, and from 2032 on 1, 2 or 3 as well. Numbers of
  2032 have no century in them, so every date of any hundred years is right.

Of random eleven digits just under 1 % are identity numbers by these rules: one proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Digits = NDArray[np.int64]
    Flags = NDArray[np.bool_]

CHANCE: Final = 0.01
"""An upper bound of the share of random eleven digits that are identity numbers."""

OTHER: Final = 0
ELEVEN_DIGITS: Final = 1
IDENTITY_NUMBER: Final = 2
"""What a value can be, in rising order."""

_DIGITS: Final = 11
_FORM: Final = r"^(?:[0-9]{10,11}|[0-9]{6}[ \u00A0-][0-9]{5})$"
"""As they are written. Where they were numbers, the zero of days below 10 is lost."""
_SHORTEST, _LONGEST = 10, 13
"""The bytes of these forms; a space that does not break has two."""
_SIGN: Final = r"[ \u00A0-]"

_D_NUMBER: Final = 40
_OTHER_MONTHS: Final = (80, 65, 40)
_DAYS: Final = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FIRST_WEIGHTS: Final = np.array([3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0])
_SECOND_WEIGHTS: Final = np.array([5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1])
_MODULUS: Final = 11
_REMAINDERS_OF_2032: Final = 3
_FEBRUARY, _LEAP_DAY = 2, 29


def may_be(values: pl.Expr) -> pl.Expr:
    """Return whether texts have a length of identity numbers: cheap, and false for most ids."""
    return values.str.len_bytes().is_between(_SHORTEST, _LONGEST)


def kinds(values: pl.Series) -> pl.Series:
    """Give what each text is: `OTHER`, `ELEVEN_DIGITS` or `IDENTITY_NUMBER`; null is the first."""
    of_digits = values.str.contains(_FORM).fill_null(value=False)
    texts = values.filter(of_digits).str.replace(_SIGN, "").str.zfill(_DIGITS)
    found = np.zeros(len(values), np.int8)
    found[of_digits.to_numpy()] = np.where(_are_right(texts), IDENTITY_NUMBER, ELEVEN_DIGITS)
    return pl.Series(found, dtype=pl.Int8)


def _are_right(texts: pl.Series) -> Flags:
    """Return whether texts of eleven digits are identity numbers."""
    content = "".join(texts.to_list()).encode("ascii")
    digits = (np.frombuffer(content, np.uint8) - ord("0")).reshape(-1, _DIGITS).astype(np.int64)
    first = digits @ _FIRST_WEIGHTS % _MODULUS
    second = digits @ _SECOND_WEIGHTS % _MODULUS
    day, month, year = (digits[:, n] * 10 + digits[:, n + 1] for n in (0, 2, 4))
    individual = digits[:, 6] * 100 + digits[:, 7] * 10 + digits[:, 8]
    is_of_today = (first == 0) & _has_century(year, individual)
    is_of_2032 = (first > 0) & (first <= _REMAINDERS_OF_2032)
    is_dated = _is_date(day, month, year, is_in_1900=is_of_today & _is_of_1900(individual, year))
    right: Flags = (second == 0) & (is_of_today | is_of_2032) & is_dated
    return right


def _is_date(day: Digits, month: Digits, year: Digits, *, is_in_1900: Flags) -> Flags:
    """Return whether a day exists; 29 February 1900 does not, and that of 2000 does."""
    day = np.where(day > _D_NUMBER, day - _D_NUMBER, day)
    for added in _OTHER_MONTHS:
        month = np.where((month > added) & (month <= added + 12), month - added, month)
    is_month = (month >= 1) & (month <= 12)  # noqa: PLR2004 (months of a year)
    days = _DAYS[np.where(is_month, month, 0)]
    is_leap_year = (year % 4 == 0) & ~((year == 0) & is_in_1900)
    is_leap_day = (month == _FEBRUARY) & (day == _LEAP_DAY)
    exists: Flags = (day >= 1) & (day <= days) & (~is_leap_day | is_leap_year)
    return exists


def _is_of_1900(individual: Digits, year: Digits) -> Flags:
    of_1900: Flags = (individual < 500) | ((individual >= 900) & (year >= 40))  # noqa: PLR2004
    return of_1900


def _has_century(year: Digits, individual: Digits) -> Flags:
    """Return whether the digits of the person name a century that has the year."""
    of_1800 = (individual >= 500) & (individual < 750) & (year >= 54)  # noqa: PLR2004
    of_2000 = (individual >= 500) & (year < 40)  # noqa: PLR2004
    known: Flags = of_1800 | of_2000 | _is_of_1900(individual, year)
    return known
