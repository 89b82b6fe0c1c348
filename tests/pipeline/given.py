"""Exports small enough to count on fingers, as real files, and what comes of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engines import ScanRequest, duckdb
from pipeline.engines.polars import survey
from pipeline.runs import nightly
from pipeline.runs.context import Work
from pipeline.settings import Settings
from pipeline.sources import exports, parquet
from pipeline.storage import version_files
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines.polars.survey import Judged
    from pipeline.model.cells import Breakdown, Cell
    from pipeline.model.versions import Version
    from pipeline.runs.context import Night
    from pipeline.sources.parquet import Exports

Row = dict[str, Any]

AUTUMN: Final = datetime(2024, 11, 5, 17, tzinfo=UTC)
"""A time in the last quarter of 2024."""
SUMMER: Final = datetime(2024, 7, 2, 10, tzinfo=UTC)
"""A time in the third quarter of 2024."""
NOW: Final = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)
"""The night on which tests compute, unless they say otherwise."""
CELL: Final = ("org-1", "rp-2024-q4")
"""Where a row lies that says nothing else."""

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


def row(**said: object) -> Row:
    """A participation that counts, apart from what is said of it."""
    return {
        "org_id": "org-1",
        "activity_id": "a1",
        "participant_id": "p1",
        "bufdir_category": "ungdom",
        "started_at": AUTUMN,
        "hours": 2.0,
        **said,
    }


def people(count: int, **said: object) -> list[Row]:
    """So many participations, each of somebody else."""
    return [row(participant_id=f"p{number}", **said) for number in range(1, count + 1)]


def table(rows: Sequence[Row], types: Mapping[str, Any] | None = None) -> Any:
    """The rows with the required columns and every other that one of them speaks of."""
    kinds = {**TYPES, **(types or {})}
    names = dict.fromkeys((*REQUIRED, *(name for said in rows for name in said)))
    return pa.table(
        {name: pa.array([said.get(name) for said in rows], kinds[name]) for name in names}
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
    path = data / exports.FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, path, **options)
    return path


def settings(**chosen: Any) -> Settings:
    """Settings that no file and no variable has a say in."""
    return Settings(**chosen)


@cache
def defaults() -> Settings:
    """The settings that hold when nothing is set."""
    return settings()


def read(data: Path, chosen: Settings | None = None) -> Exports:
    """What the footers of the exports say."""
    return parquet.read(exports.find(data), (chosen or defaults()).columns)


def question(data: Path, chosen: Settings | None = None) -> ScanRequest:
    """All exports of a data folder, put to an engine."""
    return ScanRequest.of(read(data, chosen).accepted, chosen or defaults())


def judged(data: Path, chosen: Settings | None = None) -> Judged:
    """Every row of a data folder with its verdict."""
    return survey.survey(question(data, chosen))


def cells(
    engine: str, data: Path, kind: str = "quarter", chosen: Settings | None = None
) -> Mapping[tuple[str, str], Breakdown]:
    """What an engine makes of a data folder, by organisation and period id."""
    asked = question(data, chosen)
    found: Mapping[Cell, Breakdown] = (
        survey.survey(asked).breakdowns(kind, None)
        if engine == "polars"
        else duckdb.breakdowns(asked, kind, None)
    )
    return {(cell.org_id, cell.period.id): counted for cell, counted in found.items()}


def ledger(lines: Mapping[str, int]) -> dict[str, int]:
    """The lines of a ledger that are not zero."""
    return {line: rows for line, rows in lines.items() if rows}


def ledgers(engine: str, data: Path, chosen: Settings | None = None) -> dict[str, dict[str, int]]:
    """What became of the rows of each quarter of the one organisation there is."""
    found = cells(engine, data, chosen=chosen)
    assert {org_id for org_id, _ in found} <= {"org-1"}
    return {period_id: ledger(counted.ledger) for (_, period_id), counted in found.items()}


@dataclass
class House:
    """A data folder over several nights."""

    data: Path
    settings: Settings = field(default_factory=defaults)
    now: datetime = NOW
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def export(self, rows: Sequence[Row], name: str = "a.parquet", **options: Any) -> Path:
        return export(self.data, rows, name, **options)

    def tell(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    @contextmanager
    def work(self) -> Iterator[Work]:
        with Catalog.open(self.data) as catalog:
            yield Work(self.data, self.settings, catalog, lambda: self.now, self.tell)

    def night(self, *, full: bool = False) -> Night:
        with self.work() as work:
            return nightly.run(work, full=full)

    def published(self) -> dict[tuple[str, str], Version]:
        """The current version of every snapshot that has one."""
        with Catalog.open(self.data) as catalog:
            entries = catalog.entries()
        return {
            cell: version_files.read(self.data, entry.number, entry.version)
            for cell, entry in entries.items()
            if entry.version
        }

    def versions(self) -> dict[str, int]:
        """The current version's number by organisation and period."""
        return {" ".join(cell): version.version for cell, version in self.published().items()}

    def files(self) -> set[str]:
        """What lies on disk beside the exports, without the catalog and the locks."""
        paths = (path for path in self.data.rglob("*") if path.is_file())
        names = (path.relative_to(self.data).as_posix() for path in paths)
        return {name for name in names if name.startswith(("snapshots/", "quarantine/"))}


def became(night: Night) -> dict[str, str]:
    """What became of each snapshot in a night, by organisation and period; the first if twice."""
    return {
        f"{one.org_id} {one.reporting_period_id}": one.outcome for one in reversed(night.outcomes)
    }


def computed(night: Night) -> set[str]:
    """The cells that a night computed."""
    return {cell for cell, what in became(night).items() if what == "computed"}


def sums(versions: Iterable[Version]) -> list[int]:
    """The rows that each version accounts for."""
    return [sum(version.ledger.values()) for version in versions]
