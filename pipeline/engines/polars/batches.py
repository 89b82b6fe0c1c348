"""The choice of batches: which are read, and which keys have several statements.

A batch from the cache is used as long as its files are the same and none of its participations has
got another statement since; small ones are read again together with new files.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.engines.polars import hashing, partials, scan
from pipeline.engines.polars.scan import Scan, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.cache import Cached
    from pipeline.engines.polars.partials import Partial
    from pipeline.sources.accepted import Export

AT_ONCE: Final = 2
"""Batches in memory at a time: Polars leaves gaps that a second one fills."""
_RANGES: Final = 16
"""The number of ranges into which hashed keys are divided to be compared, one after the other."""
_SMALL: Final = 4
"""A batch of fewer than one in so many rows is read again with new files, as one batch."""


def read(request: ScanRequest, cached: Cached, put: Callable[[Partial], Partial]) -> list[Partial]:
    """Aggregate every batch.

    Args:
        request: The exports and terms.
        cached: The batches of an earlier nightly run.
        put: Puts what is large of a new batch in another place than memory.
    """
    if cached.valid and not _missing(request.exports, cached.valid):
        return _of(request, cached.valid)
    valid = [one for one in cached.valid if one.rows * _SMALL >= scan.BATCH_ROWS]
    small = [one for one in cached.valid if one.rows * _SMALL < scan.BATCH_ROWS]
    batches: list[Sequence[Split]] = [*scan.cut(_missing(request.exports, valid))]
    open_ = partial(scan.scan, request=request)

    def read_one(
        splits: Sequence[Split], scanned: Scan, own_keys: pl.Series, several: pl.Series
    ) -> Partial:
        return put(partials.aggregate(splits, scanned, own_keys, request, several))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Many batches are read once for their keys and once more; a few stay in memory.
        scans = list(pool.map(open_ if len(batches) > AT_ONCE else _in_memory(open_), batches))
        keys = list(pool.map(partials.keys, (one.rows for one in scans)))
        before = [*(one.keys for one in small), *cached.keys_of_others]
        stated_again = _stated_again(keys, before, valid)
        touched = [one for one in valid if _is_touched(one, stated_again)]
        several = [_repeated(keys), stated_again, *(one.several.keys() for one in cached.valid)]
        batches += [one.splits for one in touched]
        scans += [open_(one.splits) for one in touched]
        keys += [one.keys() for one in touched]
        read_ = partial(read_one, several=_union(several))
        new = list(pool.map(read_, batches, scans, keys))
    return [*_of(request, [one for one in valid if one not in touched]), *new]


def _in_memory(
    open_: Callable[[Sequence[Split]], Scan],
) -> Callable[[Sequence[Split]], Scan]:
    """Give the same scan of rows that have been read into memory."""
    return lambda splits: open_(splits).in_memory()


def _of(request: ScanRequest, valid: Sequence[Partial]) -> list[Partial]:
    """Select the organisations that are asked for."""
    wanted = request.organisations
    return [one if wanted is None else one.of(wanted) for one in valid]


def _missing(exports: Iterable[Export], valid: Iterable[Partial]) -> list[Split]:
    """Find the parts of the exports that no aggregate has."""
    known: dict[str, list[Split]] = {}
    for split in chain.from_iterable(one.splits for one in valid):
        known.setdefault(split.export.file.name, []).append(split)
    missing = []
    for export in exports:
        reached = 0
        splits = sorted(known.get(export.file.name, ()), key=attrgetter("first"))
        for split in splits:
            if split.first > reached:
                missing.append(Split(export, reached, split.first - reached))
            reached = split.first + split.rows
        if reached < export.rows or not splits:
            missing.append(Split(export, reached, export.rows - reached))
    return missing


def _repeated(keys: Sequence[pl.Series]) -> pl.Series:
    """Find the hashed keys that occur more than once, sorted."""
    return _each_range(keys, lambda found: hashing.distinct(found.filter(found == found.shift(1))))


def _union(keys: Sequence[pl.Series]) -> pl.Series:
    """Find the different ones of these hashed keys, sorted; each array of them is sorted."""
    some = [one for one in keys if len(one)]
    return some[0] if len(some) == 1 else _each_range(some, hashing.distinct)


def _each_range(keys: Sequence[pl.Series], select: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Select from the keys of all arrays, sorted: a range at a time takes little more memory."""
    spans = [_spans(own) for own in keys]

    def of_range(number: int) -> pl.Series:
        pieces = [own.slice(*of_own[number]) for own, of_own in zip(keys, spans, strict=True)]
        return select(hashing.in_order(_joined(pieces)))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return _joined(pool.map(of_range, range(_RANGES)))


def _stated_again(
    keys: Sequence[pl.Series],
    before: Sequence[Callable[[], pl.Series]],
    valid: Sequence[Partial],
) -> pl.Series:
    """Find the hashed keys of a cached batch that were in no other file before.

    Args:
        keys: The keys of all batches that are read now.
        before: The keys of the batches that these replace. Where those had a key of a cached
            batch, the cached batch has it among its rows with several statements.
        valid: The cached batches.
    """
    if not valid:
        return _no_keys()
    known = _by_range([read() for read in before])
    new = pl.concat(
        now.filter(~now.is_in(old.implode())).unique()
        for now, old in zip(_by_range(keys), known, strict=True)
    )
    if new.is_empty():
        return new
    found = (one.keys() for one in valid)
    stated_again = pl.concat(stated.filter(stated.is_in(new.implode())) for stated in found)
    return hashing.in_order(stated_again.unique())


def _is_touched(cached: Partial, stated_again: pl.Series) -> bool:
    """Return whether the batch counts rows as single statements that no longer are."""
    if stated_again.is_empty():
        return False
    unknown = stated_again.filter(~stated_again.is_in(cached.several.keys().implode()))
    return bool(cached.keys().is_in(unknown.implode()).any())


def _by_range(keys: Sequence[pl.Series]) -> Iterator[pl.Series]:
    """Give all these keys, range by range; each array of them is sorted."""
    spans = [_spans(own) for own in keys]
    for number in range(_RANGES):
        yield _joined([own.slice(*of[number]) for own, of in zip(keys, spans, strict=True)])


def _spans(in_order: pl.Series) -> list[tuple[int, int]]:
    """Find the first position and the number of the keys of each range."""
    return hashing.spans(in_order, [2**64 // _RANGES * number for number in range(_RANGES)])


def _joined(keys: Iterable[pl.Series]) -> pl.Series:
    return pl.concat([_no_keys(), *(one.alias("") for one in keys)])


def _no_keys() -> pl.Series:
    return pl.Series(dtype=pl.UInt64)
