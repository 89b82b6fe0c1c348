"""Rows of one export read by Arrow, for files that an engine's own reader does not give exactly.

Reads a few rows at a time. Converts values as all engines need them: texts and integers
unchanged, decimals as the nearest doubles, instants as integer ticks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from pipeline.model.columns import NANOSECONDS_OF, Unit
from pipeline.sources.encryption import open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.sources.accepted import Export

_ROWS: Final = 65_536
"""The rows in memory at a time."""
FAR_SECONDS: Final = 2**62 // 1_000_000
"""The largest distance from 1970, in seconds, whose microseconds fit into 64 bits with a margin."""
_HYPHENS: Final = (8, 13, 18, 23)
"""The positions of hyphens in the text of a UUID."""


def schema(export: Export) -> pa.Schema:
    """Return the schema of the batches from `read`: our columns that the export has."""
    fields = []
    for ours, dtype in export.types.items():
        fields.append(pa.field(ours, _raw_type(dtype)))
        if _is_split(export, ours):
            fields.append(pa.field(NANOSECONDS_OF[ours], pa.int64()))
    return pa.schema(fields)


def read(export: Export, first: int = 0, rows: int | None = None) -> Iterator[pa.RecordBatch]:
    """Read this many rows from the first one on, or all, in batches of `schema`.

    Raises:
        pyarrow.ArrowException, OSError: The file can't be read to the end.
    """
    left = export.rows - first if rows is None else rows
    groups, skip = _row_groups(export, first, left)
    for columns in _aligned(_readers(export, groups)):
        batch = columns.slice(skip, max(0, min(left, columns.num_rows - skip)))
        skip = max(0, skip - columns.num_rows)
        left -= batch.num_rows
        if batch.num_rows:
            yield _converted(export, batch)


def _row_groups(export: Export, first: int, rows: int) -> tuple[list[int], int]:
    """Find the row groups with these rows, and the number of other rows before in the first."""
    with open_parquet(export.parquet) as parquet:
        counts = [
            parquet.metadata.row_group(n).num_rows for n in range(parquet.metadata.num_row_groups)
        ]
    ends = np.cumsum(counts, dtype=np.int64)
    begins = ends - np.array(counts, dtype=np.int64)
    groups = np.flatnonzero((ends > first) & (begins < first + rows)).tolist()
    return groups, first - int(begins[groups[0]]) if groups else 0


def _readers(export: Export, groups: Sequence[int]) -> list[Iterator[pa.RecordBatch]]:
    """Open a reader of all columns, and three of INT96, for no unit has room for all values."""
    theirs = export.mapping.sources
    split = [theirs[ours] for ours in export.types if _is_split(export, ours)]
    others = [theirs[ours] for ours in export.types if theirs[ours] not in split]
    readers = [_reader(export, groups, others, "ns")]
    return readers + [_reader(export, groups, split, unit) for unit in ("s", "us", "ns") if split]


def _reader(
    export: Export, groups: Sequence[int], columns: Sequence[str], unit: str
) -> Iterator[pa.RecordBatch]:
    options = {"coerce_int96_timestamp_unit": unit, "arrow_extensions_enabled": False}
    with open_parquet(export.parquet, **options) as parquet:
        for batch in parquet.iter_batches(_ROWS, row_groups=groups, columns=columns):
            names = [f"{name}\0{unit}" for name in batch.schema.names]
            yield batch.rename_columns(names)


def _aligned(readers: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Join the columns of all readers, even if each has batches of other sizes."""
    waiting: list[Any] = [next(reader, None) for reader in readers]
    while all(batch is not None for batch in waiting):
        rows = min(batch.num_rows for batch in waiting)
        columns = {
            name: batch[name].slice(0, rows) for batch in waiting for name in batch.schema.names
        }
        yield pa.RecordBatch.from_pydict(columns)
        left = [batch.slice(rows) for batch in waiting]
        waiting = [
            batch if batch.num_rows else next(reader, None)
            for batch, reader in zip(left, readers, strict=True)
        ]


def _converted(export: Export, batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {}
    for ours, dtype in export.types.items():
        theirs = export.mapping.sources[ours]
        if _is_split(export, ours):
            columns[ours], columns[NANOSECONDS_OF[ours]] = _split(batch, theirs)
        else:
            columns[ours] = raw(batch[f"{theirs}\0ns"], dtype)
    converted = pa.RecordBatch.from_pydict(columns, schema=schema(export))
    converted.validate(full=True)  # texts that are no UTF-8
    return converted


def _is_split(export: Export, ours: str) -> bool:
    ticks = export.mapping.instants.get(ours)
    return ticks is not None and ticks.unit is Unit.SPLIT


def _raw_type(dtype: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(dtype) or pa.types.is_floating(dtype):
        return pa.float64()
    return pa.int64() if pa.types.is_temporal(dtype) else dtype


def raw(column: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Convert values of this type as all engines need them."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_decimal(dtype):
        # Arrow's own cast from decimals to doubles does not give the nearest one.
        return column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_string(dtype) and pa.types.is_fixed_size_binary(column.type):
        return _uuids(column)
    if pa.types.is_date(dtype):
        return column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    return column.cast(_raw_type(dtype))


def _uuids(column: pa.Array) -> pa.Array:
    """Write UUIDs as RFC 9562 does: 32 lower-case digits in five groups."""
    rows = len(column)
    content = np.frombuffer(column.buffers()[1], np.uint8)
    content = content[column.offset * 16 :][: rows * 16].reshape(rows, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    halves = np.stack([content >> 4, content & 15], axis=2).reshape(rows, 32)
    texts = np.full((rows, 36), ord("-"), np.uint8)
    places = [place for place in range(36) if place not in _HYPHENS]
    texts[:, places] = digits[halves]
    return pa.array(texts.view("S36").ravel(), pa.string(), mask=_is_null(column))


def _split(batch: pa.RecordBatch, theirs: str) -> tuple[pa.Array, pa.Array]:
    """Split INT96 into whole microseconds and the nanoseconds beyond.

    Nanoseconds far from 1970 have overflowed, by a multiple of 2^64. Their difference from the
    microseconds is still right. Instants beyond the range of microseconds become the last one.
    """
    seconds, micros, nanos = (
        batch[f"{theirs}\0{unit}"].cast(pa.int64()).fill_null(0).to_numpy()
        for unit in ("s", "us", "ns")
    )
    is_far = np.abs(seconds) > FAR_SECONDS
    clipped = np.clip(seconds, -FAR_SECONDS, FAR_SECONDS) * 1_000_000
    beyond = nanos - micros * 1000  # both wrap around alike
    mask = _is_null(batch[f"{theirs}\0s"])
    return (
        pa.array(np.where(is_far, clipped, micros), mask=mask),
        pa.array(np.where(is_far, 0, beyond), mask=mask),
    )


def _is_null(column: pa.Array) -> NDArray[np.bool_]:
    """Return an array of booleans for NumPy, which has no nulls of its own."""
    mask: NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return mask
