"""The status of a data folder, for people and for programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.given import NOW, SUMMER, export, people, row

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def properties(printed: str) -> dict[str, str]:
    """Return the names and values at the top of what was printed."""
    head = printed.split("\n\n", 1)[0]
    return {line[:18].strip(): line[18:].strip() for line in head.splitlines()}


def test_the_status_before_the_first_nightly_run(bufdir: Bufdir) -> None:
    ended = bufdir("status")

    assert properties(ended.out) == {
        "last nightly run": "none yet",
        "last success": "never",
        "snapshots": "0 published",
        "queue": "no runs",
        "blocked": "no snapshots",
    }
    assert (ended.code, ended.err) == (0, "")


def test_the_status_after_a_nightly_run(computed: Bufdir) -> None:
    shown, result = properties(computed("status").out), computed("status", "--json").result

    nightly = result["nightly"]
    assert list(nightly) == ["began_at", "ended_at", "state", "seconds", "error"]
    assert (nightly["state"], nightly["error"]) == ("done", None)
    began, ended = map(datetime.fromisoformat, (nightly["began_at"], nightly["ended_at"]))
    assert nightly["seconds"] == (ended - began).total_seconds() >= 0
    assert result["last_success_at"] == nightly["ended_at"]
    assert (result["snapshots"], result["retained"]) == (3, 0)
    assert (result["queue"], result["blocked"]) == ([], [])
    assert shown["last nightly run"].startswith(f"{nightly['began_at']}, done after ")
    assert shown["snapshots"] == "3 published"


def test_a_nightly_run_that_failed_is_shown_with_its_error(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")
    (data / "snapshots" / "agg-002").write_text("in the way")
    export(data, people(2, org_id="org-2"), "b.parquet")
    assert bufdir("nightly").code == 1

    shown, result = properties(bufdir("status").out), bufdir("status", "--json").result

    assert result["nightly"]["state"] == "failed"
    assert "agg-002" in result["nightly"]["error"]
    assert ", failed after " in shown["last nightly run"]
    assert result["nightly"]["error"] in shown["last nightly run"]
    assert result["last_success_at"] <= result["nightly"]["began_at"]


def test_a_nightly_run_that_goes_on_is_running(bufdir: Bufdir, data: Path) -> None:
    with Catalog.open(data) as catalog, run_queue.nightly_run(catalog, lambda: NOW):
        shown, result = bufdir("status").out, bufdir("status", "--json").result

    assert properties(shown)["last nightly run"] == "2025-02-01T03:30:00Z, running"
    assert (result["nightly"]["state"], result["nightly"]["ended_at"]) == ("running", None)


def test_runs_that_wait_are_listed(bufdir: Bufdir, data: Path) -> None:
    with Catalog.open(data) as catalog:
        lifecycle.create(catalog, "org-1", periods.parse("rp-2024"), NOW)

    shown, result = bufdir("status").out, bufdir("status", "--json").result

    assert properties(shown)["queue"] == "1 run"
    assert shown.splitlines()[-1].split() == [
        *("agg-001", "org-1", "rp-2024", "queued", "api", "2025-02-01T03:30:00Z", "0")
    ]
    assert result["queue"] == [
        {
            "id": "agg-001",
            "org_id": "org-1",
            "reporting_period_id": "rp-2024",
            "state": "queued",
            "source": "api",
            "queued_at": "2025-02-01T03:30:00Z",
            "attempts": 0,
        }
    ]


def test_blocked_snapshots_are_listed_with_the_export_and_what_ends_it(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2), "1.parquet")
    both = [*people(2, org_id="org-2"), row(org_id="org-2", started_at=SUMMER, activity_id="a2")]
    export(data, both, "2.parquet")
    bufdir("nightly")
    (data / "exports" / "2.parquet").write_bytes(b"cut off")
    bufdir("nightly")

    shown, result = bufdir("status").out, bufdir("status", "--json").result

    assert [(one["id"], one["reporting_period_id"]) for one in result["blocked"]] == [
        ("agg-003", "rp-2024-q3"),
        ("agg-002", "rp-2024-q4"),
    ]
    blocked = result["blocked"][0]
    assert (blocked["org_id"], blocked["exports"]) == ("org-2", ["2.parquet"])
    assert (blocked["rows_before"], blocked["rows_now"]) == (1, 0)
    assert blocked["problem"] == "export 2.parquet, which names org-2, is refused now"
    assert blocked["remedy"].endswith("bufdir run --force --org org-2 --period rp-2024-q3")
    assert properties(shown)["blocked"] == "2 snapshots"
    assert blocked["remedy"] in shown


def test_retained_snapshots_are_counted(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2), "a.parquet")
    export(data, people(2, started_at=SUMMER), "b.parquet")
    export(data, people(2, org_id="org-2"), "c.parquet")
    bufdir("nightly")
    for name in ("b", "c"):
        (data / "exports" / f"{name}.parquet").unlink()
    bufdir("retire", "b.parquet", "c.parquet", "--keep")
    bufdir("nightly")
    bufdir("nightly")

    assert bufdir("status", "--json").result["retained"] == 2
    assert properties(bufdir("status").out)["snapshots"] == "3 published, 2 of them retained"
