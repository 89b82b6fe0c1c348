"""Damage to what is stored, on the command line: on stderr, as exit code 3, and in the status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.given import SUMMER, export, people, row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

pytestmark = pytest.mark.no_cover


@pytest.fixture
def versions(bufdir: Bufdir, data: Path) -> Path:
    """The folder of a snapshot with two versions."""
    export(data, [*people(2), row(started_at=SUMMER)])
    assert bufdir("nightly").code == 0
    export(data, [*people(3), row(started_at=SUMMER)])
    assert bufdir("nightly").code == 0
    return data / "snapshots" / "agg-001"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def test_a_damaged_older_version_is_named_with_exit_code_3_and_in_the_status(
    bufdir: Bufdir, versions: Path
) -> None:
    flip(versions / "v1.json")
    problem = "its content is not what was published"
    remedy = "restore it from a backup, or let bufdir reindex set it aside"

    ended = bufdir("nightly")

    assert ended.err == f"bufdir: snapshots/agg-001/v1.json is damaged: {problem}; {remedy}\n"
    assert "nothing changed" in ended.out
    assert ended.code == 3
    assert "snapshots/agg-001/v1.json" in bufdir("status").out
    (one,) = bufdir("status", "--json").result["damaged"]
    assert one == {
        "file": "snapshots/agg-001/v1.json",
        "id": "agg-001",
        "version": 1,
        "problem": problem,
        "remedy": remedy,
    }


def test_a_damaged_current_version_is_computed_again_and_no_longer_shown_before(
    bufdir: Bufdir, versions: Path
) -> None:
    before = bufdir("show", "agg-001", "--json").body
    flip(versions / "v2.json")
    shown = bufdir("show", "agg-001")
    assert (shown.code, shown.out) == (1, "")
    assert "v2.json is damaged: " in shown.err

    ended = bufdir("nightly", "--json")

    assert ended.code == 3
    (one,) = ended.body["result"]["damaged"]
    assert one["remedy"].startswith("version 3 was computed in its place")
    assert [each["event"] for each in ended.body["diagnostics"]] == ["file_damaged"]
    after = bufdir("show", "agg-001", "--json").body
    assert {**after, "refreshed_at": None} == {**before, "refreshed_at": None}
    assert bufdir("nightly").code == 0


def test_a_damaged_catalog_ends_the_nightly_run_and_reindexing_repairs_it(
    bufdir: Bufdir, versions: Path, data: Path
) -> None:
    listed = bufdir("list").out
    path = data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 : 2 * 4096] = bytes(4096)
    path.write_bytes(content)

    ended = bufdir("nightly")

    assert versions.exists()
    assert ended.code == 1
    assert "catalog.sqlite is damaged: " in ended.err
    assert "rebuild it with bufdir reindex" in ended.err
    assert bufdir("reindex").code == 0
    assert bufdir("list").out == listed
    assert bufdir("nightly").code == 0
