"""Settings of sources: the sets of exports that one system writes, and how each is read."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from pipeline.model.states import Mode
from pipeline.settings.sections import NO_FLAG, ColumnName, Section

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


class SourceSettings(Section):
    """A set of exports that one system writes."""

    name: Annotated[str, AfterValidator(_plain)]
    files: Annotated[str, Field(min_length=1), AfterValidator(_relative)] = EVERYTHING
    """A pattern of names below the exports: `*` is any signs but `/`, `**` any folders."""
    mode: Mode = Mode.LOG
    columns: dict[str, ColumnName] = {}
    """Our column to theirs, over `[export.columns]`."""
    categories: dict[str, str] = {}
    """Their category to ours, over `[export.categories]`."""


class GuardSettings(Section):
    """The bounds of what may change without a word."""

    most_fall: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), NO_FLAG] = 0.1
    """The share of a snapshot's rows that files written again or a newer dump may take."""
    most_silent_days: Annotated[int | None, Field(ge=1), NO_FLAG] = None
    """The days without a new export of a source after which nightly runs warn; None is never."""
