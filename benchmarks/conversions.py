"""The conversion of CSV files, compared with what Polars needs to read and write them.

`python -m benchmarks.conversions FILE LATIN ROUNDS` measures both in one process: what a program
loads first would hide the difference.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from subprocess import run
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from benchmarks.nightly_runs import Sample
from pipeline.settings import Settings
from pipeline.sources.conversion import Conversions
from pipeline.sources.folders import look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benchmarks.nightly_runs import Bench

POLARS: Final = "Polars reads and writes"
_DATES: Final = "%d.%m.%Y %H:%M"
_LONG: Final = "https://id.example.org/persons/2f1d8c44-6c0e-4c49-9d4f-"


def compare(bench: Bench, sample: Sample) -> Mapping[str, Mapping[str, float]]:
    """Measure the seconds of Polars and of conversions of the same rows, by the file's shape."""
    folder = bench.folder / f"csv-{sample.rows}"
    folder.mkdir(exist_ok=True)
    return {name: _compare(bench, path) for name, path in _files(bench, sample, folder).items()}


def _compare(bench: Bench, path: Path) -> Mapping[str, float]:
    files = [str(path), str(path.with_suffix(".cp1252")), str(2 * bench.rounds + 1)]
    command = [sys.executable, "-m", "benchmarks.conversions", *files]
    printed = run(command, check=True, capture_output=True).stdout
    return msgspec.json.decode(printed, type=dict[str, float])


def _files(bench: Bench, sample: Sample, folder: Path) -> Mapping[str, Path]:
    """Write the rows of a sample as CSV, in two shapes and two encodings."""
    found = pl.scan_parquet(bench.exports(sample) / "**/*.parquet").select(
        "org_id",
        "activity_id",
        "participant_id",
        pl.col("bufdir_category").cast(pl.String).replace("eldre", "Eldretreff på Ås"),
        pl.col("started_at", "updated_at").dt.strftime(_DATES),
        pl.col("hours").cast(pl.String).str.replace(".", ",", literal=True),
        "status",
    )
    noted = found.with_columns(
        pl.lit(_LONG) + pl.col("participant_id"), note=pl.lit('Tur til "Ås";\nbåde små og store')
    )
    files = {"short ids": folder / "short.csv", "long ids and quoted notes": folder / "long.csv"}
    for rows, path in zip((found, noted), files.values(), strict=True):
        if not path.exists():
            bench.report(f"writing {path.name}")
            rows.collect().write_csv(path, separator=";", line_terminator="\r\n")
            text = path.read_bytes().decode().encode("cp1252")
            path.with_suffix(".cp1252").write_bytes(text)
    return files


def main() -> None:
    """Measure each way once a round, and print the medians as JSON."""
    path, latin, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    ways: Mapping[str, Callable[[Path], None]] = {
        POLARS: partial(_polars, path),
        "bufdir, utf-8": partial(_convert, path, "utf-8"),
        "bufdir, cp1252": partial(_convert, latin, "cp1252"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            folder = Path(tempfile.mkdtemp(dir=path.parent))
            began = time.perf_counter()
            way(folder)
            if number:  # the first round loads what all need
                seconds[name].append(time.perf_counter() - began)
            shutil.rmtree(folder)
    print(msgspec.json.encode({name: median(of) for name, of in seconds.items()}).decode())


def _polars(path: Path, folder: Path) -> None:
    rows = pl.read_csv(path, separator=";", decimal_comma=True)
    rows.write_parquet(folder / "polars.parquet")


def _convert(path: Path, encoding: str, folder: Path) -> None:
    options = {"delimiter": ";", "decimal": ",", "dates": _DATES, "encoding": encoding}
    source = {"name": "csv", "format": "csv", "csv": options}
    settings = Settings.model_validate({"sources": [source]})
    conversions = Conversions(folder, folder / "cache.key", settings.zone, _ignore)
    (only,) = settings.every_source
    conversions.accept(look_at(path, path.name), only, settings.terms.columns)


def _ignore(event: str, **_: object) -> None:
    """Take an event."""


if __name__ == "__main__":
    main()
