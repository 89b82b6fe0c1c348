"""The conversion of one file to Parquet, some rows at a time."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from pipeline.errors import ExportRefused
from pipeline.model.clock import wall_clock
from pipeline.model.columns import CATEGORY, ORG_ID, STATUS
from pipeline.sources import formats, header
from pipeline.sources.exports import os_problem
from pipeline.sources.formats import converted_file, text_values
from pipeline.sources.formats.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.settings.formats import TextValues
    from pipeline.sources.encryption import EncryptedFile
    from pipeline.sources.exports import File, Opened, Readable

_CHUNK: Final = 4 * 2**20
_FEW_VALUES: Final = [ORG_ID, CATEGORY, STATUS]
"""The columns with few values; a dictionary of ids takes longer than it saves."""
_AS_POLARS_HAS_THEM: Final = pl.CompatLevel.newest()
"""Texts are not copied; in Parquet all kinds of texts are one."""
_ROWS: Final = 262_144
"""The least rows of a row group, except the last."""


class Digested:
    """A file that is read once, from its beginning to its end, and summed up by SHA-256."""

    def __init__(self, file: File, opened: Opened) -> None:
        self._file, self._opened, self._hash = file, opened, hashlib.sha256()

    def finish(self) -> str:
        """Read what is left, and give the digest of the whole.

        Raises:
            ExportRefused: It can't be read.
        """
        while self.read(_CHUNK):
            pass
        return self._hash.hexdigest()

    def read(self, size: int = -1, /) -> bytes:
        """Read up to this many bytes; fewer only at the end.

        Raises:
            ExportRefused: They can't be read.
        """
        try:
            content = self._opened.read(size)
        except OSError as error:
            raise ExportRefused(self._file.name, os_problem(error), is_passing=True) from error
        self._hash.update(content)
        return content

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def digested(file: File) -> Digested:
    """Open a file to read and sum it up.

    Raises:
        ExportRefused: It can't be opened.
    """
    try:
        return Digested(file, file.open())
    except OSError as error:
        raise ExportRefused(file.name, os_problem(error), is_passing=True) from error


def write(
    target: EncryptedFile,
    file: File,
    source: SourceSettings,
    columns: Sequence[Column],
    zone: ZoneInfo,
) -> str:
    """Convert a file that is not Parquet, and give the digest of the content that was read.

    Args:
        target: The Parquet file.
        file: The file to convert.
        source: Its source, with its format.
        columns: Our columns.
        zone: The zone of times without one.

    Raises:
        ExportRefused: The file is refused.
        OSError: The Parquet file can't be written.
    """
    schema = converted_file.schema(columns)
    with (
        closing(digested(file)) as opened,
        target.writer(
            schema,
            compression="none",  # to compress takes half of the time of writing
            use_dictionary=_FEW_VALUES,
            write_statistics=False,  # engines must not trust them
            store_schema=False,
        ) as writer,
    ):
        found = _Found(file, opened, source, columns, zone)
        waiting: list[pa.Table] = []
        for table in ahead(found.tables(schema)):
            waiting.append(table)
            if sum(one.num_rows for one in waiting) >= _ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        writer.add_key_value_metadata(found.note.metadata)
        return opened.finish()  # a reader may know before the last byte that nothing follows


class _Found:
    """The rows of a file, typed, and the names that were found in it on the way."""

    def __init__(
        self,
        file: File,
        opened: Readable,
        source: SourceSettings,
        columns: Sequence[Column],
        zone: ZoneInfo,
    ) -> None:
        self._blocks = formats.blocks(file, opened, source, columns)
        self._columns, self._clock = columns, wall_clock(zone)
        self._theirs: Mapping[str, str] = header.names_of(source, columns)
        self._options: TextValues = formats.options_of(source)
        self._names: dict[str, None] = {}

    def tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Give the rows in tables of this schema."""
        for block in ahead(self._blocks):
            self._names.update(dict.fromkeys(block.names))
            rows = text_values.typed(block, self._columns, self._theirs, self._options, self._clock)
            yield rows.to_arrow(compat_level=_AS_POLARS_HAS_THEM).cast(schema)

    @property
    def note(self) -> converted_file.Note:
        """The note on the file; complete after the last table."""
        ours = {ours: name for ours, name in self._theirs.items() if name in self._names}
        ignored = sorted(self._names.keys() - ours.values())
        return converted_file.Note(tuple(ours), tuple(ignored))
