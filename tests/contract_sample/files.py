"""The sample that ships: small real exports whose numbers are planned.

Each cell is planned as participations, activities, hours and people. Then people, times and
lengths are found that give exactly these. Rows that must not count are added: statements
that were corrected, participations that were withdrawn, and dirt of every kind. Three systems
write the files, each with types of its own.

Run as `python -m tests.contract_sample.files DIR`; the rows are the same every time.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract_sample.participations import Row
from tests.contract_sample.exports import LATE, exports, late

ZONE: Final = ZoneInfo("Europe/Oslo")


def write(folder: Path) -> list[Path]:
    """Write `exports` and `late` below a folder."""
    files = {f"exports/{name}": rows for name, rows in exports().items()}
    files[f"late/{LATE}"] = late()
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(name, rows), path, compression="zstd")
    return [folder / name for name in files]


def table(name: str, rows: Sequence[Row]) -> pa.Table:
    if "aktivitetsbok" in name:
        return activity_book(rows)
    if "medlemsregister" in name:
        return member_register(rows)
    return case_system(rows)


def case_system(rows: Sequence[Row]) -> pa.Table:
    """Strings, instants of UTC, floats."""
    text, instant = pa.string(), pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "org_id": pa.array([row.org_id for row in rows], text),
            "activity_id": pa.array([row.activity_id for row in rows], text),
            "participant_id": pa.array([row.participant_id for row in rows], text),
            "bufdir_category": pa.array([row.category for row in rows], text),
            "started_at": pa.array([utc(row.wall) for row in rows], instant),
            "hours": pa.array([row.hours for row in rows], pa.float64()),
            "updated_at": pa.array([utc(row.updated) for row in rows], instant),
            "status": pa.array([row.status for row in rows], text),
            "deleted": pa.array([row.deleted for row in rows], pa.bool_()),
        }
    )


def activity_book(rows: Sequence[Row]) -> pa.Table:
    """Dictionaries, the wall clock, decimals, columns in another order and one of its own."""
    text, wall = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ms")
    hours = [None if row.hours is None else Decimal(str(row.hours)) for row in rows]
    return pa.table(
        {
            "started_at": pa.array([row.wall for row in rows], wall),
            "hours": pa.array(hours, pa.decimal128(6, 2)),
            "municipality": pa.array(["0301" for _ in rows], text),
            "org_id": pa.array([row.org_id for row in rows], text),
            "activity_id": pa.array([row.activity_id for row in rows], text),
            "participant_id": pa.array([row.participant_id for row in rows], text),
            "bufdir_category": pa.array([row.category for row in rows], text),
            "status": pa.array([row.status for row in rows], text),
            "updated_at": pa.array([row.updated for row in rows], wall),
            # Null does not withdraw anything; this system has no other value for it.
            "deleted": pa.array([row.deleted or None for row in rows], pa.bool_()),
        }
    )


def member_register(rows: Sequence[Row]) -> pa.Table:
    """Integers, dates, and nothing that is optional."""
    return pa.table(
        {
            "participant_id": pa.array([number(row.participant_id) for row in rows], pa.int32()),
            "activity_id": pa.array([number(row.activity_id) for row in rows], pa.int64()),
            "org_id": pa.array([row.org_id for row in rows], pa.string()),
            "bufdir_category": pa.array([row.category for row in rows], pa.string()),
            "started_at": pa.array([row.wall and row.wall.date() for row in rows], pa.date32()),
            "hours": pa.array([number(row.hours) for row in rows], pa.int16()),
        }
    )


def number(value: str | float | None) -> int | None:
    return None if value is None else int(value)


def utc(wall: datetime | None) -> datetime | None:
    return wall and wall.replace(tzinfo=ZONE).astimezone(UTC)


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)  # noqa: T201 what a script is for
