"""Limits of writes: by caller, across workers, and of what POST may add to the catalog."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from api.access.write_limits import WriteLimits
from pipeline.model.access import ANONYMOUS, Caller, Role
from tests.api.serving import (
    BASE,
    PROBLEM,
    audit_lines,
    create,
    export,
    nightly_run,
    runs,
    serving,
    settled,
    token,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

ONE = f"{BASE}/agg-001"


def published(folder: Path) -> Path:
    data = folder / "data"
    export(data, "a", 3)
    nightly_run(data)
    return data


def of(address: str) -> Caller:
    return Caller(ANONYMOUS, address, None, Role.WRITE)


def refused(reply: httpx.Response, status: int, slug: str) -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == PROBLEM
    assert reply.json()["type"] == f"/schema#{slug}"


def test_a_burst_is_accepted_and_then_the_rate(tmp_path: Path) -> None:
    now = [1e9]
    limits = WriteLimits(tmp_path, 6, lambda: now[0])
    assert [limits.count(of("10.0.0.1")) for _ in range(8)] == [0] * 6 + [10, 10]
    now[0] += 9
    assert limits.count(of("10.0.0.1")) == 1
    now[0] += 1
    assert [limits.count(of("10.0.0.1")) for _ in range(2)] == [0, 10]
    now[0] += 60
    assert [limits.count(of("10.0.0.1")) for _ in range(7)] == [0] * 6 + [10]


def test_a_minute_after_a_pause_has_as_many_writes_again_as_the_burst(tmp_path: Path) -> None:
    now = [1e9]
    limits = WriteLimits(tmp_path, 120, lambda: now[0])
    accepted = []
    for _ in range(600):
        accepted.append(limits.count(of("10.0.0.1")) == 0)
        accepted.append(limits.count(of("10.0.0.1")) == 0)
        now[0] += 0.1
    assert 239 <= sum(accepted) <= 240
    for _ in range(600):
        now[0] += 0.1
        accepted.append(limits.count(of("10.0.0.1")) == 0)
    assert 359 <= sum(accepted) <= 360


def test_callers_are_counted_apart_and_networks_of_ipv6_together(tmp_path: Path) -> None:
    limits = WriteLimits(tmp_path, 1, lambda: 1e9)
    assert limits.count(of("10.0.0.1")) == 0
    assert limits.count(of("10.0.0.2")) == 0
    assert limits.count(of("2001:db8::1")) == 0
    assert limits.count(of("2001:db8::2")) == 60
    assert limits.count(of("2001:db8:0:1::2")) == 0
    assert limits.count(Caller("kari", "10.0.0.1", None, Role.WRITE)) == 0
    assert limits.count(Caller("kari", "10.0.0.9", None, Role.WRITE)) == 60


def test_a_clock_that_went_back_locks_nobody_out(tmp_path: Path) -> None:
    now = [1e9]
    limits = WriteLimits(tmp_path, 1, lambda: now[0])
    assert limits.count(of("10.0.0.1")) == 0
    now[0] -= 86_400
    assert limits.count(of("10.0.0.1")) == 0


def test_many_addresses_at_once_are_all_bounded(tmp_path: Path) -> None:
    limits = WriteLimits(tmp_path, 2, lambda: 1e9)
    many = [of(f"10.{a}.{b}.1") for a in range(40) for b in range(250)]
    accepted = sum(limits.count(caller) == 0 for caller in many * 4)
    assert accepted <= 2 * 4096
    assert (tmp_path / ".locks" / "write-limits").stat().st_size == 64 * 1024


def test_all_workers_share_the_limit_and_name_the_time_to_wait(tmp_path: Path) -> None:
    data = published(tmp_path)
    with serving(data, workers=2, ACCESS__WRITES_PER_MINUTE=5) as server:
        replies = []
        for _ in range(20):
            with server.client() as client:  # a new connection, so that any worker answers
                replies.append(client.put(ONE))
        assert sum(reply.status_code == 200 for reply in replies) in (5, 6)
        for reply in replies[6:]:
            refused(reply, 429, "too-many-writes")
            assert 1 <= int(reply.headers["retry-after"]) <= 12
        with server.client() as client:
            assert client.get(ONE).status_code == 200


def test_a_flood_is_a_few_lines_of_the_audit_log_with_its_count(tmp_path: Path) -> None:
    data = published(tmp_path)
    with serving(data, ACCESS__WRITES_PER_MINUTE=3) as server, server.client() as client:
        for _ in range(200):
            client.post(BASE, content=b"{" * 20_000)
    lines = [one for one in audit_lines(data) if one["act"] == "refuse"]
    assert len(lines) == 2
    assert sum(one["count"] for one in lines) == 197
    assert {(one["who"], one["from"], one["what"], one["end"]) for one in lines} == {
        (ANONYMOUS, "127.0.0.1", "POST", "too-many-writes")
    }


def test_a_flood_of_a_stranger_delays_no_refresh(tmp_path: Path) -> None:
    data = published(tmp_path)
    shown = token(data, "kari", can=Role.WRITE)
    body = {"org_id": "stranger", "reporting_period_id": "rp-2024-q1"}

    with serving(data, workers=2) as server:

        def flood(count: int) -> list[int]:
            with server.client() as client:
                return [client.post(BASE, json=body).status_code for _ in range(count)]

        with ThreadPoolExecutor(4) as threads, server.client(headers=shown) as client:
            floods = [threads.submit(flood, 150) for _ in range(4)]
            begun = time.monotonic()
            reply = client.put(ONE, json={"force_refresh": True})
            took = time.monotonic() - begun
            assert reply.status_code == 200
            assert took < 30  # a bound against a queue; how fast it is, benchmarks measure
            assert {status for one in floods for status in one.result()} == {401}
    assert {run["number"] for run in runs(data)} == {None, 1}


def test_refreshes_are_computed_before_first_runs_that_wait(tmp_path: Path) -> None:
    data = published(tmp_path)
    with serving(data, RUNS__AT_ONCE=1) as server, server.client() as client:
        for quarter in range(1, 5):
            for year in range(2010, 2015):
                create(client, "a", f"rp-{year}-q{quarter}")
        assert client.put(ONE, json={"force_refresh": True}).status_code == 200
        assert sum(run["state"] == "queued" for run in runs(data)) > 10


def test_an_organisation_that_no_export_names_makes_no_snapshot(tmp_path: Path) -> None:
    data = published(tmp_path)
    body = {"org_id": "invented", "reporting_period_id": "rp-2024-q1"}
    with serving(data) as server, server.client() as client:
        reply = client.post(BASE, json=body)
        refused(reply, 409, "organisation-unknown")
        assert "no export names invented" in reply.json()["detail"]
        assert client.get(BASE).json()["pagination"]["total"] == 1
        # An export that came since may name it: a run finds out.
        export(data, "invented", 2)
        assert settled(client, create(client, "invented"))["participant_count"] == 2


def test_a_token_that_names_an_organisation_vouches_for_it(tmp_path: Path) -> None:
    data = published(tmp_path)
    named = token(data, "named", "invented", can=Role.WRITE)
    every, admin = token(data, "every", can=Role.WRITE), token(data, "admin", can=Role.ADMIN)

    def posted(client: httpx.Client, org_id: str, headers: dict[str, str]) -> httpx.Response:
        body = {"org_id": org_id, "reporting_period_id": "rp-2024-q1"}
        return client.post(BASE, json=body, headers=headers)

    with serving(data) as server, server.client() as client:
        assert posted(client, "invented", named).status_code == 202
        assert posted(client, "invented", every).status_code == 202
        refused(posted(client, "unheard-of", every), 409, "organisation-unknown")
        assert posted(client, "unheard-of", admin).status_code == 202


def test_no_more_runs_are_queued_than_may_be_open(tmp_path: Path) -> None:
    data = published(tmp_path)
    with (
        serving(data, RUNS__AT_ONCE=1, ACCESS__MOST_OPEN_RUNS=3) as server,
        server.client() as client,
    ):
        replies = [
            client.post(BASE, json={"org_id": "a", "reporting_period_id": f"rp-2024-m{month}"})
            for month in range(1, 13)
        ]
        wait_for(lambda: all(run["state"] != "queued" for run in runs(data)))
        accepted = [reply for reply in replies if reply.status_code == 202]
        assert 3 <= len(accepted) < 12
        late = next(reply for reply in replies if reply.status_code != 202)
        refused(late, 429, "too-many-open-runs")
        assert int(late.headers["retry-after"]) > 0
        assert create(client, "a", "rp-2024-m12")


def test_failed_first_runs_are_bounded_before_the_first_nightly_run_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "exports").mkdir(parents=True)
    with serving(data, ACCESS__MOST_OPEN_RUNS=2) as server, server.client() as client:
        made = [create(client, org_id) for org_id in ("x", "y")]
        assert {settled(client, one)["status"] for one in made} == {"failed"}
        reply = client.post(BASE, json={"org_id": "z", "reporting_period_id": "rp-2024-q1"})
        refused(reply, 409, "too-many-failed-snapshots")
        assert create(client, "x") == made[0]


@pytest.mark.parametrize("path", [BASE, ONE])
def test_reads_are_not_counted(tmp_path: Path, path: str) -> None:
    data = published(tmp_path)
    with serving(data, ACCESS__WRITES_PER_MINUTE=1) as server, server.client() as client:
        assert {client.get(path).status_code for _ in range(50)} == {200}
