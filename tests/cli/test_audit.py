"""`bufdir audit`: what commands record, and how a broken log is reported."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from pipeline.storage import audit
from pipeline.storage.catalog import Catalog
from tests.cli.test_read_only import state
from tests.given import export, people

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def acts(bufdir: Bufdir) -> list[tuple[str, str, str]]:
    found = bufdir("audit", "--json").result["lines"]
    assert {(one["who"], one["from"]) for one in found} == {(f"local:{getpass.getuser()}", None)}
    return [(one["act"], one["what"], one["end"]) for one in found]


def test_each_command_that_changes_something_is_a_line(bufdir: Bufdir, data: Path) -> None:
    path = export(data, people(30), "a.parquet")
    export(data, people(2, org_id="org-2"), "b.parquet")
    assert bufdir("nightly").code == 0
    assert bufdir("run", "--period", "rp-2024", "--org", "org-1").code == 0
    export(data, people(3), "a.parquet")
    assert bufdir("nightly").code == 3
    assert bufdir("accept", "agg-001").code == 0
    assert bufdir("accept", "agg-001", "--undo").code == 0
    path.unlink()
    assert bufdir("nightly").code == 3
    assert bufdir("retire", "a.parquet", "--keep").code == 0
    assert bufdir("retire", "a.parquet", "--undo").code == 0
    assert bufdir("delete", "agg-002", "--yes").code == 0
    assert bufdir("token", "create", "kari", "--org", "org-1", "--can", "read").code == 0
    assert bufdir("token", "revoke", "kari").code == 0
    assert bufdir("reindex").code == 0
    assert acts(bufdir) == [
        ("nightly", "run 1", "done"),
        ("run", "agg-003", "done"),
        ("nightly", "run 3", "done"),
        ("accept", "agg-001", "done"),
        ("unaccept", "agg-001", "done"),
        ("nightly", "run 4", "done"),
        ("retire", "a.parquet (keep)", "done"),
        ("unretire", "a.parquet", "done"),
        ("delete", "agg-002: org-2 in rp-2024-q4", "done"),
        ("token_create", "kari: read for org-1", "done"),
        ("token_revoke", "kari", "done"),
        ("reindex", "run 5", "done"),
    ]
    assert bufdir("audit", "--verify").code == 0


def test_the_log_is_shown_and_checked_without_writing(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    bufdir("delete", "agg-001", "--yes")
    before = state(data)
    ended = bufdir("audit", "--verify")
    assert ended.code == 0
    shown = ended.out.splitlines()
    assert shown[0].split() == ["line", "at", "who", "from", "act", "count", "what", "end"]
    assert shown[-1] == "no line was changed, removed or moved"
    assert len(shown) == 4
    assert len(bufdir("audit", "--limit", "1").out.splitlines()) == 2
    assert state(data) == before


def test_a_broken_chain_ends_with_3_and_names_the_line(bufdir: Bufdir, data: Path) -> None:
    for name in "abc":
        bufdir("token", "create", name, "--all", "--can", "read")
    raw = list(audit.lines(data))
    (data / audit.FILE).write_bytes(raw[0] + raw[1].replace(b"read", b"none") + raw[2])
    ended = bufdir("audit", "--verify")
    assert ended.code == 3
    assert ended.err == ("bufdir: audit.jsonl, line 2: it was changed after line 3 was written\n")
    assert bufdir("audit", "--verify", "--json").body["result"]["problems"] == [
        {"line": 2, "problem": "it was changed after line 3 was written"}
    ]
    assert bufdir("audit").code == 0


def test_before_the_first_act_the_log_is_empty_and_whole(bufdir: Bufdir, data: Path) -> None:
    ended = bufdir("audit", "--verify", "--json")
    assert ended.result == {"lines": [], "pending": 0, "problems": []}
    assert not (data / audit.FILE).exists()


def test_a_nightly_run_reports_a_log_that_can_not_be_written(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    (data / audit.FILE).mkdir()
    ended = bufdir("nightly")
    assert ended.code == 0
    assert "bufdir: audit.jsonl can't be written (Is a directory); its lines are in" in ended.err
    with Catalog.open_read_only(data) as catalog:
        assert audit.pending(catalog) == 1
