"""The OpenAPI 3.1 document: the table of operations, and the schemas of the types in use.

Litestar's generator is not used. It describes hours as exactly one of integer and number, which no
whole number is, and omits patterns. msgspec, which parses and writes the bodies, is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.docs import examples
from api.docs.operations import OPERATIONS, Operation, Reply
from api.http import parsing, problems
from api.http.problems import KINDS, Problem
from api.snapshots.handlers import DOUBLED
from pipeline.model import versions
from pipeline.model.access import Role

_SCHEMAS: Final = "#/components/schemas/"
_ABOUT: Final = (
    "Numbers that Norwegian voluntary organisations report to Bufdir: one snapshot for each "
    f"organisation and period. Every path answers under {DOUBLED} as well. HEAD works wherever "
    "GET does. Instants are UTC, to the second. Every error is a problem after RFC 9457."
)


@cache
def document(open_role: Role | None, prefix: str = "") -> Mapping[str, Any]:
    """Return the whole document.

    Args:
        open_role: The role of callers without a token; None where they may not even read.
        prefix: The path before all addresses, which a proxy removes from requests.
    """
    paths: dict[str, dict[str, Any]] = {}
    for (path, method), operation in OPERATIONS.items():
        described = _described(method, operation, open_role, prefix)
        paths.setdefault(path, {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bufdir aggregations",
            "version": installed_version("bufdir-aggregation"),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {_BEARER: _SCHEME}},
    }


def _schemas() -> Mapping[str, Any]:
    bodies = [reply.body for known in OPERATIONS.values() for reply in known.replies.values()]
    bodies += [known.body for known in OPERATIONS.values()]
    types = [Problem, *(body for body in bodies if body is not None)]
    _, schemas = msgspec.json.schema_components(types, ref_template=f"{_SCHEMAS}{{name}}")
    return schemas


def _described(
    method: str, operation: Operation, open_role: Role | None, prefix: str
) -> Mapping[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "security": _security(operation.needs, open_role),
        "parameters": [*([_ID] if operation.of_snapshot else []), *_parameters(operation.query)],
        "responses": {
            **{str(status): _reply(reply) for status, reply in operation.replies.items()},
            **_failures(operation, prefix),
        },
    }
    if method == "get":
        described["parameters"].append(_IF_NONE_MATCH)
        described["responses"]["304"] = {"description": "The reply with this ETag is still valid."}
    if operation.body is not None:
        content = _content(operation.body, {"example": operation.example})
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    return described


def _security(needs: Role | None, open_role: Role | None) -> list[dict[str, list[str]]]:
    """Return the ways to be admitted: none at all, a token, or either."""
    if needs is None:
        return []
    is_open = open_role is not None and open_role.includes(needs)
    return [{}, {_BEARER: []}] if is_open else [{_BEARER: []}]


_BEARER: Final = "token"
"""The name of the scheme by which callers show a token."""
_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token that bufdir token create has made. Writes need one from the first "
    "token on, and reads where the operator has set that. A token of some organisations sees only "
    "theirs: snapshots of others are missing to it.",
}

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
    "description": "The ETag of a reply that the client has.",
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
    described = {"description": reply.meaning, "headers": headers, "content": content}
    return described if reply.id_at is None else described | {"links": _links(reply.id_at)}


def _links(id_at: str) -> Mapping[str, Any]:
    """Return the operations on the snapshot whose id is at this place of a reply."""
    return {
        operation.id: {
            "operationId": operation.id,
            "parameters": {"id": f"$response.body#{id_at}"},
            "description": operation.summary,
        }
        for operation in OPERATIONS.values()
        if operation.of_snapshot
    }


def _content(
    body: type[Struct], shown: Mapping[str, object], media_type: str = parsing.JSON
) -> Mapping[str, Any]:
    return {
        media_type: {
            "schema": {"$ref": f"{_SCHEMAS}{body.__name__}"},
            "examples": {name: {"value": value} for name, value in shown.items()},
        }
    }


_FAILURE_HEADERS: Final = {
    "WWW-Authenticate": "The way to show a token, after RFC 6750.",
    "Retry-After": "The seconds after which to try again.",
}


def _failure_headers(operation: Operation, status: int) -> Mapping[str, Any]:
    of_status = (failure for failure in operation.failures if KINDS[failure].status == status)
    names = {name for one in of_status for name in problems.headers(examples.FAILURES[one]) or {}}
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in _FAILURE_HEADERS.items()
        if name in names
    }


def _failures(operation: Operation, prefix: str) -> Mapping[str, Any]:
    """Return the error replies by status; kinds of the same status share one."""
    found: dict[str, dict[str, Problem]] = {}
    for failure in sorted(operation.failures, key=lambda failure: KINDS[failure].status):
        kind = KINDS[failure]
        example = problems.body(examples.FAILURES[failure], prefix)
        found.setdefault(str(int(kind.status)), {})[kind.title] = example
    return {
        status: {
            "description": "; ".join(shown),
            "headers": _failure_headers(operation, int(status)),
            "content": _content(Problem, shown, problems.MEDIA_TYPE),
        }
        for status, shown in found.items()
    }
