"""Settings of formats: how files that are not Parquet are read."""

from __future__ import annotations

import codecs
import re
from datetime import datetime
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.settings.sections import NO_FLAG, Section

_DIRECTIVE: Final = re.compile(r"%(.?)")
_DATE: Final = frozenset("dmYy")
_DIRECTIVES: Final = _DATE | frozenset("HMSfz")
_PROBE: Final = datetime(2024, 12, 31, 23, 59, 58)  # noqa: DTZ001 (its digits are written and read)
_SEPARATOR: Final = re.compile(r"[^\r\n\"\x80-\U0010ffff]")


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
        "".encode(name)  # some codecs are of bytes to bytes
    except LookupError:
        msg = "is no encoding that Python knows, such as utf-8 or cp1252"
        raise ValueError(msg) from None
    return name


def _date_format(text: str) -> str:
    """Refuse a format without day, month and year, and one that not every reader knows."""
    unknown = [sign for sign in _DIRECTIVE.findall(text) if sign not in _DIRECTIVES]
    if unknown:
        msg = f"has %{unknown[0]}; it may have %d %m %Y %y %H %M %S %f and %z"
        raise ValueError(msg)
    if "%f" in text.replace("%S.%f", ""):
        msg = "must have %f after %S., as in %S.%f"
        raise ValueError(msg)
    probe = text.replace("%z", "")
    if datetime.strptime(_PROBE.strftime(probe), probe).date() != _PROBE.date():  # noqa: DTZ007
        msg = "lacks the day, the month or the year, as in %d.%m.%Y"
        raise ValueError(msg)
    return text


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _one_sign(text: str) -> str:
    if _SEPARATOR.fullmatch(text) is None:
        msg = 'must be one sign of ASCII, such as ";" or "\\t", and no quote'
        raise ValueError(msg)
    return text


HeaderRow = Annotated[int, Field(ge=1, le=1000), NO_FLAG]
"""The row with the names of columns, from 1; rows above it are not read."""
_Words = Annotated[tuple[str, ...], Field(min_length=1)]


class TextValues(Section):
    """The way in which texts mean instants, numbers and flags."""

    decimal: Literal[".", ","] = "."
    """The sign between whole hours and their parts."""
    dates: Annotated[
        tuple[Annotated[str, AfterValidator(_date_format)], ...], BeforeValidator(_one_or_more)
    ] = ()
    """Formats of instants as Python's strptime has them, tried in this order; none is ISO 8601."""
    null: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = ("",)
    """The texts that mean that there is no value."""
    true: Annotated[_Words, BeforeValidator(_one_or_more)] = ("true", "1")
    """The texts that mean yes, in any case."""
    false: Annotated[_Words, BeforeValidator(_one_or_more)] = ("false", "0")
    """The texts that mean no, in any case."""

    @model_validator(mode="after")
    def _no_text_means_both(self) -> Self:
        both = {one.lower() for one in self.true} & {one.lower() for one in self.false}
        if both:
            msg = f"true and false both have {min(both)!r}; each text can mean one"
            raise ValueError(msg)
        return self


class CsvSettings(TextValues):
    """The way in which text files are read whose values are separated by a sign."""

    delimiter: Annotated[str, AfterValidator(_one_sign)] = ","
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    header_row: HeaderRow = 1


class XlsxSettings(TextValues):
    """The way in which Excel workbooks are read."""

    sheet: Annotated[str, Field(min_length=1)] | None = None
    """The name of the sheet, or a pattern for several; None where the workbook has only one."""
    header_row: HeaderRow = 1


class JsonLinesSettings(TextValues):
    """The way in which files with one JSON object a line are read."""
