"""The row hash follows its specification, so that every engine and release gives the same."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines import row_hash

_BITS: Final = 2**64
_PRIME_1: Final = 11_400_714_785_074_694_791
_PRIME_2: Final = 14_029_467_366_897_019_727
_PRIME_3: Final = 1_609_587_929_392_839_161
_PRIME_4: Final = 9_650_029_242_287_828_579
_PRIME_5: Final = 2_870_177_450_012_600_261

texts = st.none() | st.text(max_size=70)
numbers = st.none() | st.integers(-(2**63), 2**63 - 1)
doubles = st.none() | st.floats()


def rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) % _BITS


def mixed(accumulator: int, lane: int) -> int:
    return rotated((accumulator + lane * _PRIME_2) % _BITS, 31) * _PRIME_1 % _BITS


def xxh64(content: bytes, seed: int) -> int:
    """XXH64 as its specification describes it, in plain Python."""
    rest = memoryview(content)
    if len(content) >= 32:
        lanes = [seed + _PRIME_1 + _PRIME_2, seed + _PRIME_2, seed, seed - _PRIME_1]
        while len(rest) >= 32:
            read = struct.unpack_from("<4Q", rest)
            lanes = [mixed(lane % _BITS, one) for lane, one in zip(lanes, read, strict=True)]
            rest = rest[32:]
        hashed = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            hashed = ((hashed ^ mixed(0, lane)) * _PRIME_1 + _PRIME_4) % _BITS
    else:
        hashed = seed + _PRIME_5
    hashed = (hashed + len(content)) % _BITS
    while len(rest) >= 8:
        lane = mixed(0, struct.unpack_from("<Q", rest)[0])
        hashed = (rotated(hashed ^ lane, 27) * _PRIME_1 + _PRIME_4) % _BITS
        rest = rest[8:]
    if len(rest) >= 4:
        lane = struct.unpack_from("<I", rest)[0] * _PRIME_1 % _BITS
        hashed = (rotated(hashed ^ lane, 23) * _PRIME_2 + _PRIME_3) % _BITS
        rest = rest[4:]
    for byte in rest:
        hashed = rotated(hashed ^ byte * _PRIME_5 % _BITS, 11) * _PRIME_1 % _BITS
    hashed = (hashed ^ hashed >> 33) * _PRIME_2 % _BITS
    hashed = (hashed ^ hashed >> 29) * _PRIME_3 % _BITS
    return hashed ^ hashed >> 32


def number_of(value: object) -> int:
    """Return the 64 bits of a number."""
    if isinstance(value, float):
        if math.isnan(value):
            return 0x7FF8000000000000
        return int(struct.unpack("<Q", struct.pack("<d", value + 0.0))[0])
    assert isinstance(value, int)
    return int(value) % _BITS


def expected(row: dict[str, Any], dtypes: dict[str, Any]) -> int:
    """Compute the hash of a row, value by value."""
    texts = numbers = 0
    for name, value in row.items():
        seed = xxh64(name.encode(), 42)
        if dtypes[name] == pl.String:
            texts += seed if value is None else xxh64(value.encode(), seed)
        elif dtypes[name] == pl.Float64:
            content = b"" if value is None else struct.pack("<Q", number_of(value))
            texts += seed if value is None else xxh64(content, seed)
        else:
            numbers += seed if value is None else number_of(value) * (seed >> 5 | 1)
    return (texts + numbers) % _BITS


def test_the_oracle_gives_the_values_that_the_specification_names() -> None:
    assert xxh64(b"", 0) == 0xEF46DB3751D8E999
    assert xxh64(b"a", 0) == 0xD24EC4F1A98C6E5B
    assert xxh64(b"Nobody inspects the spammish repetition", 0) == 0xFBCEA83C8A378BF1


@given(texts, texts, numbers, doubles, st.none() | st.booleans())
def test_the_hash_of_a_row_follows_its_specification(
    org_id: str | None,
    status: str | None,
    started_at: int | None,
    hours: float | None,
    deleted: bool | None,
) -> None:
    dtypes: dict[str, Any] = {
        "org_id": pl.String,
        "status": pl.String,
        "started_at": pl.Int64,
        "hours": pl.Float64,
        "deleted": pl.Boolean,
    }
    row = {
        "org_id": org_id,
        "status": status,
        "started_at": started_at,
        "hours": hours,
        "deleted": deleted,
    }
    rows = pl.DataFrame([row], schema=dtypes)
    found = rows.select(row_hash.row_hash(list(row), rows.schema))
    assert found.item() == expected(row, dtypes)


@given(st.integers(0, _BITS - 1), st.integers(0, _BITS - 1))
def test_the_checksum_of_a_row_follows_its_specification(own: int, latest: int) -> None:
    hashes = pl.DataFrame(
        {"own": [own], "latest": [latest]}, schema_overrides={"own": pl.UInt64, "latest": pl.UInt64}
    )
    found = hashes.select(row_hash.checksum(pl.col("own"), pl.col("latest"))).item()
    assert found == xxh64(struct.pack("<Q", (own + latest) % _BITS), 42)


def test_values_that_change_places_between_rows_give_another_sum() -> None:
    def total(*rows: tuple[str, float]) -> int:
        frame = pl.DataFrame(rows, schema={"status": pl.String, "hours": pl.Float64}, orient="row")
        own = row_hash.row_hash(frame.columns, frame.schema)
        return int(frame.select(row_hash.checksum(own, own).sum()).item())

    assert total(("a", 1.0), ("b", 2.0)) != total(("a", 2.0), ("b", 1.0))
    assert total(("a", 1.0), ("b", 2.0)) == total(("b", 2.0), ("a", 1.0))
