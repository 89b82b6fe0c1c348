"""The generator of larger samples."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipeline import sample
from tests import reference
from tests.given import parquet_below, table_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    sample.write(folder, rows=20_000, organisations=12, files=25, seed=1)
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Read all rows in the order of the files' paths, each with its file."""
    paths = sorted(folder.rglob("*.parquet"))
    return [{**row, "file": path} for path in paths for row in table_of(path).to_pylist()]


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    def written(name: str, seed: int) -> dict[str, bytes]:
        folder = tmp_path / name
        paths = sample.write(folder, rows=3000, organisations=5, files=4, seed=seed)
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    first = written("first", 7)
    assert first == written("again", 7)
    assert first != written("other", 8)


@pytest.mark.parametrize(
    ("rows", "organisations", "files"),
    [(1, 1, 1), (3, 1, 3), (50, 50, 1), (100, 7, 100), (101, 100, 2), (4321, 17, 9)],
)
def test_there_are_exactly_so_many_rows_files_and_organisations(
    tmp_path: Path, rows: int, organisations: int, files: int
) -> None:
    paths = sample.write(tmp_path, rows=rows, organisations=organisations, files=files, seed=3)
    found = rows_of(tmp_path)
    assert len(found) == rows
    assert len(paths) == files
    assert parquet_below(tmp_path) == [str(path.relative_to(tmp_path)) for path in paths]
    assert {row["file"] for row in found} == set(paths)
    names = {row["org_id"] for row in found} - {None, "", "org 1"}
    spoilt = sum(row["org_id"] in {None, "", "org 1"} for row in found)
    assert organisations - spoilt <= len(names) <= organisations


def test_organisations_are_long_tailed(generated: Path) -> None:
    sizes = Counter(row["org_id"] for row in rows_of(generated))
    assert sizes["org-00001"] > 1.9 * sizes["org-00002"] > 3 * sizes["org-00008"]
    assert sizes["org-00012"] > 100


def test_every_file_is_a_stretch_of_time_after_the_last_ones(generated: Path) -> None:
    paths = sorted(generated.rglob("*.parquet"))
    main = [pq.ParquetFile(path).read_row_group(0).to_pylist() for path in paths]
    usual = [
        [
            row["started_at"]
            for row in rows
            if row["started_at"] and 2022 < row["started_at"].year < 2025
        ]
        for rows in main
    ]
    assert all(times == sorted(times) for times in usual)
    assert all(before[-1] <= after[0] for before, after in pairwise(usual))
    assert datetime(2023, 1, 2, tzinfo=UTC) <= usual[0][0]
    assert usual[-1][-1] < datetime(2024, 12, 30, tzinfo=UTC)


def test_three_to_thirty_people_meet_and_most_of_them_come_back(generated: Path) -> None:
    rows = [row for row in rows_of(generated) if row["org_id"] and row["activity_id"]]
    people: dict[str, set[str]] = {}
    for row in rows:
        people.setdefault(row["activity_id"], set()).add(row["participant_id"])
    spoilt = sum(None in row.values() or "" in row.values() for row in rows_of(generated))
    assert max(map(len, people.values())) <= 30
    assert sum(len(group) < 3 for group in people.values()) <= spoilt
    times = Counter(row["participant_id"] for row in rows)
    assert sum(count >= 5 for count in times.values()) > len(times) / 2


def test_people_come_back_at_the_same_hour_of_the_week(generated: Path) -> None:
    settings = reference.Settings()
    hours: dict[str, Counter[str]] = {}
    for row in reference.read_rows(generated, settings):
        if row.participant_id and row.started_at:
            local = datetime.fromtimestamp(row.started_at / 10**9, settings.zone)
            hours.setdefault(row.participant_id, Counter())[f"{local:%a %H:%M}"] += 1
    usual = sum(of_person.most_common(1)[0][1] for of_person in hours.values())
    assert usual > 0.8 * sum(of_person.total() for of_person in hours.values())


def test_one_row_in_a_hundred_is_a_later_statement_of_another(generated: Path) -> None:
    statements = Counter[tuple[str, str, str]]()
    latest: dict[tuple[str, str, str], dict[str, Any]] = {}
    moved = 0
    for row in rows_of(generated):
        key = (row["org_id"], row["activity_id"], row["participant_id"])
        if not all(key) or "org 1" in key:
            continue
        before = latest.get(key)
        if before and before["updated_at"]:
            assert row["updated_at"] > before["updated_at"]
            assert row["file"] >= before["file"]
            times = row["started_at"], before["started_at"]
            moved += all(times) and abs(times[0] - times[1]) == timedelta(weeks=13)
        latest[key] = row
        statements[key] += 1
    assert max(statements.values()) == 2
    assert 190 <= sum(count == 2 for count in statements.values()) <= 200
    assert moved > 10


def test_one_row_in_a_hundred_is_dirt_of_every_kind(generated: Path) -> None:
    found = reference.outcome(generated)
    ledger = Counter(found.rows_without_cell)
    for cell in found.cells.values():
        ledger.update(cell.ledger)
    assert set(ledger) == {reference.COUNTED, *reference.REASONS}
    dirt = sum(ledger.values()) - ledger["counted"] - ledger["superseded"] - ledger["deleted"]
    assert 150 <= dirt <= 200
    periods = {period_id for _, period_id in found.cells}
    assert periods == {f"rp-{year}-q{quarter}" for year in (2023, 2024) for quarter in range(1, 5)}


def test_large_samples_are_written_one_row_group_at_a_time(tmp_path: Path) -> None:
    reported: list[int] = []
    paths = sample.write(
        tmp_path, rows=510_000, organisations=3, files=1, seed=1, progress=reported.append
    )
    metadata = pq.read_metadata(paths[0])
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    assert sizes == reported
    assert sum(sizes) == 510_000
    assert max(sizes) == 250_000


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"organisations": 0}, "orgs is 0; it must be at least 1"),
        ({"files": 0}, "files is 0; it must be at least 1"),
        ({"seed": -1}, "seed is -1; it must be at least 0"),
        ({"rows": 5, "files": 6}, "5 rows are too few for 3 organisations in 6 files"),
        ({"rows": 2}, "2 rows are too few for 3 organisations"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(
    tmp_path: Path, changed: dict[str, int], problem: str
) -> None:
    numbers = {"rows": 10, "organisations": 3, "files": 2, "seed": 0} | changed
    with pytest.raises(ValueError, match=problem):
        sample.write(tmp_path, progress=None, **numbers)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_exports_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "mine.parquet").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="already holds Parquet files"):
        sample.write(tmp_path, rows=10, organisations=3, files=2, seed=0)
    assert parquet_below(tmp_path) == ["deep/mine.parquet"]


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        sample.write(tmp_path, rows=1000, organisations=3, files=2, seed=0, progress=stop)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
