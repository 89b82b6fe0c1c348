"""How a request is read: strictly. Unknown, missing and repeated names are all errors.

Whatever is wrong is collected first, so that one reply names every field. Refuses bodies that
are no JSON by their label or by their content.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request
from msgspec import Struct

from pipeline.errors import BufdirError, InvalidValue
from pipeline.model import periods, versions

MOST_BYTES: Final = 64 * 1024
"""The largest body that is read."""
MOST_SECONDS: Final = 10
"""How long a client may take to send its body."""
JSON: Final = "application/json"
_MOST_DIGITS: Final = 100
_LONGEST_NAME: Final = 64
_TWICE: Final = "is given twice; give it once"
_EXPECTED: Final = re.compile(r"Expected `(?P<kind>\w+)`(?P<bound> [<>]= \d+)?.*")
_WORDS: Final = {
    "int": "must be a whole number",
    "str": "must be a text",
    "bool": "must be true or false",
    "object": "must be an object",
}

Wanted = TypeVar("Wanted", bound=Struct)


class FieldProblem(Struct, frozen=True):
    """What is wrong with one field."""

    field: str
    problem: str


@dataclass(eq=False)
class Unreadable(BufdirError):
    """What was sent can't be parsed at all."""

    problem: str

    def __str__(self) -> str:
        return f"the body can't be read: {self.problem}; send one JSON object"


@dataclass(eq=False)
class WrongMediaType(BufdirError):
    """The body is labelled as something else than JSON."""

    header: str
    given: str

    def __str__(self) -> str:
        given = f"not {self.given}" if self.given else "which is missing"
        return f"the body must be {JSON} in UTF-8 by its {self.header}, {given}; send JSON"


@dataclass(eq=False)
class TooSlow(BufdirError):
    """The body did not arrive in time."""

    def __str__(self) -> str:
        return f"the body did not arrive within {MOST_SECONDS} seconds; send it at once"


@dataclass(eq=False)
class InvalidRequest(BufdirError):
    """What was sent can be parsed and is wrong; each field is named."""

    problems: tuple[FieldProblem, ...]

    def __str__(self) -> str:
        return "; ".join(f"{wrong.field}: {wrong.problem}" for wrong in self.problems)


def query(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """The parameters behind the path's `?`.

    Raises:
        InvalidRequest: One is unknown, given twice, or may not be what it is.
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
    return _read(values, into, dict.fromkeys(repeated, _TWICE))


def _number(text: str) -> int | str:
    """The number that a text writes in digits alone, or the text."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else text


async def body(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """The JSON object that was sent.

    Raises:
        WrongMediaType: It is labelled as something else.
        TooSlow: It did not arrive in time.
        RequestEntityTooLarge: It is larger than `MOST_BYTES`.
        Unreadable: It is no JSON.
        InvalidRequest: It is JSON and wrong.
    """
    return _object(await _json(request), into)


async def optional_body(request: Request[Any, Any, Any], into: type[Wanted]) -> Wanted:
    """The JSON object that was sent, as `body` reads it; its defaults where nothing was sent."""
    return _object(await _json(request) if await _bytes(request) else {}, into)


async def _json(request: Request[Any, Any, Any]) -> object:
    _check_label(request)
    content = await _bytes(request)
    if not content:
        problem = "it is empty"
        raise Unreadable(problem)
    try:
        decoded: object = msgspec.json.decode(content)
        # The quick reader takes the last of two values under one name; nobody meant that.
        json.loads(content, object_pairs_hook=_once)
    except RecursionError:
        problem = "its brackets are nested too deeply"
    except ValueError as error:  # malformed JSON, text that is not UTF-8, numbers without end
        problem = str(error)
    else:
        return decoded
    raise Unreadable(problem)


def _once(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    twice = sorted({name[:_LONGEST_NAME] for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRequest(tuple(FieldProblem(name, _TWICE) for name in twice))


def _check_label(request: Request[Any, Any, Any]) -> None:
    label, parameters = request.content_type
    if label.lower() != JSON or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise WrongMediaType("Content-Type", request.headers.get("content-type", ""))
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise WrongMediaType("Content-Encoding", coding)


async def _bytes(request: Request[Any, Any, Any]) -> bytes:
    try:
        async with asyncio.timeout(MOST_SECONDS):
            return await request.body()
    except TimeoutError:
        raise TooSlow from None


def _object(value: object, into: type[Wanted]) -> Wanted:
    if not isinstance(value, dict):
        raise InvalidRequest((FieldProblem("body", "must be a JSON object"),))
    return _read(value, into, {})


_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    "org_id": versions.check_organisation,
    "reporting_period_id": periods.parse,
}


def _read(values: Mapping[str, object], into: type[Wanted], wrong: Mapping[str, str]) -> Wanted:
    fields = {field.name: field for field in msgspec.structs.fields(into)}
    problems = dict(wrong)
    for name in values.keys() - fields.keys():
        options = f"may be {', '.join(fields)}" if fields else "there are none here"
        problems[name[:_LONGEST_NAME]] = f"is unknown; {options}"
    given: dict[str, object] = {}
    for name, field in fields.items():
        try:
            if name in values:
                given[name] = _value(name, values[name], field.type)
            elif field.required:
                problems[name] = "is missing"
        except InvalidValue as error:
            problems[name] = error.problem
        except msgspec.ValidationError as error:
            problems[name] = f"{_problem(error)}{_options(field.type)}"
    if problems:
        raise InvalidRequest(tuple(FieldProblem(*wrong) for wrong in sorted(problems.items())))
    return into(**given)


def _value(name: str, value: object, wanted: Any) -> object:  # noqa: ANN401 (a type or a union)
    converted: object = msgspec.convert(value, wanted)
    if isinstance(converted, str) and name in _CHECKS:
        _CHECKS[name](converted)
    return converted


def _problem(error: msgspec.ValidationError) -> str:
    """What may be, in words of ours where we have some."""
    expected = _EXPECTED.fullmatch(str(error))
    if expected is None or expected["kind"] not in _WORDS:
        return str(error)
    return f"{_WORDS[expected['kind']]}{expected['bound'] or ''}"


def _options(wanted: Any) -> str:  # noqa: ANN401 (a type or a union)
    """The end of a sentence that says which values there are, where they are few."""
    options = msgspec.json.schema(wanted).get("enum")
    return f"; it may be {', '.join(options)}" if options else ""
