"""The six replies as their users wrote them down: key by key, in order."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.serving import (
    BASE,
    DOUBLED,
    ROOT,
    Server,
    create,
    export,
    nightly_run,
    serving,
    settled,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

SNAPSHOT = {
    "id": "agg-001",
    "org_id": "org-bufdir-42",
    "reporting_period_id": "rp-2024-q4",
    "status": "completed",
    "participant_count": 1842,
    "hours_delivered": 9310.5,
    "activity_count": 274,
    "bufdir_category_breakdown": {
        "foreldre_barn": 312,
        "ungdom": 580,
        "eldre": 210,
        "funksjonsnedsettelse": 740,
    },
    "created_at": "2025-01-05T08:00:00Z",
    "refreshed_at": "2025-01-05T08:12:43Z",
}
LISTED = {name: SNAPSHOT[name] for name in SNAPSHOT if name != "bufdir_category_breakdown"}
METRICS = {
    "org_id": "org-bufdir-42",
    "period_id": "rp-2024-q4",
    "total_participants": 1842,
    "unique_participants": 1601,
    "total_hours": 9310.5,
    "total_activities": 274,
    "category_distribution": {
        "foreldre_barn": {"participants": 312, "hours": 1560},
        "ungdom": {"participants": 580, "hours": 3100},
        "eldre": {"participants": 210, "hours": 1050.5},
        "funksjonsnedsettelse": {"participants": 740, "hours": 3600},
    },
}


def text_of(body: object) -> str:
    """Write JSON as text: equal only with the same keys in the same order, and equal numbers."""
    return json.dumps(body, separators=(",", ":"))


def test_a_snapshot_reads_as_the_contract_writes_it(reader: httpx.Client) -> None:
    assert reader.get(f"{BASE}/agg-001").text == text_of(SNAPSHOT)


def test_the_list_of_an_organisation_reads_as_the_contract_writes_it(reader: httpx.Client) -> None:
    listed = reader.get(BASE, params={"org_id": "org-bufdir-42"}).json()

    assert text_of(listed["data"][0]) == text_of(LISTED)
    assert text_of(listed["pagination"]) == '{"page":1,"limit":20,"total":3}'
    assert list(listed) == ["data", "pagination"]


def test_metrics_read_as_the_contract_writes_them_with_every_category(reader: httpx.Client) -> None:
    assert reader.get(f"{BASE}/agg-001/metrics").text == text_of(METRICS)


@pytest.mark.parametrize("path", ["", "/agg-001", "/agg-001/metrics"])
def test_the_doubled_path_answers_as_the_base_path_does(reader: httpx.Client, path: str) -> None:
    single, doubled = reader.get(BASE + path), reader.get(DOUBLED + path)

    assert doubled.content == single.content
    assert doubled.headers["etag"] == single.headers["etag"]


def test_late_registrations_bring_the_snapshot_to_the_numbers_of_the_contract(data: Path) -> None:
    shutil.copytree(ROOT / "data" / "exports", data / "exports", dirs_exist_ok=True)
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        shutil.copytree(ROOT / "data" / "late", data / "exports", dirs_exist_ok=True)
        request = {
            "org_id": "org-bufdir-42",
            "reporting_period_id": "rp-2024-q4",
            "force_refresh": True,
        }
        reply = client.put(f"{DOUBLED}/agg-001", json=request)
        after = client.get(f"{BASE}/agg-001").json()

    expected = {
        "id": "agg-001",
        "org_id": "org-bufdir-42",
        "reporting_period_id": "rp-2024-q4",
        "status": "completed",
        "participant_count": 1855,
        "hours_delivered": 9402,
        "refreshed_at": after["refreshed_at"],
    }
    assert reply.status_code == 200
    assert reply.text == text_of(expected)
    assert (after["participant_count"], after["hours_delivered"]) == (1855, 9402)


def test_a_first_run_starts_as_the_contract_writes_it(
    changing: Server, writer: httpx.Client
) -> None:
    export(changing.data, "starts", 3)
    request = {"org_id": "starts", "reporting_period_id": "rp-2024-q1"}

    reply = writer.post(DOUBLED, json=request)

    body: dict[str, Any] = reply.json()
    expected = {
        "id": body["id"],
        **request,
        "status": "processing",
        "created_at": body["created_at"],
        "refreshed_at": None,
    }
    assert reply.status_code == 202
    assert reply.text == text_of(expected)
    assert reply.headers["location"] == f"{BASE}/{body['id']}"
    assert int(reply.headers["retry-after"]) > 0
    settled(writer, body["id"])


def test_a_snapshot_without_numbers_has_all_keys_and_nulls(writer: httpx.Client) -> None:
    reply = writer.get(f"{BASE}/{create(writer, 'unnamed-org')}").json()
    failed = settled(writer, reply["id"])

    assert list(failed) == [*SNAPSHOT, "error"]
    assert failed["status"] == "failed"
    assert failed["error"] == "no export names unnamed-org"
    numbers = list(SNAPSHOT)[4:8]
    assert [failed[name] for name in [*numbers, "refreshed_at"]] == [None] * 5
    listed = writer.get(BASE, params={"org_id": "unnamed-org"}).json()["data"][0]
    assert list(listed) == list(LISTED)
    assert [listed[name] for name in numbers[:3]] == [None] * 3


def test_a_deletion_reads_as_the_contract_writes_it(writer: httpx.Client) -> None:
    snapshot_id = create(writer, "to-be-deleted")

    reply = writer.delete(f"{DOUBLED}/{snapshot_id}")

    assert reply.status_code == 200
    assert reply.text == f'{{"deleted":true,"id":"{snapshot_id}"}}'


def test_instants_are_utc_to_the_second(reader: httpx.Client) -> None:
    body = reader.get(f"{BASE}/agg-002").json()

    assert body["created_at"] == "2025-01-05T08:00:00Z"
    assert body["refreshed_at"] == "2025-01-05T08:12:43Z"
