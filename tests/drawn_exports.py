"""Exports drawn by Hypothesis, with every type and every kind of dirt."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
from hypothesis import strategies as st

from tests import given as exports
from tests.given import write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.model.cells import CellNumbers

Cells = dict[tuple[str, str], dict[str, Any]]
MAPPING: Final = {"Klubb": "ungdom", "Treff": "eldre", "": "funksjonsnedsettelse"}
CHOSEN: Final = exports.settings(export={"categories": MAPPING})
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TEXT_TYPES: Final = (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
ID_TYPES: Final = (*TEXT_TYPES, pa.int16(), pa.uint64())
ZONED_TYPES: Final = (
    *(pa.timestamp(unit, "UTC") for unit in ("ms", "us", "ns")),
    pa.timestamp("ns", "America/New_York"),
    pa.timestamp("us", "+02:00"),
)
INSTANT_TYPES: Final = (
    *ZONED_TYPES,
    *(pa.timestamp(unit) for unit in ("s", "us", "ns")),
    pa.date32(),
)
HOUR_TYPES: Final = (pa.float64(), pa.float32(), pa.int16(), pa.decimal128(9, 4))
MOMENTS: Final = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2024-11-05T17:00:00",
        "2024-09-30T21:59:59",
        "2024-09-30T22:00:00",
        "2024-09-30T23:30:00",
        "2024-12-31T22:59:59",
        "2024-12-31T23:00:00",
        "2025-01-01T00:00:00",
        "2024-10-27T00:30:00",
        "2024-10-27T02:30:00",
        "2024-03-31T02:30:00",
    )
]
FAR_MOMENTS: Final = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "1999-12-31T22:59:59",
        "1999-12-31T23:00:00",
        "2100-12-31T22:59:59",
        "2100-12-31T23:00:00",
        "1924-01-01T00:00:00",
    )
]
HOURS: Final = [0.0, -0.0, 0.1, 0.25, 1.5, 2.0, 1 / 3, 24.0, 24.25, -1.0, -0.5, None]
NOT_FINITE: Final = [math.nan, math.inf, -math.inf]
NANOSECONDS: Final = (0, 0, 0, 1, 999, 1000)


@dataclass(frozen=True)
class Drawn:
    """One file: its columns as Arrow arrays."""

    table: Any
    row_group_size: int

    def __repr__(self) -> str:
        """Return the rows, which Hypothesis shows when a test fails."""
        return f"{self.table.schema}\n{self.table.to_pylist()}"


def column(values: st.SearchStrategy[Any], kind: Any, rows: int) -> st.SearchStrategy[Any]:
    drawn = st.lists(values, min_size=rows, max_size=rows)
    return drawn.map(lambda found: pa.array(found, kind))


def ids(kind: Any, texts: Sequence[str | None]) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(kind):
        return st.sampled_from([int(text) for text in texts if text and text.isdecimal()] + [None])
    return st.sampled_from(texts)


def instants(kind: Any, near: Sequence[datetime]) -> st.SearchStrategy[Any]:
    """Ticks of the type, some of them a few nanoseconds after a whole second."""
    if pa.types.is_date(kind):
        return st.sampled_from([*(moment.date() for moment in near), None])
    second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
    moments = st.sampled_from([*near, None])
    beyond = st.sampled_from(NANOSECONDS)
    return st.builds(
        lambda moment, rest: moment and int(moment.timestamp()) * second + rest * second // 10**9,
        moments,
        beyond,
    )


def times(kind: Any, moments: Sequence[datetime], rows: int) -> st.SearchStrategy[Any]:
    if pa.types.is_date(kind):
        return column(instants(kind, moments), kind, rows)
    return column(instants(kind, moments), pa.int64(), rows).map(lambda ticks: ticks.cast(kind))


def hours(kind: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_floating(kind):
        return st.sampled_from([*HOURS, *NOT_FINITE])
    if pa.types.is_integer(kind):
        return st.sampled_from([0, 1, 2, 24, 25, -1, None])
    return st.sampled_from(
        [None if h is None else Decimal(round(h * 10**4)).scaleb(-4) for h in HOURS]
    )


@st.composite
def files(draw: st.DrawFn, *, most_rows: int = 12, clocks: bool = False) -> Drawn:
    """Draw a file in one of the forms that exports have, with every kind of dirt.

    Wall-clock times, and a span of centuries, take a while to read, so they are
    drawn where they matter.
    """
    instant_types = INSTANT_TYPES if clocks else ZONED_TYPES
    moments = [*MOMENTS, *FAR_MOMENTS] if clocks else MOMENTS
    rows = draw(st.integers(0, most_rows))
    kinds = {
        name: draw(st.sampled_from(ID_TYPES))
        for name in ("org_id", "activity_id", "participant_id")
    }
    some = ["1", "2", None, "", "org 1"]
    columns = {
        "org_id": column(ids(kinds["org_id"], ["1", *some]), kinds["org_id"], rows),
        "activity_id": column(
            ids(kinds["activity_id"], ["1", "1", "2", None, ""]), kinds["activity_id"], rows
        ),
        "participant_id": column(
            ids(kinds["participant_id"], ["1", "2", "3", None, ""]), kinds["participant_id"], rows
        ),
        "bufdir_category": column(
            st.sampled_from(["ungdom", "eldre", "Klubb", "Treff", "sport", "", None]),
            draw(st.sampled_from(TEXT_TYPES)),
            rows,
        ),
        "started_at": times(draw(st.sampled_from(instant_types)), moments, rows),
    }
    hour_type = draw(st.sampled_from(HOUR_TYPES))
    columns["hours"] = column(hours(hour_type), hour_type, rows)
    optional = {
        "updated_at": times(draw(st.sampled_from(instant_types)), moments, rows),
        "status": column(
            st.sampled_from(["completed", "completed", "cancelled", "", None]),
            draw(st.sampled_from(TEXT_TYPES)),
            rows,
        ),
        "deleted": column(st.sampled_from([None, False, True]), pa.bool_(), rows),
    }
    columns |= {name: values for name, values in optional.items() if draw(st.booleans())}
    order = draw(st.permutations(sorted(columns)))
    table = pa.table({name: draw(columns[name]) for name in order})
    return Drawn(table, draw(st.integers(1, 8)))


many_files = st.lists(files(), min_size=1, max_size=4)
files_of_any_clock = st.lists(files(clocks=True), min_size=1, max_size=3)


@contextmanager
def written(drawn: Sequence[Drawn]) -> Iterator[Path]:
    """Write the files as exports of a data folder, named in their order."""
    with TemporaryDirectory() as folder:
        for place, file in enumerate(drawn):
            write(Path(folder), file.table, f"{place}.parquet", row_group_size=file.row_group_size)
        yield Path(folder)


def plain(found: CellNumbers) -> dict[str, Any]:
    return {
        "total": msgspec.to_builtins(found.total),
        "categories": {
            name: msgspec.to_builtins(share) for name, share in found.categories.items()
        },
        "ledger": exports.ledger(found.ledger),
    }
