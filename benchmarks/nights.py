"""Nights over sample exports: cold beside plain engines, then after changes of every size."""

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

import msgspec
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
    """Exports as `bufdir sample` writes them."""

    rows: int
    organisations: int = 500
    files: int = 25


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder for samples, data folders and answers, and who is told how it goes."""

    folder: Path
    rounds: int
    tell: Callable[[str], None]

    def exports(self, sample: Sample) -> Path:
        """A sample's exports, written once."""
        name = f"exports-{sample.rows}-{sample.organisations}-{sample.files}"
        folder = self.folder / name
        if not (folder / "whole").exists():
            self.tell(f"writing {name}")
            options = {"rows": sample.rows, "orgs": sample.organisations, "files": sample.files}
            flags = [text for name, n in options.items() for text in (f"--{name}", str(n))]
            measure.run([*BUFDIR, "sample", str(folder / "exports"), *flags])
            (folder / "whole").touch()
        return folder / "exports"

    def clear(self) -> None:
        """Take away what was computed; the samples and the snapshots for reads are kept."""
        for pattern in ("data-*", "published-*"):
            for folder in self.folder.glob(pattern):
                shutil.rmtree(folder)

    def data(self, sample: Sample) -> Path:
        """A new data folder over a sample's exports; each file can be replaced without the others.

        Never an old one that was emptied: what a file system still has to do for the files that
        went would be counted as ours.
        """
        data = self.folder / f"data-{uuid.uuid4().hex}"
        exports = self.exports(sample)
        for path in exports.rglob("*.parquet"):
            place = data / "exports" / path.relative_to(exports)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
        return data


def night(data: Path, *flags: str) -> Cost:
    """One night."""
    return measure.run([*BUFDIR, "nightly", "--data", str(data), *flags])


def cold(bench: Bench, sample: Sample) -> dict[str, Cost]:
    """A first night over a sample, and each peer's plain query; all give the same numbers.

    Raises:
        RuntimeError: They don't.
    """
    exports = bench.exports(sample)
    data: list[Path] = []

    def ours() -> Cost:
        data.append(bench.data(sample))
        return night(data[-1], "--full")

    def peer(name: str) -> Cost:
        answer = str(bench.folder / f"{name}.parquet")
        return measure.run([_PYTHON, str(PEERS), name, str(exports), answer])

    ways: dict[str, Callable[[], Cost]] = {"bufdir": ours}
    ways |= {name: partial(peer, name) for name in peers.ENGINES}
    costs = measure.in_turn(ways, bench.rounds, bench.tell)
    schema = pl.Schema(_SCHEMA)
    expected = pl.DataFrame(_published(data[-1]), schema=schema, orient="row").sort(pl.all())
    for name in peers.ENGINES:
        answer = (
            pl.read_parquet(bench.folder / f"{name}.parquet").select(schema.names()).cast(schema)
        )
        if not answer.sort(pl.all()).equals(expected):
            msg = f"{name} gives other numbers"
            raise RuntimeError(msg)
    bench.tell(f"all give the same {len(expected):,} rows of numbers")
    return costs


_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    "org_id": pl.String,
    "quarter": pl.Date,
    "bufdir_category": pl.String,
    **dict.fromkeys(_NUMBERS, pl.Int64),
}


def _published(data: Path) -> Iterator[tuple[object, ...]]:
    """The numbers of every snapshot in which a row counts, as a whole and by category."""
    with Catalog.open(data) as catalog:
        entries = catalog.entries().values()
    for entry in entries:
        version = version_files.read(data, entry.number, entry.version)
        month = periods.parse(version.reporting_period_id).ordinal * periods.KINDS["quarter"]
        year, place = divmod(month, 12)
        quarter = date(periods.FIRST_YEAR + year, place + 1, 1)
        shares = [(None, version.total), *version.categories.items()]
        for category, numbers in shares:
            if numbers.participations:
                yield version.org_id, quarter, category, *msgspec.structs.astuple(numbers)


def first(bench: Bench, sample: Sample) -> Cost:
    """First nights over a sample."""
    return measure.in_turn(
        {f"{sample}": lambda: night(bench.data(sample), "--full")}, bench.rounds, bench.tell
    )[f"{sample}"]


def size(exports: Path) -> int:
    """The bytes of all exports below a folder."""
    return sum(path.stat().st_size for path in exports.rglob("*.parquet"))


def after_changes(bench: Bench, sample: Sample) -> dict[str, Cost]:
    """Nights after a first one, each after another change; and what `import polars` takes."""
    data = bench.data(sample)
    night(data)
    number = iter(range(10**6))

    def same() -> Cost:
        _rewrite(_file(data, next(number)), gone=0)
        return night(data)

    def gone() -> Cost:
        _rewrite(_file(data, next(number)), gone=_GONE)
        return night(data)

    def one_cell() -> Cost:
        flags = ("--org", "org-00007", "--period", "rp-2024-q2")
        return measure.run([*BUFDIR, "run", *flags, "--data", str(data)])

    ways = {
        "1,000 rows of one file gone": gone,
        "the same rows written anew": same,
        "one cell": one_cell,
        "nothing": lambda: night(data),
        "import polars": lambda: measure.run([_PYTHON, "-c", "import polars"]),
    }
    return measure.in_turn(ways, bench.rounds, bench.tell)


def over_share(bench: Bench, sample: Sample, shares: Sequence[int]) -> dict[int, Cost]:
    """Nights after so many files have lost a thousand rows each."""
    data = bench.data(sample)
    night(data)
    costs = {}
    for files in shares:
        for number in range(files):
            _rewrite(_file(data, number), gone=_GONE)
        costs[files] = night(data)
        bench.tell(f"{files} files changed: {costs[files].seconds:.2f} s")
    return costs


def _file(data: Path, number: int) -> Path:
    files = sorted((data / "exports").rglob("*.parquet"))
    return files[number % len(files)]


def _rewrite(path: Path, *, gone: int) -> None:
    """Write a file anew: its rows in another order, compression and row-group size."""
    rows = pl.read_parquet(path)
    kept = rows.sample(len(rows) - gone, shuffle=True, seed=len(rows))
    new = path.with_name(f".{path.name}")
    kept.write_parquet(new, compression="snappy", row_group_size=100_000)
    new.replace(path)
