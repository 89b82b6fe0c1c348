"""What nights lay down of the exports: never another answer than reading everything anew."""

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

from pipeline.engines import ScanRequest
from pipeline.engines.polars import partials, scan, survey
from pipeline.errors import ExportsChanged
from pipeline.model import periods
from pipeline.runs import compute, nightly
from tests.pipeline import given as exports
from tests.pipeline.given import CELL, House, people, row, write
from tests.pipeline.test_properties import CHOSEN, Drawn, files, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engines.polars.survey import Judged

OCTOBER = periods.parse("rp-2024-m10").ordinal
NAMES = ("a", "b", "c", "d", "e")
Change = tuple[str, Drawn | None]
changes = st.lists(
    st.tuples(st.sampled_from(NAMES), st.none() | files(most_rows=8)), min_size=1, max_size=3
)
"""Each a file that is written anew, or taken away."""


def apply(data: Path, made: Sequence[Change]) -> None:
    for name, drawn in made:
        path = data / "exports" / f"{name}.parquet"
        if drawn is None:
            path.unlink(missing_ok=True)
        else:
            write(data, drawn.table, path.name, row_group_size=drawn.row_group_size)


def asked(data: Path, organisations: set[str] | None = None) -> ScanRequest:
    return ScanRequest.of(exports.read(data, CHOSEN).accepted, CHOSEN, organisations)


def all_of(found: Judged) -> Any:
    """Everything that a reading tells."""
    numbers = {cell: plain(of) for cell, of in found.breakdowns("quarter", None).items()}
    named = found.organisations_by_file
    return (
        numbers,
        found.contents("quarter"),
        found.ledger,
        found.unplaced,
        named,
        found.left_out(found.contents("month")),
    )


def of_organisation(found: Judged, org_id: str) -> Any:
    """What a reading tells of the cells of one organisation."""
    contents = {c: of for c, of in found.contents("month").items() if c.org_id == org_id}
    numbers = {cell: plain(of) for cell, of in found.breakdowns("month", list(contents)).items()}
    lines = {key: of for key, of in found.left_out(contents).items() if key is not None}
    return numbers, contents, lines


@given(st.lists(changes, min_size=2, max_size=5), st.integers(1, 20))
def test_nights_that_read_only_what_changed_say_what_one_that_reads_all_says(
    nights: list[list[Change]], batch_rows: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        data = Path(folder)
        (data / "exports").mkdir()
        patch.setattr(scan, "BATCH_ROWS", batch_rows)
        for made in nights:
            apply(data, made)
            found = survey.survey(asked(data), data, reuse=True, lay=True)
            found.keep()
            assert all_of(found) == all_of(survey.survey(asked(data)))


@given(changes, changes, st.integers(1, 20))
def test_a_run_that_reads_only_what_changed_since_the_night_says_the_same(
    before: list[Change], since: list[Change], batch_rows: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        data = Path(folder)
        (data / "exports").mkdir()
        patch.setattr(scan, "BATCH_ROWS", batch_rows)
        apply(data, before)
        survey.survey(asked(data), data, lay=True).keep()
        apply(data, since)
        found = survey.survey(asked(data, {"1"}), data, reuse=True)
        everything = survey.survey(asked(data))
        assert of_organisation(found, "1") == of_organisation(everything, "1")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from their first column to their last."""
    names: list[str] = []
    excerpt = partials.excerpt

    def watched(parts: Any, *rest: Any) -> Any:
        names.extend(part.export.file.name for part in parts)
        return excerpt(parts, *rest)

    monkeypatch.setattr(partials, "excerpt", watched)
    monkeypatch.setattr(scan, "BATCH_ROWS", 4)
    return names


def three_files(house: House) -> None:
    for number in range(1, 4):
        name, activity = f"{number}.parquet", f"a{number}"
        house.export(people(4, org_id=f"org-{number}", activity_id=activity), name)
    house.night()


def test_a_night_reads_the_file_that_changed_and_no_other(house: House, read: list[str]) -> None:
    three_files(house)
    read.clear()
    house.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    house.night()
    assert read == ["2.parquet"]
    assert house.versions() == {
        "org-1 rp-2024-q4": 1,
        "org-2 rp-2024-q4": 2,
        "org-3 rp-2024-q4": 1,
    }


def test_a_correction_in_a_new_file_has_the_file_read_that_it_corrects(
    house: House, read: list[str]
) -> None:
    three_files(house)
    read.clear()
    corrected = row(org_id="org-3", activity_id="a3", participant_id="p1", deleted=True)
    house.export([corrected] * 2, "4.parquet")
    house.night()
    assert sorted(read) == ["3.parquet", "4.parquet"]
    assert house.published()["org-3", "rp-2024-q4"].total.participations == 3


def test_a_run_after_a_night_reads_no_file_again(house: House, read: list[str]) -> None:
    three_files(house)
    (house.data / "snapshots" / "agg-001" / "v1.json").unlink()
    read.clear()
    with house.work() as work:
        ended = compute.run_cells(work, [periods.parse("rp-2024")], ["org-1"])
    assert read == []
    assert [outcome.outcome for outcome in ended.outcomes] == ["computed"]


@pytest.mark.parametrize("how", ["gone", "cut", "changed", "empty", "index"])
def test_damaged_excerpts_are_read_from_the_exports_again(
    house: House, read: list[str], how: str
) -> None:
    three_files(house)
    for path in (house.data / "excerpts").glob("*.zip" if how != "index" else "*.json"):
        content = path.read_bytes()
        middle = len(content) // 2
        spoilt = content[: middle - 20] + bytes(40) + content[middle + 20 :]
        path.write_bytes({"cut": content[:middle], "empty": b""}.get(how, spoilt))
        if how == "gone":
            path.unlink()
    read.clear()
    house.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    house.night()
    assert {"1.parquet", "2.parquet", "3.parquet"} == set(read)
    assert house.published()["org-2", "rp-2024-q4"].total.people == 3


def leave_out(house: House, named: str) -> None:
    """Write excerpts anew without what is named so."""
    missing: set[str] = set()
    for path in (house.data / "excerpts").glob("*.zip"):
        with zipfile.ZipFile(path) as whole:
            contents = {name: whole.read(name) for name in whole.namelist()}
        missing.update(name for name in contents if name.startswith(named))
        with zipfile.ZipFile(path, "w") as cut:
            for name in contents.keys() - missing:
                cut.writestr(name, contents[name])
    assert missing


@pytest.mark.parametrize("named", ["keys", "sums", "participant_id-", "activity_id-"])
def test_an_excerpt_that_lacks_a_part_is_damaged(house: House, named: str) -> None:
    """A month whose ids are not there must not pass for one in which nobody took part."""
    three_files(house)
    leave_out(house, named)
    house.export(people(3, org_id="org-1", activity_id="other"), "2.parquet")
    house.night()
    assert house.published()["org-1", "rp-2024-q4"].total.people == 4
    assert house.published()["org-1", "rp-2024-q4"].total.activities == 2


def test_other_rules_have_everything_read_again(house: House, read: list[str]) -> None:
    three_files(house)
    read.clear()
    house.settings = exports.settings(max_hours=1)
    house.night()
    assert set(read) == {"1.parquet", "2.parquet", "3.parquet"}
    assert house.published()["org-1", "rp-2024-q4"].total.participations == 0


def test_a_full_night_reads_everything_again(house: House, read: list[str]) -> None:
    three_files(house)
    read.clear()
    house.night(full=True)
    assert set(read) == {"1.parquet", "2.parquet", "3.parquet"}


def test_what_is_laid_down_of_an_export_goes_with_it(house: House) -> None:
    """Exports are deleted by law; what was taken from them must not stay."""
    three_files(house)
    (house.data / "exports" / "2.parquet").unlink()
    house.night()
    laid = b"".join(path.read_bytes() for path in (house.data / "excerpts").iterdir())
    assert b"org-1" in laid
    assert b"org-2" not in laid


def test_no_participant_is_laid_down_by_name(house: House) -> None:
    rows = [row(participant_id="01019912345", hours=hours) for hours in (1.0, 2.0, 99.0)]
    house.export([*rows, row(participant_id="02029912345", hours=99.0)])
    house.night()
    laid = [path.read_bytes() for path in (house.data / "excerpts").iterdir()]
    assert len(laid) == 2
    assert not [content for content in laid if b"9912345" in content]


@pytest.mark.parametrize("lost", ["", f"participant_id-{OCTOBER}"], ids=["all", "the last month"])
def test_what_is_taken_away_during_a_night_is_read_from_the_exports_once_more(
    house: House, read: list[str], lost: str
) -> None:
    """Each file twice in all, however many periods of whatever kind there are to be counted."""
    house.settings = exports.settings(periods=["quarter", "year"])
    for month in (1, 4, 7, 10):
        started = datetime(2024, month, 9, 9, tzinfo=UTC)
        rows = people(month, started_at=started, activity_id=f"a{month}")
        house.export(rows, f"{month}.parquet")

    def take_away(event: str, **_: object) -> None:
        if event == "exports_read":
            leave_out(house, lost)

    with house.work() as work:
        nightly.run(replace(work, tell=take_away))
    assert sorted(read) == sorted(f"{month}.parquet" for month in (1, 4, 7, 7, 10, 10, 10) * 2)
    assert {period: found.total.people for (_, period), found in house.published().items()} == {
        "rp-2024-q1": 1,
        "rp-2024-q2": 4,
        "rp-2024-q3": 7,
        "rp-2024-q4": 10,
        "rp-2024": 10,
    }


def test_exports_that_change_where_they_must_be_read_once_more_are_told(house: House) -> None:
    house.export(people(3))

    def take_away(event: str, **_: object) -> None:
        if event == "exports_read":
            leave_out(house, "")
            house.export(people(4, org_id="org-2"))

    with house.work() as work, pytest.raises(ExportsChanged, match=r"a\.parquet"):
        nightly.run(replace(work, tell=take_away))
    assert house.published() == {}


def test_deleting_what_is_laid_down_loses_nothing(house: House) -> None:
    three_files(house)
    for path in (house.data / "excerpts").iterdir():
        path.unlink()
    house.export(people(3, org_id="org-2", activity_id="a2"), "2.parquet")
    house.night()
    assert house.versions()["org-2 rp-2024-q4"] == 2
    assert house.published()[CELL].total.people == 4
