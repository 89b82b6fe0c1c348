"""The rows of one export with a value that could not be read: where people find them."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from pipeline.model.columns import UNREADABLE
from pipeline.sources.encryption import open_parquet
from pipeline.sources.formats.converted_file import PLACE, SOURCE_COLUMNS, SOURCE_ROW, SOURCE_SHEET

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.sources.accepted import Export


@dataclass(frozen=True, slots=True)
class UnreadablePlace:
    """The place of one row with a value that could not be read."""

    row: int
    """The row as people count it."""
    sheet: str | None
    columns: str | None
    """The columns, by the file's names; None where the whole row is torn."""


@dataclass(frozen=True, slots=True)
class UnreadableRows:
    """The rows of an export with a value that could not be read."""

    rows: int
    """The number of all."""
    places: Sequence[UnreadablePlace]
    """The places of the first ones, in the order of sheets and rows."""


NONE = UnreadableRows(0, ())


def find(export: Export, most: int) -> UnreadableRows:
    """Find the rows of an export that could not be read; a Parquet file has none.

    Args:
        export: The export.
        most: The most places to give.

    Raises:
        pyarrow.ArrowException, OSError: The file can't be read.
    """
    if export.converted is None:
        return NONE
    found = _Found()
    with open_parquet(export.converted) as parquet:
        batches = parquet.iter_batches(columns=[UNREADABLE, *PLACE])
        rows = chain.from_iterable(map(found.rows_of, batches))
        first = nsmallest(most, rows, key=itemgetter(0, 1))
    places = [
        UnreadablePlace(row[SOURCE_ROW], row[SOURCE_SHEET], row[SOURCE_COLUMNS])
        for _, _, row in first
    ]
    return UnreadableRows(found.number, places)


class _Found:
    """The rows that were found so far, numbered by sheet and row."""

    def __init__(self) -> None:
        self.number = 0
        self._sheets: dict[str | None, int] = {}

    def rows_of(self, batch: Any) -> Iterator[tuple[int, int, dict[str, Any]]]:  # noqa: ANN401
        """Give the unreadable rows of a batch, each after the position of its sheet and its row."""
        for sheet in pc.unique(batch[SOURCE_SHEET]).to_pylist():
            self._sheets.setdefault(sheet, len(self._sheets))
        unreadable = batch.filter(batch[UNREADABLE])
        self.number += unreadable.num_rows
        for row in unreadable.to_pylist():
            yield self._sheets[row[SOURCE_SHEET]], row[SOURCE_ROW], row
