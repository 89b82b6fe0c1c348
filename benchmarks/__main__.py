"""`python -m benchmarks`: runs all benchmarks, prints the results, and writes them to files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import conversions, nightly_runs, publishing, reads, report, results_page, starting
from benchmarks.measure import Cost
from benchmarks.nightly_runs import Bench, Sample
from benchmarks.report import Results

HERE: Final = Path(__file__).parent
ROWS: Final = 20_000_000
SIZES: Final = (2_000_000, ROWS, 60_000_000)
SHARES: Final = (1, 5, 12, 25)
SHAPES: Final = (Sample(ROWS, files=2500), Sample(ROWS, organisations=5), Sample(ROWS, 5000))
CONVERTED: Final = 1_000_000
PUBLISHED: Final = 10_000


def main() -> None:
    """Measure, and write `RESULTS.md` and `costs.svg`."""
    given = _given()
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder, given.rounds, _report)
    measured = _measured(bench, given)
    last = given.folder / "results.json"
    before = msgspec.json.decode(last.read_bytes(), type=Results) if given.only else None
    found = {
        name: measure() if given.only in {None, name} else getattr(before, name)
        for name, measure in measured.items()
    }
    results = msgspec.convert(found, Results)
    last.write_bytes(msgspec.json.encode(results))
    bench.clear()
    written = report.markdown(results)
    print(written)
    if given.scale == 1:
        results_page.write(written)
        (HERE / "costs.svg").write_text(report.picture(results), encoding="utf-8")


def _given() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--folder", type=Path, default=HERE / "scratch", help="room for 30 GB")
    asked.add_argument("--rounds", type=int, default=3, help="of everything that is compared")
    asked.add_argument(
        "--scale", type=float, default=1.0, help="of all samples; under 1 no file is written"
    )
    sections = [field.name for field in msgspec.structs.fields(Results)]
    asked.add_argument(
        "--only",
        choices=sections,
        help="measure this again, and take all others from the last results",
    )
    return asked.parse_args()


def _measured(bench: Bench, given: argparse.Namespace) -> Mapping[str, Callable[[], object]]:
    """Return the function that measures each part of the results."""

    def scaled(sample: Sample) -> Sample:
        rows = max(int(sample.rows * given.scale), 10 * sample.organisations)
        return Sample(rows, sample.organisations, sample.files)

    def of_shapes() -> dict[str, Cost]:
        return {
            f"{shape.files:,} files, {shape.organisations:,} organisations": nightly_runs.first(
                bench, scaled(shape)
            )
            for shape in SHAPES
        }

    sample = scaled(Sample(ROWS))
    return {
        "rounds": lambda: bench.rounds,
        "rows": lambda: sample.rows,
        "sample_bytes": lambda: nightly_runs.size(bench.exports(sample)),
        "cold": lambda: nightly_runs.cold(bench, sample),
        "changed": lambda: nightly_runs.after_changes(bench, sample),
        "shares": lambda: nightly_runs.over_share(bench, sample, SHARES),
        "sizes": lambda: {rows: nightly_runs.first(bench, scaled(Sample(rows))) for rows in SIZES},
        "shapes": of_shapes,
        "conversions": lambda: conversions.compare(bench, scaled(Sample(CONVERTED, files=1))),
        "publishing": lambda: publishing.seconds(bench.folder, PUBLISHED),
        "starting": lambda: starting.compare(bench),
        # More rounds, for each is a few seconds only.
        "reads": lambda: reads.compare(bench.folder, 2 * bench.rounds + 1, bench.report),
    }


def _report(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
