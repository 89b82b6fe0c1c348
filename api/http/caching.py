"""The caching middleware, outermost of all: HEAD, ETag, 304, cached replies and the access log.

Asks first whether the request is admitted. A cached reply is only for callers to whom the same
snapshots are visible.
"""

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
from api.http.admission import Admission, Admit, RecordRefusal
from api.http.messages import (
    ETAG,
    NOT_STORED,
    PRIVATE,
    REVALIDATE,
    VARY,
    BufferedResponse,
    RequestBody,
    has_body,
)
from api.http.response_cache import ResponseCache
from pipeline.errors import BufdirError
from pipeline.model.access import ANONYMOUS, Caller

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
    """The paths whose replies follow from what is published, the address and the caller alone."""
    cache: ResponseCache[CachedResponse]
    count: CountRequests
    """Counts requests that are answered without the application."""
    logger: FilteringBoundLogger
    admit: Admit
    record_refusal: RecordRefusal
    links: str = ""
    """The path before all addresses in problems, which a proxy removes from requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, from the cache where that is valid, and log one line."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = await self._answer(scope, receive, send, started)
        self.logger.info(
            "request",
            method=scope["method"],
            # As it was sent: percent-encoded, so that no path can end the line.
            path=scope["raw_path"].decode("ascii", "backslashreplace"),
            status=status,
            duration_ms=round((perf_counter() - started) * 1000, 1),
        )

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send, started: float) -> int:
        """Answer one request; return the status."""
        try:
            admission = await self.admit(scope)
        except BufdirError as error:
            problems.log(self.logger, error)
            return await self._send_problem(error, scope, receive, send)
        if admission.refusal is not None:
            return await self._refuse(admission, admission.refusal, scope, receive, send)
        key = _key(scope, admission.caller)
        cached = self.cache.get(key) if self._is_cacheable(scope) else None
        if cached is None:
            return await self._serve(admission.caller, key, scope, receive, send)
        status = await cached.reply.send_to(scope, send)
        cached.count(perf_counter() - started)
        return status

    async def _serve(
        self, caller: Caller, key: bytes, scope: HTTPScope, receive: Receive, send: Send
    ) -> int:
        """Send the application's reply, and cache it where that is possible."""
        before = self.cache.state()
        body = RequestBody(receive, has_ended=not has_body(scope))
        inner = scope.copy()
        inner["user"] = caller
        if scope["method"] == _HEAD:
            inner["method"] = _GET
        reply = await self._ask(inner, body.receive_part)
        await body.drain()
        _complete(reply, inner, caller)
        if self._is_cacheable(scope) and ETAG in reply.headers:
            cached = CachedResponse(reply, self.count(inner["path_template"]))
            self.cache.put(key, cached, len(reply.body), before)
        elif slug := problems.refusal_slug(scope["method"], reply.status, reply.body):
            self.record_refusal(caller, scope["method"], slug)
        return await reply.send_to(scope, send)

    async def _refuse(
        self,
        admission: Admission,
        error: BufdirError,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
    ) -> int:
        """Send the problem of a request that is refused by its head."""
        self.record_refusal(admission.caller, scope["method"], problems.slug_of(error))
        return await self._send_problem(error, scope, receive, send)

    async def _send_problem(
        self, error: Exception, scope: HTTPScope, receive: Receive, send: Send
    ) -> int:
        await RequestBody(receive, has_ended=not has_body(scope)).drain()
        reply = _problem(error, self.links)
        for name, value in (NOT_STORED, VARY):
            reply.headers[name] = value
        return await reply.send_to(scope, send)

    async def _ask(self, scope: HTTPScope, receive: Receive) -> BufferedResponse:
        """Return the application's reply, or a problem where it fails."""
        reply = BufferedResponse()
        try:
            await self.app(scope, receive, reply.collect)
        except Exception as error:
            self.logger.exception("unhandled_exception")
            return _problem(error, self.links)
        return reply

    def _is_cacheable(self, scope: HTTPScope) -> bool:
        is_read = scope["method"] in (_GET, _HEAD) and scope["path"].startswith(self.prefix)
        return is_read and not has_body(scope)


def _key(scope: HTTPScope, caller: Caller) -> bytes:
    """Name a request, and to whom its reply may be sent."""
    storable = b"shared" if caller.name == ANONYMOUS else b"private"
    request = scope["raw_path"] + b"?" + scope["query_string"]
    return b" ".join((storable, caller.visibility, request))


def _problem(error: Exception, links: str) -> BufferedResponse:
    problem = problems.body(error, links)
    body = msgspec.json.encode(problem)
    headers = {
        b"content-type": problems.MEDIA_TYPE.encode(),
        b"content-length": str(len(body)).encode(),
    }
    for name, value in (problems.headers(error) or {}).items():
        headers[name.lower().encode()] = value.encode()
    return BufferedResponse(problem.status, headers, body)


def _complete(reply: BufferedResponse, scope: HTTPScope, caller: Caller) -> None:
    """Add the headers that every reply has: Cache-Control, Vary, HEAD in Allow, and the ETag."""
    reply.headers.setdefault(*(REVALIDATE if caller.name == ANONYMOUS else PRIVATE))
    reply.headers.setdefault(*VARY)
    allowed = reply.headers.get(b"allow", b"").replace(b" ", b"").split(b",")
    if b"GET" in allowed:
        reply.headers[b"allow"] = b", ".join(sorted({*allowed, b"HEAD"}))
    if scope["method"] == _GET and reply.status == _OK:
        tag = b'"' + blake2b(reply.body, digest_size=16).hexdigest().encode() + b'"'
        reply.headers[ETAG] = tag
