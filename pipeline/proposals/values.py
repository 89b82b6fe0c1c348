"""The meaning of texts, guessed from the values of columns: dates, decimals, yes and no, nothing.

Tries what the reader of exports would make of the values, with each setting that may be meant.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline.model.clock import wall_clock
from pipeline.model.columns import UNREADABLE
from pipeline.proposals.proposal import Guess
from pipeline.settings.formats import TextValues
from pipeline.sources.formats import text_values
from pipeline.sources.formats.cells import Block, of_objects
from pipeline.sources.formats.converted_file import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from pipeline.model.columns import Column

NULL_WORDS: Final = frozenset(
    {"-", "--", "–", "NULL", "null", "N/A", "n/a", "#N/A", "NA", "None", "NaN", "nan", "(null)"}
)
_YES_NO: Final = (
    ("ja", "nei"),
    ("yes", "no"),
    ("sann", "usann"),
    ("true", "false"),
    ("1", "0"),
    ("j", "n"),
    ("y", "n"),
    ("x", "false"),
)
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", " %H.%M", " kl. %H:%M", " kl. %H.%M")
_DAYS: Final = (
    "%d.%m.%y",
    "%d.%m.%Y",
    "%d/%m/%y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
)
_DATES: Final = (
    *(f"{day}{time}" for time in _TIMES for day in _DAYS),
    *("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%d %H:%M"),
    *("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H.%M"),
    *("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S.%f%z"),
)
"""The formats of dates that are tried; of those that read as many values, the first one counts."""
_SWAPPED: Final = {"%d/%m": "%m/%d", "%m/%d": "%d/%m"}
_MOST_FORMATS: Final = 3
_FIRST_YEAR, _LAST_YEAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)


def read(
    column: Column, values: Sequence[Any], options: TextValues, zone: ZoneInfo
) -> pl.DataFrame:
    """Read values of a column as an export with these settings is read.

    Returns:
        The values under the column's name, and `UNREADABLE`; one row per value, in no order.
    """
    numbers = pl.Series(SOURCE_ROW, range(len(values)), pl.Int64)
    block = Block([column.name], pl.DataFrame([numbers, *of_objects(column, values)]))
    clock = wall_clock(zone)
    return text_values.typed(block, [column], {column.name: column.name}, options, clock)


def unreadable(column: Column, values: Sequence[Any], options: TextValues, zone: ZoneInfo) -> int:
    """Count the values that are none of the column's type."""
    return int(read(column, values, options, zone).get_column(UNREADABLE).sum())


def null_words(columns: Iterable[Sequence[Any]]) -> list[Guess]:
    """Guess the texts that mean that there is no value."""
    counts: dict[str, int] = {}
    for value in (value for values in columns for value in values):
        if isinstance(value, str) and value in NULL_WORDS:
            counts[value] = counts.get(value, 0) + 1
    if not counts:
        return []
    total = sum(counts.values())
    return [Guess("null", ["", *sorted(counts)], f"{total:,} values are such a word")]


def decimal(values: Sequence[Any], null: Sequence[str], *, has_semicolons: bool) -> list[Guess]:
    """Guess the decimal sign of hours; programs separate by semicolons where it is a comma."""
    texts = _texts(values, null)
    commas = sum("," in text for text in texts)
    points = sum("." in text for text in texts)
    if commas > points:
        why = f"{commas:,} of {len(texts):,} hours have a decimal comma"
        return [Guess("decimal", ",", why, is_certain=not points)]
    if points:
        why = f"{points:,} of {len(texts):,} hours have a decimal point"
        return [Guess("decimal", ".", why, is_certain=not commas)]
    if texts:
        likely, other = (",", ".") if has_semicolons else (".", ",")
        why = f"no hours have decimals; in another file it may be '{other}'"
        return [Guess("decimal", likely, why, is_certain=False)]
    return []


def dates(
    columns: Mapping[Column, Sequence[Any]], null: Sequence[str], zone: ZoneInfo
) -> list[Guess]:
    """Guess the formats of dates; none where all are ISO 8601.

    Args:
        columns: The values of each of our columns of instants.
        null: The texts that mean that there is no value.
        zone: The zone of times without one.
    """
    found: list[str] = []
    read_so_far = count = 0
    is_certain = True
    iso: dict[Column, list[str]] = {}
    for column, values in columns.items():
        texts = _texts(values, null)
        count += len(texts)
        left = _left(column, texts, TextValues(), zone)
        read_so_far += len(texts) - len(left)
        iso[column] = [text for text in dict.fromkeys(texts) if text not in {*left}]
        own: list[str] = []
        while left and len(own) < _MOST_FORMATS:
            rests = {one: _left(column, left, TextValues(dates=(one,)), zone) for one in _DATES}
            best = min(rests, key=lambda one: len(rests[one]))
            if len(rests[best]) == len(left):
                break
            swapped = _swapped(best)
            is_certain &= swapped is None or len(rests[swapped]) > len(rests[best])
            read_so_far += len(left) - len(rests[best])
            own.append(best)
            left = rests[best]
        found += own
    if not found:
        return []
    for column, texts in iso.items():
        found += _iso_formats(column, texts, zone)
    why = f"{read_so_far:,} of {count:,} dates and times are like this"
    if not is_certain:
        why += ", but no day is over 12, so day and month may be the other way round"
    formats = list(dict.fromkeys(found))
    value = formats[0] if len(formats) == 1 else formats
    return [Guess("dates", value, why, is_certain and read_so_far == count)]


def _iso_formats(column: Column, texts: Sequence[str], zone: ZoneInfo) -> list[str]:
    """Name the forms of ISO 8601 of these texts; next to other formats they must be named."""
    forms = [one for one in _DATES if "%Y-%m-%d" in one]
    return [
        one
        for one in forms
        if len(_left(column, texts, TextValues(dates=(one,)), zone)) < len(texts)
    ]


def _left(column: Column, texts: Sequence[str], options: TextValues, zone: ZoneInfo) -> list[str]:
    """Give the texts that are no dates of our years in these formats; each text as often."""
    different = list(dict.fromkeys(texts))
    rows = read(column, different, options, zone).sort(SOURCE_ROW)
    is_plausible = pl.col(column.name).is_between(_FIRST_YEAR, _LAST_YEAR).fill_null(value=False)
    fits = dict(zip(different, rows.select(is_plausible).to_series(), strict=True))
    return [text for text in texts if not fits[text]]


def _swapped(format_: str) -> str | None:
    """Give the same format with day and month the other way round, where there is such a one."""
    other = _SWAPPED.get(format_[:5])
    swapped = None if other is None else other + format_[5:]
    return swapped if swapped in _DATES else None


def flags(values: Sequence[Any], null: Sequence[str]) -> list[Guess] | None:
    """Guess the words for yes and no.

    Returns:
        The settings, none where the words are the default ones; None where there are others.
    """
    words = {text.strip().lower() for text in _texts(values, null)}
    pair = next((pair for pair in _YES_NO if words <= set(pair)), None)
    if not words or words <= {"true", "1", "false", "0"}:
        return []
    if pair is None:
        return None
    yes, no = pair
    why = f"its only values are {' and '.join(sorted(words))}"
    return [Guess("true", [yes], why), Guess("false", [no], why)]


def _texts(values: Sequence[Any], null: Sequence[str]) -> list[str]:
    return [one for one in values if isinstance(one, str) and one not in null and one != ""]
