"""Running, checking, verifying, deleting, rebuilding, sampling and serving."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.cli.conftest import TWO_QUARTERS
from tests.given import NOW, export, people, row, table, write
from tests.patience import PATIENCE_SECONDS
from tests.tampering import tamper

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def table_of(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_run_computes_a_range_of_periods_of_all_organisations_that_exports_name(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, [*people(2), *people(1, org_id="org-2")])

    ended = bufdir("run", "--period", "rp-2024-q3..rp-2024-q4", "--period", "rp-2024-q4")

    heading, *lines = table_of(ended.out)
    assert heading == ["id", "organisation", "period", "outcome", "version"]
    assert sorted(line[1:] for line in lines) == [
        ["org-1", "rp-2024-q3", "computed", "1"],
        ["org-1", "rp-2024-q4", "computed", "1"],
        ["org-2", "rp-2024-q3", "computed", "1"],
        ["org-2", "rp-2024-q4", "computed", "1"],
    ]
    assert (ended.code, ended.err) == (0, "")


def test_run_leaves_what_has_not_changed_unless_it_is_forced(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    cell = ("run", "--period", "rp-2024", "--org", "org-1")
    bufdir(*cell)

    again, forced = bufdir(*cell), bufdir(*cell, "--force")

    assert table_of(again.out)[1][3:] == ["unchanged", "1"]
    assert table_of(forced.out)[1][3:] == ["computed", "2"]


def test_a_run_that_fails_is_named_and_ends_with_3_after_the_others(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))

    ended = bufdir("run", "--period", "rp-2024-q4", "--org", "absent", "--org", "org-1", "--json")

    assert [(one["org_id"], one["outcome"]) for one in ended.result["outcomes"]] == [
        ("absent", "failed"),
        ("org-1", "computed"),
    ]
    assert ended.err == ("bufdir: agg-001 (absent in rp-2024-q4) failed: no export names absent\n")
    assert ended.code == 3


def test_a_refused_export_is_named_by_a_run_too_and_ends_it_with_3(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))
    (data / "exports" / "new.parquet").write_bytes(b"no Parquet")

    ended = bufdir("run", "--period", "rp-2024-q4", "--json")

    assert [one["outcome"] for one in ended.result["outcomes"]] == ["computed"]
    assert list(ended.result["refused"]) == ["new.parquet"]
    assert ended.err.startswith("bufdir: export new.parquet ")
    assert ended.code == 3


def test_run_over_no_exports_has_nothing_to_do(bufdir: Bufdir) -> None:
    ended = bufdir("run", "--period", "rp-2024")

    assert (ended.code, ended.out) == (0, "no export names an organisation\n")


def test_a_run_during_a_nightly_run_ends_with_75(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    with Catalog.open(data) as catalog, run_queue.nightly_run(catalog, lambda: NOW):
        assert bufdir("run", "--period", "rp-2024").code == 75


def test_check_shows_files_and_ledger_and_publishes_nothing(bufdir: Bufdir, data: Path) -> None:
    good = table([*people(2), row(hours=-1, activity_id="b"), row(org_id=None)])
    write(data, good.append_column("note", [["x"] * 4]), "good.parquet")
    write(data, good.drop(["started_at"]), "poor.parquet")

    ended = bufdir("check")

    lines = table_of(ended.out)
    assert lines[1] == ["good.parquet", "4", "accepted", "note"]
    assert lines[2] == ["poor.parquet", "4", "refused", "-"]
    assert ended.out.splitlines()[3].startswith(
        "export poor.parquet (4 rows) is refused: it lacks the required column started_at"
    )
    assert "2  counted                  The row counts." in ended.out
    assert "1  hours_negative           The hours are below zero." in ended.out
    assert ended.out.endswith(
        "4  read                     -\n\n1 cell with rows; 1 row in no cell\n"
    )
    assert ended.code == 3
    assert not (data / "snapshots").exists()


def test_check_judges_files_anywhere_for_themselves(
    bufdir: Bufdir, data: Path, tmp_path: Path
) -> None:
    export(data, people(5))
    delivered = export(tmp_path, [*people(2), *people(1)], "delivered.parquet")

    ended = bufdir("check", delivered, "--json")

    assert ended.result["files"] == [
        {"name": delivered.as_posix(), "rows": 3, "problem": None, "ignored": []}
    ]
    assert (ended.result["rows"], ended.result["cells"]) == (3, 1)
    assert ended.result["ledger"]["counted"] == 2
    assert ended.result["ledger"]["superseded"] == 1
    assert set(ended.result["rows_without_cell"].values()) == {0}
    assert ended.code == 0


def test_check_of_no_exports_says_so(bufdir: Bufdir) -> None:
    assert bufdir("check").out == "no exports\n"


def test_verify_finds_that_all_match(computed: Bufdir) -> None:
    ended = computed("verify")

    assert [[line[0], line[-1]] for line in table_of(ended.out)[1:]] == [
        ["agg-001", "match"],
        ["agg-002", "match"],
        ["agg-003", "match"],
    ]
    assert (ended.code, ended.err) == (0, "")


def test_verify_of_nothing_says_so(bufdir: Bufdir) -> None:
    assert bufdir("verify").out == "no snapshots\n"


def test_a_number_that_the_second_engine_gives_otherwise_is_a_fault_of_the_program(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")
    total = {"participations": 2, "people": 3, "seconds": 14400, "activities": 1}
    tamper(data, total=total)

    ended, other = bufdir("verify", "agg-001"), bufdir("verify", "agg-002")

    assert table_of(ended.out)[-2:] == [
        ["id", "number", "published", "recomputed"],
        ["agg-001", "total.people", "3", "2"],
    ]
    assert ended.code == 1
    assert other.code == 0
    assert bufdir("verify", "--json").result["snapshots"][0]["differences"] == [
        {"name": "total.people", "published": 3, "recomputed": 2}
    ]


def test_what_is_stale_or_without_source_or_unpublished_ends_verify_with_3(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2), "a.parquet")
    export(data, people(2, org_id="org-2"), "b.parquet")
    bufdir("run", "--period", "rp-2024-q4", "--org", "org-1", "--org", "org-2", "--org", "absent")
    export(data, people(3), "a.parquet")
    (data / "exports" / "b.parquet").unlink()

    ended = bufdir("verify", "--json")

    assert [one["verdict"] for one in ended.result["snapshots"]] == [
        "stale",
        "source_missing",
        "unpublished",
    ]
    assert ended.code == 3


def test_a_version_file_that_is_damaged_ends_verify_with_1(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    (data / "snapshots" / "agg-001" / "v1.json").write_text("{")

    ended, shown = bufdir("verify"), bufdir("show", "agg-001")

    assert table_of(ended.out)[1][-1] == "corrupt"
    assert ended.code == shown.code == 1
    assert shown.err.startswith(f"bufdir: {data}/snapshots/agg-001/v1.json is damaged: ")


def test_delete_takes_a_snapshot_away(bufdir: Bufdir, data: Path) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")

    ended, again = bufdir("delete", "agg-001", "--yes"), bufdir("delete", "agg-001", "--yes")

    assert ended.out == (
        "agg-001 is deleted: org-1 in rp-2024-q4; for 30 days, bufdir undelete agg-001 undoes it\n"
    )
    assert ended.code == 0
    assert again.code == 2
    assert (
        bufdir("delete", "agg-002", "--yes", "--json").out
        == '{\n  "deleted": true,\n  "id": "agg-002"\n}\n'
    )


def test_reindex_rebuilds_a_catalog_that_was_lost(bufdir: Bufdir, data: Path) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")
    before = bufdir("list").out
    (data / "catalog.sqlite").unlink()

    ended = bufdir("reindex")

    assert ended.out == "reindex: 2 snapshots in the catalog\n"
    assert (ended.code, ended.err) == (0, "")
    assert bufdir("list").out == before


def test_reindex_sets_a_damaged_catalog_aside_and_names_damaged_versions(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, TWO_QUARTERS)
    bufdir("nightly")
    (data / "catalog.sqlite").write_text("no catalog " * 100)
    (data / "snapshots" / "agg-002" / "v1.json").write_text("{")

    damaged, ended = bufdir("list"), bufdir("reindex", "--json")

    assert damaged.code == 1
    assert damaged.err.startswith(f"bufdir: {data}/catalog.sqlite is damaged: ")
    assert "rebuild it with bufdir reindex" in damaged.err
    assert (data / ended.result["set_aside"]).read_text().startswith("no catalog")
    assert ended.result["snapshots"] == 1
    assert ended.err.startswith(f"bufdir: {data}/snapshots/agg-002/v1.json is damaged: ")
    assert ended.code == 3


def test_sample_writes_exports_that_a_nightly_run_can_count(bufdir: Bufdir, data: Path) -> None:
    arguments = ("--rows", "500", "--orgs", "3", "--files", "2", "--seed", "7")

    ended = bufdir("sample", data / "exports", *arguments)
    nightly = bufdir("nightly")

    assert ended.out == f"sample: 500 rows under {data}/exports, in 2 exports\n"
    assert (ended.code, ended.err) == (0, "")
    assert ": 2 exports, 500 rows, " in nightly.out


def test_sample_names_its_files_for_programs(bufdir: Bufdir, tmp_path: Path) -> None:
    ended = bufdir(
        "sample", tmp_path / "s", "--rows", "50", "--orgs", "3", "--files", "2", "--json"
    )

    files = sorted(path.as_posix() for path in (tmp_path / "s").rglob("*.parquet"))
    assert ended.result == {"files": files, "rows": 50}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--rows", "2"], "2 rows are too few for 20 organisations in 8 files"),
        (["--seed", "-1"], "seed is -1"),
    ],
)
def test_samples_that_can_not_be_are_wrong_usage(
    bufdir: Bufdir, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    ended = bufdir("sample", tmp_path / "s", *arguments)

    assert sentence in ended.err
    assert ended.err.count("\n") == 1
    assert ended.code == 2


def test_sample_does_not_write_beside_exports_that_are_there(bufdir: Bufdir, data: Path) -> None:
    export(data, people(1))

    ended = bufdir("sample", data / "exports")

    assert f"{data}/exports already holds Parquet files" in ended.err
    assert ended.code == 2


def test_serve_answers_until_it_is_interrupted(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/api/v1/bufdir-aggregations"

    with bufdir.begin("serve", "--port", str(port)) as server:
        body = _get(f"{address}/agg-001")
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=PATIENCE_SECONDS)

    assert body == bufdir("show", "agg-001", "--json").body
    assert "Traceback" not in err
    assert server.returncode == 0


def test_a_quiet_server_logs_no_requests(bufdir: Bufdir) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with bufdir.begin("serve", "-q", "--port", str(port)) as server:
        _get(f"http://127.0.0.1:{port}/api/v1/bufdir-aggregations")
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=PATIENCE_SECONDS)

    assert (server.returncode, err) == (0, "")


def _get(address: str) -> object:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return httpx.get(address).json()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_serve_says_in_one_sentence_that_its_port_is_taken(bufdir: Bufdir) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = bufdir("serve", "--port", str(port))

    assert re.fullmatch(rf"bufdir: port '{port}': .*\n", ended.err)
    assert ended.code == 2


HEAVY = ("polars", "duckdb", "litestar", "pyarrow", "narwhals", "numpy")


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["nightly"]])
def test_commands_that_compute_nothing_load_no_engine_and_no_server(
    bufdir: Bufdir, data: Path, arguments: list[str]
) -> None:
    """A nightly run without changes is one of them."""
    export(data, people(2))
    bufdir("nightly")
    program = (
        "import sys, cli\n"
        "try:\n    cli.main()\n"
        f"finally:\n    print(sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "BUFDIR_DATA": str(data)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert ended.stderr.splitlines()[-1] == "[]"
