"""Participants who look alike: their ids differ only in how they are written.

One person with two ids counts twice, and two people whose ids look alike must not become one. So
such ids are counted for a person to look at, and never merged. Ids look alike if they are equal
after Unicode's compatibility composition (NFKC), without spaces and signs that no one sees, and,
where only digits are left, without leading zeros. Case counts: Base64 distinguishes it.

Only an id with a sign beyond ASCII, a space or a leading zero can differ from what it looks like.
The others are compared by hash alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline.engines import row_hash
from pipeline.model.columns import FILE, PARTICIPANT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.sources.accepted import Export

OWN: Final = "own_hash"
"""The hash of an id as it is written."""
PLAIN: Final = "plain_hash"
"""The hash of what it looks like: ids that look alike have the same."""
SCHEMA: Final = {FILE: pl.Int32(), OWN: pl.UInt64(), PLAIN: pl.UInt64()}
"""The columns of found ids: each id of an export once."""

_UNSEEN: Final = r"[\s\p{Cf}\p{Cc}]+"
_ZEROS: Final = r"^0[0-9]+$"
"""Digits with leading zeros; a hexadecimal pseudonym may begin with a zero."""
_ODD: Final = rf"[^!-~]|{_ZEROS}"
_INLINE: Final = 12
"""The bytes of a text that Arrow has in the view of it, not in a buffer."""
_VIEW: Final = 16
"""The bytes of a view: four of the length, then the text, or the beginning of it and its place."""
_BLOCK: Final = 2**18
"""The bytes that are compared at once, in the processor's own memory."""
_FIRST, _LAST = ord("!"), ord("~")
"""The bytes of ids without spaces and signs beyond ASCII."""
_ID: Final = pl.col(PARTICIPANT_ID)


def find(rows: pl.DataFrame) -> pl.DataFrame:
    """Find the ids that can differ from what they look like, each with both hashes.

    Args:
        rows: Typed rows.
    """
    ids = rows.select(FILE, PARTICIPANT_ID)
    is_odd, form = (_ID >= "0") & (_ID < "1"), _ZEROS
    if not _are_plain(ids.get_column(PARTICIPANT_ID)):
        is_odd |= (_ID.str.len_bytes() != _ID.str.len_chars()) | _ID.str.contains(" ", literal=True)
        form = _ODD
    some = ids.filter(is_odd).filter(_ID.str.contains(form)).unique()
    own = row_hash.text_hash(PARTICIPANT_ID).alias(OWN)
    hashed = some.with_columns(own).with_columns(_plain(some.get_column(PARTICIPANT_ID)))
    looks = row_hash.text_hash(PARTICIPANT_ID).alias(PLAIN)
    return hashed.select(pl.col(FILE).cast(pl.Int32), OWN, looks)


def _are_plain(ids: pl.Series) -> bool:
    """Return whether no id has a space or a sign beyond ASCII, as far as a look at memory shows it.

    Short ids are in the views, long ones next to each other in few buffers: to look at the bytes
    there takes a tenth of the time of a search in each.
    """
    return all(map(_are_plain_in_memory, ids.drop_nulls().get_chunks()))


def _are_plain_in_memory(ids: pl.Series) -> bool:
    lengths = ids.str.len_bytes()
    is_short = lengths <= _INLINE
    array = ids.to_arrow(compat_level=pl.CompatLevel.newest())
    _, views, *others = (np.frombuffer(one or b"", np.uint8) for one in array.buffers())
    if is_short.all():
        own = views[_VIEW * array.offset : _VIEW * (array.offset + len(ids))]
        blocks = [own[begin : begin + _BLOCK] for begin in range(0, own.size, _BLOCK)]
        below = sum(np.count_nonzero(one < _FIRST) for one in blocks)
        # What is no byte of an id is zero, or its length, and so below the first plain byte.
        return bool(own.max(initial=0) <= _LAST) and below == own.size - lengths.sum()
    if is_short.any():
        return False
    return all(one.min() >= _FIRST and one.max() <= _LAST for one in others if one.size)


def _plain(ids: pl.Series) -> pl.Series:
    """Give what each id looks like."""
    if ids.str.contains(_ZEROS).all():  # as numbers of one width are written
        return ids.str.strip_chars_start("0").replace("", "0")
    seen = ids.str.normalize("NFKC").str.replace_all(_UNSEEN, "")
    return seen.str.replace(r"^0+([0-9]+)$", "$1")


def count(
    found: pl.DataFrame, others: Iterable[pl.Series], exports: Sequence[Export]
) -> Mapping[str, int]:
    """Count, by export, the ids that look like another one of any export; none are left out.

    Args:
        found: Ids as from `find`; `FILE` is the position of the export.
        others: The hashes of ids that are written as they look, as far as `found` looks like them.
        exports: The exports.
    """
    written = found.select(OWN, PLAIN)
    plain = (one.alias(OWN).to_frame().select(OWN, pl.col(OWN).alias(PLAIN)) for one in others)
    ids = pl.concat([written, *plain]).unique()
    alike = ids.group_by(PLAIN).len().filter(pl.col("len") > 1)
    odd = found.filter(pl.col(OWN) != pl.col(PLAIN)).unique((FILE, OWN))
    numbers = odd.join(alike, on=PLAIN, how="semi").group_by(FILE).len().sort(FILE)
    return {exports[file].file.name: number for file, number in numbers.iter_rows()}
