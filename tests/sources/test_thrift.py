"""Thrift's compact protocol, read from bytes that may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import thrift
from pipeline.sources.thrift import ThriftCorrupt, ThriftCut
from tests.thrift import I32, varint, written

INTEGERS = st.integers(-(2**63), 2**63 - 1)
LEAVES = st.one_of(INTEGERS, st.binary(max_size=9), st.floats(allow_nan=False), st.booleans())
FIELDS = st.integers(-(2**15), 2**15 - 1)
LISTS = st.one_of(
    st.lists(INTEGERS, max_size=20),
    st.lists(st.binary(max_size=4), max_size=3),
    st.lists(st.booleans(), max_size=16),
)
STRUCTS = st.recursive(
    st.dictionaries(FIELDS, st.one_of(LEAVES, LISTS), max_size=5),
    lambda inner: st.dictionaries(FIELDS, st.one_of(LEAVES, inner, st.lists(inner)), max_size=4),
    max_leaves=12,
)


@given(STRUCTS, st.binary(max_size=5))
def test_what_was_written_is_read_up_to_its_end(value: dict[int, object], after: bytes) -> None:
    content = written(value)
    assert thrift.read_struct(content + after) == (value, len(content))


@given(STRUCTS)
def test_a_struct_that_is_cut_anywhere_is_recognised(value: dict[int, object]) -> None:
    content = written(value)
    for size in range(len(content)):
        with pytest.raises(ThriftCut):
            thrift.read_struct(content[:size])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        _, end = thrift.read_struct(content)
    except ThriftCorrupt:
        return
    assert end <= len(content)


def test_structs_within_each_other_have_an_end() -> None:
    deep = b"\x1c" * 100_000
    with pytest.raises(ThriftCorrupt, match="too many structs"):
        thrift.read_struct(deep)
    with pytest.raises(ThriftCorrupt, match="too many lists"):
        thrift.read_struct(b"\x19" + b"\x19" * 100_000)


def test_a_list_of_more_values_than_there_are_bytes_is_cut() -> None:
    content = b"\x19\xfc" + varint(2**40)
    with pytest.raises(ThriftCut):
        thrift.read_struct(content)
    with pytest.raises(ThriftCut):
        thrift.read_list_head(content, 1)


def test_a_list_of_more_values_than_libraries_read_is_refused() -> None:
    content = b"\x19\xfc" + varint(1_000_001) + bytes(1_000_002)
    with pytest.raises(ThriftCorrupt, match="a list of over 1,000,000 values"):
        thrift.read_struct(content)


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    with pytest.raises(ThriftCorrupt, match="64 bits"):
        thrift.read_struct(b"\x16" + b"\xff" * 30 + b"\0")


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ThriftCorrupt, match="unknown type 13"):
        thrift.read_struct(b"\x1d\0")


def test_fields_are_read_one_by_one() -> None:
    content = written({1: I32(7), 40: b"x", 41: True, 42: [{1: 1}, {1: 2}]})
    field, kind, at = thrift.read_field_head(content, 0, 0)
    value, at = thrift.read_value(content, at, kind)
    assert (field, value) == (1, 7)
    field, kind, at = thrift.read_field_head(content, at, field)
    value, at = thrift.read_value(content, at, kind)
    assert (field, value) == (40, b"x")
    field, kind, at = thrift.read_field_head(content, at, field)
    value, at = thrift.read_value(content, at, kind)
    assert (field, value) == (41, True)
    field, kind, at = thrift.read_field_head(content, at, field)
    assert thrift.read_list_head(content, at)[0] == 2
    _, at = thrift.read_value(content, at, kind)
    assert thrift.read_field_head(content, at, field)[0] == 0
    for cut in (b"", b"\x05"):
        with pytest.raises(ThriftCut):
            thrift.read_field_head(cut, 0, 0)
    with pytest.raises(ThriftCut):
        thrift.read_value(b"\x09", 0, 8)
    with pytest.raises(ThriftCut):
        thrift.read_list_head(b"", 0)
    with pytest.raises(ThriftCorrupt, match="other values"):
        thrift.read_list_head(b"\x15\x02", 0)
