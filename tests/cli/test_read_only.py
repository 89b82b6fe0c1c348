"""Commands that only look write nothing at all to the data folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import Bufdir
from tests.given import export, people

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.no_cover

LOOKING = [
    ["list"],
    ["show", "agg-001"],
    ["show", "agg-001", "--metrics", "--json"],
    ["status"],
    ["status", "--json"],
    ["config"],
    ["token", "list"],
    ["audit", "--verify"],
    ["check"],
    ["check", "--json", "--engine", "duckdb"],
    ["verify"],
    ["verify", "agg-001", "--engine", "polars"],
]
OF_RELEASE_0_1 = Path(__file__).parents[1] / "data" / "release-0.1"


def state(folder: Path) -> Mapping[str, tuple[int, int, bytes]]:
    """Return each path in a folder with its times of change and its bytes."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [folder, *folder.rglob("*")]
    }


@pytest.mark.parametrize("arguments", LOOKING)
def test_commands_that_only_look_leave_the_data_folder_as_it_is(
    computed: Bufdir, arguments: list[str]
) -> None:
    before = state(computed.data)

    ended = computed(*arguments)

    assert state(computed.data) == before
    assert ended.code == 0


@pytest.mark.parametrize("arguments", [["list"], ["status"], ["verify"]])
def test_commands_that_only_look_make_nothing_where_no_nightly_run_was(
    bufdir: Bufdir, data: Path, arguments: list[str]
) -> None:
    export(data, people(2))
    before = state(data)

    ended = bufdir(*arguments)

    assert state(data) == before
    assert ended.code == 0


@pytest.mark.parametrize("arguments", [["list"], ["show", "agg-001"], ["status"], ["verify"]])
def test_commands_that_only_look_migrate_nothing_of_an_earlier_release(
    tmp_path: Path, arguments: list[str]
) -> None:
    data = shutil.copytree(OF_RELEASE_0_1, tmp_path / "data")
    before = state(data)

    ended = Bufdir(data)(*arguments)

    assert state(data) == before
    assert ended.code in {0, 3}
    assert ended.out
