"""The types that a column may have."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipeline.model import columns
from tests.given import CELL, TYPES, DataFolder, cells, export, ledger, ledgers, people, row

if TYPE_CHECKING:
    from pathlib import Path

INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
TEXTS = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()),
]


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_an_integer_id_is_the_same_as_its_decimal_string(
    engine: str, data: Path, kind: Any
) -> None:
    numbers = {"org_id": 1, "activity_id": 12, "participant_id": 7}
    integers = dict.fromkeys(numbers, kind)
    export(data, [row(**numbers), row(**numbers | {"participant_id": 8})], types=integers)
    export(data, [row(**{name: str(number) for name, number in numbers.items()})], "b.parquet")
    counted = cells(engine, data)[("1", "rp-2024-q4")]
    assert ledger(counted.ledger) == {"counted": 2, "superseded": 1}
    assert counted.total["people"] == 2


def test_the_widest_integers_keep_every_digit(engine: str, data: Path) -> None:
    widest, next_to_it = 2**64 - 1, 2**64 - 2
    export(
        data,
        [row(participant_id=number) for number in (widest, next_to_it)],
        types={"participant_id": pa.uint64()},
    )
    export(data, [row(participant_id="18446744073709551615")], "b.parquet")
    export(data, [row(participant_id=-7)], "c.parquet", types={"participant_id": pa.int64()})
    export(data, [row(participant_id="-7")], "d.parquet")
    counted = cells(engine, data)[CELL]
    assert ledger(counted.ledger) == {"counted": 3, "superseded": 2}
    assert counted.total["people"] == 3


def test_a_string_with_a_leading_zero_is_another_participant(engine: str, data: Path) -> None:
    export(data, [row(participant_id="07"), row(participant_id="7"), row(participant_id="7.0")])
    assert cells(engine, data)[CELL].total["people"] == 3


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_a_text_may_be_a_string_of_any_width_or_a_dictionary(
    engine: str, data: Path, kind: Any
) -> None:
    columns = ("org_id", "activity_id", "participant_id", "bufdir_category", "status")
    rows = [row(status="completed"), row(participant_id="p2", status="no_show"), row(status=None)]
    export(data, rows, types=dict.fromkeys(columns, kind))
    export(data, people(1), "b.parquet")
    assert ledgers(engine, data) == {
        "rp-2024-q4": {"counted": 1, "superseded": 2, "not_completed": 1}
    }


@pytest.mark.parametrize(
    "kind",
    [
        pa.float16(),
        pa.float32(),
        pa.float64(),
        *INTEGERS,
        pa.decimal128(5, 2),
        pa.decimal128(38, 9),
    ],
    ids=str,
)
def test_hours_may_be_any_float_integer_or_decimal(engine: str, data: Path, kind: Any) -> None:
    value = Decimal(3) if pa.types.is_decimal(kind) else 3
    rows = people(2, hours=value)
    rows.append(row(participant_id="p3", hours=None))
    export(data, rows, types={"hours": kind})
    counted = cells(engine, data)[CELL]
    assert counted.total["seconds"] == 2 * 3 * 3600
    assert ledger(counted.ledger) == {"counted": 2, "hours_missing": 1}


@pytest.mark.parametrize("kind", [pa.decimal32(5, 2), pa.decimal64(12, 2)], ids=str)
def test_hours_may_be_a_narrow_decimal(engine: str, data: Path, kind: Any) -> None:
    export(data, people(2, hours=Decimal("1.25")), types={"hours": kind})
    assert cells(engine, data)[CELL].total["seconds"] == 9000


@pytest.mark.parametrize("column", ["updated_at", "status", "deleted"])
def test_an_optional_column_may_be_all_null_and_without_a_type(
    engine: str, data: Path, column: str
) -> None:
    export(data, [row(**{column: None})], types={column: pa.null()})
    expected = "not_completed" if column == "status" else "counted"
    assert ledgers(engine, data) == {"rp-2024-q4": {expected: 1}}


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ("org_id", "missing_org_id"),
        ("activity_id", "missing_activity_id"),
        ("participant_id", "missing_participant_id"),
        ("started_at", "missing_started_at"),
        ("bufdir_category", "unknown_category"),
        ("hours", "hours_missing"),
    ],
)
def test_a_required_column_without_a_type_holds_nulls(
    folder: DataFolder, column: str, reason: str
) -> None:
    folder.export([row(**{column: None})], types={column: pa.null()})
    result = folder.nightly()
    assert result.refused == {}
    assert ledger(result.ledger) == {reason: 1}


def test_the_types_of_this_test_are_those_of_every_column() -> None:
    assert set(TYPES) == {column.name for column in columns.COLUMNS}
