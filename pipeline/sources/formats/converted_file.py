"""The Parquet file to which an export is converted: its columns, and its note on the original.

Has our columns, whether the original has them or not, `UNREADABLE`, and the place of each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa

from pipeline.model.columns import UNREADABLE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.model.columns import Column

SOURCE_ROW: Final = "source_row"
"""The row in the original or its sheet, from 1 and the header included, as people count."""
SOURCE_SHEET: Final = "source_sheet"
"""The sheet of a workbook; null for other formats."""
SOURCE_COLUMNS: Final = "source_columns"
"""The columns of the original whose values could not be read, with commas; null where all could."""
PLACE: Final = (SOURCE_ROW, SOURCE_SHEET, SOURCE_COLUMNS)
"""The columns with the place of a row."""

_NOTE: Final = b"bufdir"
_TYPES: Final = {
    Kind.ID: pa.string_view(),
    Kind.TEXT: pa.string_view(),
    Kind.INSTANT: pa.timestamp("us", "UTC"),
    Kind.NUMBER: pa.float64(),
    Kind.FLAG: pa.bool_(),
}


class Note(msgspec.Struct, frozen=True):
    """The note on the original in the metadata of a converted file."""

    columns: tuple[str, ...]
    """Our columns that the original has, by our names."""
    ignored: tuple[str, ...]
    """Its other columns, by its names."""

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """The note as Parquet's key-value metadata."""
        return {_NOTE: msgspec.json.encode(self)}


def note_of(metadata: Mapping[bytes, bytes]) -> Note:
    """Read the note from the metadata of a converted file.

    Raises:
        ValueError: There is none.
    """
    return msgspec.json.decode(metadata.get(_NOTE, b""), type=Note)


def schema(columns: Iterable[Column]) -> pa.Schema:
    """Give the schema of a converted file with these of our columns."""
    return pa.schema(
        [
            *((column.name, _TYPES[column.kind]) for column in columns),
            (UNREADABLE, pa.bool_()),
            (SOURCE_ROW, pa.int64()),
            (SOURCE_SHEET, pa.string_view()),
            (SOURCE_COLUMNS, pa.string_view()),
        ]
    )
