"""Proposals as values: each guess with its reason, and what is left for a person to fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model.states import Format


@dataclass(frozen=True, slots=True)
class Guess:
    """The proposed value of one setting."""

    setting: str
    """The name of the setting, such as `delimiter`."""
    value: str | int | Sequence[str]
    why: str
    """The reason, in a few words."""
    is_certain: bool = True
    """Whether the file leaves no doubt; otherwise a person must look at it."""


@dataclass(frozen=True, slots=True)
class UnknownCategory:
    """A category in the file that is none of ours."""

    theirs: str
    ours: str | None
    """The code that its words suggest, if any."""
    rows: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """The proposed settings of a source, from one of its files."""

    file: str
    format: Format
    rows: int
    """The rows that were looked at."""
    has_all_rows: bool
    """Whether these are all rows of the file."""
    source: Sequence[Guess]
    """The settings of the source itself, among them its `name`."""
    columns: Sequence[Guess]
    """Our column to theirs."""
    options: Sequence[Guess]
    """The settings of the format."""
    missing: Sequence[str]
    """Our required columns for which no column of the file has a usual name."""
    left: Sequence[str]
    """The columns of the file that are not proposed for any of ours."""
    categories: Sequence[UnknownCategory]
    notes: Sequence[str]
    """What a person should know or decide in addition."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the source, as the settings file has them."""
        found: dict[str, Any] = {one.setting: one.value for one in self.source}
        found["columns"] = {one.setting: one.value for one in self.columns}
        if self.options:
            found[self.format] = {one.setting: one.value for one in self.options}
        return found

    @property
    def name(self) -> str:
        """The name of the source."""
        return str(self.settings["name"])
