"""Requests about snapshots that are blocked: a problem of their own, with the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.serving import BASE, create, export, nightly_run, serving, settled

if TYPE_CHECKING:
    from pathlib import Path


def test_a_refresh_of_what_is_blocked_has_a_type_of_its_own_and_names_the_command(
    data: Path,
) -> None:
    export(data, "gone", 3)
    export(data, "there", 3)
    nightly_run(data)
    (data / "exports" / "gone.parquet").unlink()
    with serving(data) as server, server.client() as client:
        before = client.get(f"{BASE}/agg-001").json()
        for _ in range(2):
            reply = client.put(f"{BASE}/agg-001")
            assert reply.status_code == 409
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json() == {
                "status": 409,
                "type": "/schema#snapshot-blocked",
                "title": "Snapshot is blocked",
                "detail": "agg-001 is blocked, and stays as it is: export gone.parquet is gone, "
                "and 0 of 3 rows are left; put it back, or declare why: bufdir retire gone.parquet "
                "--keep (or --retract); force_refresh counts what is there all the same",
            }
        assert client.get(f"{BASE}/agg-001").json() == before
        assert client.get("/readyz").status_code == 200


def test_a_refresh_of_what_is_blocked_is_computed_by_force_and_the_log_names_the_api(
    data: Path,
) -> None:
    export(data, "blocked", 30)
    nightly_run(data)
    export(data, "blocked", 3)
    with serving(data) as server, server.client() as client:
        assert client.put(f"{BASE}/agg-001").json()["type"] == "/schema#snapshot-blocked"
        forced = client.put(f"{BASE}/agg-001", json={"force_refresh": True})
        assert (forced.status_code, forced.json()["participant_count"]) == (200, 3)
        (event,) = server.events("block_overridden")
        assert (event["snapshot"], event["reason"], event["by"]) == ("agg-001", "rows_fell", "api")
        assert (event["rows_before"], event["rows_now"]) == (30, 3)
        assert client.put(f"{BASE}/agg-001").status_code == 200


def test_a_first_run_that_is_blocked_fails_with_the_command(data: Path) -> None:
    export(data, "org", 30)
    nightly_run(data)
    export(data, "org", 3)
    remedy = "count what is left: bufdir run --force --org org --period rp-2024"
    with serving(data) as server, server.client() as client:
        year = create(client, "org", "rp-2024")
        failed = settled(client, year)
        assert failed["status"] == "failed"
        assert failed["error"].endswith(remedy)
        reply = client.put(f"{BASE}/{year}").json()
        assert reply["type"] == "/schema#snapshot-blocked"
        assert remedy in reply["detail"]
