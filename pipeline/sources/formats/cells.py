"""Cells of a file that is not Parquet, before they are typed: some rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline.model.columns import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model.columns import Column

TORN: Final = "torn"
"""Whether a row has more or fewer cells than its file has columns."""
MOST_EXACT: Final = 10**15
"""Numbers from here on have lost digits in a program that has doubles only, as Excel has."""
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file, one after the other, not typed yet."""

    names: Sequence[str]
    """The names of the columns as the file has them, as far as they are known by now."""
    cells: pl.DataFrame
    """One row per row, with `SOURCE_ROW`, and up to three columns for each of ours in the file.

    Under our name are the cells that are texts, to be read as the column's type. Under `value_of`
    are those that have its type already; instants are microseconds of a wall clock. Under
    `is_unreadable` are those that have another type. `TORN` marks rows of which no cell is certain.
    """
    sheet: str | None = None
    """The sheet of a workbook."""


def value_of(ours: str) -> str:
    """Name the column with the cells of a column that have its type already."""
    return f"{ours}\0value"


def is_unreadable(ours: str) -> str:
    """Name the column that marks cells of a column that have another type."""
    return f"{ours}\0unreadable"


def of_objects(column: Column, cells: Sequence[Any]) -> list[pl.Series]:
    """Make the columns of a `Block` for a column whose file has types of its own.

    A whole number is an id as its digits. A number that has lost digits is none.

    Args:
        column: The column.
        cells: A text, number, boolean, date, time, duration or None each.
    """
    name, typed = column.name, _TYPED[column.kind]
    texts = [cell if isinstance(cell, str) else None for cell in cells]
    values = [None if cell is None or isinstance(cell, str) else typed(cell) for cell in cells]
    unreadable = [
        cell is not None and text is None and value is None
        for cell, text, value in zip(cells, texts, values, strict=True)
    ]
    return [
        pl.Series(name, texts, pl.String),
        pl.Series(value_of(name), values, _VALUES[column.kind]),
        pl.Series(is_unreadable(name), unreadable, pl.Boolean),
    ]


def _digits(cell: object) -> str | None:
    """Write a whole number as its digits."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < MOST_EXACT:
        return str(int(cell))
    return None


def _microseconds(cell: object) -> int | None:
    """Read a date and time of a clock, or a date as its midnight."""
    if isinstance(cell, datetime):
        return (cell.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(microseconds=1)  # noqa: DTZ001
    if isinstance(cell, date):
        return (cell - date(1970, 1, 1)) // timedelta(microseconds=1)
    return None


def _number(cell: object) -> float | None:
    """Read a number; a duration is its hours."""
    if isinstance(cell, timedelta):
        return cell / _HOUR
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    return float(cell)


def _flag(cell: object) -> bool | None:
    return cell if isinstance(cell, bool) else None


_TYPED: Final = {
    Kind.ID: _digits,
    Kind.TEXT: _digits,
    Kind.INSTANT: _microseconds,
    Kind.NUMBER: _number,
    Kind.FLAG: _flag,
}
"""By kind of column, the function that reads a cell that is no text; None where it can't be."""
_VALUES: Final[Mapping[Kind, pl.DataType]] = {
    Kind.ID: pl.String(),
    Kind.TEXT: pl.String(),
    Kind.INSTANT: pl.Int64(),
    Kind.NUMBER: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
}
"""By kind of column, the type of its values; instants are microseconds."""
