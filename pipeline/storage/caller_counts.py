"""How much of the catalog's room a caller occupies, without what others do.

A caller of some organisations occupies what these have, even if another caller asked for it. Any
other caller occupies what it asked for by its own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.states import SnapshotStatus
from pipeline.storage.entries import json_of
from pipeline.storage.run_history import OPEN

if TYPE_CHECKING:
    from pipeline.model.access import Caller
    from pipeline.storage.catalog import Catalog


def open_runs(catalog: Catalog) -> int:
    """Count the open runs of the caller on whose behalf the catalog is opened."""
    condition, value = _own(catalog.caller)
    ((count,),) = catalog.execute(
        f"SELECT count(DISTINCT snapshots.number) FROM snapshots JOIN runs USING (number) "
        f"WHERE runs.{OPEN} AND {condition}",
        (value,),
    )
    return int(count)


def failed(catalog: Catalog) -> int:
    """Count the snapshots of that caller whose first run failed."""
    condition, value = _own(catalog.caller)
    ((count,),) = catalog.execute(
        "SELECT count(DISTINCT snapshots.number) FROM snapshots JOIN runs USING (number) "
        f"WHERE snapshots.status = ? AND {condition}",
        (SnapshotStatus.FAILED, value),
    )
    return int(count)


def _own(caller: Caller) -> tuple[str, str]:
    """Give the condition of what a caller occupies, and the value in it."""
    if caller.organisations is None:
        return "runs.asked_by = ?", caller.name
    return "org_id IN (SELECT value FROM json_each(?))", json_of(sorted(caller.organisations))
