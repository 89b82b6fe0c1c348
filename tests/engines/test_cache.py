"""The cache of partial aggregates: never another answer than reading everything again."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engines.polars import partials, scan
from pipeline.errors import ExportsChanged
from pipeline.model import periods
from pipeline.runs import nightly
from pipeline.runs.run import run_cells
from tests import given as exports
from tests.drawn_exports import CHOSEN, Drawn, files, plain
from tests.engines.division import divide_finely
from tests.given import (
    CELL,
    DataFolder,
    cached_survey,
    numbers_of,
    people,
    row,
    survey_of,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engines import Survey

OCTOBER = periods.parse("rp-2024-m10").ordinal
NAMES = ("a", "b", "c", "d", "e")
Change = tuple[str, Drawn | None]
changes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.none() | files(most_rows=8)), min_size=1, max_size=3
)
"""Changes of the exports: each rewrites or deletes a file."""


def cache_folder(folder: DataFolder) -> Path:
    return folder.data / "cache" / "polars"


def apply(data: Path, made: Sequence[Change]) -> None:
    for name, drawn in made:
        path = data / "exports" / f"{name}.parquet"
        if drawn is None:
            path.unlink(missing_ok=True)
        else:
            write(data, drawn.table, path.name, row_group_size=drawn.row_group_size)


def all_of(found: Survey) -> Any:
    """Collect all answers of a survey."""
    numbers = {cell: plain(of) for cell, of in numbers_of(found).items()}
    named = found.organisations_by_file
    return (
        numbers,
        found.contents("quarter"),
        found.ledger,
        found.rows_without_cell,
        named,
        found.checksums,
        found.rows_by_file,
        found.rejected_rows(found.contents("month")),
        found.unplaced_rows(),
    )


def of_organisation(found: Survey, org_id: str) -> Any:
    """Collect all answers of a survey about the cells of one organisation."""
    contents = {c: of for c, of in found.contents("month").items() if c.org_id == org_id}
    batches = found.count("month", list(contents))
    numbers = {cell: plain(of) for batch in batches for cell, of in batch.items()}
    return numbers, contents, found.rejected_rows(contents)


@pytest.mark.no_cover
@given(st.lists(changes, min_size=2, max_size=5), st.integers(1, 20))
def test_nightly_runs_that_read_only_what_changed_give_what_reading_everything_gives(
    nightly_runs: list[list[Change]], batch_rows: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        data = Path(folder)
        (data / "exports").mkdir()
        divide_finely(patch, batch_rows)
        for made in nightly_runs:
            apply(data, made)
            found = cached_survey(data, CHOSEN, writes=True)
            found.commit()
            assert all_of(found) == all_of(survey_of(data, CHOSEN))


@pytest.mark.no_cover
@given(changes, changes, st.integers(1, 20))
def test_a_run_that_reads_only_what_changed_since_gives_the_same(
    before: list[Change], since: list[Change], batch_rows: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        data = Path(folder)
        (data / "exports").mkdir()
        divide_finely(patch, batch_rows)
        apply(data, before)
        cached_survey(data, CHOSEN, writes=True).commit()
        apply(data, since)
        found = cached_survey(data, CHOSEN, {"1"})
        everything = survey_of(data, CHOSEN)
        assert of_organisation(found, "1") == of_organisation(everything, "1")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files that are read with all their columns."""
    names: list[str] = []
    aggregate = partials.aggregate

    def watched(splits: Any, *rest: Any) -> Any:
        names.extend(split.export.file.name for split in splits)
        return aggregate(splits, *rest)

    monkeypatch.setattr(partials, "aggregate", watched)
    monkeypatch.setattr(scan, "BATCH_ROWS", 4)
    return names


def three_files(folder: DataFolder) -> None:
    for number in range(1, 4):
        name, activity = f"{number}.parquet", f"a{number}"
        folder.export(people(4, org_id=f"org-{number}", activity_id=activity), name)
    folder.nightly()


def test_a_nightly_run_reads_the_file_that_changed_and_no_other(
    folder: DataFolder, read: list[str]
) -> None:
    three_files(folder)
    read.clear()
    folder.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    folder.nightly()
    assert read == ["2.parquet"]
    assert folder.versions() == {
        "org-1 rp-2024-q4": 1,
        "org-2 rp-2024-q4": 2,
        "org-3 rp-2024-q4": 1,
    }


def test_a_correction_in_a_new_file_has_the_file_read_that_it_corrects(
    folder: DataFolder, read: list[str]
) -> None:
    three_files(folder)
    read.clear()
    corrected = row(org_id="org-3", activity_id="a3", participant_id="p1", deleted=True)
    folder.export([corrected] * 2, "4.parquet")
    folder.nightly()
    assert sorted(read) == ["3.parquet", "4.parquet"]
    assert folder.published()["org-3", "rp-2024-q4"].total["participations"] == 3


def test_a_run_after_a_nightly_run_reads_no_file_again(folder: DataFolder, read: list[str]) -> None:
    three_files(folder)
    (folder.data / "snapshots" / "agg-001" / "v1.json").unlink()
    read.clear()
    with folder.context() as context:
        ended = run_cells(context, [periods.parse("rp-2024")], ["org-1"])
    assert read == []
    assert [outcome.outcome for outcome in ended.outcomes] == ["computed"]


@pytest.mark.parametrize("how", ["gone", "cut", "changed", "empty", "manifest"])
def test_a_damaged_cache_is_ignored_and_the_exports_are_read_again(
    folder: DataFolder, read: list[str], how: str
) -> None:
    three_files(folder)
    for path in cache_folder(folder).glob("*.zip" if how != "manifest" else "*.json"):
        content = path.read_bytes()
        middle = len(content) // 2
        spoilt = content[: middle - 20] + bytes(40) + content[middle + 20 :]
        path.write_bytes({"cut": content[:middle], "empty": b""}.get(how, spoilt))
        if how == "gone":
            path.unlink()
    read.clear()
    folder.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    folder.nightly()
    assert {"1.parquet", "2.parquet", "3.parquet"} == set(read)
    assert folder.published()["org-2", "rp-2024-q4"].total["people"] == 3


def leave_out(folder: DataFolder, named: str) -> None:
    """Rewrite the batches without the members named so."""
    missing: set[str] = set()
    for path in cache_folder(folder).glob("*.zip"):
        with zipfile.ZipFile(path) as whole:
            contents = {name: whole.read(name) for name in whole.namelist()}
        missing.update(name for name in contents if name.startswith(named))
        with zipfile.ZipFile(path, "w") as cut:
            for name in contents.keys() - missing:
                cut.writestr(name, contents[name])
    assert missing


@pytest.mark.parametrize(
    "named", ["keys", "sums", "category/participant_id-", "category/activity_id-"]
)
def test_a_batch_that_lacks_a_part_is_damaged(folder: DataFolder, named: str) -> None:
    """A month whose ids are not there must not count as one without participations."""
    three_files(folder)
    leave_out(folder, named)
    folder.export(people(3, org_id="org-1", activity_id="other"), "2.parquet")
    folder.nightly()
    assert folder.published()["org-1", "rp-2024-q4"].total["people"] == 4
    assert folder.published()["org-1", "rp-2024-q4"].total["activities"] == 2


def test_other_settings_make_every_file_read_again(folder: DataFolder, read: list[str]) -> None:
    three_files(folder)
    read.clear()
    folder.settings = exports.settings(max_hours=1)
    folder.nightly()
    assert set(read) == {"1.parquet", "2.parquet", "3.parquet"}
    assert folder.published()["org-1", "rp-2024-q4"].total["participations"] == 0


def test_a_full_nightly_run_reads_everything_again(folder: DataFolder, read: list[str]) -> None:
    three_files(folder)
    read.clear()
    folder.nightly(full=True)
    assert set(read) == {"1.parquet", "2.parquet", "3.parquet"}


def test_the_cache_of_an_export_is_deleted_with_it(folder: DataFolder) -> None:
    """Exports are deleted by law; what was taken from them must not stay."""
    three_files(folder)
    (folder.data / "exports" / "2.parquet").unlink()
    folder.nightly()
    content = b"".join(path.read_bytes() for path in cache_folder(folder).iterdir())
    assert b"org-1" in content
    assert b"org-2" not in content


def test_no_participant_is_in_the_cache_by_name(folder: DataFolder) -> None:
    rows = [row(participant_id="01019912345", hours=hours) for hours in (1.0, 2.0, 99.0)]
    folder.export([*rows, row(participant_id="02029912345", hours=99.0)])
    folder.nightly()
    content = [path.read_bytes() for path in cache_folder(folder).iterdir()]
    assert len(content) == 2
    assert not [one for one in content if b"9912345" in one]


@pytest.mark.parametrize(
    "lost", ["", f"category/participant_id-{OCTOBER}"], ids=["all", "the last month"]
)
def test_a_cache_deleted_during_a_nightly_run_is_read_from_the_exports_once_more(
    folder: DataFolder, read: list[str], lost: str
) -> None:
    """Each file twice in all, for any number and kind of periods to be counted."""
    folder.settings = exports.settings(periods=["quarter", "year"])
    for month in (1, 4, 7, 10):
        started = datetime(2024, month, 9, 9, tzinfo=UTC)
        rows = people(month, started_at=started, activity_id=f"a{month}")
        folder.export(rows, f"{month}.parquet")

    def take_away(event: str, **_: object) -> None:
        if event == "exports_read":
            leave_out(folder, lost)

    with folder.context() as context:
        nightly.run(replace(context, events=take_away))
    assert sorted(read) == sorted(f"{month}.parquet" for month in (1, 4, 7, 7, 10, 10, 10) * 2)
    assert {period: found.total["people"] for (_, period), found in folder.published().items()} == {
        "rp-2024-q1": 1,
        "rp-2024-q2": 4,
        "rp-2024-q3": 7,
        "rp-2024-q4": 10,
        "rp-2024": 10,
    }


def test_exports_that_change_when_they_must_be_read_once_more_are_named(folder: DataFolder) -> None:
    folder.export(people(3))

    def take_away(event: str, **_: object) -> None:
        if event == "exports_read":
            leave_out(folder, "")
            folder.export(people(4, org_id="org-2"))

    with folder.context() as context, pytest.raises(ExportsChanged, match=r"a\.parquet"):
        nightly.run(replace(context, events=take_away))
    assert folder.published() == {}


def test_deleting_the_cache_loses_nothing(folder: DataFolder) -> None:
    three_files(folder)
    for path in cache_folder(folder).iterdir():
        path.unlink()
    folder.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    folder.nightly()
    assert folder.versions()["org-2 rp-2024-q4"] == 2
    assert folder.published()[CELL].total["people"] == 4
