"""How commands end that do not end well: one sentence, one exit code, never a traceback."""

from __future__ import annotations

import inspect
import json
import re
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline import errors
from pipeline.runs import lifecycle
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from pipeline.terminal.confirmation import ConfirmationNeeded, Declined
from pipeline.terminal.exit_codes import CRASH, FAILURES, INTERRUPT, USAGE
from tests.cli.conftest import PLANTED, PROGRAM, REPOSITORY, Bufdir, python
from tests.given import NOW, export, people
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.cli.conftest import Finished


def refused(ended: Finished) -> str:
    """Return the one sentence that a refused command has printed."""
    assert ended.out == ""
    assert re.fullmatch(r"bufdir: .*\n", ended.err)
    return ended.err.removeprefix("bufdir: ").removesuffix("\n")


def test_every_expected_failure_has_its_exit_code() -> None:
    failures = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.BufdirError) and kind is not errors.BufdirError
    }

    of_the_terminal = {ConfirmationNeeded, Declined}
    assert set(FAILURES) == failures | of_the_terminal | {OSError}
    assert {failure.code for failure in FAILURES.values()} == {1, 2, 3, 75}


def test_every_expected_failure_has_a_type_of_its_own_for_programs() -> None:
    types = [failure.type for failure in (*FAILURES.values(), USAGE, CRASH, INTERRUPT)]

    assert len(set(types)) == len(types)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", type_) for type_ in types)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nigtly"], "no such command 'nigtly', did you mean 'nightly'"),
        (["list", "--foo"], "no such option: --foo"),
        (["list", "--limit", "0"], "invalid value for '--limit': "),
        (["list", "--limit", "many"], "invalid value for '--limit': "),
        (["list", "--status", "open"], "invalid value for '--status': 'open' is not one of "),
        (["list", "--sort", "name"], "invalid value for '--sort': 'name' is not one of "),
        (["list", "--period", "rp-2024-q5"], "period 'rp-2024-q5': periods are written "),
        (["list", "--org", "a b"], "org_id 'a b': organisations are written "),
        (["show"], "missing argument 'ID'; bufdir show --help shows more"),
        (["show", "1"], "id '1': ids are written agg-001"),
        (["verify", "agg-1"], "id 'agg-1': ids are written agg-001"),
        (["run"], "missing option '--period'"),
        (["run", "--period", "rp-24"], "period 'rp-24': periods are written "),
        (["run", "--period", "rp-2024..rp-2024-q1"], "period 'rp-2024..rp-2024-q1': both ends "),
        (["run", "--period", "rp-2024-q2..rp-2024-q1"], "period 'rp-2024-q2..rp-2024-q1': the "),
        (["run", "--period", "rp-2100"], "period rp-2100 has not begun: it begins 2100-01-01"),
        (["run", "--period", "rp-2024", "--org", "a b"], "org_id 'a b': organisations are "),
        (["check", "no.parquet"], "invalid value for 'FILE': file 'no.parquet' does not exist"),
        (["serve", "--port", "65536"], "invalid value for '--port': "),
        (["nightly", "now"], "got unexpected extra argument(s) (now)"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(
    computed: Bufdir, arguments: list[str], sentence: str
) -> None:
    ended = computed(*arguments)

    assert refused(ended).startswith(sentence)
    assert ended.code == 2


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"BUFDIR_MAX_HOURS": "many"}, "setting max_hours in the environment: 'many': "),
        ({"BUFDIR_MAX_HOUR": "12"}, "setting BUFDIR_MAX_HOUR in the environment: is unknown"),
        ({"BUFDIR_PERIODS": "quarter"}, "setting BUFDIR_"),
    ],
)
def test_a_wrong_variable_is_named(
    computed: Bufdir, variables: dict[str, str], sentence: str
) -> None:
    ended = computed("nightly", **variables)

    assert refused(ended).startswith(sentence)
    assert ended.code == 2


@pytest.mark.parametrize(
    "arguments", [["run", "--period", "rp-2024"], ["check"], ["verify"], ["reindex"], ["serve"]]
)
def test_every_command_that_needs_settings_refuses_wrong_ones(
    computed: Bufdir, arguments: list[str]
) -> None:
    assert computed(*arguments, BUFDIR_MAX_HOURS="0").code == 2


def test_a_wrong_line_of_the_settings_is_named_with_its_file(bufdir: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text('[log]\nformat = "xml"\n')

    ended = bufdir("nightly")

    assert refused(ended).startswith(f"setting log.format in {data}/bufdir.toml: 'xml': ")
    assert ended.code == 2


def test_a_data_folder_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    ended = Bufdir(tmp_path / "typo")("list")

    assert f"'{tmp_path}/typo' does not exist" in refused(ended)
    assert ended.code == 2
    assert not (tmp_path / "typo").exists()


def test_a_reader_that_has_seen_enough_costs_no_word_of_what_else_there_is_to_say(
    bufdir: Bufdir, data: Path
) -> None:
    (data / "exports" / "poor.parquet").write_bytes(b"")
    with bufdir.begin("nightly") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        err = process.stderr.read()

    assert err == "bufdir: export poor.parquet is refused: it is empty; export it again\n"
    assert process.returncode == 3


def test_a_reader_that_has_seen_enough_is_no_failure(computed: Bufdir) -> None:
    with computed.begin("list") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        err = process.stderr.read()

    assert err == ""
    assert process.returncode == 0


def test_results_that_can_not_be_written_are_said_to_be_so(computed: Bufdir) -> None:
    with Path("/dev/full").open("w") as full:
        ended = computed.into(full, "list")

    assert ended.err == "bufdir: No space left on device\n"
    assert ended.code == 1


def test_a_folder_that_can_not_be_written_is_named(bufdir: Bufdir, data: Path) -> None:
    export(data, people(1))
    (data / "snapshots").write_text("in the way")

    ended = bufdir("nightly")

    assert f"{data}/snapshots" in refused(ended)
    assert ended.code == 1


def test_a_catalog_that_lost_its_tables_is_named(bufdir: Bufdir, data: Path) -> None:
    with Catalog.open(data) as catalog:
        catalog.execute("DROP TABLE snapshots")

    ended = bufdir("list")

    assert refused(ended) == (
        f"{data}/catalog.sqlite is damaged: no such table: snapshots; "
        "rebuild it with bufdir reindex"
    )
    assert ended.code == 1


def test_a_catalog_that_is_damaged_inside_is_named(bufdir: Bufdir, data: Path) -> None:
    export(data, people(1))
    bufdir("nightly")
    size = _page_size(data)
    content = bytearray((data / "catalog.sqlite").read_bytes())
    content[size:] = b"\xff" * (len(content) - size)
    (data / "catalog.sqlite").write_bytes(content)

    ended = bufdir("list")

    assert "malformed" in refused(ended)
    assert ended.code == 1


def _page_size(data: Path) -> int:
    connection = sqlite3.connect(data / "catalog.sqlite")
    try:
        return int(connection.execute("PRAGMA page_size").fetchone()[0])
    finally:
        connection.close()


def test_a_crash_is_one_sentence_that_names_the_file_with_its_traceback(
    data: Path,
) -> None:
    ended = python(PLANTED.format(error="ZeroDivisionError('planted')"), data)

    sentence = refused(ended)
    assert sentence.startswith("the program crashed (ZeroDivisionError); report it ")
    (crash,) = (data / "crashes").iterdir()
    assert sentence.endswith(str(crash))
    assert crash.read_text().endswith("ZeroDivisionError: planted\n")
    assert ended.code == 1


def test_a_panic_of_an_engine_is_a_crash_like_others(data: Path) -> None:
    ended = python(PLANTED.format(error="BaseException('panic')"), data)

    assert "the program crashed (BaseException)" in refused(ended)
    assert ended.code == 1


def test_a_crash_in_json_is_one_line_with_the_traceback(data: Path) -> None:
    code = PLANTED.format(error="ZeroDivisionError('planted')")

    ended = python(code, data, BUFDIR_LOG__FORMAT="json")

    (event,) = [json.loads(line) for line in ended.err.splitlines()]
    assert (event["event"], event["level"]) == ("unhandled_exception", "error")
    assert event["exception"].endswith("ZeroDivisionError: planted")
    assert not (data / "crashes").exists()
    assert ended.code == 1


@pytest.mark.parametrize(
    "arguments", [("show", "agg-009"), ("delete", "agg-009"), ("list", "--org", "/")]
)
def test_a_command_that_only_reads_the_catalog_logs_as_the_settings_say(
    bufdir: Bufdir, data: Path, arguments: tuple[str, ...]
) -> None:
    (data / "bufdir.toml").write_text('[log]\nformat = "json"')

    ended = bufdir(*arguments)

    (event,) = [json.loads(line) for line in ended.err.splitlines()]
    assert (event["event"], ended.code) == ("command_failed", 2)


def test_a_refusal_in_json_is_one_line(bufdir: Bufdir, data: Path) -> None:
    (data / "exports").rmdir()

    ended = bufdir("nightly", BUFDIR_LOG__FORMAT="json")

    (event,) = [json.loads(line) for line in ended.err.splitlines()]
    assert (event["event"], event["level"]) == ("command_failed", "error")
    assert event["detail"].startswith(f"no folder {data}/exports")
    assert ended.code == 2


def test_the_traceback_of_a_crash_is_kept_elsewhere_where_the_data_folder_can_not_be_written(
    data: Path, tmp_path: Path
) -> None:
    (data / "crashes").write_text("in the way")

    ended = python(PLANTED.format(error="KeyError()"), data, TMPDIR=str(tmp_path))

    (crash,) = tmp_path.glob("bufdir-*.log")
    assert refused(ended).endswith(str(crash))
    assert crash.read_text().endswith("KeyError\n")


def test_the_traceback_of_a_crash_is_kept_elsewhere_where_there_is_no_data_folder(
    tmp_path: Path,
) -> None:
    code = """
import sys
import cli
from pipeline import sample

sample.write = None
sys.argv = ["bufdir", "sample", "s"]
cli.main()
"""
    ended = python(code, TMPDIR=str(tmp_path))

    (crash,) = tmp_path.glob("bufdir-*.log")
    assert refused(ended).endswith(str(crash))


def test_an_interrupted_nightly_run_says_one_line_and_lets_the_next_one_in(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(1))
    with Catalog.open(data) as catalog, owners.temporary(data) as name:
        (entry,) = lifecycle.ensure(catalog, [("org-1", "rp-2024-q4")], NOW)
        (run,) = run_queue.acquire(catalog, [entry.number], name, NOW)
        with bufdir.begin("nightly") as nightly:
            while not _a_nightly_run_waits(catalog):
                time.sleep(0.05)
            nightly.send_signal(signal.SIGINT)
            printed, err = nightly.communicate(timeout=PATIENCE_SECONDS)
        run_queue.end(catalog, run.id, NOW)

    assert err == "bufdir: interrupted; what was published stays published\n"
    assert printed == ""
    assert nightly.returncode == 130
    assert bufdir("nightly").code == 0


def _a_nightly_run_waits(catalog: Catalog) -> bool:
    return any(run.number is None for run in run_queue.open_runs(catalog))


def test_output_that_is_closed_from_the_start_is_no_fault(computed: Bufdir) -> None:
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *PROGRAM, "--data", computed.data, "list"],
        cwd=REPOSITORY,
        check=False,
        timeout=PATIENCE_SECONDS,
    )

    assert ended.returncode == 0
