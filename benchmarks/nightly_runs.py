"""Nightly runs over sample exports: first ones, compared with plain engines, and later ones."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks import measure, peers
from benchmarks.measure import BUFDIR, Cost
from pipeline.model import periods
from pipeline.storage import version_files
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PEERS: Final = Path(peers.__file__)
_PYTHON: Final = sys.executable
_NUMBERS: Final = ("participations", "people", "seconds", "activities")
_GONE: Final = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """The arguments of `bufdir sample` for one set of exports."""

    rows: int
    organisations: int = 500
    files: int = 25


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for samples, data folders and results, and the receiver of progress messages."""

    folder: Path
    rounds: int
    report: Callable[[str], None]

    def exports(self, sample: Sample) -> Path:
        """Write a sample's exports unless they exist, and return their folder."""
        name = f"exports-{sample.rows}-{sample.organisations}-{sample.files}"
        folder = self.folder / name
        if not (folder / "whole").exists():
            self.report(f"writing {name}")
            options = {"rows": sample.rows, "orgs": sample.organisations, "files": sample.files}
            flags = [text for name, n in options.items() for text in (f"--{name}", str(n))]
            measure.run([*BUFDIR, "sample", str(folder / "exports"), *flags])
            (folder / "whole").touch()
        return folder / "exports"

    def clear(self) -> None:
        """Delete what was computed, except the samples and the snapshots for reads."""
        for pattern in ("data-*", "published-*"):
            for folder in self.folder.glob(pattern):
                shutil.rmtree(folder)

    def data(self, sample: Sample) -> Path:
        """Make a new data folder with links to a sample's exports; each can be replaced alone.

        An old folder is never emptied and used again: the file system would still be busy with the
        deleted files during the measurement.
        """
        data = self.folder / f"data-{uuid.uuid4().hex}"
        exports = self.exports(sample)
        for path in exports.rglob("*.parquet"):
            place = data / "exports" / path.relative_to(exports)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
        return data


def nightly_run(data: Path, *flags: str) -> Cost:
    """Measure one nightly run."""
    return measure.run([*BUFDIR, "nightly", "--data", str(data), *flags])


def cold(bench: Bench, sample: Sample) -> dict[str, Cost]:
    """Measure a first nightly run over a sample, and each peer's plain query.

    Raises:
        RuntimeError: A peer gives other numbers.
    """
    exports = bench.exports(sample)
    data: list[Path] = []

    def ours() -> Cost:
        data.append(bench.data(sample))
        return nightly_run(data[-1], "--full")

    def peer(name: str) -> Cost:
        answer = str(bench.folder / f"{name}.parquet")
        return measure.run([_PYTHON, str(PEERS), name, str(exports), answer])

    ways: dict[str, Callable[[], Cost]] = {"bufdir": ours}
    ways |= {name: partial(peer, name) for name in peers.ENGINES}
    costs = measure.in_turn(ways, bench.rounds, bench.report)
    schema = pl.Schema(_SCHEMA)
    expected = pl.DataFrame(_published(data[-1]), schema=schema, orient="row").sort(pl.all())
    for name in peers.ENGINES:
        answer = (
            pl.read_parquet(bench.folder / f"{name}.parquet").select(schema.names()).cast(schema)
        )
        if not answer.sort(pl.all()).equals(expected):
            msg = f"{name} gives other numbers"
            raise RuntimeError(msg)
    bench.report(f"all give the same {len(expected):,} rows of numbers")
    return costs


_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "org_id": pl.String,
    "quarter": pl.Date,
    "bufdir_category": pl.String,
    **dict.fromkeys(_NUMBERS, pl.Int64),
}


def _published(data: Path) -> Iterator[tuple[object, ...]]:
    """Read the numbers of every snapshot in which a row counts, in all and by category."""
    with Catalog.open(data) as catalog:
        entries = catalog.entries().values()
    for entry in entries:
        version = version_files.read(data, entry.number, entry.version)
        month = periods.parse(version.reporting_period_id).ordinal * periods.KINDS["quarter"]
        year, place = divmod(month, 12)
        quarter = date(periods.FIRST_YEAR + year, place + 1, 1)
        shares = [(None, version.total), *version.categories.items()]
        for category, numbers in shares:
            if numbers["participations"]:
                yield version.org_id, quarter, category, *numbers.values()


def first(bench: Bench, sample: Sample) -> Cost:
    """Measure first nightly runs over a sample."""
    return measure.in_turn(
        {f"{sample}": lambda: nightly_run(bench.data(sample), "--full")}, bench.rounds, bench.report
    )[f"{sample}"]


def size(exports: Path) -> int:
    """Sum the bytes of all exports below a folder."""
    return sum(path.stat().st_size for path in exports.rglob("*.parquet"))


def after_changes(bench: Bench, sample: Sample) -> dict[str, Cost]:
    """Measure nightly runs after changes of several kinds; and `import polars`, to compare with."""
    data = bench.data(sample)
    nightly_run(data)
    number = iter(range(10**6))

    def same() -> Cost:
        _rewrite(_file(data, next(number)), gone=0)
        return nightly_run(data)

    def gone() -> Cost:
        _rewrite(_file(data, next(number)), gone=_GONE)
        return nightly_run(data)

    def one_cell() -> Cost:
        flags = ("--org", "org-00007", "--period", "rp-2024-q2")
        return measure.run([*BUFDIR, "run", *flags, "--data", str(data)])

    ways = {
        "1,000 rows of one file gone": gone,
        "the same rows rewritten": same,
        "one cell": one_cell,
        "nothing": lambda: nightly_run(data),
        "import polars": lambda: measure.run([_PYTHON, "-c", "import polars"]),
    }
    return measure.in_turn(ways, bench.rounds, bench.report)


def over_share(bench: Bench, sample: Sample, shares: Sequence[int]) -> dict[int, Cost]:
    """Measure nightly runs after these numbers of files have lost a thousand rows each."""
    data = bench.data(sample)
    nightly_run(data)
    costs = {}
    for files in shares:
        for number in range(files):
            _rewrite(_file(data, number), gone=_GONE)
        costs[files] = nightly_run(data)
        bench.report(f"{files} files changed: {costs[files].seconds:.2f} s")
    return costs


def _file(data: Path, number: int) -> Path:
    files = sorted((data / "exports").rglob("*.parquet"))
    return files[number % len(files)]


def _rewrite(path: Path, *, gone: int) -> None:
    """Rewrite a file: its rows in another order, compression and row-group size."""
    rows = pl.read_parquet(path)
    left = rows.sample(len(rows) - gone, shuffle=True, seed=len(rows))
    new = path.with_name(f".{path.name}")
    left.write_parquet(new, compression="snappy", row_group_size=100_000)
    new.replace(path)
