"""The duration of commands that compute nothing."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks import measure
from benchmarks.measure import BUFDIR
from benchmarks.nightly_runs import Sample, nightly_run

if TYPE_CHECKING:
    from benchmarks.measure import Cost
    from benchmarks.nightly_runs import Bench

_EMPTY: Final = """
import typer
app = typer.Typer()
@app.command()
def main() -> None: ...
app()
"""
_SMALL: Final = Sample(2_000, organisations=3, files=2)
_ROUNDS: Final = 11


def compare(bench: Bench) -> dict[str, Cost]:
    """Measure an empty Typer program, and commands of ours."""
    data = bench.data(_SMALL)
    nightly_run(data)
    ways = {
        "an empty Typer program": [sys.executable, "-c", _EMPTY],
        "bufdir --help": [*BUFDIR, "--help"],
        "bufdir list": [*BUFDIR, "list", "--data", str(data)],
    }
    return measure.in_turn(
        {name: partial(measure.run, command) for name, command in ways.items()},
        _ROUNDS,
        lambda _: None,
    )
