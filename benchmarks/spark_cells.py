"""Many cells: exports of them, and a program that surveys and counts all on Spark Connect.

    python -m benchmarks.spark_cells EXPORTS REMOTE

Publishes nothing, so that only the survey and the counting of a nightly run are measured.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.engines import ScanRequest, open_engine
from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    UPDATED_AT,
)
from pipeline.model.states import EngineName
from pipeline.sample.groups import CATEGORIES
from pipeline.sample.tables import SCHEMA
from pipeline.settings import EngineSettings, Settings
from pipeline.sources import locations, opening
from pipeline.sources.conversion import Conversions
from pipeline.sources.selection import select

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND: Final = "quarter"
QUARTERS: Final = 8
ROWS_A_CELL: Final = 2
_FIRST: Final = datetime(2023, 2, 10, 17, tzinfo=UTC)
_QUARTER: Final = timedelta(days=91)
"""From the middle of a quarter to the middle of the next one, over two years."""


def main() -> None:
    """Count all cells, and print their number."""
    exports, remote = sys.argv[1:]
    print(f"counted {count(Path(exports), remote)} cells")


def count(exports: Path, remote: str) -> int:
    """Survey exports and count every cell, as a nightly run does; return the number of cells.

    Raises:
        RuntimeError: Cells were not counted.
    """
    engine = EngineSettings(name=EngineName.SPARK, spark_remote=remote)
    settings = Settings(engine=engine)
    selection = select(locations.of(exports, str(exports)).list_files(), settings.every_source)
    conversions = Conversions(exports / "converted", exports / "cache.key", settings.zone, _ignore)
    accepted = opening.read(selection, settings.terms.columns, conversions).accepted
    request = ScanRequest(accepted, settings.terms)
    counted = 0
    with open_engine(engine, None, _ignore).survey(request) as survey:
        cells = survey.contents(KIND)
        for numbers in survey.count(KIND, cells):
            counted += len(numbers)
    if counted != len(cells):
        raise RuntimeError(f"{counted} of {len(cells)} cells were counted")
    return counted


def _ignore(event: str, **fields: object) -> None:
    del event, fields


def write(folder: Path, organisations: int) -> None:
    """Write one export for each quarter, in which each organisation has two rows."""
    folder.mkdir(parents=True)
    for quarter in range(QUARTERS):
        pq.write_table(_table(organisations, quarter), folder / f"{quarter + 1}.parquet")


def _table(organisations: int, quarter: int) -> pa.Table:
    rows = np.arange(organisations * ROWS_A_CELL)
    meeting = _FIRST + quarter * _QUARTER
    instant = SCHEMA.field(STARTED_AT).type
    columns = {
        ORG_ID: _numbered("org", rows // ROWS_A_CELL),
        ACTIVITY_ID: _numbered(f"act-{quarter}", rows // ROWS_A_CELL),
        PARTICIPANT_ID: _numbered("person", rows),
        CATEGORY: pa.array(list(CATEGORIES)).take(pa.array(rows % len(CATEGORIES))),
        STARTED_AT: pa.repeat(pa.scalar(meeting, instant), len(rows)),
        HOURS: pa.array((1 + rows % QUARTERS) / 4),
        UPDATED_AT: pa.repeat(pa.scalar(meeting + timedelta(days=1), instant), len(rows)),
        STATUS: pa.repeat(COMPLETED, len(rows)),
        DELETED: pa.array(np.zeros(len(rows), dtype=np.bool_)),
    }
    return pa.table(columns, schema=SCHEMA)


def _numbered(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
    return pc.binary_join_element_wise(prefix, digits, "-")


if __name__ == "__main__":
    main()
