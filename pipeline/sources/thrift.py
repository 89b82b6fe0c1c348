"""Thrift's compact protocol, in which Parquet writes footers and page headers.

Reads unchecked bytes: takes no more time than there are bytes, and follows no more
than `DEEPEST` structs within each other. Source: thrift-compact-protocol.md of Apache Thrift.
"""

from __future__ import annotations

import struct
from typing import Any, Final

DEEPEST: Final = 32
"""The most structs and lists within each other; Parquet's own have fewer than ten."""

_STOP: Final = 0
_TRUE: Final = 1
_FALSE: Final = 2
_BYTE: Final = 3
_INTEGERS: Final = frozenset({4, 5, 6})
_DOUBLE: Final = 7
_BINARY: Final = 8
_LISTS: Final = frozenset({9, 10})
_STRUCT: Final = 12
_BOOLEANS: Final = frozenset({_TRUE, _FALSE})
_LONG_LIST: Final = 15
"""The size in a list's first byte that announces a number after it."""
_LONGEST_LIST: Final = 1_000_000
"""The most values of a list; Arrow reads no more either."""
_HIGHEST_BIT: Final = 128
"""A byte with this bit has another one after it."""
_WIDEST: Final = 63
"""The greatest shift of a number of 64 bits."""


class ThriftCorrupt(ValueError):
    """Bytes that are no value of the protocol."""


class ThriftCut(ThriftCorrupt):
    """Bytes that end in the middle of a value."""


def read_struct(content: bytes, at: int = 0) -> tuple[dict[int, Any], int]:
    """Read a struct: the value of each field by its number, and the position after it.

    Values are integers, booleans, doubles, bytes, lists, and structs as dictionaries.

    Raises:
        ThriftCorrupt: It is no struct.
        ThriftCut: The bytes end before it does.
    """
    try:
        return _struct(content, at, 0)
    except IndexError as error:
        raise ThriftCut("it ends in the middle of a value") from error


def read_list_head(content: bytes, at: int) -> tuple[int, int]:
    """Read the beginning of a list of structs: how many there are, and the position of the first.

    Raises:
        ThriftCorrupt: It is no list of structs.
        ThriftCut: The bytes end before that many structs could.
    """
    try:
        count, kind, at = _list_head(content, at)
    except IndexError as error:
        raise ThriftCut("it ends in the middle of a list") from error
    if kind != _STRUCT and count:
        raise ThriftCorrupt("a list has other values than structs")
    return count, at


def read_field_head(content: bytes, at: int, before: int) -> tuple[int, int, int]:
    """Read the beginning of a field: its number, its type, and the position of its value.

    Args:
        content: The bytes.
        at: The position.
        before: The number of the field before it, or 0.

    Returns:
        The number 0 at the end of the struct.

    Raises:
        ThriftCut: The bytes end here.
    """
    try:
        head = content[at]
        if head == _STOP:
            return 0, _STOP, at + 1
        if head >> 4:
            return before + (head >> 4), head & 15, at + 1
        number, at = _varint(content, at + 1)
    except IndexError as error:
        raise ThriftCut("it ends in the middle of a field") from error
    return _signed(number), head & 15, at


def read_value(content: bytes, at: int, kind: int) -> tuple[Any, int]:
    """Read the value of a field, and give the position after it.

    Raises:
        ThriftCorrupt: It is no value of this type.
        ThriftCut: The bytes end before it does.
    """
    if kind in _BOOLEANS:
        return kind == _TRUE, at
    try:
        return _value(content, at, kind, 0)
    except IndexError as error:
        raise ThriftCut("it ends in the middle of a value") from error


def _struct(content: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read a struct; footers of wide files have millions of fields, so the usual ones are inline.

    A byte without its highest bit is a whole number already.
    """
    if depth > DEEPEST:
        raise ThriftCorrupt("it has too many structs within each other")
    found: dict[int, Any] = {}
    field = 0
    while head := content[at]:
        at += 1
        kind = head & 15
        if head > _LONG_LIST:  # the difference to the field before is in the byte itself
            field += head >> 4
        else:
            number, at = _varint(content, at)
            field = _signed(number)
        if kind in _INTEGERS:
            number = content[at]
            at += 1
            if number & _HIGHEST_BIT:
                number, at = _varint(content, at - 1)
            found[field] = (number >> 1) ^ -(number & 1)
        elif kind == _BINARY and content[at] < _HIGHEST_BIT:
            end = at + 1 + content[at]
            found[field] = content[at + 1 : end]
            at = _within(content, end)
        elif kind in _BOOLEANS:
            found[field] = kind == _TRUE
        else:
            found[field], at = _value(content, at, kind, depth)
    return found, at + 1


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind == _STRUCT:
        return _struct(content, at, depth + 1)
    if kind in _LISTS:
        return _list(content, at, depth + 1)
    if kind == _BINARY:
        size, at = _varint(content, at)
        return content[at : _within(content, at + size)], at + size
    if kind in _INTEGERS:
        number, at = _varint(content, at)
        return _signed(number), at
    return _fixed(content, at, kind)


def _fixed(content: bytes, at: int, kind: int) -> tuple[Any, int]:
    """Read a value of a fixed size."""
    if kind in _BOOLEANS:  # in a list, where each is a byte of its own
        return content[at] == _TRUE, at + 1
    if kind == _BYTE:
        return content[at], at + 1
    if kind == _DOUBLE:
        return struct.unpack("<d", content[at : _within(content, at + 8)])[0], at + 8
    raise ThriftCorrupt(f"it has a value of the unknown type {kind}")


def _list(content: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > DEEPEST:
        raise ThriftCorrupt("it has too many lists within each other")
    count, kind, at = _list_head(content, at)
    if kind in _INTEGERS:
        return _integers(content, at, count)
    values = []
    for _ in range(count):
        value, at = (
            _struct(content, at, depth + 1) if kind == _STRUCT else _value(content, at, kind, depth)
        )
        values.append(value)
    return values, at


def _integers(content: bytes, at: int, count: int) -> tuple[list[int], int]:
    """Read so many numbers that follow each other; most are one byte."""
    values = []
    for _ in range(count):
        number = content[at]
        at += 1
        if number & _HIGHEST_BIT:
            number, at = _varint(content, at - 1)
        values.append((number >> 1) ^ -(number & 1))
    return values, at


def _list_head(content: bytes, at: int) -> tuple[int, int, int]:
    """Read the size of a list, the type of its values, and the position of the first."""
    count, kind = content[at] >> 4, content[at] & 15
    at += 1
    if count == _LONG_LIST:
        count, at = _varint(content, at)
    _within(content, at + count)  # each value takes a byte at least
    if count > _LONGEST_LIST:
        raise ThriftCorrupt(f"it has a list of over {_LONGEST_LIST:,} values")
    return count, kind, at


def _within(content: bytes, end: int) -> int:
    """Give the end of a value, which must not be beyond that of the bytes."""
    if end > len(content):
        raise IndexError(end)
    return end


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned number, seven bits a byte, and give it with the position after it."""
    value = shift = 0
    while (byte := content[at]) & 128:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
        if shift > _WIDEST:
            raise ThriftCorrupt("it has a number of more than 64 bits")
    return (value | byte << shift) & 0xFFFF_FFFF_FFFF_FFFF, at + 1


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)
