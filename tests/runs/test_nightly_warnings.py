"""Warnings of nightly runs: what blocks nothing, and may be wrong all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.storage import nightly_record
from tests.given import MAPPING, NOW, SUMMER, DataFolder, people, row, settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.runs.context import NightlyResult


def same_content(result: NightlyResult) -> list[list[str]]:
    return [list(names) for names in result.warnings.same_content]


def silent(folder: DataFolder) -> list[str]:
    return list(folder.nightly().warnings.silent)


def left_out(result: NightlyResult) -> list[tuple[str, Sequence[str], int, int, int, int]]:
    return [
        (one.reason, one.organisations, one.before, one.rows_before, one.now, one.rows_now)
        for one in result.warnings.left_out
    ]


def test_two_exports_with_the_same_rows_are_named_by_every_nightly_run(folder: DataFolder) -> None:
    folder.export(people(3), "a.parquet")
    folder.export([*reversed(people(3))], "b.parquet")
    folder.export(people(4), "c.parquet")
    for changed in (True, False):
        result = folder.nightly()
        assert (result.changed, same_content(result)) == (changed, [["a.parquet", "b.parquet"]])
    (folder.data / "exports" / "b.parquet").unlink()
    assert same_content(folder.nightly()) == []


def test_exports_without_rows_are_not_the_same_file(folder: DataFolder) -> None:
    folder.export([], "a.parquet")
    folder.export([], "b.parquet")
    assert same_content(folder.nightly()) == []


def test_dumps_that_do_not_count_are_not_compared(data: Path) -> None:
    folder = DataFolder(data, settings(sources=[{"name": "register", "mode": "dump"}]))
    folder.export(people(3), "20241001.parquet")
    folder.export(people(3), "20241002.parquet")
    assert same_content(folder.nightly()) == []


@pytest.fixture
def two_sources(data: Path) -> DataFolder:
    """An export of each of two sources, found at one time; five days without more may pass."""
    folder = DataFolder(
        data,
        settings(
            sources=[
                {"name": "clubs", "files": "clubs/**"},
                {"name": "schools", "files": "schools/**", "mode": "dump"},
            ],
            guard={"most_silent_days": 5},
        ),
    )
    folder.export(people(3), "clubs/a.parquet")
    folder.export(people(3, org_id="org-2"), "schools/20240101.parquet")
    assert silent(folder) == []
    return folder


def test_a_source_without_anything_new_for_too_many_days_is_named_on_quiet_nights_too(
    two_sources: DataFolder,
) -> None:
    two_sources.now = NOW + timedelta(days=4)
    two_sources.export(people(4), "clubs/a.parquet")
    assert silent(two_sources) == []
    for days, sources in ((5, []), (6, ["schools"]), (9, ["schools"]), (10, ["clubs", "schools"])):
        two_sources.now = NOW + timedelta(days=days, minutes=-days)
        result = two_sources.nightly()
        assert (result.changed, list(result.warnings.silent)) == (False, sources)


def test_a_new_name_or_a_new_content_is_something_new(two_sources: DataFolder) -> None:
    two_sources.now = NOW + timedelta(days=10)
    two_sources.export(people(3, org_id="org-2"), "schools/20240102.parquet")
    assert silent(two_sources) == ["clubs"]
    two_sources.export(people(4), "clubs/a.parquet")
    assert silent(two_sources) == []


def test_the_same_rows_written_again_are_nothing_new(two_sources: DataFolder) -> None:
    two_sources.now = NOW + timedelta(days=10)
    two_sources.export([*reversed(people(3))], "clubs/a.parquet")
    assert silent(two_sources) == ["clubs", "schools"]


def test_a_source_of_which_no_export_ever_came_is_named(two_sources: DataFolder) -> None:
    sources = [*two_sources.settings.sources, {"name": "choirs", "files": "choirs/**"}]
    two_sources.settings = settings(sources=sources, guard={"most_silent_days": 5})
    assert silent(two_sources) == []
    two_sources.now = NOW + timedelta(days=6)
    assert silent(two_sources) == ["clubs", "schools", "choirs"]


def test_the_bound_of_silence_changes_no_number_and_may_be_set_at_any_time(
    folder: DataFolder,
) -> None:
    folder.export(people(3))
    folder.nightly()
    folder.now = NOW + timedelta(days=3)
    assert silent(folder) == []
    folder.settings = settings(guard={"most_silent_days": 2})
    result = folder.nightly()
    assert (result.changed, list(result.warnings.silent)) == (False, ["exports"])


def test_a_record_of_an_earlier_release_begins_to_count_days_now(two_sources: DataFolder) -> None:
    with two_sources.context() as context, context.catalog.transaction():
        context.catalog.execute("UPDATE nightly_record SET body = json_remove(body, '$.last_new')")
    two_sources.now = NOW + timedelta(days=10)
    assert silent(two_sources) == []
    with two_sources.context() as context:
        record = nightly_record.read(context.catalog)
    assert record is not None
    assert record.last_new == {"clubs": two_sources.now, "schools": two_sources.now}


def test_categories_renamed_at_the_source_are_named_although_no_cell_lost_rows(
    folder: DataFolder,
) -> None:
    folder.export([*people(50), *people(60, org_id="org-2")], "a.parquet")
    folder.export(people(40, org_id="org-3"), "b.parquet")
    assert left_out(folder.nightly()) == []
    renamed = people(50, bufdir_category="Youth")
    both = [*renamed, *people(60, org_id="org-2", bufdir_category="Youth")]
    folder.export(both, "a.parquet")
    result = folder.nightly()
    assert result.blocked == []
    assert left_out(result) == [("unknown_category", ["org-1", "org-2"], 0, 110, 110, 110)]
    assert left_out(folder.nightly()) == []


def test_a_lost_decimal_comma_is_named(folder: DataFolder) -> None:
    folder.export([*people(200), row(participant_id="x", hours=99)])
    folder.nightly()
    folder.export([*people(170), *people(200, hours=25.0)[170:]])
    assert left_out(folder.nightly()) == [("hours_too_long", ["org-1"], 1, 201, 30, 200)]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (0, 10),  # few rows, whatever their share
        (0, 19),  # under a tenth
        (3, 60),  # not rare before
    ],
)
def test_a_share_that_is_small_or_was_not_is_no_jump(
    folder: DataFolder, before: int, now: int
) -> None:
    total = 20 if now == 10 else 200

    def rows(bad: int) -> list[dict[str, object]]:
        return [*people(total - bad), *people(total, bufdir_category="x")[total - bad :]]

    folder.export(rows(before))
    folder.nightly()
    folder.export(rows(now))
    assert left_out(folder.nightly()) == []


def test_rows_of_several_kinds_of_period_count_once(data: Path) -> None:
    folder = DataFolder(data, settings(periods=["year", "quarter"], export={"categories": MAPPING}))
    folder.export([*people(30), *people(30, started_at=SUMMER, activity_id="b")])
    folder.nightly()
    folder.export([*people(30), *people(30, started_at=SUMMER, activity_id="b", hours=None)])
    assert left_out(folder.nightly()) == [("hours_missing", ["org-1"], 0, 60, 30, 60)]
