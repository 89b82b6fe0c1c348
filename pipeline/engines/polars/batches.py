"""Which batches are read, and which rows of theirs are contested.

A batch that the last night read stands as long as its files are what they were and none of its
participations has got another statement since; small ones are read again together with what is new.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.engines.polars import hashing
from pipeline.engines.polars import partials as excerpts
from pipeline.engines.polars import scan as files
from pipeline.engines.polars.scan import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.cache import Found, Shelf
    from pipeline.engines.polars.partials import Excerpt
    from pipeline.sources.parquet import Export

AT_ONCE: Final = 2
"""Batches in memory at a time: Polars leaves gaps that a second one fills."""
_RANGES: Final = 16
"""Into how many ranges hashed keys are divided to be compared, one after the other."""
_SMALL: Final = 4
"""A batch of fewer than one in so many rows is read again with what is new, to be one with it."""


def read(question: ScanRequest, found: Found, shelf: Shelf | None) -> list[Excerpt]:
    """An excerpt of every batch.

    Args:
        question: What is asked, of which exports.
        found: What there is of an earlier reading.
        shelf: Where new excerpts are laid; they stay in memory if None.
    """
    if found.standing and not _missing(question.exports, found.standing):
        return _of(question, found.standing)
    standing = [e for e in found.standing if e.rows * _SMALL >= files.BATCH_ROWS]
    small = [e for e in found.standing if e.rows * _SMALL < files.BATCH_ROWS]
    batches: list[Sequence[Split]] = [*files.cut(_missing(question.exports, standing))]
    scan = partial(files.scan, question=question)

    def read_one(
        parts: Sequence[Split], rows: pl.LazyFrame, own_keys: pl.Series, contested: pl.Series
    ) -> Excerpt:
        excerpt = excerpts.excerpt(parts, rows, own_keys, question, contested)
        return excerpt if shelf is None else shelf.lay(excerpt)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Many batches are read once for their keys and once more; a few stay in memory.
        rows = list(pool.map(scan if len(batches) > AT_ONCE else _held(scan), batches))
        keys = list(pool.map(excerpts.keys, rows))
        before = [*(excerpt.keys for excerpt in small), *found.keys_of_others]
        stated_again = _stated_again(keys, before, standing)
        touched = [excerpt for excerpt in standing if _is_touched(excerpt, stated_again)]
        contested = [_repeated(keys), stated_again, *(e.contested_keys for e in found.standing)]
        batches += [excerpt.parts for excerpt in touched]
        rows += [scan(excerpt.parts) for excerpt in touched]
        keys += [excerpt.keys() for excerpt in touched]
        read_ = partial(read_one, contested=pl.concat(contested).unique())
        new = list(pool.map(read_, batches, rows, keys))
    return [*_of(question, [e for e in standing if e not in touched]), *new]


def _held(
    scan: Callable[[Sequence[Split]], pl.LazyFrame],
) -> Callable[[Sequence[Split]], pl.LazyFrame]:
    """The same scan, of what has been read into memory."""
    return lambda parts: scan(parts).collect(engine="streaming").lazy()


def _of(question: ScanRequest, standing: Sequence[Excerpt]) -> list[Excerpt]:
    """The excerpts, of the organisations that are asked for."""
    wanted = question.organisations
    return [excerpt if wanted is None else excerpt.of(wanted) for excerpt in standing]


def _missing(exports: Iterable[Export], standing: Iterable[Excerpt]) -> list[Split]:
    """The parts of the exports that no excerpt is of."""
    known: dict[str, list[Split]] = {}
    for part in chain.from_iterable(excerpt.parts for excerpt in standing):
        known.setdefault(part.export.file.name, []).append(part)
    missing = []
    for export in exports:
        reached = 0
        parts = sorted(known.get(export.file.name, ()), key=attrgetter("first"))
        for part in parts:
            if part.first > reached:
                missing.append(Split(export, reached, part.first - reached))
            reached = part.first + part.rows
        if reached < export.rows or not parts:
            missing.append(Split(export, reached, export.rows - reached))
    return missing


def _repeated(keys: Sequence[pl.Series]) -> pl.Series:
    """The hashed keys that occur more than once."""

    def of_range(keys: pl.Series) -> pl.Series:
        in_order = hashing.in_order(keys)
        return in_order.filter(in_order == in_order.shift(1)).unique()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return pl.concat(pool.map(of_range, _by_range(keys)))


def _stated_again(
    keys: Sequence[pl.Series],
    before: Sequence[Callable[[], pl.Series]],
    standing: Sequence[Excerpt],
) -> pl.Series:
    """The hashed keys that stand in an excerpt and were not stated elsewhere before.

    Args:
        keys: Of all batches that are read now.
        before: Of the batches that these are in place of. Where those stated something that an
            excerpt states as well, the excerpt knows it for contested.
        standing: The excerpts.
    """
    if not standing:
        return _no_keys()
    known = _by_range([read() for read in before])
    new = pl.concat(
        now.filter(~now.is_in(old.implode())).unique()
        for now, old in zip(_by_range(keys), known, strict=True)
    )
    if new.is_empty():
        return new
    found = (excerpt.keys() for excerpt in standing)
    return pl.concat(stated.filter(stated.is_in(new.implode())) for stated in found).unique()


def _is_touched(excerpt: Excerpt, stated_again: pl.Series) -> bool:
    """Whether the excerpt counts rows of which it has turned out that others contest them."""
    if stated_again.is_empty():
        return False
    unknown = stated_again.filter(~stated_again.is_in(excerpt.contested_keys.implode()))
    return bool(excerpt.keys().is_in(unknown.implode()).any())


def _by_range(keys: Sequence[pl.Series]) -> Iterator[pl.Series]:
    """All these keys, range by range; each array of them is in rising order."""
    edges = [2**64 // _RANGES * n for n in range(_RANGES)]
    all_keys = [_no_keys(), *keys]
    spans = [hashing.spans(own, edges) for own in all_keys]
    for of_range in zip(*spans, strict=True):
        pieces = (own.slice(*span) for own, span in zip(all_keys, of_range, strict=True))
        yield pl.concat(piece.alias("") for piece in pieces)


def _no_keys() -> pl.Series:
    return pl.Series(dtype=pl.UInt64)
