"""The duration of publishing many snapshots, on disk and in the catalog."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from pipeline.model import ledger
from pipeline.model.breakdowns import BY_CATEGORY
from pipeline.model.cells import Cell, CellContent, CellNumbers
from pipeline.model.periods import Period
from pipeline.model.states import Action, Reason
from pipeline.runs import lifecycle, publish, writing
from pipeline.runs.context import RunContext
from pipeline.runs.counting import Counted, PlannedVersion
from pipeline.runs.plan import Decision
from pipeline.settings import Settings
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

QUARTERS = 8


def seconds(folder: Path, snapshots: int, data: Path | None = None) -> float:
    """Measure the seconds that publishing this number of first versions takes.

    Args:
        folder: The folder in which a new data folder is made.
        snapshots: The number of snapshots.
        data: The data folder to use instead.
    """
    data = data or folder / f"published-{uuid.uuid4().hex}"
    settings = Settings()
    terms = settings.terms
    share = {"participations": 120, "people": 24, "seconds": 432_000, "activities": 6}
    counted = CellNumbers(
        {"participations": 480, "people": 96, "seconds": 1_728_000, "activities": 24},
        {BY_CATEGORY: dict.fromkeys(terms.categories, share)},
        ledger.complete({"counted": 480}),
    )
    content = CellContent(480, "0" * 32)
    cells_ = [
        Cell(f"org-{org:05d}", Period("quarter", 96 + quarter))
        for org in range(snapshots // QUARTERS)
        for quarter in range(QUARTERS)
    ]
    with Catalog.open(data) as catalog:
        clock = partial(datetime.now, UTC)
        context = RunContext(data, settings, catalog, clock, lambda *_, **__: None)
        entries = lifecycle.ensure(catalog, [cell.key for cell in cells_], clock())
        planned = [
            PlannedVersion(Decision(cell, Action.COMPUTE, Reason.FIRST, entry, content), entry)
            for entry, cell in zip(entries, cells_, strict=True)
        ]
        started = time.perf_counter()
        made = (Counted(one, counted, {"a.parquet": content.rows}, b"") for one in planned)
        written = writing.write(context, made, snapshots)
        with catalog.transaction():
            publish.make_current(context, written, "0" * 32)
        return time.perf_counter() - started
