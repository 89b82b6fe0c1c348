"""The section about Spark in the results of the benchmarks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import report
from benchmarks.processes import DAEMONS, DRIVER, EXECUTOR, OURS, Usage
from benchmarks.spark_cluster import DRIVER_MEMORY, EXECUTOR_MEMORY, PARTITIONS

POLARS: Final = "Polars"
FIRST: Final = "first run"
NEXT: Final = "next run"
_WRITTEN: Final = "Written on {day} by `{command}`, apart from the rest of this page."
_HOW: Final = """A nightly run into an empty data folder is measured from its start to its end, and
everything in turn. Processor seconds and memory are those of all processes that work for it: ours,
Spark's driver, the executors, the master and the workers. All publish the same numbers and
digests, which is checked in every run."""
_CLUSTER: Final = """Heaps: {executor} for an executor, {driver} for the driver of a cluster and
{local} for `local[2]`, each with {partitions} shuffle partitions. An executor has one core, and
all programs share the cores of this machine. The Connect server and its executors run before the
first run starts. The next run follows on the same server, into another empty data folder."""
_CELLS: Final = """Exports with {cells:,} organisations × quarters and {rows:,} rows, surveyed and
counted on Spark Connect with two executors, without publishing."""


class Measured(msgspec.Struct, frozen=True):
    """The costs over exports of one size, by the way that they were counted; medians."""

    rows: int
    megabytes: float
    snapshots: int
    rounds: int
    day: str
    usages: Mapping[str, Usage]


class Cells(msgspec.Struct, frozen=True):
    """The cost of many cells."""

    cells: int
    rows: int
    day: str
    usage: Usage


class Results(msgspec.Struct, frozen=True):
    """All that was measured."""

    command: str
    day: str
    versions: str
    local_memory: str
    sizes: Mapping[int, Measured] = {}
    cells: Cells | None = None


def cluster_name(executors: int, run: str) -> str:
    """Name a way to count on a cluster."""
    return f"Spark Connect, {executors} executor{'s' if executors > 1 else ''}, {run}"


def versions(client: Path) -> str:
    """Name the versions of Spark, of the client and of Java."""
    code = "from importlib.metadata import version; print(version('pyspark-client'))"
    of_client = subprocess.run(
        [client, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else "java"
    shown = subprocess.run([java, "-version"], check=True, capture_output=True, text=True).stderr
    found = re.search(r'"([^"]+)"', shown)
    of_java = found[1] if found else "unknown"
    return f"Spark {version('pyspark')}, pyspark-client {of_client}, Java {of_java}"


def markdown(results: Results) -> str:
    """Write the section, in Markdown."""
    lines = [
        "## Spark",
        "",
        _WRITTEN.format(day=results.day, command=results.command),
        "",
        _HOW,
        "",
        f"{report.machine()}. {results.versions}, polars {version('polars')}.",
        "",
        _CLUSTER.format(
            executor=EXECUTOR_MEMORY,
            driver=DRIVER_MEMORY,
            local=results.local_memory,
            partitions=PARTITIONS,
        ),
    ]
    sizes = [measured for _, measured in sorted(results.sizes.items())]
    for measured in sizes:
        lines += _of_size(measured)
    if sizes:
        lines += _of_executors(sizes)
    if results.cells is not None:
        lines += _of_cells(results.cells)
    return "\n".join(lines) + "\n"


def _of_size(measured: Measured) -> Iterator[str]:
    polars = measured.usages[POLARS].seconds
    rounds = "one round" if measured.rounds == 1 else f"medians of {measured.rounds} rounds"
    yield from ("", f"### {measured.rows:,} rows, {measured.snapshots:,} snapshots", "")
    yield f"{measured.megabytes:,.0f} MB, {rounds}, {measured.day}."
    yield ""
    headings = (
        "",
        "seconds",
        "of Polars",
        "processor seconds",
        *(f"{name}, GB" for name in (OURS, DRIVER, "executors", DAEMONS)),
    )
    rows = (
        (
            name,
            f"{usage.seconds:.1f}",
            f"{usage.seconds / polars:.2f} ×",
            f"{usage.processor_seconds:.1f}",
            *(_gigabytes(usage, part) for part in (OURS, DRIVER, EXECUTOR, DAEMONS)),
        )
        for name, usage in measured.usages.items()
    )
    yield from report.table(headings, rows)


def _gigabytes(usage: Usage, part: str) -> str:
    """Show the most memory of each process of this part."""
    return " + ".join(
        f"{most:.2f}" for name, most in usage.gigabytes.items() if name.startswith(part)
    )


def _of_executors(sizes: Sequence[Measured]) -> Iterator[str]:
    yield from ("", "### Two executors, compared with one", "")
    rows = (
        (f"{measured.rows:,}", *(ratio(measured, run) for run in (FIRST, NEXT)))
        for measured in sizes
    )
    yield from report.table(("rows", FIRST, NEXT), rows)


def ratio(measured: Measured, run: str) -> str:
    """Show how much of the time of one executor two executors need."""
    one, two = (measured.usages[cluster_name(number, run)].seconds for number in (1, 2))
    return f"{two / one:.2f} ×"


def _of_cells(found: Cells) -> Iterator[str]:
    yield from ("", "### Many cells", "")
    yield _CELLS.format(cells=found.cells, rows=found.rows)
    yield ""
    usage = found.usage
    row = (
        f"{found.cells:,}",
        f"{usage.seconds:.1f}",
        f"{usage.processor_seconds:.1f}",
        *(_gigabytes(usage, part) for part in (OURS, DRIVER, EXECUTOR)),
    )
    headings = ("cells", "seconds", "processor seconds")
    parts = tuple(f"{name}, GB" for name in (OURS, DRIVER, "executors"))
    yield from report.table((*headings, *parts), [row])
