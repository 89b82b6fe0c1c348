"""A nightly run that is killed leaves each snapshot wholly old or wholly new."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipeline.storage import run_queue
from tests.given import DataFolder, sums
from tests.processes import CELLS, exported, killed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.versions import Version


def seconds_shown(versions: Sequence[Version]) -> set[int]:
    assert sums(versions) == [4] * len(versions)
    return {version.total["seconds"] for version in versions}


def quarantined(folder: DataFolder) -> dict[str, list[str]]:
    """Return the hours of each snapshot's quarantined rows."""
    found: dict[str, list[str]] = {}
    for path in sorted((folder.data / "quarantine").glob("agg-*/v*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found.setdefault(path.parent.name, []).extend(line["hours"] for line in lines)
    return found


# A rename puts a file in its place, and a commit makes versions current.
MOMENTS = [
    ("os.rename", 1),
    ("os.rename", 2),
    ("os.rename", CELLS),
    ("os.rename", 2 * CELLS + 1),
    ("BEGIN", 4),
    ("COMMIT", 1),
    ("COMMIT", 2),
    ("COMMIT", 3),
    ("COMMIT", 4),
    ("UPDATE snapshots SET status", 3),
    ("os.remove", 1),
]


@pytest.mark.parametrize(("event", "times"), MOMENTS)
def test_a_killed_nightly_run_leaves_every_snapshot_wholly_old_or_wholly_new(
    folder: DataFolder, event: str, times: int
) -> None:
    exported(folder, 1.0)
    folder.nightly()
    before = folder.published()
    exported(folder, 2.0)
    assert killed(folder, event, times)

    shown = folder.published()
    assert set(shown) == set(before)
    assert seconds_shown(list(shown.values())) in ({3 * 3600}, {3 * 7200})  # one transaction
    for cell, version in shown.items():
        if version.version == 1:
            assert version == before[cell]
    with folder.context() as context:
        assert {entry.status for entry in context.catalog.entries().values()} == {"completed"}

    folder.nightly()
    after = folder.published()
    assert seconds_shown(list(after.values())) == {3 * 7200}
    assert {version.version for version in after.values()} == {2}
    assert folder.files() == {
        "snapshots/highest-id",
        "quarantine/unplaced.jsonl",
        *(f"snapshots/agg-{n:03d}/v{v}.json" for n in range(1, CELLS + 1) for v in (1, 2)),
        *(f"quarantine/agg-{n:03d}/v2.jsonl" for n in range(1, CELLS + 1)),
    }
    assert quarantined(folder) == {f"agg-{n:03d}": ["-2.0"] for n in range(1, CELLS + 1)}
    assert not folder.nightly().changed


@pytest.mark.parametrize(
    ("event", "times"), [("os.rename", 1), ("os.rename", 3), ("COMMIT", 3), ("COMMIT", 4)]
)
def test_a_first_nightly_run_that_is_killed_is_completed_by_the_next(
    folder: DataFolder, event: str, times: int
) -> None:
    exported(folder, 1.0)
    assert killed(folder, event, times)
    assert folder.published() == {}
    with folder.context() as context:
        with context.catalog.transaction():
            run_queue.requeue_abandoned(context.catalog)
        assert run_queue.open_runs(context.catalog) == []
        for entry in context.catalog.entries().values():
            assert (entry.status, entry.error) == ("failed", "its process was killed")
    folder.nightly()
    shown = folder.published()
    assert seconds_shown(list(shown.values())) == {3 * 3600}
    assert len({version.id for version in shown.values()}) == CELLS
