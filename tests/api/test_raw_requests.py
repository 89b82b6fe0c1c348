"""Requests as bytes, of which no client would send one: each ends in one known reply, never a 5xx.

What breaks HTTP's own rules is answered by the HTTP server alone: a status and no body, and the
connection is closed. All else reaches the program, which replies with a problem.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.api.serving import BASE, PROBLEM
from tests.api.test_broken_requests import CHUNKED, connect

if TYPE_CHECKING:
    import socket

    from tests.api.serving import Server

HOST = "Host: x\r\n"
CLOSE = "Connection: close\r\n"
JSON = "Content-Type: application/json\r\n"
POST = f"POST {BASE} HTTP/1.1\r\n{HOST}{JSON}"
GET_LIVEZ = f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n"
LINE = "X: y\r\n"
EMPTY = "Content-Length: 2\r\n\r\n{}"
UNLABELLED = f"POST {BASE} HTTP/1.1\r\n{HOST}{CLOSE}"
IN_CHUNKS = "2\r\n{}\r\n0\r\n\r\n"


def beginning(value: object) -> str:
    """Name a test by the beginning of its request."""
    return repr(value)[:60]


@dataclass(frozen=True)
class Reply:
    status: int
    head: bytes
    body: bytes

    @property
    def is_problem(self) -> bool:
        has_label = f"content-type: {PROBLEM}".encode() in self.head.lower()
        return has_label and json.loads(self.body)["status"] == self.status


def replies_to(server: Server, request: str | bytes) -> list[Reply]:
    """Send bytes as they are, and return every reply until the server closes the connection."""
    data = request if isinstance(request, bytes) else request.encode("latin-1")
    with connect(server) as connection:
        connection.sendall(data)
        return list(parsed(received(connection)))


def received(connection: socket.socket) -> bytes:
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


def parsed(data: bytes) -> list[Reply]:
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        size = int(sizes[0].partition(b":")[2]) if sizes else 0
        found.append(Reply(int(head.split()[1]), head, rest[:size]))
        data = rest[size:]
    return found


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Smuggling: two readers of these bytes would see different requests.
        (f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}{GET_LIVEZ}", 400),
        (f"{POST}Content-Length: 2, 2\r\n\r\n{{}}", 400),
        (f"{POST}Content-Length: +2\r\n\r\n{{}}", 400),
        (f"{POST}Content-Length: -2\r\n\r\n{{}}", 400),
        (f"{POST}Content-Length: 0x2\r\n\r\n{{}}", 400),
        (f"{POST}Content-Length: 18446744073709551616\r\n\r\n{{}}", 400),
        (f"{POST}Transfer-Encoding: xchunked\r\n\r\n{IN_CHUNKS}", 400),
        (f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n{IN_CHUNKS}", 400),
        (f"{POST}Transfer-Encoding : chunked\r\n\r\n{IN_CHUNKS}", 400),
        (f"{POST}Transfer-Encoding:\x0bchunked\r\n\r\n{IN_CHUNKS}", 400),
        (f"{POST}Transfer-Encoding:\r\n chunked\r\n\r\n{IN_CHUNKS}", 400),
        (f"POST {BASE} HTTP/1.0\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{IN_CHUNKS}", 400),
        # Lines
        (f"GET /livez HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n", 400),
        (f"GET /livez HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n", 400),
        (f"GET /livez HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n", 400),
        (f"GET /livez HTTP/1.1\r\n{HOST}X y\r\n\r\n", 400),
        (f"GET {BASE}/\xe6 HTTP/1.1\r\n{HOST}\r\n", 400),
        (f"GET {BASE}?org_id=\xff HTTP/1.1\r\n{HOST}\r\n", 400),
        (f"GET  /livez HTTP/1.1\r\n{HOST}\r\n", 400),
        ("GET /livez\r\n\r\n", 400),
        (f"GET /livez HTTP/1.2\r\n{HOST}\r\n", 400),
        (f"GET /livez HTTP/2.0\r\n{HOST}\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
        # Floods
        (f"GET /livez HTTP/1.1\r\n{HOST}{LINE * 200}\r\n", 431),
        (f"GET /livez HTTP/1.1\r\n{HOST}X: {'y' * 500_000}\r\n\r\n", 431),
        (f"GET /livez HTTP/1.1\r\n{HOST}{'y' * 500_000}: X\r\n\r\n", 431),
        (f"GET /{'y' * 70_000} HTTP/1.1\r\n{HOST}\r\n", 414),
    ],
    ids=beginning,
)
def test_what_is_no_http_gets_a_status_without_a_body_and_the_connection_is_closed(
    reading: Server, request_: str | bytes, status: int
) -> None:
    (reply,) = replies_to(reading, request_)

    assert (reply.status, reply.body) == (status, b"")
    assert b"connection: close" in reply.head.lower()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Bodies in chunks
        (f"{POST}{CLOSE}Transfer-Encoding: Chunked\r\n\r\n{IN_CHUNKS}", 422),
        (f"{POST}{CLOSE}Transfer-Encoding: gzip, chunked\r\n\r\n{IN_CHUNKS}", 422),
        (f"{POST}{CLOSE}Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{{}}\r\n0\r\n\r\n", 422),
        (f"{POST}{CLOSE}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX: y\r\n\r\n", 422),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n2;a={'b' * 100_000}\r\n{{}}\r\n", 400),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{{}}\r\n0\r\n\r\n", 400),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n2\n{{}}\n0\n\n", 400),
        (f"{POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n{LINE * 5000}\r\n", 400),
        (f"{POST}{CLOSE}Content-Length: 9223372036854775807\r\n\r\n{{}}", 413),
        # Targets
        (f"GET http://evil HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"CONNECT evil:443 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"OPTIONS * HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"GET livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"GET {BASE}/../../../livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"GET {BASE}/%2e%2e/livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"GET /{'y' * 60_000} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 404),
        (f"GET {BASE}/agg-001%00 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/agg-001%0A HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/agg-%D9%A1%D9%A1%D9%A1 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/%ff%fe HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/%ED%A0%80 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/%zz HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}/agg-{'1' * 6000} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        # Methods
        (f"FOO {BASE} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 405),
        (f"get {BASE} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 405),
        (f"TRACE {BASE}/agg-001 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 405),
        (f"{'A' * 5000} {BASE} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 405),
        # Parameters
        (f"GET {BASE}?page=18446744073709551616 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?page={'9' * 50_000} HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?page=%D9%A1 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?limit=1;page=1 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?org_id=%00 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?org_id=%ff HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?org_id=%ED%A0%80 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        (f"GET {BASE}?%ED%A0%80=1 HTTP/1.1\r\n{HOST}{CLOSE}\r\n", 422),
        # Labels
        (
            f"{UNLABELLED}Content-Type: \xff\r\n{EMPTY}",
            415,
        ),
        (
            f"{UNLABELLED}Content-Type: ;;=\r\n{EMPTY}",
            415,
        ),
        (f"{POST}{CLOSE}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}", 415),
    ],
    ids=beginning,
)
def test_what_reaches_the_program_and_is_wrong_gets_a_problem(
    reading: Server, request_: str, status: int
) -> None:
    (reply,) = replies_to(reading, request_)

    assert reply.status == status
    assert reply.is_problem


@pytest.mark.parametrize(
    "request_",
    [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n",
        f"\r\n\r\n{GET_LIVEZ}",
        f"GET http://evil/livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n",
        f"GET https://evil:1/livez HTTP/1.1\r\n{HOST}{CLOSE}\r\n",
        f"GET /livez#x HTTP/1.1\r\n{HOST}{CLOSE}\r\n",
        f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}Content-Length: 2\r\n\r\n{{}}",
        f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}{LINE * 90}\r\n",
        f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}X: {'y' * 60_000}\r\n\r\n",
        f'GET /livez HTTP/1.1\r\n{HOST}{CLOSE}If-None-Match: \xff"\r\nAccept: ;q=x,\xff\r\n\r\n',
        f"GET /livez HTTP/1.1\r\n{HOST}{CLOSE}X-Forwarded-For: \xff\r\nRange: bytes=9-1\r\n\r\n",
    ],
    ids=beginning,
)
def test_what_is_odd_and_legal_is_served(reading: Server, request_: str) -> None:
    (reply,) = replies_to(reading, request_)

    assert (reply.status, reply.body) == (200, b'{"status":"alive"}')


@pytest.mark.parametrize("target", [f"http://evil{BASE}/agg-001", f"{BASE}/%61gg-001"])
def test_an_absolute_or_an_escaped_target_is_the_same_path(reading: Server, target: str) -> None:
    (plain,) = replies_to(reading, f"GET {BASE}/agg-001 HTTP/1.1\r\n{HOST}{CLOSE}\r\n")
    (other,) = replies_to(reading, f"GET {target} HTTP/1.1\r\n{HOST}{CLOSE}\r\n")

    assert (other.status, other.body) == (200, plain.body)


def test_pipelined_requests_are_answered_in_their_order(reading: Server) -> None:
    first = f"GET {BASE}/agg-001 HTTP/1.1\r\n{HOST}\r\n"
    wrong = f"{POST}Content-Length: 2\r\n\r\n{{}}"
    unknown = f"GET {BASE}/agg-999 HTTP/1.1\r\n{HOST}\r\n"

    found = replies_to(reading, first + wrong + unknown + GET_LIVEZ)

    assert [reply.status for reply in found] == [200, 422, 404, 200]


@pytest.mark.parametrize(
    "headers", [f"Content-Length: 4\r\n{CHUNKED}", f"{CHUNKED}Content-Length: 0\r\n"]
)
def test_no_second_request_hides_behind_a_length_and_chunks(reading: Server, headers: str) -> None:
    head = f"POST {BASE} HTTP/1.1\r\n{HOST}{headers}\r\n"

    found = replies_to(reading, f"{head}{IN_CHUNKS}{GET_LIVEZ}")

    assert [reply.status for reply in found] == [422]


def test_no_request_was_a_fault_of_the_program(reading: Server) -> None:
    assert reading.events("unhandled_exception") == []
    assert [one for one in reading.events("request") if one["status"] >= 500] == []
