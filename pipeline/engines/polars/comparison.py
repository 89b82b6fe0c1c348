"""The comparison of the statements of participations that have several, from all batches.

The latest statement of each wins, and is validated. Then its row adds up with those of
participations with one statement.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.definitions.steps import IS_LATEST, MONTH, REASON
from pipeline.engines import quarantine
from pipeline.engines.polars import hashing, partials, statements, sums
from pipeline.engines.polars.latest import LATEST_HASH, PARTICIPATION, mark_latest
from pipeline.engines.polars.numbering import Numbering
from pipeline.engines.polars.sums import ADDITIVE_NAMES, SUMMED
from pipeline.model.breakdowns import VALUE
from pipeline.model.columns import FILE, ORG_ID, ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.partials import Partial
    from pipeline.engines.polars.scratch import Scratch
    from pipeline.model.columns import Column

PART_ROWS: Final = 1_000_000
"""The statements that are compared at a time, about."""
_AT_ONCE: Final = 2
_MOST_SUMS: Final = 1_000_000
"""The rows of sums that are collected before they are added up."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What the statements add up to, as of a `Partial`; `FILE` numbers the exports."""

    sums: pl.DataFrame
    shares: Mapping[str, pl.DataFrame]
    ids: Mapping[str, Sequence[DistinctIds]]
    rejected: pl.DataFrame


def compare(request: ScanRequest, found: Sequence[Partial], scratch: Scratch) -> Compared:
    """Compare all statements of participations that have several.

    Args:
        request: The exports and terms.
        found: All batches.
        scratch: The place for ids where there are many statements.
    """
    parts = statements.power_of_two(sum(one.several.rows for one in found), PART_ROWS)

    def compared(part: int) -> Compared:
        portions = [
            partial(_read, request, some, part, parts) for some in _portions(found, part, parts)
        ]
        marked = _marked(portions, request.terms.columns, scratch)
        of_portions = (_validated(rows, request) for rows in marked)
        return _merged(one if parts == 1 else _with_ids_in(scratch, one) for one in of_portions)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return _merged(pool.map(compared, range(parts)))


def _portions(found: Sequence[Partial], part: int, parts: int) -> list[list[Partial]]:
    """Divide the batches so that each portion of a part is small, whatever the part is.

    All statements of one participation are in one part, and they may be very many.
    """
    portions: list[list[Partial]] = [[]]
    room = 2 * PART_ROWS
    for one in found:
        rows = one.several.most_rows(part, parts)
        if rows > room and portions[-1]:
            portions.append([])
            room = 2 * PART_ROWS
        portions[-1].append(one)
        room -= rows
    return portions


def _read(request: ScanRequest, some: Sequence[Partial], part: int, parts: int) -> pl.DataFrame:
    """Read the statements of these batches in one part."""
    return pl.concat(numbered_files(request, one, one.several.part(part, parts)) for one in some)


def _marked(
    portions: Sequence[Callable[[], pl.DataFrame]], columns: Sequence[Column], scratch: Scratch
) -> Iterator[pl.DataFrame]:
    """Read the portions of a part, and add `IS_LATEST` and `LATEST_HASH` to their statements.

    Of several portions, the latest statements of each are compared first: the latest of all is
    among them.
    """
    if len(portions) == 1:
        yield mark_latest(portions[0](), columns)
        return
    of_portions = (mark_latest(read(), columns).filter(IS_LATEST) for read in portions)
    # Read again from disk, so that they hold the texts of no other statements.
    candidates = pl.concat(scratch.put(one.drop(IS_LATEST, LATEST_HASH))() for one in of_portions)
    latest = mark_latest(candidates, columns).filter(IS_LATEST)
    of_latest = {name: f"latest_{name}" for name in (FILE, ROW)}
    places = latest.select(*PARTICIPATION, LATEST_HASH, *of_latest).rename(of_latest)
    is_latest = pl.all_horizontal(pl.col(own) == pl.col(its) for own, its in of_latest.items())
    for read in portions:
        rows = read().join(places, on=PARTICIPATION, how="left", validate="m:1")
        yield rows.with_columns(is_latest.alias(IS_LATEST)).drop(of_latest.values())


def numbered_files(request: ScanRequest, found: Partial, rows: pl.DataFrame) -> pl.DataFrame:
    """Replace the number of a split in `FILE` by that of its export."""
    exports = {export.file.name: number for number, export in enumerate(request.exports)}
    numbers = pl.Series([exports[split.export.file.name] for split in found.splits], dtype=pl.Int32)
    return rows.with_columns(pl.lit(numbers).gather(pl.col(FILE)).alias(FILE))


def _validated(marked: pl.DataFrame, request: ScanRequest) -> Compared:
    """Validate marked statements, and add them up."""
    undecided = pl.lit(None, pl.Int8).alias(REASON)
    numbers = Numbering.of(marked, request)
    hashed = hashing.of_texts(marked.lazy().with_columns(undecided))
    numbered = nw.from_native(numbers.add_to(hashed))
    validated = partials.validate(numbered, request.terms, marked).collect()
    return Compared(
        sums.sums(validated, numbers, LATEST_HASH),
        sums.shares(validated.lazy(), numbers),
        {name: [ids] for name, ids in sums.counted_ids(validated.lazy(), numbers).items()},
        quarantine.select(validated.lazy(), request.terms.columns).collect(),
    )


def _with_ids_in(scratch: Scratch, compared: Compared) -> Compared:
    ids = {name: list(map(scratch.put_ids, of_one)) for name, of_one in compared.ids.items()}
    return replace(compared, ids=ids)


def _merged(found: Iterable[Compared]) -> Compared:
    """Merge the results of all parts: their sums are added up, before they become many."""
    parts = iter(found)
    merged, waiting = next(parts), list[Compared]()
    for one in parts:
        waiting.append(one)
        if sum(each.sums.height for each in waiting) > max(_MOST_SUMS, merged.sums.height):
            merged, waiting = _added_up([merged, *waiting]), []
    return _added_up([merged, *waiting]) if waiting else merged


def _added_up(found: Sequence[Compared]) -> Compared:
    by_share = (ORG_ID, MONTH, VALUE)
    all_sums = pl.concat(one.sums for one in found)
    return Compared(
        all_sums.group_by(ORG_ID, MONTH, REASON, VALUE).agg(pl.col(SUMMED).sum()),
        {
            name: pl.concat(one.shares[name] for one in found)
            .group_by(by_share)
            .agg(pl.col(ADDITIVE_NAMES).sum())
            for name in found[0].shares
        },
        {name: [ids for one in found for ids in one.ids[name]] for name in found[0].ids},
        pl.concat(one.rejected for one in found),
    )
