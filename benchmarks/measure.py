"""Measurements of whole processes: the duration and the most memory of each."""

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

_SCRIPT: Final = Path(sys.executable).with_name("bufdir")
BUFDIR: Final = (str(_SCRIPT),) if _SCRIPT.exists() else (sys.executable, "-m", "cli")
"""Our command line; an environment for Spark has no script for it."""
_TIME: Final = ("/usr/bin/time", "--format", "%M", "--output")
_WRITES_NO_BYTECODE: Final = "PYTHONDONTWRITEBYTECODE"
_KIBIBYTE: Final = 1024
_GIGABYTE: Final = 10**9


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one process, or the medians of several."""

    seconds: float
    gigabytes: float

    @classmethod
    def medians(cls, costs: Sequence[Cost]) -> Self:
        """Return the medians, each field by itself."""
        return cls(median(one.seconds for one in costs), median(one.gigabytes for one in costs))


def run(command: Sequence[str]) -> Cost:
    """Run a program to its end, its output thrown away.

    GNU time starts it: the system would count our own memory as that of a child process. Python may
    write its compiled files, as it does where programs are installed.

    Raises:
        RuntimeError: The program failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != _WRITES_NO_BYTECODE}
    with tempfile.NamedTemporaryFile("r") as memory:
        timed = [*_TIME, memory.name, *command]
        started = time.perf_counter()
        process = subprocess.run(
            timed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
        seconds = time.perf_counter() - started
        if process.returncode:
            msg = f"{' '.join(command)} ended with {process.returncode}: {process.stderr}"
            raise RuntimeError(msg)
        return Cost(seconds, int(memory.read()) * _KIBIBYTE / _GIGABYTE)


def in_turn(
    ways: Mapping[str, Callable[[], Cost]], rounds: int, report: Callable[[str], None]
) -> dict[str, Cost]:
    """Measure each way once a round, so that a noisy minute affects all; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            cost = way()
            costs[name].append(cost)
            report(f"round {number + 1}: {name}: {cost.seconds:.2f} s, {cost.gigabytes:.2f} GB")
    return {name: Cost.medians(found) for name, found in costs.items()}
