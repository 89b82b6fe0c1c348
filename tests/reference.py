"""The rules once more, row by row: slow, obvious, without any code of the pipeline.

An oracle for tests. It reads whole files into Python objects, has instants as integer
nanoseconds and hours as fractions, and loops. It expects files that would not be refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
ORGANISATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
COUNTED: Final = "counted"
REASONS: Final = (
    "missing_org_id",
    "missing_activity_id",
    "missing_participant_id",
    "missing_started_at",
    "invalid_org_id",
    "started_at_out_of_range",
    "superseded",
    "deleted",
    "not_completed",
    "unknown_category",
    "hours_missing",
    "hours_not_finite",
    "hours_negative",
    "hours_too_long",
)
MONTHS: Final = {"year": 12, "half-year": 6, "tertial": 4, "quarter": 3, "month": 1}
LETTERS: Final = {"half-year": "h", "tertial": "t", "quarter": "q", "month": "m"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the count; only the mapping of columns leads from our names to theirs."""

    timezone: str = "Europe/Oslo"
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our column to theirs."""
    category_mapping: Mapping[str, str] = field(default_factory=dict)
    """Their category to ours."""
    categories: tuple[str, ...] = ("foreldre_barn", "ungdom", "eldre", "funksjonsnedsettelse")
    max_hours: float = 24

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an export; instants in nanoseconds since 1970, UTC."""

    file: str
    org_id: str | None
    activity_id: str | None
    participant_id: str | None
    category: str | None
    """After the mapping."""
    started_at: int | None
    hours: Fraction | float | None
    """A float only where it is not finite."""
    updated_at: int | None
    status: str | None
    deleted: bool | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row and its verdict: `counted`, or the reason why it is not."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of some rows."""

    participations: int
    people: int
    seconds: int
    activities: int

    @property
    def hours(self) -> Fraction:
        return Fraction(self.seconds, 3600)


@dataclass(frozen=True, slots=True)
class Cell:
    """One organisation in one period."""

    total: Numbers
    categories: Mapping[str, Numbers]
    """All categories, zeros included."""
    ledger: Mapping[str, int]
    """Rows for `counted` and for each reason that occurs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All cells, by organisation and period id, and the rows that belong to none."""

    cells: Mapping[tuple[str, str], Cell]
    rows_without_cell: Mapping[str, int]


def outcome(folder: Path, kind: str = "quarter", settings: Settings | None = None) -> Outcome:
    """Read, validate and count all exports below a folder."""
    settings = settings or Settings()
    return count(validate_all(read_rows(folder, settings), settings), kind, settings)


def read_rows(folder: Path, settings: Settings) -> list[Row]:
    """Read all rows of all files at any depth, in the order of the files' paths."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.parquet")}
    return [row for name in sorted(paths) for row in read_file(paths[name], name, settings)]


def read_file(path: Path, name: str, settings: Settings) -> list[Row]:
    with pq.ParquetFile(path) as file:
        table = file.read()

    def column(name: str) -> Any:
        theirs = settings.columns.get(name, name)
        return table[theirs] if theirs in table.column_names else pa.nulls(table.num_rows)

    has_status = settings.columns.get("status", "status") in table.column_names
    columns = zip(
        texts(column("org_id")),
        texts(column("activity_id")),
        texts(column("participant_id")),
        [ours(category, settings) for category in texts(column("bufdir_category"))],
        instants(column("started_at"), settings.zone),
        [exact(value) for value in column("hours").to_pylist()],
        instants(column("updated_at"), settings.zone),
        # A system that has no statuses exports what took place.
        texts(column("status")) if has_status else ["completed"] * table.num_rows,
        column("deleted").to_pylist(),
        strict=True,
    )
    return [Row(name, *values) for values in columns]


def texts(column: Any) -> list[str | None]:
    """Strings as they are; integers as their decimal strings."""
    return [None if value is None else str(value) for value in column.to_pylist()]


def ours(category: str | None, settings: Settings) -> str | None:
    return None if category is None else settings.category_mapping.get(category, category)


def instants(column: Any, zone: ZoneInfo) -> list[int | None]:
    dtype = column.type
    if pa.types.is_null(dtype):
        return [None] * len(column)
    if pa.types.is_date32(dtype):
        column, unit, zoned = column.cast(pa.int32()), 86_400 * 10**9, False
    elif pa.types.is_date64(dtype):
        unit, zoned = NANOSECONDS["ms"], False
    else:
        unit, zoned = NANOSECONDS[dtype.unit], dtype.tz is not None
    ticks = column.cast(pa.int64()).to_pylist()
    times = [None if tick is None else tick * unit for tick in ticks]
    return times if zoned else [None if t is None else from_wall_clock(t, zone) for t in times]


def from_wall_clock(reading: int, zone: ZoneInfo) -> int:
    """Return the instant at which a wall clock shows this, in nanoseconds.

    Python takes the first of two occurrences, and what the clock skips as if it had not been
    put forward yet, which is one hour later.
    """
    seconds, rest = divmod(reading, 10**9)
    try:
        wall = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 a wall clock
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:  # far outside all periods, where an hour is of no account
        return reading
    return (instant - EPOCH) // timedelta(seconds=1) * 10**9 + rest


def exact(value: Any) -> Fraction | float | None:
    """Hours as the decimal that their double is written as."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return value
    return Fraction(repr(float(value)))


def validate_all(rows: Iterable[Row], settings: Settings) -> list[Verdict]:
    """Return every row with its verdict, in no order."""
    verdicts = []
    for row, reason in mark_latest(rows, settings):
        verdicts.append(Verdict(row, reason or validate(row, settings) or COUNTED))
    return verdicts


def mark_latest(rows: Iterable[Row], settings: Settings) -> list[tuple[Row, str | None]]:
    """Return every row, with a reason if it is incomplete or superseded by a later one."""
    found: list[tuple[Row, str | None]] = []
    statements: dict[tuple[str | None, ...], list[Row]] = {}
    for row in rows:
        reason = incomplete(row, settings)
        if reason:
            found.append((row, reason))
        else:
            key = (row.org_id, row.activity_id, row.participant_id)
            statements.setdefault(key, []).append(row)
    for same in statements.values():
        *older, latest = sorted(same, key=latest_by)
        found.append((latest, None))
        found.extend((row, "superseded") for row in older)
    return found


def latest_by(row: Row) -> tuple[Any, ...]:
    """Return the sort key of a statement; the greatest is the latest."""
    return (
        null_least(row.updated_at),
        row.file,
        null_least(row.category),
        null_least(row.started_at),
        null_least(row.hours),
        null_least(row.status),
        null_least(row.deleted),
    )


def null_least(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, float) and math.isnan(value):
        return (2,)
    return (1, value)


def incomplete(row: Row, settings: Settings) -> str | None:  # noqa: PLR0911 one line a reason
    if not row.org_id:
        return "missing_org_id"
    if not row.activity_id:
        return "missing_activity_id"
    if not row.participant_id:
        return "missing_participant_id"
    if row.started_at is None:
        return "missing_started_at"
    if not ORGANISATION.fullmatch(row.org_id):
        return "invalid_org_id"
    if not in_range(row.started_at, settings.zone):
        return "started_at_out_of_range"
    return None


def in_range(instant: int, zone: ZoneInfo) -> bool:
    return year_start(2000, zone) <= instant < year_start(2101, zone)


@cache
def year_start(year: int, zone: ZoneInfo) -> int:
    return int(datetime(year, 1, 1, tzinfo=zone).timestamp()) * 10**9


def validate(row: Row, settings: Settings) -> str | None:  # noqa: PLR0911 one line a reason
    """Return the first reason why a latest statement does not count; None if it counts."""
    if row.deleted:
        return "deleted"
    if row.status != "completed":
        return "not_completed"
    if row.category not in settings.categories:
        return "unknown_category"
    if row.hours is None:
        return "hours_missing"
    if not math.isfinite(row.hours):
        return "hours_not_finite"
    if row.hours < 0:
        return "hours_negative"
    if row.hours > settings.max_hours:
        return "hours_too_long"
    return None


def count(verdicts: Iterable[Verdict], kind: str, settings: Settings) -> Outcome:
    """Count every organisation and period that has a row, counted or not."""
    cells: dict[tuple[str, str], list[Verdict]] = {}
    rows_without_cell: Counter[str] = Counter()
    for verdict in verdicts:
        place = cell_of(verdict.row, kind, settings)
        if place is None:
            rows_without_cell[verdict.reason] += 1
        else:
            cells.setdefault(place, []).append(verdict)
    return Outcome(
        {place: cell(cells[place], settings) for place in sorted(cells)}, rows_without_cell
    )


def cell_of(row: Row, kind: str, settings: Settings) -> tuple[str, str] | None:
    """Return the cell of a row; none without a valid organisation and time."""
    if not row.org_id or not ORGANISATION.fullmatch(row.org_id):
        return None
    if row.started_at is None or not in_range(row.started_at, settings.zone):
        return None
    return row.org_id, period_id(row.started_at, kind, settings.zone)


def period_id(instant: int, kind: str, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(instant // 10**9, zone)
    part = (local.month - 1) // MONTHS[kind] + 1
    return f"rp-{local.year}" + (f"-{LETTERS[kind]}{part}" if kind in LETTERS else "")


def cell(verdicts: list[Verdict], settings: Settings) -> Cell:
    counted = [verdict.row for verdict in verdicts if verdict.reason == COUNTED]
    categories = {
        category: numbers([row for row in counted if row.category == category])
        for category in settings.categories
    }
    return Cell(numbers(counted), categories, Counter(verdict.reason for verdict in verdicts))


def numbers(rows: list[Row]) -> Numbers:
    return Numbers(
        participations=len(rows),
        people=len({row.participant_id for row in rows}),
        seconds=sum(whole_seconds(row.hours) for row in rows),
        activities=len({row.activity_id for row in rows}),
    )


def whole_seconds(hours: Fraction | float | None) -> int:
    """Rounded half up."""
    return math.floor(Fraction(hours or 0) * 3600 + Fraction(1, 2))
