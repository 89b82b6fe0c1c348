"""`python -m benchmarks.many_statements`: exports that state every participation several times.

The first nightly run over them is compared with that over the same participations stated once.
Each delivery has its rows in another order, and a tenth of them corrected.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks import measure, results_page
from benchmarks.measure import BUFDIR, Cost

if TYPE_CHECKING:
    from collections.abc import Mapping

_DELIVERIES: Final = 3
_ROUNDS: Final = 2
_ROWS_OF_FILE: Final = 800_000
_CORRECTED: Final = 10
"""One row in so many has other hours in each later delivery."""
_ONCE: Final = "stated once"
_OFTEN: Final = f"stated {_DELIVERIES} times"


def main() -> None:
    """Measure, print and write the section of `RESULTS.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000, help="participations")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bufdir-statements-") as folder:
        _report(f"writing {given.rows:,} participations {_DELIVERIES} times")
        often = _deliver(Path(folder), given.rows)
        ways = {
            _ONCE: partial(_first_run, Path(folder) / "once"),
            _OFTEN: partial(_first_run, often),
        }
        costs = measure.in_turn(ways, _ROUNDS, _report)
    section = _section(given.rows, costs)
    sys.stdout.write(section)
    results_page.write_section("many_statements", section)


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _deliver(folder: Path, rows: int) -> Path:
    """Write the exports of both data folders, and return the one with all deliveries."""
    files = max(1, rows // _ROWS_OF_FILE)
    once, often = folder / "once", folder / "often"
    options = ("--rows", str(rows), "--orgs", "500", "--files", str(files))
    measure.run([*BUFDIR, "sample", str(once / "exports"), *options])
    for number, path in enumerate(sorted((once / "exports").rglob("*.parquet"))):
        first = pl.read_parquet(path)
        for delivery in range(_DELIVERIES):
            place = often / "exports" / f"delivery-{delivery}" / f"{number}.parquet"
            place.parent.mkdir(parents=True, exist_ok=True)
            _corrected(first, delivery, number).write_parquet(place)
    return often


def _corrected(first: pl.DataFrame, delivery: int, seed: int) -> pl.DataFrame:
    """Give a delivery in another order, with other hours in some rows."""
    if not delivery:
        return first
    is_corrected = pl.int_range(pl.len()) % _CORRECTED == delivery
    hours = pl.when(is_corrected).then(1.5).otherwise(pl.col("hours")).alias("hours")
    return first.with_columns(hours).sample(fraction=1, shuffle=True, seed=seed + delivery)


def _first_run(data: Path) -> Cost:
    """Measure the first nightly run of a data folder."""
    for path in data.iterdir():
        if path.name != "exports":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return measure.run([*BUFDIR, "--data", str(data), "nightly"])


def _section(rows: int, costs: Mapping[str, Cost]) -> str:
    lines = [
        "## Participations with several statements",
        "",
        f"The first nightly run over {rows:,} participations, stated once and {_DELIVERIES} times:",
        f"in another order, one in {_CORRECTED} corrected each time. Medians of {_ROUNDS} runs.",
        "`python -m benchmarks.many_statements` writes this.",
        "",
        "| exports | seconds | ratio | GB of memory |",
        "| --- | ---: | ---: | ---: |",
    ]
    once = costs[_ONCE].seconds
    lines += [
        f"| {name} | {cost.seconds:.1f} | {cost.seconds / once:.1f} × | {cost.gigabytes:.2f} |"
        for name, cost in costs.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
