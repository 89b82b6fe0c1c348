"""The OpenAPI 3.1 document: one table of calls, and the schemas of the very types that are used.

Not Litestar's generator: it describes hours as one of integer and number, which no whole number
is, and passes over patterns. msgspec, which reads and writes the bodies, describes them exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as installed_version
from typing import Any, Final

import msgspec
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Struct

from api import examples, problems, replies, requests
from api.problems import KINDS, FaultOfOurs, NotReady, Problem
from api.routes import BASE, DOUBLED, RETRY_SECONDS
from pipeline import errors, snapshot

_SCHEMAS: Final = "#/components/schemas/"
_NO_BODY: Final = (requests.InvalidRequest, FaultOfOurs)
_WITH_BODY: Final = (
    requests.Unreadable,
    requests.TooSlow,
    RequestEntityTooLarge,
    requests.WrongMediaType,
    *_NO_BODY,
)
_LATER: Final = {
    "Location": "Where the snapshot is.",
    "Retry-After": f"In how many seconds to look again: {RETRY_SECONDS}.",
}
_TAG: Final = {"ETag": "Changes with the body; send it back as If-None-Match, and get 304."}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a call that was done."""

    meaning: str
    body: type[Struct] | None
    examples: Mapping[str, object]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what it takes, what it answers, and how it may fail."""

    id: str
    summary: str
    description: str
    replies: Mapping[int, Reply]
    failures: tuple[type[Exception], ...] = _NO_BODY
    of_snapshot: bool = False
    query: type[Struct] = requests.NoQuery
    body: type[Struct] | None = None
    example: object = None
    needs_body: bool = False


CALLS: Final[Mapping[tuple[str, str], Call]] = {
    (BASE, "get"): Call(
        "listSnapshots",
        "List the snapshots",
        "Filtered, sorted and in pages. A page behind the last one is empty.",
        {200: Reply("One page.", replies.Page, {"page": examples.PAGE}, _TAG)},
        query=requests.ListQuery,
    ),
    (BASE, "post"): Call(
        "createSnapshot",
        "Start the first run of a cell",
        "While the cell is being computed, the same snapshot is given again. Once it has numbers, "
        "it is refreshed with PUT. Where its first run failed, this starts a new one.",
        {202: Reply("It has started.", replies.Started, {"started": examples.STARTED}, _LATER)},
        failures=(errors.SnapshotExists, errors.PeriodNotBegun, *_WITH_BODY),
        body=requests.CreateBody,
        example=examples.CREATE,
        needs_body=True,
    ),
    (f"{BASE}/{{id}}", "get"): Call(
        "getSnapshot",
        "One snapshot with its numbers",
        "Numbers are null while there is no version; a failed snapshot has `error` besides.",
        {
            200: Reply(
                "The snapshot.",
                replies.Snapshot,
                {"completed": examples.SNAPSHOT, "failed": examples.FAILED},
                _TAG,
            )
        },
        failures=(errors.SnapshotNotFound, *_NO_BODY),
        of_snapshot=True,
    ),
    (f"{BASE}/{{id}}", "put"): Call(
        "refreshSnapshot",
        "Refresh a snapshot and wait for the end",
        "Where neither rows nor rules have changed, the version that stands is the answer, unless "
        "`force_refresh` is true. Without a body nothing is forced. A refresh that fails answers "
        "409 and leaves what was published as it is.",
        {
            200: Reply("It is fresh.", replies.Refreshed, {"fresh": examples.REFRESHED}, {}),
            202: Reply(
                "It takes longer than a call may wait; the run goes on.",
                replies.Refreshed,
                {"processing": examples.REFRESHING},
                _LATER,
            ),
        },
        failures=(errors.SnapshotNotFound, errors.CellMismatch, errors.RunFailed, *_WITH_BODY),
        of_snapshot=True,
        body=requests.RefreshBody,
        example=examples.REFRESH,
    ),
    (f"{BASE}/{{id}}", "delete"): Call(
        "deleteSnapshot",
        "Delete a snapshot and its files",
        "The next night makes a new one, with a new id, if exports still hold that cell.",
        {200: Reply("It is gone.", replies.Deleted, {"deleted": examples.DELETED}, {})},
        failures=(errors.SnapshotNotFound, *_NO_BODY),
        of_snapshot=True,
    ),
    (f"{BASE}/{{id}}/metrics", "get"): Call(
        "getMetrics",
        "Every number of one snapshot",
        "Different people are counted once in the total and once in each category.",
        {200: Reply("The numbers.", replies.Metrics, {"metrics": examples.METRICS}, _TAG)},
        failures=(errors.SnapshotNotFound, errors.SnapshotNotReady, *_NO_BODY),
        of_snapshot=True,
    ),
    ("/livez", "get"): Call(
        "isAlive",
        "Whether the server answers",
        "Restart it where this does not.",
        {200: Reply("It does.", replies.Health, {"alive": {"status": "alive"}}, _TAG)},
        failures=(FaultOfOurs,),
    ),
    ("/readyz", "get"): Call(
        "isReady",
        "Whether the catalog can be read",
        "Send no calls where it can't.",
        {200: Reply("It can.", replies.Health, {"ready": {"status": "ready"}}, _TAG)},
        failures=(FaultOfOurs, NotReady),
    ),
    ("/metrics", "get"): Call(
        "getServerMetrics",
        "Metrics of the server, for Prometheus",
        "Added up over all worker processes.",
        {200: Reply("Text as Prometheus reads it.", None, {}, _TAG)},
        failures=(FaultOfOurs,),
    ),
}

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
    "schema": {"type": "string", "pattern": snapshot.ID_PATTERN, "examples": ["agg-001"]},
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
    body: type[Struct], shown: Mapping[str, object], media_type: str = requests.JSON
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
