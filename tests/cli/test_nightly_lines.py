"""What an operator reads in the morning: one line, and a line for each thing to do."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Bufdir, terminal
from tests.given import export, people

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
[[sources]]
name = "clubs"
files = "clubs/**"

[[sources]]
name = "schools"
files = "schools/**"
mode = "dump"

[guard]
most_silent_days = 3
"""
SILENT = (
    "UPDATE nightly_record SET body = json_set(body, '$.last_new.clubs', '2026-01-01T00:00:00Z')"
)


@pytest.fixture
def trouble(bufdir: Bufdir, data: Path) -> Bufdir:
    """An export that is gone, one that is torn, one twice, a dump without an organisation."""
    (data / "bufdir.toml").write_text(SETTINGS)
    for number in (1, 2, 3):
        export(data, people(20, org_id=f"org-{number}"), f"clubs/{number}.parquet")
    schools = people(30, org_id="school-1")
    export(data, [*schools, *people(30, org_id="school-2")], "schools/20240101.parquet")
    assert bufdir("nightly").code == 0
    (data / "exports" / "clubs" / "1.parquet").unlink()
    (data / "exports" / "clubs" / "2.parquet").write_bytes(b"")
    export(data, people(20, org_id="org-3"), "clubs/4.parquet")
    export(data, schools, "schools/20240102.parquet")
    return bufdir


def test_the_one_line_counts_what_was_done_and_what_was_not(trouble: Bufdir) -> None:
    ended = trouble("nightly")

    assert ended.out == (
        "nightly: 1 snapshot computed, 5 current, 3 blocked: 4 exports, 1 refused, 70 rows, "
        "50 counted\n"
    )
    assert ended.code == 3


def test_each_thing_to_do_is_one_line_with_its_command(trouble: Bufdir) -> None:
    lines = trouble("nightly").err.splitlines()

    assert [re.split(r" because |: |, which | have ", line)[1] for line in lines] == [
        "export clubs/2.parquet is refused",
        "1 snapshot blocked, with numbers as before,",
        "1 snapshot blocked, with numbers as before,",
        "1 snapshot blocked, with numbers as before,",
        "exports clubs/3.parquet, clubs/4.parquet",
        "1 export set aside,",
    ]
    commands = [
        found[0] for line in lines if (found := re.search(r"bufdir \w+ .+?(?= \(|$)", line))
    ]
    assert commands == [
        "bufdir retire clubs/1.parquet --keep",
        "bufdir run --force --org org-2 --period rp-2024-q4",
        "bufdir accept agg-005",
    ]
    assert len(set(lines)) == len(lines)


def test_a_night_without_changes_repeats_what_is_still_to_do_and_names_silent_sources(
    trouble: Bufdir, data: Path
) -> None:
    first = trouble("nightly")
    with closing(sqlite3.connect(data / "catalog.sqlite")) as catalog, catalog:
        catalog.execute(SILENT)

    second, quiet = trouble("nightly"), trouble("nightly", "-q")

    assert second.out == (
        "nightly: nothing changed since the last nightly run: 4 exports, 1 refused, 70 rows, "
        "5 snapshots current, 3 blocked; nothing new from clubs\n"
    )
    silent = (
        "bufdir: nothing new has come from source clubs since 2026-01-01, longer than "
        "guard.most_silent_days; see that its system still exports"
    )
    assert second.err.splitlines() == [*first.err.splitlines()[:-1], silent]
    assert second.code == quiet.code == 3
    assert (quiet.out, quiet.err) == ("", second.err)


def test_warnings_are_for_programs_too_and_change_no_exit_code(bufdir: Bufdir, data: Path) -> None:
    export(data, people(3), "a.parquet")
    export(data, people(3), "b.parquet")

    ended = bufdir("nightly", "--json")

    sentence = (
        "exports a.parquet, b.parquet have the same rows, which count once: it looks like the "
        "same file twice; remove the copy"
    )
    assert ended.result["warnings"] == [
        {"kind": "same_content", "sentence": sentence, "names": ["a.parquet", "b.parquet"]}
    ]
    assert ended.code == 0


def test_rows_that_are_suddenly_left_out_are_named_with_their_reason(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(1_200))
    bufdir("nightly")
    export(data, people(1_200, bufdir_category="Youth"))

    ended = bufdir("nightly")

    assert ended.err == (
        "bufdir: 1,200 rows of 1,200 left out as unknown_category, and 0 of 1,200 before, in "
        "1 organisation: org-1; see what changed in the exports or the settings\n"
    )
    assert ended.code == 0


def test_a_terminal_shows_the_same_lines(trouble: Bufdir) -> None:
    trouble("nightly")
    piped = trouble("nightly")
    with terminal(columns=400) as (end, shown):
        trouble.into(end, "nightly", "--no-progress", err=end)

    assert shown[0] == piped.out + piped.err
