"""A night brings up to date what is stale, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engines.polars import survey
from pipeline.errors import ExportsChanged, StoreDamaged
from pipeline.model import numbers, periods
from pipeline.runs import compute, lifecycle, nightly, reindex
from pipeline.storage import nightly_record, run_queue, version_files
from tests.pipeline.given import (
    AUTUMN,
    CELL,
    NOW,
    SUMMER,
    House,
    became,
    computed,
    ledger,
    people,
    row,
    settings,
    table,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.model.versions import Version

SPRING = datetime(2024, 4, 9, 9, tzinfo=UTC)
Q2, Q3, Q4 = ("org-1 rp-2024-q2", "org-1 rp-2024-q3", "org-1 rp-2024-q4")
OTHER = "org-2 rp-2024-q4"
EARLIER = datetime(2024, 12, 1, tzinfo=UTC)
LATER = datetime(2024, 12, 2, tzinfo=UTC)
MAPPING = {"Klubb": "ungdom", "Eldretreff": "eldre"}


@pytest.fixture
def lived(house: House) -> House:
    """A house with four cells in three files, after its first night."""
    house.settings = settings(export={"categories": MAPPING})
    house.export(people(3, updated_at=EARLIER), "autumn.parquet")
    house.export(
        [
            row(
                participant_id="s1", started_at=SUMMER, updated_at=EARLIER, bufdir_category="Klubb"
            ),
            row(participant_id="s2", started_at=SPRING, updated_at=EARLIER),
        ],
        "summer.parquet",
    )
    house.export(people(2, org_id="org-2", bufdir_category="Eldretreff"), "other.parquet")
    assert computed(house.night()) == {Q2, Q3, Q4, OTHER}
    return house


def reads(house: House) -> int:
    return sum(event == "exports_read" for event, _ in house.told)


def test_the_first_night_computes_every_cell(lived: House) -> None:
    assert lived.versions() == {Q2: 1, Q3: 1, Q4: 1, OTHER: 1}
    assert {cell: v.total.participations for cell, v in lived.published().items()} == {
        CELL: 3,
        ("org-1", "rp-2024-q3"): 1,
        ("org-1", "rp-2024-q2"): 1,
        ("org-2", "rp-2024-q4"): 2,
    }


def test_ids_go_to_the_newest_period_first_then_by_organisation(lived: House) -> None:
    ids = {version.id: " ".join(cell) for cell, version in lived.published().items()}
    assert ids == {"agg-001": Q4, "agg-002": OTHER, "agg-003": Q3, "agg-004": Q2}


def test_of_several_kinds_the_longer_period_has_the_lower_id(house: House) -> None:
    house.settings = settings(periods=("month", "year", "quarter"))
    house.export([row(started_at=datetime(2024, 1, 5, tzinfo=UTC))])
    house.night()
    with house.work() as work:
        ids = {period: entry.id for (_, period), entry in work.catalog.entries().items()}
    assert ids == {"rp-2024": "agg-001", "rp-2024-q1": "agg-002", "rp-2024-m1": "agg-003"}


def test_a_version_tells_everything_of_its_cell(lived: House) -> None:
    version = lived.published()[CELL]
    assert (version.id, version.version) == ("agg-001", 1)
    assert version.created_at == version.refreshed_at == NOW
    assert version.period_start == datetime(2024, 9, 30, 22, tzinfo=UTC)
    assert version.period_end == datetime(2024, 12, 31, 23, tzinfo=UTC)
    assert version.total.seconds == 3 * 7200
    assert list(version.categories) == list(lived.settings.categories)
    assert ledger(version.ledger) == {"counted": 3}
    with lived.work() as work:
        entry = work.catalog.get("agg-001")
    assert (entry.status, entry.version, entry.participations) == ("completed", 1, 3)
    assert (entry.seconds, entry.activities, entry.rows) == (21_600, 1, 3)


def test_a_second_night_computes_nothing_and_reads_nothing(lived: House) -> None:
    before, files = reads(lived), lived.files()
    night = lived.night()
    assert not night.changed
    assert (night.outcomes, night.rows, night.files) == ((), 7, 3)
    assert reads(lived) == before
    assert lived.files() == files


def test_a_night_after_files_were_touched_finds_that_nothing_has_changed(lived: House) -> None:
    before = lived.published()
    os.utime(lived.data / "exports" / "autumn.parquet")
    assert not lived.night().changed
    assert not lived.night().changed
    assert lived.published() == before


def test_two_files_that_change_places_are_no_files_written_anew(house: House) -> None:
    """The later file wins ties, so the same rows in all come to another number."""
    paths = [house.export([row(hours=hours)], f"{hours:.0f}.parquet") for hours in (1.0, 2.0)]
    house.night()
    assert house.published()[CELL].total.seconds == 2 * 3600
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, reversed(contents), strict=True):
        path.write_bytes(content)
    assert house.night().changed
    assert house.published()[CELL].total.seconds == 3600


def test_rows_left_out_are_named_by_their_new_place_after_a_file_was_written_anew(
    house: House,
) -> None:
    rows = [row(participant_id="p1", hours=99.0), row(participant_id="p2")]
    house.export(rows, "a.parquet")
    house.night()
    house.export(rows[::-1], "a.parquet")
    assert not house.night().changed
    house.export([row(participant_id="p3")], "b.parquet")
    house.night()
    (left_out,) = (house.data / "quarantine").glob("agg-*/v2.jsonl")
    assert [json.loads(line)["row"] for line in left_out.read_text().splitlines()] == [1]


def test_a_file_written_anew_beside_a_snapshot_that_was_deleted_is_no_quiet_night(
    lived: House,
) -> None:
    os.utime(lived.data / "exports" / "autumn.parquet")
    with lived.work() as work:
        lifecycle.delete(work.catalog, "agg-001")
    assert computed(lived.night())


@pytest.fixture
def before_it_is_said(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What happens once files written anew have been read, before it is said what they hold."""
    happens: list[Callable[[], object]] = []
    say_the_same = survey.say_the_same

    def watched(*arguments: Any) -> bool:
        same = say_the_same(*arguments)
        for happening in happens:
            happening()
        return same

    monkeypatch.setattr(survey, "say_the_same", watched)
    return happens


def test_a_snapshot_deleted_while_a_file_written_anew_is_compared_comes_back_in_the_next_night(
    house: House, before_it_is_said: list[Callable[[], object]]
) -> None:
    path = house.export([row()])
    house.night()
    os.utime(path)
    with house.work() as work:
        before_it_is_said.append(lambda: lifecycle.delete(work.catalog, "agg-001"))
        house.night()
    before_it_is_said.clear()
    house.night()
    assert house.published()[CELL].id == "agg-002"


def test_a_file_that_changes_again_while_it_is_compared_is_news(
    house: House, before_it_is_said: list[Callable[[], object]]
) -> None:
    path = house.export([row(hours=1.0)])
    house.night()
    os.utime(path)
    before_it_is_said.append(lambda: house.export([row(hours=5.0)]))
    assert house.night().changed
    assert house.published()[CELL].total.seconds == 5 * 3600


def test_a_period_that_has_begun_is_news_beside_a_file_written_anew(house: House) -> None:
    begins = datetime(2025, 3, 31, 22, tzinfo=UTC)
    path = house.export([row(), row(participant_id="p2", started_at=begins)])
    house.night()
    os.utime(path)
    house.now = begins
    assert computed(house.night()) == {"org-1 rp-2025-q2"}


def test_exports_that_were_only_looked_at_between_nights_are_news_to_the_next(house: House) -> None:
    """As check and verify look at them: what they read was not published."""
    house.export([row(hours=1.0)])
    house.night()
    house.export([row(hours=5.0)])
    with house.work() as work:
        compute.gather(work)
    assert house.night().changed
    assert house.published()[CELL].total.seconds == 5 * 3600


def test_rows_that_come_back_after_a_run_published_others_are_news(house: House) -> None:
    house.export([row(hours=1.0)])
    house.night()
    house.export([row(hours=5.0)])
    with house.work() as work:
        compute.run_cells(work, [periods.parse("rp-2024-q4")], ["org-1"])
    assert house.published()[CELL].total.seconds == 5 * 3600
    house.export([row(hours=1.0)])
    assert house.night().changed
    assert house.published()[CELL].total.seconds == 3600


def test_a_damaged_file_in_place_of_one_is_no_file_written_anew(lived: House) -> None:
    path = lived.data / "exports" / "autumn.parquet"
    content = path.read_bytes()
    middle = len(content) // 3
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    night = lived.night()
    assert night.changed
    assert set(night.refused) == {"autumn.parquet"}


def test_a_file_overwritten_with_its_size_and_times_set_back_is_noticed(house: House) -> None:
    path = house.export([row(hours=1.0)])
    house.night()
    status = path.stat()
    other = house.export([row(hours=3.0)], "b.parquet").read_bytes()
    (house.data / "exports" / "b.parquet").unlink()
    assert len(other) == status.st_size
    path.write_bytes(other)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert computed(house.night()) == {Q4}


@pytest.mark.parametrize("what", ["definitions", "engine"])
def test_other_definitions_or_another_engine_read_everything_again(
    lived: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert not lived.night().changed
    if what == "definitions":
        monkeypatch.setattr(numbers, "DEFINITIONS", "others")
    else:
        monkeypatch.setattr(nightly_record, "installed_version", lambda _: "99.0")
    assert lived.night().changed


def test_an_organisation_that_failed_for_it_was_unknown_completes_once_it_is_known(
    house: House,
) -> None:
    house.export([row()])
    with house.work() as work:
        compute.run_cells(work, [periods.parse("rp-2024-q3")], ["org-2"])
    house.export([row(org_id="org-2")], "b.parquet")
    assert computed(house.night()) >= {"org-2 rp-2024-q3"}
    assert house.published()["org-2", "rp-2024-q3"].total.participations == 0


def test_a_full_night_computes_everything_and_the_digests_stay(lived: House) -> None:
    before = lived.published()
    lived.now = NOW + timedelta(days=1)
    assert computed(lived.night(full=True)) == {Q2, Q3, Q4, OTHER}
    after = lived.published()
    assert lived.versions() == {Q2: 2, Q3: 2, Q4: 2, OTHER: 2}
    for cell, version in after.items():
        assert version == replace_fields(before[cell], {"version": 2, "refreshed_at": lived.now})


def replace_fields(version: Version, changes: dict[str, Any]) -> Version:
    return msgspec.structs.replace(version, **changes)


def test_an_added_file_computes_the_cells_that_it_touches(lived: House) -> None:
    lived.export([row(participant_id="new", started_at=SUMMER)], "added.parquet")
    assert computed(lived.night()) == {Q3}
    assert lived.versions() == {Q2: 1, Q3: 2, Q4: 1, OTHER: 1}


def test_a_changed_file_computes_the_cells_whose_rows_changed(lived: House) -> None:
    lived.export(
        [
            row(
                participant_id="s1", started_at=SUMMER, updated_at=EARLIER, bufdir_category="Klubb"
            ),
            row(participant_id="s2", started_at=SPRING, updated_at=EARLIER, hours=3.0),
        ],
        "summer.parquet",
    )
    assert computed(lived.night()) == {Q2}


@pytest.mark.parametrize(
    "change",
    [
        {"activity_id": "a9"},
        {"participant_id": "p9"},
        {"bufdir_category": "eldre"},
        {"started_at": AUTUMN + timedelta(microseconds=1)},
        {"hours": 2.0000001},
        {"hours": None},
        {"updated_at": EARLIER + timedelta(microseconds=1)},
        {"updated_at": None},
        {"status": "cancelled"},
        {"status": None},
        {"deleted": True},
        {"deleted": None},
    ],
    ids=str,
)
def test_any_change_of_a_row_that_lies_in_a_cell_makes_it_stale(
    house: House, change: dict[str, Any]
) -> None:
    full = {"status": "completed", "deleted": False, "updated_at": EARLIER}
    rest = [row(org_id="org-2", **full), row(participant_id="p2", **full)]
    house.export([row(**full), *rest])
    house.night()
    house.export([row(**full | change), *rest])
    assert computed(house.night()) == {Q4}


def test_a_change_of_a_row_that_does_not_count_makes_its_cell_stale(house: House) -> None:
    house.export([row(), row(participant_id=None, hours=1.0), row(org_id="org-2")])
    house.night()
    house.export([row(), row(participant_id=None, hours=2.0), row(org_id="org-2")])
    assert computed(house.night()) == {Q4}


def test_a_correction_computes_the_cell_that_the_participation_left_too(lived: House) -> None:
    lived.export([row(participant_id="p3", started_at=SPRING, updated_at=LATER)], "late.parquet")
    assert computed(lived.night()) == {Q2, Q4}
    left = lived.published()[CELL]
    assert ledger(left.ledger) == {"counted": 2, "superseded": 1}


def test_a_change_of_a_superseding_row_elsewhere_makes_the_cell_that_was_left_stale(
    lived: House,
) -> None:
    lived.export([row(participant_id="p3", started_at=SPRING, updated_at=LATER)], "late.parquet")
    lived.night()
    lived.export([row(participant_id="p3", started_at=SUMMER, updated_at=LATER)], "late.parquet")
    assert computed(lived.night()) == {Q2, Q3, Q4}


def test_a_removed_file_brings_older_statements_back(lived: House) -> None:
    correction = lived.export(
        [row(participant_id="p3", deleted=True, updated_at=LATER)], "z.parquet"
    )
    lived.night()
    assert ledger(lived.published()[CELL].ledger) == {"counted": 2, "superseded": 1, "deleted": 1}
    correction.unlink()
    assert computed(lived.night()) == {Q4}
    assert ledger(lived.published()[CELL].ledger) == {"counted": 3}


def test_a_cell_that_no_export_touches_any_longer_keeps_its_version_and_the_night_says_so(
    lived: House,
) -> None:
    before = lived.published()
    (lived.data / "exports" / "summer.parquet").unlink()
    night = lived.night()
    assert became(night) == {Q2: "kept", Q3: "kept", Q4: "unchanged", OTHER: "unchanged"}
    assert lived.published() == before


def test_an_organisation_whose_exports_are_all_gone_keeps_its_versions(lived: House) -> None:
    (lived.data / "exports" / "other.parquet").unlink()
    assert became(lived.night())[OTHER] == "kept"
    assert lived.versions()[OTHER] == 1
    assert became(lived.night(full=True))[OTHER] == "kept"


def test_only_a_forced_run_computes_anew_what_no_export_touches(lived: House) -> None:
    (lived.data / "exports" / "summer.parquet").unlink()
    period = periods.parse("rp-2024-q3")
    with lived.work() as work:
        (unforced,) = compute.run_cells(work, [period], ["org-1"]).outcomes
        (forced,) = compute.run_cells(work, [period], ["org-1"], force=True).outcomes
    assert (unforced.outcome, forced.outcome) == ("kept", "computed")
    assert lived.published()["org-1", "rp-2024-q3"].total.participations == 0


def test_all_exports_gone_keeps_everything(lived: House) -> None:
    before = lived.published()
    for path in (lived.data / "exports").iterdir():
        path.unlink()
    night = lived.night()
    assert set(became(night).values()) == {"kept"}
    assert lived.published() == before


def test_a_replaced_file_with_the_same_rows_makes_nothing_stale(lived: House) -> None:
    path = lived.data / "exports" / "autumn.parquet"
    copy = path.with_suffix(".tmp")
    shutil.copy(path, copy)
    copy.replace(path)
    assert computed(lived.night()) == set()


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
    lived: House, rewritten: str, in_one_file: bool
) -> None:
    before = lived.published()
    path = lived.data / "exports" / "autumn.parquet"
    with pq.ParquetFile(path) as file:
        rows = file.read()
    path.unlink()
    write_autumn: dict[str, Callable[[], object]] = {
        "reversed": lambda: write(lived.data, rows.take([2, 1, 0]), path.name),
        "row groups": lambda: write(lived.data, rows, path.name, row_group_size=1),
        "compression": lambda: write(
            lived.data, rows, path.name, compression="gzip", use_dictionary=False
        ),
        "types": lambda: write(lived.data, other_types(rows), path.name),
        "columns": lambda: write(lived.data, rows.append_column("Kommune", [["x"] * 3]), path.name),
        "split": lambda: [
            write(lived.data, part, f"{n}/a.parquet") for n, part in enumerate(parts(rows, 1))
        ],
        "renamed": lambda: write(lived.data, rows, "elsewhere/z.parquet"),
        "merged": lambda: merge(lived, rows),
    }
    write_autumn[rewritten]()
    night = lived.night()
    assert night.changed is not in_one_file
    unchanged = {} if in_one_file else dict.fromkeys((Q2, Q3, Q4, OTHER), "unchanged")
    assert became(night) == unchanged
    assert lived.published() == before
    assert not lived.night().changed


def test_a_file_in_which_rows_of_ten_organisations_changed_gives_ten_new_versions(
    house: House,
) -> None:
    organisations = [f"org-{number:02d}" for number in range(30)]
    house.export([one for org_id in organisations for one in people(3, org_id=org_id)])
    house.night()
    changed = set(organisations[::3])
    rows = [
        {**one, "hours": 5.0} if org_id in changed and one["participant_id"] == "p2" else one
        for org_id in reversed(organisations)
        for one in people(3, org_id=org_id)
    ]
    house.export(rows, compression="gzip", row_group_size=7)
    assert computed(house.night()) == {f"{org_id} rp-2024-q4" for org_id in changed}
    assert len(changed) == 10


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


def merge(house: House, rows: Any) -> None:
    path = house.data / "exports" / "summer.parquet"
    with pq.ParquetFile(path) as file:
        others = file.read()
    write(house.data, pa.concat_tables([others, rows]), "summer.parquet")


def test_a_changed_mapping_computes_the_cells_that_it_touches(lived: House) -> None:
    lived.settings = settings(export={"categories": MAPPING | {"Klubb": "eldre"}})
    assert computed(lived.night()) == {Q3}
    lived.settings = settings(export={"categories": {"Klubb": "eldre"}})
    assert computed(lived.night()) == {OTHER}
    assert ledger(lived.published()["org-2", "rp-2024-q4"].ledger) == {"unknown_category": 2}


def test_a_mapping_of_names_that_nobody_uses_computes_nothing(lived: House) -> None:
    lived.settings = settings(export={"categories": MAPPING | {"Sjakk": "ungdom"}})
    night = lived.night()
    assert night.changed
    assert computed(night) == set()


def test_a_changed_column_name_computes_the_cells_that_it_touches(lived: House) -> None:
    path = lived.data / "exports" / "autumn.parquet"
    with pq.ParquetFile(path) as file:
        rows = file.read()
    write(lived.data, rows.append_column("other_hours", [[1.0, 1.0, 1.0]]), "autumn.parquet")
    assert computed(lived.night()) == set()
    for name in ("summer.parquet", "other.parquet"):
        (lived.data / "exports" / name).unlink()
    chosen = {"categories": MAPPING, "columns": {"hours": "other_hours"}}
    lived.settings = settings(export=chosen)
    assert computed(lived.night()) == {Q4}
    assert lived.published()[CELL].total.seconds == 3 * 3600


@pytest.mark.parametrize(
    "change",
    [
        {"categories": ("ungdom", "eldre", "foreldre_barn")},
        {"categories": ("ungdom", "foreldre_barn", "eldre", "funksjonsnedsettelse")},
        {"max_hours": 12},
        {"max_hours": 24.5},
    ],
    ids=str,
)
def test_changed_rules_compute_every_cell(lived: House, change: dict[str, Any]) -> None:
    lived.settings = settings(export={"categories": MAPPING}, **change)
    assert computed(lived.night()) == {Q2, Q3, Q4, OTHER}
    assert not lived.night().changed


def test_changed_rules_reach_cells_that_never_had_a_row(lived: House) -> None:
    with lived.work() as work:
        (first,) = compute.run_cells(work, [periods.parse("rp-2023-q1")], ["org-1"]).outcomes
    assert first.outcome == "computed"
    lived.settings = settings(export={"categories": MAPPING}, categories=("ungdom", "eldre"))
    assert computed(lived.night()) == {Q2, Q3, Q4, OTHER, "org-1 rp-2023-q1"}
    zeros = lived.published()["org-1", "rp-2023-q1"]
    assert list(zeros.categories) == ["ungdom", "eldre"]
    assert set(became(lived.night(full=False))) == set()


def test_max_hours_as_an_integer_or_a_float_is_the_same(lived: House) -> None:
    lived.settings = settings(export={"categories": MAPPING}, max_hours=24.0)
    assert computed(lived.night()) == set()


def test_settings_of_runs_and_logs_change_nothing(lived: House) -> None:
    lived.settings = settings(
        export={"categories": MAPPING}, runs={"seconds": 5}, log={"format": "json"}
    )
    assert not lived.night().changed


def test_another_zone_computes_every_cell(lived: House) -> None:
    lived.settings = settings(export={"categories": MAPPING}, timezone="UTC")
    assert computed(lived.night()) == {Q2, Q3, Q4, OTHER}


def test_a_further_kind_of_period_computes_its_cells_and_leaves_the_others(lived: House) -> None:
    lived.settings = settings(export={"categories": MAPPING}, periods=("quarter", "year"))
    assert computed(lived.night()) == {"org-1 rp-2024", "org-2 rp-2024"}
    assert lived.published()["org-1", "rp-2024"].total.people == 5


def test_going_back_and_forth_gives_the_digest_of_before(lived: House) -> None:
    before = lived.published()[CELL]
    correction = lived.export([row(participant_id="p3", hours=9.0, updated_at=LATER)], "z.parquet")
    lived.night()
    assert lived.published()[CELL].digest != before.digest
    correction.unlink()
    lived.night()
    after = lived.published()[CELL]
    assert (after.version, after.digest) == (3, before.digest)
    assert (after.total, after.categories, after.ledger) == (
        before.total,
        before.categories,
        before.ledger,
    )


# Periods that have not begun


def test_rows_of_a_period_that_has_not_begun_are_left_for_later(house: House) -> None:
    house.export([row(), row(participant_id="p2", started_at=datetime(2025, 4, 2, tzinfo=UTC))])
    night = house.night()
    assert computed(night) == {Q4}
    assert [(cell.org_id, cell.period.id) for cell in night.later] == [("org-1", "rp-2025-q2")]
    assert ledger(night.ledger) == {"counted": 2}
    assert not house.night().changed


def test_what_was_left_for_later_is_taken_up_once_the_period_begins(house: House) -> None:
    house.export([row(), row(participant_id="p2", started_at=datetime(2025, 4, 2, tzinfo=UTC))])
    house.night()
    begins = datetime(2025, 3, 31, 22, tzinfo=UTC)
    house.now = begins - timedelta(seconds=1)
    assert not house.night().changed
    house.now = begins
    night = house.night()
    assert (computed(night), night.later) == ({"org-1 rp-2025-q2"}, [])
    house.now = begins + timedelta(days=1)
    assert not house.night().changed


def test_of_two_periods_left_for_later_each_is_taken_up_when_it_begins(house: House) -> None:
    house.export(
        [
            row(participant_id=f"p{month}", started_at=datetime(2025, month, 2, tzinfo=UTC))
            for month in (7, 4)
        ]
    )
    assert computed(house.night()) == set()
    for begins, period in (((2025, 4, 1), "rp-2025-q2"), ((2025, 7, 1), "rp-2025-q3")):
        house.now = datetime(*begins, 3, tzinfo=UTC)
        assert computed(house.night()) == {f"org-1 {period}"}
    assert not house.night().changed


# Refused files


def test_the_organisations_of_a_file_that_is_refused_now_are_held_as_they_are(
    lived: House,
) -> None:
    lived.export(
        [row(participant_id="p9"), row(org_id="org-2", participant_id="p9")], "new.parquet"
    )
    lived.night()
    before = lived.published()
    path = lived.data / "exports" / "autumn.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    lived.export(people(5, org_id="org-2"), "other.parquet")
    night = lived.night()
    assert dict(night.held) == {"org-1": "autumn.parquet"}
    assert set(night.refused) == {"autumn.parquet"}
    assert computed(night) == {OTHER}
    assert {cell: v for cell, v in lived.published().items() if cell[0] == "org-1"} == {
        cell: v for cell, v in before.items() if cell[0] == "org-1"
    }
    assert not lived.night().changed


@pytest.mark.parametrize("before", ["rebuilding", "a run alone"])
def test_organisations_are_held_by_whatever_was_known_of_their_files(
    house: House, before: str
) -> None:
    house.export(people(3), "a.parquet")
    path = house.export([row(participant_id="p4")], "b.parquet")
    if before == "rebuilding":
        house.night()
        reindex.run(house.data, NOW)
    else:
        with house.work() as work:
            compute.run_cells(work, [periods.parse("rp-2024-q4")], ["org-1"])
    path.write_bytes(b"")
    assert dict(house.night().held) == {"org-1": "b.parquet"}
    assert house.published()[CELL].total.participations == 4


def test_held_organisations_are_counted_again_once_the_file_is_mended(lived: House) -> None:
    path = lived.data / "exports" / "autumn.parquet"
    path.write_bytes(b"")
    lived.night()
    lived.export(people(1, org_id="org-3"), "more.parquet")
    assert dict(lived.night().held) == {"org-1": "autumn.parquet"}  # remembered from night to night
    lived.export(people(4), "autumn.parquet")
    night = lived.night()
    assert night.held == {}
    assert computed(night) == {Q4}
    assert lived.published()[CELL].total.participations == 4


def test_held_organisations_are_counted_again_once_the_file_is_removed(lived: House) -> None:
    path = lived.data / "exports" / "autumn.parquet"
    path.write_bytes(b"")
    lived.night()
    path.unlink()
    night = lived.night()
    assert night.held == {}
    assert became(night)[Q4] == "kept"


def test_a_held_organisation_is_held_in_a_full_night_too(lived: House) -> None:
    (lived.data / "exports" / "other.parquet").write_bytes(b"")
    assert computed(lived.night(full=True)) == {Q2, Q3, Q4}
    assert lived.versions()[OTHER] == 1


def test_a_held_organisation_fails_in_a_run_unless_it_is_forced(lived: House) -> None:
    lived.export([row(org_id="org-2", participant_id="p9")], "new.parquet")
    (lived.data / "exports" / "other.parquet").write_bytes(b"")
    lived.night()
    with lived.work() as work:
        period = [periods.parse("rp-2024-q4")]
        (held,) = compute.run_cells(work, period, ["org-2"]).outcomes
        assert held.outcome == "failed"
        assert "export other.parquet, which names org-2, is refused now" in str(held.problem)
        assert work.catalog.get(held.id).status == "completed"
        (forced,) = compute.run_cells(work, period, ["org-2"], force=True).outcomes
    assert (forced.outcome, forced.version) == ("computed", 2)
    assert lived.published()["org-2", "rp-2024-q4"].total.participations == 1


def test_a_file_that_was_always_refused_holds_nobody(house: House) -> None:
    house.export(people(1), "good.parquet")
    (house.data / "exports" / "bad.parquet").write_bytes(b"")
    night = house.night()
    assert (night.held, computed(night)) == ({}, {Q4})
    assert set(house.night().refused) == {"bad.parquet"}


# Ids


def test_a_deleted_snapshot_comes_back_with_a_new_id(lived: House) -> None:
    with lived.work() as work:
        deleted = lifecycle.delete(work.catalog, "agg-004")
    assert deleted.org_id == "org-1"
    assert Q2 not in lived.versions()
    assert not any(name.startswith("snapshots/agg-004") for name in lived.files())
    assert computed(lived.night()) == {Q2}
    assert lived.published()["org-1", "rp-2024-q2"].id == "agg-005"
    assert lived.versions()[Q2] == 1


def test_an_id_never_comes_back_even_if_the_catalog_is_lost(lived: House) -> None:
    with lived.work() as work:
        lifecycle.delete(work.catalog, "agg-004")
        lifecycle.delete(work.catalog, "agg-003")
    (lived.data / "catalog.sqlite").unlink()
    reindex.run(lived.data, NOW)
    lived.night()
    ids = {version.id for version in lived.published().values()}
    assert ids == {"agg-001", "agg-002", "agg-005", "agg-006"}


def test_a_night_that_finds_no_catalog_takes_no_version_away(lived: House) -> None:
    """What no export holds any longer could never be computed again."""
    versions = {name for name in lived.files() if name.endswith(".json")}
    (lived.data / "catalog.sqlite").unlink()
    with suppress(StoreDamaged):
        lived.night()
    assert versions <= lived.files()


def test_ids_have_three_digits_and_then_more(house: House) -> None:
    with house.work() as work:
        version_files.note_highest_number(work.data, 998)
    house.export([row(), row(started_at=SUMMER)])
    house.night()
    assert {version.id for version in house.published().values()} == {"agg-999", "agg-1000"}


# Runs that wait


def test_a_night_takes_up_the_runs_that_wait_of_whatever_kind(lived: House) -> None:
    with lived.work() as work:
        entry = lifecycle.create(work.catalog, "org-1", periods.parse("rp-2024"), NOW)
        assert entry.status == "processing"
    night = lived.night()
    assert night.changed
    assert computed(night) == {"org-1 rp-2024"}
    with lived.work() as work:
        assert work.catalog.get(entry.id).status == "completed"
        assert run_queue.open_runs(work.catalog) == []
    assert not lived.night().changed


def test_an_organisation_that_no_export_names_fails(lived: House) -> None:
    with lived.work() as work:
        (failed,) = compute.run_cells(work, [periods.parse("rp-2024-q4")], ["org-9"]).outcomes
        assert (failed.outcome, failed.problem) == ("failed", "no export names org-9")
        entry = work.catalog.get(failed.id)
    assert (entry.status, entry.error) == ("failed", "no export names org-9")
    assert entry.version == 0


def test_a_failed_first_run_can_be_run_again_and_keeps_its_id(lived: House) -> None:
    period = [periods.parse("rp-2024-q4")]
    with lived.work() as work:
        (failed,) = compute.run_cells(work, period, ["org-9"]).outcomes
    lived.export(people(1, org_id="org-9"), "nine.parquet")
    with lived.work() as work:
        (done,) = compute.run_cells(work, period, ["org-9"]).outcomes
        entry = work.catalog.get(done.id)
    assert (done.id, done.outcome, done.version) == (failed.id, "computed", 1)
    assert (entry.status, entry.error) == ("completed", None)


def test_a_known_organisation_that_did_nothing_completes_with_zeros(lived: House) -> None:
    with lived.work() as work:
        (done,) = compute.run_cells(work, [periods.parse("rp-2020-m2")], ["org-1"]).outcomes
    assert done.outcome == "computed"
    version = lived.published()["org-1", "rp-2020-m2"]
    assert (version.total.participations, sum(version.ledger.values())) == (0, 0)


def test_a_run_of_all_organisations_computes_each_that_exports_name(lived: House) -> None:
    lived.export([row(org_id="org 3"), row(org_id=None), row(org_id="org-4")], "x.parquet")
    with lived.work() as work:
        done = compute.run_cells(
            work, periods.parse_range("rp-2024-m11..rp-2024-m12"), None
        ).outcomes
    assert {(one.org_id, one.reporting_period_id) for one in done} == {
        (f"org-{n}", f"rp-2024-m{month}") for n in (1, 2, 4) for month in (11, 12)
    }


def test_a_run_over_unchanged_exports_leaves_the_version_and_a_forced_one_makes_a_new(
    lived: House,
) -> None:
    period = [periods.parse("rp-2024-q4")]
    with lived.work() as work:
        (unforced,) = compute.run_cells(work, period, ["org-1"]).outcomes
        (forced,) = compute.run_cells(work, period, ["org-1"], force=True).outcomes
    assert (unforced.outcome, unforced.version) == ("unchanged", 1)
    assert (forced.outcome, forced.version) == ("computed", 2)


def test_a_run_and_a_night_give_one_digest(lived: House) -> None:
    before = lived.published()
    with lived.work() as work:
        compute.run_cells(work, [periods.parse("rp-2024-q4")], None, force=True)
    after = lived.published()
    for cell in (CELL, ("org-2", "rp-2024-q4")):
        assert after[cell] == replace_fields(before[cell], {"version": 2})


# Files that change while they are read


@contextmanager
def restless(path: Path) -> Iterator[Event]:
    """A file that somebody keeps writing to until told to stop."""
    stop = Event()

    def touch() -> None:
        while not stop.is_set():
            os.utime(path)

    toucher = Thread(target=touch)
    toucher.start()
    try:
        yield stop
    finally:
        stop.set()
        toucher.join()


def test_a_file_that_changes_while_it_is_read_is_read_again(house: House) -> None:
    path = house.export(people(2))
    with house.work() as work, restless(path) as stop:

        def end_it(event: str, **fields: object) -> None:
            house.tell(event, **fields)
            stop.set()
            sleep(0.05)

        gathered = compute.gather(replace(work, tell=end_it))
    assert gathered.exports.rows == 2
    assert house.told == [("exports_changed_while_read", {"files": ("a.parquet",)})]


def test_a_file_that_keeps_changing_stops_the_night(house: House) -> None:
    path = house.export(people(2))
    with (
        restless(path),
        pytest.raises(ExportsChanged, match=r"changed while they were read: a\.parquet"),
    ):
        house.night()
    assert house.published() == {}
    assert computed(house.night()) == {Q4}


def test_a_file_that_changes_before_its_numbers_are_counted_publishes_nothing(
    house: House,
) -> None:
    house.export(people(2, hours=1.0))
    with house.work() as work:

        def change(event: str, **_: object) -> None:
            if event == "exports_read":
                house.export(people(2, hours=3.0))

        with pytest.raises(ExportsChanged, match=r"a\.parquet"):
            nightly.run(replace(work, tell=change))
    assert house.published() == {}
    assert computed(house.night()) == {Q4}
    assert house.published()[CELL].total.seconds == 2 * 3 * 3600


# What is left out can be looked at


def lines(house: House, name: str) -> list[dict[str, Any]]:
    path = house.data / "quarantine" / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_that_are_left_out_are_kept_with_their_file_and_the_reason(house: House) -> None:
    secret = "person-of-flesh-and-blood"  # noqa: S105 (nobody's password)
    bad = {"participant_id": secret, "bufdir_category": "Åpen", "updated_at": AUTUMN}
    house.export(
        [row(), row(**bad), row(participant_id=secret, activity_id=None)], "deep/a.parquet"
    )
    house.export(
        [row(participant_id=secret, activity_id="a2", hours=-1.5, started_at=SUMMER)], "b.parquet"
    )
    house.export(
        [
            row(participant_id=secret, org_id=None),
            row(participant_id=secret, started_at=None, org_id="org 1"),
        ],
        "c.parquet",
    )
    house.night()
    autumn = lines(house, "agg-001/v1.jsonl")
    assert [(line["reason"], line["file"], line["row"]) for line in autumn] == [
        ("unknown_category", "deep/a.parquet", 1),
        ("missing_activity_id", "deep/a.parquet", 2),
    ]
    assert autumn[0]["bufdir_category"] == "Åpen"
    assert autumn[0]["started_at"] == "2024-11-05T17:00:00.000000Z"
    assert autumn[0]["activity_id"] == "a1"
    (summer,) = lines(house, "agg-002/v1.jsonl")
    assert (summer["reason"], summer["file"], summer["hours"]) == (
        "hours_negative",
        "b.parquet",
        "-1.5",
    )
    unplaced = lines(house, "unplaced.jsonl")
    assert [line["reason"] for line in unplaced] == ["missing_org_id", "missing_started_at"]
    for name in house.files():
        assert secret not in (house.data / name).read_text(encoding="utf-8")


def test_of_many_files_that_are_alike_rows_that_are_left_out_are_named_by_their_place_in_each(
    house: House,
) -> None:
    for name, hours in (("a", [2.0, -1.0, -1.0]), ("b", [-1.0]), ("c", []), ("d", [2.0, -1.0])):
        rows = [row(activity_id=name, participant_id=f"p{n}", hours=h) for n, h in enumerate(hours)]
        house.export(rows, f"{name}.parquet")
    house.night()
    assert [(line["file"], line["row"]) for line in lines(house, "agg-001/v1.jsonl")] == [
        ("a.parquet", 1),
        ("a.parquet", 2),
        ("b.parquet", 0),
        ("d.parquet", 1),
    ]


@pytest.mark.parametrize("line", ["superseded", "deleted", "not_completed"])
def test_rows_that_were_meant_to_be_left_out_are_not_kept(house: House, line: str) -> None:
    rows = {
        "superseded": [row(), row(hours=3.0)],
        "deleted": [row(deleted=True)],
        "not_completed": [row(status="cancelled")],
    }[line]
    house.export(rows)
    night = house.night()
    assert night.ledger[line] == 1
    assert house.files() >= {"snapshots/agg-001/v1.json"}
    assert not [name for name in house.files() if name.startswith("quarantine/agg")]


def test_quarantine_holds_hours_that_are_no_number(house: House) -> None:
    house.export(
        [row(participant_id=f"p{n}", hours=float(h)) for n, h in enumerate(("nan", "inf"))]
    )
    house.night()
    hours = [line["hours"] for line in lines(house, "agg-001/v1.jsonl")]
    assert [float(hour) for hour in hours][1] == float("inf")
    assert hours[0].lower() == "nan"


def test_quarantine_is_of_the_current_version_only(house: House) -> None:
    house.export([row(), row(participant_id="p2", hours=None)])
    house.night()
    assert "quarantine/agg-001/v1.jsonl" in house.files()
    house.export([row(), row(participant_id="p2", hours=None), row(participant_id="p3")])
    house.night()
    assert "quarantine/agg-001/v2.jsonl" in house.files()
    assert "quarantine/agg-001/v1.jsonl" not in house.files()
    house.export([row()])
    house.night()
    assert not [name for name in house.files() if name.startswith("quarantine/agg")]
    versions = {name for name in house.files() if name.startswith("snapshots/agg-001/")}
    assert versions == {f"snapshots/agg-001/v{n}.json" for n in (1, 2, 3)}


def test_the_quarantine_of_a_year_holds_the_rows_of_all_its_months(house: House) -> None:
    house.settings = settings(periods=("year",))
    days = [datetime(2024, month, 3, tzinfo=UTC) for month in (1, 6, 12)]
    house.export([row(participant_id=str(day), hours=None, started_at=day) for day in days])
    house.night()
    assert len(lines(house, "agg-001/v1.jsonl")) == 3


def test_deleting_a_snapshot_takes_its_quarantine_away(house: House) -> None:
    house.export([row(hours=None)])
    house.night()
    with house.work() as work:
        lifecycle.delete(work.catalog, "agg-001")
    assert {name for name in house.files() if "agg-001" in name} == set()


# Summing up


def test_the_night_adds_up(lived: House) -> None:
    dirt = [
        row(org_id=None),
        row(participant_id="p1", updated_at=LATER, deleted=True),
        row(participant_id="x", hours=None),
        row(participant_id="y", started_at=datetime(2124, 1, 1, tzinfo=UTC)),
    ]
    lived.export(dirt, "dirt.parquet")
    night = lived.night()
    assert sum(night.ledger.values()) == night.rows == 7 + 4
    with lived.work() as work:
        gathered = compute.gather(work)
    in_cells = sum(sum(v.ledger.values()) for v in lived.published().values())
    assert in_cells + sum(gathered.judged.unplaced.values()) == night.rows


def test_no_exports_is_an_empty_night(house: House) -> None:
    night = house.night()
    assert (night.files, night.rows, list(night.outcomes)) == (0, 0, [])
    assert not house.night().changed


def test_an_empty_export_is_read_and_gives_nothing(house: House) -> None:
    write(house.data, table([]))
    night = house.night()
    assert (night.files, night.rows, list(night.outcomes)) == (1, 0, [])


def test_a_night_tells_what_it_does(lived: House) -> None:
    events = [event for event, _ in lived.told]
    assert events[0] == "exports_read"
    assert ("exports_read", {"files": 3, "rows": 7}) in lived.told
    assert ("snapshots_published", {"snapshots": 4}) in lived.told


def test_a_lost_catalog_is_refused_until_it_is_rebuilt(lived: House) -> None:
    (lived.data / "catalog.sqlite").unlink()
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="rebuild it with bufdir reindex"):
            lived.night()
    assert reindex.run(lived.data, NOW).snapshots == 4
    assert computed(lived.night()) == set()
