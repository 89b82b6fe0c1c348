"""The data folder that release 0.1 wrote, copied for a test, and what it must still show."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.storage import version_files

if TYPE_CHECKING:
    from pipeline.model.versions import Version
    from pipeline.storage.catalog import Catalog

RELEASE: Final = Path(__file__).parents[1] / "data" / "release-0.1"

NUMBERS: Final = {
    "agg-001": ("org-1", "rp-2024-q4", "completed", 2, 4, 22_500, 1),
    "agg-002": ("org-2", "rp-2024-q4", "completed", 1, 5, 13_500, 1),
    "agg-003": ("org-1", "rp-2024-q3", "completed", 1, 1, 5_400, 1),
    "agg-005": ("org-1", "rp-2024", "completed", 1, 4, 27_000, 2),
    "agg-006": ("org-9", "rp-2024-q4", "failed", 0, None, None, None),
    "agg-007": ("org-1", "rp-2023-q4", "processing", 0, None, None, None),
}
"""By id: organisation, period, status, version, participations, seconds, activities."""
COMPLETED: Final = {id_: numbers for id_, numbers in NUMBERS.items() if numbers[3]}


def copy(folder: Path) -> Path:
    """Copy the data folder below this one."""
    return Path(shutil.copytree(RELEASE, folder / "data"))


def numbers(catalog: Catalog) -> dict[str, tuple[object, ...]]:
    """List all snapshots of a catalog as `NUMBERS` does."""
    return {
        entry.id: (
            entry.org_id,
            entry.reporting_period_id,
            entry.status,
            entry.version,
            entry.participations,
            entry.seconds,
            entry.activities,
        )
        for entry in catalog.entries().values()
    }


def version(number: int = 1, version_number: int = 2) -> Version:
    """Read a version that the release published."""
    return version_files.read(RELEASE, number, version_number)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Read all that is in a folder: each path with its time of change and its bytes."""
    paths = [folder, *folder.rglob("*")]
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in paths
    }
