"""The first rows of a file, read without settings: its format, its columns and some values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import NoProposal
from pipeline.proposals import names
from pipeline.proposals.proposal import Guess

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.states import Format

MOST_ROWS: Final = 10_000
"""The most rows that are looked at."""
_HEADER_ROWS: Final = 30
"""The rows among which the header is searched."""
_VALUE: Final = re.compile(r"[\d\s.,:/+-]*\d[\d\s.,:/+TZ-]*")
"""A number, a date or a time."""
_ENOUGH: Final = 2
"""So many usual names make a row the header; a row of values has hardly as many."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file."""

    format: Format
    names: Sequence[str]
    """The names of its columns, in their order."""
    columns: Mapping[str, Sequence[Any]]
    """The values of its columns by name; None where there is none."""
    rows: int
    has_all_rows: bool
    """Whether these are all rows."""
    options: Sequence[Guess] = ()
    """The settings of the format that the form of the file shows."""
    notes: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells with a header among the first ones."""

    header_row: int
    """The row of the header, from 1."""
    names: Sequence[str]
    """The texts in the header, as the cells have them; some may be empty."""
    usual: int
    """How many of our columns have a usual name there."""
    rows: Sequence[Sequence[Any]]
    """The rows below."""
    has_all_rows: bool

    @property
    def columns(self) -> Mapping[str, Sequence[Any]]:
        """The values of each column with a name; those of the first one of a name."""
        found: dict[str, list[Any]] = {}
        for position, name in enumerate(self.names):
            if name and name not in found:
                found[name] = [
                    row[position] if position < len(row) and row[position] != "" else None
                    for row in self.rows
                ]
        return found

    @property
    def header(self) -> Guess:
        """The row of the header, as a setting."""
        why = f"{self.usual} columns in it have usual names"
        return Guess("header_row", self.header_row, why)

    @property
    def notes(self) -> Sequence[str]:
        """What is wrong with the names."""
        named = [name for name in self.names if name]
        twice = sorted({name for name in named if named.count(name) > 1})
        return [
            f'two columns are named "{name}", so the file is refused until one has another name'
            for name in twice
        ]


def find_table(cells: Iterable[Sequence[Any]]) -> Table | None:
    """Find the header among the first rows: the first one with the most usual names.

    A row without usual names, or with a number or a date in it, is never taken for the header: it
    may have values of a person.

    Args:
        cells: The rows of a file, from the first one on.

    Returns:
        The header and up to `MOST_ROWS` rows with values below; None where no row is the header.
    """
    rows = list(islice(cells, _HEADER_ROWS + MOST_ROWS + 1))
    usual = [_usual_names(row) for row in rows[:_HEADER_ROWS]]
    most = max(usual, default=0)
    if most < _ENOUGH:
        return None
    at = usual.index(most)
    below = [row for row in rows[at + 1 :] if any(cell not in {"", None} for cell in row)]
    has_all_rows = len(rows) <= _HEADER_ROWS + MOST_ROWS and len(below) <= MOST_ROWS
    return Table(at + 1, list(map(_text, rows[at])), most, below[:MOST_ROWS], has_all_rows)


def _usual_names(row: Sequence[Any]) -> int:
    """Count our columns that have a usual name in a row; none where it has a value."""
    cells = [cell for cell in row if cell not in {"", None}]
    if any(not isinstance(cell, str) or _VALUE.fullmatch(cell) for cell in cells):
        return 0
    return len(names.fitting(map(_text, cells)))


def no_header(file: str) -> NoProposal:
    """Refuse a file in which no row is the header."""
    problem = (
        f"none of its first {_HEADER_ROWS} rows has two usual names of columns, such as Aktivitet "
        "and Dato; write the entry by hand, as docs/exports.md describes"
    )
    return NoProposal(file, problem)


def pattern_of(chosen: Sequence[str], others: Sequence[str]) -> str | None:
    """Find the pattern that all chosen names have and no other: all, or a common beginning."""
    common = chosen[0]
    for name in chosen:
        while not name.startswith(common):
            common = common[:-1]
    pattern = f"{common}*"
    return None if any(fnmatchcase(name, pattern) for name in others) else pattern


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
