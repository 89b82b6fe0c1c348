"""What each number means: a table of name, meaning and expression over the counted rows.

The one definition, for every engine. Unique counts do not add up over categories, periods or
organisations, so every group is computed from its rows, never from other groups' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from pipeline.model.columns import ACTIVITY_ID, PARTICIPANT_ID

SECONDS: Final = "seconds"


class Aggregation(Enum):
    """What a metric makes of the counted rows of a group."""

    COUNT = "how many there are"
    COUNT_DISTINCT = "how many different values they have"
    SUM = "what their values add up to"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number computed over the counted rows of a group."""

    name: str
    meaning: str
    """One sentence for the person who reads the snapshot."""
    over: Aggregation
    column: str = ""
    """Whose values; none where rows are counted."""


METRICS: Final = (
    Metric("participations", "Times somebody took part.", Aggregation.COUNT),
    Metric("people", "Different people who took part.", Aggregation.COUNT_DISTINCT, PARTICIPANT_ID),
    Metric("seconds", "Time delivered, over all participations.", Aggregation.SUM, SECONDS),
    Metric("activities", "Different activities held.", Aggregation.COUNT_DISTINCT, ACTIVITY_ID),
)


def over(what: Aggregation) -> tuple[Metric, ...]:
    """The metrics that make this of the rows."""
    return tuple(metric for metric in METRICS if metric.over is what)
