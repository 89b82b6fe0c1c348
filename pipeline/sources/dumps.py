"""Dumps: exports of which each has everything, so that only the newest counts.

A dump is one file directly in the folder of its source, or several files in a folder below: that of
a date, or files of one date. The newest is the one with the latest date and digits in its path. If
any path has no digits, it is the one that was written last.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pipeline.sources.exports import File

_YEAR: Final = r"(?P<{0}>(?:19|20)\d\d)"
_MONTH: Final = r"(?P<{0}>0[1-9]|1[0-2])"
_DAY: Final = r"(?P<{0}>0[1-9]|[12]\d|3[01])"
_DATE: Final = re.compile(
    rf"(?<!\d)(?:{_YEAR.format('y')}(?P<sign>[-_.]?){_MONTH.format('m')}(?P=sign){_DAY.format('d')}"
    rf"|{_DAY.format('d2')}(?P<sign2>[-_.]){_MONTH.format('m2')}(?P=sign2){_YEAR.format('y2')})"
    r"(?=\D|\d{4}(?:\d\d)?(?!\d)|$)"
)
"""A day as `20241231`, `2024-12-31` or `31.12.2024`; a time of day may follow without a sign."""
_YEAR_ALONE: Final = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_TIME: Final = re.compile(r"(?<!\d)(?:[01]\d|2[0-3])[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d)?(?!\d)")
_DIGITS: Final = re.compile(r"\d+")
_WILD: Final = frozenset("*?[{")

DumpKey = tuple[str, str]
"""A dump: the folder or file that it is, and the date of its files where they have one."""
_Order = tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...], str]


@dataclass(frozen=True, slots=True)
class Dumps:
    """The files of a source, divided by whether their dump counts."""

    newest: Sequence[File]
    older: Sequence[File]
    same_date: Mapping[str, str]
    """By the dump that counts, another one of the same date that does not, if there is one."""


def divide(files: Iterable[File], pattern: str) -> Dumps:
    """Divide the files of a source: those of the newest dump, and those of all others.

    Args:
        files: The files.
        pattern: The pattern of the source; the folder in it counts as that of the source.
    """
    found: dict[DumpKey, list[File]] = {}
    for file in files:
        found.setdefault(key(file.name, pattern), []).append(file)
    if not found:
        return Dumps((), (), {})
    in_order = sorted(found, key=_order(found))
    newest = in_order[-1]
    older = [file for dump in in_order[:-1] for file in found[dump]]
    alike = [dump for dump in in_order[:-1] if _is_same_date(dump, newest)]
    same_date = {found[newest][-1].name: found[alike[-1]][-1].name} if alike else {}
    return Dumps(found[newest], older, same_date)


def key(name: str, pattern: str) -> DumpKey:
    """Name the dump that a file is in.

    Args:
        name: The name of the file.
        pattern: The pattern of its source.
    """
    fixed = len(list(takewhile(lambda part: not _WILD.intersection(part), pattern.split("/"))))
    *folders, last = name.split("/")
    fixed = min(fixed, len(folders))
    if len(folders) == fixed:
        return name, ""
    for depth in range(len(folders), fixed, -1):
        if _DATE.search(folders[depth - 1]):
            return "/".join(folders[:depth]), ""
    dates = _dates(last)
    return "/".join(folders), dates[-1] if dates else ""


def _order(found: Mapping[DumpKey, Sequence[File]]) -> Callable[[DumpKey], Any]:
    """Give the order of dumps: by the digits of all of them, or by the times of all of them."""
    if all(_DIGITS.search("".join(dump)) for dump in found):
        return _by_digits
    return lambda dump: (max(file.fingerprint.modified_ns for file in found[dump]), dump)


def _by_digits(dump: DumpKey) -> _Order:
    """Order by whole dates, then by years, then by all digits, then by name."""
    text = "/".join(part for part in dump if part)
    dates = _dates(text)
    rest = _DATE.sub(" ", text)
    years = tuple(int(year) for year in _YEAR_ALONE.findall(rest)) if not dates else ()
    return dates, years, tuple(int(digits) for digits in _DIGITS.findall(rest)), text


def _dates(text: str) -> tuple[str, ...]:
    """List the days in a text as `20241231`."""
    return tuple(
        (found["y"] or found["y2"]) + (found["m"] or found["m2"]) + (found["d"] or found["d2"])
        for found in _DATE.finditer(text)
    )


def _is_same_date(one: DumpKey, other: DumpKey) -> bool:
    """Return whether two dumps have one date, and no different times of day."""
    texts = ["/".join(dump) for dump in (one, other)]
    dates = [_dates(text) for text in texts]
    times = [_TIME.findall(_DATE.sub(" ", text)) for text in texts]
    return bool(dates[0]) and dates[0] == dates[1] and not (times[0] and times[0] != times[1])
