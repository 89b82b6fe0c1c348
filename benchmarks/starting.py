"""How long it takes until a command that computes nothing has ended."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks import measure
from benchmarks.measure import BUFDIR
from benchmarks.nights import Sample, night

if TYPE_CHECKING:
    from benchmarks.measure import Cost
    from benchmarks.nights import Bench

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
    """An empty Typer program, and ours."""
    data = bench.data(_SMALL)
    night(data)
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
