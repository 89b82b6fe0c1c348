"""The soak: a short one ends without a breach, and each of its checks finds what it is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import results_page
from benchmarks.soak import ending, exports, page, replies, samples
from benchmarks.soak.exports import Cell
from benchmarks.soak.record import Record
from benchmarks.soak.replies import WrongReply
from benchmarks.soak.soaking import Soak
from tests.given import DataFolder, export, people

if TYPE_CHECKING:
    from pathlib import Path

CELL = Cell(3, 1)


def grown(name: str, by: float, times: int = 40) -> bool:
    """Return whether a number that grows by so much at each sample is more than what is due."""
    (found,) = samples.compare([{name: 100_000_000 + by * n} for n in range(times)])
    return not found.is_due


@pytest.mark.parametrize("name", ["worker 1, anonymous memory", "worker 1, threads", "locks"])
def test_what_is_steady_is_due(name: str) -> None:
    assert not grown(name, 0)


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("worker 1, resident memory", 500_000),
        ("worker 1, descriptors", 0.2),
        ("worker 2, threads", 0.2),
        ("temporary files", 0.2),
    ],
)
def test_a_leak_is_found(name: str, by: float) -> None:
    assert grown(name, by)


def test_what_grows_in_the_first_quarter_only_is_due() -> None:
    filling = [{"memory": min(n, 10) * 10_000_000} for n in range(40)]
    assert all(one.is_due for one in samples.compare(filling))


def test_a_process_that_is_gone_in_the_end_has_no_numbers() -> None:
    with pytest.raises(ValueError, match="four samples"):
        samples.compare([{"locks": 1}] * 3)
    assert samples.of_processes({"worker 1": 2**22 + 1}) == {}


def snapshot(generation: int, **changed: object) -> dict[str, Any]:
    due = exports.numbers(CELL, generation)
    return {
        "org_id": CELL.org_id,
        "reporting_period_id": exports.PERIODS[CELL.period],
        "status": "completed",
        "participant_count": due.participations,
        "hours_delivered": due.hours,
        "activity_count": due.activities,
        "bufdir_category_breakdown": {name: one[0] for name, one in due.categories.items()},
        **changed,
    }


def test_numbers_of_one_generation_name_it() -> None:
    assert replies.of_snapshot(snapshot(5)) == (CELL, 5)
    assert replies.of_listed(snapshot(6)) == (CELL, 6)


@pytest.mark.parametrize(
    "name", ["participant_count", "hours_delivered", "activity_count", "bufdir_category_breakdown"]
)
def test_a_reply_of_two_generations_is_a_breach(name: str) -> None:
    with pytest.raises(WrongReply, match="are not of the same generation"):
        replies.of_snapshot(snapshot(5, **{name: snapshot(6)[name]}))


def test_a_reply_that_is_older_or_newer_than_it_may_be_is_a_breach() -> None:
    record = Record()
    record.exported[CELL.organisation] = 7
    record.read(CELL, 7, record.newest(CELL))
    assert record.breaches == []
    record.read(CELL, 6, record.newest(CELL))
    record.read(CELL, 8, record.newest(CELL))
    older, newer = record.breaches
    assert "after 7 had been read" in older
    assert "was not exported yet" in newer


def test_a_deleted_snapshot_must_be_gone_and_an_undeleted_one_there() -> None:
    record = Record()
    absence = record.deleting("agg-001")
    absence.may_begin, absence.begun, absence.may_end, absence.ended = 10, 11, 20, 21

    def may(begin: float, end: float) -> tuple[bool, bool]:
        return (
            record.may_be_there("agg-001", begin, end),
            record.may_be_gone("agg-001", begin, end),
        )

    assert may(8, 9) == (True, False)
    assert may(9, 10.5) == (True, True)
    assert may(12, 19) == (False, True)
    assert may(19, 20.5) == (True, True)
    assert may(22, 23) == (True, False)


def test_files_that_the_catalog_does_not_name_are_breaches(folder: DataFolder) -> None:
    export(folder.data, people(3), "a.parquet")
    folder.nightly()
    assert list(ending.breaches_of_files(folder.data)) == []

    snapshots = folder.data / "snapshots"
    (snapshots / "agg-001" / "v2.json").write_text("{}")
    (snapshots / ".tmp-1-v3.json").write_text("{}")
    (snapshots / "agg-001" / "v1.json").write_text("{}")
    found = " ".join(ending.breaches_of_files(folder.data))
    assert "agg-001/v2.json is left" in found
    assert ".tmp-1-v3.json is left" in found
    assert "agg-001/v1.json has other bytes" in found

    (snapshots / "agg-001" / "v1.json").unlink()
    assert "agg-001/v1.json is missing" in " ".join(ending.breaches_of_files(folder.data))


def test_an_error_in_the_log_is_a_breach(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    lines = [{"event": "request", "level": "info"}, {"event": "run_crashed", "level": "error"}]
    log.write_text("\n".join([*map(json.dumps, lines), "Traceback (most recent call last):"]))
    crashed, printed = ending.breaches_of_log(log)
    assert "run_crashed" in crashed
    assert "Traceback" in printed


@pytest.mark.no_cover  # a server that measures itself prints warnings
def test_a_short_soak_ends_without_a_breach(tmp_path: Path) -> None:
    soaked = Soak(tmp_path / "data", readers=4, seed=1).run(8)

    assert soaked.record.breaches == []
    done = soaked.record.counts
    assert {"DELETE 200", "undelete 0", "token create 0", "GET 200"} <= set(done)
    assert any(name.startswith("PUT") for name in done)
    assert any(name.startswith("nightly") for name in done)
    assert {one.name for one in soaked.compared} >= {"worker 2, descriptors", "temporary files"}
    written = page.markdown(soaked, "2024-01-01")
    assert "| worker 1, anonymous memory | " in written


def test_sections_of_the_results_are_written_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_page, "PAGE", tmp_path / "RESULTS.md")
    results_page.PAGE.write_text("# Page\n")
    results_page.write_section("spark", "spark\n")
    results_page.write_section("soak", "soak\n")
    results_page.write_section("soak", "soak again\n")
    results_page.write("# Another\n")
    text = results_page.PAGE.read_text()
    assert text == (
        "# Another\n\n<!-- spark -->\nspark\n<!-- /spark -->\n\n"
        "<!-- soak -->\nsoak again\n<!-- /soak -->\n"
    )
