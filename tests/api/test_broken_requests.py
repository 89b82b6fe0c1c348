"""Requests that break HTTP's own rules, over a raw connection to the real server."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.serving import BASE, PROBLEM

if TYPE_CHECKING:
    from tests.api.serving import Server

CHUNKED = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


def connect(server: Server, seconds: float = 60) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=seconds)


def problem_of(connection: socket.socket) -> dict[str, Any]:
    """Read a whole reply, which must be a problem; return its body."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        part = connection.recv(4096)
        assert part, received
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    assert f"content-type: {PROBLEM}".encode() in head.lower()
    problem: dict[str, Any] = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    return problem


@pytest.mark.parametrize("line", [f"POST {BASE}", f"PUT {BASE}/agg-001"])
@pytest.mark.parametrize(
    "chunks",
    [
        "zz\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}\r\nzz\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_malformed_chunks_are_400(reading: Server, line: str, chunks: str) -> None:
    with connect(reading) as connection:
        connection.sendall(f"{line} HTTP/1.1\r\nHost: x\r\n{CHUNKED}\r\n{chunks}".encode())
        problem = problem_of(connection)

    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert "chunks are malformed" in problem["detail"]


@pytest.mark.parametrize(
    "rest",
    [
        f"{CHUNKED}\r\n5\r\n{{}}",
        f"{CHUNKED}\r\n2\r\n{{}}\r\n",
        "Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
    ],
)
def test_a_body_that_is_cut_is_400(reading: Server, rest: str) -> None:
    with connect(reading) as connection:
        connection.sendall(f"POST {BASE} HTTP/1.1\r\nHost: x\r\n{rest}".encode())
        connection.shutdown(socket.SHUT_WR)
        problem = problem_of(connection)

    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    assert "ended early" in problem["detail"]


def test_a_body_that_is_cut_is_no_fault_of_the_program(reading: Server) -> None:
    with connect(reading) as connection:
        connection.sendall(f"POST {BASE} HTTP/1.1\r\nHost: x\r\n{CHUNKED}\r\nzz\r\n".encode())
        problem_of(connection)

    assert reading.events("unhandled_exception") == []


def test_a_request_that_is_not_http_gets_no_500(reading: Server) -> None:
    for request in (
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"POST " + BASE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ):
        with connect(reading, 10) as connection:
            connection.sendall(request)
            assert b" 500 " not in connection.recv(1000)


def test_a_client_that_does_not_send_on_is_given_up(reading: Server) -> None:
    head = f"POST {BASE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    started = time.monotonic()
    with connect(reading) as without_body, connect(reading) as without_head:
        without_body.sendall(f"{head}Content-Length: 10\r\n\r\n{{".encode())
        without_head.sendall(head.encode())
        assert without_body.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert without_head.recv(1000)[:13] in {b"", b"HTTP/1.1 408 "}
    assert time.monotonic() - started < 60
