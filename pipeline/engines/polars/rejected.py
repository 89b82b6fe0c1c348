"""The rows that are left out and kept to be looked at: which they are, and how they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.definitions.steps import MONTH, REASON
from pipeline.engines.polars.distinct import name_at
from pipeline.model.columns import COLUMNS, FILE, ORG_ID, PARTICIPANT_ID, ROW, Kind
from pipeline.model.ledger import LEDGER, PLACES, QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.cells import Cell
    from pipeline.model.columns import Column

_LINE: Final = "line"
_YEAR_1_US: Final = -62_135_596_800_000_000
_YEAR_9999_US: Final = 253_402_300_799_999_999
"""The first and the last microsecond that ISO 8601 writes with four digits of a year."""
_SHOWN: Final = tuple(column for column in COLUMNS if column.name != PARTICIPANT_ID)
"""Nobody needs to know who it was."""


def kept(judged: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that are kept to be looked at, without the participant."""
    is_kept = pl.col(REASON).is_in([PLACES[line] for line in QUARANTINED])
    columns = (*(column.name for column in _SHOWN), FILE, ROW, MONTH, REASON)
    return judged.filter(is_kept).select(columns)


def lines(
    rows: pl.DataFrame, names: Sequence[str], cells: Iterable[Cell]
) -> Mapping[tuple[str, int] | None, bytes]:
    """A line of JSON for each of these rows that lies in one of the cells, or in none at all.

    Args:
        rows: As `kept`.
        names: Of the files, in the order of their places in `FILE`.
        cells: Whose rows are wanted.

    Returns:
        By organisation and month, under None what lies in no cell; in the order of the files and
        of the rows in them.
    """
    nowhere = pl.col(MONTH).is_null()
    wanted = rows.join(_months(cells), on=(ORG_ID, MONTH), how="semi")
    found = (
        pl.concat([wanted, rows.filter(nowhere)])
        .sort(FILE, ROW)
        .select(pl.when(~nowhere).then(ORG_ID).alias(ORG_ID), MONTH, _line(names).alias(_LINE))
        .group_by(ORG_ID, MONTH, maintain_order=True)
        .agg(pl.col(_LINE).str.join("\n"))
    )
    return {
        None if month is None else (org_id, month): f"{text}\n".encode()
        for org_id, month, text in found.iter_rows()
    }


def _months(cells: Iterable[Cell]) -> pl.DataFrame:
    """The organisations and months that these cells are made of."""
    months = {(cell.org_id, month) for cell in cells for month in cell.period.months}
    return pl.DataFrame(list(months), schema={ORG_ID: pl.String, MONTH: pl.Int32}, orient="row")


def _line(names: Sequence[str]) -> pl.Expr:
    """A row as JSON."""
    shown = (_shown(column) for column in _SHOWN)
    return pl.struct(
        name_at(REASON, LEDGER).alias(REASON),
        name_at(FILE, names).alias(FILE),
        pl.col(ROW),
        *shown,
    ).struct.json_encode()


def _shown(column: Column) -> pl.Expr:
    """A value as people read it: instants as ISO 8601, hours as text for they may be no number.

    What no calendar has is shown as it was stored, in microseconds since 1970.
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
