"""Sample exports of any size, in the shape that two years of real ones have.

Owns the invention: which groups meet when, who comes back week after week, what is corrected
later and what is dirt. Every row follows from the seed and its own place, so that rows are made
range by range and memory stays flat. Refuses to write beside exports that are already there.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    UPDATED_AT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_ZONE: Final = ZoneInfo("Europe/Oslo")
_FIRST_DAY: Final = date(2023, 1, 2)  # a Monday; 104 weeks from here end before 2025 begins
_WEEKS: Final = 104
_SECOND: Final = 1_000_000  # instants are microseconds
_QUARTER_HOUR: Final = 900 * _SECOND
_DAY: Final = 96 * _QUARTER_HOUR

_ROW_GROUP: Final = 250_000
_ONE_IN: Final = 100  # rows to one correction, and rows to one of dirt
_GROUP_ROWS: Final = 600  # participations of one group in two years, at least
_MEETINGS_A_MEMBER: Final = 4  # after so many, one member leaves and another joins
_SMALLEST: Final = 3
_LARGEST: Final = 30

_CATEGORIES: Final = {
    "foreldre_barn": 0.3,
    "ungdom": 0.4,
    "eldre": 0.18,
    "funksjonsnedsettelse": 0.12,
}
"""The share of groups in each category."""
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_SCHEMA: Final = pa.schema(
    {
        ORG_ID: pa.string(),
        ACTIVITY_ID: pa.string(),
        PARTICIPANT_ID: pa.string(),
        CATEGORY: pa.string(),
        STARTED_AT: _INSTANT,
        HOURS: pa.float64(),
        UPDATED_AT: _INSTANT,
        STATUS: pa.string(),
        DELETED: pa.bool_(),
    }
)

_DIRT: Final[tuple[tuple[str, Any], ...]] = (
    *((ORG_ID, value) for value in (None, "", "org 1")),
    *((ACTIVITY_ID, value) for value in (None, "")),
    *((PARTICIPANT_ID, value) for value in (None, "")),
    *((CATEGORY, value) for value in (None, "annet")),
    *((STARTED_AT, year and datetime(year, 1, 1, tzinfo=UTC)) for year in (None, 1970, 2204)),
    *((HOURS, value) for value in (None, float("nan"), float("inf"), -1.5, 150.0)),
    *((STATUS, value) for value in (None, "cancelled", "no_show")),
    (UPDATED_AT, None),
    (DELETED, True),
)
"""What goes wrong with one value of a row, in turn."""

_CORRECTIONS: Final = np.array(
    ["hours", "sent again", "quarter", "hours", "category", "hours", "sent again", "withdrawn"]
)
"""What a later statement changes, in turn."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups that meet weekly for a while, in the order of their hours in the week."""

    organisation: Integers
    participations: Integers
    meetings: Integers
    first_week: Integers
    week_quarter: Integers
    """When the group meets: quarters of an hour since Monday's midnight, local time."""
    category: Integers
    quarters: Integers
    """How long it usually meets: quarters of an hour."""
    spread: Integers
    """By how many people a meeting may be smaller or larger than the group's mean."""
    members: Integers
    """How many belong to it at a time: more than ever come at once."""
    first_person: Integers


@dataclass(frozen=True, slots=True)
class _Statements:
    """Rows of an export while they are still numbers."""

    organisation: Integers
    activity: Integers
    person: Integers
    category: Integers
    started_at: Integers
    quarters: Integers
    updated_at: Integers
    deleted: NDArray[np.bool_]

    def take(self, rows: Integers) -> _Statements:
        return _Statements(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class _Plan:
    """All that is decided before the first row is made."""

    seed: int
    groups: _Groups
    rows: int
    """Without corrections."""
    corrections: int
    week_starts: Integers
    """How many rows come before each week; the last is all of them."""
    clock_offsets: Integers
    """How far the local clock is ahead on each day."""


def write(  # noqa: PLR0913 a sample has as many sides as this
    folder: Path,
    *,
    rows: int,
    organisations: int,
    files: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write exports of exactly so many rows below a folder; the same bytes for the same seed.

    Each file is a stretch of time with every organisation in it, and ends with corrections of
    its own rows and the last file's. One row in a hundred is a correction, and one is dirt.

    Args:
        folder: Made if it is not there.
        rows: Of all files together, corrections and dirt included.
        organisations: Each has at least one row, the first by far the most.
        files: Each has at least one row.
        seed: Zero or more.
        progress: Called with the number of rows just written.

    Returns:
        The files in the order of time, which is the order of their paths.

    Raises:
        ValueError: The numbers do not go together.
        FileExistsError: The folder holds Parquet files, and the numbers would mix.
    """
    _refuse(folder, rows, organisations, files, seed)
    plan = _plan(rows, organisations, files, seed)
    late: list[pa.Table] = []
    paths = []
    for number in range(files):
        places = range(plan.rows * number // files, plan.rows * (number + 1) // files)
        path = folder / _name(plan, places.start, number)
        _write_file(path, _tables(plan, places, late), progress)
        paths.append(path)
    return paths


def _refuse(folder: Path, rows: int, organisations: int, files: int, seed: int) -> None:
    for name, value, least in (("orgs", organisations, 1), ("files", files, 1), ("seed", seed, 0)):
        if value < least:
            msg = f"{name} is {value}; it must be at least {least}"
            raise ValueError(msg)
    if rows < max(organisations, files):
        msg = (
            f"{rows} rows are too few for {organisations} organisations in {files} files; "
            "each needs at least one"
        )
        raise ValueError(msg)
    if any(folder.rglob("*.parquet")):
        msg = f"{folder} already holds Parquet files; choose an empty folder"
        raise FileExistsError(msg)


def _write_file(
    path: Path, tables: Iterator[pa.Table], progress: Callable[[int], None] | None
) -> None:
    """Write under a hidden name; the file gets its own when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    options = {
        "compression": "zstd",
        "store_schema": False,  # as systems that know nothing of Arrow write
        "dictionary_pagesize_limit": 8 * 1024 * 1024,  # room for the people of one row group
    }
    try:
        with pq.ParquetWriter(partial, _SCHEMA, **options) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=_ROW_GROUP)
                if progress is not None:
                    progress(table.num_rows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _tables(plan: _Plan, places: range, late: list[pa.Table]) -> Iterator[pa.Table]:
    """The row groups of one file; takes the corrections due from `late` and leaves others."""
    due = late.copy()
    late.clear()
    for first in range(places.start, places.stop, _ROW_GROUP):
        last = min(first + _ROW_GROUP, places.stop)
        statements = _statements(plan, first, last)
        yield _soiled(_table(statements, plan.seed), plan, first, last)
        corrections = _table(_corrected(statements, plan, first, last), plan.seed)
        soon = corrections.num_rows // (1 if places.stop == plan.rows else 4)
        due.append(corrections.slice(0, soon))
        late.append(corrections.slice(soon))
    if any(table.num_rows for table in due):
        yield pa.concat_tables(due)


def _name(plan: _Plan, first: int, number: int) -> str:
    """The day on which a file begins, in a folder for its year, and a number that sorts."""
    started_at = _statements(plan, first, first + 1).started_at
    day = str(started_at.astype("datetime64[us]")[0])[:10]
    return f"{day[:4]}/{day}-{number + 1:05d}.parquet"


def _plan(rows: int, organisations: int, files: int, seed: int) -> _Plan:
    corrections = min(rows // _ONE_IN, rows - max(organisations, files))
    groups = _groups(rows - corrections, organisations, seed)
    weeks = [int(_attendance(groups, seed, _turn(groups, week)).sum()) for week in range(_WEEKS)]
    # Taken at noon: nobody here meets at night, when the clock is put forward or back.
    noon = datetime.combine(_FIRST_DAY, time(12), _ZONE)
    days = (noon + timedelta(days=day) for day in range(_WEEKS * 7))
    offsets = [(day.utcoffset() or timedelta(0)) // timedelta(microseconds=1) for day in days]
    return _Plan(
        seed=seed,
        groups=groups,
        rows=rows - corrections,
        corrections=corrections,
        week_starts=np.cumsum([0, *weeks]),
        clock_offsets=np.array(offsets, dtype=np.int64),
    )


def _groups(rows: int, organisations: int, seed: int) -> _Groups:
    rng = np.random.default_rng(seed)
    organisation, participations = _shares(rows, organisations, rng)
    count = len(organisation)
    size = rng.integers(6, 21, count)
    meetings = np.clip(np.rint(participations / size).astype(np.int64), 1, _WEEKS)
    mean = participations // meetings
    room = np.minimum(mean - _SMALLEST, _LARGEST - 1 - mean)
    spread = np.clip(room, 0, mean // 2)
    members = (mean + 1 + spread) * 5 // 4
    all_day = rng.integers(0, 10, count) == 0
    quarter_of_day = np.where(all_day, 4 * 9, rng.integers(4 * 9, 4 * 20, count))
    groups = _Groups(
        organisation=organisation,
        participations=participations,
        meetings=meetings,
        first_week=rng.integers(0, _WEEKS, count),
        week_quarter=96 * rng.integers(0, 7, count) + quarter_of_day,
        category=rng.choice(len(_CATEGORIES), count, p=list(_CATEGORIES.values())),
        quarters=np.where(all_day, rng.integers(20, 33, count), rng.integers(4, 13, count)),
        spread=spread,
        members=members,
        first_person=_first_people(organisation, members + meetings // _MEETINGS_A_MEMBER),
    )
    order = np.argsort(groups.week_quarter, kind="stable")
    return _Groups(*(getattr(groups, field.name)[order] for field in fields(groups)))


def _shares(rows: int, organisations: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """For each group its organisation and its participations, which add up to the rows.

    Organisations follow Zipf's law: the tenth has a tenth of what the first has.
    """
    reached = np.cumsum(1 / np.arange(1, organisations + 1))
    edges = np.floor(reached / reached[-1] * (rows - organisations)).astype(np.int64)
    totals = 1 + np.diff(edges, prepend=0)
    parts = np.maximum(1, totals // _GROUP_ROWS)
    organisation = np.repeat(np.arange(organisations), parts)
    part = np.arange(len(organisation)) - np.repeat(np.cumsum(parts) - parts, parts)
    total, count = totals[organisation], parts[organisation]
    moved = np.floor(total / count / 3 * rng.uniform(-1, 1, len(part))).astype(np.int64)
    before = (np.cumsum(totals) - totals)[organisation]
    begin = before + total * part // count + np.where(part == 0, 0, moved)
    return organisation, np.diff(begin, append=rows)


def _first_people(organisation: Integers, people: Integers) -> Integers:
    """Where each group's people begin; neighbours share some, but never two organisations."""
    another_follows = np.diff(organisation, append=-1) != 0
    step = np.where(another_follows, people, people * 5 // 6)
    return np.cumsum(step) - step


def _turn(groups: _Groups, week: int) -> Integers:
    """Which of its meetings a group holds in a week; from their number on, it holds none."""
    return (week - groups.first_week) % _WEEKS


def _attendance(groups: _Groups, seed: int, turn: Integers) -> Integers:
    """How many come to each group's meeting; what one has above the mean, the next has below."""
    rows, meetings, spread = groups.participations, groups.meetings, groups.spread
    even = rows * (turn + 1) // meetings - rows * turn // meetings
    above = _scatter(groups.first_person * _WEEKS + turn // 2, seed) % (2 * spread + 1) - spread
    has_partner = turn // 2 * 2 + 1 < meetings
    come = even + np.where(has_partner, np.where(turn % 2 == 0, above, -above), 0)
    return np.where(turn < meetings, come, 0)


def _statements(plan: _Plan, first: int, last: int) -> _Statements:
    """The rows of a range of places, which runs through the weeks in the order of time."""
    begin, end = np.searchsorted(plan.week_starts, (first, last - 1), side="right")
    parts = [_week(plan, week, first, last) for week in range(int(begin) - 1, int(end))]
    columns = ([getattr(part, field.name) for part in parts] for field in fields(_Statements))
    return _Statements(*(np.concatenate(column) for column in columns))


def _week(plan: _Plan, week: int, first: int, last: int) -> _Statements:
    """The part of a range of places that lies in one week."""
    groups, start = plan.groups, int(plan.week_starts[week])
    turn = _turn(groups, week)
    attendance = _attendance(groups, plan.seed, turn)
    ends = np.cumsum(attendance)
    place = np.arange(max(first - start, 0), min(last - start, int(ends[-1])))
    group = np.searchsorted(ends, place, side="right")
    seat = place - (ends - attendance)[group]

    activity = group * _WEEKS + week
    chance = _scatter(activity, plan.seed)
    started_at = _started_at(plan, week)[group]
    quarters = groups.quarters[group]
    gone = turn[group] // _MEETINGS_A_MEMBER
    return _Statements(
        organisation=groups.organisation[group],
        activity=activity,
        person=groups.first_person[group] + gone + (seat + chance) % groups.members[group],
        category=groups.category[group],
        started_at=started_at,
        quarters=quarters - np.where((seat + chance) % 7 == 0, 1 + seat % 3, 0),  # left early
        updated_at=started_at + quarters * _QUARTER_HOUR + chance % (48 * 3600) * _SECOND,
        deleted=np.zeros(len(place), dtype=np.bool_),
    )


def _started_at(plan: _Plan, week: int) -> Integers:
    """When each group meets in a week."""
    monday = ((_FIRST_DAY - date(1970, 1, 1)).days + 7 * week) * _DAY
    day = 7 * week + plan.groups.week_quarter // 96
    return monday + plan.groups.week_quarter * _QUARTER_HOUR - plan.clock_offsets[day]


def _corrected(statements: _Statements, plan: _Plan, first: int, last: int) -> _Statements:
    """Later statements of some of these rows: the same keys, up to two months afterwards."""
    begin, end = (plan.corrections * place // plan.rows for place in (first, last))
    rng = np.random.default_rng((plan.seed, first, 1))
    old = statements.take(np.sort(rng.choice(last - first, end - begin, replace=False)))
    change = _CORRECTIONS[np.arange(begin, end) % len(_CORRECTIONS)]
    moved = np.where(old.activity % _WEEKS < _WEEKS // 2, 13 * 7, -13 * 7) * _DAY
    return replace(
        old,
        category=(old.category + (change == "category")) % len(_CATEGORIES),
        started_at=old.started_at + np.where(change == "quarter", moved, 0),
        quarters=old.quarters + 2 * (change == "hours"),
        updated_at=old.updated_at + rng.integers(1, 60 * 86_400, len(change)) * _SECOND,
        deleted=change == "withdrawn",
    )


def _scatter(numbers: Integers, seed: int) -> Integers:
    """Other numbers below 2**48 that look like chance; different ones stay different.

    An odd factor and a shifted xor can both be undone, so no two numbers fall together.
    """
    mask, shift = np.uint64(2**48 - 1), np.uint64(23)
    mixed = numbers.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**48)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = mixed * np.uint64(factor) & mask
        mixed ^= mixed >> shift
    return mixed.astype(np.int64)


def _table(statements: _Statements, seed: int) -> pa.Table:
    count = len(statements.activity)
    columns = {
        ORG_ID: _numbered("org", statements.organisation + 1),
        ACTIVITY_ID: _numbered("act", statements.activity + 1),
        PARTICIPANT_ID: _pseudonyms(_scatter(statements.person, seed)),
        CATEGORY: pa.array(list(_CATEGORIES), pa.string()).take(pa.array(statements.category)),
        STARTED_AT: pa.array(statements.started_at).cast(_INSTANT),
        HOURS: pa.array(statements.quarters / 4),
        UPDATED_AT: pa.array(statements.updated_at).cast(_INSTANT),
        STATUS: pa.repeat(COMPLETED, count),
        DELETED: pa.array(statements.deleted),
    }
    return pa.table(columns, schema=_SCHEMA)


def _numbered(prefix: str, numbers: Integers) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 5, "0")
    return pc.binary_join_element_wise(prefix, digits, "-")


def _pseudonyms(numbers: Integers) -> pa.Array:
    """Twelve hexadecimal digits for each number below 2**48."""
    six_bytes = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    digits = six_bytes.tobytes().hex().encode()
    return pa.array(np.frombuffer(digits, dtype="S12"), pa.string())


def _soiled(table: pa.Table, plan: _Plan, first: int, last: int) -> pa.Table:
    """The same rows, one in a hundred with one value spoilt."""
    kind = np.arange(first // _ONE_IN, last // _ONE_IN) % len(_DIRT)
    rng = np.random.default_rng((plan.seed, first, 2))
    rows = np.sort(rng.choice(last - first, len(kind), replace=False))
    for field in _SCHEMA:
        values = pa.array([v if name == field.name else None for name, v in _DIRT], field.type)
        mine = np.array([name == field.name for name, _ in _DIRT])[kind]
        mask = np.zeros(last - first, dtype=np.bool_)
        mask[rows[mine]] = True
        spoilt = pc.replace_with_mask(
            table[field.name].combine_chunks(), pa.array(mask), values.take(pa.array(kind[mine]))
        )
        table = table.set_column(table.schema.get_field_index(field.name), field, spoilt)
    return table
