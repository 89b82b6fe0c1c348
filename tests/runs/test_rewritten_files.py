"""Files that were written again with the same rows, and those with others."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engines.polars import Polars
from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.runs.run import run_cells
from tests.given import (
    CELL,
    NOW,
    OTHER,
    Q2,
    Q3,
    Q4,
    DataFolder,
    computed,
    outcomes_by_cell,
    row,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def test_a_nightly_run_after_files_were_touched_finds_no_change(
    populated: DataFolder,
) -> None:
    before = populated.published()
    os.utime(populated.data / "exports" / "autumn.parquet")
    assert not populated.nightly().changed
    assert not populated.nightly().changed
    assert populated.published() == before


def test_two_files_that_exchange_contents_are_changed(folder: DataFolder) -> None:
    """The later file wins ties, so the same rows in all come to another number."""
    paths = [folder.export([row(hours=hours)], f"{hours:.0f}.parquet") for hours in (1.0, 2.0)]
    folder.nightly()
    assert folder.published()[CELL].total["seconds"] == 2 * 3600
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    assert folder.nightly().changed
    assert folder.published()[CELL].total["seconds"] == 3600


def test_rejected_rows_are_named_by_their_new_place_after_a_file_was_rewritten(
    folder: DataFolder,
) -> None:
    rows = [row(participant_id="p1", hours=99.0), row(participant_id="p2")]
    folder.export(rows, "a.parquet")
    folder.nightly()
    folder.export(rows[::-1], "a.parquet")
    assert not folder.nightly().changed
    folder.export([row(participant_id="p3")], "b.parquet")
    folder.nightly()
    (left_out,) = (folder.data / "quarantine").glob("agg-*/v2.jsonl")
    assert [json.loads(line)["row"] for line in left_out.read_text().splitlines()] == [1]


def test_a_deleted_snapshot_is_not_recreated_because_files_were_rewritten(
    populated: DataFolder,
) -> None:
    os.utime(populated.data / "exports" / "autumn.parquet")
    with populated.context() as context:
        lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
    assert not computed(populated.nightly())


@pytest.fixture
def before_it_is_compared(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Actions for when rewritten files have been read, before their content is compared."""
    happens: list[Callable[[], object]] = []
    content_checksums = Polars.content_checksums

    def watched(*arguments: Any) -> Mapping[str, str]:
        found = content_checksums(*arguments)
        for happening in happens:
            happening()
        return found

    monkeypatch.setattr(Polars, "content_checksums", watched)
    return happens


def test_a_snapshot_deleted_while_a_rewritten_file_is_compared_stays_deleted(
    folder: DataFolder, before_it_is_compared: list[Callable[[], object]]
) -> None:
    path = folder.export([row()])
    folder.nightly()
    os.utime(path)
    with folder.context() as context:
        before_it_is_compared.append(
            lambda: lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
        )
        folder.nightly()
    before_it_is_compared.clear()
    folder.nightly()
    assert folder.published() == {}


def test_a_file_that_changes_again_while_it_is_compared_counts_as_changed(
    folder: DataFolder, before_it_is_compared: list[Callable[[], object]]
) -> None:
    path = folder.export([row(hours=1.0)])
    folder.nightly()
    os.utime(path)
    before_it_is_compared.append(lambda: folder.export([row(hours=5.0)]))
    assert folder.nightly().changed
    assert folder.published()[CELL].total["seconds"] == 5 * 3600


def test_a_period_that_has_begun_is_computed_although_files_were_only_rewritten(
    folder: DataFolder,
) -> None:
    begins = datetime(2025, 3, 31, 22, tzinfo=UTC)
    path = folder.export([row(), row(participant_id="p2", started_at=begins)])
    folder.nightly()
    os.utime(path)
    folder.now = begins
    assert computed(folder.nightly()) == {"org-1 rp-2025-q2"}


def test_exports_that_were_only_read_between_nightly_runs_are_changed_for_the_next(
    folder: DataFolder,
) -> None:
    """As check and verify read them: their numbers were not published."""
    folder.export([row(hours=1.0)])
    folder.nightly()
    folder.export([row(hours=5.0)])
    with folder.gathered():
        pass
    assert folder.nightly().changed
    assert folder.published()[CELL].total["seconds"] == 5 * 3600


def test_rows_that_return_after_a_run_published_others_are_changed(folder: DataFolder) -> None:
    folder.export([row(hours=1.0)])
    folder.nightly()
    folder.export([row(hours=5.0)])
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"])
    assert folder.published()[CELL].total["seconds"] == 5 * 3600
    folder.export([row(hours=1.0)])
    assert folder.nightly().changed
    assert folder.published()[CELL].total["seconds"] == 3600


def test_a_damaged_file_in_place_of_an_export_is_refused(populated: DataFolder) -> None:
    path = populated.data / "exports" / "autumn.parquet"
    content = path.read_bytes()
    middle = len(content) // 3
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    result = populated.nightly()
    assert result.changed
    assert set(result.refused) == {"autumn.parquet"}


def test_a_file_overwritten_with_its_size_and_times_set_back_is_noticed(folder: DataFolder) -> None:
    path = folder.export([row(hours=1.0)])
    folder.nightly()
    status = path.stat()
    other = folder.export([row(hours=3.0)], "b.parquet").read_bytes()
    (folder.data / "exports" / "b.parquet").unlink()
    assert len(other) == status.st_size
    path.write_bytes(other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert computed(folder.nightly()) == {Q4}


def test_a_replaced_file_with_the_same_rows_makes_nothing_stale(populated: DataFolder) -> None:
    path = populated.data / "exports" / "autumn.parquet"
    copy = path.with_suffix(".tmp")
    shutil.copy(path, copy)
    copy.replace(path)
    assert computed(populated.nightly()) == set()


def parts(rows: Any, at: int) -> list[Any]:
    return [rows.slice(0, at), rows.slice(at)]


@pytest.mark.parametrize(
    ("rewritten", "in_one_file"),
    [
        *((how, True) for how in ("reversed", "row groups", "compression", "types")),
        *((how, False) for how in ("columns", "split", "renamed", "merged")),
    ],
)
def test_the_same_rows_written_otherwise_make_nothing_stale(
    populated: DataFolder, rewritten: str, in_one_file: bool
) -> None:
    before = populated.published()
    path = populated.data / "exports" / "autumn.parquet"
    with pq.ParquetFile(path) as file:
        rows = file.read()
    path.unlink()
    write_autumn: dict[str, Callable[[], object]] = {
        "reversed": lambda: write(populated.data, rows.take([2, 1, 0]), path.name),
        "row groups": lambda: write(populated.data, rows, path.name, row_group_size=1),
        "compression": lambda: write(
            populated.data, rows, path.name, compression="gzip", use_dictionary=False
        ),
        "types": lambda: write(populated.data, other_types(rows), path.name),
        "columns": lambda: write(
            populated.data, rows.append_column("Kommune", [["x"] * 3]), path.name
        ),
        "split": lambda: [
            write(populated.data, part, f"{n}/a.parquet") for n, part in enumerate(parts(rows, 1))
        ],
        "renamed": lambda: write(populated.data, rows, "elsewhere/z.parquet"),
        "merged": lambda: merge(populated, rows),
    }
    write_autumn[rewritten]()
    result = populated.nightly()
    assert result.changed is not in_one_file
    unchanged = {} if in_one_file else dict.fromkeys((Q2, Q3, Q4, OTHER), "unchanged")
    assert outcomes_by_cell(result) == unchanged
    assert populated.published() == before
    assert not populated.nightly().changed


def other_types(rows: Any) -> Any:
    text = pa.dictionary(pa.int32(), pa.string())
    return pa.table(
        {
            "status": pa.array(["completed"] * rows.num_rows),
            "participant_id": rows["participant_id"].cast(text),
            "org_id": rows["org_id"].cast(pa.large_string()),
            "activity_id": rows["activity_id"],
            "bufdir_category": pa.array(["Klubb"] * rows.num_rows),
            "started_at": rows["started_at"].cast(pa.timestamp("ns", "Europe/Oslo")),
            "hours": rows["hours"].cast(pa.int16()),
            "updated_at": rows["updated_at"].cast(pa.timestamp("ms", "Asia/Tokyo")),
        }
    )


def merge(folder: DataFolder, rows: Any) -> None:
    path = folder.data / "exports" / "summer.parquet"
    with pq.ParquetFile(path) as file:
        others = file.read()
    write(folder.data, pa.concat_tables([others, rows]), "summer.parquet")
