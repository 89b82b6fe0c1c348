"""The search for the data folder where neither an option nor a variable names one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.terminal.data_folder import HERE, DataFolderRule, find
from tests.cli.conftest import bare
from tests.given import export, row

if TYPE_CHECKING:
    from tests.cli.conftest import Bufdir

MARKS = ["exports", "catalog.sqlite", "bufdir.toml"]


def mark(folder: Path, name: str) -> Path:
    """Make a folder one with data in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if name == "exports":
        (folder / name).mkdir(exist_ok=True)
    else:
        (folder / name).touch()
    return folder


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A folder two levels down, with nothing in it."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path / "a" / "b"


@pytest.mark.parametrize("name", MARKS)
def test_a_folder_data_here_is_found(tmp_path: Path, name: str) -> None:
    mark(tmp_path / "data", name)

    assert find(tmp_path) == (HERE, DataFolderRule.FOUND)


@pytest.mark.parametrize("name", MARKS)
def test_a_folder_data_in_a_parent_is_found(tmp_path: Path, below: Path, name: str) -> None:
    data = mark(tmp_path / "data", name)

    assert find(below) == (data, DataFolderRule.FOUND)


@pytest.mark.parametrize("name", MARKS)
def test_the_current_directory_itself_is_found(tmp_path: Path, name: str) -> None:
    assert find(mark(tmp_path, name)) == (tmp_path, DataFolderRule.FOUND)


@pytest.mark.parametrize("name", ["catalog.sqlite", "bufdir.toml"])
def test_a_parent_that_holds_a_catalog_or_settings_is_found(
    tmp_path: Path, below: Path, name: str
) -> None:
    mark(tmp_path, name)

    assert find(below) == (tmp_path, DataFolderRule.FOUND)


def test_a_parent_that_only_holds_exports_is_not_taken(tmp_path: Path, below: Path) -> None:
    mark(tmp_path, "exports")

    assert find(below) == (HERE, DataFolderRule.DEFAULT)


def test_the_nearest_one_is_found(tmp_path: Path, below: Path) -> None:
    mark(tmp_path / "data", "catalog.sqlite")
    nearer = mark(tmp_path / "a" / "data", "exports")

    assert find(below) == (nearer, DataFolderRule.FOUND)


def test_a_folder_data_is_found_before_the_folder_that_it_is_in(tmp_path: Path) -> None:
    mark(mark(tmp_path, "bufdir.toml") / "data", "exports")

    assert find(tmp_path) == (HERE, DataFolderRule.FOUND)


def test_an_empty_folder_data_is_passed_over(tmp_path: Path) -> None:
    data = mark(tmp_path / "data", "exports")
    (tmp_path / "a" / "data").mkdir(parents=True)

    assert find(tmp_path / "a") == (data, DataFolderRule.FOUND)


def test_commands_find_the_data_folder_from_below_and_from_within(computed: Bufdir) -> None:
    listed = computed("list").out

    assert bare("list", cwd=computed.data).out == listed
    assert bare("list", cwd=computed.data / "exports").out == listed
    assert bare("list", cwd=computed.data / "snapshots" / "agg-001").out == listed


def test_ids_are_completed_from_the_folder_that_is_found(computed: Bufdir) -> None:
    ended = bare(
        cwd=computed.data / "exports",
        _BUFDIR_COMPLETE="complete_bash",
        COMP_WORDS="bufdir show agg-003",
        COMP_CWORD="2",
    )

    assert ended.out.split() == ["agg-003"]


def test_where_none_is_found_the_default_is_named(tmp_path: Path) -> None:
    ended = bare("list", cwd=tmp_path)

    assert "'data' does not exist" in ended.err
    assert ended.code == 2


@pytest.mark.parametrize(
    ("arguments", "variables", "rule"),
    [
        (["--data", "{data}", "config"], {}, "--data"),
        (["config", "--data", "{data}"], {"BUFDIR_DATA": "/nowhere"}, "--data"),
        (["config"], {"BUFDIR_DATA": "{data}"}, "BUFDIR_DATA"),
        (["config"], {}, "found"),
    ],
)
def test_config_tells_by_which_rule_the_data_folder_was_chosen(
    computed: Bufdir, arguments: list[str], variables: dict[str, str], rule: str
) -> None:
    data = str(computed.data)
    filled = {name: value.format(data=data) for name, value in variables.items()}

    ended = bare(
        *(one.format(data=data) for one in arguments), "--json", cwd=computed.data, **filled
    )

    assert ended.result["data_rule"] == rule
    assert Path(ended.result["data"]) == computed.data


def test_the_data_folder_may_be_the_current_directory_itself(data: Path) -> None:
    export(data, [row(), row(participant_id="p2", hours=None)])

    nightly = bare("--data", ".", "nightly", cwd=data)
    run = bare("run", "--force", "--period", "rp-2024-q4", cwd=data, BUFDIR_DATA=".")

    assert (nightly.code, nightly.err) == (0, "")
    assert (run.code, run.err) == (0, "")
    assert (data / "snapshots" / "agg-001" / "v2.json").exists()
