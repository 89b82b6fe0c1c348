"""What a night says, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.cli.conftest import TWO_QUARTERS
from tests.pipeline.given import export, people, row, table, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

NOW = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)
LATER = datetime(2099, 5, 1, tzinfo=UTC)


def test_a_night_that_computes_says_so_in_one_line(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(1_200), row(hours=-1, activity_id="b")])

    ended = bufdir("nightly")

    assert (
        ended.out == "nightly: 1 snapshot computed, 1 stands: 1 export, 1,201 rows, 1,200 counted\n"
    )
    assert ended.err == ""
    assert ended.code == 0


def test_a_quiet_night_prints_one_line_in_all(bufdir: Bufdir, data: Path) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")

    ended = bufdir("nightly")

    assert ended.out == (
        "nightly: nothing has changed since the last night: 1 export, 3 rows, 2 snapshots stand\n"
    )
    assert ended.err == ""
    assert ended.code == 0


def test_a_full_night_computes_what_has_not_changed(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    assert bufdir("nightly", "--full").out.startswith("nightly: 1 snapshot computed, 1 stands: ")


def test_a_night_without_exports_says_that_there_are_none(bufdir: Bufdir) -> None:
    ended = bufdir("nightly")

    assert ended.out == "nightly: no snapshots computed, 0 stand: no exports, no rows, 0 counted\n"
    assert ended.code == 0


def test_a_night_without_the_folder_of_exports_names_it(bufdir: Bufdir, data: Path) -> None:
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

    assert ended.out.startswith("nightly: 1 snapshot computed, 1 stands: 2 exports, 2 rows, ")
    assert ended.err.startswith(
        "bufdir: export poor.parquet (1 row) is refused: it lacks the required column hours"
    )
    assert ended.err.count("\n") == 1
    assert ended.code == 3


def test_a_refusal_is_told_again_every_night(bufdir: Bufdir, data: Path) -> None:
    (data / "exports" / "empty.parquet").touch()

    first, second = bufdir("nightly"), bufdir("nightly")

    assert "nothing has changed" in second.out
    assert first.err == second.err != ""
    assert first.code == second.code == 3


def test_organisations_of_exports_that_are_refused_now_are_named_as_held(
    bufdir: Bufdir, data: Path
) -> None:
    for number in (1, 2, 3):
        export(data, people(2, org_id=f"org-{number}"), f"{number}.parquet")
    bufdir("nightly")
    export(data, people(3), "1.parquet")
    for number in (2, 3):
        (data / "exports" / f"{number}.parquet").write_bytes(b"cut off")

    ended = bufdir("nightly")

    assert ended.out.startswith("nightly: 1 snapshot computed, 3 stand: ")
    assert ended.err.splitlines()[2:] == [
        f"bufdir: 1 organisation left as before, because the refused export {number}.parquet used "
        f"to name them: org-{number}"
        for number in (2, 3)
    ]
    assert ended.code == 3


def test_a_night_takes_up_what_was_asked_for_and_names_what_failed_of_it(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    with Catalog.open(data) as catalog:
        lifecycle.create(catalog, "nobody", periods.parse("rp-2024"), NOW)

    ended = bufdir("nightly")

    assert ended.out.startswith("nightly: 1 snapshot computed, 1 stands: ")
    assert ended.err == "bufdir: agg-001 (nobody in rp-2024) failed: no export names nobody\n"
    assert ended.code == 3


def test_snapshots_that_no_export_touches_any_longer_are_named_and_stand(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2), "a.parquet")
    export(data, people(2, org_id="org-2"), "b.parquet")
    bufdir("nightly")
    (data / "exports" / "b.parquet").unlink()

    ended = bufdir("nightly")

    assert ended.out.startswith("nightly: no snapshots computed, 2 stand: ")
    assert ended.err == (
        "bufdir: no export touches 1 snapshot any longer, whose numbers stand until run --force: "
        "agg-002 (org-2 in rp-2024-q4)\n"
    )
    assert ended.code == 0


def test_cells_of_periods_to_come_are_named(bufdir: Bufdir, data: Path) -> None:
    export(data, people(1, started_at=LATER))

    ended = bufdir("nightly")

    assert ended.err == "bufdir: 1 cell left until the period begins: org-1 in rp-2099-q2\n"
    assert ended.code == 0


def test_ignored_columns_are_named_once(bufdir: Bufdir, data: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        write(data, table(people(1)).append_column("note", [["x"]]), name)

    assert bufdir("nightly").err == "bufdir: columns that are ignored: note (in 2 exports)\n"


def test_a_night_for_programs_is_json(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(2), *people(1, activity_id="b", started_at=LATER)])
    (data / "exports" / "empty.parquet").touch()

    ended = bufdir("nightly", "--json")

    body = ended.body
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
                "version": 1,
                "problem": None,
            }
        ],
        "refused": {
            "empty.parquet": "export empty.parquet is refused: it is empty; export it again"
        },
        "held": {},
        "later": [{"org_id": "org-1", "reporting_period_id": "rp-2099-q2"}],
        "ignored": {},
    }
    assert ended.code == 3


def test_of_two_nights_at_once_the_second_ends_with_75(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    with Catalog.open(data) as catalog, run_queue.night(catalog, NOW):
        ended = bufdir("nightly")

    assert ended.code == 75
    assert ended.out == ""
    assert ended.err.startswith("bufdir: a night is already going on (process ")
    assert ended.err.endswith("); try again when it has ended\n")
    assert bufdir("nightly").out.startswith("nightly: 1 snapshot computed")


def test_events_and_notes_are_one_json_line_each_when_asked_for(bufdir: Bufdir, data: Path) -> None:
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


def test_a_quiet_night_prints_one_line_when_it_logs_json_too(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    ended = bufdir("nightly", BUFDIR_LOG__FORMAT="json")

    assert ended.out.count("\n") == 1
    assert ended.err == ""
