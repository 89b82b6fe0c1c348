"""Exports that change: one file an organisation, whose numbers reveal when it was written.

Each time an organisation is exported it is of the next generation, with one more participation in
each cell. So the count of participations names the generation, and all other numbers must be of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

ORGANISATIONS: Final = 24
PERIODS: Final = ("rp-2024-q1", "rp-2024-q2")
_BEGINS: Final = (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC))
_CATEGORIES: Final = ("foreldre_barn", "ungdom", "eldre", "funksjonsnedsettelse")
_LEAST: Final = 40
"""The participations of the first cell in its first generation."""
_TWICE: Final = 3
"""The people of each cell who take part in two activities."""
_KNOWN: Final = 4096
"""The numbers that stay in memory; older generations are counted again."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The published numbers of a cell, as its rows give them."""

    participations: int
    people: int
    hours: float
    activities: int
    categories: Mapping[str, tuple[int, float]]
    """Participations and hours by category."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An organisation in a period, both as numbers from zero."""

    organisation: int
    period: int

    @classmethod
    def of(cls, org_id: str, period_id: str) -> Self:
        """Find the cell that a reply is about."""
        return cls(int(org_id.removeprefix("org-")), PERIODS.index(period_id))

    @property
    def org_id(self) -> str:
        """The organisation as exports name it."""
        return f"org-{self.organisation:02d}"

    def generation(self, participations: int) -> int:
        """Give the generation that has so many participations; negative where none has."""
        return participations - _LEAST - 3 * self.organisation - 7 * self.period

    def rows(self, generation: int) -> Iterator[dict[str, Any]]:
        """Yield the rows of a generation, all of which count."""
        people = generation - self.generation(0) - _TWICE
        for number in range(people + _TWICE):
            activity = number % (7 + generation % 5) if number < people else "of all"
            yield {
                "org_id": self.org_id,
                "activity_id": f"activity {activity}",
                "participant_id": f"person {self.period}-{number % people}",
                "bufdir_category": _CATEGORIES[(number + generation) % len(_CATEGORIES)],
                "started_at": _BEGINS[self.period],
                "hours": 0.25 * (1 + generation % 16),
            }


CELLS: Final = tuple(
    Cell(organisation, period)
    for organisation in range(ORGANISATIONS)
    for period in range(len(PERIODS))
)


@lru_cache(_KNOWN)
def numbers(cell: Cell, generation: int) -> Numbers:
    """Count the numbers of a generation from its rows, in plain Python."""
    rows = list(cell.rows(generation))
    counts: Counter[str] = Counter()
    hours: dict[str, float] = dict.fromkeys(_CATEGORIES, 0.0)
    for row in rows:
        counts[row["bufdir_category"]] += 1
        hours[row["bufdir_category"]] += row["hours"]
    return Numbers(
        len(rows),
        len({row["participant_id"] for row in rows}),
        sum(hours.values()),
        len({row["activity_id"] for row in rows}),
        {name: (counts[name], hours[name]) for name in _CATEGORIES},
    )


def write(folder: Path, organisation: int, generation: int) -> None:
    """Write the export of an organisation; it appears whole, in place of the one before."""
    cells = [cell for cell in CELLS if cell.organisation == organisation]
    rows = [row for cell in cells for row in cell.rows(generation)]
    # Rows that are left out, so that quarantine changes with every version.
    dirt = [{**next(cell.rows(generation)), "participant_id": "dirt"} for cell in cells]
    rows += [{**row, "hours": -1.0} for row in dirt]
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{cells[0].org_id}.part"
    pq.write_table(pa.Table.from_pylist(rows), temporary)
    temporary.replace(folder / f"{cells[0].org_id}.parquet")
