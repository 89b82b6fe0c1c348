"""Hostile Parquet files: sound ones of several writers, each changed in one way, by a seed.

A mutant is named by its number: the same number is the same change on every computer.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow.parquet as pq

from tests.given import AUTUMN, row, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS: Final = 60
_PLAIN: Final = {"use_dictionary": False, "compression": "none"}
_WRITERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"compression": "zstd", "row_group_size": 20},
    _PLAIN,
    {**_PLAIN, "data_page_version": "2.0"},
    {"compression": "gzip", "data_page_size": 128},
    {"data_page_version": "2.0", "compression": "snappy", "data_page_size": 64},
    {**_PLAIN, "column_encoding": {"participant_id": "DELTA_BYTE_ARRAY"}},
)
"""Options of Arrow's writer; one more file is written by Polars."""
_TAIL: Final = 8
"""The bytes after a footer: its size and the magic number."""


@dataclass(frozen=True)
class Mutant:
    """A file that was changed; its rows are of an organisation of its own."""

    number: int
    content: bytes
    original: bytes
    has_checksums: bool

    @property
    def name(self) -> str:
        return f"m{self.number:05}.parquet"

    @property
    def org_id(self) -> str:
        return _org_id(self.number)


def mutant(number: int) -> Mutant:
    """Make the mutant of this number; every fourth has checksums of its pages."""
    chance = random.Random(number)  # noqa: S311 (the same change for the same number)
    writer = chance.randrange(len(_WRITERS) + 1)
    has_checksums = number % 4 == 0 and writer < len(_WRITERS)
    original = _written(number, writer, has_checksums=has_checksums)
    changed = original
    while changed == original:
        changed = chance.choice(_CHANGES)(chance, original)
    return Mutant(number, changed, original, has_checksums)


def mutants(first: int, count: int) -> Sequence[Mutant]:
    """Make the mutants of these numbers."""
    return [mutant(number) for number in range(first, first + count)]


def _org_id(number: int) -> str:
    return f"org-m{number:05}"


def _written(number: int, writer: int, *, has_checksums: bool) -> bytes:
    rows = [
        row(
            org_id=_org_id(number),
            activity_id=f"a{n % 7}",
            participant_id=f"p{n}",
            bufdir_category="ungdom" if n % 3 else "eldre",
            started_at=AUTUMN + timedelta(hours=n),
            hours=0.25 * (n % 9) + 0.5,
            status=None if n % 10 == 0 else "completed",
            updated_at=AUTUMN + timedelta(days=n),
        )
        for n in range(ROWS)
    ]
    content = io.BytesIO()
    if writer == len(_WRITERS):
        pl.DataFrame(table(rows)).write_parquet(content, compression="zstd")
    else:
        options = {"write_page_checksum": has_checksums, **_WRITERS[writer]}
        pq.write_table(table(rows), content, **options)
    return content.getvalue()


def _place(chance: random.Random, content: bytes) -> int:
    """Choose a byte: half of them in the footer, where one byte decides about many."""
    size = int.from_bytes(content[-_TAIL:-4], "little")
    # An earlier change may have made the size of the footer more than the file's, or zero.
    pages = min(max(1, len(content) - _TAIL - size), len(content) - 1)
    if chance.random() < 0.5:
        return chance.randrange(pages)
    return chance.randrange(pages, len(content))


def _flip_bit(chance: random.Random, content: bytes) -> bytes:
    return _put(
        content, place := _place(chance, content), content[place] ^ 1 << chance.randrange(8)
    )


def _set_byte(chance: random.Random, content: bytes) -> bytes:
    return _put(content, _place(chance, content), chance.choice((0, 1, 127, 128, 255)))


def _put(content: bytes, place: int, byte: int) -> bytes:
    return content[:place] + bytes([byte]) + content[place + 1 :]


def _several(chance: random.Random, content: bytes) -> bytes:
    for _ in range(chance.randrange(2, 6)):
        content = _put(content, _place(chance, content), chance.randrange(256))
    return content


def _overwrite(chance: random.Random, content: bytes) -> bytes:
    place, size = _place(chance, content), chance.randrange(2, 64)
    filled = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return (content[:place] + filled + content[place + size :])[: len(content)]


def _remove(chance: random.Random, content: bytes) -> bytes:
    place = _place(chance, content)
    return content[:place] + content[place + chance.randrange(1, 64) :]


def _repeat(chance: random.Random, content: bytes) -> bytes:
    place = _place(chance, content)
    return content[:place] + content[place : place + chance.randrange(1, 64)] + content[place:]


def _copy(chance: random.Random, content: bytes) -> bytes:
    """Put bytes of one place into another, as a file system does that mixes up blocks."""
    source, place, size = _place(chance, content), _place(chance, content), chance.randrange(4, 64)
    copied = content[source : source + size]
    return content[:place] + copied + content[place + len(copied) :]


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: _place(chance, content)]


_CHANGES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    *(_flip_bit, _flip_bit, _flip_bit, _flip_bit, _set_byte, _set_byte, _set_byte),
    *(_several, _overwrite, _remove, _repeat, _copy, _cut),
)
"""The ways to change a file; small changes, which are the hardest to find, more often."""
