"""Quarantined rows: their columns, and their format.

Writes one line of JSON a row, with its file, its position there, its ledger line and its values.
Never writes the participant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.definitions.steps import MONTH, REASON
from pipeline.model.columns import FILE, ORG_ID, PARTICIPANT_ID, ROW, Kind
from pipeline.model.ledger import LEDGER, LINE_NUMBERS, QUARANTINED
from pipeline.sources.encryption import open_parquet
from pipeline.sources.formats.converted_file import SOURCE_COLUMNS, SOURCE_ROW, SOURCE_SHEET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.engines import RejectedRows, ScanRequest
    from pipeline.model.cells import Cell
    from pipeline.model.columns import Column

LINES: Final = tuple(LINE_NUMBERS[line] for line in QUARANTINED)
"""The numbers of the ledger lines whose rows are written."""

_JSON: Final = "json"
_PLACE: Final = {SOURCE_ROW: pl.Int64, SOURCE_SHEET: pl.String, SOURCE_COLUMNS: pl.String}
"""Where people find a row of a converted file: its row, its sheet, and the unreadable columns."""
_YEAR_1_US: Final = -62_135_596_800_000_000
_YEAR_9999_US: Final = 253_402_300_799_999_999
"""The first and the last microsecond that ISO 8601 writes with four digits of a year."""


def columns(read: Iterable[Column]) -> tuple[str, ...]:
    """Name the columns of validated rows from which lines are written."""
    return *(column.name for column in _shown(read)), FILE, ROW, MONTH, REASON


def _shown(read: Iterable[Column]) -> list[Column]:
    return [column for column in read if column.name != PARTICIPANT_ID]


def select(validated: pl.LazyFrame, read: Iterable[Column]) -> pl.LazyFrame:
    """Select the rows that are written, with the columns that are needed."""
    return validated.filter(pl.col(REASON).is_in(LINES)).select(columns(read))


def by_cell(rows: pl.DataFrame, cells: Iterable[Cell], request: ScanRequest) -> RejectedRows:
    """Write a line of JSON for each of these rows that is in one of the cells.

    Args:
        rows: Rows as from `select`.
        cells: The cells whose rows are wanted.
        request: The exports and columns that were read.
    """
    wanted = rows.join(months(cells), on=(ORG_ID, MONTH), how="semi")
    lines = _lines(wanted, request).group_by(ORG_ID, MONTH, maintain_order=True)
    texts = lines.agg(pl.col(_JSON).str.join("\n"))
    return {(org_id, month): f"{text}\n".encode() for org_id, month, text in texts.iter_rows()}


def unplaced(rows: pl.DataFrame, request: ScanRequest) -> bytes:
    """Write a line of JSON for each of these rows that is in no cell, as `by_cell`."""
    lines = _lines(rows.filter(pl.col(MONTH).is_null()), request)
    return "".join(f"{line}\n" for line in lines.get_column(_JSON)).encode()


def _lines(rows: pl.DataFrame, request: ScanRequest) -> pl.DataFrame:
    """Write the lines in the order of the files and of the rows in them."""
    names = [export.file.name for export in request.exports]
    line = _line(names, _shown(request.terms.columns)).alias(_JSON)
    placed = _with_places(rows.sort(FILE, ROW), request)
    return placed.select(ORG_ID, MONTH, line)


def _with_places(rows: pl.DataFrame, request: ScanRequest) -> pl.DataFrame:
    """Add `PLACE`: where people find each row in a file that was converted, else its position."""
    places = pl.DataFrame(schema={FILE: pl.Int32, ROW: pl.Int64, **_PLACE})
    files = rows.get_column(FILE).unique()
    for number in files.filter(files.is_in(_converted(request))):
        with open_parquet(request.exports[number].parquet) as parquet:
            found = pl.DataFrame(parquet.read(columns=list(_PLACE))).with_row_index(ROW)
        of_file = pl.lit(number, pl.Int32).alias(FILE)
        places.extend(found.select(of_file, pl.col(ROW).cast(pl.Int64), *_PLACE))
    placed = rows.join(places, on=(FILE, ROW), how="left", maintain_order="left")
    return placed.with_columns(pl.coalesce(SOURCE_ROW, ROW).alias(SOURCE_ROW))


def _converted(request: ScanRequest) -> list[int]:
    return [number for number, one in enumerate(request.exports) if one.converted]


def months(cells: Iterable[Cell]) -> pl.DataFrame:
    """List the organisations and months of these cells."""
    found = {(cell.org_id, month) for cell in cells for month in cell.period.months}
    return pl.DataFrame(list(found), schema={ORG_ID: pl.String, MONTH: pl.Int32}, orient="row")


def _line(names: Sequence[str], shown: Iterable[Column]) -> pl.Expr:
    return pl.struct(
        name_at(REASON, LEDGER).alias(REASON),
        name_at(FILE, names).alias(FILE),
        pl.col(SOURCE_SHEET).alias("sheet"),
        pl.col(SOURCE_ROW).alias(ROW),
        pl.col(SOURCE_COLUMNS).alias("columns"),
        *map(_readable, shown),
    ).struct.json_encode()


def _readable(column: Column) -> pl.Expr:
    """Show a value as people read it: instants as ISO 8601; hours as text, which may be NaN.

    An instant that no calendar has is shown as it was stored, in microseconds since 1970.
    """
    value = pl.col(column.name)
    if column.kind is Kind.INSTANT:
        first, last = pl.lit(_YEAR_1_US), pl.lit(_YEAR_9999_US)
        known = pl.from_epoch(value.clip(first, last), "us")
        return (
            pl.when(value.is_between(first, last))
            .then(known.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
            .otherwise(value.cast(pl.String))
            .alias(column.name)
        )
    return value.cast(pl.String) if column.kind is Kind.NUMBER else value


def name_at(number: str, names: Sequence[str] | pl.Series) -> pl.Expr:
    """Give a column of numbers among these names as the names."""
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(number))
