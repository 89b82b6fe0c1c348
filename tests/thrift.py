"""A writer of Thrift's compact protocol, for footers and page headers that no library writes.

A struct is a mapping from field numbers to values: booleans, integers, bytes, doubles, lists and
structs. Integers are written as 64 bits wide unless they are `I32`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from pipeline.sources import thrift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAGIC: Final = b"PAR1"
_TRUE, _FALSE, _I32, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 5, 6, 7, 8, 9, 12


class I32(int):
    """An integer of 32 bits."""


def varint(value: int) -> bytes:
    """Write an unsigned number, seven bits a byte."""
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    content.append(value)
    return bytes(content)


def zigzag(value: int) -> bytes:
    """Write a signed number."""
    return varint((value << 1 ^ value >> 63) & (2**64 - 1))


def written(fields: Mapping[int, Any]) -> bytes:
    """Write a struct."""
    content = bytearray()
    before = 0
    for field, value in sorted(fields.items()):
        kind, body = _value(value)
        step = field - before
        content += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + zigzag(field)
        content += b"" if kind in {_TRUE, _FALSE} else body
        before = field
    return bytes(content) + b"\0"


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case bool():
            return (_TRUE, b"\1") if value else (_FALSE, b"\2")
        case int():
            return (_I32 if isinstance(value, I32) else _I64), zigzag(value)
        case float():
            return _DOUBLE, struct.pack("<d", value)
        case bytes():
            return _BINARY, varint(len(value)) + value
        case dict():
            return _STRUCT, written(value)
        case _:
            return _LIST, _list(value)


def _list(values: Sequence[Any]) -> bytes:
    kinds = {_value(value)[0] for value in values} or {_STRUCT}
    kind = kinds.pop()
    size = len(values)
    head = bytes([size << 4 | kind]) if size < 15 else bytes([0xF0 | kind]) + varint(size)
    return head + b"".join(_value(value)[1] for value in values)


def footer_of(path: Path) -> dict[int, Any]:
    """Read the footer of a Parquet file as a struct."""
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    found, _ = thrift.read_struct(content[-8 - size : -8])
    return found


def with_footer(path: Path, footer: Mapping[int, Any]) -> None:
    """Put another footer in the place of the one that a Parquet file has."""
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    path.write_bytes(content[: -8 - size] + tail(written(footer)))


def tail(footer: bytes) -> bytes:
    """Write the end of a file: the footer, its size and the magic number."""
    return footer + len(footer).to_bytes(4, "little") + MAGIC


def narrow(value: Any) -> Any:
    """Write all integers of a value with 32 bits, as schemas and page headers have them."""
    if isinstance(value, dict):
        return {field: narrow(inner) for field, inner in value.items()}
    if isinstance(value, list):
        return list(map(narrow, value))
    return value if isinstance(value, bool) or not isinstance(value, int) else I32(value)
