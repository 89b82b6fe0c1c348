"""Exports that are refused, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.given import AUTUMN, CELL, DataFolder, ledger, people, row, settings, table, write

if TYPE_CHECKING:
    from pathlib import Path


def without(column: str) -> Any:
    return table(people(3)).drop_columns([column])


def other(column: str, kind: Any, value: object) -> Any:
    written = table([row(status="completed", deleted=False, updated_at=AUTUMN)])
    place = written.column_names.index(column)
    return written.set_column(place, column, pa.array([value], kind))


def refusals(folder: DataFolder) -> dict[str, str]:
    """Return the exports that a nightly run refuses next to a good one."""
    folder.export(people(2), "good.parquet")
    result = folder.nightly()
    assert ledger(result.ledger) == {"counted": 2}
    assert folder.published()[CELL].total["participations"] == 2
    assert result.files == 1 + len(result.refused)
    return dict(result.refused)


@pytest.mark.parametrize(
    "column", ["org_id", "activity_id", "participant_id", "bufdir_category", "started_at", "hours"]
)
def test_a_file_without_a_required_column_is_refused_and_the_others_go_on(
    folder: DataFolder, column: str
) -> None:
    write(folder.data, without(column), "bad.parquet")
    (problem,) = refusals(folder).values()
    assert "bad.parquet (3 rows) is refused" in problem
    assert f"lacks the required column {column};" in problem
    assert "[export.columns]" in problem


def test_a_missing_column_is_named_as_the_settings_name_it(folder: DataFolder) -> None:
    folder.settings = settings(export={"columns": {"participant_id": "PersonalID"}})
    write(folder.data, table(people(1)), "bad.parquet")
    result = folder.nightly()
    assert (
        "lacks the required column PersonalID (our participant_id)" in result.refused["bad.parquet"]
    )
    assert "it has org_id, activity_id, participant_id" in result.refused["bad.parquet"]


@pytest.mark.parametrize(
    ("column", "kind", "value", "named"),
    [
        ("org_id", pa.float64(), 1.0, "holds double, not a string, dictionary or integer"),
        ("activity_id", pa.binary(), b"a", "holds binary, not a string, dictionary or integer"),
        ("participant_id", pa.date32(), AUTUMN.date(), "not a string, dictionary or integer"),
        ("participant_id", pa.bool_(), True, "holds bool, not a string, dictionary or integer"),
        ("bufdir_category", pa.int32(), 1, "holds int32, not a string or dictionary"),
        ("started_at", pa.string(), "2024-11-05", "holds string, not a timestamp or a date"),
        ("started_at", pa.int64(), 1, "holds int64, not a timestamp or a date"),
        ("started_at", pa.time64("us"), None, "not a timestamp or a date"),
        ("hours", pa.string(), "2", "holds string, not a float, integer or decimal"),
        ("hours", pa.bool_(), True, "holds bool, not a float, integer or decimal"),
        ("hours", pa.duration("s"), None, "not a float, integer or decimal"),
        ("updated_at", pa.string(), "2024-11-05", "holds string, not a timestamp or a date"),
        ("status", pa.int32(), 1, "holds int32, not a string or dictionary"),
        ("status", pa.list_(pa.string()), ["completed"], "not a string or dictionary"),
        ("deleted", pa.int8(), 1, "holds int8, not a boolean"),
        ("deleted", pa.string(), "false", "holds string, not a boolean"),
    ],
    ids=str,
)
def test_a_file_with_a_column_of_an_unsupported_type_is_refused(
    folder: DataFolder, column: str, kind: Any, value: object, named: str
) -> None:
    write(folder.data, other(column, kind, value), "bad.parquet")
    (problem,) = refusals(folder).values()
    assert f"column {column} " in problem
    assert named in problem


def test_a_dictionary_of_integers_is_no_text(folder: DataFolder) -> None:
    kind = pa.dictionary(pa.int32(), pa.int64())
    values = pa.array([7]).dictionary_encode().cast(kind)
    written = table([row()])
    write(folder.data, written.set_column(3, "bufdir_category", values), "bad.parquet")
    # Parquet stores no dictionary of integers: they are read as integers, which are no text either.
    (problem,) = refusals(folder).values()
    assert "not a string or dictionary" in problem


def test_a_column_that_is_there_twice_is_refused(folder: DataFolder) -> None:
    for column in ("hours", "status", "Kommune"):
        written = table([row(status="completed")]).append_column("Kommune", [["0301"]])
        twice = written.append_column(column, written.column(column))
        write(folder.data, twice, f"{column}.parquet")
    problems = refusals(folder)
    assert "it has 2 columns named hours; keep one" in problems["hours.parquet"]
    assert "it has 2 columns named status; keep one" in problems["status.parquet"]
    assert "it has 2 columns named Kommune; keep one" in problems["Kommune.parquet"]


def test_files_that_are_no_parquet_are_refused_with_the_reason(folder: DataFolder) -> None:
    exported = folder.export(people(50), "whole.parquet")
    content = exported.read_bytes()
    exported.unlink()
    exports_folder = folder.data / "exports"
    (exports_folder / "empty.parquet").write_bytes(b"")
    (exports_folder / "text.parquet").write_text("org_id;activity_id\n")
    (exports_folder / "short.parquet").write_bytes(content[:-40])
    (exports_folder / "head.parquet").write_bytes(content[: len(content) // 2])
    (exports_folder / "magic.parquet").write_bytes(b"PAR1")
    problems = refusals(folder)
    assert "it is empty; export it again" in problems.pop("empty.parquet")
    assert set(problems) == {"text.parquet", "short.parquet", "head.parquet", "magic.parquet"}
    for name, problem in problems.items():
        assert problem.startswith(f"export {name} is refused: it can't be read as Parquet (")
        assert "export or copy it again" in problem
        assert "\n" not in problem


def spoil_a_page(path: Path, column: str) -> None:
    """Overwrite the middle of a column's data, as a failing disk does."""
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(file.metadata.num_row_groups // 2)
    chunk = next(
        group.column(n)
        for n in range(group.num_columns)
        if group.column(n).path_in_schema == column
    )
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)


@pytest.mark.parametrize("column", ["participant_id", "hours", "started_at"])
def test_a_file_with_a_damaged_page_is_refused(folder: DataFolder, column: str) -> None:
    path = folder.export(people(300), "bad.parquet", row_group_size=50, compression="zstd")
    spoil_a_page(path, column)
    (problem,) = refusals(folder).values()
    assert problem.startswith(
        "export bad.parquet (300 rows) is refused: it can't be read to its end"
    )
    assert "\n" not in problem


def test_several_damaged_files_are_each_refused(folder: DataFolder) -> None:
    for name in ("a.parquet", "z.parquet"):
        spoil_a_page(folder.export(people(300), name, compression="zstd"), "hours")
    assert set(refusals(folder)) == {"a.parquet", "z.parquet"}


def test_a_damaged_column_that_is_not_read_refuses_nothing(folder: DataFolder) -> None:
    written = table(people(100)).append_column("Merknad", [[f"n{n}" for n in range(100)]])
    path = write(folder.data, written, compression="zstd")
    spoil_a_page(path, "Merknad")
    assert ledger(folder.nightly().ledger) == {"counted": 100}
