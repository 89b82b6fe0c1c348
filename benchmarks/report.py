"""The results of the benchmarks, as a page and as a picture."""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks import conversions, peers
from benchmarks.measure import Cost
from benchmarks.reads import Compared

OURS: Final = "bufdir"
IMPORT: Final = "import polars"
NOTHING: Final = "nothing"
_OURS, _OTHER, _MEMORY = "#00654e", "#b0b7b4", "#a85a00"
_PACKAGES: Final = ("polars", "duckdb", "chdb", "pyarrow", "litestar", "granian", "typer")
_GIGABYTE: Final = 10**9
_HOW: Final = """Written by `make bench`; the machines are shared, so look at the ratios. Medians of
{rounds} rounds, everything that is compared in turn; a process is measured from its start to its
end, with the most memory that it had."""
_SAMPLE: Final = """The sample: {rows:,} rows in 25 files, {megabytes:,.0f} MB, 500 organisations,
8 quarters, one row in a hundred a correction and one dirt."""
_COLD: Final = """Nightly runs check, quarantine, explain and publish thousands of snapshots; the
others only count. All give the same numbers, which is checked in every run."""
_NOTHING: Final = """With nothing changed a nightly run takes {times:.2f} × what
`python -c 'import polars'` takes."""
_READS: Final = """One worker, 16 connections, 100,000 snapshots; lists are filtered by status and
sorted by participations. The constant is a dict that a bare Litestar handler returns from the same
kind of worker, measured directly before each; the ratio is the median of these pairs' ratios."""
_CONVERSION: Final = """In one process, without what it loads. Polars reads UTF-8, guesses types and
writes Parquet. The conversion reads dates and numbers by declared types, compares each row with the
header, and gives pages checksums."""
_MILLION: Final = 10**6


class Results(msgspec.Struct, frozen=True):
    """The results of all benchmarks; seconds and gigabytes are medians."""

    rounds: int
    rows: int
    sample_bytes: int
    cold: Mapping[str, Cost]
    changed: Mapping[str, Cost]
    shares: Mapping[int, Cost]
    """The cost of a nightly run by the number of files that had changed."""
    sizes: Mapping[int, Cost]
    """The cost of a first nightly run by the number of rows."""
    shapes: Mapping[str, Cost]
    publishing: float
    starting: Mapping[str, Cost]
    reads: Mapping[str, Compared]
    conversions: Mapping[str, Mapping[str, float]] = msgspec.field(default_factory=dict)
    """The seconds of reading and writing a CSV file, by its shape and the way."""


def markdown(results: Results) -> str:
    """Write the page, in Markdown."""
    cold, changed = results.cold[OURS], results.changed
    peers = [cost for name, cost in results.cold.items() if name != OURS]
    fastest = min(peers, key=lambda cost: cost.seconds)
    imported = changed[IMPORT]
    empty = results.starting["an empty Typer program"].seconds
    parts = [
        "# What it costs",
        "",
        _HOW.format(rounds=results.rounds),
        "",
        f"{machine()}. {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}.",
        "",
        _SAMPLE.format(rows=results.rows, megabytes=results.sample_bytes / _MILLION),
        "",
        "## A first nightly run, compared with plain queries",
        "",
        _COLD,
        "",
        *table(
            ("", "seconds", "of the fastest peer", "GB", "of its memory"),
            (
                (name, *_costs(cost, fastest.seconds), *_memory(cost, fastest.gigabytes))
                for name, cost in results.cold.items()
            ),
        ),
        "",
        "## Nightly runs after a first one",
        "",
        *table(
            ("what had changed", "seconds", "of a first run", "GB"),
            (
                (name, *_costs(cost, cold.seconds), f"{cost.gigabytes:.2f}")
                for name, cost in changed.items()
            ),
        ),
        "",
        _NOTHING.format(times=changed[NOTHING].seconds / imported.seconds),
        "",
        "## A thousand rows gone from each of so many of the 25 files",
        "",
        *table(
            ("files", "seconds", "of a first run", "GB"),
            (
                (str(files), *_costs(cost, cold.seconds), f"{cost.gigabytes:.2f}")
                for files, cost in results.shares.items()
            ),
        ),
        "",
        "## First nightly runs over samples of other sizes and shapes",
        "",
        *table(
            ("rows", "seconds", "seconds a million rows", "GB"),
            (
                (
                    f"{rows:,}",
                    f"{cost.seconds:.2f}",
                    f"{cost.seconds / rows * _MILLION:.2f}",
                    f"{cost.gigabytes:.2f}",
                )
                for rows, cost in results.sizes.items()
            ),
        ),
        "",
        *table(
            (f"{results.rows:,} rows in", "seconds", "GB"),
            (
                (name, f"{cost.seconds:.2f}", f"{cost.gigabytes:.2f}")
                for name, cost in results.shapes.items()
            ),
        ),
        "",
        "## Conversion of CSV",
        "",
        _CONVERSION,
        "",
        *table(
            ("1,000,000 rows with", "", "seconds", "of Polars"),
            (
                (shape, way, f"{seconds:.2f}", f"{seconds / ways[conversions.POLARS]:.2f} ×")
                for shape, ways in results.conversions.items()
                for way, seconds in ways.items()
            ),
        ),
        "",
        "## Publishing and starting",
        "",
        f"Publishing 10,000 snapshots, flushed to disk: {results.publishing:.2f} s.",
        "",
        *table(
            ("", "seconds", "of an empty program"),
            (
                (name, f"{cost.seconds:.3f}", f"{cost.seconds / empty:.2f} ×")
                for name, cost in results.starting.items()
            ),
        ),
        "",
        "## Reads",
        "",
        _READS,
        "",
        *table(
            ("", "a second", "the constant", "of it", "median, ms", "p99, ms", "p99 / median"),
            (
                (
                    name,
                    f"{found.read.per_second:,.0f}",
                    f"{found.constant.per_second:,.0f}",
                    f"{found.ratio:.2f} ×",
                    f"{found.read.median_ms:.2f}",
                    f"{found.read.p99_ms:.2f}",
                    f"{found.read.p99_ms / found.read.median_ms:.1f}",
                )
                for name, found in results.reads.items()
            ),
        ),
    ]
    return "\n".join(parts) + "\n"


def _costs(cost: Cost, other_seconds: float) -> tuple[str, str]:
    return f"{cost.seconds:.2f}", f"{cost.seconds / other_seconds:.2f} ×"


def _memory(cost: Cost, other_gigabytes: float) -> tuple[str, str]:
    return f"{cost.gigabytes:.2f}", f"{cost.gigabytes / other_gigabytes:.2f} ×"


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Write the lines of a table; numbers are in all columns but the first."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def machine() -> str:
    """Describe this computer, and the Python that runs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
    models = (
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    model = next(models, platform.machine())
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Python {platform.python_version()}"


def picture(results: Results) -> str:
    """Draw four figures: first runs and peers, kinds of changes, sizes, numbers of changes."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": OURS, "axes.titlesize": 11})
    from matplotlib import pyplot as plt

    figure, ((first, later), (sizes, shares)) = plt.subplots(2, 2, figsize=(11, 7))
    figure.set_layout_engine("constrained", wspace=0.05, hspace=0.08)
    million = f"{results.rows / _MILLION:g} million rows"
    _bars(first, f"A first nightly run over {million}, seconds", results.cold)
    changed = {name: cost for name, cost in results.changed.items() if name != IMPORT}
    everything = {"everything": results.cold[OURS], **changed}
    _bars(later, "A nightly run after this changed, seconds", everything)
    rows = [number / _MILLION for number in results.sizes]
    sizes.set_title("A first nightly run: millions of rows", loc="left")
    _line(sizes, rows, [cost.seconds for cost in results.sizes.values()], "seconds", _OURS)
    gigabytes = [cost.gigabytes for cost in results.sizes.values()]
    _line(sizes.twinx(), rows, gigabytes, "GB", _MEMORY)
    shares.set_title("A nightly run: files of 25 that changed", loc="left")
    files = [0, *results.shares]
    costs = [results.changed[NOTHING], *results.shares.values()]
    _line(shares, files, [cost.seconds for cost in costs], "seconds", _OURS)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def _bars(axes: Any, title: str, costs: Mapping[str, Cost]) -> None:  # noqa: ANN401 (no types)
    names = list(costs)[::-1]
    colours = [_OTHER if name in peers.ENGINES else _OURS for name in names]
    bars = axes.barh(names, [costs[name].seconds for name in names], color=colours)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.margins(x=0.12)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _line(
    axes: Any,  # noqa: ANN401 (no types)
    over: Sequence[float],
    values: Sequence[float],
    unit: str,
    colour: str,
) -> None:
    axes.plot(over, values, "o-", color=colour)
    axes.set_ylabel(unit, color=colour)
    axes.set_ylim(0, max(values) * 1.15)
    axes.set_xlim(left=0)
    axes.spines[["top"]].set_visible(False)
