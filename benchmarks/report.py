"""What was measured, as a page and as a picture."""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.measure import Cost
from benchmarks.reads import Load

OURS: Final = "bufdir"
CONSTANT: Final = "constant dict"
_PACKAGES: Final = ("polars", "duckdb", "chdb", "pyarrow", "litestar", "granian", "typer")
_GIGABYTE: Final = 10**9
_HOW: Final = """Written by `make bench`; the machines are shared, so look at the ratios. Medians of
{rounds} rounds, everything that is compared in turn; a process is measured from its start to its
end, with the most memory that it had."""
_SAMPLE: Final = """The sample: {rows:,} rows in 25 files, {megabytes:,.0f} MB, 500 organisations,
8 quarters, one row in a hundred a correction and one dirt."""
_COLD: Final = """The night checks, quarantines, explains and publishes thousands of snapshots; the
others only count. All give the same numbers, which is checked in every run."""
_NOTHING: Final = """With nothing changed a night takes {times:.2f} × what
`python -c 'import polars'` takes."""
_READS: Final = """One worker, 16 connections, 100,000 snapshots; lists are filtered by status and
sorted by participations. The constant dict is a bare Litestar handler on the same server."""
_MILLION: Final = 10**6


class Results(msgspec.Struct, frozen=True):
    """Everything that was measured; seconds and gigabytes are medians."""

    rounds: int
    rows: int
    sample_bytes: int
    cold: Mapping[str, Cost]
    changed: Mapping[str, Cost]
    shares: Mapping[int, Cost]
    """By how many of the files had changed."""
    sizes: Mapping[int, Cost]
    """By rows."""
    shapes: Mapping[str, Cost]
    publishing: float
    starting: Mapping[str, Cost]
    reads: Mapping[str, Load]


def markdown(results: Results) -> str:
    """The page."""
    cold, changed = results.cold[OURS], results.changed
    peers = [cost for name, cost in results.cold.items() if name != OURS]
    fastest = min(peers, key=lambda cost: cost.seconds)
    imported = changed["import polars"]
    empty = results.starting["an empty Typer program"].seconds
    constant = results.reads[CONSTANT].per_second
    parts = [
        "# What it costs",
        "",
        _HOW.format(rounds=results.rounds),
        "",
        f"{_machine()}. {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}.",
        "",
        _SAMPLE.format(rows=results.rows, megabytes=results.sample_bytes / _MILLION),
        "",
        "## A first night, beside plain queries",
        "",
        _COLD,
        "",
        *_table(
            ("", "seconds", "of the fastest peer", "GB", "of its memory"),
            (
                (name, *_costs(cost, fastest.seconds), *_memory(cost, fastest.gigabytes))
                for name, cost in results.cold.items()
            ),
        ),
        "",
        "## Nights after a first one",
        "",
        *_table(
            ("what had changed", "seconds", "of a first night", "GB"),
            (
                (name, *_costs(cost, cold.seconds), f"{cost.gigabytes:.2f}")
                for name, cost in changed.items()
            ),
        ),
        "",
        _NOTHING.format(times=changed["nothing"].seconds / imported.seconds),
        "",
        "## A thousand rows gone from each of so many of the 25 files",
        "",
        *_table(
            ("files", "seconds", "of a first night", "GB"),
            (
                (str(files), *_costs(cost, cold.seconds), f"{cost.gigabytes:.2f}")
                for files, cost in results.shares.items()
            ),
        ),
        "",
        "## First nights over samples of other sizes and shapes",
        "",
        *_table(
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
        *_table(
            (f"{results.rows:,} rows in", "seconds", "GB"),
            (
                (name, f"{cost.seconds:.2f}", f"{cost.gigabytes:.2f}")
                for name, cost in results.shapes.items()
            ),
        ),
        "",
        "## Publishing and starting",
        "",
        f"Publishing 10,000 snapshots, flushed to disk: {results.publishing:.2f} s.",
        "",
        *_table(
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
        *_table(
            ("", "a second", "of the constant", "median, ms", "p99, ms", "p99 / median"),
            (
                (
                    name,
                    f"{load.per_second:,.0f}",
                    f"{load.per_second / constant:.2f} ×",
                    f"{load.median_ms:.2f}",
                    f"{load.p99_ms:.2f}",
                    f"{load.p99_ms / load.median_ms:.1f}",
                )
                for name, load in results.reads.items()
            ),
        ),
    ]
    return "\n".join(parts) + "\n"


def _costs(cost: Cost, other_seconds: float) -> tuple[str, str]:
    return f"{cost.seconds:.2f}", f"{cost.seconds / other_seconds:.2f} ×"


def _memory(cost: Cost, other_gigabytes: float) -> tuple[str, str]:
    return f"{cost.gigabytes:.2f}", f"{cost.gigabytes / other_gigabytes:.2f} ×"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    rule = ["---", *("---:" for _ in headings[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (headings, rule, *rows)]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
    models = (
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    model = next(models, platform.machine())
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Python {platform.python_version()}"


def picture(results: Results) -> str:
    """Three figures beside each other: cold beside the peers, what changed, and size."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = OURS
    from matplotlib import pyplot as plt

    figure, (peers, changed, sizes) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    names = list(results.cold)[::-1]
    colours = ["#00654e" if name == OURS else "#b0b7b4" for name in names]
    peers.barh(names, [results.cold[name].seconds for name in names], color=colours)
    peers.set_title("a first night over 20 million rows, s")
    nights = {"all": results.cold[OURS], **results.changed}
    del nights["import polars"]
    names = list(nights)[::-1]
    changed.barh(names, [nights[name].seconds for name in names], color="#00654e")
    changed.set_title("a night in which this has changed, s")
    rows = [number / _MILLION for number in results.sizes]
    sizes.plot(rows, [c.seconds for c in results.sizes.values()], "o-", color="#00654e", label="s")
    memory = [cost.gigabytes for cost in results.sizes.values()]
    other = sizes.twinx()
    other.plot(rows, memory, "s--", color="#c46a00", label="GB")
    other.set_ylim(0, max(memory) * 1.5)
    sizes.set_ylim(0)
    sizes.set_xlabel("million rows")
    sizes.set_title("a first night: seconds (—) and GB (- -)")
    for axes in (peers, changed, sizes, other):
        axes.spines[["top"]].set_visible(False)
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
