"""Texts of libraries without values of exports: errors and tracebacks quote what could not be read.

A value may be a participant, and everything that is written stays. So of a library's message only
plain words and small numbers are kept. What is quoted or in brackets is replaced. So is every word
with a digit, an underscore or a letter of another alphabet. Our own errors name no values; they
are given as they are.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN: Final = "…"
"""The sign in the place of what was left out."""
_QUOTED: Final = re.compile(r"""(?<![A-Za-z])["'`\[{<].*["'`\]}>]|(?<![A-Za-z])["'`\[{].*""")
"""From the first quote or bracket to the last: a value may have quotes itself, or be cut off."""
_ROW: Final = re.compile(r"(got \d+):.*")
"""Arrow's message about a row with too many or too few cells, which ends with the row."""
_WORD: Final = re.compile(
    r"""[A-Za-z]+(?:['/-][A-Za-z]+)*|[#]?\d{1,5}|\d+(?:\.\d+)?%"""
    r"""|(?i:u?int\d{1,2}|[iuf]\d{1,2}|float\d{2}|utf-?8|lz4|base64|sha256|v\d)"""
)
_AROUND: Final = ".,;:!?()"
_OURS: Final = "pipeline."
"""The package whose errors name no values."""


def redacted(message: str) -> str:
    """Give the first line of a library's message without what may be a value."""
    line = message.strip().partition("\n")[0]
    line = _QUOTED.sub(HIDDEN, _ROW.sub(rf"\1: {HIDDEN}", line))
    kept: list[str] = []
    for word in line.split():
        inner = word.strip(_AROUND)
        if not inner or inner == HIDDEN or _WORD.fullmatch(inner):
            kept.append(word)
        elif kept[-1:] != [HIDDEN]:
            kept.append(HIDDEN)
    return " ".join(kept)


def summary(error: BaseException) -> str:
    """Give the message of an error: ours or the system's as it is, else redacted, or its type."""
    if type(error).__module__.startswith(_OURS):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return redacted(str(error)) or type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Give the traceback of an error and of its causes, each with its type and redacted message.

    Lines of code are shown, values are not.
    """
    return "".join(_parts(error, set()))


def _parts(error: BaseException, seen: set[int]) -> Iterator[str]:
    """Give the causes first, as Python does; one that causes itself only once."""
    seen.add(id(error))
    cause, context = error.__cause__, error.__context__
    if cause is not None and id(cause) not in seen:
        yield from _parts(cause, seen)
        yield "\nThe above exception was the direct cause of the following exception:\n\n"
    elif context is not None and id(context) not in seen and not error.__suppress_context__:
        yield from _parts(context, seen)
        yield "\nDuring handling of the above exception, another exception occurred:\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        yield from traceback.format_tb(error.__traceback__)
    kind, message = type(error), summary(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    yield f"{module}{kind.__qualname__}" + (f": {message}\n" if message != kind.__name__ else "\n")
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            if id(one) not in seen:
                yield from _parts(one, seen)
