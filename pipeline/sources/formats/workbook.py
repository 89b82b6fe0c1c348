"""Excel workbooks: one sheet or several, each with its header.

Reads what a cell has, not what it shows: dates, numbers, durations and texts. Rows without any
value are skipped.
"""

from __future__ import annotations

import io
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import polars as pl
import python_calamine as calamine

from pipeline import redaction
from pipeline.errors import ExportRefused
from pipeline.settings.formats import XlsxSettings
from pipeline.sources import header
from pipeline.sources.formats.cells import Block, of_objects
from pipeline.sources.formats.converted_file import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.sources.exports import File, Readable

_ROWS: Final = 65_536
"""Rows that are read at a time."""


def read(
    file: File, opened: Readable, source: SourceSettings, columns: Sequence[Column]
) -> Iterator[Block]:
    """Read the cells of the sheets of a workbook, as `formats.blocks` does.

    Raises:
        ExportRefused: It is no workbook, or lacks the sheet or a column.
    """
    options = source.xlsx or XlsxSettings()
    theirs = header.names_of(source, columns)
    try:
        with calamine.load_workbook(io.BytesIO(opened.read())) as book:
            for name in _sheets(file, book.sheet_names, options.sheet):
                sheet = book.get_sheet_by_name(name)
                yield from _blocks(file, sheet, options, theirs, columns)
    except calamine.PasswordError as error:
        problem = "it is protected by a password; save it without one"
        raise ExportRefused(file.name, problem) from error
    except (calamine.CalamineError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = redaction.summary(error)
        problem = f"it can't be read as an Excel workbook ({reason}); save it again as .xlsx"
        raise ExportRefused(file.name, problem) from error


def _sheets(file: File, names: Sequence[str], wanted: str | None) -> Sequence[str]:
    """Choose the sheets with this name or pattern, or the only one."""
    if wanted is None and len(names) == 1:
        return names
    found = [name for name in names if wanted is not None and fnmatchcase(name, wanted)]
    if not found:
        lacks = "has several sheets" if wanted is None else f"has no sheet {wanted!r}"
        shown = ", ".join(map(repr, names))
        problem = f"it {lacks}; it has {shown}. Name the one to read as sheet in its xlsx settings"
        raise ExportRefused(file.name, problem)
    return found


def _blocks(
    file: File,
    sheet: calamine.CalamineSheet,
    options: XlsxSettings,
    theirs: Mapping[str, str],
    columns: Sequence[Column],
) -> Iterator[Block]:
    rows = enumerate(sheet.iter_rows(), start=1)
    found = next((row for number, row in rows if number == options.header_row), [])
    if not any(found):
        problem = (
            f"sheet {sheet.name!r} has nothing in row {options.header_row}, where its header "
            "should be; set header_row in its xlsx settings"
        )
        raise ExportRefused(file.name, problem)
    names = [str(name).strip() for name in found]
    named = [name for name in names if name]
    of_sheet = header.Header(file, named, subject=f"sheet {sheet.name!r}", row=options.header_row)
    of_sheet.refuse_missing(theirs, columns)
    of_sheet.refuse_ambiguous(theirs.values())
    positions = {ours: names.index(name) for ours, name in theirs.items() if name in names}
    ours = [column for column in columns if column.name in positions]
    filled = ((number, row) for number, row in rows if any(cell != "" for cell in row))
    is_first = True
    while (some := list(islice(filled, _ROWS))) or is_first:
        is_first = False
        numbers = pl.Series(SOURCE_ROW, [number for number, _ in some], pl.Int64)
        cells = [
            of_objects(column, [_filled(row[positions[column.name]]) for _, row in some])
            for column in ours
        ]
        yield Block(named, pl.DataFrame([numbers, *chain.from_iterable(cells)]), sheet.name)


def _filled(cell: object) -> object:
    """Give a cell, or None where it is empty."""
    return None if cell == "" else cell
