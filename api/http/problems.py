"""The table of problems: one status, type and title for each expected failure; RFC 9457.

A problem names what to change and shows nothing internal. A failure that is in no table is a fault
of the program: the log has its traceback, and the reply has no details.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.plugins.problem_details import ProblemDetailsException
from msgspec import Meta, Struct

from api import errors as api_errors
from api.errors import FieldProblem
from api.http.parsing import MAX_BODY_BYTES
from pipeline import errors

MEDIA_TYPE: Final = "application/problem+json"
DOCUMENTATION: Final = "/schema"
"""The page that describes every type."""


class Problem(Struct, frozen=True, omit_defaults=True):
    """The reason why an operation was not done, after RFC 9457."""

    status: int
    type: Annotated[
        str, Meta(description="Names the kind of problem; links to its description. Never changes.")
    ]
    title: Annotated[str, Meta(description="The kind of problem in words, for people.")]
    detail: Annotated[str, Meta(description="The problem of this request, and what to change.")]
    errors: Annotated[
        tuple[FieldProblem, ...], Meta(description="Each field that is wrong, for bad input.")
    ] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem."""

    status: HTTPStatus
    slug: str
    """Names the kind for programs. Never changes, so that the title may."""
    title: str
    """RFC 9110's phrase for problems of HTTP, else a phrase of the domain."""

    @property
    def type(self) -> str:
        """The address of its description."""
        return f"{DOCUMENTATION}#{self.slug}"


_BAD_REQUEST: Final = Kind(HTTPStatus.BAD_REQUEST, "unreadable-request", "Bad Request")
_INVALID: Final = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "Unprocessable Content")
_NOT_READY: Final = Kind(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "Service Unavailable")
INTERNAL: Final = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "Internal Server Error")

KINDS: Final[Mapping[type[Exception], Kind]] = {
    api_errors.MalformedBody: _BAD_REQUEST,
    ClientException: _BAD_REQUEST,
    NotFoundException: Kind(HTTPStatus.NOT_FOUND, "no-such-path", "Not Found"),
    errors.SnapshotNotFound: Kind(HTTPStatus.NOT_FOUND, "snapshot-not-found", "Snapshot not found"),
    MethodNotAllowedException: Kind(
        HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "Method Not Allowed"
    ),
    api_errors.BodyTimeout: Kind(HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "Request Timeout"),
    errors.SnapshotExists: Kind(
        HTTPStatus.CONFLICT, "snapshot-exists-already", "Snapshot exists already"
    ),
    errors.SnapshotNotReady: Kind(
        HTTPStatus.CONFLICT, "snapshot-has-no-numbers-yet", "Snapshot has no numbers yet"
    ),
    errors.CellMismatch: Kind(
        HTTPStatus.CONFLICT, "snapshot-is-of-another-cell", "Snapshot is of another cell"
    ),
    errors.RunFailed: Kind(HTTPStatus.CONFLICT, "refresh-failed", "Refresh failed"),
    api_errors.SnapshotBlocked: Kind(
        HTTPStatus.CONFLICT, "snapshot-blocked", "Snapshot is blocked"
    ),
    RequestEntityTooLarge: Kind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", "Content Too Large"
    ),
    api_errors.UnsupportedMediaType: Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "body-is-not-json", "Unsupported Media Type"
    ),
    api_errors.InvalidRequest: _INVALID,
    errors.InvalidValue: _INVALID,
    errors.PeriodNotBegun: Kind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "period-has-not-begun", "Period has not begun"
    ),
    api_errors.RunCrashed: INTERNAL,
    errors.StoreDamaged: INTERNAL,
    errors.StoreTooNew: INTERNAL,
    errors.StoreUnusable: _NOT_READY,
    errors.EngineFailed: _NOT_READY,
    api_errors.NotReady: _NOT_READY,
}
"""The kind of each expected failure, found by its nearest class. Any other failure is INTERNAL."""

_DETAILS: Final[Mapping[type[Exception], str]] = {
    ClientException: "the request can't be read; send it as HTTP/1.1 requires",
    NotFoundException: f"nothing answers at this path; {DOCUMENTATION} lists what there is",
    MethodNotAllowedException: "this method does nothing here; Allow names those that do",
    RequestEntityTooLarge: f"a body may have {MAX_BODY_BYTES} bytes; send fewer",
    errors.StoreDamaged: "published data can't be read, which the log of the server describes; "
    "a PUT computes a damaged snapshot again, a damaged catalog must be rebuilt on the server",
    errors.StoreTooNew: "a newer release of the program wrote the data, as the log of the server "
    "describes; the server has to be upgraded",
    errors.StoreUnusable: "the catalog can't be used at the moment, which the log of the server "
    "describes; try again shortly",
}
"""The detail of failures whose own sentence is the framework's or names internal paths."""

INTERNAL_PROBLEM: Final = Problem(
    int(INTERNAL.status),
    INTERNAL.type,
    INTERNAL.title,
    "this is a fault of the program, which the log of the server describes; try again",
)


def of(error: Exception) -> ProblemDetailsException:
    """Return the reply to a failure, as Litestar's plugin sends it."""
    problem = body(error)
    return ProblemDetailsException(
        status_code=problem.status,
        type_=problem.type,
        title=problem.title,
        detail=problem.detail,
        extra={"errors": problem.errors} if problem.errors else None,
        headers=error.headers if isinstance(error, HTTPException) else None,
    )


def body(error: Exception) -> Problem:
    """Return the problem that a failure becomes."""
    kind = errors.lookup(KINDS, error)
    if kind is None:
        return INTERNAL_PROBLEM
    detail = errors.lookup(_DETAILS, error) or str(error)
    return Problem(int(kind.status), kind.type, kind.title, detail, _fields(error))


def is_expected(error: BaseException) -> bool:
    """Return whether a failure is in the table; any other is a fault of the program."""
    return errors.lookup(KINDS, error) is not None


def _fields(error: Exception) -> tuple[FieldProblem, ...]:
    match error:
        case api_errors.InvalidRequest():
            return error.problems
        case errors.InvalidValue():
            return (FieldProblem(error.field, error.problem),)
        case errors.PeriodNotBegun():
            return (FieldProblem("reporting_period_id", str(error)),)
        case _:
            return ()
