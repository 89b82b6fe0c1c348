"""`python -m benchmarks`: measure everything, print it, and write it down."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import nights, publishing, reads, report, starting
from benchmarks.nights import Bench, Sample
from benchmarks.report import Results

HERE: Final = Path(__file__).parent
ROWS: Final = 20_000_000
SIZES: Final = (2_000_000, ROWS, 60_000_000)
SHARES: Final = (1, 5, 12, 25)
SHAPES: Final = (Sample(ROWS, files=2500), Sample(ROWS, organisations=5), Sample(ROWS, 5000))
PUBLISHED: Final = 10_000


def main() -> None:
    """Measure, and write `RESULTS.md` and `costs.svg`."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--folder", type=Path, default=HERE / "work", help="room for 20 GB")
    asked.add_argument("--rounds", type=int, default=3, help="of everything that is compared")
    asked.add_argument(
        "--scale", type=float, default=1.0, help="of all samples; under 1 nothing is written down"
    )
    given = asked.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(given.folder, given.rounds, _tell)

    def scaled(sample: Sample) -> Sample:
        rows = max(int(sample.rows * given.scale), 10 * sample.organisations)
        return Sample(rows, sample.organisations, sample.files)

    main_sample = scaled(Sample(ROWS))
    results = Results(
        rounds=given.rounds,
        rows=main_sample.rows,
        sample_bytes=nights.size(bench.exports(main_sample)),
        cold=nights.cold(bench, main_sample),
        changed=nights.after_changes(bench, main_sample),
        shares=nights.over_share(bench, main_sample, SHARES),
        sizes={rows: nights.first(bench, scaled(Sample(rows))) for rows in SIZES},
        shapes={
            f"{shape.files:,} files, {shape.organisations:,} organisations": nights.first(
                bench, scaled(shape)
            )
            for shape in SHAPES
        },
        publishing=publishing.seconds(given.folder, PUBLISHED),
        starting=starting.compare(bench),
        # Short and often: what else goes on here comes and goes within seconds.
        reads=reads.compare(given.folder, 3 * given.rounds, _tell),
    )
    (given.folder / "results.json").write_bytes(msgspec.json.encode(results))
    bench.clear()
    written = report.markdown(results)
    print(written)
    if given.scale == 1:
        (HERE / "RESULTS.md").write_text(written, encoding="utf-8")
        (HERE / "costs.svg").write_text(report.picture(results), encoding="utf-8")


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
