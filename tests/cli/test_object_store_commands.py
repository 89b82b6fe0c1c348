"""Commands over exports in an object store: their exit codes and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import REPOSITORY, Bufdir, python
from tests.given import people
from tests.s3 import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Finished
    from tests.s3 import Bucket


@pytest.fixture
def published(bufdir: Bufdir, bucket: Bucket) -> Bufdir:
    """A data folder with one snapshot from a bucket; it has no folder of exports."""
    (bufdir.data / "exports").rmdir()
    (bufdir.data / "bufdir.toml").write_text(f'[exports]\nlocation = "{bucket.location}"\n')
    bucket.put(people(3))
    ended = bufdir("nightly")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == ("nightly: 1 snapshot computed, 1 current: 1 export, 3 rows, 3 counted\n")
    return bufdir


def assert_unreachable(ended: Finished, sentence: str) -> None:
    assert ended.code == 3
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert sentence in ended.err
    assert SECRET not in ended.err
    assert "Traceback" not in ended.err


def test_commands_read_the_bucket(published: Bufdir) -> None:
    assert published("nightly").out.startswith(
        "nightly: nothing changed since the last nightly run"
    )
    assert published("check").code == 0
    assert "match" in published("verify").out
    assert published("run", "--period", "rp-2024-q3").code == 0
    assert published("nightly", "--full", "--engine", "duckdb").code == 0


@pytest.mark.parametrize(
    "command",
    [
        *(["nightly"], ["check"], ["verify"]),
        *(["run", "--period", "rp-2024-q4"], ["run", "--period", "rp-2024-q4", "--org", "org-1"]),
    ],
)
def test_a_store_that_can_not_be_reached_ends_a_command_with_code_3(
    published: Bufdir, command: list[str]
) -> None:
    before = published("list").out
    ended = published(*command, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert_unreachable(ended, "the store can't be reached; nothing was published")
    assert published("list").out == before
    assert published("nightly").code == 0


def test_a_missing_bucket_ends_a_nightly_run_with_code_3(published: Bufdir) -> None:
    before = published("list").out
    ended = published("nightly", BUFDIR_EXPORTS__LOCATION="s3a://no-such-bucket/exports")
    assert_unreachable(
        ended,
        "the exports in s3a://no-such-bucket/exports can't be read: there is no such bucket or "
        "container; nothing was published, correct the setting exports.location",
    )
    assert published("list").out == before


def test_refused_credentials_end_a_nightly_run_with_code_3(
    published: Bufdir, bucket: Bucket
) -> None:
    before = published("list").out
    with bucket.server.refusing():
        assert_unreachable(published("nightly"), "access is denied; nothing was published")
        assert SECRET not in published("-vv", "nightly").err
    assert published("list").out == before


def test_programs_get_the_type_of_the_failure(published: Bufdir) -> None:
    ended = published("nightly", "--json", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert ended.body["error"]["type"] == "exports-unreachable"
    assert ended.body["exit_code"] == 3


def test_config_shows_the_location_and_no_credentials(published: Bufdir, bucket: Bucket) -> None:
    shown = published("config").out
    assert bucket.location in shown
    assert SECRET not in shown


def test_without_the_package_a_command_ends_with_code_2(data: Path) -> None:
    (data / "bufdir.toml").write_text('[exports]\nlocation = "gs://bucket/exports"\n')
    code = """
import sys
sys.modules["obstore"] = None
import cli
sys.argv = ["bufdir", "--data", sys.argv[1], "nightly"]
cli.main()
"""
    ended = python(code, data, PYTHONPATH=str(REPOSITORY))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "bufdir: the package obstore is not installed, and an object store needs it; "
        "pip install '.[spark-client]' or '.[spark]' in the folder of the program\n"
    )
    assert not (data / "catalog.sqlite").exists()
