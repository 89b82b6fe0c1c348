"""Strict parsing of requests: parameters and JSON bodies become values, or a problem.

Refuses unknown, missing and repeated names, and bodies that are not JSON by label or by content.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec import Struct

from api.errors import (
    BodyTimeout,
    FieldProblem,
    InvalidRequest,
    MalformedBody,
    UnsupportedMediaType,
)
from api.http import fields

MAX_BODY_BYTES: Final = 64 * 1024
"""The largest body that is read."""
MAX_BODY_SECONDS: Final = 10
"""The longest time that a client may take to send its body."""
JSON: Final = "application/json"
_MAX_DIGITS: Final = 100
_REPEATED: Final = "is given twice; give it once"

Wanted = TypeVar("Wanted", bound=Struct)


def query(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """Parse the parameters behind the path's `?`.

    Raises:
        InvalidRequest: One is unknown, repeated, or has a wrong value.
    """
    values: dict[str, object] = {}
    repeated = set()
    for name, text in request.query_params.multi_items():
        if name in values:
            repeated.add(name)
        values[name] = text
    for field in msgspec.structs.fields(into):
        if isinstance(field.default, int) and field.name in values:
            values[field.name] = _number(str(values[field.name]))
    return fields.convert(values, into, dict.fromkeys(repeated, _REPEATED))


def _number(text: str) -> int | str:
    """Return the number that a text writes in digits alone, or the text."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else text


async def body(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """Parse the JSON object that was sent.

    Raises:
        UnsupportedMediaType: Its label names another format.
        BodyTimeout: It did not arrive in time.
        RequestEntityTooLarge: It is larger than `MAX_BODY_BYTES`.
        MalformedBody: It is not JSON, or it ended early.
        InvalidRequest: It is JSON and wrong.
    """
    return _object(await _json(request), into)


async def optional_body(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """Parse the JSON object that was sent, as `body` does; without one return the defaults."""
    return _object(await _json(request) if await _bytes(request) else {}, into)


def _object(value: object, into: type[Wanted]) -> Wanted:
    if not isinstance(value, dict):
        raise InvalidRequest((FieldProblem("body", "must be a JSON object"),))
    return fields.convert(value, into, {})


async def _json(request: Request[Any, Any, Any]) -> object:
    _check_label(request)
    content = await _bytes(request)
    if not content:
        problem = "it is empty"
        raise MalformedBody(problem)
    try:
        decoded: object = msgspec.json.decode(content)
        # The fast decoder silently takes the last of two values under one name.
        json.loads(content, object_pairs_hook=_check_names)
    except RecursionError:
        problem = "its brackets are nested too deeply"
    except ValueError as error:  # malformed JSON, text that is not UTF-8, numbers without end
        problem = str(error)
    else:
        return decoded
    raise MalformedBody(problem)


def _check_names(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object that has two values under one name, in time linear in its size."""
    counts = Counter(name for name, _ in pairs)
    repeated = sorted({fields.shown(name) for name, count in counts.items() if count > 1})
    if repeated:
        raise InvalidRequest(tuple(FieldProblem(name, _REPEATED) for name in repeated))


def _check_label(request: Request[Any, Any, Any]) -> None:
    label, parameters = request.content_type
    if label.lower() != JSON or parameters.get("charset", "utf-8").lower() != "utf-8":
        given = request.headers.get("content-type", "")
        raise UnsupportedMediaType("Content-Type", given, JSON)
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding", coding, JSON)


async def _bytes(request: Request[Any, Any, Any]) -> bytes:
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        raise BodyTimeout(MAX_BODY_SECONDS) from None
    except InternalServerException as error:
        # Litestar's only cause here: the server reports a disconnect for a body that it can't
        # read to its end, because the client went away or its chunks are malformed.
        problem = "it ended early, or its chunks are malformed"
        raise MalformedBody(problem) from error
