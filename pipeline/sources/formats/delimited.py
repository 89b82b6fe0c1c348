"""Text files whose values are separated by a sign, as RFC 4180 describes them and as they come.

A row with more or fewer cells than the header is torn: no cell of it is certain. It is read where
all cells beyond the header are empty, or none of those that it lacks is ours, because spreadsheet
programs add and leave out separators at the ends of rows. A last row that lacks cells and a line
end is torn: a copy that broke off may have cut a number. Rows without any value are skipped.

A quote that is not closed makes one cell of several rows. A file with such a cell is refused,
because the rows in it would be lost without notice.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv

from pipeline import redaction
from pipeline.errors import ExportRefused
from pipeline.settings.formats import CsvSettings
from pipeline.sources import header
from pipeline.sources.formats.cells import TORN, Block, is_unreadable
from pipeline.sources.formats.converted_file import SOURCE_ROW
from pipeline.sources.formats.threads import ahead
from pipeline.sources.formats.transcoding import LOST, Transcoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.sources.exports import File, Readable

_BLOCK: Final = 8 * 2**20
"""Bytes of text that are read at a time; also the most that one row may have."""
_HEAD: Final = 2**20
"""Bytes in which the header must be."""
_LINE_BREAK: Final = r"[\r\n]"


def read(
    file: File, opened: Readable, source: SourceSettings, columns: Sequence[Column]
) -> Iterator[Block]:
    """Read the cells of a file, some megabytes at a time, as `formats.blocks` does.

    Raises:
        ExportRefused: It lacks a column, or has a quote that is not closed.
    """
    options = source.csv or CsvSettings()
    text = Transcoded(opened, options.encoding)
    theirs = header.names_of(source, columns)
    try:
        table = _open(file, text, options, theirs, columns)
        yield table.block([], [pl.Series(dtype=pl.String)] * table.width)
        yield from table.blocks()
    except (csv.Error, pa.ArrowInvalid) as error:
        problem = (
            f"it can't be read as CSV ({redaction.summary(error)}); look for a quote that is not "
            "closed, and export it again"
        )
        raise ExportRefused(file.name, problem) from error


def _open(
    file: File,
    text: Transcoded,
    options: CsvSettings,
    theirs: Mapping[str, str],
    columns: Sequence[Column],
) -> _Table:
    """Read the header, and find our columns in it; `text` is then at the first row."""
    content = text.read(_HEAD)
    head = content.decode("utf-8", "ignore")  # the last sign may be cut
    lines = io.StringIO(head, newline="").readlines()
    records = csv.reader(lines, delimiter=options.delimiter)
    names: list[str] = []
    for _ in range(options.header_row):
        record = next(records, None)
        if record is None:
            problem = f"it ends before row {options.header_row}, where its header should be"
            raise ExportRefused(file.name, problem if content else "it is empty; export it again")
        names = [name.strip() for name in record]
    text.unread(content[len("".join(lines[: records.line_num]).encode()) :])
    width = len(names)
    while names and not names[-1]:
        names.pop()
    if len(names) == 1:
        problem = (
            f"row {options.header_row} has one column only; set the delimiter and the header_row "
            "with which it is written"
        )
        raise ExportRefused(file.name, problem)
    named = [name for name in names if name]
    is_lost = any(LOST in name for name in named)
    encoding = f"set another encoding than {options.encoding}, in which the header is no text"
    advice = encoding if is_lost else ""
    found = header.Header(file, named, row=options.header_row, advice=advice)
    found.refuse_missing(theirs, columns)
    found.refuse_ambiguous(theirs.values())
    first = next(records, [])
    if len(names) <= len(first) and not any(first[len(names) :]):
        # Rows may end with a separator that the header does not have, or the reverse.
        width = len(first)
    positions = {ours: names.index(name) for ours, name in theirs.items() if name in names}
    return _Table(file, text, options, named, width, positions)


@dataclass
class _Table:
    """The rows of a file below its header."""

    file: File
    text: Transcoded
    options: CsvSettings
    names: Sequence[str]
    width: int
    """The number of cells that rows have."""
    positions: Mapping[str, int]
    """The position of each of our columns that the file has, from 0."""

    def blocks(self) -> Iterator[Block]:
        """Read the rows; those that are torn follow the others of their block."""
        torn: list[arrow_csv.InvalidRow] = []

        def note(row: arrow_csv.InvalidRow) -> str:
            torn.append(row)
            return "skip"

        names = [str(place) for place in range(self.width)]
        options = {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False,  # only then are torn rows numbered
                block_size=_BLOCK,
                column_names=names,
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=self._sign,
                newlines_in_values=True,
                ignore_empty_lines=False,  # people count them, too
                invalid_row_handler=note,
            ),
            "convert_options": arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                check_utf8=False,  # `Transcoded` writes nothing else
            ),
        }
        if not (start := self.text.read(_BLOCK)):
            return  # Arrow takes a file without rows for an error
        self.text.unread(start)
        whole = read = 0
        with arrow_csv.open_csv(pa.PythonFile(self.text, "r"), **options) as batches:
            for batch in ahead(batches):
                known = len(torn)  # the thread that reads ahead may add to it meanwhile
                torn_before = np.array([row.number for row in torn[:known]], dtype=np.int64)
                rows = _numbers(whole, batch.num_rows, torn_before)
                whole += batch.num_rows
                yield self._block_of(pl.DataFrame(batch), rows)
                before = read
                read = max(read, known - 1)  # the last may be the last row of the file
                yield from self._torn(torn[before:read])
        is_last = bool(torn) and torn[-1].number == whole + len(torn)
        yield from self._torn(torn[read:], is_cut=is_last and not self.text.has_line_end)

    def _block_of(self, cells: pl.DataFrame, rows: NDArray[np.int64]) -> Block:
        if self.text.has_quotes:
            self._refuse_open_quote(cells, rows)
        block = self.block(rows, cells.get_columns())
        first = cells.to_series(next(iter(self.positions.values())))
        if (first == "").any():
            has_any = cells.select(pl.any_horizontal(pl.all() != "")).to_series()
            return replace(block, cells=block.cells.filter(has_any))
        return block

    def block(self, rows: Sequence[int] | NDArray[np.int64], cells: Sequence[pl.Series]) -> Block:
        """Select our columns from the cells of all, with the numbers of their rows."""
        numbers = pl.Series(SOURCE_ROW, rows, pl.Int64) + self.options.header_row
        found = [cells[place].alias(ours) for ours, place in self.positions.items()]
        if self.text.has_lost:
            found += [
                one.str.contains(LOST, literal=True).alias(is_unreadable(one.name)) for one in found
            ]
        return Block(self.names, pl.DataFrame([numbers, *found]))

    def _refuse_open_quote(self, cells: pl.DataFrame, rows: NDArray[np.int64]) -> None:
        """Refuse a cell with several lines and as many separators as a row has."""
        sign = self._sign
        for column in cells.get_columns():
            several = column.str.contains(_LINE_BREAK)
            if several.any():
                separators = column.filter(several).str.count_matches(sign, literal=True)
                found = rows[several.to_numpy()][(separators >= self.width - 1).to_numpy()]
                if len(found):
                    raise self._open_quote(int(found[0]))

    def _open_quote(self, number: int) -> ExportRefused:
        problem = (
            f"row {number + self.options.header_row} has a quote that is not closed, so that "
            "several rows are one value; close or remove the quote, and export it again"
        )
        return ExportRefused(self.file.name, problem)

    def _torn(
        self, rows: Sequence[arrow_csv.InvalidRow], *, is_cut: bool = False
    ) -> Iterator[Block]:
        """Read the rows that have more or fewer cells than the header.

        Args:
            rows: The rows.
            is_cut: Whether the file ends within the last of them.
        """
        read: dict[int, list[str]] = {}
        torn: list[int] = []
        for row in rows:
            cells = next(csv.reader(io.StringIO(row.text, newline=""), delimiter=self._sign), [])
            several = [cell for cell in cells if "\n" in cell.strip() or "\r" in cell.strip()]
            if any(cell.count(self._sign) >= self.width - 1 for cell in several):
                raise self._open_quote(row.number)
            fewest = self.width if is_cut and row is rows[-1] else max(self.positions.values()) + 1
            is_read = len(cells) >= fewest and not any(cells[self.width :])
            if is_read:
                read[row.number] = cells
            else:
                torn.append(row.number)
        if read:
            width = max(self.positions.values()) + 1
            columns = zip(*(cells[:width] for cells in read.values()), strict=True)
            yield self.block(list(read), [pl.Series(cells, dtype=pl.String) for cells in columns])
        if torn:
            numbers = [number + self.options.header_row for number in torn]
            yield Block(self.names, pl.DataFrame({SOURCE_ROW: numbers, TORN: True}))

    @property
    def _sign(self) -> str:
        return self.options.delimiter


def _numbers(before: int, rows: int, torn: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number whole rows, from 1, by the numbers of the torn ones that lie between them.

    Args:
        before: Whole rows before these.
        rows: The number of these.
        torn: The numbers of torn rows, rising; at least all that lie before the last of these.
    """
    nth = np.arange(before + 1, before + rows + 1, dtype=np.int64)
    return nth + np.searchsorted(torn - np.arange(len(torn)), nth, side="right")
