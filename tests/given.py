"""Builders that tests share: exports small enough to count on fingers, and data folders."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import duckdb
import msgspec
import narwhals as nw
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.definitions.dialect import STANDARD
from pipeline.engines import CacheAccess, ScanRequest, open_engine
from pipeline.model import addresses, periods, versions
from pipeline.model.states import EngineName
from pipeline.runs import gather, nightly
from pipeline.runs.context import CACHE, RunContext
from pipeline.settings import EngineSettings, Settings
from pipeline.sources import locations, opening
from pipeline.sources.conversion import Conversions
from pipeline.sources.selection import Selection, select
from pipeline.storage import version_files
from pipeline.storage.catalog import Catalog
from pipeline.storage.declarations import AcceptedFall, RetiredExport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.definitions.dialect import Dialect, Frame
    from pipeline.engines import Engine, Survey
    from pipeline.logs import EventSink
    from pipeline.model.cells import CellNumbers
    from pipeline.model.metrics import Numbers
    from pipeline.model.states import Retirement
    from pipeline.model.versions import Version
    from pipeline.runs.context import NightlyResult
    from pipeline.runs.gather import RunInputs
    from pipeline.sources.accepted import Exports
    from pipeline.sources.exports import File

Row = dict[str, Any]

AUTUMN: Final = datetime(2024, 11, 5, 17, tzinfo=UTC)
"""A time in the last quarter of 2024."""
SUMMER: Final = datetime(2024, 7, 2, 10, tzinfo=UTC)
"""A time in the third quarter of 2024."""
NOW: Final = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)
"""The time at which tests compute, unless they set another."""
CELL: Final = ("org-1", "rp-2024-q4")
"""The cell of a row that is given no other."""
QUARTER: Final = periods.parse("rp-2024-q4")
"""The period of that cell."""
SPRING: Final = datetime(2024, 4, 9, 9, tzinfo=UTC)
"""A time in the second quarter of 2024."""
Q2, Q3, Q4 = ("org-1 rp-2024-q2", "org-1 rp-2024-q3", "org-1 rp-2024-q4")
OTHER: Final = "org-2 rp-2024-q4"
EARLIER: Final = datetime(2024, 12, 1, tzinfo=UTC)
LATER: Final = datetime(2024, 12, 2, tzinfo=UTC)
MAPPING: Final = {"Klubb": "ungdom", "Eldretreff": "eldre"}

SPARK: Final = os.environ.get("TEST_SPARK", "")
"""The master or Connect server on which tests run Spark; without one they don't."""
SPARK_OPTIONS: Final = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.lightweightPlanChangeValidation": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.ui.enabled": "false",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
"""Spark's options for a few rows: to compile a query would take longer than to answer it."""
ENGINES: Final = tuple(name for name in EngineName if name is not EngineName.SPARK or SPARK)
"""The engines that tests run on."""
LOCAL_ENGINES: Final = (EngineName.POLARS, EngineName.DUCKDB)
"""The engines without a cluster."""
OTHER_ENGINES: Final = tuple(name for name in ENGINES if name is not EngineName.POLARS)
"""The engines that are compared with the default one."""

TYPES: Final[Mapping[str, Any]] = {
    "org_id": pa.string(),
    "activity_id": pa.string(),
    "participant_id": pa.string(),
    "bufdir_category": pa.string(),
    "started_at": pa.timestamp("us", "UTC"),
    "hours": pa.float64(),
    "updated_at": pa.timestamp("us", "UTC"),
    "status": pa.string(),
    "deleted": pa.bool_(),
}
REQUIRED: Final = (
    "org_id",
    "activity_id",
    "participant_id",
    "bufdir_category",
    "started_at",
    "hours",
)


def examples(count: int) -> int:
    """Return how many examples a property takes that runs over all engines; on Spark, few."""
    return max(3, count // 8) if SPARK else count


def row(**values: object) -> Row:
    """Return a participation that counts, with the given values."""
    return {
        "org_id": "org-1",
        "activity_id": "a1",
        "participant_id": "p1",
        "bufdir_category": "ungdom",
        "started_at": AUTUMN,
        "hours": 2.0,
        **values,
    }


def people(count: int, **values: object) -> list[Row]:
    """Return this number of participations, each of a different participant."""
    return [row(participant_id=f"p{number}", **values) for number in range(1, count + 1)]


def table(rows: Sequence[Row], types: Mapping[str, Any] | None = None) -> Any:
    """Return a table with the required columns and every other that a row has."""
    kinds = {**TYPES, **(types or {})}
    names = dict.fromkeys((*REQUIRED, *(name for one in rows for name in one)))
    return pa.table(
        {name: pa.array([one.get(name) for one in rows], kinds[name]) for name in names}
    )


def export(
    data: Path,
    rows: Sequence[Row],
    name: str = "a.parquet",
    types: Mapping[str, Any] | None = None,
    **options: object,
) -> Path:
    """Write an export of a data folder."""
    return write(data, table(rows, types), name, **options)


def write(data: Path, written: Any, name: str = "a.parquet", **options: object) -> Path:
    """Write a table as an export of a data folder."""
    path = data / addresses.FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, path, **options)
    return path


def settings(**chosen: Any) -> Settings:
    """Return settings that no file and no variable changes."""
    return Settings(**chosen)


@cache
def defaults() -> Settings:
    """Return the default settings."""
    return settings()


def selected(files: Iterable[File], chosen: Settings | None = None) -> Selection:
    """Give each of these files its source."""
    return select(files, (chosen or defaults()).every_source)


def files_of(data: Path, chosen: Settings | None = None) -> tuple[File, ...]:
    """List the exports."""
    of = chosen or defaults()
    return selected(locations.of(data, of.exports.location).list_files(), of).files


def read(data: Path, chosen: Settings | None = None) -> Exports:
    """Read the footers of the exports."""
    of = chosen or defaults()
    return opening.read(selected(files_of(data, of), of), of.terms.columns, conversions(data, of))


def conversions(data: Path, chosen: Settings | None = None) -> Conversions:
    """Give the converted files of a data folder."""
    return Conversions(
        data / "cache" / "converted", data / "cache.key", (chosen or defaults()).zone, no_events
    )


def scan_request(
    data: Path, chosen: Settings | None = None, organisations: Collection[str] | None = None
) -> ScanRequest:
    """Ask for all exports of a data folder."""
    terms = (chosen or defaults()).terms
    return ScanRequest(read(data, chosen).accepted, terms, organisations)


def engine_settings(engine: str) -> EngineSettings:
    """Return the settings of an engine; those of Spark name the cluster of this test run."""
    if engine != EngineName.SPARK:
        return EngineSettings(name=EngineName(engine))
    place = "spark_remote" if SPARK.startswith("sc://") else "spark_master"
    return EngineSettings(name=EngineName.SPARK, spark_options=SPARK_OPTIONS, **{place: SPARK})


def opened(engine: str, cache: CacheAccess | None = None) -> Engine:
    """Open an engine that reports no events."""
    return open_engine(engine_settings(engine), cache, no_events)


def applied(engine: str, rows: Any, step: Callable[[Frame, Dialect], Frame]) -> pl.DataFrame:
    """Apply a step of the definitions to an Arrow table on an engine."""
    if engine == EngineName.POLARS:
        frame: Any = pl.from_arrow(rows)
        return pl.DataFrame(step(nw.from_native(frame.lazy()), STANDARD).to_native().collect())
    if engine == EngineName.DUCKDB:
        with duckdb.connect() as connection:
            relation = connection.from_arrow(rows)
            found = step(nw.from_native(relation), STANDARD).to_native().to_arrow_table()
            return pl.DataFrame(pl.from_arrow(found))
    from pipeline.engines.spark import dialect  # noqa: PLC0415 (where it is installed)

    spark: Any = opened(engine)
    native = spark.cluster.spark.createDataFrame(rows)
    found = step(nw.from_native(native), dialect.SparkDialect()).to_native().toArrow()
    return pl.DataFrame(pl.from_arrow(found))


def survey_of(data: Path, chosen: Settings | None = None, engine: str = "polars") -> Survey:
    """Survey a data folder without a cache."""
    return opened(engine).survey(scan_request(data, chosen))


def cached_survey(
    data: Path,
    chosen: Settings | None = None,
    organisations: Collection[str] | None = None,
    *,
    reads: bool = True,
    writes: bool = False,
) -> Survey:
    """Survey a data folder with the cache of the default engine."""
    access = CacheAccess(data / CACHE, reads, writes)
    return opened("polars", access).survey(scan_request(data, chosen, organisations))


def no_events(event: str, **fields: object) -> None:
    """Take no event: a test that expects one takes it itself."""


def numbers_of(survey: Survey, kind: str = "quarter") -> dict[tuple[str, str], CellNumbers]:
    """Count every cell of a kind, by organisation and period id."""
    counted = survey.count(kind, list(survey.contents(kind)))
    found = {cell: numbers for batch in counted for cell, numbers in batch.items()}
    return {cell.key: found[cell] for cell in sorted(found)}


def cells(
    engine: str, data: Path, kind: str = "quarter", chosen: Settings | None = None
) -> Mapping[tuple[str, str], CellNumbers]:
    """Count a data folder on an engine, by organisation and period id."""
    with survey_of(data, chosen, engine) as survey:
        return numbers_of(survey, kind)


def nothing() -> Numbers:
    """Return the metrics of no rows."""
    return {"participations": 0, "people": 0, "seconds": 0, "activities": 0}


def ledger(lines: Mapping[str, int]) -> dict[str, int]:
    """Return the lines of a ledger that are not zero."""
    return {line: rows for line, rows in lines.items() if rows}


def ledgers(engine: str, data: Path, chosen: Settings | None = None) -> dict[str, dict[str, int]]:
    """Return the ledger of each quarter of the one organisation there is."""
    found = cells(engine, data, chosen=chosen)
    assert {org_id for org_id, _ in found} <= {"org-1"}
    return {period_id: ledger(counted.ledger) for (_, period_id), counted in found.items()}


def retired(how: Retirement, name: str = "a") -> RetiredExport:
    """Declare an export to be gone on purpose."""
    return RetiredExport(name, how, NOW, "local:kari", "five years are over")


def accepted_fall(rows: int, *, kept: bool = False) -> AcceptedFall:
    """Accept that the first snapshot falls to this many rows."""
    return AcceptedFall(1, rows, kept, NOW, "local:kari", "the club left")


@dataclass
class DataFolder:
    """A data folder over several nightly runs."""

    data: Path
    settings: Settings = field(default_factory=defaults)
    now: datetime = NOW
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def export(self, rows: Sequence[Row], name: str = "a.parquet", **options: Any) -> Path:
        return export(self.data, rows, name, **options)

    def record(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    @contextmanager
    def context(self) -> Iterator[RunContext]:
        with Catalog.open(self.data) as catalog:
            yield RunContext(self.data, self.settings, catalog, lambda: self.now, self.record)

    def nightly(self, *, full: bool = False) -> NightlyResult:
        with self.context() as context:
            return nightly.run(context, full=full)

    @contextmanager
    def gathered(self) -> Iterator[RunInputs]:
        """Survey the exports as a command does that only looks."""
        with self.context() as context, gather.gather(context, context.engine()) as inputs:
            yield inputs

    def published(self) -> dict[tuple[str, str], Version]:
        """Return the current version of every snapshot that has one."""
        with Catalog.open(self.data) as catalog:
            entries = catalog.entries()
        return {
            cell: version_files.read(self.data, entry.number, entry.version)
            for cell, entry in entries.items()
            if entry.version
        }

    def versions(self) -> dict[str, int]:
        """Return the current version's number by organisation and period."""
        return {" ".join(cell): version.version for cell, version in self.published().items()}

    def files(self) -> set[str]:
        """Return the names of the version files and of quarantine."""
        paths = (path for path in self.data.rglob("*") if path.is_file())
        names = (path.relative_to(self.data).as_posix() for path in paths)
        return {name for name in names if name.startswith(("snapshots/", "quarantine/"))}


def as_newer_release(path: Path) -> None:
    """Change a version file to one of the next schema version, with a field that is new in it."""
    newer = {"schema_version": versions.SCHEMA_VERSION + 1, "unheard_of": None}
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | newer))


def outcomes_by_cell(result: NightlyResult) -> dict[str, str]:
    """Return each snapshot's outcome by organisation and period; the first if there are two."""
    return {
        f"{one.org_id} {one.reporting_period_id}": one.outcome for one in reversed(result.outcomes)
    }


def blocking(result: NightlyResult) -> dict[str, str]:
    """Return the export that blocks each organisation; the last if there are several."""
    return {one.org_id: one.exports[0] for one in result.blocked}


def computed(result: NightlyResult) -> set[str]:
    """Return the cells that a nightly run computed."""
    return {cell for cell, what in outcomes_by_cell(result).items() if what == "computed"}


def sums(versions: Iterable[Version]) -> list[int]:
    """Return the number of rows of each version's ledger."""
    return [sum(version.ledger.values()) for version in versions]


def replace_fields(version: Version, changes: dict[str, Any]) -> Version:
    return msgspec.structs.replace(version, **changes)


def nightly_with(folder: DataFolder, events: EventSink) -> NightlyResult:
    with folder.context() as context:
        return nightly.run(replace(context, events=events))


def table_of(path: Path) -> Any:
    with pq.ParquetFile(path) as file:
        return file.read()


def parquet_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))
