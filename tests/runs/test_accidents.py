"""Ordinary accidents to exports: what is published, what is blocked, and what is reported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipeline.model import periods
from pipeline.model.states import Reason, Retirement
from pipeline.runs import declare, reindex
from pipeline.runs.run import run_cells
from tests.given import CELL, NOW, DataFolder, people, row, settings, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.model.blocked import BlockedCell

DUMPS = settings(sources=[{"name": "register", "mode": "dump"}])


@pytest.fixture
def two_files(folder: DataFolder) -> DataFolder:
    """A main export of 100 people, and one of corrections with 5 of them and 20 others."""
    folder.export(people(100), "main.parquet")
    corrected = people(5, hours=4.0)
    others = [row(participant_id=f"q{number}") for number in range(20)]
    folder.export([*corrected, *others], "corrections.parquet")
    folder.nightly()
    assert participations(folder) == 120
    return folder


def participations(folder: DataFolder) -> int:
    return folder.published()[CELL].total["participations"]


def path_of(folder: DataFolder, name: str) -> Path:
    return folder.data / "exports" / name


def blocked(folder: DataFolder) -> list[tuple[Reason, tuple[str, ...], int, int]]:
    """Run at night; give each blocked cell's reason, exports, and rows before and now."""
    return [
        (one.reason, one.exports, one.rows_before, one.rows_now) for one in folder.nightly().blocked
    ]


def rewrite(folder: DataFolder, name: str, keep: int) -> None:
    """Write an export again with only its first rows."""
    path = path_of(folder, name)
    pq.write_table(pq.read_table(path).slice(0, keep), path)


@pytest.mark.parametrize(("gone", "left"), [("main.parquet", 25), ("corrections.parquet", 100)])
def test_an_export_that_is_gone_blocks_until_it_is_back(
    two_files: DataFolder, gone: str, left: int
) -> None:
    content = path_of(two_files, gone).read_bytes()
    path_of(two_files, gone).unlink()
    for _ in range(2):  # the second nightly run finds no change
        assert blocked(two_files) == [(Reason.GONE, (gone,), 125, left)]
    assert participations(two_files) == 120
    path_of(two_files, gone).write_bytes(content)
    assert blocked(two_files) == []
    assert two_files.versions() == {" ".join(CELL): 1}


def test_all_exports_gone_block_every_snapshot(two_files: DataFolder) -> None:
    for name in ("main.parquet", "corrections.parquet"):
        path_of(two_files, name).unlink()
    assert blocked(two_files) == [(Reason.GONE, ("corrections.parquet", "main.parquet"), 125, 0)]
    assert participations(two_files) == 120


def test_new_rows_do_not_hide_that_an_export_is_gone(two_files: DataFolder) -> None:
    path_of(two_files, "corrections.parquet").unlink()
    two_files.export([row(participant_id=f"n{n}") for n in range(500)], "more.parquet")
    assert blocked(two_files) == [(Reason.GONE, ("corrections.parquet",), 125, 600)]
    assert participations(two_files) == 120


def test_an_export_cut_to_half_its_rows_blocks(two_files: DataFolder) -> None:
    rewrite(two_files, "main.parquet", 50)
    assert blocked(two_files) == [(Reason.SHRUNK, ("main.parquet",), 125, 75)]
    assert participations(two_files) == 120


def test_an_export_written_again_with_a_few_rows_less_is_counted(two_files: DataFolder) -> None:
    rewrite(two_files, "main.parquet", 97)
    assert blocked(two_files) == []
    assert participations(two_files) == 117


def test_an_export_that_was_renamed_changes_nothing(two_files: DataFolder) -> None:
    path_of(two_files, "main.parquet").rename(path_of(two_files, "a-main.parquet"))
    assert blocked(two_files) == []
    two_files.export([row(participant_id="new")], "new.parquet")
    assert blocked(two_files) == []
    assert participations(two_files) == 121
    path_of(two_files, "a-main.parquet").unlink()
    assert blocked(two_files) == [(Reason.GONE, ("a-main.parquet",), 126, 26)]


def test_a_renamed_export_is_missed_under_its_last_name(two_files: DataFolder) -> None:
    path_of(two_files, "main.parquet").rename(path_of(two_files, "a-main.parquet"))
    assert blocked(two_files) == []
    path_of(two_files, "a-main.parquet").unlink()
    for _ in range(2):
        assert blocked(two_files) == [(Reason.GONE, ("a-main.parquet",), 125, 25)]


def test_a_renamed_export_is_known_after_the_catalog_is_built_again(two_files: DataFolder) -> None:
    path_of(two_files, "main.parquet").rename(path_of(two_files, "a-main.parquet"))
    assert blocked(two_files) == []
    reindex.run(two_files.data, NOW)
    two_files.export([row(participant_id="new")], "new.parquet")
    assert blocked(two_files) == []
    assert participations(two_files) == 121


def test_a_renamed_export_is_compared_with_the_newest_version(folder: DataFolder) -> None:
    path = folder.export(people(30))
    folder.nightly()
    path.rename(path_of(folder, "moved.parquet"))
    folder.nightly()
    folder.export(people(60), "moved.parquet")
    assert blocked(folder) == []
    folder.export(people(40), "moved.parquet")
    assert blocked(folder) == [(Reason.SHRUNK, ("moved.parquet",), 60, 40)]


def test_an_export_whose_rows_are_all_in_another_one_is_not_missed_later(
    folder: DataFolder,
) -> None:
    path = folder.export(people(30))
    folder.nightly()
    path.unlink()
    folder.export([*people(30), row(org_id="org-2")], "renamed-with-more.parquet")
    assert blocked(folder) == []
    folder.export([row(participant_id="new")], "new.parquet")
    assert blocked(folder) == []
    assert participations(folder) == 31


def test_an_export_is_missed_although_another_one_has_its_former_name(folder: DataFolder) -> None:
    path = folder.export(people(9))
    folder.nightly()
    path.rename(path_of(folder, "moved.parquet"))
    folder.export([row(org_id="org-2")])
    assert blocked(folder) == []
    path_of(folder, "moved.parquet").unlink()
    assert blocked(folder) == [(Reason.GONE, ("moved.parquet",), 9, 0)]
    assert participations(folder) == 9


def test_exports_that_are_merged_while_a_snapshot_is_blocked_are_not_missed(
    folder: DataFolder,
) -> None:
    parts = [[row(participant_id=f"{part}{n}") for n in range(20)] for part in "abc"]
    paths = [folder.export(rows, f"{n}.parquet") for n, rows in enumerate(parts)]
    folder.nightly()
    content = paths[2].read_bytes()
    paths[2].unlink()
    assert blocked(folder) == [(Reason.GONE, ("2.parquet",), 60, 40)]
    for path in paths[:2]:
        path.unlink()
    folder.export([*parts[0], *parts[1]], "merged.parquet")
    for _ in range(2):
        assert blocked(folder) == [(Reason.GONE, ("2.parquet",), 60, 40)]
    paths[2].write_bytes(content)
    assert blocked(folder) == []
    assert participations(folder) == 60


def test_a_copy_of_an_export_may_come_and_go(two_files: DataFolder) -> None:
    main, copy = path_of(two_files, "main.parquet"), path_of(two_files, "main (1).parquet")
    copy.write_bytes(main.read_bytes())
    assert blocked(two_files) == []
    assert participations(two_files) == 120
    copy.unlink()
    assert blocked(two_files) == []
    copy.write_bytes(main.read_bytes())
    assert blocked(two_files) == []
    main.unlink()
    assert blocked(two_files) == []
    assert participations(two_files) == 120


def test_exports_may_be_merged_into_one(two_files: DataFolder) -> None:
    paths = [path_of(two_files, name) for name in ("corrections.parquet", "main.parquet")]
    rows: list[dict[str, Any]] = [one for path in paths for one in pq.read_table(path).to_pylist()]
    for path in paths:
        path.unlink()
    two_files.export(rows, "merged.parquet")
    assert blocked(two_files) == []
    rewrite(two_files, "merged.parquet", 60)
    assert blocked(two_files) == [(Reason.SHRUNK, ("merged.parquet",), 125, 60)]


def test_exports_may_be_put_back_next_to_the_one_into_which_they_were_merged(
    folder: DataFolder,
) -> None:
    first, other = people(30), [row(participant_id=f"q{number}") for number in range(30)]
    paths = [folder.export(first, "a.parquet"), folder.export(other, "b.parquet")]
    folder.nightly()
    for path in paths:
        path.unlink()
    folder.export([*first, *other], "merged.parquet")
    assert blocked(folder) == []
    folder.export(first, "a.parquet")
    folder.export(other, "b.parquet")
    assert blocked(folder) == []
    folder.export([row(participant_id="new")], "new.parquet")
    assert blocked(folder) == []
    assert participations(folder) == 61


def test_times_of_files_that_go_back_change_nothing(two_files: DataFolder) -> None:
    os.utime(path_of(two_files, "main.parquet"), (1, 1))
    assert blocked(two_files) == []
    assert two_files.versions() == {" ".join(CELL): 1}


def test_an_organisation_renamed_at_the_source_blocks_the_old_one(folder: DataFolder) -> None:
    folder.export(people(50), "a.parquet")
    folder.nightly()
    folder.export(people(50, org_id="org-new"), "a.parquet")
    assert blocked(folder) == [(Reason.SHRUNK, ("a.parquet",), 50, 0)]
    counts = {cell[0]: of.total["participations"] for cell, of in folder.published().items()}
    assert counts == {"org-1": 50, "org-new": 50}


def test_a_few_rows_of_an_organisation_may_move_to_another_down_to_zero(
    folder: DataFolder,
) -> None:
    folder.export(people(10), "a.parquet")
    folder.nightly()
    folder.export(people(10, org_id="org-new"), "a.parquet")
    assert blocked(folder) == []
    counts = {cell[0]: of.total["participations"] for cell, of in folder.published().items()}
    assert counts == {"org-1": 0, "org-new": 10}


def dumps(data: Path, *exports: tuple[str, int]) -> DataFolder:
    """Write dumps, with a nightly run after each."""
    folder = DataFolder(data, DUMPS)
    for name, rows in exports:
        folder.export(people(rows), name)
        folder.nightly()
    return folder


def test_a_dump_with_far_fewer_rows_blocks(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100), ("20241002.parquet", 70))
    assert blocked(folder) == [(Reason.SHRUNK, ("20241002.parquet",), 100, 70)]
    assert participations(folder) == 100


def test_the_older_dump_left_beside_the_newest_counts_nothing(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100), ("20241002.parquet", 95))
    assert blocked(folder) == []
    assert participations(folder) == 95


def test_a_newest_dump_that_is_gone_blocks_and_the_older_one_does_not_count(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100), ("20241002.parquet", 100))
    path_of(folder, "20241002.parquet").unlink()
    folder.export(people(99), "20241001.parquet")
    assert blocked(folder) == [(Reason.GONE, ("20241002.parquet",), 100, 99)]
    assert participations(folder) == 100


def test_a_dump_that_is_no_parquet_blocks_under_its_new_name(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100))
    path_of(folder, "20241002.parquet").write_bytes(b"torn")
    found = folder.nightly().blocked
    assert [(one.reason, one.exports) for one in found] == [
        (Reason.REFUSED_EXPORT, ("20241002.parquet",))
    ]
    assert participations(folder) == 100


def test_a_dump_of_another_system_is_refused_and_blocks(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100))
    other = table(people(100)).rename_columns(["x", "y", "z", "a", "b", "c"])
    pq.write_table(other, path_of(folder, "20241002.parquet"))
    assert [one.reason for one in folder.nightly().blocked] == [Reason.REFUSED_EXPORT]
    assert participations(folder) == 100


def test_a_newest_dump_without_rows_blocks(data: Path) -> None:
    folder = dumps(data, ("20241001.parquet", 100), ("20241002.parquet", 0))
    assert blocked(folder) == [(Reason.SHRUNK, ("20241002.parquet",), 100, 0)]
    assert participations(folder) == 100


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("is_dump", [True, False])
def test_an_export_without_any_row_blocks_the_smallest_cells_too(
    data: Path, rows: int, *, is_dump: bool
) -> None:
    folder = dumps(data, ("20241001.parquet", rows))
    if not is_dump:
        folder.settings = settings(guard={"most_fall": 1})
        folder.nightly()
    empty = "20241002.parquet" if is_dump else "20241001.parquet"
    folder.export([], empty)
    with folder.context() as context:
        (by_hand,) = run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"]).outcomes
    assert by_hand.outcome == "blocked"
    assert blocked(folder) == [(Reason.SHRUNK, (empty,), rows, 0)]
    assert participations(folder) == rows
    accept(folder)
    assert blocked(folder) == []
    assert participations(folder) == 0


def accept(folder: DataFolder, snapshot_id: str = "agg-001") -> Sequence[BlockedCell]:
    with folder.context() as context:
        return declare.accept(context.catalog, [snapshot_id], folder.now)


def retire(folder: DataFolder, name: str, how: Retirement) -> None:
    with folder.context() as context:
        declare.retire(context, [name], how)


def test_an_accepted_fall_is_counted_once_although_rows_come_meanwhile(
    two_files: DataFolder,
) -> None:
    rewrite(two_files, "main.parquet", 50)
    assert blocked(two_files)
    accept(two_files)
    two_files.export([row(participant_id="new")], "new.parquet")
    assert blocked(two_files) == []
    assert participations(two_files) == 71
    rewrite(two_files, "main.parquet", 10)
    assert blocked(two_files) == [(Reason.SHRUNK, ("main.parquet",), 76, 36)]


def test_an_acceptance_ends_when_the_rows_are_back(two_files: DataFolder) -> None:
    content = path_of(two_files, "main.parquet").read_bytes()
    rewrite(two_files, "main.parquet", 50)
    assert blocked(two_files)
    accept(two_files)
    path_of(two_files, "main.parquet").write_bytes(content)
    assert blocked(two_files) == []
    rewrite(two_files, "main.parquet", 50)
    assert blocked(two_files) == [(Reason.SHRUNK, ("main.parquet",), 125, 75)]


def test_a_retracted_export_is_counted_without(two_files: DataFolder) -> None:
    path_of(two_files, "corrections.parquet").unlink()
    assert blocked(two_files)
    retire(two_files, "corrections.parquet", Retirement.RETRACT)
    assert blocked(two_files) == []
    assert participations(two_files) == 100


def test_an_export_deleted_by_law_leaves_numbers_for_good(two_files: DataFolder) -> None:
    path_of(two_files, "corrections.parquet").unlink()
    retire(two_files, "corrections.parquet", Retirement.KEEP)
    two_files.export([row(participant_id="new")], "new.parquet")
    assert blocked(two_files) == []
    assert participations(two_files) == 120
    with two_files.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"], force=True)
    assert participations(two_files) == 101
    assert blocked(two_files) == []


def test_a_retirement_ends_when_the_export_is_back_and_the_next_nightly_run_finds_no_change(
    two_files: DataFolder,
) -> None:
    content = path_of(two_files, "corrections.parquet").read_bytes()
    path_of(two_files, "corrections.parquet").unlink()
    retire(two_files, "corrections.parquet", Retirement.KEEP)
    two_files.nightly()
    path_of(two_files, "corrections.parquet").write_bytes(content)
    assert two_files.nightly().changed
    assert not two_files.nightly().changed
    path_of(two_files, "corrections.parquet").unlink()
    assert blocked(two_files) == [(Reason.GONE, ("corrections.parquet",), 125, 100)]


def test_a_forced_run_counts_in_spite_of_a_block(two_files: DataFolder) -> None:
    path_of(two_files, "main.parquet").unlink()
    assert blocked(two_files)
    with two_files.context() as context:
        (unforced,) = run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"]).outcomes
        assert unforced.outcome == "blocked"
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"], force=True)
    assert participations(two_files) == 25
    assert blocked(two_files) == []
