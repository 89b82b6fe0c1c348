"""POST, PUT and DELETE: starting a run, waiting for one, and removing a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.api.serving import (
    BASE,
    Server,
    create,
    export,
    nightly_run,
    pause,
    resume,
    run_beside,
    run_process_of,
    runs,
    serving,
    settled,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import httpx


def made(server: Server, client: httpx.Client, org_id: str, rows: int = 3) -> str:
    """Create a snapshot that has numbers, and return its id."""
    export(server.data, org_id, rows)
    snapshot_id = create(client, org_id)
    assert settled(client, snapshot_id)["status"] == "completed"
    return snapshot_id


def refreshed(client: httpx.Client, snapshot_id: str, **body: object) -> dict[str, Any]:
    reply = client.put(f"{BASE}/{snapshot_id}", json=body)
    assert reply.status_code == 200, reply.text
    result: dict[str, Any] = reply.json()
    return result


def versions(server: Server, snapshot_id: str) -> list[str]:
    return sorted(path.name for path in (server.data / "snapshots" / snapshot_id).iterdir())


def test_a_first_run_comes_to_the_numbers_of_the_exports(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "first")

    body = writer.get(f"{BASE}/{snapshot_id}").json()

    assert (body["participant_count"], body["hours_delivered"]) == (3, 6)
    assert body["bufdir_category_breakdown"]["ungdom"] == 3
    assert "error" not in body


def test_an_organisation_that_did_nothing_in_a_period_completes_with_zeros(
    changing: Server, writer: httpx.Client
) -> None:
    export(changing.data, "idle", 3)

    body = settled(writer, create(writer, "idle", "rp-2023-m7"))

    assert body["status"] == "completed"
    assert (body["participant_count"], body["hours_delivered"], body["activity_count"]) == (0, 0, 0)
    assert set(body["bufdir_category_breakdown"].values()) == {0}


def test_a_second_post_while_the_first_goes_on_gives_the_same_snapshot(
    changing: Server, writer: httpx.Client
) -> None:
    export(changing.data, "twice", 3)

    first, second = create(writer, "twice"), create(writer, "twice")

    assert first == second
    assert settled(writer, first)["status"] == "completed"
    assert versions(changing, first) == ["v1.json"]


def test_a_post_for_a_snapshot_that_has_numbers_names_it_and_points_to_put(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "exists")

    reply = writer.post(BASE, json={"org_id": "exists", "reporting_period_id": "rp-2024-q1"})

    assert reply.status_code == 409
    assert reply.json()["title"] == "Snapshot exists already"
    assert f"PUT {snapshot_id}" in reply.json()["detail"]


def test_a_post_after_a_failed_first_run_starts_another_of_the_same_snapshot(
    changing: Server, writer: httpx.Client
) -> None:
    failed = create(writer, "late-comer")
    assert settled(writer, failed)["status"] == "failed"
    assert writer.get(f"{BASE}/{failed}/metrics").status_code == 409
    export(changing.data, "late-comer", 2)

    again = create(writer, "late-comer")

    assert again == failed
    assert settled(writer, again)["participant_count"] == 2


def test_metrics_of_a_snapshot_without_numbers_are_409_and_say_why(writer: httpx.Client) -> None:
    snapshot_id = create(writer, "no-metrics")

    settled(writer, snapshot_id)
    reply = writer.get(f"{BASE}/{snapshot_id}/metrics")

    assert reply.status_code == 409
    assert reply.json()["title"] == "Snapshot has no numbers yet"
    assert "its first run failed" in reply.json()["detail"]


def test_a_refresh_without_change_answers_with_the_version_that_stands(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "unchanged")
    before = writer.get(f"{BASE}/{snapshot_id}").json()

    without_body = writer.put(f"{BASE}/{snapshot_id}").json()
    with_body = refreshed(writer, snapshot_id, force_refresh=False)

    assert without_body == with_body
    assert with_body["refreshed_at"] == before["refreshed_at"]
    assert versions(changing, snapshot_id) == ["v1.json"]


def test_a_refresh_of_what_the_last_nightly_run_saw_unchanged_starts_no_run(data: Path) -> None:
    export(data, "seen", 3)
    export(data, "refused", 2)
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        before = client.get(f"{BASE}/agg-002").json()
        assert before["org_id"] == "seen"

        assert refreshed(client, "agg-002")["refreshed_at"] == before["refreshed_at"]
        assert runs_of_cells(data) == []
        mismatch = client.put(f"{BASE}/agg-002", json={"org_id": "refused"})
        assert mismatch.status_code == 409

        export(data, "another", 1)
        assert refreshed(client, "agg-002")["refreshed_at"] == before["refreshed_at"]
        assert len(runs_of_cells(data)) == 1
        nightly_run(data)
        (data / "bufdir.toml").write_text("max_hours = 1\n")
        assert refreshed(client, "agg-002")["participant_count"] == 0
        assert len(runs_of_cells(data)) == 2


def test_a_refresh_of_what_a_refused_export_named_fails_after_the_nightly_run_too(
    data: Path,
) -> None:
    export(data, "blocked", 3)
    nightly_run(data)
    (data / "exports" / "blocked.parquet").write_bytes(b"no Parquet")
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        assert client.put(f"{BASE}/agg-001").status_code == 409


def test_a_refresh_without_force_fails_after_one_that_counted_without_a_refused_export(
    data: Path,
) -> None:
    export(data, "blocked", 3)
    torn = data / "exports" / "torn.parquet"
    torn.write_bytes((data / "exports" / "blocked.parquet").read_bytes())
    nightly_run(data)
    torn.write_bytes(b"no Parquet")
    with serving(data) as server, server.client() as client:
        assert client.put(f"{BASE}/agg-001").status_code == 409
        assert refreshed(client, "agg-001", force_refresh=True)["participant_count"] == 3
        again = client.put(f"{BASE}/agg-001")
        assert again.status_code == 409
        assert "torn.parquet, which names blocked, is refused now" in again.json()["detail"]


def test_a_refresh_of_a_snapshot_whose_file_is_damaged_makes_it_whole_again(data: Path) -> None:
    export(data, "damaged", 3)
    nightly_run(data)
    (data / "snapshots" / "agg-001" / "v1.json").write_text("{")
    with serving(data) as server, server.client() as client:
        broken = client.get(f"{BASE}/agg-001")
        assert broken.status_code == 500
        assert "PUT" in broken.json()["detail"]

        assert refreshed(client, "agg-001")["participant_count"] == 3
        assert client.get(f"{BASE}/agg-001").json()["participant_count"] == 3


def test_a_refused_export_is_named_in_the_log_of_a_run(data: Path) -> None:
    export(data, "good", 3)
    (data / "exports" / "bad.parquet").write_bytes(b"no Parquet")
    with serving(data) as server, server.client() as client:
        settled(client, create(client, "good"))
        (event,) = wait_for(lambda: server.events("export_refused"))
        assert "bad.parquet" in event["problem"]


def test_a_refresh_of_any_kind_of_period_starts_a_run_only_where_inputs_changed(data: Path) -> None:
    export(data, "yearly", 3)
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        year = {"org_id": "yearly", "reporting_period_id": "rp-2024"}
        snapshot_id = client.post(BASE, json=year).json()["id"]
        settled(client, snapshot_id)
        done = len(runs_of_cells(data))

        assert refreshed(client, snapshot_id)["participant_count"] == 3
        assert len(runs_of_cells(data)) == done
        export(data, "yearly", 4)
        assert refreshed(client, snapshot_id)["participant_count"] == 4
        assert len(runs_of_cells(data)) == done + 1


def runs_of_cells(data: Path) -> list[Mapping[str, Any]]:
    """Return all runs except the nightly ones."""
    return [run for run in runs(data) if run["number"] is not None]


def test_a_refresh_after_a_change_counts_again(changing: Server, writer: httpx.Client) -> None:
    snapshot_id = made(changing, writer, "changed")
    export(changing.data, "changed", 5)

    body = refreshed(writer, snapshot_id, org_id="changed", reporting_period_id="rp-2024-q1")

    assert (body["participant_count"], body["hours_delivered"]) == (5, 10)
    assert writer.get(f"{BASE}/{snapshot_id}/metrics").json()["unique_participants"] == 5


def test_a_forced_refresh_makes_a_version_even_without_change(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "forced")

    body = refreshed(writer, snapshot_id, force_refresh=True)

    assert body["status"] == "completed"
    assert versions(changing, snapshot_id) == ["v1.json", "v2.json"]


def test_a_refresh_of_a_snapshot_whose_first_run_failed_may_complete_it(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = create(writer, "recovers")
    settled(writer, snapshot_id)
    export(changing.data, "recovers", 4)

    assert refreshed(writer, snapshot_id)["participant_count"] == 4
    assert "error" not in writer.get(f"{BASE}/{snapshot_id}").json()


def test_a_refresh_that_fails_says_so_and_leaves_what_is_published(data: Path) -> None:
    export(data, "vanishes", 3)
    export(data, "stays", 1)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "vanishes")
        before = settled(client, snapshot_id)
        nightly_run(data)
        (data / "exports" / "vanishes.parquet").write_bytes(b"no Parquet")

        reply = client.put(f"{BASE}/{snapshot_id}")

        assert reply.status_code == 409
        assert reply.json()["type"] == "/schema#snapshot-blocked"
        assert "vanishes.parquet" in reply.json()["detail"]
        assert str(data) not in reply.text
        assert client.get(f"{BASE}/{snapshot_id}").json() == before


def test_a_failure_does_not_tell_where_the_data_lies(data: Path) -> None:
    (data / "exports").rmdir()
    with serving(data) as server, server.client() as client:
        failed = settled(client, create(client, "somebody"))
        problem = client.put(f"{BASE}/{failed['id']}").json()

    assert failed["error"].startswith("no folder exports")
    assert str(data) not in problem["detail"]
    assert "no folder exports" in problem["detail"]


def test_a_refresh_past_the_waiting_time_is_202_and_goes_on(data: Path) -> None:
    export(data, "slow", 3)
    with (
        serving(data, RUNS__WAIT_SECONDS=0.3) as server,
        server.client() as client,
    ):
        snapshot_id = create(client, "slow")
        before = settled(client, snapshot_id)
        export(data, "slow", 4)

        reply = client.put(f"{BASE}/{snapshot_id}", json={"force_refresh": True})

        assert reply.status_code == 202
        assert reply.headers["location"] == f"{BASE}/{snapshot_id}"
        assert reply.headers["retry-after"]
        assert reply.json() == {
            "id": snapshot_id,
            "org_id": "slow",
            "reporting_period_id": "rp-2024-q1",
            "status": "processing",
            "participant_count": 3,
            "hours_delivered": 6,
            "refreshed_at": before["refreshed_at"],
        }
        assert client.get(f"{BASE}/{snapshot_id}").json()["status"] == "completed"
        wait_for(lambda: client.get(f"{BASE}/{snapshot_id}").json()["participant_count"] == 4)


def test_a_refresh_is_not_served_by_a_run_that_had_begun_before(data: Path) -> None:
    export(data, "racing", 3)
    with serving(data) as server, server.client() as client, server.client() as other:
        snapshot_id = create(client, "racing")
        process = run_process_of(server)
        pause(process)
        request = other.build_request("PUT", f"{BASE}/{snapshot_id}", json={"force_refresh": True})
        reply = run_beside(lambda: other.send(request), lambda: resume(process))

        assert reply.status_code == 200, reply.text
        assert versions(server, snapshot_id)[-1] == "v2.json"
        assert len(runs(data)) == 2


def test_a_deleted_snapshot_is_gone_from_every_read(changing: Server, writer: httpx.Client) -> None:
    snapshot_id = made(changing, writer, "deleted")

    assert writer.delete(f"{BASE}/{snapshot_id}").status_code == 200

    for path in ("", "/metrics"):
        assert writer.get(f"{BASE}/{snapshot_id}{path}").status_code == 404
    assert writer.delete(f"{BASE}/{snapshot_id}").status_code == 404
    assert writer.put(f"{BASE}/{snapshot_id}").status_code == 404
    assert writer.get(BASE, params={"org_id": "deleted"}).json()["pagination"]["total"] == 0


def test_after_a_deletion_the_cell_gets_a_new_id(changing: Server, writer: httpx.Client) -> None:
    before = made(changing, writer, "returns")
    writer.delete(f"{BASE}/{before}")

    after = made(changing, writer, "returns")

    assert after > before


def test_a_snapshot_deleted_while_its_run_goes_on_stays_deleted(data: Path) -> None:
    export(data, "fleeting", 3)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "fleeting")
        process = run_process_of(server)
        pause(process)
        assert client.delete(f"{BASE}/{snapshot_id}").status_code == 200
        resume(process)
        wait_for(lambda: runs(data)[0]["state"] in {"done", "failed"})

        assert client.get(f"{BASE}/{snapshot_id}").status_code == 404
        assert client.get(BASE).json()["pagination"]["total"] == 0
        assert [path.name for path in (data / "snapshots" / snapshot_id).iterdir()] == [
            "deleted.json"
        ]


def test_a_refresh_of_a_snapshot_deleted_meanwhile_is_404(data: Path) -> None:
    export(data, "doomed", 3)
    with serving(data) as server, server.client() as client, server.client() as other:
        snapshot_id = create(client, "doomed")
        process = run_process_of(server)
        pause(process)

        def delete_and_go_on() -> None:
            client.delete(f"{BASE}/{snapshot_id}")
            resume(process)

        reply = run_beside(lambda: other.put(f"{BASE}/{snapshot_id}"), delete_and_go_on)

        assert reply.status_code == 404
