"""Conversion of named values into a request type; one reply names every field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from api.errors import FieldProblem, InvalidRequest
from pipeline.errors import InvalidValue
from pipeline.model import periods, versions

MOST_NAMES: Final = 20
"""The most unknown or repeated names that a reply has, so that it is no longer than a request."""
_MAX_NAME_LENGTH: Final = 64
_EXPECTED: Final = re.compile(r"Expected `(?P<kind>\w+)`(?P<bound> [<>]= \d+)?.*")
_KINDS: Final = {
    "int": "must be a whole number",
    "str": "must be a text",
    "bool": "must be true or false",
    "object": "must be an object",
}
_CHECKS: Final[Mapping[str, Callable[[str], object]]] = {
    "org_id": versions.check_organisation,
    "reporting_period_id": periods.parse,
}
"""The rules of single fields that their types can't express."""

Wanted = TypeVar("Wanted", bound=Struct)


def convert(values: Mapping[str, object], into: type[Wanted], known: Mapping[str, str]) -> Wanted:
    """Build a request type from its values by name.

    Args:
        values: The values as they were sent, or the JSON of each.
        into: The type to build.
        known: Problems found before, by field.

    Raises:
        InvalidRequest: A name is unknown or missing, or a value is wrong.
        DecodeError: The JSON of a value can't be read.
    """
    problems = {**known, **_unknown(values, into)}
    converted: dict[str, object] = {}
    for field in msgspec.structs.fields(into):
        if field.name not in values:
            if field.required:
                problems[field.name] = "is missing"
            continue
        try:
            converted[field.name] = _value(field.name, values[field.name], field.type)
        except InvalidValue as error:
            problems[field.name] = error.problem
        except msgspec.ValidationError as error:
            problems[field.name] = f"{_problem(error)}{_options(field.type)}"
    if problems:
        raise InvalidRequest(tuple(FieldProblem(*wrong) for wrong in sorted(problems.items())))
    return into(**converted)


def shown(name: str) -> str:
    """Shorten a name that a client chose, so that a reply can repeat it."""
    return name[:_MAX_NAME_LENGTH]


def _unknown(values: Mapping[str, object], into: type[Struct]) -> dict[str, str]:
    names = [field.name for field in msgspec.structs.fields(into)]
    options = f"may be {', '.join(names)}" if names else "there are none here"
    unknown = sorted(values.keys() - names)[:MOST_NAMES]
    return {shown(name): f"is unknown; {options}" for name in unknown}


def _value(name: str, value: object, wanted: Any) -> object:  # noqa: ANN401 (a type or a union)
    converted: object
    if isinstance(value, msgspec.Raw):
        converted = msgspec.json.decode(value, type=wanted)
    else:
        converted = msgspec.convert(value, wanted)
    if isinstance(converted, str) and name in _CHECKS:
        _CHECKS[name](converted)
    return converted


def _problem(error: msgspec.ValidationError) -> str:
    """Word a failed conversion; msgspec's own text where there is no better one."""
    expected = _EXPECTED.fullmatch(str(error))
    if expected is None or expected["kind"] not in _KINDS:
        return str(error)
    return f"{_KINDS[expected['kind']]}{expected['bound'] or ''}"


def _options(wanted: Any) -> str:  # noqa: ANN401 (a type or a union)
    """Return the end of a sentence that lists the allowed values, where they are few."""
    options = msgspec.json.schema(wanted).get("enum")
    return f"; it may be {', '.join(options)}" if options else ""
