"""The real program as a process, over small exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pytest

from tests.pipeline.given import SUMMER, export, people, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPOSITORY: Final = Path(__file__).parents[2]
TWO_QUARTERS: Final = (*people(2), row(activity_id="a2", started_at=SUMMER))
"""Rows of one organisation that lie in the third and in the fourth quarter of 2024."""
PROGRAM: Final = (sys.executable, "-m", "cli")
_DECIDING: Final = ("BUFDIR_", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS")


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what would decide how the program works or looks."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_DECIDING)}
    return {**ours, "TERM": "xterm", **variables}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> Any:
        """What was printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Bufdir:
    """The command line over one data folder."""

    data: Path

    def __call__(self, *arguments: str | Path, **variables: str) -> Ended:
        return _end(self._begin(arguments, variables))

    def into(
        self,
        out: int | IO[Any],
        *arguments: str | Path,
        err: int | IO[Any] = subprocess.PIPE,
        **variables: str,
    ) -> Ended:
        """The command at its end, with other places for what it prints."""
        return _end(self._begin(arguments, variables, out, err))

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """The command as it begins."""
        return self._begin(arguments, {})

    def _begin(
        self,
        arguments: Iterable[str | Path],
        variables: Mapping[str, str],
        out: int | IO[Any] = subprocess.PIPE,
        err: int | IO[Any] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, "--data", self.data, *arguments],
            cwd=REPOSITORY,
            env=environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
        )


def _end(process: subprocess.Popen[str]) -> Ended:
    with process:
        printed, said = process.communicate(timeout=60)
    return Ended(process.returncode, printed or "", said or "")


def python(code: str, *arguments: str | Path, **variables: str) -> Ended:
    """A program of our own that has ours in it."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def change(path: Path, **said: object) -> Mapping[str, Any]:
    """Put other values into a JSON file."""
    content: dict[str, Any] = {**json.loads(path.read_text()), **said}
    path.write_text(json.dumps(content))
    return content


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "exports").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def bufdir(data: Path) -> Bufdir:
    return Bufdir(data)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Bufdir:
    """Three snapshots, for tests that only look; every row of org-1 is exported twice."""
    data = tmp_path_factory.mktemp("computed") / "data"
    old_people = people(2, activity_id="a2", bufdir_category="eldre", hours=0.25)
    summer = row(activity_id="a3", started_at=SUMMER)
    export(data, [*people(3), *old_people, summer], "a.parquet")
    export(data, [*people(3), *old_people, summer], "b.parquet")
    export(data, [*people(2, org_id="org-2"), row(org_id="org-2", hours=None)], "c.parquet")
    bufdir = Bufdir(data)
    assert bufdir("nightly").code == 0
    return bufdir
