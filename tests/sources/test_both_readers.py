"""What both engines must take alike: many files, damaged ones, and times of other ages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engines import UnreadableExports
from tests.given import (
    CELL,
    cells,
    export,
    ledger,
    opened,
    people,
    row,
    scan_request,
    survey_of,
    table,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

FILES = 1100


def test_a_thousand_small_files_are_read_in_no_time(engine: str, data: Path) -> None:
    for number in range(FILES):
        export(data, people(2, activity_id=str(number)), f"{number}.parquet")
    begin = time.process_time()
    counted = cells(engine, data)[CELL]
    assert counted.total["participations"] == 2 * FILES
    assert time.process_time() - begin < 30


def test_the_rows_of_each_file_are_counted_whatever_organisations_are_asked_for(
    engine: str, data: Path
) -> None:
    for number in range(3):
        rows = [*people(number + 1), row(org_id=None), row(org_id="org-2")]
        export(data, rows, f"{number}.parquet")
    asked = scan_request(data, organisations={"org-1"})
    with opened(engine).survey(asked) as survey:
        assert survey.rows_by_file == [3, 4, 5]
        assert survey.organisations_by_file == [["org-1"]] * 3


def test_one_damaged_file_among_many_of_one_kind_is_named_and_alone(
    engine: str, data: Path
) -> None:
    for name in ("a", "b", "c"):
        export(data, people(300), f"{name}.parquet", compression="zstd")
    path = data / "exports" / "b.parquet"
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(2)
    begin, size = chunk.dictionary_page_offset, chunk.total_compressed_size
    content = bytearray(path.read_bytes())
    content[begin : begin + size] = b"\xff" * size
    path.write_bytes(content)
    with pytest.raises(UnreadableExports) as raised:
        survey_of(data, engine=engine)
    (refused,) = raised.value.refused.values()
    assert refused.file == "b.parquet"
    assert "it can't be read to its end" in refused.problem


TICKS = [-(2**63) + 1, -(10**18), 10**18, 2**63 - 1]


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("ms", "UTC"),
        pa.timestamp("ms"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("us"),
    ],
    ids=str,
)
def test_a_time_that_no_calendar_has_is_out_of_range_for_both(
    engine: str, data: Path, kind: Any
) -> None:
    """As where nanoseconds were written into a column of milliseconds."""
    written = table([row(), *people(len(TICKS))])
    sound = 1_730_826_000 * (1000 if kind.unit == "ms" else 1_000_000)
    column = pa.array([sound, *TICKS], pa.int64()).cast(kind)
    write(data, written.set_column(4, "started_at", column))
    with survey_of(data, engine=engine) as survey:
        assert ledger(survey.ledger) == {"counted": 1, "started_at_out_of_range": len(TICKS)}
