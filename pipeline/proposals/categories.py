"""The categories of a file that are none of ours, each with the code that its words suggest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from pipeline.proposals import values
from pipeline.proposals.proposal import UnknownCategory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.settings import Settings

_MOST: Final = 50
"""More different values than categories have; they are then not shown."""
_LONGEST: Final = 100
_WORDS: Final = {
    "funksjonsnedsettelse": ("funksjon", "tilrettelagt", "disability"),
    "eldre": ("eldre", "senior", "pensjonist", "elderly"),
    "foreldre_barn": ("foreldre", "familie", "barn", "baby", "parent", "famil", "child"),
    "ungdom": ("ungdom", "ungdoms", "junior", "tenåring", "youth", "teen"),
}
"""Parts of words that suggest one of the usual codes, in the order in which they are tried."""


def unknown(
    given: Iterable[object], people: Iterable[object], settings: Settings
) -> list[UnknownCategory] | int:
    """List the categories that are none of ours; never those that look like anything else.

    Args:
        given: The values of the column.
        people: The participants, none of whom may be shown.
        settings: The settings so far, with the categories.

    Returns:
        The categories, the most usual first; only their number where they may be no categories.
    """
    found = Counter(map(str, given))
    known = {*settings.categories, *settings.export.categories, *values.NULL_WORDS}
    others = {one: rows for one, rows in found.items() if one.strip() and one not in known}
    hidden = {*map(str, people)}
    if len(others) > _MOST or any(one in hidden or len(one) > _LONGEST for one in others):
        return len(others)
    return [
        UnknownCategory(one, _suggested(one, settings.categories), rows)
        for one, rows in sorted(others.items(), key=lambda item: (-item[1], item[0]))
    ]


def _suggested(theirs: str, codes: Sequence[str]) -> str | None:
    words = theirs.casefold()
    for code, parts in _WORDS.items():
        if code in codes and any(part in words for part in parts):
            return code
    return None
