"""What each number means: a table of name, meaning and expression over the counted rows.

The one definition, for every engine. Unique counts do not add up over categories, periods or
organisations, so every group is computed from its rows, never from other groups' numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Metric:
    """One number computed over the counted rows of a group."""

    name: str
    meaning: str
    """One sentence for the person who reads the snapshot."""
    expression: nw.Expr


METRICS: Final = (
    Metric("participations", "Times somebody took part.", nw.len()),
    Metric("people", "Different people who took part.", nw.col(PARTICIPANT_ID).n_unique()),
    Metric("seconds", "Time delivered, over all participations.", nw.col(SECONDS).sum()),
    Metric("activities", "Different activities held.", nw.col(ACTIVITY_ID).n_unique()),
)
