"""Text from files and their names, made fit for one line of a terminal or a log.

Owns how signs are written that a terminal would obey, and where a text is cut. Values for programs
are not changed: JSON has escapes of its own.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 500
"""The most signs of a sentence about one file."""
MOST_OF_NAME: Final = 200
"""The most signs of a name in such a sentence."""
_CUT: Final = " … "


def escaped(text: str) -> str:
    """Write signs that a terminal would obey or not show by their numbers, as Python does."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def shortened(text: str, most: int = MOST) -> str:
    """Leave out the middle of a long text: its end often has what to do."""
    if len(text) <= most:
        return text
    left = most - len(_CUT)
    return text[: left - left // 3] + _CUT + text[len(text) - left // 3 :]


def name(text: str) -> str:
    """Write the name of a file or a column for a sentence."""
    return shortened(escaped(text), MOST_OF_NAME)


def sentence(text: str) -> str:
    """Write a sentence about one file as a line."""
    return shortened(escaped(text))
