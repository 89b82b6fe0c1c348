"""Programs that do in a process what the API does for a request, and what no command does."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from api.jobs import run_process
from pipeline import settings
from pipeline.errors import BufdirError
from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(name: str, data: Path, *arguments: str) -> int:
    """Run one of the programs, and report a failure in one sentence as the log of a server does."""
    try:
        return PROGRAMS[name](data, *arguments)
    except BufdirError as error:
        sys.stderr.write(f"bufdir: {error}\n")
        return 1


def refresh(data: Path, snapshot_id: str) -> int:
    """Queue a forced run as PUT does, acquire it as a dispatcher does, and execute it."""
    with Catalog.open(data) as catalog:
        entry = catalog.get(snapshot_id)
        lifecycle.refresh(catalog, entry, datetime.now(UTC), forced=True)
    return _dispatch(data)


def create(data: Path, org_id: str, period_id: str) -> int:
    """Create a snapshot as POST does, acquire its run as a dispatcher does, and execute it."""
    with Catalog.open(data) as catalog:
        lifecycle.create(catalog, org_id, periods.parse(period_id), datetime.now(UTC))
    return _dispatch(data)


def _dispatch(data: Path) -> int:
    owner = owners.create(data)
    try:
        with Catalog.open(data) as catalog:
            run = run_queue.acquire_queued(catalog, owner.name, 1)
        assert run is not None
        limits = settings.load(data).runs
        bounds = ("--memory-mb", str(limits.memory_mb), "--seconds", str(limits.seconds))
        return run_process.main(["--data", str(data), "--run", str(run.id), *bounds])
    finally:
        owners.close(data, owner)


PROGRAMS: Final[dict[str, Callable[..., int]]] = {"refresh": refresh, "create": create}
"""By name, a program; it takes the data folder and texts, and returns an exit code."""
