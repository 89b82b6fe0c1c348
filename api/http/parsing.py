"""Strict parsing of requests: parameters and JSON bodies become values, or a problem.

Refuses unknown, missing and repeated names, and bodies that are not JSON by label or by content.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException
from msgspec import Raw, Struct

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
    return _converted(await _members(request), into)


async def optional_body(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """Parse the JSON object that was sent, as `body` does; without one return the defaults."""
    return _converted(await _members(request) if await _bytes(request) else {}, into)


def _converted(members: Mapping[str, Raw], into: type[Wanted]) -> Wanted:
    try:
        return fields.convert(members, into, {})
    except msgspec.DecodeError as error:  # such as a number or half a character that no type holds
        raise MalformedBody(str(error)) from error


async def _members(request: Request[Any, Any, Any]) -> Mapping[str, Raw]:
    """Receive the body, and return the values of its object, which are not parsed yet.

    A value is parsed only by the type of its field. Values of no use cost next to nothing.
    """
    _check_label(request)
    content = await _bytes(request)
    if not content:
        problem = "it is empty"
        raise MalformedBody(problem)
    try:
        return _parsed(content)
    except RecursionError:
        problem = "its brackets are nested too deeply"
    except ValueError as error:  # malformed JSON, or text that is not UTF-8
        problem = str(error)
    raise MalformedBody(problem)


def _parsed(content: bytes) -> Mapping[str, Raw]:
    """Parse a body to the JSON of each value.

    Raises:
        RecursionError: Its brackets are nested too deeply.
        ValueError: It is malformed.
        InvalidRequest: It is no object, or gives a name twice.
    """
    try:
        members = _MEMBERS.decode(content)
    except msgspec.ValidationError:
        members = None
    # The fast decoder silently takes the last of two values under one name, and does not look at
    # the rest of what is no object.
    pairs = _PAIRS.decode(content.decode())
    if members is None:
        raise InvalidRequest((FieldProblem("body", "must be a JSON object"),))
    _check_names(name for name, _ in pairs)
    return members


def _check_length(digits: str) -> None:
    """Refuse an integer that would take long to compute."""
    if len(digits) > _MAX_DIGITS:
        problem = f"an integer has more than {_MAX_DIGITS} digits"
        raise ValueError(problem)


def _refuse(constant: str) -> None:
    """Refuse what Python takes for a number and JSON does not have."""
    raise ValueError(constant)


_MEMBERS: Final = msgspec.json.Decoder(dict[str, Raw])
_PAIRS: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_check_length, parse_float=str, parse_constant=_refuse
)
"""Returns an object as its names and values, of which no number is computed."""


def _check_names(names: Iterable[str]) -> None:
    """Refuse an object that has two values under one name, in time linear in its size."""
    counts = Counter(names)
    repeated = (name for name in sorted(counts) if counts[name] > 1)
    problems = tuple(
        FieldProblem(fields.shown(name), _REPEATED) for name in islice(repeated, fields.MOST_NAMES)
    )
    if problems:
        raise InvalidRequest(problems)


def _check_label(request: Request[Any, Any, Any]) -> None:
    labels: list[str] = request.headers.getall("content-type", [])
    if len(labels) > 1:
        raise UnsupportedMediaType("Content-Type", ", ".join(labels), JSON)
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
