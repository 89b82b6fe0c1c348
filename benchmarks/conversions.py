"""The conversion of CSV files, compared with what Polars needs to read and write them.

`python -m benchmarks.conversions FILE FOLDER ENCODING` converts one file.
"""

from __future__ import annotations

import sys
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks import measure
from benchmarks.nightly_runs import Sample
from pipeline.settings import Settings
from pipeline.sources.conversion import Conversions
from pipeline.sources.folders import look_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Cost
    from benchmarks.nightly_runs import Bench

POLARS: Final = "Polars reads and writes"
_PLAIN: Final = """
import sys, polars as pl
pl.read_csv(sys.argv[1], separator=";", decimal_comma=True).write_parquet(sys.argv[2])
"""
_DATES: Final = "%d.%m.%Y %H:%M"
_LONG: Final = "https://id.example.org/persons/2f1d8c44-6c0e-4c49-9d4f-"


def compare(bench: Bench, sample: Sample) -> Mapping[str, Mapping[str, Cost]]:
    """Measure Polars and conversions of the same rows, by the shape of the file."""
    folder = bench.folder / f"csv-{sample.rows}"
    folder.mkdir(exist_ok=True)
    return {name: _compare(bench, path) for name, path in _files(bench, sample, folder).items()}


def _compare(bench: Bench, path: Path) -> Mapping[str, Cost]:
    latin = path.with_suffix(".cp1252")
    ways = {
        POLARS: partial(measure.run, [sys.executable, "-c", _PLAIN, str(path), f"{path}.parquet"]),
        "bufdir, utf-8": partial(_converted, path, "utf-8"),
        "bufdir, cp1252": partial(_converted, latin, "cp1252"),
    }
    return measure.in_turn(ways, 2 * bench.rounds + 1, bench.report)


def _converted(path: Path, encoding: str) -> Cost:
    target = path.parent / f"converted-{uuid.uuid4().hex}"
    return measure.run(
        [sys.executable, "-m", "benchmarks.conversions", str(path), str(target), encoding]
    )


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
    """Convert one file."""
    path, folder, encoding = sys.argv[1:]
    options = {"delimiter": ";", "decimal": ",", "dates": _DATES, "encoding": encoding}
    source = {"name": "csv", "format": "csv", "csv": options}
    settings = Settings.model_validate({"sources": [source]})
    conversions = Conversions(Path(folder), settings.zone, _ignore)
    (only,) = settings.every_source
    export = conversions.accept(look_at(Path(path), path), only, settings.terms.columns)
    print(f"{export.rows} rows")


def _ignore(event: str, **_: object) -> None:
    """Take an event."""


if __name__ == "__main__":
    main()
