"""The footer of a Parquet file held against itself, its file and the bounds of the settings.

Every size and count that readers trust is there at least twice, so one wrong byte is found: rows of
the file and of its row groups, values of columns, and the ranges of bytes that column chunks take.
"""

from __future__ import annotations

from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from pipeline.sources.footer_bytes import FooterRefused, refuse_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.footer_parts import Chunk, FooterParts, Leaf, RowGroup

_MAGIC_SIZE: Final = 4
_MEBIBYTE: Final = 2**20


def check(parts: FooterParts, pages: int, limits: LimitSettings) -> None:
    """Compare the numbers of a footer with each other.

    Args:
        parts: The footer.
        pages: The size of the file without its footer.
        limits: The bounds.

    Raises:
        FooterRefused: It contradicts itself or its file, or exceeds a bound.
    """
    rows = sum(group.rows for group in parts.groups)
    if parts.rows < 0 or rows != parts.rows:
        raise _contradiction(f"it has {parts.rows:,} rows, and its row groups {rows:,}")
    refuse_above("rows_per_byte", rows, limits.rows_per_byte, pages, "{} rows in so few bytes")
    for number, group in enumerate(parts.groups):
        problem = _problem_of(group, parts.leaves)
        if problem is not None:
            raise _contradiction(f"row group {number} {problem}")
        _refuse_large(group, limits, f"{{}} bytes in row group {number} uncompressed")
    _check_extents([chunk for group in parts.groups for chunk in group.chunks], pages)


def _problem_of(group: RowGroup, leaves: Sequence[Leaf]) -> str | None:
    """Find what a row group contradicts: the schema, or its own columns; None if nothing."""
    if group.rows < 0 or len(group.chunks) != len(leaves):
        return f"has {len(group.chunks):,} columns of {len(leaves):,} and {group.rows:,} rows"
    for chunk, leaf in zip(group.chunks, leaves, strict=True):
        # Writers name the levels within nested columns in several ways.
        is_other = len(leaf.path) == 1 and chunk.path != leaf.path
        if is_other or chunk.type != leaf.type:
            return f"has column {chunk.name} where the schema has another one"
        if chunk.compressed < 0 or chunk.uncompressed < 0:
            return f"has column {chunk.name} of a negative size"
        if chunk.values < group.rows or (leaf.is_flat and chunk.values != group.rows):
            return f"has {group.rows:,} rows, and its column {chunk.name} {chunk.values:,}"
        if chunk.is_elsewhere:
            return f"has column {chunk.name} in another file"
    return None


def _refuse_large(group: RowGroup, limits: LimitSettings, what: str) -> None:
    uncompressed = sum(chunk.uncompressed for chunk in group.chunks)
    compressed = sum(chunk.compressed for chunk in group.chunks)
    refuse_above("row_group_mb", uncompressed, limits.row_group_mb, _MEBIBYTE, what)
    refuse_above("expansion", uncompressed, limits.expansion, max(compressed, 1), what)


def _check_extents(chunks: Sequence[Chunk], pages: int) -> None:
    """Check that column chunks are in the file, and that no two have a byte in common."""
    with_pages = sorted((one for one in chunks if one.values), key=attrgetter("start"))
    for one in with_pages:
        if one.start < _MAGIC_SIZE or one.end > pages:
            raise _contradiction(f"column {one.name} is outside the file")
    for one, after in pairwise(with_pages):
        if after.start < one.end:
            names = f"columns {one.name} and {after.name}"
            raise _contradiction(f"{names} have the same bytes, from {after.start:,} on")


def _contradiction(problem: str) -> FooterRefused:
    return FooterRefused(f"its footer contradicts itself ({problem}); export or copy it again")
