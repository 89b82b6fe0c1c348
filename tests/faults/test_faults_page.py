"""The page about faults agrees with the program: each is made, and a command or request follows."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.model.states import Verdict
from pipeline.runs import verify
from tests.api.serving import BASE, serving
from tests.cli.conftest import PROGRAM, REPOSITORY, environment
from tests.faults.disturbed import BY_NAME, Place, disk
from tests.given import CELL, DataFolder, people
from tests.patience import PATIENCE_SECONDS
from tests.power_cuts import account

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.no_cover

PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
COMMANDS: Final = {
    "bufdir nightly": ("nightly",),
    "bufdir run": ("run", "--period", "rp-2024-q4", "--org", "org-1"),
    "bufdir list": ("list",),
    "bufdir show": ("show", "agg-001"),
}
REQUESTS: Final = {
    "GET /": ("GET", ""),
    "GET /{id}": ("GET", "/agg-001"),
    "PUT /{id}": ("PUT", "/agg-001"),
    "POST /": ("POST", ""),
    "DELETE /{id}": ("DELETE", "/agg-001"),
    "GET /readyz": ("GET", "/readyz"),
}
ROWS: Final = people(3)
LATER: Final = people(2, activity_id="later")
SLOW: Final = {("Another process has the catalog locked.", "bufdir nightly")}
"""The lines whose command waits for a minute."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tables of the page."""

    fault: str
    use: str
    end: str
    printed: str
    remark: str

    @property
    def pieces(self) -> Sequence[str]:
        return re.findall(r"`([^`]+)`", self.printed)


def lines() -> dict[tuple[str, str], Line]:
    cells = [
        [cell.strip() for cell in line.strip("|\n").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    found = [Line(*of) for of in cells if of[0] not in ("fault", "---")]
    return {(line.fault, line.use.strip("`")): line for line in found}


LINES: Final = lines()


def parameters(uses: Sequence[str]) -> Sequence[object]:
    return [
        pytest.param(*key, marks=[pytest.mark.long] if key in SLOW else [])
        for key in LINES
        if key[1] in uses
    ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A data folder on a disk of its own: one snapshot, and an export that was not counted yet."""
    with disk(tmp_path / "disk") as mounted:
        folder = DataFolder(mounted / "data")
        folder.export(ROWS)
        folder.nightly()
        folder.export(LATER, "b.parquet")
        yield Place(folder.data)


@contextmanager
def repaired(place: Place) -> Iterator[None]:
    """See that the next nightly run repairs everything, once the fault is over."""
    yield
    folder = DataFolder(place.data)
    result = folder.nightly()
    assert (result.refused, result.blocked) == ({}, [])
    assert folder.published()[CELL].total["participations"] == len(ROWS) + len(LATER)
    with folder.context() as context:
        verdicts = {one.verdict for one in verify.verify(context).snapshots}
    assert verdicts == {Verdict.MATCH}
    account.of(place.data)


WITHOUT_COVERAGE: Final = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
"""A disturbed process could not write its coverage."""


@pytest.mark.parametrize(("fault", "use"), parameters([*COMMANDS]))
def test_the_page_has_how_a_command_ends_in_each_fault(fault: str, use: str, place: Place) -> None:
    line = LINES[fault, use]
    with repaired(place):
        with BY_NAME[fault](place) as prefix:
            ended = subprocess.run(
                [*prefix, *PROGRAM, "--data", place.data, *COMMANDS[use]],
                cwd=REPOSITORY,
                env={**environment(), **WITHOUT_COVERAGE},
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_SECONDS,
            )
        printed = ended.stderr.splitlines()
        assert (line.end, len(line.pieces)) == (str(ended.returncode), len(printed)), printed
        assert [
            piece for piece, of in zip(line.pieces, printed, strict=True) if piece not in of
        ] == []


@pytest.mark.parametrize(("fault", "use"), parameters([*REQUESTS]))
def test_the_page_has_the_reply_to_a_request_in_each_fault(
    fault: str, use: str, place: Place
) -> None:
    line = LINES[fault, use]
    method, path = REQUESTS[use]
    body = {"org_id": "org-1", "reporting_period_id": "rp-2024"} if method == "POST" else None
    url = path if path == "/readyz" else f"{BASE}{path}"
    with (
        repaired(place),
        serving(place.data) as server,
        server.client() as client,
    ):
        disturbed = Place(place.data, server.workers())
        with BY_NAME[fault](disturbed):
            reply = client.request(method, url, json=body)
        detail = reply.json().get("detail", "")
        assert line.end == str(reply.status_code), detail
        assert bool(line.pieces) == bool(detail), detail
        assert all(piece in detail for piece in line.pieces), detail
        assert str(place.data) not in reply.text
        assert client.get(BASE).status_code == 200


def test_every_fault_is_on_the_page_and_every_line_has_a_test() -> None:
    assert {fault for fault, _ in LINES} == set(BY_NAME)
    assert {use for _, use in LINES} <= {*COMMANDS, *REQUESTS}
    assert all(line.remark for line in LINES.values())
