"""The table of problems: types that never change, and the nearest class of a failure."""

from __future__ import annotations

import msgspec
import pytest
from litestar.exceptions import HTTPException, ImproperlyConfiguredException, ValidationException

from api.docs.examples import FAILURES
from api.http import problems
from pipeline import errors

TYPES = {
    "/schema#unreadable-request": (400, "Bad Request"),
    "/schema#token-needed": (401, "Token needed"),
    "/schema#token-invalid": (401, "Token is not valid"),
    "/schema#not-allowed": (403, "Not allowed"),
    "/schema#not-local": (403, "Not of this computer"),
    "/schema#no-such-path": (404, "Not Found"),
    "/schema#snapshot-not-found": (404, "Snapshot not found"),
    "/schema#method-not-allowed": (405, "Method Not Allowed"),
    "/schema#body-too-slow": (408, "Request Timeout"),
    "/schema#snapshot-exists-already": (409, "Snapshot exists already"),
    "/schema#snapshot-has-no-numbers-yet": (409, "Snapshot has no numbers yet"),
    "/schema#snapshot-is-of-another-cell": (409, "Snapshot is of another cell"),
    "/schema#refresh-failed": (409, "Refresh failed"),
    "/schema#snapshot-blocked": (409, "Snapshot is blocked"),
    "/schema#organisation-unknown": (409, "Organisation is unknown"),
    "/schema#too-many-failed-snapshots": (409, "Too many failed snapshots"),
    "/schema#body-too-large": (413, "Content Too Large"),
    "/schema#body-is-not-json": (415, "Unsupported Media Type"),
    "/schema#invalid-request": (422, "Unprocessable Content"),
    "/schema#period-has-not-begun": (422, "Period has not begun"),
    "/schema#too-many-writes": (429, "Too many writes"),
    "/schema#too-many-open-runs": (429, "Too many open runs"),
    "/schema#internal-error": (500, "Internal Server Error"),
    "/schema#not-ready": (503, "Service Unavailable"),
}
"""Published: programs compare the types, so a type may be added here but never changed."""


def test_every_type_is_the_published_one() -> None:
    assert {kind.type: (int(kind.status), kind.title) for kind in problems.KINDS.values()} == TYPES


def test_a_failure_is_translated_by_its_nearest_class() -> None:
    class LateRunFailed(errors.RunFailed):
        pass

    assert problems.body(LateRunFailed("agg-001", "why")).type == "/schema#refresh-failed"
    assert problems.body(ValidationException()).type == "/schema#unreadable-request"


@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), HTTPException("secret"), ImproperlyConfiguredException("secret")],
)
def test_a_failure_of_no_class_in_the_table_is_a_fault_of_the_program(error: Exception) -> None:
    assert problems.body(error) == problems.INTERNAL_PROBLEM
    assert not problems.is_expected(error)


@pytest.mark.parametrize(
    ("error", "type_"),
    [
        (errors.StoreUnusable("/data/catalog.sqlite", "disk I/O error"), "/schema#not-ready"),
        (errors.StoreDamaged("/data/catalog.sqlite", "it is empty"), "/schema#internal-error"),
        (errors.StoreTooNew("/data/catalog.sqlite", 9, 2), "/schema#internal-error"),
    ],
)
def test_a_store_that_can_not_be_used_is_a_problem_that_names_no_file(
    error: Exception, type_: str
) -> None:
    problem = problems.body(error)

    assert problem.type == type_
    assert "/data" not in problem.detail
    assert "log of the server" in problem.detail


def test_no_problem_shows_internals() -> None:
    for failure in FAILURES.values():
        text = msgspec.json.encode(problems.body(failure)).decode()
        assert "sqlite" not in text
        assert "Traceback" not in text
