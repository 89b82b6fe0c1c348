"""The counts of an engine as values: frames of groups to `CellNumbers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline.definitions import steps
from pipeline.definitions.dialect import STANDARD
from pipeline.model import ledger
from pipeline.model.breakdowns import BREAKDOWN, TOTAL, VALUE
from pipeline.model.cells import Cell, CellNumbers, no_shares
from pipeline.model.columns import FILE, ORG_ID
from pipeline.model.metrics import METRICS, zeros
from pipeline.model.periods import Period

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.definitions.dialect import Dialect, Frame
    from pipeline.model.breakdowns import Breakdown
    from pipeline.model.metrics import Numbers
    from pipeline.sources.accepted import Export

METRIC_NAMES: Final = tuple(metric.name for metric in METRICS)
_CELL: Final = (ORG_ID, steps.PERIOD)
_NTH: Final = "nth"


@dataclass(frozen=True, slots=True)
class Groups:
    """The collected groups of one kind of period."""

    totals: pl.DataFrame
    """Organisation, period, then the metrics."""
    breakdowns: Mapping[str, pl.DataFrame]
    """By breakdown: organisation, period, value, then the metrics."""
    ledger: pl.DataFrame
    """Organisation, period, number of the ledger line, rows."""


@dataclass(frozen=True, slots=True)
class GroupQueries:
    """The two queries whose rows make `Groups`."""

    counts: Frame
    """Organisation, period, `BREAKDOWN`, `VALUE`, then the metrics."""
    ledger: Frame
    """Organisation, period, number of the ledger line, rows."""


def queries(
    rows: Frame, kind: str, breakdowns: Iterable[Breakdown], dialect: Dialect = STANDARD
) -> GroupQueries:
    """Make the queries from validated rows, with the engine's own way of some steps."""
    placed = steps.in_periods(rows, kind)
    columns = {one.name: one.column for one in breakdowns}
    counts = steps.counts(placed, columns, *_CELL, dialect=dialect)
    return GroupQueries(
        counts.select(*_CELL, BREAKDOWN, VALUE, *METRIC_NAMES),
        steps.ledger_lines(placed, *_CELL).select(*_CELL, steps.REASON, steps.ROWS),
    )


def groups(counts: pl.DataFrame, lines: pl.DataFrame, breakdowns: Iterable[Breakdown]) -> Groups:
    """Divide the collected rows of `GroupQueries` by breakdown."""
    by_name = counts.partition_by(BREAKDOWN, as_dict=True, include_key=False)
    nothing = counts.clear().drop(BREAKDOWN)
    return Groups(
        by_name.get((TOTAL,), nothing).drop(VALUE),
        {one.name: by_name.get((one.name,), nothing) for one in breakdowns},
        lines,
    )


def fold(kind: str, groups: Groups, breakdowns: Sequence[Breakdown]) -> dict[Cell, CellNumbers]:
    """Give the numbers of each cell that has a row, counted or not, in the order of the cells."""
    ledgers: dict[Cell, dict[str, int]] = {}
    for org_id, period, line, rows in rows_of(groups.ledger):
        lines = ledgers.setdefault(_cell(kind, org_id, period), ledger.complete({}))
        lines[ledger.LEDGER[line]] = rows
    totals = {
        _cell(kind, org_id, period): _numbers(metrics)
        for org_id, period, *metrics in rows_of(groups.totals)
    }
    shares = {one.name: _shares(kind, groups.breakdowns[one.name], one) for one in breakdowns}
    nothing, no_values = zeros(), {one.name: no_shares(one) for one in breakdowns}
    return {
        cell: CellNumbers(
            totals.get(cell, nothing),
            {name: found.get(cell) or no_values[name] for name, found in shares.items()},
            ledgers[cell],
        )
        for cell in sorted(ledgers)
    }


def _shares(kind: str, rows: pl.DataFrame, breakdown: Breakdown) -> dict[Cell, dict[str, Numbers]]:
    found: dict[Cell, dict[str, Numbers]] = {}
    nothing = no_shares(breakdown)
    for org_id, period, value, *metrics in rows_of(rows):
        cell = _cell(kind, org_id, period)
        if cell not in found:
            found[cell] = nothing.copy()
        found[cell][value] = _numbers(metrics)
    if breakdown.values is None:
        return {cell: dict(sorted(values.items())) for cell, values in found.items()}
    return found


def rows_by_export(
    counts: pl.DataFrame, cells: Iterable[Cell], exports: Sequence[Export]
) -> dict[Cell, dict[str, int]]:
    """Give the rows of each cell in each export that has any, in the order of the exports.

    Args:
        counts: Rows by export, organisation and month: `FILE`, `ORG_ID`, `MONTH`, `ROWS`.
        cells: The cells that are wanted; one without rows has no exports.
        exports: The exports that `FILE` numbers.
    """
    wanted = list(cells)
    months = [
        (one.org_id, month, nth) for nth, one in enumerate(wanted) for month in one.period.months
    ]
    schema = {ORG_ID: pl.String, steps.MONTH: pl.Int32, _NTH: pl.Int64}
    found: dict[Cell, dict[str, int]] = {cell: {} for cell in wanted}
    by_cell = (
        counts.lazy()
        .join(pl.LazyFrame(months, schema=schema, orient="row"), on=(ORG_ID, steps.MONTH))
        .group_by(_NTH, FILE)
        .agg(pl.col(steps.ROWS).sum())
        .sort(_NTH, FILE)
    )
    for nth, place, rows in rows_of(by_cell.collect()):
        found[wanted[nth]][exports[place].file.name] = rows
    return found


def frame_of(arrow: Any) -> pl.DataFrame:  # noqa: ANN401 (pyarrow ships no types)
    """Give an Arrow table or batch as a Polars frame."""
    return pl.DataFrame(pl.from_arrow(arrow))


def rows_of(frame: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a frame, with one of them as a tuple at a time."""
    return zip(*(column.to_list() for column in frame.iter_columns()), strict=True)


def _cell(kind: str, org_id: str, period: int) -> Cell:
    return Cell(org_id, Period(kind, period))


def _numbers(metrics: Sequence[Any]) -> Numbers:
    return dict(zip(METRIC_NAMES, metrics, strict=True))
