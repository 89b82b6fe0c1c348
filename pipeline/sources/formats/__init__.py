"""Formats of exports that are not Parquet: each is read into cells, and typed as declared.

A format is one module here, and one line in `_READERS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from pipeline.model.states import Format

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.settings.formats import TextValues
    from pipeline.sources.exports import File, Readable
    from pipeline.sources.formats.cells import Block

ENDINGS: Final[Mapping[Format, tuple[str, ...]]] = {
    Format.PARQUET: (".parquet",),
    Format.CSV: (".csv",),
    Format.XLSX: (".xlsx",),
    Format.JSONL: (".jsonl", ".ndjson"),
}
"""The endings of the names of files of a format, in any case."""
_READERS: Final[Mapping[Format, str]] = {
    Format.CSV: "pipeline.sources.formats.delimited",
    Format.XLSX: "pipeline.sources.formats.workbook",
    Format.JSONL: "pipeline.sources.formats.json_lines",
}
"""By format, the module whose `read` gives the cells of a file."""


def blocks(
    file: File, opened: Readable, source: SourceSettings, columns: Sequence[Column]
) -> Iterator[Block]:
    """Read the cells of a file that is not Parquet, some rows at a time; at least one block.

    Args:
        file: The file.
        opened: The same, open at its beginning.
        source: Its source, with its format.
        columns: Our columns.

    Raises:
        ExportRefused: It lacks a column, or can't be read in its format.
        OSError: It can't be read.
    """
    reader: Any = import_module(_READERS[source.format])
    found: Iterator[Block] = reader.read(file, opened, source, columns)
    return found


def options_of(source: SourceSettings) -> TextValues:
    """Give the way in which texts of a source mean values."""
    options: TextValues = getattr(source, source.format)
    return options
