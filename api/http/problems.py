"""The table of problems: one status, type and title for each expected failure; RFC 9457.

A problem names what to change and shows nothing internal. A failure that is in no table is a fault
of the program: the log has its traceback, and the reply has no details.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import Logger
from msgspec import Meta, Struct, structs
from structlog.typing import FilteringBoundLogger

from api import errors as api_errors
from api.errors import FieldProblem
from api.http.parsing import MAX_BODY_BYTES
from pipeline import errors

MEDIA_TYPE: Final = "application/problem+json"
_CHALLENGES: Final[Mapping[type[Exception], str]] = {
    api_errors.TokenNeeded: 'Bearer realm="bufdir"',
    api_errors.TokenInvalid: 'Bearer realm="bufdir", error="invalid_token"',
    api_errors.NotAllowed: 'Bearer realm="bufdir", error="insufficient_scope"',
    api_errors.NotLocal: 'Bearer realm="bufdir"',
}
"""The way to show a token, after RFC 6750."""
_OPEN_RUNS_SECONDS: Final = 10
"""The time after which some runs have probably ended."""
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
    api_errors.TokenNeeded: Kind(HTTPStatus.UNAUTHORIZED, "token-needed", "Token needed"),
    api_errors.TokenInvalid: Kind(HTTPStatus.UNAUTHORIZED, "token-invalid", "Token is not valid"),
    api_errors.NotAllowed: Kind(HTTPStatus.FORBIDDEN, "not-allowed", "Not allowed"),
    api_errors.NotLocal: Kind(HTTPStatus.FORBIDDEN, "not-local", "Not of this computer"),
    api_errors.TooManyWrites: Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "too-many-writes", "Too many writes"
    ),
    errors.TooManyOpenRuns: Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "too-many-open-runs", "Too many open runs"
    ),
    errors.TooManyFailed: Kind(
        HTTPStatus.CONFLICT, "too-many-failed-snapshots", "Too many failed snapshots"
    ),
    errors.OrganisationUnknown: Kind(
        HTTPStatus.CONFLICT, "organisation-unknown", "Organisation is unknown"
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

_REFUSALS: Final = frozenset(
    KINDS[kind].slug
    for kind in (
        api_errors.TokenNeeded,
        api_errors.TokenInvalid,
        api_errors.NotAllowed,
        api_errors.TooManyWrites,
        errors.TooManyOpenRuns,
        errors.TooManyFailed,
        errors.OrganisationUnknown,
    )
)
"""The kinds by which a caller is refused, not a request."""
_WRITE_REFUSALS: Final = _REFUSALS | {KINDS[errors.SnapshotNotFound].slug}
"""Those of writes: to a caller, snapshots of other organisations are missing, too."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_STATUSES: Final = {
    refusals: frozenset(int(kind.status) for kind in KINDS.values() if kind.slug in refusals)
    for refusals in (_REFUSALS, _WRITE_REFUSALS)
}

_DETAILS: Final[Mapping[type[Exception], str]] = {
    ClientException: "the request can't be read; send it as HTTP/1.1 requires",
    NotFoundException: "nothing answers at this path; the page that type leads to lists what "
    "there is",
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


def of(error: Exception, prefix: str = "") -> ProblemDetailsException:
    """Return the reply to a failure, as Litestar's plugin sends it."""
    problem = body(error, prefix)
    return ProblemDetailsException(
        status_code=problem.status,
        type_=problem.type,
        title=problem.title,
        detail=problem.detail,
        extra={"errors": problem.errors} if problem.errors else None,
        headers=headers(error),
    )


def body(error: Exception, prefix: str = "") -> Problem:
    """Return the problem that a failure becomes.

    Args:
        error: The failure.
        prefix: The path before the address of the description, which a proxy removes.
    """
    kind = errors.lookup(KINDS, error)
    if kind is None:
        return structs.replace(INTERNAL_PROBLEM, type=f"{prefix}{INTERNAL.type}")
    detail = errors.lookup(_DETAILS, error) or str(error)
    return Problem(int(kind.status), f"{prefix}{kind.type}", kind.title, detail, _fields(error))


def headers(error: Exception) -> dict[str, str] | None:
    """Return the headers that a failure has in addition to its problem; None without any."""
    challenge = errors.lookup(_CHALLENGES, error)
    if challenge is not None:
        return {"WWW-Authenticate": challenge}
    match error:
        case api_errors.TooManyWrites():
            return {"Retry-After": str(error.seconds)}
        case errors.TooManyOpenRuns():
            return {"Retry-After": str(_OPEN_RUNS_SECONDS)}
        case HTTPException():
            return error.headers
        case _:
            return None


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


def slug_of(error: Exception) -> str:
    """Return the name of a failure's kind."""
    return (errors.lookup(KINDS, error) or INTERNAL).slug


def refusal_slug(method: str, status: int, body: bytes) -> str | None:
    """Return the name of the problem of a reply that refuses a caller; None for other replies."""
    refusals = _REFUSALS if method in _READING else _WRITE_REFUSALS
    if status not in _STATUSES[refusals]:
        return None
    try:
        slug = msgspec.json.decode(body, type=Problem).type.partition("#")[2]
    except msgspec.DecodeError:
        return None
    return slug if slug in refusals else None


def log(logger: FilteringBoundLogger | Logger, error: BaseException | None) -> None:
    """Log a traceback for faults of the program, and one line for data that can't be used."""
    if isinstance(error, errors.StoreUnusable | errors.StoreTooNew):
        logger.warning("store_unusable", problem=str(error))
    elif error is None or isinstance(error, errors.StoreDamaged) or not is_expected(error):
        logger.error("unhandled_exception", exc_info=error)
