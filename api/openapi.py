"""The OpenAPI 3.1 document: the table of calls, and the schemas of the very types that are used.

Not Litestar's generator: it describes hours as one of integer and number, which no whole number
is, and passes over patterns. msgspec, which reads and writes the bodies, describes them exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any, Final

import msgspec
from msgspec import Struct

from api import examples, problems, reading
from api.calls import CALLS, Call, Reply
from api.problems import KINDS, Problem
from api.routes import DOUBLED
from pipeline.model import versions

_SCHEMAS: Final = "#/components/schemas/"
_ABOUT: Final = (
    "Numbers that Norwegian voluntary organisations report to Bufdir: one snapshot for each "
    f"organisation and period. Every path answers under {DOUBLED} as well. HEAD works wherever "
    "GET does. Instants are UTC, to the second. Every error is a problem after RFC 9457."
)


@cache
def document() -> Mapping[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), call in CALLS.items():
        paths.setdefault(path, {})[method] = _operation(method, call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bufdir aggregations",
            "version": installed_version("bufdir-aggregation"),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _schemas() -> Mapping[str, Any]:
    bodies = [reply.body for call in CALLS.values() for reply in call.replies.values()]
    bodies += [call.body for call in CALLS.values()]
    types = [Problem, *(body for body in bodies if body is not None)]
    _, schemas = msgspec.json.schema_components(types, ref_template=f"{_SCHEMAS}{{name}}")
    return schemas


def _operation(method: str, call: Call) -> Mapping[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.id,
        "summary": call.summary,
        "description": call.description,
        "parameters": [*([_ID] if call.of_snapshot else []), *_parameters(call.query)],
        "responses": {
            **{str(status): _reply(reply) for status, reply in call.replies.items()},
            **_failures(call),
        },
    }
    if method == "get":
        operation["parameters"].append(_IF_NONE_MATCH)
        operation["responses"]["304"] = {"description": "The reply that was named still holds."}
    if call.body is not None:
        content = _content(call.body, {"example": call.example})
        operation["requestBody"] = {"required": call.needs_body, "content": content}
    return operation


_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The snapshot's id. One of another form is a 422, an unknown one a 404.",
    "schema": {"type": "string", "pattern": versions.ID_PATTERN, "examples": ["agg-001"]},
}

_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of a reply that is already there.",
    "schema": {"type": "string"},
}


def _parameters(query: type[Struct]) -> list[dict[str, Any]]:
    parameters = []
    for field in msgspec.structs.fields(query):
        schema = msgspec.json.schema(field.type)
        if field.default is not msgspec.UNSET:
            schema["default"] = field.default
        description = schema.pop("description")
        parameters.append(
            {"name": field.name, "in": "query", "description": description, "schema": schema}
        )
    return parameters


def _reply(reply: Reply) -> Mapping[str, Any]:
    headers = {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in reply.headers.items()
    }
    if reply.body is None:
        content: Mapping[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        content = _content(reply.body, reply.examples)
    return {"description": reply.meaning, "headers": headers, "content": content}


def _content(
    body: type[Struct], shown: Mapping[str, object], media_type: str = reading.JSON
) -> Mapping[str, Any]:
    return {
        media_type: {
            "schema": {"$ref": f"{_SCHEMAS}{body.__name__}"},
            "examples": {name: {"value": value} for name, value in shown.items()},
        }
    }


def _failures(call: Call) -> Mapping[str, Any]:
    """The error replies by status; kinds that share one stand together."""
    found: dict[str, dict[str, Problem]] = {}
    for failure in sorted(call.failures, key=lambda failure: KINDS[failure].status):
        kind = KINDS[failure]
        example = problems.body(examples.FAILURES[failure])
        found.setdefault(str(int(kind.status)), {})[kind.title] = example
    return {
        status: {
            "description": "; ".join(shown),
            "content": _content(Problem, shown, problems.MEDIA_TYPE),
        }
        for status, shown in found.items()
    }
