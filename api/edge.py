"""The outermost layer, the same for every reply: HEAD, ETag and 304, and one log line a call.

Replies are small and are held whole here before they leave, so a call that breaks on its way
still gets a whole reply; and one that is asked for again leaves again, as long as it holds.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter
from typing import Final

import msgspec
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, ReceiveMessage, Scope, Send
from structlog.typing import FilteringBoundLogger

from api import problems
from api.kept import ResponseCache
from api.routes import BASE

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_TAG: Final = re.compile(rb'"[^"]*"')
_MOST_DRAINED: Final = 1024 * 1024
_MOST_DRAIN_SECONDS: Final = 1
_ETAG: Final = b"etag"
_MUST_ASK: Final = (b"cache-control", b"no-cache")
"""Whoever keeps a reply must ask whether it still holds: numbers change, ids go."""
_GET: Final = HttpMethod.GET
_HEAD: Final = HttpMethod.HEAD

Count = Callable[[str], Callable[[float], None]]
"""What counts calls of a path's template; it is told how many seconds each took."""


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

    async def leave(self, scope: HTTPScope, send: Send) -> int:
        """Send what the client asked for: all of it, its head, or that what it has still holds.

        Returns:
            The status that was sent.
        """
        tag = self.headers.get(_ETAG)
        if tag is not None and _holds(tag, scope):
            status, headers, body = _NOT_MODIFIED, [(_ETAG, tag), _MUST_ASK], b""
        else:
            status, headers, body = self.status, list(self.headers.items()), self.body
        if scope["method"] == _HEAD:
            body = b""  # Content-Length still tells of what is left out
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return status


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


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A reply that can leave again, and how that is counted."""

    reply: Reply
    count: Callable[[float], None]


def edge(
    app: ASGIApp, keeper: ResponseCache[CachedResponse], count: Count, logger: FilteringBoundLogger
) -> ASGIApp:
    """The application with this layer around it.

    Args:
        app: The application.
        keeper: Where replies to reads are kept.
        count: How a call is counted that the application is not asked for.
        logger: Where each call is noted.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        started = perf_counter()
        again = keeper.find(_asked(scope)) if _is_read(scope) else None
        if again is None:
            status = await answer(scope, receive, send)
        else:
            status = await again.reply.leave(scope, send)
            again.count(perf_counter() - started)
        logger.info(
            "request",
            method=scope["method"],
            # As it was sent: percent-encoded, so that no path can end the line.
            path=scope["raw_path"].decode("ascii", "backslashreplace"),
            status=status,
            milliseconds=round((perf_counter() - started) * 1000, 1),
        )

    async def answer(scope: HTTPScope, receive: Receive, send: Send) -> int:
        before = keeper.state()
        body = Body(receive, has_ended=not _sends_body(scope))
        inner = scope.copy()
        if scope["method"] == _HEAD:
            inner["method"] = _GET
        reply = await _reply(app, inner, body.take, logger)
        await body.drain()
        _complete(reply, inner)
        if _is_read(scope) and _ETAG in reply.headers:
            again = CachedResponse(reply, count(inner["path_template"]))
            keeper.keep(_asked(scope), again, len(reply.body), before)
        return await reply.leave(scope, send)

    return call


def _is_read(scope: HTTPScope) -> bool:
    """Whether the reply follows from what is published, and from the address alone."""
    is_read = scope["method"] in (_GET, _HEAD) and scope["path"].startswith(BASE)
    return is_read and not _sends_body(scope)


def _asked(scope: HTTPScope) -> bytes:
    return scope["raw_path"] + b"?" + scope["query_string"]


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
    reply.headers.setdefault(*_MUST_ASK)
    allowed = reply.headers.get(b"allow", b"").replace(b" ", b"").split(b",")
    if b"GET" in allowed:
        reply.headers[b"allow"] = b", ".join(sorted({*allowed, b"HEAD"}))
    if scope["method"] == _GET and reply.status == _OK:
        tag = b'"' + blake2b(reply.body, digest_size=16).hexdigest().encode() + b'"'
        reply.headers[_ETAG] = tag


def _holds(tag: bytes, scope: HTTPScope) -> bool:
    """Whether If-None-Match names this tag; weakly compared, as RFC 9110 section 13.1.2 says."""
    asked = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if not asked or asked == [tag]:  # as nearly always
        return bool(asked)
    tags = b",".join(asked)
    return tags.strip() == b"*" or tag in _TAG.findall(tags)
