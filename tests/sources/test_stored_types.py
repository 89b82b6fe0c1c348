"""Every legal way to write a type, and columns of other systems next to ours."""

from __future__ import annotations

import struct
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from pipeline.engines.polars import scan
from pipeline.sources import batches
from tests.given import (
    CELL,
    DataFolder,
    cells,
    export,
    ledger,
    ledgers,
    opened,
    people,
    read,
    row,
    scan_request,
    settings,
    table,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

ENCODINGS = ("PLAIN", "DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT")
IDS = [UUID("0a1b2c3d-0000-4000-8000-00000000000f"), UUID(int=2**128 - 1)]
ENUM, STRING = b"\x25\x08\x4c\x4c\x00\x00", b"\x25\x00\x4c\x1c\x00\x00"
"""The annotations of a column in a footer, as parquet.thrift writes them."""


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "kind", [pa.decimal128(9, 4), pa.decimal128(38, 9), pa.decimal256(76, 20)], ids=str
)
def test_a_decimal_is_read_in_every_width_and_encoding(
    engine: str, data: Path, kind: Any, encoding: str
) -> None:
    rows = [*people(2, hours=Decimal("1.25")), row(participant_id="p3", hours=None)]
    encoded: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"hours": encoding}}
    export(data, rows, types={"hours": kind}, **encoded)
    counted = cells(engine, data)[CELL]
    assert counted.total["seconds"] == 9000
    assert ledger(counted.ledger) == {"counted": 2, "hours_missing": 1}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_half_precision_number_is_read_in_every_encoding(
    engine: str, data: Path, encoding: str
) -> None:
    encoded: dict[str, Any] = {"use_dictionary": False, "column_encoding": {"hours": encoding}}
    export(data, people(2, hours=1.5), types={"hours": pa.float16()}, **encoded)
    assert cells(engine, data)[CELL].total["seconds"] == 10_800


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_uuid_is_the_same_as_its_text(engine: str, data: Path, encoding: str) -> None:
    ids = pa.array([*(one.bytes for one in IDS), None], pa.uuid())
    written = table([*people(3)]).set_column(2, "participant_id", ids)
    encoded: dict[str, Any] = {
        "use_dictionary": False,
        "column_encoding": {"participant_id": encoding},
    }
    write(data, written, **encoded)
    export(data, [row(participant_id=str(one)) for one in IDS], "b.parquet")
    counted = cells(engine, data)[CELL]
    assert ledger(counted.ledger) == {
        "counted": 2,
        "superseded": 2,
        "missing_participant_id": 1,
    }
    assert counted.total["people"] == 2


def test_an_enum_is_text(engine: str, data: Path) -> None:
    path = export(data, people(2), use_dictionary=False, store_schema=False)
    path.write_bytes(path.read_bytes().replace(STRING, ENUM))
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 2}}


def test_parts_of_a_file_that_arrow_reads_are_its_rows_in_their_order(data: Path) -> None:
    ids = [UUID(int=number) for number in range(5000)]
    column = pa.array([one.bytes for one in ids], pa.uuid())
    written = table(people(5000)).set_column(2, "participant_id", column)
    write(data, written, row_group_size=700)
    (part,) = scan.whole(scan_request(data).exports)
    for first, rows in ((0, 5000), (0, 1), (699, 2), (4321, 679), (1400, 700), (10, 0)):
        piece = [scan.Split(part.export, first, rows)]
        found = scan.scan(piece, scan_request(data)).rows.collect()
        assert found["participant_id"].to_list() == [str(one) for one in ids[first:][:rows]]
        assert found["row"].to_list() == list(range(first, first + rows))


@drawn(st.lists(st.decimals(0, 24, places=20), min_size=1))
def test_arrow_gives_the_double_next_to_a_decimal(values: list[Decimal]) -> None:
    column = pa.array(values, pa.decimal256(50, 20))
    converted = batches.raw(column, column.type).to_pylist()
    assert converted == [float(value) for value in values]


@drawn(st.lists(st.decimals(0, 24, places=9), min_size=1))
def test_polars_gives_the_double_next_to_a_decimal(values: list[Decimal]) -> None:
    column = pl.Series(values, dtype=pl.Decimal(38, 9)).cast(pl.Float64)
    assert column.to_list() == [float(value) for value in values]


def test_days_may_be_noted_as_milliseconds_in_one_of_two_files(engine: str, data: Path) -> None:
    day = date(2024, 11, 1)
    for name, kind in (("a", pa.date32()), ("b", pa.date64())):
        rows = [row(participant_id=name, started_at=day)]
        export(data, rows, f"{name}.parquet", types={"started_at": kind})
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 2}}


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_unit_coarser_than_the_one_that_was_meant_is_the_one_that_counts(
    engine: str, data: Path, unit: str
) -> None:
    kind = pa.timestamp("ns", "UTC")
    export(data, people(2), types={"started_at": kind}, coerce_timestamps=unit)
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 2}}


def test_files_that_differ_in_columns_of_no_account_are_read_as_one(data: Path) -> None:
    extra = [table(people(1)), table(people(1)).append_column("Kommune", [["0301"]])]
    extra.append(table(people(1)).append_column("Kommune", [[301]]))
    for number, written in enumerate(extra):
        write(data, written, f"{number}.parquet")
    assert len({export.layout for export in read(data).accepted}) == 1


PRICE = pa.schema(
    [
        pa.field(
            "price",
            pa.int64(),
            metadata={
                "ARROW:extension:name": "somebody.price",
                "ARROW:extension:metadata": b"\xff\x00",
            },
        )
    ]
)
"""A type of another program, with metadata that is no text."""

FOREIGN = {
    "views of lists": pa.array([[1], [2]], pa.list_view(pa.int32())),
    "views deep inside": pa.array(
        [{"a": [1]}, None], pa.struct([("a", pa.large_list_view(pa.int8()))])
    ),
    "wide decimals": pa.array([Decimal(1), None], pa.decimal256(76, 2)),
    "dates of some planet": pa.array([1, 2], pa.timestamp("us", "Mars/Base")),
    "durations": pa.array([1, 2], pa.duration("s")),
    "uuids": pa.array([IDS[0].bytes, None], pa.uuid()),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_column_that_means_nothing_to_us_decides_nothing(
    folder: DataFolder, engine: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write(folder.data, table(people(2)).append_column(name, FOREIGN[name]))
    assert ledgers(engine, folder.data) == {"rp-2024-q4": {"counted": 2}}
    assert read(folder.data).accepted[0].ignored == (name,)
    assert capfd.readouterr().err == ""


def test_metadata_that_is_no_text_decides_nothing(engine: str, data: Path) -> None:
    written = table(people(2)).append_column(PRICE.field(0), pa.array([1, 2]))
    write(data, written)
    export(data, people(2, activity_id="a2"), "b.parquet")
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 4}}


@pytest.mark.parametrize("name", ["*", "^hours$", "^.*$", "a.b", "hours, status", "%", "$1"])
def test_the_name_of_a_column_is_never_a_pattern(engine: str, data: Path, name: str) -> None:
    written = table([row(hours=1.0), row(participant_id="p2", hours=3.0)])
    names = [name if ours == "hours" else ours for ours in written.column_names]
    write(data, written.rename_columns(names))
    chosen = settings(export={"columns": {"hours": name}})
    assert cells(engine, data, chosen=chosen)[CELL].total["seconds"] == 4 * 3600


def test_columns_that_differ_in_case_only_are_refused_where_we_read_one(
    folder: DataFolder,
) -> None:
    shouted = table(people(2)).append_column("PARTICIPANT_ID", [["x", "y"]])
    write(folder.data, shouted, "bad.parquet")
    others = table(people(2)).append_column("Kommune", [["x", "y"]])
    write(folder.data, others.append_column("KOMMUNE", [["x", "y"]]), "good.parquet")
    result = folder.nightly()
    assert set(result.refused) == {"bad.parquet"}
    assert (
        "columns participant_id and PARTICIPANT_ID, which differ in upper and lower case only"
        in result.refused["bad.parquet"]
    )
    assert ledger(result.ledger) == {"counted": 2}


def test_a_file_tells_nothing_by_statistics_that_are_wrong(engine: str, data: Path) -> None:
    """The row group has statistics of nothing but organisations named zzzzz."""
    export(data, people(1))
    path = export(
        data,
        [row(participant_id="p8"), row(participant_id="p9")],
        "b.parquet",
        compression="none",
        store_schema=False,
    )
    content = path.read_bytes()
    (size,) = struct.unpack("<I", content[-8:-4])
    footer = content[-8 - size : -8].replace(b"\x05org-1", b"\x05zzzzz")
    path.write_bytes(content[: -8 - size] + footer + content[-8:])
    with pq.ParquetFile(path) as file:
        assert file.metadata.row_group(0).column(0).statistics.min == "zzzzz"
    asked = scan_request(data, organisations={"org-1"})
    with open_survey(engine, asked) as survey:
        assert survey.rows_by_file == [1, 2]
        assert ledger(survey.ledger) == {"counted": 3}


def open_survey(engine: str, asked: Any) -> Any:
    return opened(engine).survey(asked)
