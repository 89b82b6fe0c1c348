"""Thousands of generated requests, valid and broken, alone and following links, by every caller."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.model.access import Role
from tests.api.generated_requests import SEED, bearer, generate, peers
from tests.api.serving import BASE, Server, export, nightly_run, serving, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORGANISATIONS = ("org-bufdir-42", "org-bufdir-58")
"""The first is the one that the document's examples name."""
SIZES = [
    pytest.param(5, 130, id="1000-cases"),
    pytest.param(150, 2_500, id="20000-cases", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]
"""The most examples of one operation in one phase, and the fewest cases of each of 8 callers."""
FEWEST_AT_ONCE = 100
"""The fewest cases of one seed, so that a run that generates none does not go on for ever."""
LIMITS: dict[str, Any] = {"ACCESS__WRITES_PER_MINUTE": 60, "RUNS__WAIT_SECONDS": 2}
"""Some writes are one too many, and some refreshes take longer than a request may wait."""
CALLERS = ("anonymous", "expired", *(role.value for role in Role))


def folder_of_exports(folder: Path) -> Path:
    data = folder / "data"
    for org_id in ORGANISATIONS:
        export(data, org_id, 3)
    nightly_run(data)
    return data


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without any token, where every caller may read and write."""
    data = folder_of_exports(tmp_path_factory.mktemp("open"))
    with serving(data, workers=2, **LIMITS) as server:
        yield server


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where reads need a token, too."""
    data = folder_of_exports(tmp_path_factory.mktemp("closed"))
    token(data, "first")
    with serving(data, workers=2, ACCESS__READS="token", **LIMITS) as server:
        yield server


def shown_by(server: Server, caller: str) -> str:
    """Make the token of a caller, and return the settings that show it."""
    if caller == "anonymous":
        return ""
    is_expired = caller == "expired"
    role = Role.ADMIN if is_expired else Role(caller)
    end = datetime.now(UTC) - timedelta(days=1) if is_expired else None
    return bearer(made(server, caller, can=role, end=end))


def made(server: Server, name: str, *organisations: str, **grant: Any) -> str:
    """Make a token, and return its text."""
    number = time.monotonic_ns()
    header = token(server.data, f"{name}-{number}", *organisations, **grant)["Authorization"]
    return header.removeprefix("Bearer ")


def check(server: Server, folder: Path, examples: int, fewest: int, *settings: str) -> None:
    """Generate requests, with one seed after the other, until there were enough."""
    cases = 0
    for seed in itertools.count(SEED):
        generated = generate(server, folder, seed, examples, *settings)
        generated.check()
        assert generated.cases >= FEWEST_AT_ONCE, generated.printed
        cases += generated.cases
        if cases >= fewest:
            break
    requests = server.events("request")
    assert len(requests) >= cases
    assert [request for request in requests if request["status"] >= 500] == []
    assert server.events("unhandled_exception") == []


@pytest.mark.parametrize(("examples", "fewest"), SIZES)
@pytest.mark.parametrize("caller", CALLERS)
def test_each_caller_gets_documented_replies_only(
    closed_server: Server, tmp_path: Path, caller: str, examples: int, fewest: int
) -> None:
    settings = shown_by(closed_server, caller)
    check(closed_server, tmp_path, examples, fewest, settings)


@pytest.mark.parametrize(("examples", "fewest"), SIZES)
def test_without_any_token_every_reply_is_documented(
    open_server: Server, tmp_path: Path, examples: int, fewest: int
) -> None:
    check(open_server, tmp_path, examples, fewest, "")


@pytest.mark.parametrize(("examples", "fewest"), SIZES)
def test_the_doubled_path_answers_as_documented(
    open_server: Server, tmp_path: Path, examples: int, fewest: int
) -> None:
    doubled = ("--url", f"{open_server.url}{BASE}", "--include-path-regex", f"^{BASE}")
    check(open_server, tmp_path, examples, fewest, "", *doubled)


@pytest.mark.parametrize(("examples", "fewest"), SIZES)
def test_no_token_reads_what_a_token_of_another_organisation_created(
    closed_server: Server, tmp_path: Path, examples: int, fewest: int
) -> None:
    tokens = {
        org_id: made(closed_server, org_id, org_id, can=Role.WRITE) for org_id in ORGANISATIONS
    }
    settings = peers(tmp_path, tokens)
    check(closed_server, tmp_path, examples, fewest, settings)
