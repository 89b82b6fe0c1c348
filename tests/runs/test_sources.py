"""Each source has its own columns and categories, and a dump replaces the one before it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.model.states import Reason
from tests.given import DataFolder, people, row, settings, table, write

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = {
    "name": "members",
    "files": "members/**",
    "columns": {"hours": "Timer"},
    "categories": {"Klubb": "ungdom"},
}


def test_each_source_has_its_own_columns_and_categories(local_engine: str, data: Path) -> None:
    folder = DataFolder(
        data,
        settings(
            engine={"name": local_engine},
            export={"categories": {"Klubb": "eldre"}},
            sources=[MEMBERS, {"name": "rest"}],
        ),
    )
    ours = table([row(participant_id="p1", bufdir_category="Klubb", hours=3.0)])
    names = ["Timer" if name == "hours" else name for name in ours.column_names]
    write(data, ours.rename_columns(names), "members/a.parquet")
    folder.export([row(participant_id="p2", bufdir_category="Klubb", hours=5.0)], "other.parquet")
    folder.nightly()
    (version,) = folder.published().values()
    categories = {name: one["participations"] for name, one in version.categories.items()}
    assert (version.total["seconds"], categories["ungdom"], categories["eldre"]) == (8 * 3600, 1, 1)


def test_a_newer_dump_replaces_the_one_before_it(local_engine: str, data: Path) -> None:
    folder = DataFolder(
        data,
        settings(engine={"name": local_engine}, sources=[{"name": "register", "mode": "dump"}]),
    )
    folder.export(people(20), "register_20241001.parquet")
    folder.nightly()
    folder.export(people(19), "register_20241002.parquet")
    result = folder.nightly()
    assert (result.rows, result.unread.set_aside) == (19, ["register_20241001.parquet"])
    (version,) = folder.published().values()
    assert version.total["participations"] == 19


def test_an_older_dump_that_is_set_aside_is_named_once(data: Path) -> None:
    folder = DataFolder(data, settings(sources=[{"name": "register", "mode": "dump"}]))
    folder.export(people(3), "20241001.parquet")
    folder.export(people(3), "20241002.parquet")
    assert folder.nightly().unread.set_aside == ["20241001.parquet"]
    assert folder.nightly().unread.set_aside == []


def test_a_newer_dump_takes_no_rows_that_a_copy_of_the_older_one_still_has(data: Path) -> None:
    folder = DataFolder(
        data,
        settings(
            sources=[
                {"name": "register", "files": "register/**", "mode": "dump"},
                {"name": "others"},
            ]
        ),
    )
    rows = people(100)
    folder.export(rows, "register/20241001.parquet")
    folder.nightly()
    folder.export(rows, "a copy.parquet")
    folder.export(rows[50:], "register/20241002.parquet")
    assert list(folder.nightly().blocked) == []
    (version,) = folder.published().values()
    assert version.total["participations"] == 100


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_dump_of_several_files_blocks_although_one_of_them_has_not_changed(
    data: Path, *, is_removed: bool
) -> None:
    folder = DataFolder(data, settings(sources=[{"name": "register", "mode": "dump"}]))
    parts = [[row(participant_id=f"{part}{n}") for n in range(50)] for part in "ab"]
    for part, rows in zip("ab", parts, strict=True):
        folder.export(rows, f"2024-10-01/{part}.parquet")
    folder.nightly()
    folder.export(parts[0], "2024-10-02/a.parquet")
    folder.export(parts[1][:20], "2024-10-02/b.parquet")
    if is_removed:
        shutil.rmtree(data / "exports" / "2024-10-01")
    (blocked,) = folder.nightly().blocked
    assert (blocked.reason, blocked.rows_before, blocked.rows_now) == (Reason.SHRUNK, 100, 70)


def test_a_change_to_a_source_makes_the_next_nightly_run_look_again(data: Path) -> None:
    folder = DataFolder(data)
    folder.export(people(2), "20241001.parquet")
    folder.export(people(3), "20241002.parquet")
    assert folder.nightly().rows == 5
    dumps = DataFolder(data, settings(sources=[{"name": "register", "mode": "dump"}]))
    result = dumps.nightly()
    assert (result.changed, result.rows) == (True, 3)
