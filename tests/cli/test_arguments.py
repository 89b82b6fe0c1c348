"""Help, version, completion, the data folder, and what is loaded for each."""

from __future__ import annotations

import os
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import bare, python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

COMMANDS = [
    "nightly",
    "run",
    "init",
    "check",
    "verify",
    "status",
    "config",
    "list",
    "show",
    "delete",
    "reindex",
    "serve",
    "sample",
]
ENGINES = ("polars", "duckdb", "pyarrow", "litestar", "granian")

LOADED = """
import sys
import cli

watched, sys.argv = sys.argv[1].split(","), ["bufdir", *sys.argv[2:]]
try:
    cli.main()
finally:
    found = ",".join(name for name in watched if name in sys.modules)
    print(f"loaded:{found}", file=sys.stderr)
"""


def test_the_version_is_that_of_the_package() -> None:
    assert bare("--version").out == f"bufdir {version('bufdir-aggregation')}\n"


def test_the_help_names_every_command_and_exit_code() -> None:
    ended = bare("--help", COLUMNS="80")

    assert ended.code == 0
    for command in COMMANDS:
        assert f"│ {command} " in ended.out
    for code in (0, 1, 2, 3, 75, 130):
        assert re.search(rf"^ {code:<3} \S", ended.out, re.MULTILINE)


def test_no_arguments_at_all_show_the_help() -> None:
    ended = bare()

    assert "Usage: bufdir" in ended.out
    assert (ended.code, ended.err) == (2, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json_and_its_help_shows_an_example_in_80_columns(command: str) -> None:
    ended = bare(command, "--help", COLUMNS="80")

    assert f"\n $ bufdir {'--data' if command == 'reindex' else command}" in ended.out
    assert ("--json" in ended.out) == (command != "serve")
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "…" not in ended.out
    assert ended.code == 0


def test_the_data_folder_may_be_named_before_the_command_or_after_it_or_by_a_variable(
    computed: Bufdir, tmp_path: Path
) -> None:
    data, nowhere = str(computed.data), str(tmp_path)
    listed = computed("list").out

    assert bare("--data", data, "list").out == listed
    assert bare("list", "--data", data).out == listed
    assert bare("list", BUFDIR_DATA=data).out == listed
    assert bare("--data", data, "list", BUFDIR_DATA=nowhere).out == listed
    assert bare("--data", nowhere, "list", "--data", data).out == listed


def test_the_data_folder_is_the_one_here_where_none_is_named(computed: Bufdir) -> None:
    assert bare("list", cwd=computed.data.parent).out == computed("list").out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell: str) -> None:
    ended = bare(f"--show-completion={shell}", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")

    assert "_BUFDIR_COMPLETE" in ended.out


def complete(bufdir: Bufdir, words: str) -> list[str]:
    """Return the completions that the tab key gives after these words."""
    ended = bufdir(
        _BUFDIR_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" "))
    )
    return ended.out.split()


@pytest.mark.parametrize("command", ["show", "delete", "verify", "verify agg-001"])
def test_ids_are_completed_from_the_catalog(computed: Bufdir, command: str) -> None:
    words = f"bufdir --data {computed.data} {command} agg-00"

    assert complete(computed, words) == ["agg-001", "agg-002", "agg-003"]


def test_ids_are_completed_from_the_folder_that_the_variable_names(computed: Bufdir) -> None:
    ended = bare(
        BUFDIR_DATA=str(computed.data),
        _BUFDIR_COMPLETE="complete_bash",
        COMP_WORDS="bufdir show agg-003",
        COMP_CWORD="2",
    )

    assert ended.out.split() == ["agg-003"]


def test_completion_is_silent_where_there_is_no_catalog_or_a_damaged_one(
    bufdir: Bufdir, data: Path
) -> None:
    words = f"bufdir --data {data} show agg"

    assert complete(bufdir, words) == []
    assert os.listdir(data) == ["exports"]  # noqa: PTH208 (nothing was made)
    (data / "catalog.sqlite").write_text("no catalog " * 100)
    assert complete(bufdir, words) == []


def test_commands_are_completed(computed: Bufdir) -> None:
    assert complete(computed, "bufdir nig") == ["nightly"]


def loaded(*arguments: str | Path, watched: tuple[str, ...] = ENGINES) -> str:
    """Return the watched libraries that a command's processes have loaded when they end."""
    printed = python(LOADED, ",".join(watched), *arguments).err.splitlines()
    found = [line.removeprefix("loaded:") for line in printed if line.startswith("loaded:")]
    assert found
    return ",".join(filter(None, found))


def test_help_loads_no_engine_and_no_settings() -> None:
    watched = (*ENGINES, "pipeline.settings", "narwhals")

    assert loaded("--help", watched=watched) == ""
    assert loaded("nightly", "--help", watched=watched) == ""


@pytest.mark.parametrize(
    "command",
    [["list"], ["list", "--json"], ["show", "agg-001", "--json"], ["status"], ["config"]],
)
def test_what_only_reads_loads_no_engine(computed: Bufdir, command: list[str]) -> None:
    assert loaded("--data", computed.data, *command) == ""


def test_a_nightly_run_without_changes_loads_no_engine(computed: Bufdir) -> None:
    assert loaded("--data", computed.data, "nightly") == ""


def test_a_nightly_run_that_computes_loads_one_engine(computed: Bufdir) -> None:
    assert loaded("--data", computed.data, "nightly", "--full").split(",")[0] == "polars"
