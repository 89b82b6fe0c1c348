"""Whole processes: how long each takes, and how much memory it has at most."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Self

BUFDIR: Final = (str(Path(sys.executable).with_name("bufdir")),)
_TIME: Final = ("/usr/bin/time", "--format", "%M", "--output")
_KEEPS_NOTHING: Final = "PYTHONDONTWRITEBYTECODE"
_KIBIBYTE: Final = 1024
_GIGABYTE: Final = 10**9


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost, or the middle of several."""

    seconds: float
    gigabytes: float

    @classmethod
    def middle(cls, costs: Sequence[Cost]) -> Self:
        """The medians, each for itself."""
        return cls(median(one.seconds for one in costs), median(one.gigabytes for one in costs))


def run(command: Sequence[str]) -> Cost:
    """Run a program to its end, its output thrown away.

    GNU time stands between, for a process that we began ourselves would be charged with all the
    memory that we have. What Python compiles is kept, as it is where programs are installed.

    Raises:
        RuntimeError: It failed.
    """
    kept = {name: value for name, value in os.environ.items() if name != _KEEPS_NOTHING}
    with tempfile.NamedTemporaryFile("r") as memory:
        timed = [*_TIME, memory.name, *command]
        started = time.perf_counter()
        process = subprocess.run(
            timed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=kept,
            check=False,
        )
        seconds = time.perf_counter() - started
        if process.returncode:
            msg = f"{' '.join(command)} ended with {process.returncode}: {process.stderr}"
            raise RuntimeError(msg)
        return Cost(seconds, int(memory.read()) * _KIBIBYTE / _GIGABYTE)


def in_turn(
    ways: Mapping[str, Callable[[], Cost]], rounds: int, tell: Callable[[str], None]
) -> dict[str, Cost]:
    """Each way once a round, so that a noisy minute is everybody's; the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            cost = way()
            costs[name].append(cost)
            tell(f"round {number + 1}: {name}: {cost.seconds:.2f} s, {cost.gigabytes:.2f} GB")
    return {name: Cost.middle(found) for name, found in costs.items()}
