"""What each export is made of, by its footer: accepted, or refused as a whole with the reason.

Reads no row. Refuses a file that lacks a required column, holds one as another type, or can't be
read as Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ExportRefused
from pipeline.model.columns import COLUMNS, Column, ColumnMapping, Kind, Ticks, Unit
from pipeline.sources.exports import is_legible, os_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.sources.exports import File


@dataclass(frozen=True, slots=True)
class Export:
    """One export that can be read."""

    file: File
    shape: ColumnMapping = field(hash=False)
    rows: int
    ignored: tuple[str, ...]
    """Columns that mean nothing to us."""
    layout: str
    """All columns and their types; files of one layout can be read as if they were one file."""


@dataclass(frozen=True, slots=True)
class Exports:
    """All files of one reading, each either accepted or refused; in the order of their names."""

    accepted: tuple[Export, ...]
    refused: Mapping[File, ExportRefused]

    @property
    def rows(self) -> int:
        """How many rows the accepted files hold, by their footers."""
        return sum(export.rows for export in self.accepted)

    @property
    def files(self) -> tuple[File, ...]:
        """All files, accepted and refused."""
        return (*(export.file for export in self.accepted), *self.refused)

    @property
    def problems(self) -> Mapping[str, str]:
        """Refused files by name, and why."""
        return {file.name: str(error) for file, error in self.refused.items()}

    def without(self, damaged: Mapping[Export, ExportRefused]) -> Exports:
        """The same reading with these files refused as well."""
        return Exports(
            tuple(export for export in self.accepted if export not in damaged),
            {**self.refused, **{export.file: error for export, error in damaged.items()}},
        )


def read(files: Iterable[File], columns: Mapping[str, str]) -> Exports:
    """Open the footer of every file, and accept or refuse it.

    Args:
        files: What to open.
        columns: Our column to theirs, where the names differ.
    """
    accepted: list[Export] = []
    refused: dict[File, ExportRefused] = {}
    for file in files:
        try:
            accepted.append(_open(file, columns))
        except ExportRefused as error:
            refused[file] = error
    return Exports(tuple(accepted), refused)


def _open(file: File, columns: Mapping[str, str]) -> Export:
    if not is_legible(str(file.path)):
        problem = "its path has signs that can't be shown; rename it"
        raise ExportRefused(file.name, problem)
    if file.path.exists() and not file.path.is_file():
        raise ExportRefused(file.name, "it is no regular file; put a file in its place")
    try:
        with pq.ParquetFile(file.path) as parquet:
            schema, rows = parquet.schema_arrow, parquet.metadata.num_rows
            # The types that were written and those that are read: neither tells the other.
            layout = f"{parquet.schema}\n{schema.to_string(show_schema_metadata=False)}"
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ExportRefused(file.name, _read_problem(file, error)) from error
    _refuse_twice(file, schema.names, rows)
    names = {column.name: columns.get(column.name, column.name) for column in COLUMNS}
    fields = {
        column: schema.field(names[column.name])
        for column in COLUMNS
        if _there(file, schema, names, column, rows)
    }
    for column, found in fields.items():
        if not _fits(column.kind, found.type):
            problem = (
                f"column {_shown(names, column)} holds {found.type}, not {column.kind.value}; "
                "export it as that"
            )
            raise ExportRefused(file.name, problem, rows)
    return Export(
        file,
        ColumnMapping(
            {column.name: field.name for column, field in fields.items()},
            {
                column.name: _ticks(field.type)
                for column, field in fields.items()
                if column.kind is Kind.INSTANT and not pa.types.is_null(field.type)
            },
        ),
        rows,
        tuple(sorted(set(schema.names) - set(names.values()))),
        layout.partition("\n")[2],
    )


def _refuse_twice(file: File, names: Sequence[str], rows: int) -> None:
    """No engine could tell which of two columns of one name is meant, ours or not."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        problem = f"it has {names.count(twice)} columns named {twice}; keep one"
        raise ExportRefused(file.name, problem, rows)


def _there(
    file: File, schema: pa.Schema, names: Mapping[str, str], column: Column, rows: int
) -> bool:
    """Whether the file has the column, which it may lack unless it is required."""
    found = names[column.name] in schema.names
    if column.required and not found:
        problem = (
            f"it lacks the required column {_shown(names, column)}; it has "
            f"{', '.join(schema.names) or 'none'}. Export the column, or name theirs in "
            "[export.columns]"
        )
        raise ExportRefused(file.name, problem, rows)
    return found


def _shown(names: Mapping[str, str], column: Column) -> str:
    theirs = names[column.name]
    return theirs if theirs == column.name else f"{theirs} (our {column.name})"


def _is_text(dtype: pa.DataType) -> bool:
    if pa.types.is_dictionary(dtype):
        return _is_text(dtype.value_type)
    return bool(
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    )


def _is_id(dtype: pa.DataType) -> bool:
    return _is_text(dtype) or bool(pa.types.is_integer(dtype))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(dtype)
        or pa.types.is_integer(dtype)
        # 256-bit decimals are more than the engines hold; no export of hours has them.
        or (pa.types.is_decimal(dtype) and dtype.bit_width <= 128)  # noqa: PLR2004
    )


def _is_instant(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(dtype) or pa.types.is_date(dtype))


_TESTS: Final = {
    Kind.ID: _is_id,
    Kind.TEXT: _is_text,
    Kind.INSTANT: _is_instant,
    Kind.NUMBER: _is_number,
    Kind.FLAG: pa.types.is_boolean,
}


def _fits(kind: Kind, dtype: pa.DataType) -> bool:
    """A column of type null holds nothing, which every kind may."""
    return bool(pa.types.is_null(dtype) or _TESTS[kind](dtype))


def _ticks(dtype: pa.DataType) -> Ticks:
    if not pa.types.is_timestamp(dtype):
        return Ticks(Unit.DAYS, zoned=False)
    # Parquet has no seconds: they lie there as milliseconds.
    unit = Unit.MILLISECONDS if dtype.unit == "s" else Unit(dtype.unit)
    return Ticks(unit, zoned=dtype.tz is not None)


def _read_problem(file: File, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os_problem(error)
    if file.fingerprint.size == 0:
        return "it is empty; export it again"
    return f"it can't be read as Parquet ({_first_sentence(error)}); export or copy it again"


def _first_sentence(error: Exception) -> str:
    return str(error).splitlines()[0].split(". ")[0].rstrip(".") if str(error) else repr(error)
