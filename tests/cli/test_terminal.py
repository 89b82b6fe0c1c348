"""Output on a terminal, and output that is only for one."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from pipeline.model.states import Outcome, Reason
from pipeline.runs.context import NightlyResult, SnapshotResult
from pipeline.terminal import nightly_sentences, sentences
from tests.cli.conftest import terminal
from tests.given import export, people

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cli.conftest import Bufdir, Finished

ESCAPE = "\x1b"


def on_terminal(bufdir: Bufdir, *arguments: str | Path) -> tuple[str, Finished]:
    """Run a command with its stderr on a terminal; return what is shown, and the rest."""
    with terminal(columns=80) as (end, shown):
        ended = bufdir.into(subprocess.PIPE, *arguments, err=end)
    return shown[0], ended


def all_on_terminal(
    bufdir: Bufdir, *arguments: str, columns: int = 120, **variables: str
) -> Sequence[str]:
    """Run a command that prints everything on a terminal; return the lines that are shown."""
    with terminal(columns) as (end, shown):
        bufdir.into(end, *arguments, err=end, stdin=subprocess.DEVNULL, **variables)
    return shown[0].splitlines()


def test_a_nightly_run_shows_a_progress_bar_on_a_terminal_and_none_in_its_result(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))

    shown, ended = on_terminal(bufdir, "nightly")

    assert "Reading exports" in shown
    assert "Publishing snapshots" in shown
    assert "100%" in shown
    assert ended.out == "nightly: 1 snapshot computed, 1 current: 1 export, 2 rows, 2 counted\n"


def test_a_sample_shows_how_far_it_is(bufdir: Bufdir, tmp_path: Path) -> None:
    shown, _ = on_terminal(bufdir, "sample", tmp_path / "s", "--rows", "500")

    assert "Writing rows" in shown
    assert "100%" in shown


def test_a_log_in_json_shows_no_bar(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    (data / "bufdir.toml").write_text('[log]\nformat = "json"\n')

    shown, _ = on_terminal(bufdir, "nightly")

    assert all(line.startswith("{") and line.endswith("}") for line in shown.splitlines())


def test_what_happens_besides_is_shown_on_the_bar_too(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    (data / "snapshots" / "agg-001" / "v2.json").write_text("{}")
    export(data, people(3))

    shown, _ = on_terminal(bufdir, "nightly")

    assert "Orphans swept" in shown


def test_a_table_has_bold_headings_on_a_terminal(computed: Bufdir) -> None:
    heading, line, *_ = all_on_terminal(computed, "list")

    assert f"{ESCAPE}[1m" in heading
    assert line.startswith("agg-001  org-1")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_narrow_terminal_cuts_no_id_and_no_number(computed: Bufdir, columns: int) -> None:
    listed = all_on_terminal(computed, "list", columns=columns)
    shown = all_on_terminal(computed, "show", "agg-001", columns=columns)

    assert listed[1].split()[:4] == ["agg-001", "org-1", "rp-2024-q4", "completed"]
    assert any("started_at_out_of_range" in line for line in shown)
    assert "…" not in "".join([*listed, *shown])


def test_a_terminal_that_wants_no_colour_gets_none(computed: Bufdir) -> None:
    lines = all_on_terminal(computed, "list", TERM="dumb", NO_COLOR="1")

    assert ESCAPE not in "".join(lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["show", "agg-001"],
        ["check"],
        ["verify"],
        ["nightly"],
        ["list", "--help"],
        ["nigtly"],
    ],
)
def test_off_a_terminal_there_is_no_colour_and_no_bar(
    computed: Bufdir, arguments: list[str]
) -> None:
    ended = computed(*arguments)

    assert ESCAPE not in ended.out + ended.err
    assert "Reading" not in ended.err


def test_whoever_forces_colours_gets_whole_lines_off_a_terminal_all_the_same(
    computed: Bufdir,
) -> None:
    assert computed("list", FORCE_COLOR="1").out == computed("list").out


@pytest.mark.parametrize(
    ("number", "text"), [(0, "no rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_numbers_of_things_are_read_as_people_write_them(number: int, text: str) -> None:
    assert sentences.counted(number, "row") == text


def test_of_many_names_the_first_ten_are_said() -> None:
    names = [str(number) for number in range(1_200)]

    assert sentences.some(names[:10]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert sentences.some(names) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,190 more"


def test_snapshots_that_were_deleted_during_a_nightly_run_are_named() -> None:
    deleted = SnapshotResult("agg-003", "org-1", "rp-2024-q4", Outcome.DELETED, Reason.ROWS, 2)
    result = NightlyResult(
        changed=True,
        files=1,
        rows=1,
        outcomes=[deleted],
        blocked=(),
        deferred=(),
        refused={},
        ignored={},
        ledger={},
    )

    (diagnostic,) = nightly_sentences.diagnostics(result)

    assert diagnostic.message == "deleted during the run, and not published again: agg-003"
