"""Clients that hold connections and do next to nothing, hundreds at once."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE: Final = "/api/v1/bufdir-aggregations"
HEAD: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
"""A head that does not end."""
BODY: Final = (
    f"POST {_BASE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 1000\r\n\r\n{"
).encode()
"""A body of which nearly everything is missing."""
REQUESTS: Final = b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100
"""Requests for more than the system holds back for a client that reads nothing."""
KINDS: Final = {"heads": HEAD, "bodies": BODY, "readers": REQUESTS}


@contextmanager
def connected(url: str, sent: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Open so many connections, each with these bytes sent, until the block ends."""
    host, port = url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        yield [stack.enter_context(_connected((host, int(port)), sent)) for _ in range(count)]


def _connected(address: tuple[str, int], sent: bytes) -> socket.socket:
    connection = socket.socket()
    # The system makes of it the least that it allows.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.settimeout(30)
    connection.connect(address)
    connection.settimeout(0)
    with suppress(BlockingIOError):
        connection.send(sent)
    return connection


def trickle(connections: list[socket.socket]) -> int:
    """Send one byte more on each connection; return how many still take it."""
    taken = 0
    for connection in connections:
        with suppress(OSError):
            taken += connection.send(b"x")
    return taken


def allow_descriptors(count: int) -> None:
    """Raise this process's limit of open descriptors to at least so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
