"""Tokens: who may read and write, and how a refusal looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.model.access import Role
from pipeline.runs import access
from pipeline.storage.catalog import Catalog
from tests.api.serving import (
    BASE,
    DOUBLED,
    PROBLEM,
    Server,
    audit_lines,
    export,
    nightly_run,
    runs,
    serving,
    token,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

ONE = f"{BASE}/agg-001"
CELL = {"org_id": "a", "reporting_period_id": "rp-2024-q2"}
WRITES = [("POST", BASE), ("PUT", ONE), ("DELETE", ONE), ("PATCH", ONE), ("DELETE", f"/{ONE}")]
PUBLIC = ["/livez", "/readyz", "/schema", "/schema/openapi.json"]


def published(folder: Path) -> Path:
    """Publish a snapshot of each of two organisations."""
    data = folder / "data"
    export(data, "a", 3)
    export(data, "b", 2)
    nightly_run(data)
    return data


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of two workers with public reads; a token was made."""
    data = published(tmp_path_factory.mktemp("walled"))
    token(data, "first")
    with serving(data, workers=2) as server:
        yield server


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose reads need a token."""
    data = published(tmp_path_factory.mktemp("closed"))
    token(data, "first")
    with serving(data, ACCESS__READS="token") as server:
        yield server


def problem_of(reply: httpx.Response, status: int, slug: str) -> str:
    """Return the challenge of a reply that refuses."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == PROBLEM
    assert reply.json()["type"] == f"/schema#{slug}"
    assert reply.headers["cache-control"] == "no-store" or status == 403
    return reply.headers["www-authenticate"]


def test_without_any_token_made_everybody_reads_and_writes(tmp_path: Path) -> None:
    data = published(tmp_path)
    with serving(data) as server, server.client() as client:
        assert client.get(ONE).status_code == 200
        assert client.put(ONE).status_code == 200
        ignored = {"Authorization": "Bearer of no meaning"}
        assert client.delete(ONE, headers=ignored).status_code == 200


def test_the_first_token_closes_writes_of_a_running_server_without_a_restart(
    tmp_path: Path,
) -> None:
    data = published(tmp_path)
    with serving(data, workers=2) as server, server.client() as client:
        assert client.put(ONE).status_code == 200
        shown = token(data, "writer", can=Role.WRITE)
        for _ in range(8):
            problem_of(client.put(ONE), 401, "token-needed")
            assert client.put(ONE, headers=shown).status_code == 200
        with Catalog.open(data) as catalog:
            access.revoke_token(catalog, "writer", datetime.now(UTC))
        for _ in range(8):
            problem_of(client.put(ONE, headers=shown), 401, "token-invalid")
            problem_of(client.put(ONE), 401, "token-needed")


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writes_without_a_token_are_refused_before_their_body_is_read(
    walled: Server, method: str, path: str
) -> None:
    with walled.client() as client:
        reply = client.request(method, path, content=b"{" * 60_000)
        assert problem_of(reply, 401, "token-needed") == 'Bearer realm="bufdir"'
        assert client.get(ONE).status_code == 200


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_token_that_may_only_read_does_not_write(walled: Server, method: str, path: str) -> None:
    shown = token(walled.data, f"reader-{method}-{len(path)}")
    with walled.client(headers=shown) as client:
        challenge = problem_of(client.request(method, path, json={}), 403, "not-allowed")
        assert challenge == 'Bearer realm="bufdir", error="insufficient_scope"'
        assert client.get(ONE).status_code == 200


@pytest.mark.parametrize(
    "shown",
    [
        [("Authorization", "Bearer bfd_unknown")],
        [("Authorization", "Bearer")],
        [("Authorization", "bearer \xe6")],
        [("Authorization", "Bearer one"), ("Authorization", "Bearer two")],
    ],
)
def test_a_token_that_is_not_known_is_refused_even_for_public_reads(
    walled: Server, shown: list[tuple[str, str]]
) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in shown]
    with walled.client() as client:
        challenge = problem_of(client.get(ONE, headers=headers), 401, "token-invalid")
        assert challenge == 'Bearer realm="bufdir", error="invalid_token"'


def test_a_token_is_refused_from_its_end_on(walled: Server) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    shown = token(walled.data, "short", end=end)
    with walled.client(headers=shown) as client:
        assert client.get(ONE).status_code == 200
        wait_for(lambda: client.get(ONE).status_code == 401)
        assert datetime.now(UTC) >= end


@pytest.mark.parametrize("path", [BASE, ONE, f"{ONE}/metrics", f"{DOUBLED}/agg-001", "/metrics"])
@pytest.mark.parametrize("prefix", ["", "/"])
def test_with_the_setting_reads_need_a_token_on_every_path(
    closed: Server, path: str, prefix: str
) -> None:
    with closed.client() as client:
        address = f"{closed.url}{prefix}{path}"
        assert problem_of(client.get(address), 401, "token-needed")
        assert client.head(address).status_code == 401
        assert client.head(address).content == b""


def test_the_setting_closes_reads_even_before_the_first_token(tmp_path: Path) -> None:
    data = published(tmp_path)
    with serving(data, ACCESS__READS="token") as server, server.client() as client:
        problem_of(client.get(ONE), 401, "token-needed")
        assert client.get(ONE, headers=token(data, "reader")).status_code == 200


@pytest.mark.parametrize("path", PUBLIC)
def test_health_and_documentation_need_no_token(closed: Server, path: str) -> None:
    with closed.client() as client:
        assert client.get(path).status_code == 200
        assert client.get(path, headers={"Authorization": "Bearer x"}).status_code == 200


def test_metrics_of_the_server_need_a_token_of_all_organisations(closed: Server) -> None:
    some, every = token(closed.data, "some", "a", can=Role.ADMIN), token(closed.data, "every")
    with closed.client() as client:
        for path in ("/metrics", "//metrics", "/metrics/"):
            reply = client.get(f"{closed.url}{path}", headers=some)
            problem_of(reply, 403, "not-allowed")
        assert client.get("/metrics", headers=every).status_code == 200


def test_a_token_of_one_organisation_makes_snapshots_of_no_other(walled: Server) -> None:
    shown = token(walled.data, "only-a", "a", can=Role.WRITE)
    with walled.client(headers=shown) as client:
        for org_id in ("b", "never-heard-of"):
            for period in ("rp-2024-q1", "rp-2024-q2"):
                body = {"org_id": org_id, "reporting_period_id": period}
                reply = client.post(BASE, json=body)
                problem_of(reply, 403, "not-allowed")
                assert reply.json()["detail"] == (
                    f"this token is not for {org_id}; use another token"
                )
        assert client.post(BASE, json=CELL).status_code == 202


def test_no_log_and_no_file_has_a_token(walled: Server) -> None:
    shown = token(walled.data, "secret", can=Role.WRITE)
    text = shown["Authorization"].removeprefix("Bearer ")
    with walled.client() as client:
        assert client.put(ONE, headers=shown).status_code == 200
        client.get(ONE, headers={"Authorization": f"Bearer {text}x"})
    files = [path for path in walled.data.rglob("*") if path.is_file()]
    for path in [*files, walled.log]:
        assert text.encode() not in path.read_bytes(), path


def test_each_write_is_a_line_of_the_audit_log_under_the_name_of_its_token(tmp_path: Path) -> None:
    data = published(tmp_path)
    shown = token(data, "kari", can=Role.WRITE)
    with serving(data) as server, server.client(headers=shown) as client:
        assert client.put(ONE).status_code == 200
        assert client.put(ONE, json={"force_refresh": True}).status_code == 200
        assert client.delete(ONE).status_code == 200
        assert client.post(BASE, json=CELL).status_code == 202
        wait_for(lambda: [one for one in audit_lines(data) if one["what"] == "agg-003"])
    acts = [
        (one["act"], one["what"], one["end"]) for one in audit_lines(data) if one["who"] == "kari"
    ]
    assert acts == [
        ("refresh", "agg-001", "unchanged"),
        ("refresh", "agg-001, forced", "queued"),
        ("run", "agg-001", "done"),
        ("delete", "agg-001: a in rp-2024-q1", "done"),
        ("create", "agg-003: a in rp-2024-q2", "queued"),
        ("run", "agg-003", "done"),
    ]
    assert {one["from"] for one in audit_lines(data) if one["act"] == "refresh"} == {"127.0.0.1"}


@pytest.mark.parametrize("table", ["runs", "audit_outbox"])
def test_a_refresh_is_queued_and_on_record_or_neither(tmp_path: Path, table: str) -> None:
    data = published(tmp_path)
    with Catalog.open(data) as catalog:
        catalog.execute(
            f"CREATE TRIGGER refused BEFORE INSERT ON {table} "
            "BEGIN SELECT RAISE(ABORT, 'no row'); END"
        )
    before = len(runs(data))
    with serving(data) as server, server.client() as client:
        assert client.put(ONE, json={"force_refresh": True}).status_code == 500
        assert client.put(ONE).status_code == (200 if table == "runs" else 500)
    assert len(runs(data)) == before
    found = [line["end"] for line in audit_lines(data) if line["act"] == "refresh"]
    assert found == (["unchanged"] if table == "runs" else [])


def test_a_write_is_done_and_logged_while_the_audit_log_can_not_be_written(tmp_path: Path) -> None:
    data = published(tmp_path)
    (data / "audit.jsonl").unlink()
    (data / "audit.jsonl").mkdir()
    with serving(data) as server, server.client() as client:
        assert client.delete(ONE).status_code == 200
        (event,) = wait_for(lambda: server.events("audit_unwritable"))
        assert event["problem"] == "audit.jsonl can't be written (Is a directory)"
        (data / "audit.jsonl").rmdir()
        assert client.delete(f"{BASE}/agg-002").status_code == 200
    whats = [one["what"] for one in audit_lines(data) if one["act"] == "delete"]
    assert whats == ["agg-001: a in rp-2024-q1", "agg-002: b in rp-2024-q1"]
