"""The outermost layer, the same for every reply: HEAD, ETag and 304, and one log line a call.

Replies are small and are held whole here before they leave, so a call that breaks on its way
still gets a whole reply.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter
from typing import Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send
from structlog.typing import FilteringBoundLogger

from api import problems

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_TAG: Final = re.compile(rb'"[^"]*"')
_MOST_DRAINED: Final = 1024 * 1024
_MOST_DRAIN_SECONDS: Final = 1
_HELD_BY_304: Final = frozenset({b"etag", b"cache-control"})


@dataclass(slots=True)
class Reply:
    """A reply while it is still here."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """Receive what an application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.lower(): value for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self.body += message["body"]

    async def leave(self, send: Send, *, with_body: bool) -> None:
        """Send all of it; Content-Length tells of the body that HEAD leaves out."""
        headers = list(self.headers.items())
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = self.body if with_body else b""
        await send({"type": "http.response.body", "body": body, "more_body": False})


@dataclass(slots=True)
class Body:
    """What a client sends, and whether all of it has been taken."""

    receive: Receive
    has_ended: bool = False
    bytes_taken: int = 0

    async def take(self) -> ReceiveMessage:
        """The next part."""
        message = await self.receive()
        if message["type"] == "http.request":
            self.bytes_taken += len(message.get("body", b""))
            self.has_ended = not message.get("more_body", False)
        else:
            self.has_ended = True
        return message

    async def drain(self) -> None:
        """Take the rest, within bounds: closed on unread bytes, a connection may lose the reply."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOST_DRAIN_SECONDS):
                while not self.has_ended and self.bytes_taken < _MOST_DRAINED:
                    await self.take()


def edge(app: ASGIApp, logger: FilteringBoundLogger) -> ASGIApp:
    """The application with this layer around it."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started, method = perf_counter(), scope["method"]
        if method == "HEAD":
            scope["method"] = "GET"
        body = Body(receive, has_ended=not _sends_body(scope))
        reply = await _reply(app, scope, body.take, logger)
        await body.drain()
        _complete(reply, scope)
        await reply.leave(send, with_body=method != "HEAD")
        logger.info(
            "request",
            method=method,
            # As it was sent: percent-encoded, so that no path can end the line.
            path=scope["raw_path"].decode("ascii", "backslashreplace"),
            status=int(reply.status),
            milliseconds=round((perf_counter() - started) * 1000, 1),
        )

    return call


async def _reply(
    app: ASGIApp, scope: HTTPScope, receive: Receive, logger: FilteringBoundLogger
) -> Reply:
    reply = Reply()
    try:
        await app(scope, receive, reply.take)
    except Exception:
        logger.exception("fault")
        body = msgspec.json.encode(problems.INTERNAL_PROBLEM)
        media_type = problems.MEDIA_TYPE.encode()
        headers = {b"content-type": media_type, b"content-length": str(len(body)).encode()}
        reply = Reply(problems.INTERNAL_PROBLEM.status, headers, body)
    return reply


def _sends_body(scope: HTTPScope) -> bool:
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _complete(reply: Reply, scope: HTTPScope) -> None:
    """What the whole house owes every reply."""
    # Whoever keeps a reply must ask whether it still holds: numbers change, ids go.
    reply.headers.setdefault(b"cache-control", b"no-cache")
    allowed = reply.headers.get(b"allow", b"").replace(b" ", b"").split(b",")
    if b"GET" in allowed:
        reply.headers[b"allow"] = b", ".join(sorted({*allowed, b"HEAD"}))
    if scope["method"] == "GET" and reply.status == _OK:
        tag = b'"' + blake2b(reply.body, digest_size=16).hexdigest().encode() + b'"'
        reply.headers[b"etag"] = tag
        if _holds(tag, scope):
            _turn_into_304(reply)


def _holds(tag: bytes, scope: HTTPScope) -> bool:
    """Whether If-None-Match names this tag; weakly compared, as RFC 9110 section 13.1.2 says."""
    asked = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    return asked.strip() == b"*" or tag in _TAG.findall(asked)


def _turn_into_304(reply: Reply) -> None:
    kept = {name: value for name, value in reply.headers.items() if name in _HELD_BY_304}
    reply.status, reply.headers, reply.body = _NOT_MODIFIED, kept, b""
