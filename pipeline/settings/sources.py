"""Settings of sources: the sets of exports that one system writes, and how each is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from pipeline.model.states import Format, Mode
from pipeline.settings.formats import CsvSettings, JsonLinesSettings, XlsxSettings
from pipeline.settings.sections import NO_FLAG, ColumnName, Section, conflict

EVERYTHING: Final = "**"
"""The pattern of all exports, at any depth."""
_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
_NO_FOLDER: Final = ("/", "./", "../")


def _plain(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        msg = "it must be 1 to 32 of a to z, 0 to 9, _ and -"
        raise ValueError(msg)
    return name


def _relative(pattern: str) -> str:
    if pattern.startswith(_NO_FOLDER) or "/../" in pattern:
        msg = "counts from the exports, such as system/**"
        raise ValueError(msg)
    return pattern


_OPTIONS: Final = (Format.CSV, Format.XLSX, Format.JSONL)
"""The formats that have options, each in a table of its name."""


class SourceSettings(Section):
    """A set of exports that one system writes."""

    name: Annotated[str, AfterValidator(_plain)]
    files: Annotated[str, Field(min_length=1), AfterValidator(_relative)] = EVERYTHING
    """A pattern of names below the exports: `*` is any signs but `/`, `**` any folders."""
    mode: Mode = Mode.LOG
    format: Format = Format.PARQUET
    columns: dict[str, ColumnName] = {}
    """Our column to theirs, over `[export.columns]`."""
    categories: dict[str, str] = {}
    """Their category to ours, over `[export.categories]`."""
    csv: CsvSettings | None = None
    xlsx: XlsxSettings | None = None
    jsonl: JsonLinesSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_own_options(cls, given: Any) -> Any:  # noqa: ANN401 (pydantic passes what it was given)
        """Give a format its options where none are written."""
        if isinstance(given, Mapping) and given.get("format") in _OPTIONS:
            return {given["format"]: {}, **given}
        return given

    @model_validator(mode="after")
    def _without_options_of_others(self) -> Self:
        for name in _OPTIONS:
            if name != self.format and getattr(self, name) is not None:
                problem = f'the format is {self.format}; remove this, or write format = "{name}"'
                raise conflict(f"sources.{self.name}.{name}", problem)
        return self

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the options of other formats."""
        given: dict[str, Any] = handler(self)
        return {name: one for name, one in given.items() if one is not None}


class GuardSettings(Section):
    """The bounds of what may change without a word."""

    most_fall: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NO_FLAG] = 0.1
    """The share of a snapshot's rows that files written again or a newer dump may take."""
    most_silent_days: Annotated[int | None, Field(ge=1), NO_FLAG] = None
    """The days without a new export of a source after which nightly runs warn; None is never."""
    verify_days: Annotated[int, Field(ge=1, le=366), NO_FLAG] = 1
    """The days within which nightly runs compare every version file with its digest."""


class PrivacySettings(Section):
    """The bounds of what exports may reveal about people."""

    most_identity_numbers: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NO_FLAG] = 0.02
    """The share of an export's different participants that may be national identity numbers."""
