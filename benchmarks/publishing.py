"""How long it takes to publish many snapshots, on disk and in the catalog."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.model.cells import Breakdown, Cell
from pipeline.model.ledger import LEDGER
from pipeline.model.numbers import Numbers
from pipeline.model.periods import Period
from pipeline.runs import lifecycle, publish
from pipeline.runs.context import Work
from pipeline.runs.publish import PlannedVersion, RejectedRows
from pipeline.settings import Settings
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

QUARTERS = 8


def seconds(folder: Path, snapshots: int, data: Path | None = None) -> float:
    """How long it takes to publish so many first versions.

    Args:
        folder: Where a new data folder is made.
        snapshots: How many.
        data: A data folder of one's own choice instead.
    """
    data = data or folder / f"published-{uuid.uuid4().hex}"
    settings = Settings()
    counted = Breakdown(
        Numbers(480, 96, 1_728_000, 24),
        dict.fromkeys(settings.categories, Numbers(120, 24, 432_000, 6)),
        dict.fromkeys(LEDGER, 0) | {"counted": 480},
    )
    cells_ = [
        Cell(f"org-{org:05d}", Period("quarter", 96 + quarter))
        for org in range(snapshots // QUARTERS)
        for quarter in range(QUARTERS)
    ]
    with Catalog.open(data) as catalog:
        work = Work(data, settings, catalog, lambda: datetime.now(UTC), lambda *_, **__: None)
        pairs = [(cell.org_id, cell.period.id) for cell in cells_]
        entries = lifecycle.ensure(catalog, pairs, work.clock())
        planned = [
            PlannedVersion(entry, cell, "0" * 32, 480)
            for entry, cell in zip(entries, cells_, strict=True)
        ]
        started = time.perf_counter()
        publish.publish(work, ((plan, counted) for plan in planned), snapshots, RejectedRows({}))
        return time.perf_counter() - started
