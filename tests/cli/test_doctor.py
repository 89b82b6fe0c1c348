"""The examination of an installation: its findings, their remedies, and its exit code."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.storage.catalog import Catalog
from tests.given import export, people

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def examined(bufdir: Bufdir, code: int, **variables: str) -> dict[str, list[dict[str, Any]]]:
    """Examine, expect this exit code, and return the findings by subject."""
    ended = bufdir("doctor", "--json", **variables)
    assert (ended.code, ended.err) == (code, "")
    found: dict[str, list[dict[str, Any]]] = {}
    for one in ended.result["findings"]:
        found.setdefault(one["subject"], []).append(one)
    return found


def problems(found: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return what is a problem, by subject; each has a detail."""
    return {
        subject: one["detail"]
        for subject, of in found.items()
        for one in of
        if one["health"] == "problem"
    }


@pytest.fixture
def sound(bufdir: Bufdir, data: Path) -> Bufdir:
    export(data, people(3), "a.parquet")
    assert bufdir("nightly").code == 0
    return bufdir


def test_a_sound_installation_has_no_problem(sound: Bufdir) -> None:
    found = examined(sound, 0)

    assert problems(found) == {}
    assert set(found) >= {
        *("data folder", "disk", "permissions", "engine", "exports", "versions"),
        *("nightly run", "audit log", "tokens", "clock", "systemd"),
    }
    assert found["versions"][0]["detail"] == "1 snapshot, all files are as they were published"


def test_it_writes_nothing(sound: Bufdir, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}

    examined(sound, 0)

    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before


def test_a_changed_version_file_is_found(sound: Bufdir, data: Path) -> None:
    path = data / "snapshots/agg-001/v1.json"
    path.write_text(path.read_text().replace("org-1", "org-7"))

    found = examined(sound, 3)

    assert problems(found) == {
        "versions": "snapshots/agg-001/v1.json: its content is not what was published"
    }
    assert "restore it from a backup" in found["versions"][0]["remedy"]


def test_a_damaged_catalog_is_a_finding_among_others(sound: Bufdir, data: Path) -> None:
    content = (data / "catalog.sqlite").read_bytes()
    (data / "catalog.sqlite").write_bytes(content[:5000])

    found = examined(sound, 3)

    assert "bufdir reindex" in problems(found)["catalog"]
    assert found["exports"][0]["health"] == "fine"


def test_files_that_others_may_read_are_found(sound: Bufdir, data: Path) -> None:
    (data / "catalog.sqlite").chmod(0o644)

    assert problems(examined(sound, 3)) == {"permissions": "catalog.sqlite has the mode 0644"}


def test_exports_that_cannot_be_listed_or_opened_are_found(sound: Bufdir, data: Path) -> None:
    os.mkfifo(data / "exports/pipe.parquet")
    assert "it is no regular file" in problems(examined(sound, 3))["exports"]

    elsewhere = examined(sound, 3, BUFDIR_EXPORTS__LOCATION="elsewhere")
    assert "no folder" in problems(elsewhere)["exports"]


def test_a_broken_audit_log_is_found(sound: Bufdir, data: Path) -> None:
    log = data / "audit.jsonl"
    log.write_text(log.read_text().replace("nightly", "nightlY", 1))

    assert "the chain is broken" in problems(examined(sound, 3))["audit log"]


def test_a_clock_behind_the_newest_version_is_found(sound: Bufdir, data: Path) -> None:
    with Catalog.open(data) as catalog:
        catalog.execute("UPDATE snapshots SET refreshed_at = '2090-01-01T00:00:00Z'")

    found = problems(examined(sound, 3))

    assert "2090-01-01" in found["clock"]


def test_a_blocked_snapshot_and_a_failed_nightly_run_are_found(sound: Bufdir, data: Path) -> None:
    export(data, people(2, org_id="org-2"), "b.parquet")
    assert sound("nightly").code == 0
    (data / "exports/b.parquet").unlink()
    assert sound("nightly").code == 3

    assert problems(examined(sound, 3)) == {"blocks": "blocked: 1 snapshot"}


def test_no_token_is_a_problem_once_a_proxy_leads_to_the_server(sound: Bufdir) -> None:
    assert examined(sound, 0)["tokens"][0]["health"] == "notice"

    found = examined(sound, 3, BUFDIR_PROXY__PREFIX="/bufdir")

    assert "every caller that reaches the API may write" in problems(found)["tokens"]
    assert sound("token", "create", "kari", "--all", "--can", "read").code == 0
    assert problems(examined(sound, 0, BUFDIR_PROXY__PREFIX="/bufdir")) == {}


def test_a_token_of_some_organisations_needs_reads_by_token(sound: Bufdir) -> None:
    assert sound("token", "create", "kari", "--org", "org-1", "--can", "read").code == 0

    found = examined(sound, 0)["tokens"]

    assert [one["health"] for one in found] == ["fine", "notice"]
    assert found[1]["detail"] == "of some organisations: kari; yet all read all without a token"
    assert 'access.reads = "token"' in found[1]["remedy"]
    assert len(examined(sound, 0, BUFDIR_ACCESS__READS="token")["tokens"]) == 1


def test_the_table_names_each_subject_with_its_remedy(sound: Bufdir, data: Path) -> None:
    (data / "catalog.sqlite").chmod(0o644)

    ended = sound("doctor")

    assert ended.code == 3
    (line,) = [line for line in ended.out.splitlines() if line.startswith("permissions")]
    assert "problem" in line
    assert "chmod o=" in line
