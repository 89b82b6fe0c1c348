"""One request to the server, or one command, and what it returned."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.measure import BUFDIR

BASE: Final = "/api/v1/bufdir-aggregations"
_PATIENCE_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, and when it was asked for and received."""

    status: int
    tag: str | None
    content: bytes
    begin: float
    end: float

    @property
    def body(self) -> Any:  # noqa: ANN401 (JSON)
        """The JSON that was sent."""
        return json.loads(self.content)


@dataclass(frozen=True, slots=True)
class Site:
    """A served data folder."""

    port: int
    data: str
    writer: Mapping[str, str]
    """The header that shows a token which may write."""

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection to the server."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_SECONDS)

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request on a connection of its own, with the writer's token."""
        connection = self.connect()
        try:
            return ask(connection, method, path, body, self.writer if headers is None else headers)
        finally:
            connection.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command over the data folder to its end."""
        return subprocess.run(
            [*BUFDIR, "--data", self.data, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send one request on this connection."""
    sent = dict(headers or {})
    content = None
    if body is not None:
        content = json.dumps(body)
        sent["Content-Type"] = "application/json"
    begin = time.monotonic()
    connection.request(method, f"{BASE}{path}", content, sent)
    reply = connection.getresponse()
    received = reply.read()
    return Reply(reply.status, reply.getheader("ETag"), received, begin, time.monotonic())
