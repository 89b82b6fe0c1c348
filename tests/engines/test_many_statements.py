"""Participations with many statements: compared a part at a time, on disk where they are many."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pytest

from pipeline.engines.polars.scratch import Scratch
from tests.engines.division import divide_finely
from tests.given import CELL, SUMMER, cached_survey, export, numbers_of, row, survey_of

if TYPE_CHECKING:
    from pipeline.engines import Survey

PARTICIPATIONS: Final = 300_000
STARTED: Final = datetime(2024, 11, 5, 17, tzinfo=UTC)
SHUFFLED: Final = np.random.default_rng(seed=7)


def deliver(data: Path, *, deliveries: int) -> pl.DataFrame:
    """Export all participations several times, in another order each, a third with other hours."""
    number = pl.int_range(PARTICIPATIONS)
    frames = [
        pl.select(
            pl.format("org-{}", number % 7).alias("org_id"),
            pl.format("a{}", number % 1000).alias("activity_id"),
            pl.format("p{}", number // 2).alias("participant_id"),
            pl.lit("ungdom").alias("bufdir_category"),
            pl.lit(STARTED).alias("started_at"),
            pl.when(number % 3 == delivery).then(2.0).otherwise(1.0).alias("hours"),
            (pl.lit(STARTED) + pl.duration(days=(number * 7 + delivery * 5) % 11)).alias(
                "updated_at"
            ),
        ).with_columns(pl.lit(delivery).alias("delivery"))
        for delivery in range(deliveries)
    ]
    (data / "exports").mkdir(exist_ok=True)
    for delivery, frame in enumerate(frames):
        order = SHUFFLED.permutation(PARTICIPATIONS)
        frame[order].drop("delivery").write_parquet(data / "exports" / f"{delivery}.parquet")
    return pl.concat(frames)


def seconds_of_latest(statements: pl.DataFrame) -> dict[str, int]:
    """Sum up the latest statements by organisation, in a query of its own."""
    key = ["org_id", "activity_id", "participant_id"]
    latest = statements.sort("updated_at", "delivery").unique(key, keep="last")
    summed = latest.group_by("org_id").agg((pl.col("hours") * 3600).sum().cast(pl.Int64))
    return dict(summed.iter_rows())


def seconds(survey: Survey) -> dict[str, int]:
    found = numbers_of(survey, "year")
    return {org_id: numbers.total["seconds"] for (org_id, _), numbers in found.items()}


def size_of_nameless_files(folder: Path) -> int:
    """Return the bytes of files that this process has opened in a folder and that have no name."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it was that of this listing
            target = str(path.readlink())
            is_ours = target.startswith(f"{folder}/") and target.endswith("(deleted)")
            found += path.stat().st_size if is_ours else 0
    return found


def test_the_latest_of_each_three_statements_counts_in_every_part_of_them(tmp_path: Path) -> None:
    statements = deliver(tmp_path, deliveries=3)

    with cached_survey(tmp_path, writes=True) as found:
        assert found.ledger["superseded"] == 2 * PARTICIPATIONS
        assert seconds(found) == seconds_of_latest(statements)
        found.commit()
    with cached_survey(tmp_path) as again:
        assert again.ledger == found.ledger
        assert seconds(again) == seconds_of_latest(statements)


def test_what_is_not_cached_is_on_disk_only_while_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = deliver(tmp_path, deliveries=2)
    divide_finely(monkeypatch, 100_000)
    before = sorted(tmp_path.rglob("*"))

    with cached_survey(tmp_path, reads=False) as found:
        assert size_of_nameless_files(tmp_path) > 1_000_000
        assert sorted(tmp_path.rglob("*")) == before
        assert seconds(found) == seconds_of_latest(statements)
    assert size_of_nameless_files(tmp_path) == 0


@pytest.mark.parametrize("rows", [1, 4, 1000], ids=["one by one", "few at a time", "at once"])
def test_very_many_statements_of_one_participation_are_one_participation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    divide_finely(monkeypatch, rows)
    last = row(updated_at=SUMMER, hours=4.0)
    for number in range(5):
        export(tmp_path, [row(hours=2.0)] * 7 + [last] * (number == 2), f"{number}.parquet")

    found = survey_of(tmp_path)

    assert found.ledger["superseded"] == 35
    assert numbers_of(found)[CELL].total == {
        "participations": 1,
        "people": 1,
        "seconds": 4 * 3600,
        "activities": 1,
    }


FULL_DISK = """
import sys
from pathlib import Path
import polars as pl
from pipeline.engines.polars.scratch import Scratch

scratch = Scratch(Path(sys.argv[1]))
frames = [pl.DataFrame({"n": range(start, start + 1000)}) for start in range(0, 20_000, 1000)]
read = [scratch.put(frame) for frame in frames]
assert [one().equals(frame) for one, frame in zip(read, frames)] == [True] * 20
"""


def test_what_finds_no_room_on_disk_stays_in_memory(tmp_path: Path) -> None:
    # Measured coverage would find no room, either.
    unmeasured = {name: one for name, one in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        env=unmeasured,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_where_a_folder_cannot_be_written_frames_are_among_temporary_files(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "missing")
    frame = pl.DataFrame({"n": [1, 2]})
    assert scratch.put(frame)().equals(frame)


def test_what_is_on_disk_is_not_in_memory_too(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    frame = pl.DataFrame({"n": range(100_000)})
    tracemalloc.start()
    try:
        read = [scratch.put(frame) for _ in range(20)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < frame.estimated_size()
    assert all(one().equals(frame) for one in read)
