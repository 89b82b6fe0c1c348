"""The sample of a file of each format; the format is known by the content, not by the ending."""

from __future__ import annotations

import codecs
import csv
import io
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import python_calamine as calamine

from pipeline import redaction
from pipeline.errors import NoProposal
from pipeline.model.states import Format
from pipeline.proposals import names
from pipeline.proposals.proposal import Guess
from pipeline.proposals.sample import (
    MOST_ROWS,
    Sample,
    find_table,
    no_header,
    pattern_of,
)
from pipeline.sources.formats import json_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.proposals.sample import Table

_HEAD: Final = 4 * 2**20
"""Bytes of a text file that are looked at."""
_PARQUET: Final = b"PAR1"
_ZIP: Final = b"PK\x03\x04"
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
_GZIP: Final = b"\x1f\x8b"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_TWICE_ENCODED: Final = re.compile("\u00c3[\u00a5\u00a6\u00b8\u2026\u2020\u02dc]")
"""The letters æ, ø and å of UTF-8, read as cp1252."""
_LONG_NUMBER: Final = re.compile(r"\d{4}")
_DELIMITERS: Final = ";,\t|"


def read(path: Path) -> Sample:
    """Read the first rows of a file.

    Args:
        path: The path of the file.

    Raises:
        NoProposal: There is no table in it.
        OSError: It can't be read.
    """
    with path.open("rb") as opened:
        head = opened.read(_HEAD + 1)
    name = path.as_posix()
    if not head.strip():
        raise NoProposal(name, "it is empty; export it again")
    if head.startswith(_PARQUET):
        return _parquet(path)
    if head.startswith(_ZIP):
        return _workbook(path)
    if head.startswith(_OLD_EXCEL):
        raise NoProposal(name, "it is a workbook of an old Excel, or protected; save it as .xlsx")
    if head.startswith(_GZIP):
        raise NoProposal(name, "it is compressed; unpack it first")
    has_all_rows = len(head) <= _HEAD
    encoding = _encoding(head[:_HEAD], has_all_rows=has_all_rows)
    text = head[:_HEAD].decode(_codec(str(encoding.value)), "replace")
    if "\0" in text:
        raise NoProposal(name, "it is no text, Parquet file or workbook; export it in one of these")
    if not has_all_rows:
        text = text[: text.rfind("\n") + 1]
    match text.lstrip()[:1]:
        case "{":
            return _json_lines(name, text, has_all_rows=has_all_rows)
        case "[":
            raise NoProposal(name, "it is one JSON list; export it with one object a line")
        case _:
            return _delimited(name, text, encoding, has_all_rows=has_all_rows)


def _codec(encoding: str) -> str:
    """Give the codec that leaves out the mark at the beginning, as the reader of CSV does."""
    return "utf-8-sig" if encoding == "utf-8" else encoding


def _encoding(head: bytes, *, has_all_rows: bool) -> Guess:
    """Guess the encoding of a text from its first bytes."""

    def guess(value: str, why: str, *, is_certain: bool = True) -> Guess:
        return Guess("encoding", value, why, is_certain)

    if head.startswith(codecs.BOM_UTF8):
        return guess("utf-8", "the file begins with the mark of UTF-8")
    if head.startswith(_UTF_16):
        return guess("utf-16", "the file begins with the mark of UTF-16")
    if head.isascii():
        why = "all letters are ASCII; in another file æ, ø and å may be in cp1252"
        return guess("utf-8", why, is_certain=False)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=has_all_rows)
    except UnicodeDecodeError:
        text = head.decode("cp1252", "replace")
    else:
        return guess("utf-8", "its letters beyond ASCII are UTF-8")
    if _TWICE_ENCODED.search(text):
        return guess("utf-8", "most letters are UTF-8, but some are not", is_certain=False)
    is_norwegian = any(letter in "æøåÆØÅ" for letter in text) and "\ufffd" not in text
    why = "its letters are no UTF-8" + (", and it has æ, ø or å" if is_norwegian else "")
    return guess("cp1252", why, is_certain=is_norwegian)


def _delimited(name: str, text: str, encoding: Guess, *, has_all_rows: bool) -> Sample:
    """Find the sign that makes the most usual names in a header."""
    found: list[tuple[str, Table]] = []
    for sign in _DELIMITERS:
        try:
            table = find_table(csv.reader(io.StringIO(text, newline=""), delimiter=sign))
        except csv.Error:
            continue
        if table is not None:
            found.append((sign, table))
    if not found:
        raise no_header(name)
    sign, table = max(found, key=lambda one: one[1].usual)
    width = len(table.names)
    alike = sum(len(row) == width for row in table.rows)
    is_certain = 0 < alike == len(table.rows)
    why = f"{alike:,} of {len(table.rows):,} rows have as many cells as the header, {width}"
    return Sample(
        Format.CSV,
        [one for one in table.names if one],
        table.columns,
        len(table.rows),
        has_all_rows and table.has_all_rows,
        [Guess("delimiter", sign, why, is_certain), encoding, table.header],
        table.notes,
    )


def _workbook(path: Path) -> Sample:
    """Find the sheets with a header; their rows follow each other."""
    try:
        with calamine.load_workbook(io.BytesIO(path.read_bytes())) as book:
            tables = {
                name: found
                for name in book.sheet_names
                if (found := find_table(book.get_sheet_by_name(name).iter_rows()))
            }
            count = len(book.sheet_names)
            others = [name for name in book.sheet_names if name not in tables]
    except (calamine.CalamineError, ValueError) as error:
        reason = redaction.summary(error)
        problem = f"it can't be read as an Excel workbook ({reason}); save it again as .xlsx"
        raise NoProposal(path.as_posix(), problem) from error
    if not tables:
        raise no_header(path.as_posix())
    first = next(iter(tables.values()))
    alike = {
        name: one
        for name, one in tables.items()
        if (one.header_row, set(one.names)) == (first.header_row, set(first.names))
    }
    others += [name for name in tables if name not in alike]
    sheet = [] if count == 1 else [_sheet(list(alike), others)]
    is_pattern = len(alike) > 1 and sheet[0].value != next(iter(alike))
    used = list(alike.values()) if is_pattern else [first]
    columns = {
        name: [value for table in used for value in table.columns[name]][:MOST_ROWS]
        for name in first.columns
    }
    rows = sum(len(table.rows) for table in used)
    return Sample(
        Format.XLSX,
        [one for one in first.names if one],
        columns,
        min(rows, MOST_ROWS),
        rows <= MOST_ROWS and all(table.has_all_rows for table in used),
        [*sheet, first.header],
        first.notes,
    )


def _sheet(chosen: Sequence[str], others: Sequence[str]) -> Guess:
    if len(chosen) == 1:
        return Guess("sheet", chosen[0], "no other sheet has such a header")
    pattern = pattern_of(chosen, others)
    if pattern is not None:
        return Guess("sheet", pattern, f"{len(chosen)} sheets have the same header")
    why = f"{len(chosen)} sheets have the same header, and no pattern has these only"
    return Guess("sheet", chosen[0], why, is_certain=False)


def _json_lines(name: str, text: str, *, has_all_rows: bool) -> Sample:
    """Read the objects of a file."""
    lines = [line for line in text.split("\n") if line.strip()]
    decoder = msgspec.json.Decoder(dict[str, Any])
    rows: list[dict[str, Any]] = []
    for line in lines[:MOST_ROWS]:
        try:
            rows.append(decoder.decode(line.lstrip("\ufeff")))
        except msgspec.DecodeError:
            continue
    if not rows:
        raise NoProposal(name, "it has no line with one JSON object; export one object a line")
    shown = _names(rows)
    columns = {one: [json_lines.value_at(one.split("."), row) for row in rows] for one in shown}
    torn = len(lines[:MOST_ROWS]) - len(rows)
    notes = [f"{torn:,} of {len(rows) + torn:,} lines have no JSON object"] if torn else []
    whole = has_all_rows and len(lines) <= MOST_ROWS
    return Sample(Format.JSONL, shown, columns, len(rows), whole, (), notes)


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Name the values of objects.

    A name that fewer than half of them have, and one with a long number, may be that of a person.
    """
    counts: dict[str, int] = {}
    for row in rows:
        for name in json_lines.names_in(row):
            counts[name] = counts.get(name, 0) + 1
    usual = {name for of in names.fitting(counts).values() for name in of if "." not in name}
    return [
        name
        for name, count in counts.items()
        if name in usual or (2 * count >= len(rows) and _LONG_NUMBER.search(name) is None)
    ]


def _parquet(path: Path) -> Sample:
    """Read the values of columns with usual names only."""
    try:
        with pq.ParquetFile(str(path)) as parquet:
            found: list[str] = parquet.schema_arrow.names
            usual = [one for of in names.fitting(found).values() for one in of]
            rows = parquet.metadata.num_rows
            flat = [one for one in usual if not pa.types.is_nested(_type(parquet, one))]
            batches = parquet.iter_batches(MOST_ROWS, columns=flat)
            columns = {one: _values(batch[one]) for batch in islice(batches, 1) for one in flat}
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = redaction.summary(error).rstrip(".")
        problem = f"it can't be read as Parquet ({reason}); export or copy it again"
        raise NoProposal(path.as_posix(), problem) from error
    return Sample(Format.PARQUET, found, columns, min(rows, MOST_ROWS), rows <= MOST_ROWS)


def _type(parquet: pq.ParquetFile, name: str) -> pa.DataType:
    return parquet.schema_arrow.field(name).type


def _values(column: pa.Array) -> list[Any]:
    """Give texts, whole numbers and instants; of other types only what is null."""
    dtype = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
    if is_text or pa.types.is_integer(dtype):
        return list(column.to_pylist())
    if pa.types.is_date32(dtype):
        return list(column.cast(pa.int32()).to_pylist())
    if pa.types.is_timestamp(dtype):
        return list(column.cast(pa.int64()).to_pylist())
    return [None] * len(column)
