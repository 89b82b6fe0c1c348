"""The metrics: a table of name, meaning, aggregation and column. One line a metric.

Every engine, the version file, the tables and the docs follow this table. Distinct counts do not
add up over categories, periods or organisations, so every group is computed from its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from pipeline.model.columns import ACTIVITY_ID, PARTICIPANT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS: Final = "seconds"
"""The column that the definitions make of `hours`: whole seconds of a counted row."""

Numbers = dict[str, int]
"""The metrics of one group of counted rows, by name in the order of `METRICS`; whole numbers."""


class Aggregation(Enum):
    """The way in which a metric is computed from the counted rows of a group."""

    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    """Different values that are not null."""
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number computed over the counted rows of a group."""

    name: str
    meaning: str
    """One sentence for the person who reads the snapshot."""
    aggregation: Aggregation
    column: str = ""
    """The column that is aggregated; none for a count of rows."""


METRICS: Final = (
    Metric("participations", "Times somebody took part.", Aggregation.COUNT),
    Metric("people", "Different people who took part.", Aggregation.COUNT_DISTINCT, PARTICIPANT_ID),
    Metric("seconds", "Time delivered, over all participations.", Aggregation.SUM, SECONDS),
    Metric("activities", "Different activities held.", Aggregation.COUNT_DISTINCT, ACTIVITY_ID),
)


def metrics_by(*aggregations: Aggregation) -> tuple[Metric, ...]:
    """Select the metrics that are computed in one of these ways."""
    return tuple(metric for metric in METRICS if metric.aggregation in aggregations)


def zeros() -> Numbers:
    """Give the metrics of a group in which no row counts."""
    return {metric.name: 0 for metric in METRICS}


def complete(numbers: Mapping[str, int]) -> Numbers:
    """Give these metrics in the order of the table; those that are missing are zero."""
    return zeros() | dict(numbers)
