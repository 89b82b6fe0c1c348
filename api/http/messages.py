"""Requests and replies as ASGI messages: replies buffered whole, request bodies drained.

Replies are small. A buffered reply is whole even where the application fails on its way, and can
be sent again for as long as it is valid.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from litestar.enums import HttpMethod
from litestar.types import HTTPScope, Message, Receive, ReceiveMessage, Send

from api.errors import MalformedBody

ETAG: Final = b"etag"
REVALIDATE: Final = (b"cache-control", b"no-cache")
"""Clients must ask whether a reply is still valid: numbers change, and ids are deleted."""
PRIVATE: Final = (b"cache-control", b"private, no-cache")
"""As `REVALIDATE`, and only the client itself may store the reply."""
NOT_STORED: Final = (b"cache-control", b"no-store")
VARY: Final = (b"vary", b"Authorization")
"""The same address has another reply for another caller."""
_NOT_MODIFIED: Final = 304
_KEPT_BY_304: Final[tuple[bytes, ...]] = (ETAG, REVALIDATE[0], VARY[0])
_TAG: Final = re.compile(rb'"[^"]*"')
MAX_BODY_PARTS: Final = 128
"""The most parts in which a body may arrive; each costs far more than its bytes."""
_MAX_SMALL_PARTS: Final = 192
_SMALL_BYTES: Final = 1024
"""The size of a part from which on the bytes cost more than the part."""
_MAX_DRAINED_BYTES: Final = 1024 * 1024
_MAX_DRAIN_SECONDS: Final = 1


@dataclass(slots=True)
class BufferedResponse:
    """A reply that is collected before it is sent."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    async def collect(self, message: Message) -> None:
        """Take a message that the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.lower(): value for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.body += message["body"]

    async def send_to(self, scope: HTTPScope, send: Send) -> int:
        """Send the form that the client asked for: the whole reply, its head, or 304.

        Returns:
            The status that was sent.
        """
        tag = self.headers.get(ETAG)
        if tag is not None and _matches(tag, scope):
            names = [name for name in _KEPT_BY_304 if name in self.headers]
            status, body = _NOT_MODIFIED, b""
        else:
            names, status, body = list(self.headers), self.status, self.body
        headers = [(name, self.headers[name]) for name in names]
        if scope["method"] == HttpMethod.HEAD:
            body = b""  # Content-Length still gives the size of the body that is left out
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return status


def _matches(tag: bytes, scope: HTTPScope) -> bool:
    """Return whether If-None-Match names this tag, by RFC 9110's weak comparison (13.1.2)."""
    given = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if not given or given == [tag]:  # the usual cases
        return bool(given)
    tags = b",".join(given)
    return tags.strip() == b"*" or tag in _TAG.findall(tags)


@dataclass(slots=True)
class RequestBody:
    """The body that a client sends, and how much of it has been received."""

    receive: Receive
    has_ended: bool = False
    bytes_received: int = 0
    parts_received: int = 0

    async def receive_part(self) -> ReceiveMessage:
        """Receive the next part.

        Raises:
            MalformedBody: There are too many.
        """
        if self.parts_received == MAX_BODY_PARTS:
            problem = f"it comes in more than {MAX_BODY_PARTS} parts"
            raise MalformedBody(problem)
        return await self._receive()

    async def _receive(self) -> ReceiveMessage:
        message = await self.receive()
        self.parts_received += 1
        if message["type"] == "http.request":
            self.bytes_received += len(message.get("body", b""))
            self.has_ended = not message.get("more_body", False)
        else:
            self.has_ended = True
        return message

    async def drain(self) -> None:
        """Receive the rest, within bounds.

        A connection that is closed with unread bytes may lose the reply.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_DRAIN_SECONDS):
                while not self.has_ended and self._is_short():
                    await self._receive()

    def _is_short(self) -> bool:
        most_parts = _MAX_SMALL_PARTS + self.bytes_received // _SMALL_BYTES
        return self.parts_received < most_parts and self.bytes_received < _MAX_DRAINED_BYTES


def has_body(scope: HTTPScope) -> bool:
    """Return whether a request announces a body."""
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
