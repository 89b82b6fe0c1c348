"""Parquet exports, accepted by their footers or refused as a whole with the reason.

Reads no row. Refuses a file that lacks a required column, has one of another type, has two columns
of one name, or can't be read as Parquet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from pipeline import redaction
from pipeline.errors import ExportRefused
from pipeline.model.columns import UNREADABLE, Column, ColumnMapping, Kind
from pipeline.settings.limits import DEFAULTS
from pipeline.sources import footer, header
from pipeline.sources.accepted import Export
from pipeline.sources.exports import os_problem
from pipeline.sources.footer_bytes import FooterRefused
from pipeline.sources.formats.converted_file import note_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import SourceSettings
    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.exports import File
    from pipeline.sources.footer import Footer, StoredColumn


def accept(
    file: File,
    source: SourceSettings,
    columns: Sequence[Column],
    limits: LimitSettings = DEFAULTS,
) -> Export:
    """Read the footer of a file.

    Args:
        file: The file to open.
        source: Its source, with the names of our columns and categories in it.
        columns: The columns that are read.
        limits: The bounds that the file must keep.

    Raises:
        ExportRefused: The file is refused.
    """
    names = header.names_of(source, columns)
    try:
        found = footer.read(file, set(names.values()), limits)
    except (pa.ArrowException, OSError, ValueError) as error:
        is_passing = isinstance(error, OSError) and error.errno is not None
        problem = _read_problem(file, error)
        raise ExportRefused(file.name, problem, is_passing=is_passing) from error
    header.Header(file, found.names, found.rows).refuse_ambiguous(names.values())
    known = tuple(dict.fromkeys((*found.names, *found.columns)))
    header.Header(file, known, found.rows).refuse_missing(names, columns)
    stored = {
        column: found.columns[names[column.name]]
        for column in columns
        if names[column.name] in found.columns
    }
    for column, one in stored.items():
        _refuse_other_type(file, found, names, column, one)
    by_name = {column.name: theirs for column, theirs in stored.items()}
    return _export(file, found, by_name, source.categories, limits)


def accept_converted(
    file: File,
    converted: File,
    source: SourceSettings,
    columns: Sequence[Column],
    limits: LimitSettings,
) -> Export:
    """Read the footer of the Parquet file to which a file was converted.

    Args:
        file: The file.
        converted: The Parquet file, with our names of columns.
        source: Its source, with the names of our categories in it.
        columns: The columns that are read.
        limits: The bounds that the Parquet file must keep.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: The Parquet file can't be read.
    """
    found = footer.read_encrypted(converted, {*(column.name for column in columns), UNREADABLE})
    note = note_of(found.notes)
    stored = {name: found.columns[name] for name in (*note.columns, UNREADABLE)}
    export = _export(file, found, stored, source.categories, limits)
    return replace(export, converted=converted, ignored=note.ignored)


def _export(
    file: File,
    found: Footer,
    stored: Mapping[str, StoredColumn],
    categories: Mapping[str, str],
    limits: LimitSettings,
) -> Export:
    theirs = {column.name for column in stored.values()}
    return Export(
        file,
        ColumnMapping(
            {ours: column.name for ours, column in stored.items()},
            {
                ours: column.values.ticks
                for ours, column in stored.items()
                if column.values.ticks is not None
            },
            categories,
        ),
        {ours: column.values.dtype for ours, column in stored.items()},
        found.rows,
        tuple(sorted(set(found.names) - theirs)),
        tuple((ours, column.name, *column.written) for ours, column in stored.items()),
        found.is_native and all(column.is_native for column in stored.values()),
        limits,
    )


def _refuse_other_type(
    file: File, found: Footer, names: Mapping[str, str], column: Column, theirs: StoredColumn
) -> None:
    if not _fits(column.kind, theirs.values.dtype):
        problem = (
            f"column {header.shown(names, column)} holds {theirs.values.described}, "
            f"not {column.kind.value}; export it as that"
        )
        raise ExportRefused(file.name, problem, found.rows)


def _is_id(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_string(dtype) or pa.types.is_integer(dtype))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_floating(dtype) or pa.types.is_integer(dtype) or pa.types.is_decimal(dtype)
    )


def _is_instant(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(dtype) or pa.types.is_date(dtype))


_TESTS: Final = {
    Kind.ID: _is_id,
    Kind.TEXT: pa.types.is_string,
    Kind.INSTANT: _is_instant,
    Kind.NUMBER: _is_number,
    Kind.FLAG: pa.types.is_boolean,
}


def _fits(kind: Kind, dtype: pa.DataType | None) -> bool:
    """Return whether a kind may be of a type; a column of type null has no values, so it fits."""
    return dtype is not None and bool(pa.types.is_null(dtype) or _TESTS[kind](dtype))


def _read_problem(file: File, error: Exception) -> str:
    if isinstance(error, FooterRefused):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os_problem(error)
    if file.fingerprint.size == 0:
        return "it is empty; export it again"
    return f"it can't be read as Parquet ({_first_sentence(error)}); export or copy it again"


def _first_sentence(error: Exception) -> str:
    return redaction.summary(error).split(". ")[0].rstrip(".")
