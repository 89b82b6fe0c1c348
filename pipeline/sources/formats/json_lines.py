"""Files with one JSON object a line (https://jsonlines.org).

A dot leads into an object: `person.id` is the `id` of the object `person`. A line that is no
object is torn. Empty lines are skipped.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from pipeline.errors import ExportRefused
from pipeline.sources import header
from pipeline.sources.formats.cells import TORN, Block, of_objects
from pipeline.sources.formats.converted_file import SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.sources.exports import File, Readable

_ROWS: Final = 65_536
"""Lines that are read at a time."""
_LONGEST: Final = 2**20
"""The most bytes of a line."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_Object = dict[str, Any]


def read(
    file: File, opened: Readable, source: SourceSettings, columns: Sequence[Column]
) -> Iterator[Block]:
    """Read the values of a file, some lines at a time, as `formats.blocks` does.

    Raises:
        ExportRefused: No line has a column, or there is no line.
    """
    theirs = header.names_of(source, columns)
    paths = [(column, theirs[column.name].split(".")) for column in columns]
    found: dict[str, None] = {}
    rows = _rows(opened)
    while some := list(islice(rows, _ROWS)):
        for _, row in some:
            found.update(dict.fromkeys(names_in(row)))
        numbers = pl.Series(SOURCE_ROW, [number for number, _ in some], pl.Int64)
        torn = pl.Series(TORN, [row is None for _, row in some], pl.Boolean)
        cells = [
            of_objects(column, [value_at(path, row) for _, row in some])
            for column, path in paths
            if theirs[column.name] in found
        ]
        yield Block(list(found), pl.DataFrame([numbers, torn, *chain.from_iterable(cells)]))
    if not found:
        raise ExportRefused(file.name, "it has no JSON object; export it again")
    names = header.Header(file, list(found))
    names.refuse_ambiguous(theirs.values())
    names.refuse_missing(theirs, columns)


def _rows(opened: Readable) -> Iterator[tuple[int, _Object | None]]:
    """Give the object of each line that is not empty, with the line's number; None where torn."""
    decoder = msgspec.json.Decoder(_Object)
    for number, line in enumerate(_lines(opened), start=1):
        content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        if content.strip():
            try:
                yield number, decoder.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError):
                yield number, None


def _lines(opened: Readable) -> Iterator[bytes]:
    """Cut a file into lines; one that is too long is cut as well, and so torn."""
    waiting = b""
    while content := opened.read(_LONGEST):
        *lines, waiting = (waiting + content).split(b"\n")
        yield from lines
        if len(waiting) > _LONGEST:
            yield waiting
            waiting = b""
    if waiting:
        yield waiting


def names_in(row: _Object | None, above: str = "") -> Iterator[str]:
    """Name the values of an object, those in inner objects with dots."""
    for name, value in (row or {}).items():
        if isinstance(value, dict):
            yield from names_in(value, f"{above}{name}.")
        else:
            yield above + name


def value_at(path: Sequence[str], row: _Object | None) -> object:
    """Find the value at a path; None where there is none."""
    found: object = row
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
