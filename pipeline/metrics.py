"""What each number means: a table of name, meaning and expression over the counted rows.

The one definition, for every engine. Unique counts do not add up over categories, periods or
organisations, so every group is computed from its rows, never from other groups' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import narwhals as nw

from pipeline.participations import ACTIVITY_ID, HOURS, PARTICIPANT_ID

SECONDS: Final = "seconds"

_HALF_MICROSECONDS = (nw.col(HOURS) * 7_200_000_000 + 0.5).floor().cast(nw.Int64())
SECONDS_OF_ROW: Final = (_HALF_MICROSECONDS // 1_000_000 + 1) // 2
"""Hours as whole seconds, rounded half up, for rows that count.

First to half a microsecond, because doubles hold few decimals exactly: 0.14125 hours are 508.5
seconds, which as doubles come out as 508.49999999999994. Summed as integers, no order changes a
digit.
"""


class Over(Enum):
    """What a metric makes of the counted rows of a group."""

    ROWS = "how many there are"
    DIFFERENT = "how many different values they have"
    SUM = "what their values add up to"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number computed over the counted rows of a group."""

    name: str
    meaning: str
    """One sentence for the person who reads the snapshot."""
    over: Over
    column: str = ""
    """Whose values; none where rows are counted."""

    @property
    def expression(self) -> nw.Expr:
        """The metric of each group, in `group_by(...).agg(...)`, on any engine."""
        match self.over:
            case Over.ROWS:
                return nw.len()
            case Over.DIFFERENT:
                return nw.col(self.column).n_unique()
            case Over.SUM:
                return nw.col(self.column).sum()


METRICS: Final = (
    Metric("participations", "Times somebody took part.", Over.ROWS),
    Metric("people", "Different people who took part.", Over.DIFFERENT, PARTICIPANT_ID),
    Metric("seconds", "Time delivered, over all participations.", Over.SUM, SECONDS),
    Metric("activities", "Different activities held.", Over.DIFFERENT, ACTIVITY_ID),
)


def over(what: Over) -> tuple[Metric, ...]:
    """The metrics that make this of the rows."""
    return tuple(metric for metric in METRICS if metric.over is what)
