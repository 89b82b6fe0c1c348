"""The collected groups of an engine as values: rows of tuples to `CellNumbers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline.definitions import steps
from pipeline.model import ledger
from pipeline.model.cells import Cell, CellNumbers, no_shares
from pipeline.model.columns import ORG_ID
from pipeline.model.metrics import METRICS, zeros
from pipeline.model.periods import Period

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.definitions.participations import Frame
    from pipeline.model.breakdowns import Breakdown
    from pipeline.model.metrics import Numbers

METRIC_NAMES: Final = tuple(metric.name for metric in METRICS)


@dataclass(frozen=True, slots=True)
class Groups:
    """The collected groups of one kind of period, each row as a tuple."""

    totals: Iterable[Sequence[Any]]
    """Organisation, period, then the metrics."""
    breakdowns: Mapping[str, Iterable[Sequence[Any]]]
    """By breakdown: organisation, period, value, then the metrics."""
    ledger: Iterable[Sequence[Any]]
    """Organisation, period, number of the ledger line, rows."""


@dataclass(frozen=True, slots=True)
class GroupQueries:
    """The queries whose rows make `Groups`."""

    totals: Frame
    breakdowns: Mapping[str, Frame]
    ledger: Frame


def queries(rows: Frame, kind: str, breakdowns: Iterable[Breakdown]) -> GroupQueries:
    """Make the queries from validated rows."""
    placed = steps.in_periods(rows, kind)
    key = (ORG_ID, steps.PERIOD)
    return GroupQueries(
        steps.totals(placed).select(*key, *METRIC_NAMES),
        {
            one.name: steps.by_value(placed, one.column).select(*key, steps.VALUE, *METRIC_NAMES)
            for one in breakdowns
        },
        steps.ledger_lines(placed, *key).select(*key, steps.REASON, steps.ROWS),
    )


def fold(kind: str, groups: Groups, breakdowns: Sequence[Breakdown]) -> dict[Cell, CellNumbers]:
    """Give the numbers of each cell that has a row, counted or not, in the order of the cells."""
    ledgers: dict[Cell, dict[str, int]] = {}
    for org_id, period, line, rows in groups.ledger:
        lines = ledgers.setdefault(_cell(kind, org_id, period), ledger.complete({}))
        lines[ledger.LEDGER[line]] = rows
    totals = {
        _cell(kind, org_id, period): _numbers(metrics) for org_id, period, *metrics in groups.totals
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


def _shares(
    kind: str, rows: Iterable[Sequence[Any]], breakdown: Breakdown
) -> dict[Cell, dict[str, Numbers]]:
    found: dict[Cell, dict[str, Numbers]] = {}
    nothing = no_shares(breakdown)
    for org_id, period, value, *metrics in rows:
        cell = _cell(kind, org_id, period)
        if cell not in found:
            found[cell] = nothing.copy()
        found[cell][value] = _numbers(metrics)
    if breakdown.values is None:
        return {cell: dict(sorted(values.items())) for cell, values in found.items()}
    return found


def _cell(kind: str, org_id: str, period: int) -> Cell:
    return Cell(org_id, Period(kind, period))


def _numbers(metrics: Sequence[Any]) -> Numbers:
    return dict(zip(METRIC_NAMES, metrics, strict=True))
