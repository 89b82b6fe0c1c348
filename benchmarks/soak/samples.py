"""Samples of the server's processes and of the data folder, and the rule by which they are judged.

Each number's mean of the second quarter is compared with that of the last: the first quarter is for
what fills once, such as caches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

MEGABYTE: Final = 10**6
MEMORY_SHARE, MEMORY_MORE = 0.05, 4 * MEGABYTE
"""What memory may grow by: a twentieth, and four megabytes."""
COUNT_MORE: Final = 2
"""What every count may grow by."""
_PROC: Final = Path("/proc")
_KIBIBYTE: Final = 1024
_MEMORY: Final = {"VmRSS": "resident memory", "RssAnon": "anonymous memory"}

Sample = Mapping[str, float]
"""Numbers by the name of what was measured."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A number in the second and in the last quarter."""

    name: str
    before: float
    after: float
    most: float
    """The most that it may be in the last quarter."""

    @property
    def is_due(self) -> bool:
        """Whether it did not grow beyond what is due."""
        return self.after <= self.most


def compare(samples: Sequence[Sample]) -> list[Compared]:
    """Compare the second quarter of the samples with the last, by every name.

    Raises:
        ValueError: There are fewer than four samples.
    """
    quarter = len(samples) // 4
    if not quarter:
        raise ValueError("a soak needs four samples at least; let it take longer")
    second, last = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for name in samples[-1]:
        before, after = (mean(one.get(name, 0) for one in part) for part in (second, last))
        most = before + COUNT_MORE
        if name.endswith("memory"):
            most = before * (1 + MEMORY_SHARE) + MEMORY_MORE
        found.append(Compared(name, before, after, most))
    return found


def of_processes(named: Mapping[str, int]) -> dict[str, float]:
    """Measure processes: memory in bytes, and counts.

    Args:
        named: Their numbers by name. One that has ended gives no numbers.
    """
    found: dict[str, float] = {}
    parents = _parents()
    for name, number in named.items():
        with suppress(OSError):
            folder = _PROC / str(number)
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text("utf-8").splitlines()
            )
            for field, meaning in _MEMORY.items():
                found[f"{name}, {meaning}"] = int(status[field].split()[0]) * _KIBIBYTE
            found[f"{name}, threads"] = int(status["Threads"])
            found[f"{name}, descriptors"] = sum(1 for _ in (folder / "fd").iterdir())
            found[f"{name}, children"] = sum(one == number for one in parents.values())
    return found


def children_of(number: int) -> list[int]:
    """List the processes that a process has started and that have not ended, in order."""
    return sorted(child for child, parent in _parents().items() if parent == number)


def _parents() -> dict[int, int]:
    """Give the parent of each process."""
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                state, parent = (folder / "stat").read_text("utf-8").rpartition(")")[2].split()[:2]
                if state not in {"Z", "X"}:
                    found[int(folder.name)] = int(parent)
    return found


def of_folder(data: Path) -> dict[str, float]:
    """Count what must not become more in a data folder: temporary files, locks, cached files."""
    names = [
        (Path(folder).relative_to(data).parts[:1], name)
        for folder, _, files in os.walk(data)
        for name in files
    ]
    return {
        "temporary files": sum(name.startswith(".tmp-") for _, name in names),
        "locks": sum(part == (".locks",) for part, _ in names),
        "files of the cache": sum(part == ("cache",) for part, _ in names),
    }


def size(data: Path) -> tuple[int, int]:
    """Count the files of a data folder without its exports, and their bytes."""
    count, total = 0, 0
    for folder, _, files in os.walk(data):
        if Path(folder).relative_to(data).parts[:1] != ("exports",):
            for name in files:
                with suppress(OSError):
                    total += (Path(folder) / name).stat().st_size
                    count += 1
    return count, total
