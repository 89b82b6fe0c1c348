"""The server as an operator meets it: starting, stopping and logging."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import structlog
from structlog.testing import capture_logs

from api.http.admission import Admission
from api.http.caching import CachingMiddleware
from api.http.change_counter import CatalogChangeCounter
from api.http.response_cache import ResponseCache
from pipeline.errors import InvalidValue
from pipeline.model.access import ANONYMOUS, Caller, Role
from tests.api.serving import (
    BASE,
    ROOT,
    Server,
    create,
    export,
    is_there,
    serving,
    settled,
    start,
    wait_for,
)
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from litestar.types import HTTPScope, Receive, Scope, Send


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def test_a_port_that_is_taken_is_refused_in_one_sentence(reading: Server, data: Path) -> None:
    second = start(data, port=port_of(reading))

    assert second.process.wait(30) == 1
    last = second.log.read_text().splitlines()[-1]
    assert last.startswith(f"{InvalidValue.__module__}.InvalidValue: port '{port_of(reading)}': ")
    assert "another program listens there" in last
    assert httpx.get(f"{reading.url}/livez").status_code == 200


def test_an_address_that_is_not_here_is_refused_in_one_sentence() -> None:
    program = "from api.listening import bind; bind('203.0.113.1', 8000)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "address '203.0.113.1:8000': nothing can listen there" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_time_even_with_connections_open(data: Path, ending: int) -> None:
    with serving(data, workers=2) as server, server.client() as client:
        client.get("/livez")
        host, port = "127.0.0.1", port_of(server)
        with socket.create_connection((host, port)) as idle:
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            idle.recv(1000)
            workers, started = server.workers(), time.monotonic()
            server.process.send_signal(ending)
            assert server.process.wait(PATIENCE_SECONDS) == 0

    assert time.monotonic() - started < 30
    assert not any(map(is_there, workers))
    assert [event["event"] for event in server.events("stopped")] == ["stopped"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{host}:{port}/livez")


def test_it_logs_its_address_in_one_line(data: Path) -> None:
    with serving(data, workers=2) as server:
        (event,) = server.events("serving")

    assert event["url"].startswith("http://127.0.0.1:")
    assert event["workers"] == 2
    assert set(event) == {"event", "url", "workers", "level", "timestamp"}


def test_every_request_is_one_line_of_the_log(data: Path) -> None:
    with serving(data) as server, server.client() as client:
        client.get(f"{BASE}?page=1")
        client.head(f"{BASE}/agg-001")
        client.get("/a%0Ab")
        client.patch(BASE)
        calls = wait_for(lambda: len(server.events("request")) == 4 and server.events("request"))

    assert calls
    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("GET", BASE, 200),
        ("HEAD", f"{BASE}/agg-001", 404),
        ("GET", "/a%0Ab", 404),
        ("PATCH", BASE, 405),
    ]
    assert all(call["duration_ms"] > 0 for call in calls)


def test_the_log_is_text_where_nothing_else_is_set(data: Path) -> None:
    server = start(data, LOG__FORMAT="text")
    try:
        line = wait_for(server.log.read_text).splitlines()[0]
    finally:
        server.stop()

    assert "serving" in line
    assert "url=http://127.0.0.1:" in line
    assert "\x1b" not in line


def test_a_fault_of_the_program_has_its_traceback_in_the_log_and_not_in_the_reply(
    data: Path,
) -> None:
    export(data, "damaged", 3)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "damaged")
        settled(client, snapshot_id)
    with serving(data) as server, server.client() as client:
        (data / "snapshots" / snapshot_id / "v1.json").write_text("{")

        reply = client.get(f"{BASE}/{snapshot_id}")

        assert reply.status_code == 500
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["title"] == "Internal Server Error"
        assert "StoreDamaged" not in reply.text
        assert "v1.json" not in reply.text
        (failure,) = server.events("unhandled_exception")
        assert "Traceback" in failure["exception"]
        assert "StoreDamaged" in failure["exception"]


def test_expected_failures_leave_no_traceback_in_the_log(data: Path) -> None:
    with serving(data) as server, server.client() as client:
        client.get(f"{BASE}/agg-999")
        client.get("/nowhere")
        client.post(BASE, json={})
        client.post(BASE, content="{", headers={"Content-Type": "application/json"})
        wait_for(lambda: len(server.events("request")) == 4)

        assert server.events("unhandled_exception") == []


def test_a_catalog_that_can_not_be_used_is_503_and_one_line_of_the_log(data: Path) -> None:
    with serving(data) as server, server.client() as client:
        (data / "catalog.sqlite").unlink()
        (data / "catalog.sqlite").mkdir()

        reply = client.get(f"{BASE}/agg-001")

        assert reply.status_code == 503
        assert reply.json()["type"] == "/schema#not-ready"
        assert "sqlite" not in reply.text
        (event,) = wait_for(lambda: server.events("store_unusable"))
        assert "catalog.sqlite" in event["problem"]
        assert server.events("unhandled_exception") == []


def test_it_is_not_ready_while_the_catalog_can_not_be_read_and_recovers(data: Path) -> None:
    export(data, "patient", 3)
    with serving(data) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        whole = (data / "catalog.sqlite").read_bytes()
        (data / "catalog.sqlite").write_bytes(b"this is no catalog, and long enough to see so" * 9)

        reply = client.get("/readyz")

        assert reply.status_code == 503
        assert reply.json()["title"] == "Service Unavailable"
        assert client.get("/livez").status_code == 200
        assert str(data) not in reply.text
        wait_for(lambda: server.events("dispatch_failed"))
        (data / "catalog.sqlite").write_bytes(whole)
        assert client.get("/readyz").status_code == 200
        assert settled(client, create(client, "patient"))["participant_count"] == 3


async def everybody(_: HTTPScope) -> Admission:
    return Admission(Caller(ANONYMOUS, None, None, Role.WRITE))


def no_refusal(caller: Caller, method: str, problem: str) -> None:
    raise AssertionError((caller, method, problem))


def test_a_client_gets_a_whole_reply_whatever_fails(tmp_path: Path) -> None:
    def uncounted(_: str) -> Callable[[float], None]:
        raise AssertionError

    async def breaks(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("internals")

    async def call() -> httpx.Response:
        app = CachingMiddleware(
            breaks,
            BASE,
            ResponseCache(CatalogChangeCounter(tmp_path).state),
            uncounted,
            structlog.get_logger(),
            everybody,
            no_refusal,
        )
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get("http://here/")

    with capture_logs() as events:
        reply = asyncio.run(call())

    assert reply.status_code == 500
    assert reply.json()["title"] == "Internal Server Error"
    assert "internals" not in reply.text
    assert [event["event"] for event in events] == ["unhandled_exception", "request"]


def test_the_api_process_loads_no_engine() -> None:
    program = (
        "import sys, api.app, api.server\n"
        "ours = {'pipeline.runs.run', 'pipeline.sources.parquet'}\n"
        "found = ours | {'polars', 'duckdb', 'pyarrow'}\n"
        "print(sorted(found & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_a_worker_at_work_has_mapped_no_engine(reading: Server) -> None:
    for worker in reading.workers():
        with open(f"/proc/{worker}/maps") as maps:  # noqa: PTH123 (no file but the system's answer)
            libraries = maps.read()
        assert "_granian" in libraries
        for engine in ("polars", "duckdb", "libarrow"):
            assert engine not in libraries
    assert os.getpid() not in reading.workers()
