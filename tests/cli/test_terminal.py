"""What a terminal shows, and what is kept from everything that is none."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from pipeline.runs.context import Night, Outcome
from pipeline.terminal import sentences
from tests.pipeline.given import export, people

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.cli.conftest import Bufdir, Ended

ESCAPE = "\x1b"


@contextmanager
def terminal(columns: int) -> Iterator[tuple[int, list[str]]]:
    """A terminal's end for programs, and what it has shown once the block has ended."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown: list[str] = []
    reader = threading.Thread(target=_read, args=(ours, shown))
    reader.start()
    try:
        yield theirs, shown
    finally:
        os.close(theirs)
        reader.join(timeout=30)
        os.close(ours)


def _read(descriptor: int, shown: list[str]) -> None:
    """Read until the last program has let go; a terminal that nobody reads stops its programs."""
    content = b""
    with suppress(OSError):
        while piece := os.read(descriptor, 65_536):
            content += piece
    shown.append(content.decode().replace("\r\n", "\n"))


def on_terminal(bufdir: Bufdir, *arguments: str | Path) -> tuple[str, Ended]:
    """What a terminal shows of a command that has its stderr there, and the rest of it."""
    with terminal(columns=80) as (end, shown):
        ended = bufdir.into(subprocess.PIPE, *arguments, err=end)
    return shown[0], ended


def all_on_terminal(
    bufdir: Bufdir, *arguments: str, columns: int = 120, **variables: str
) -> Sequence[str]:
    """The lines that a terminal shows of a command that prints everything there."""
    with terminal(columns) as (end, shown):
        bufdir.into(end, *arguments, err=end, **variables)
    return shown[0].splitlines()


def test_a_night_shows_a_progress_bar_on_a_terminal_and_none_in_its_result(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2))

    shown, ended = on_terminal(bufdir, "nightly")

    assert "Reading exports" in shown
    assert "Publishing snapshots" in shown
    assert "100%" in shown
    assert ended.out == "nightly: 1 snapshot computed, 1 stands: 1 export, 2 rows, 2 counted\n"


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
    ("number", "said"), [(0, "no rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_numbers_of_things_are_read_as_people_say_them(number: int, said: str) -> None:
    assert sentences.counted(number, "row") == said


def test_of_many_names_the_first_ten_are_said() -> None:
    names = [str(number) for number in range(1_200)]

    assert sentences.some(names[:10]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert sentences.some(names) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1,190 more"


def test_snapshots_that_were_deleted_during_a_night_are_named() -> None:
    deleted = Outcome("agg-003", "org-1", "rp-2024-q4", "deleted", 2)
    night = Night(
        changed=True,
        files=1,
        rows=1,
        outcomes=[deleted],
        held={},
        later=(),
        refused={},
        ignored={},
        ledger={},
    )

    (note,) = sentences.notes_of_night(night)

    assert note.sentence == "deleted while they were computed, and left so: agg-003"
