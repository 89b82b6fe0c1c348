"""Delete, list --deleted and undelete, on the command line."""

from __future__ import annotations

import getpass
import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.given import SUMMER, export, people, row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def deleted(bufdir: Bufdir, data: Path) -> Bufdir:
    """Two snapshots, of which the first was deleted."""
    export(data, [*people(2), row(started_at=SUMMER)])
    assert bufdir("nightly").code == 0
    assert bufdir("delete", "agg-001", "--yes").code == 0
    return bufdir


def test_an_undeleted_snapshot_is_shown_as_before(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    before = bufdir("show", "agg-001", "--json").out, bufdir("list").out
    bufdir("delete", "agg-001", "--yes")
    assert bufdir("show", "agg-001").code == 2

    ended = bufdir("undelete", "agg-001")

    assert (ended.out, ended.err, ended.code) == (
        "agg-001 is published again: org-1 in rp-2024-q4\n",
        "",
        0,
    )
    assert (bufdir("show", "agg-001", "--json").out, bufdir("list").out) == before


def test_what_was_deleted_is_listed_with_who_when_and_until_when(deleted: Bufdir) -> None:
    headings, line = deleted("list", "--deleted").out.splitlines()

    assert re.split(r"  +", headings) == [
        *("id", "organisation", "period", "version", "deleted", "by", "can be undone until")
    ]
    user = re.escape(f"local:{getpass.getuser()}")
    form = rf"agg-001  org-1 +rp-2024-q4 +1  {INSTANT}  {user}  {INSTANT}"
    assert re.fullmatch(form, line)


def test_programs_get_the_same_list(deleted: Bufdir) -> None:
    (one,) = deleted("list", "--deleted", "--json").result["deleted"]

    assert (one["id"], one["org_id"], one["reporting_period_id"]) == (
        "agg-001",
        "org-1",
        "rp-2024-q4",
    )
    at, until = (
        datetime.fromisoformat(one[name]) for name in ("deleted_at", "can_be_undone_until")
    )
    assert until - at == timedelta(days=30)
    assert one["removed_at"] is None


def test_the_list_of_deletions_is_filtered_by_organisation_and_period(deleted: Bufdir) -> None:
    for arguments, count in (
        (("--org", "org-1"), 1),
        (("--org", "org-2"), 0),
        (("--period", "rp-2024-q4"), 1),
        (("--period", "rp-2024-q3"), 0),
    ):
        found = deleted("list", "--deleted", *arguments, "--json").result["deleted"]
        assert len(found) == count
    assert deleted("list", "--deleted", "--org", "org-2").out == "no deleted snapshots\n"
    refused = deleted("list", "--deleted", "--limit", "1")
    assert refused.code == 2
    assert "takes only --org and --period" in refused.err


def test_the_days_are_a_setting(deleted: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text("[history]\nundelete_days = 0\n")

    ended = deleted("undelete", "agg-001", "--json")

    assert ended.code == 2
    assert ended.body["error"]["type"] == "not-undeletable"
    assert "longer ago than history.undelete_days = 0" in ended.body["error"]["message"]
    assert deleted("nightly").code == 0
    assert "files removed" in deleted("list", "--deleted").out
    assert [path.name for path in (data / "snapshots" / "agg-001").iterdir()] == ["deleted.json"]


def test_without_days_a_deletion_is_final_and_names_no_way_back(bufdir: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text("[history]\nundelete_days = 0\n")
    export(data, people(2))
    bufdir("nightly")
    ended = bufdir("delete", "agg-001", "--yes")
    assert ended.out == "agg-001 is deleted: org-1 in rp-2024-q4\n"


def test_the_status_counts_what_can_be_undeleted(deleted: Bufdir) -> None:
    assert "1 published; 1 deleted, see bufdir list --deleted" in deleted("status").out
    assert deleted("status", "--json").result["deleted"] == 1


def test_a_nightly_run_leaves_it_deleted_and_a_run_by_name_makes_a_new_one(
    deleted: Bufdir,
) -> None:
    assert "1 snapshot current" in deleted("nightly").out
    made = deleted("run", "--period", "rp-2024-q4", "--org", "org-1", "--json")
    assert [one["id"] for one in made.result["outcomes"]] == ["agg-003"]
    refused = deleted("undelete", "agg-001")
    assert refused.code == 2
    assert refused.err == (
        "bufdir: agg-001 can't be undeleted: org-1 in rp-2024-q4 has the snapshot agg-003 now; "
        "delete agg-003 first\n"
    )


def test_the_tab_key_completes_deleted_ids(deleted: Bufdir) -> None:
    completed = deleted(
        _BUFDIR_COMPLETE="complete_bash",
        COMP_WORDS=f"bufdir --data {deleted.data} undelete agg",
        COMP_CWORD="4",
    )
    assert completed.out.split() == ["agg-001"]
    assert json.loads(deleted("list", "--json").out)["pagination"]["total"] == 1
