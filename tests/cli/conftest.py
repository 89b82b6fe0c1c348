"""The real program as a process, over small exports."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pytest

from tests.given import SUMMER, export, people, row
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REPOSITORY: Final = Path(__file__).parents[2]
TWO_QUARTERS: Final = (*people(2), row(activity_id="a2", started_at=SUMMER))
"""Rows of one organisation in the third and in the fourth quarter of 2024."""
PLANTED: Final = """
import sys
import cli
from pipeline.runs import nightly, lifecycle

def run(work, *, full):
    raise {error}

nightly.run = run
sys.argv = ["bufdir", "--data", *sys.argv[1:], "nightly"]
cli.main()
"""
"""Our program, made to crash."""
PROGRAM: Final = (sys.executable, "-m", "cli")
_DECIDING: Final = ("BUFDIR_", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "COLUMNS")


def environment(**variables: str) -> dict[str, str]:
    """Return our environment, without variables that change the program's behaviour."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_DECIDING)}
    return {**ours, "TERM": "xterm", **variables}


@dataclass(frozen=True)
class Finished:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def body(self) -> Any:
        """The JSON that was printed."""
        return json.loads(self.out)

    @property
    def result(self) -> Any:
        """The result in the envelope that was printed."""
        envelope = self.body
        assert list(envelope) == ["command", "exit_code", "result", "diagnostics", "error"]
        assert (envelope["exit_code"], envelope["error"]) == (self.code, None)
        return envelope["result"]


@dataclass(frozen=True)
class Bufdir:
    """The command line over one data folder."""

    data: Path

    def __call__(self, *arguments: str | Path, **variables: str) -> Finished:
        return _end(self._begin(arguments, variables))

    def into(
        self,
        out: int | IO[Any],
        *arguments: str | Path,
        err: int | IO[Any] = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
        **variables: str,
    ) -> Finished:
        """Run a command with other files for its input and output."""
        return _end(self._begin(arguments, variables, out, err, stdin))

    def begin(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command without waiting for its end."""
        return self._begin(arguments, {})

    def _begin(
        self,
        arguments: Iterable[str | Path],
        variables: Mapping[str, str],
        out: int | IO[Any] = subprocess.PIPE,
        err: int | IO[Any] = subprocess.PIPE,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*PROGRAM, "--data", self.data, *arguments],
            cwd=REPOSITORY,
            env=environment(**variables),
            stdin=stdin,
            stdout=out,
            stderr=err,
            text=True,
        )


def _end(process: subprocess.Popen[str]) -> Finished:
    with process:
        printed, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Finished(process.returncode, printed or "", err or "")


def bare(*arguments: str, cwd: Path = REPOSITORY, **variables: str) -> Finished:
    """Run the command line without naming a data folder."""
    ended = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(REPOSITORY), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr)


def python(code: str, *arguments: str | Path, **variables: str) -> Finished:
    """Run Python code that imports this program."""
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def terminal(columns: int, typed: str = "") -> Iterator[tuple[int, list[str]]]:
    """Open a terminal for programs, and collect its output until the end of the block.

    With `typed`, a person has already typed that.
    """
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown: list[str] = []
    reader = threading.Thread(target=_read, args=(ours, shown))
    reader.start()
    try:
        yield theirs, shown
    finally:
        os.close(theirs)
        reader.join(timeout=PATIENCE_SECONDS)
        os.close(ours)


def _read(descriptor: int, shown: list[str]) -> None:
    """Read until the last program has closed it; a full terminal would stop its programs."""
    content = b""
    with suppress(OSError):
        while piece := os.read(descriptor, 65_536):
            content += piece
    shown.append(content.decode().replace("\r\n", "\n"))


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
