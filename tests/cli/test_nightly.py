"""Output and exit code of nightly runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.cli.conftest import TWO_QUARTERS
from tests.given import NOW, export, people, row, table, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

LATER = datetime(2099, 5, 1, tzinfo=UTC)


def test_a_nightly_run_that_computes_says_so_in_one_line(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(1_200), row(hours=-1, activity_id="b")])

    ended = bufdir("nightly")

    assert (
        ended.out
        == "nightly: 1 snapshot computed, 1 current: 1 export, 1,201 rows, 1,200 counted\n"
    )
    assert ended.err == ""
    assert ended.code == 0


def test_a_nightly_run_without_changes_prints_one_line_in_all(bufdir: Bufdir, data: Path) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")

    ended = bufdir("nightly")

    assert ended.out == (
        "nightly: nothing changed since the last nightly run: "
        "1 export, 3 rows, 2 snapshots current\n"
    )
    assert ended.err == ""
    assert ended.code == 0


def test_a_full_nightly_run_computes_what_has_not_changed(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    assert bufdir("nightly", "--full").out.startswith("nightly: 1 snapshot computed, 1 current: ")


def test_a_nightly_run_without_exports_says_that_there_are_none(bufdir: Bufdir) -> None:
    ended = bufdir("nightly")

    assert (
        ended.out == "nightly: no snapshots computed, 0 current: no exports, no rows, 0 counted\n"
    )
    assert ended.code == 0


def test_a_nightly_run_without_the_folder_of_exports_names_it(bufdir: Bufdir, data: Path) -> None:
    (data / "exports").rmdir()

    ended = bufdir("nightly")

    assert ended.err == (
        f"bufdir: no folder {data}/exports: put the exports there, or name another data folder\n"
    )
    assert (ended.code, ended.out) == (2, "")


def test_a_refused_export_is_named_and_the_others_are_counted(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    write(data, table(people(1)).drop(["hours"]), "poor.parquet")

    ended = bufdir("nightly")

    assert ended.out.startswith(
        "nightly: 1 snapshot computed, 1 current: 2 exports, 1 refused, 2 rows, "
    )
    assert ended.err.startswith(
        "bufdir: export poor.parquet (1 row) is refused: it lacks the required column hours"
    )
    assert ended.err.count("\n") == 1
    assert ended.code == 3


def test_a_refusal_is_told_again_by_every_nightly_run(bufdir: Bufdir, data: Path) -> None:
    (data / "exports" / "empty.parquet").touch()

    first, second = bufdir("nightly"), bufdir("nightly")

    assert "nothing changed" in second.out
    assert first.err == second.err != ""
    assert first.code == second.code == 3


def test_snapshots_of_exports_that_are_refused_now_are_named_as_blocked(
    bufdir: Bufdir, data: Path
) -> None:
    for number in (1, 2, 3):
        export(data, people(2, org_id=f"org-{number}"), f"{number}.parquet")
    bufdir("nightly")
    export(data, people(3), "1.parquet")
    for number in (2, 3):
        (data / "exports" / f"{number}.parquet").write_bytes(b"cut off")

    ended = bufdir("nightly")

    assert ended.out.startswith(
        "nightly: 1 snapshot computed, 3 current, 2 blocked: 3 exports, 2 refused, "
    )
    assert ended.err.splitlines()[2:] == [
        "bufdir: 1 snapshot blocked, with numbers as before, because export "
        f"{number}.parquet, which names org-{number}, is refused now: agg-00{number} "
        f"(org-{number} in rp-2024-q4); put a whole export in its place, or count without it: "
        f"bufdir run --force --org org-{number} --period rp-2024-q4"
        for number in (2, 3)
    ]
    assert ended.code == 3


def test_a_nightly_run_takes_up_what_was_asked_for_and_names_what_failed_of_it(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    with Catalog.open(data) as catalog:
        lifecycle.create(catalog, "absent", periods.parse("rp-2024"), NOW)

    ended = bufdir("nightly")

    assert ended.out.startswith("nightly: 1 snapshot computed, 1 current, 1 failed: ")
    assert ended.err == "bufdir: agg-001 (absent in rp-2024) failed: no export names absent\n"
    assert ended.code == 3


def test_snapshots_whose_export_is_gone_are_named_with_the_command(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2), "a.parquet")
    export(data, people(2, org_id="org-2"), "b.parquet")
    bufdir("nightly")
    (data / "exports" / "b.parquet").unlink()

    ended = bufdir("nightly")

    assert ended.out.startswith("nightly: no snapshots computed, 2 current, 1 blocked: ")
    assert ended.err == (
        "bufdir: 1 snapshot blocked, with numbers as before, because export b.parquet is gone, "
        "and 0 of 2 rows are left: agg-002 (org-2 in rp-2024-q4); put it back, or declare why: "
        "bufdir retire b.parquet --keep (or --retract)\n"
    )
    assert ended.code == 3


def test_cells_of_periods_to_come_are_named(bufdir: Bufdir, data: Path) -> None:
    export(data, people(1, started_at=LATER))

    ended = bufdir("nightly")

    assert ended.err == "bufdir: 1 cell deferred until the period begins: org-1 in rp-2099-q2\n"
    assert ended.code == 0


def test_ignored_columns_are_named_once(bufdir: Bufdir, data: Path) -> None:
    for name, hours in (("a.parquet", 1.0), ("b.parquet", 2.0)):
        write(data, table(people(1, hours=hours)).append_column("note", [["x"]]), name)

    assert bufdir("nightly").err == "bufdir: columns that are ignored: note (in 2 exports)\n"


def test_a_nightly_run_for_programs_is_json(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(2), *people(1, activity_id="b", started_at=LATER)])
    (data / "exports" / "empty.parquet").touch()

    ended = bufdir("nightly", "--json")

    body = ended.result
    ledger = body.pop("ledger")
    assert {line: rows for line, rows in ledger.items() if rows} == {"counted": 3}
    assert body == {
        "changed": True,
        "files": 2,
        "rows": 3,
        "snapshots": 1,
        "outcomes": [
            {
                "id": "agg-001",
                "org_id": "org-1",
                "reporting_period_id": "rp-2024-q4",
                "outcome": "computed",
                "reason": "first",
                "version": 1,
                "problem": None,
            }
        ],
        "refused": {
            "empty.parquet": "export empty.parquet is refused: it is empty; export it again"
        },
        "blocked": [],
        "deferred": [{"org_id": "org-1", "reporting_period_id": "rp-2099-q2"}],
        "ignored": {},
        "missing": {},
        "other_files": [],
        "set_aside": [],
        "warnings": [],
        "damaged": [],
    }
    assert ended.code == 3


def test_of_two_nightly_runs_at_once_the_second_ends_with_75(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    with Catalog.open(data) as catalog, run_queue.nightly_run(catalog, lambda: NOW):
        ended = bufdir("nightly")

    assert ended.code == 75
    assert ended.out == ""
    assert ended.err.startswith("bufdir: a nightly run is already going on (process ")
    assert ended.err.endswith("); try again when it has ended\n")
    assert bufdir("nightly").out.startswith("nightly: 1 snapshot computed")


def test_events_and_diagnostics_are_one_json_line_each_when_asked_for(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    (data / "exports" / "empty.parquet").touch()
    (data / "bufdir.toml").write_text('[log]\nformat = "json"\n')

    ended = bufdir("nightly")

    events = [json.loads(line) for line in ended.err.splitlines()]
    assert [(event["event"], event["level"]) for event in events] == [
        ("exports_read", "info"),
        ("snapshots_written", "info"),
        ("snapshots_published", "info"),
        ("export_refused", "warning"),
    ]
    assert events[0]["rows"] == 2
    assert events[3]["detail"].startswith("export empty.parquet is refused")
    assert all(datetime.fromisoformat(event["timestamp"]).tzinfo for event in events)
    assert ended.out.startswith("nightly: 1 snapshot computed, ")


def test_a_nightly_run_without_changes_prints_one_line_when_it_logs_json_too(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    bufdir("nightly")

    ended = bufdir("nightly", BUFDIR_LOG__FORMAT="json")

    assert ended.out.count("\n") == 1
    assert ended.err == ""


def test_a_cache_that_cannot_be_used_is_reported_and_the_run_succeeds(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    (data / "cache").write_bytes(b"no folder")
    ended = bufdir("nightly")
    assert ended.code == 0
    assert "the cache can't be used, which costs time and changes no number" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_files_that_are_no_exports_are_named_once(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    (data / "exports" / "notes.txt").write_text("not an export")
    assert "fits no source (*.parquet by default): notes.txt" in bufdir("nightly").err
    assert bufdir("nightly").err == ""
    (data / "exports" / "more.csv").write_text("not an export either")
    assert "more.csv" in bufdir("nightly").err
    assert bufdir("nightly", "--full").err == ""


def test_a_nightly_run_without_an_exports_folder_creates_nothing(
    bufdir: Bufdir, data: Path
) -> None:
    (data / "exports").rmdir()
    assert bufdir("nightly").code == 2
    assert list(data.iterdir()) == []
