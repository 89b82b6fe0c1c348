"""The names of a file's columns, held against ours: required ones that lack, and ambiguous ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline import printable
from pipeline.errors import ExportRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.sources.exports import File

_NAMED: Final = 12
"""So many columns are named in a message."""
_LONGEST: Final = 32
"""So many signs of each are in it."""


def names_of(source: SourceSettings, columns: Iterable[Column]) -> Mapping[str, str]:
    """Give the name that a source has for each of these columns, by ours."""
    return {column.name: source.columns.get(column.name, column.name) for column in columns}


@dataclass(frozen=True, slots=True)
class Header:
    """The names of columns that a file has, or a part of it."""

    file: File
    names: Sequence[str]
    rows: int | None = None
    """The rows of the file, where they are known."""
    subject: str = "it"
    """What has the columns, in a sentence about the file: a sheet, where there are several."""
    row: int | None = None
    """The row with the names, where settings choose it. It may be one with values of a person."""
    advice: str = ""
    """The setting that may help where a column is missing, in place of another header row."""

    def refuse_ambiguous(self, wanted: Iterable[str]) -> None:
        """Refuse columns of one name, and columns of ours that differ from others in case only.

        Engines would choose different ones of them.

        Args:
            wanted: The names under which ours are looked up.

        Raises:
            ExportRefused: There are such columns.
        """
        counts = Counter(self.names)
        twice = next((name for name, count in counts.items() if count > 1), None)
        if twice is not None:
            raise self._refused(f"has {counts[twice]} columns named {twice}; keep one")
        alike: dict[str, list[str]] = {}
        for name in counts:
            alike.setdefault(name.lower(), []).append(name)
        for name in wanted:
            same = alike.get(name.lower(), [])
            if name in counts and len(same) > 1:
                raise self._refused(
                    f"has columns {' and '.join(same)}, which differ in upper and lower case only; "
                    "keep one"
                )

    def refuse_missing(self, theirs: Mapping[str, str], columns: Iterable[Column]) -> None:
        """Refuse a file that lacks a required column.

        Args:
            theirs: The name of each of our columns in it.
            columns: Our columns.

        Raises:
            ExportRefused: One is missing.
        """
        if self.row and not set(self.names).intersection(theirs.values()):
            # It may be no header, and what it has is then not to be shown.
            wanted = ", ".join(theirs[one.name] for one in columns if one.required)
            raise self._refused(
                f"has none of our columns in row {self.row}: {wanted}. Set the header_row with the "
                "names of columns, or name theirs in the columns of its source"
            )
        known = set(self.names)
        for column in columns:
            if column.required and theirs[column.name] not in known:
                other_row = f"set another header_row than {self.row}" if self.row else ""
                advice = self.advice or other_row
                raise self._refused(
                    f"lacks the required column {shown(theirs, column)}; it has "
                    f"{_some(self.names)}. Export the column, name theirs in the "
                    "columns of its source or in [export.columns]"
                    f"{', or ' if advice else ''}{advice}"
                )

    def _refused(self, problem: str) -> ExportRefused:
        return ExportRefused(self.file.name, f"{self.subject} {problem}", self.rows)


def _some(names: Sequence[str]) -> str:
    """Name the columns of a file, or the first ones of many."""
    first = ", ".join(printable.shortened(name, _LONGEST) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return (first or "none") + (f" and {more:,} more" if more > 0 else "")


def shown(names: Mapping[str, str], column: Column) -> str:
    """Give the name of a column in a file, with ours where it differs."""
    theirs = names[column.name]
    return theirs if theirs == column.name else f"{theirs} (our {column.name})"
