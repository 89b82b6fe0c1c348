"""Footers that contradict themselves, their file or the bounds of the settings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.given import CELL, DataFolder, ledger, people, settings, table, write
from tests.thrift import I32, MAGIC, footer_of, narrow, tail, with_footer, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.settings import Settings

SCHEMA, ROWS, GROUPS, NOTES = 2, 3, 4, 5
CHUNKS, BYTES, GROUP_ROWS = 1, 2, 3
"""Fields of a footer, and of a row group."""
FILE_PATH, ABOUT = 1, 3
"""Fields of a column chunk."""
VALUES, UNCOMPRESSED, COMPRESSED, DATA, DICTIONARY = 5, 6, 7, 9, 11
"""Fields of what a column chunk has about itself."""
LARGE: Final = 2**62


def problem_with(folder: DataFolder, name: str = "bad.parquet") -> str:
    """Return the reason for which a nightly run refuses a file next to a good one."""
    folder.export(people(2), "good.parquet")
    result = folder.nightly()
    assert ledger(result.ledger) == {"counted": 2}
    assert folder.published()[CELL].total["participations"] == 2
    assert list(result.refused) == [name]
    assert "\n" not in result.refused[name]
    return result.refused[name]


def bad(folder: DataFolder, change: Callable[[Any], None]) -> Path:
    """Write an export of two row groups, and change its footer."""
    path = folder.export(people(4), "bad.parquet", row_group_size=2)
    footer = footer_of(path)
    footer[SCHEMA] = narrow(footer[SCHEMA])
    for group in footer[GROUPS]:
        group.pop(7, None)  # an ordinal of 16 bits, which the writer of tests does not have
        for chunk in group[CHUNKS]:
            about = chunk[ABOUT]
            chunk[ABOUT] = {1: narrow(about[1]), 2: narrow(about[2]), 3: about[3]} | {
                4: narrow(about[4]),
                **{field: about[field] for field in (5, 6, 7, 9, 11) if field in about},
            }
            chunk.pop(5, None)
            chunk.pop(7, None)
    footer[1] = narrow(footer[1])
    footer.pop(7, None)
    change(footer)
    with_footer(path, footer)
    return path


def group_of(footer: Any, number: int = 0) -> Any:
    return footer[GROUPS][number]


def chunk_of(footer: Any, column: int = 0) -> Any:
    return group_of(footer)[CHUNKS][column][ABOUT]


def set_all_rows(footer: Any, rows: int) -> None:
    footer[ROWS] = rows * len(footer[GROUPS])
    for group in footer[GROUPS]:
        group[GROUP_ROWS] = rows
        for chunk in group[CHUNKS]:
            chunk[ABOUT][VALUES] = rows


def test_a_footer_that_is_written_again_is_accepted(folder: DataFolder) -> None:
    bad(folder, lambda _: None)
    assert ledger(folder.nightly().ledger) == {"counted": 4}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: f[SCHEMA][1].update({3: I32(3)}), "a column has an unknown type"),
        (lambda f: f[SCHEMA][1].update({1: I32(8)}), "a column has an unknown type"),
        (lambda f: f[SCHEMA][1].pop(3), "a column has no name, or none of the kinds of value"),
        (lambda f: f[SCHEMA][1].update({4: I32(8)}), "a column has no name, or none of the kinds"),
        (lambda f: f[SCHEMA][1].update({4: b"x"}), "column org_id where the schema has another"),
        (lambda f: chunk_of(f).update({1: I32(1)}), "column org_id where the schema has another"),
        (lambda f: chunk_of(f).pop(2), "a column has no encodings, or no name"),
        (lambda f: group_of(f)[CHUNKS][0].pop(ABOUT), "a column has no metadata"),
        (lambda f: f.update({ROWS: 3}), "it has 3 rows, and its row groups 4"),
        (lambda f: f.update({ROWS: -4}), "it has -4 rows, and its row groups 4"),
        (lambda f: f.update({ROWS: LARGE}), "it has 4,611,686,018,427,387,904 rows, and"),
        (lambda f: group_of(f).update({GROUP_ROWS: 1}), "it has 4 rows, and its row groups 3"),
        (lambda f: set_all_rows(f, -2), "it has -4 rows"),
        (lambda f: chunk_of(f).update({VALUES: 1}), "has 2 rows, and its column org_id 1"),
        (lambda f: chunk_of(f).update({VALUES: 3}), "has 2 rows, and its column org_id 3"),
        (lambda f: chunk_of(f).update({COMPRESSED: -1}), "has column org_id of a negative size"),
        (lambda f: chunk_of(f).update({UNCOMPRESSED: -1}), "has column org_id of a negative size"),
        (lambda f: chunk_of(f).update({COMPRESSED: LARGE}), "column org_id is outside the file"),
        (
            lambda f: chunk_of(f).update({DATA: 1, DICTIONARY: 0}),
            "column org_id is outside the file",
        ),
        (
            lambda f: chunk_of(f).update({DATA: chunk_of(f, 1)[DATA], DICTIONARY: 0}),
            "have the same bytes, from",
        ),
        (
            lambda f: f.update({GROUPS: [group_of(f), group_of(f)]}),
            "columns org_id and org_id have the same bytes",
        ),
        (
            lambda f: group_of(f)[CHUNKS][0].update({FILE_PATH: b"/etc/passwd"}),
            "column org_id in another file",
        ),
        (lambda f: group_of(f)[CHUNKS].pop(), "row group 0 has 5 columns of 6 and 2 rows"),
        (lambda f: f[SCHEMA].pop(), "its schema lacks columns that it counts"),
        (lambda f: f[SCHEMA].append(f[SCHEMA][1]), "its schema has columns of no parent"),
        (lambda f: f.pop(GROUPS), "its footer is wrong (it has no columns or no row groups)"),
        (lambda f: f.pop(ROWS), "its footer is wrong (it lacks a size or a number)"),
        (lambda f: f.pop(SCHEMA), "its footer is wrong (it has no columns or no row groups)"),
    ],
)
def test_a_footer_that_contradicts_itself_is_refused(
    folder: DataFolder, change: Callable[[Any], None], named: str
) -> None:
    bad(folder, change)
    problem = problem_with(folder)
    assert named in problem
    assert problem.endswith("; export or copy it again")


def test_rows_that_are_claimed_twice_are_refused(folder: DataFolder) -> None:
    path = folder.export(people(4), "bad.parquet")
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    # A field that is there twice: readers of Thrift take the last one.
    footer = content[-8 - size : -9] + written({ROWS: 2})[:-1].replace(b"\x36", b"\x06\x06") + b"\0"
    path.write_bytes(content[: -8 - size] + tail(footer))
    assert "its footer is wrong (it has a part twice)" in problem_with(folder)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PAR1", "it is too short"),
        (b"PAR1PARE" * 3, "it is encrypted"),
        (
            b"PAR1" + (2**31).to_bytes(4, "little") + MAGIC,
            "its footer has 2,147,483,648 bytes by its own account, and the file 12",
        ),
        (b"PAR1" + tail(b"\x29\xfc\xff\xff\xff\xff\x0f"), "it ends in the middle of a list"),
        (b"PAR1" + tail(b"\0"), "it has no columns or no row groups"),
        (b"PAR1" + tail(b""), "it ends in the middle of a field"),
        (b"PAR1" + tail(b"\x29" + b"\x1c" * 1000), "too many structs"),
    ],
)
def test_a_footer_that_is_none_is_refused(folder: DataFolder, content: bytes, named: str) -> None:
    (folder.data / "exports" / "bad.parquet").write_bytes(content)
    assert named in problem_with(folder)


def nested(levels: int) -> Any:
    kind: Any = pa.int32()
    for _ in range(levels):
        kind = pa.struct([("n", kind)])
    return table(people(2)).append_column("deep", pa.nulls(2, kind))


def limited(**limits: int) -> Settings:
    return settings(limits=limits)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"columns": 6}, "7 columns, and the setting limits.columns allows 6"),
        ({"row_groups": 3}, "4 row groups, and the setting limits.row_groups allows 3"),
        ({"row_group_mb": 1}, "uncompressed, and the setting limits.row_group_mb allows 1"),
        ({"expansion": 2}, "uncompressed, and the setting limits.expansion allows 2"),
        ({"rows_per_byte": 1}, "rows in so few bytes, and the setting limits.rows_per_byte"),
        ({"metadata_kb": 1}, "bytes of metadata, and the setting limits.metadata_kb allows 1"),
        ({"footer_mb": 1}, "bytes, and the setting limits.footer_mb allows 1"),
    ],
)
def test_a_file_beyond_a_limit_is_refused_with_the_name_of_the_setting(
    folder: DataFolder, limits: dict[str, int], named: str
) -> None:
    notes = {"n": "x" * (2**20 if "footer_mb" in limits else 1000)}
    # Of 200,000 rows each text is the same, so that they take few bytes.
    rows = table(people(2)).take([0] * 200_000).append_column("Kommune", [["x" * 20] * 200_000])
    options: dict[str, Any] = {"row_group_size": 50_000, "compression": "zstd"}
    if "row_group_mb" in limits or "expansion" in limits:
        options["use_dictionary"] = False
    write(folder.data, rows.replace_schema_metadata(notes), "bad.parquet", **options)
    with folder.gathered() as inputs:
        assert inputs.exports.refused == {}
    folder.settings = limited(**limits)
    problem = problem_with(folder)
    assert named in problem
    assert problem.endswith("; raise it if the file is meant to be so")


def test_levels_of_nested_columns_are_limited(folder: DataFolder) -> None:
    write(folder.data, nested(40), "bad.parquet")
    assert "33 levels of nesting, and the setting limits.nesting allows 32" in problem_with(folder)
    folder.settings = limited(nesting=40)
    with folder.gathered() as inputs:
        assert inputs.exports.refused == {}


def test_many_columns_are_judged_in_the_time_of_their_bytes(folder: DataFolder) -> None:
    def seconds(columns: int) -> float:
        wide = table(people(2))
        names = [f"x{n}" for n in range(columns)]
        more = pa.table(
            {**dict(zip(wide.column_names, wide.columns, strict=True))}
            | {name: [1, 2] for name in names}
        )
        pq.write_table(more, folder.data / "exports" / "wide.parquet", write_statistics=False)
        folder.settings = limited(columns=30_000)
        begun = time.process_time()
        with folder.gathered() as inputs:
            assert inputs.exports.rows == 2
        return time.process_time() - begun

    few, many = seconds(2000), seconds(20_000)
    assert many < 1 + few * 40
