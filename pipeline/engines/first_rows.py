"""The first rows of one export as they are read, for a person who sets up a source.

Never has the participant: people are numbered in the order in which they appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import narwhals as nw
import numpy as np
import polars as pl

from pipeline.definitions.participations import typed
from pipeline.model.clock import wall_clock
from pipeline.model.columns import FILE, PARTICIPANT_ID, ROW, Kind
from pipeline.sources import batches
from pipeline.sources.encryption import open_parquet
from pipeline.sources.formats.converted_file import SOURCE_ROW, SOURCE_SHEET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from pipeline.model.columns import Column
    from pipeline.model.terms import Terms
    from pipeline.sources.accepted import Export

MOST_SIGNS: Final = 60
"""The most signs of a value; a longer one is cut."""
_BLOCK: Final = 2**20
"""More rows than a block of any format has."""
_CUT: Final = "…"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FirstRow:
    """One row of an export."""

    row: int
    """Its row as people count it; in a Parquet file its position, from 0."""
    sheet: str | None
    values: Mapping[str, Any]
    """The value of each of our columns that the file has; instants as ISO 8601."""


def read(export: Export, terms: Terms, count: int) -> list[FirstRow]:
    """Read the first rows of an export, as the definitions type them.

    Args:
        export: The export.
        terms: The columns that are read, and the zone in which instants are shown.
        count: The number of rows.

    Raises:
        pyarrow.ArrowException, OSError: The file can't be read.
    """
    places = _places(export, count)
    # Only the first batch of each is read, which has the one row.
    found = [next(batches.read(export, place.position, 1)) for place in places]
    if not found:
        return []
    raw = pl.concat([pl.DataFrame(batch) for batch in found])
    raw = raw.with_columns(pl.int_range(pl.len()).alias(ROW), pl.lit(0).alias(FILE))
    clock = wall_clock(terms.zone)
    rows = typed(nw.from_native(raw.lazy()), export.mapping, clock, terms.columns)
    columns = [column for column in terms.columns if column.name in export.mapping.sources]
    shown = _Shown(columns, terms.zone)
    return [
        FirstRow(place.row, place.sheet, shown.values(row))
        for place, row in zip(places, rows.to_native().collect().iter_rows(named=True), strict=True)
    ]


class _Shown:
    """The values of rows as a person may see them."""

    def __init__(self, columns: Sequence[Column], zone: ZoneInfo) -> None:
        self._columns, self._zone = columns, zone
        self._people: dict[str, str] = {}

    def values(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the values of a row."""
        return {column.name: self._value(column, row[column.name]) for column in self._columns}

    def _value(self, column: Column, value: Any) -> Any:  # noqa: ANN401 (of any column)
        if value is None:
            return None
        if column.name == PARTICIPANT_ID:
            return self._people.setdefault(value, f"#{len(self._people) + 1}")
        if column.kind is Kind.INSTANT:
            return self._instant(value)
        if isinstance(value, str) and len(value) > MOST_SIGNS:
            return value[:MOST_SIGNS] + _CUT
        return value

    def _instant(self, microseconds: int) -> str:
        """Write an instant as the clocks of the zone show it; one of no calendar as it is read."""
        try:
            instant = _EPOCH + timedelta(microseconds=microseconds)
            return instant.astimezone(self._zone).isoformat()
        except OverflowError:
            return str(microseconds)


class _Place(NamedTuple):
    """The place of a row."""

    row: int
    """In the file that was given."""
    position: int
    """In the Parquet file that is read."""
    sheet: str | None


def _places(export: Export, count: int) -> list[_Place]:
    """Find the first rows: a converted file has unreadable rows after the others of their block."""
    if export.converted is None:
        return [_Place(position, position, None) for position in range(min(count, export.rows))]
    with open_parquet(export.converted) as parquet:
        batch = next(parquet.iter_batches(_BLOCK, columns=[SOURCE_ROW, SOURCE_SHEET]), None)
    if batch is None:
        return []
    rows, sheets = batch[SOURCE_ROW].to_numpy(), batch[SOURCE_SHEET]
    places = (_Place(int(rows[n]), int(n), sheets[int(n)].as_py()) for n in np.argsort(rows))
    first_sheet = sheets[0].as_py()
    return list(islice((place for place in places if place.sheet == first_sheet), count))
