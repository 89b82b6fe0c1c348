"""The partial aggregate of a batch of exports: all that any cell needs of it, read once.

A row that is the only statement about its participation is validated at once, added to the batch's
sums and counted by its ids. Other exports can't change that. Rows of a participation with several
statements are stored as they are: only all of them together decide which one is the latest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import polars as pl

from pipeline.definitions import rules, steps
from pipeline.definitions.seconds import IS_NEAR_HALF
from pipeline.definitions.steps import IS_LATEST, MONTH, REASON, ROWS
from pipeline.engines import look_alikes, participants, quarantine, row_hash
from pipeline.engines.polars import hashing, scan
from pipeline.engines.polars.distinct import ORG_NUMBER
from pipeline.engines.polars.hashing import KEY_HASH
from pipeline.engines.row_hash import CHECKSUM, ROW_HASH
from pipeline.model.breakdowns import VALUE
from pipeline.model.columns import FILE, KEY, ORG_ID, PARTICIPANT_ID, STARTED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from pipeline.definitions.dialect import Frame
    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.scan import Scan, Split
    from pipeline.engines.polars.statements import Statements
    from pipeline.model.clock import Calendar
    from pipeline.model.terms import Terms
    from pipeline.sources.accepted import Export
from pipeline.engines.polars.numbering import Numbering
from pipeline.engines.polars.statements import HASHES, divide
from pipeline.engines.polars.sums import SUMMED, counted_ids, shares, sums

_HAS_SEVERAL: Final = "has_several"
"""Whether the row's participation may have several statements."""


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """The aggregate of a batch; `FILE` is the number of a split in it."""

    splits: Sequence[Split]
    rows_read: Sequence[int]
    """The number of rows read of each split, of all organisations."""
    named: Sequence[Sequence[str]]
    """The organisations that the rows of each split name, sorted."""
    checksums: Sequence[int]
    """The sum of the checksums of each split's rows: equal for equal rows in any order."""
    participants: pl.DataFrame
    """The sample of the participants of each split, of all organisations."""
    odd_ids: pl.DataFrame
    """The participants whose ids can differ from what they look like, by split."""
    keys: Callable[[], pl.Series]
    """The hashed keys of all rows that have one, sorted; read when they are asked for."""
    months: pl.DataFrame
    """`ROWS` by split, organisation and month, counted before any row was validated."""
    sums: pl.DataFrame
    """`SUMMED` by organisation, month, reason and category, of rows that are single statements."""
    shares: Mapping[str, pl.DataFrame]
    """By further breakdown: additive metrics by organisation, month and value, of the same rows."""
    ids: Mapping[str, DistinctIds]
    """By breakdown, the ids of the same rows, as far as they count."""
    several: Statements
    """The statements whose participation has several, or has had."""
    rejected: pl.DataFrame
    """The other rows for quarantine."""

    @property
    def rows(self) -> int:
        """The number of rows in the batch."""
        return sum(split.rows for split in self.splits)

    def of(self, organisations: Collection[str]) -> Partial:
        """Select these organisations; keys and ids are still those of all."""
        wanted = pl.col(ORG_ID).is_in(list(organisations))
        return replace(
            self,
            named=[sorted(set(organisations).intersection(named)) for named in self.named],
            months=self.months.filter(wanted),
            sums=self.sums.filter(wanted),
            shares={name: share.filter(wanted) for name, share in self.shares.items()},
            several=self.several.of(organisations),
            rejected=self.rejected.filter(wanted),
        )


def keys(rows: pl.LazyFrame) -> pl.Series:
    """Hash the keys of all rows that have one; sorted."""
    has_key = pl.all_horizontal(pl.col(*KEY).is_not_null())
    # Quicker than a filter.
    found = rows.select(pl.when(has_key).then(hashing.key()).alias(KEY_HASH))
    return hashing.in_order(found.collect(engine="streaming").get_column(KEY_HASH))


def aggregate(
    splits: Sequence[Split],
    scanned: Scan,
    own_keys: pl.Series,
    request: ScanRequest,
    several: pl.Series,
) -> Partial:
    """Read a batch to its end and sum it up.

    Args:
        splits: The splits of the batch.
        scanned: A scan of them.
        own_keys: The `keys` of the rows.
        request: The terms and organisations.
        several: The hashed keys that may have several statements anywhere, sorted.
    """
    typed, counts, drawn = scanned.collect()
    numbers = Numbering.of(typed, request)
    validated = _validated(typed, numbers, request, hashing.common(own_keys, several))
    is_several = pl.col(_HAS_SEVERAL)
    own, single = validated.lazy().filter(is_several), validated.lazy().filter(~is_several)
    by_split = {FILE: len(splits), _HAS_SEVERAL: 2}
    every_sum = sums(validated, numbers, ROW_HASH, by_split)
    months = every_sum.filter(pl.col(MONTH).is_not_null()).group_by(FILE, ORG_ID, MONTH)
    of_single = every_sum.filter(~is_several).group_by(ORG_ID, MONTH, REASON, VALUE)
    # Which person took part is not needed, only whether it is the same one.
    read = [name for name in typed.columns if name != PARTICIPANT_ID]
    statement = (*read, MONTH, *HASHES)
    rows_read, named, checksums = _of_splits(every_sum, len(splits))
    return Partial(
        splits,
        rows_read if counts is None else _rows_read(counts, len(splits)),
        named,
        checksums,
        _participants(splits, validated, drawn),
        look_alikes.find(typed),
        own_keys.clone,
        months.agg(pl.col(ROWS).sum()),
        of_single.agg(pl.col(SUMMED).sum()),
        shares(single, numbers),
        counted_ids(single, numbers),
        divide(own.select(statement).collect()),
        quarantine.select(single, request.terms.columns).collect(),
    )


def _rows_read(counts: pl.DataFrame, splits: int) -> list[int]:
    found = dict(counts.select(FILE, ROWS).iter_rows())
    return [found.get(split, 0) for split in range(splits)]


def _participants(
    splits: Sequence[Split], validated: pl.DataFrame, drawn: pl.DataFrame | None
) -> pl.DataFrame:
    """Sample the participants: of drawn rows, or of all where those of no organisation lack."""
    if drawn is None:
        exports = [split.export for split in splits]
        known = pl.col(hashing.id_columns(PARTICIPANT_ID)[1])
        drawn = participants.drawn(validated.lazy(), exports, known).collect()
    parts = (place for place, split in enumerate(splits) if split.rows < split.export.rows)
    return participants.sample(drawn, parts)


def _validated(
    typed: pl.DataFrame, numbers: Numbering, request: ScanRequest, several: pl.Series
) -> pl.DataFrame:
    """Give each row its numbers and hashes, its cell, and the verdict on a single statement."""
    known = {ORG_ID: numbers.organisation_hash}
    # As `steps.check_organisations`, by which every organisation has been checked once.
    is_valid = pl.when(pl.col(ORG_ID).is_not_null()).then(pl.col(ORG_NUMBER).is_not_null())
    checked = numbers.add_to(typed.lazy()).with_columns(is_valid.alias(rules.HAS_VALID_ORG))
    calendar = _calendar(typed, request.calendar)
    placed = steps.assign_month(nw.from_native(checked), calendar, request.calendar)
    has_several = pl.col(REASON).is_null() & pl.col(KEY_HASH).is_in(several.implode())
    hashed = hashing.hashed(scan.native(placed), typed.schema, request.terms.columns, known)
    marked = hashed.with_columns(
        has_several.alias(_HAS_SEVERAL), pl.lit(value=True).alias(IS_LATEST)
    )
    return validate(nw.from_native(marked), request.terms, typed).collect(engine="streaming")


def validate(statements: Frame, terms: Terms, rows: pl.DataFrame) -> pl.LazyFrame:
    """Validate statements, at less cost where none of their rows has hours near half a second."""
    near = nw.from_native(rows.lazy()).select(IS_NEAR_HALF.any())
    has_halves = bool(scan.native(near).collect(engine="streaming").item())
    return scan.native(steps.validate(statements, terms, decides_halves=has_halves))


def _calendar(typed: pl.DataFrame, everything: Calendar) -> Calendar:
    """Find the months in which the rows are: a few, where all that exist would cost more."""
    started = typed.get_column(STARTED_AT)
    inside = started.filter(started.is_between(everything.starts[0], everything.starts[-1] - 1))
    ends = inside.to_frame().select(low=pl.col(STARTED_AT).min(), high=pl.col(STARTED_AT).max())
    return everything.around(*ends.fill_null(0).row(0))


def _of_splits(
    every_sum: pl.DataFrame, splits: int
) -> tuple[list[int], list[list[str]], list[int]]:
    """Find the rows of each split, the organisations that it names, the sum of its checksums."""
    groups = every_sum.group_by(FILE).agg(
        pl.col(ROWS).sum(), pl.col(ORG_ID).drop_nulls().unique().sort(), pl.col(CHECKSUM).sum()
    )
    found = {split: of_split for split, *of_split in groups.iter_rows()}
    nothing: list[Any] = [0, [], 0]
    of_splits = [found.get(split, nothing) for split in range(splits)]
    rows, named, checksums = ([one[part] for one in of_splits] for part in range(3))
    return rows, named, checksums


def content_checksum(export: Export, request: ScanRequest) -> str:
    """Read one export and give the checksum of its content."""
    rows = scan.scan(scan.whole([export]), request).rows
    names = row_hash.hashed_columns(request.terms.columns)
    one = row_hash.row_hash(names, rows.collect_schema())
    total = rows.select(row_hash.checksum(one, one).sum()).collect(engine="streaming").item()
    return row_hash.content_checksum(export, total or 0)
