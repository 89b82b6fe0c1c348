"""The caching middleware, outermost of all: HEAD, ETag, 304, cached replies and the access log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from time import perf_counter
from typing import Final

import msgspec
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from api.http import problems
from api.http.messages import ETAG, REVALIDATE, BufferedResponse, RequestBody, has_body
from api.http.response_cache import ResponseCache

_OK: Final = 200
_GET: Final = HttpMethod.GET
_HEAD: Final = HttpMethod.HEAD

CountRequests = Callable[[str], Callable[[float], None]]
"""Gives the counter of a path's template, which takes the seconds of each request."""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A reply that can be sent again, and its counter."""

    reply: BufferedResponse
    count: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class CachingMiddleware:
    """The application with this layer around it."""

    app: ASGIApp
    prefix: str
    """The paths whose replies follow from what is published, and from the address alone."""
    cache: ResponseCache[CachedResponse]
    count: CountRequests
    """Counts requests that are answered without the application."""
    logger: FilteringBoundLogger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, from the cache where that is valid, and log one line."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        cached = self.cache.get(_key(scope)) if self._is_cacheable(scope) else None
        if cached is None:
            status = await self._answer(scope, receive, send)
        else:
            status = await cached.reply.send_to(scope, send)
            cached.count(perf_counter() - started)
        self.logger.info(
            "request",
            method=scope["method"],
            # As it was sent: percent-encoded, so that no path can end the line.
            path=scope["raw_path"].decode("ascii", "backslashreplace"),
            status=status,
            duration_ms=round((perf_counter() - started) * 1000, 1),
        )

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> int:
        before = self.cache.state()
        body = RequestBody(receive, has_ended=not has_body(scope))
        inner = scope.copy()
        if scope["method"] == _HEAD:
            inner["method"] = _GET
        reply = await self._ask(inner, body.receive_part)
        await body.drain()
        _complete(reply, inner)
        if self._is_cacheable(scope) and ETAG in reply.headers:
            cached = CachedResponse(reply, self.count(inner["path_template"]))
            self.cache.put(_key(scope), cached, len(reply.body), before)
        return await reply.send_to(scope, send)

    async def _ask(self, scope: HTTPScope, receive: Receive) -> BufferedResponse:
        """Return the application's reply, or a problem where it fails."""
        reply = BufferedResponse()
        try:
            await self.app(scope, receive, reply.collect)
        except Exception:
            self.logger.exception("unhandled_exception")
            return _internal_error()
        return reply

    def _is_cacheable(self, scope: HTTPScope) -> bool:
        is_read = scope["method"] in (_GET, _HEAD) and scope["path"].startswith(self.prefix)
        return is_read and not has_body(scope)


def _key(scope: HTTPScope) -> bytes:
    return scope["raw_path"] + b"?" + scope["query_string"]


def _internal_error() -> BufferedResponse:
    body = msgspec.json.encode(problems.INTERNAL_PROBLEM)
    media_type = problems.MEDIA_TYPE.encode()
    headers = {b"content-type": media_type, b"content-length": str(len(body)).encode()}
    return BufferedResponse(problems.INTERNAL_PROBLEM.status, headers, body)


def _complete(reply: BufferedResponse, scope: HTTPScope) -> None:
    """Add the headers that every reply has: Cache-Control, HEAD in Allow, and the ETag."""
    reply.headers.setdefault(*REVALIDATE)
    allowed = reply.headers.get(b"allow", b"").replace(b" ", b"").split(b",")
    if b"GET" in allowed:
        reply.headers[b"allow"] = b", ".join(sorted({*allowed, b"HEAD"}))
    if scope["method"] == _GET and reply.status == _OK:
        tag = b'"' + blake2b(reply.body, digest_size=16).hexdigest().encode() + b'"'
        reply.headers[ETAG] = tag
