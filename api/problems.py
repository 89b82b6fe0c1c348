"""One table: which failure becomes which status and title; every error reply is made here.

A problem says what to change and nothing of our insides. What stands in no table is a fault of
ours: its traceback is in the log, its reply says only that.
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
from msgspec import Meta, Struct, structs

from api import reading
from api.reading import FieldProblem
from pipeline import errors

MEDIA_TYPE: Final = "application/problem+json"
DOCUMENTATION: Final = "/schema"


class Problem(Struct, frozen=True, omit_defaults=True):
    """Why a call was not done, after RFC 9457."""

    status: int
    type: Annotated[str, Meta(description="Names the kind of problem; leads to its description.")]
    title: Annotated[str, Meta(description="The kind of problem; always worded the same.")]
    detail: Annotated[str, Meta(description="What is wrong this time, and what to change.")]
    errors: Annotated[
        tuple[FieldProblem, ...], Meta(description="Each field that is wrong, for bad input.")
    ] = ()


@dataclass(eq=False)
class NotReady(errors.BufdirError):
    """The catalog can't be read at the moment."""

    def __str__(self) -> str:
        return "the catalog can't be read; the log of the server says why"


@dataclass(eq=False)
class FaultOfOurs(errors.BufdirError):
    """A run that ended by a fault of ours, as opposed to one that its inputs made fail."""

    snapshot_id: str

    def __str__(self) -> str:
        return (
            f"the run of {self.snapshot_id} ended by a fault of ours, which is in the log of the "
            "server; what was published stands"
        )


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem."""

    status: HTTPStatus
    title: str

    @property
    def type(self) -> str:
        """Where it is described."""
        return f"{DOCUMENTATION}#{self.title.lower().replace(' ', '-')}"


INTERNAL: Final = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error")
INTERNAL_PROBLEM: Final = Problem(
    int(INTERNAL.status),
    INTERNAL.type,
    INTERNAL.title,
    "this is a fault of ours, which is in the log of the server; try again",
)

_DAMAGED_PROBLEM: Final = structs.replace(
    INTERNAL_PROBLEM,
    detail="what was published can't be read, which the log of the server tells of; a PUT of the "
    "snapshot computes it anew",
)

KINDS: Final[Mapping[type[Exception], Kind]] = {
    reading.Unreadable: Kind(HTTPStatus.BAD_REQUEST, "Unreadable request"),
    ClientException: Kind(HTTPStatus.BAD_REQUEST, "Unreadable request"),
    NotFoundException: Kind(HTTPStatus.NOT_FOUND, "No such path"),
    errors.SnapshotNotFound: Kind(HTTPStatus.NOT_FOUND, "Snapshot not found"),
    MethodNotAllowedException: Kind(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed"),
    reading.TooSlow: Kind(HTTPStatus.REQUEST_TIMEOUT, "Body too slow"),
    errors.SnapshotExists: Kind(HTTPStatus.CONFLICT, "Snapshot exists already"),
    errors.SnapshotNotReady: Kind(HTTPStatus.CONFLICT, "Snapshot has no numbers yet"),
    errors.CellMismatch: Kind(HTTPStatus.CONFLICT, "Snapshot is of another cell"),
    errors.RunFailed: Kind(HTTPStatus.CONFLICT, "Refresh failed"),
    RequestEntityTooLarge: Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Body too large"),
    reading.WrongMediaType: Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Body is not JSON"),
    reading.InvalidRequest: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request"),
    errors.InvalidValue: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid request"),
    errors.PeriodNotBegun: Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Period has not begun"),
    FaultOfOurs: INTERNAL,
    NotReady: Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Not ready"),
}
"""What each expected failure becomes. A fault that is not expected is INTERNAL too."""

_DETAILS: Final[Mapping[type[Exception], str]] = {
    ClientException: "the request can't be read; send it as HTTP/1.1 says",
    NotFoundException: f"nothing answers at this path; {DOCUMENTATION} lists what there is",
    MethodNotAllowedException: "this method does nothing here; Allow names those that do",
    RequestEntityTooLarge: f"a body may have {reading.MOST_BYTES} bytes; send fewer",
}
"""What to say of failures that the framework words in its own way."""


def of(error: Exception) -> ProblemDetailsException:
    """The reply to a failure."""
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
    """What the reply to a failure says."""
    known = next((cls for cls in type(error).__mro__ if cls in KINDS), None)
    if isinstance(error, errors.StoreDamaged):
        return _DAMAGED_PROBLEM
    if known is None:
        return INTERNAL_PROBLEM
    kind, detail = KINDS[known], _DETAILS.get(known) or str(error)
    return Problem(int(kind.status), kind.type, kind.title, detail, _fields(error))


def _fields(error: Exception) -> tuple[FieldProblem, ...]:
    match error:
        case reading.InvalidRequest():
            return error.problems
        case errors.InvalidValue():
            return (FieldProblem(error.field, error.problem),)
        case errors.PeriodNotBegun():
            return (FieldProblem("reporting_period_id", str(error)),)
        case _:
            return ()
