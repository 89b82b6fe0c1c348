"""The harness: runs a scenario's command, cuts the power in it, and checks all that must hold."""

from __future__ import annotations

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import Pipe
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from api.jobs import endings
from tests.given import DataFolder
from tests.patience import PATIENCE_SECONDS
from tests.power_cuts import account, disk
from tests.power_cuts.zygote import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from tests.power_cuts.interference import Interference
    from tests.power_cuts.scenarios import Scenario
    from tests.power_cuts.tracer import Trace

REPOSITORY: Final = Path(__file__).parents[2]
_BROKEN: Final = {"mismatch", "corrupt", "catalog_mismatch", "newer"}
SEED: Final = os.environ.get("TEST_SEED") or str(Random().randrange(10**6))  # noqa: S311
"""What draws the moments of `make test`."""
SHARE: Final = int(os.environ.get("TEST_POWER_CUTS", "1"))
"""How many moments `make test` draws in each scenario."""
_VARIABLES: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    # A fork would lose the threads of allocators.
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
Views = Mapping[str, Any]


@dataclass
class Programs:
    """The processes of the program, forked from one that has loaded it."""

    connection: Connection
    output: Path

    def run(self, data: Path, *arguments: str, **options: Any) -> Trace:
        """Run a command over a data folder to its end."""
        variables = options.pop("variables", {})
        self.connection.send(Request(data, arguments, variables, self.output, **options))
        assert self.connection.poll(PATIENCE_SECONDS), f"{arguments} did not end"
        trace: Trace = self.connection.recv()
        return trace

    @property
    def out(self) -> str:
        """What the last command has printed."""
        return (self.output / "out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What the last command has printed on stderr."""
        return (self.output / "err").read_text(encoding="utf-8")

    def must(self, data: Path, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Run a command that must end with one of these codes, and return what it printed."""
        code = self.run(data, *arguments).code
        assert code in codes, f"{arguments} ended with {code}: {self.out}{self.err}"
        return self.out


@contextmanager
def programs(folder: Path) -> Iterator[Programs]:
    """Load the program in a process for as long as the block lasts."""
    ours, theirs = Pipe()
    # A killed process would leave torn files of what measures coverage.
    measured = ("COVERAGE_", "COV_", "BUFDIR_")
    ours_only = {name: one for name, one in os.environ.items() if not name.startswith(measured)}
    with (
        closing(ours),
        subprocess.Popen(
            [sys.executable, "-m", "tests.power_cuts.zygote", str(theirs.fileno())],
            cwd=REPOSITORY,
            env={**ours_only, **_VARIABLES},
            pass_fds=[theirs.fileno()],
        ) as process,
    ):
        theirs.close()
        assert ours.recv() == "ready"
        try:
            yield Programs(ours, folder)
        finally:
            process.kill()  # with all that it started, should one of them not end


@contextmanager
def noting(moment: str) -> Iterator[None]:
    """Add the moment of the power cut to a failure."""
    try:
        yield
    except AssertionError as error:
        error.add_note(moment)
        raise


def named(model: disk.Disk) -> Sequence[str]:
    """List the catalog, and the files of the versions that it names at this moment."""
    state = model.state()
    content = state["catalog.sqlite"]
    assert isinstance(content, bytes)
    with closing(sqlite3.connect(":memory:")) as catalog:
        catalog.deserialize(content)
        sql = "SELECT number, version FROM snapshots WHERE version > 0"
        current = [f"agg-{number:03}/v{version}.json" for number, version in catalog.execute(sql)]
    rejected = (f"quarantine/{name}l" for name in current)
    return [
        "catalog.sqlite",
        *(f"snapshots/{name}" for name in current),
        *(path for path in rejected if path in state),
    ]


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """A command that no power cut disturbed."""

    before: disk.Disk
    trace: Trace
    after: disk.State


class Experiment:
    """One scenario: its data folder before the command, and all that must hold after a power cut.

    Exports are outside of the data folder, so that all copies of it have the same files.
    """

    def __init__(self, scenario: Scenario, started: Programs, folder: Path) -> None:
        """Prepare the data folder."""
        self.scenario, self._programs, self._folder = scenario, started, folder
        prepared = folder / "prepared"
        (folder / "exports").mkdir(parents=True)
        prepared.mkdir()
        (prepared / "exports").symlink_to(folder / "exports")
        scenario.prepare(DataFolder(prepared))
        self._prepared = disk.read(prepared)
        self._data = folder / "data"

    def fresh(self, state: disk.State | None = None) -> Path:
        """Make a data folder as prepared, or in a given state."""
        shutil.rmtree(self._data, ignore_errors=True)
        disk.write(self._data, self._prepared if state is None else state)
        return self._data

    def execute(self, data: Path, interference: Interference | None = None) -> Trace:
        """Execute the command under the tracer, which may interfere."""
        found = self._programs.run(
            data,
            *self.scenario.command,
            variables=self.scenario.variables,
            is_traced=True,
            interference=interference,
        )
        allowed = _codes(interference, found.points)
        assert found.code in allowed, f"{found.code}: {self._programs.err}"
        return found

    @property
    def printed(self) -> str:
        """What the last command has printed on stderr."""
        return self._programs.err

    @property
    def undisturbed(self) -> Trace:
        """The command without a power cut, traced."""
        return self._undisturbed.trace

    def disk(self) -> disk.Disk:
        """Give a model of the disk before the command, for the changes of `undisturbed`."""
        return copy.deepcopy(self._undisturbed.before)

    @cached_property
    def _undisturbed(self) -> Undisturbed:
        """Execute the command to its end; the trace must account for every byte."""
        data = self.fresh()
        model = disk.Disk(data)
        before = copy.deepcopy(model)
        trace = self.execute(data)
        for change in trace.changes:
            model.change(change)
        after = disk.read(data)
        assert model.state() == after
        return Undisturbed(before, trace, after)

    @cached_property
    def views(self) -> Sequence[Views]:
        """All that reads show before the command, and after it."""
        after = self._undisturbed.after
        states = [after] if self.scenario.repair else [self._prepared, after]
        return [self._views(self.fresh(state)) for state in states]

    @cached_property
    def ends(self) -> Sequence[account.Account]:
        """The accounts after the next nightly run: with the command, and without it."""
        found = []
        for state in (self._undisturbed.after, self._prepared):
            data = self.fresh(state)
            if state is self._prepared:
                self._repair(data)
            self._next_nightly(data)
            self._verify(data)
            found.append(account.of(data))
        return found

    def check(self, data: Path, *, has_unfit_cache: bool = False) -> None:
        """Check all that must hold of a data folder after a power cut.

        Raises:
            AssertionError: It does not hold.
        """
        ends, views = self.ends, self.views
        if self.scenario.repair:
            self._repair(data)
        self._check_views(self._views(data), views)
        self._verify(data)
        self._next_nightly(data)
        found = account.of(data, has_unfit_cache=has_unfit_cache)
        assert found in ends, _difference(found, ends)

    def _repair(self, data: Path) -> None:
        for command in self.scenario.repair:
            self._programs.must(data, *command, codes=(0, 3))

    def _views(self, data: Path) -> Views:
        """Read everything as users do: the list, and each snapshot that has numbers."""
        listed = json.loads(self._programs.must(data, "list", "--json"))["data"]
        found = {}
        for entry in listed:
            shown = json.loads(self._programs.must(data, "show", entry["id"], "--json"))
            assert {name: shown[name] for name in entry if name in shown} == entry
            if shown["status"] == "completed":
                times = ("created_at", "refreshed_at", "id")
                cell = f"{entry['org_id']} {entry['reporting_period_id']}"
                found[cell] = {name: one for name, one in shown.items() if name not in times}
        return found

    def _check_views(self, found: Views, allowed: Sequence[Views]) -> None:
        """Check that each snapshot is wholly as before the command, or wholly as after it."""
        for cell in {*found, *(one for views in allowed for one in views)}:
            versions = [views.get(cell) for views in allowed]
            assert found.get(cell) in versions, f"{cell}: {found.get(cell)}, not one of {versions}"

    def _verify(self, data: Path) -> None:
        printed = self._programs.must(data, "verify", "--json", codes=(0, 3))
        verdicts = {one["verdict"] for one in json.loads(printed)["result"]["snapshots"]}
        assert not verdicts & _BROKEN, printed
        self._programs.must(data, "audit", "--verify")

    def _next_nightly(self, data: Path) -> None:
        self._programs.must(data, "nightly", codes=(0, 3))


def _codes(interference: Interference | None, points: int) -> tuple[int, ...]:
    """Give the exit codes with which a command may end."""
    if interference is None:
        return 0, 3
    return (
        (-9,)
        if interference.kills(min(points, interference.at))
        else (0, 1, 3, endings.EXIT_STORE_UNUSABLE)
    )


def _difference(found: account.Account, ends: Sequence[account.Account]) -> str:
    """Name what differs from each of the ends."""
    names = [
        [
            f"{name}: {found.get(name)} / {end.get(name)}"
            for name in {*found, *end}
            if found.get(name) != end.get(name)
        ]
        for end in ends
    ]
    return "\n\n".join("\n".join(of) for of in names)
