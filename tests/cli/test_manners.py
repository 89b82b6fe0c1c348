"""Options that every command takes, and questions before what can't be undone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import bare, terminal
from tests.given import export, people, row, table, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir, Finished

EVENT = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z \[(\w+) *\] (\w+)", re.MULTILINE)


def events(ended: Finished) -> list[tuple[str, str]]:
    """Return the level and the name of each event on stderr."""
    return EVENT.findall(ended.err)


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_quiet_nightly_run_prints_nothing_where_all_is_in_order(
    bufdir: Bufdir, data: Path, place: str
) -> None:
    write(data, table(people(2)).append_column("note", [["x"] * 2]), "a.parquet")

    ended = bufdir("-q", "nightly") if place == "before" else bufdir("nightly", "--quiet")

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert "agg-001" in bufdir("list").out


def test_quiet_leaves_warnings_errors_and_what_was_asked_for(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    (data / "exports" / "empty.parquet").touch()

    nightly, listed = bufdir("nightly", "-q"), bufdir("-q", "list", "--limit", "1")
    as_json, missing = bufdir("nightly", "-q", "--json"), bufdir("show", "agg-009", "-q")

    assert nightly.out == ""
    assert nightly.err.startswith("bufdir: export empty.parquet is refused")
    assert nightly.code == 3
    assert "agg-001" in listed.out
    assert as_json.result["files"] == 2
    assert missing.err.startswith("bufdir: no snapshot agg-009")


def test_a_log_in_json_is_quiet_too(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))

    ended = bufdir("nightly", "-q", BUFDIR_LOG__FORMAT="json")

    assert (ended.out, ended.err) == ("", "")


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_prints_each_event_of_a_run(bufdir: Bufdir, data: Path, place: str) -> None:
    export(data, people(2))

    ended = bufdir("-v", "nightly") if place == "before" else bufdir("nightly", "--verbose")

    assert events(ended) == [
        ("info", "exports_read"),
        ("info", "snapshots_written"),
        ("info", "snapshots_published"),
    ]
    assert ended.out.startswith("nightly: 1 snapshot computed")


@pytest.mark.parametrize("options", [["-vv"], ["-v", "-v"]])
def test_verbose_twice_prints_debug_events_too(
    bufdir: Bufdir, data: Path, options: list[str]
) -> None:
    export(data, people(2))

    ended = bufdir("nightly", *options)

    found = events(ended)
    assert found[0] == ("debug", "settings_loaded")
    assert found[-1] == ("debug", "command_ended")
    assert ("info", "exports_read") in found
    assert "exit_code=0" in ended.err


def test_verbose_before_and_after_the_command_adds_up(computed: Bufdir) -> None:
    assert events(computed("-v", "list", "-v")) == [("debug", "command_ended")]


def test_the_version_has_a_short_option() -> None:
    assert bare("-V").out == bare("--version").out != ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_no_progress_shows_no_bar_on_a_terminal(bufdir: Bufdir, data: Path, place: str) -> None:
    export(data, people(2))
    arguments = ("--no-progress", "nightly") if place == "before" else ("nightly", "--no-progress")

    with terminal(columns=80) as (end, shown):
        bufdir.into(end, *arguments, err=end)

    assert shown[0] == "nightly: 1 snapshot computed, 1 current: 1 export, 2 rows, 2 counted\n"


def test_delete_refuses_off_a_terminal_and_says_to_give_yes(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    ended = bufdir("delete", "agg-001")

    assert ended.err == (
        "bufdir: deleting agg-001 needs a confirmation, and this is no terminal; give --yes\n"
    )
    assert (ended.code, ended.out) == (2, "")
    assert bufdir("show", "agg-001").code == 0


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_delete_asks_on_a_terminal_and_does_as_it_is_told(
    bufdir: Bufdir, data: Path, typed: str, code: int
) -> None:
    export(data, people(2))
    bufdir("nightly")

    with terminal(columns=120, typed=typed) as (end, shown):
        ended = bufdir.into(end, "delete", "agg-001", err=end, stdin=end)

    assert "Delete agg-001 (org-1 in rp-2024-q4)? [y/N]: " in shown[0]
    assert ("agg-001 is deleted: org-1 in rp-2024-q4" in shown[0]) == (code == 0)
    assert ("bufdir: declined: deleting agg-001 was not done" in shown[0]) == (code == 2)
    assert ended.code == code
    assert (data / "snapshots" / "agg-001" / "deleted.json").exists() == (code == 0)


def test_delete_asks_nothing_with_yes(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    with terminal(columns=120) as (end, shown):
        ended = bufdir.into(end, "delete", "agg-001", "-y", err=end, stdin=end)

    assert shown[0].startswith("agg-001 is deleted: org-1 in rp-2024-q4; for 30 days, ")
    assert ended.code == 0


def test_an_engine_may_be_named_for_one_command(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(2), row(hours=-1, activity_id="b")])

    by_polars = bufdir("check", "--json", "--engine", "polars").result
    by_duckdb = bufdir("check", "--json", "--engine", "duckdb").result
    nightly = bufdir("nightly", "--engine", "duckdb")
    verified = bufdir("verify", "--engine", "polars", "--json").result

    assert by_duckdb == by_polars
    assert nightly.out.startswith("nightly: 1 snapshot computed")
    assert [one["verdict"] for one in verified["snapshots"]] == ["match"]


def test_an_unknown_engine_is_wrong_usage(bufdir: Bufdir) -> None:
    ended = bufdir("nightly", "--engine", "abacus")

    assert ended.err.startswith("bufdir: invalid value for '--engine': 'abacus' is not one of ")
    assert ended.code == 2


def test_verbose_never_logs_less_than_the_settings_ask_for(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))

    debug = bufdir("-v", "nightly", BUFDIR_LOG__LEVEL="debug")
    info = bufdir("-v", "nightly", "--full", BUFDIR_LOG__LEVEL="warning")

    assert ("debug", "command_ended") in events(debug)
    assert ("info", "exports_read") in events(info)
    assert not [name for level, name in events(info) if level == "debug"]
