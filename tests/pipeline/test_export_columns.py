"""Every type that a column may have, columns of other names, and files that are refused."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engines import ScanRequest, duckdb
from pipeline.engines.polars import survey
from pipeline.errors import ExportsMissing, ExportsUnreadable
from pipeline.model import columns
from pipeline.runs import inspection
from pipeline.sources import exports
from tests.pipeline.given import (
    AUTUMN,
    CELL,
    TYPES,
    House,
    cells,
    export,
    ledger,
    ledgers,
    people,
    question,
    read,
    row,
    settings,
    table,
    write,
)

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
    assert counted.total.people == 2


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
    assert counted.total.people == 3


def test_a_string_with_a_leading_zero_is_another_participant(engine: str, data: Path) -> None:
    export(data, [row(participant_id="07"), row(participant_id="7"), row(participant_id="7.0")])
    assert cells(engine, data)[CELL].total.people == 3


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
    assert counted.total.seconds == 2 * 3 * 3600
    assert ledger(counted.ledger) == {"counted": 2, "hours_missing": 1}


@pytest.mark.parametrize("kind", [pa.decimal32(5, 2), pa.decimal64(12, 2)], ids=str)
def test_hours_may_be_a_narrow_decimal(engine: str, data: Path, kind: Any) -> None:
    export(data, people(2, hours=Decimal("1.25")), types={"hours": kind})
    assert cells(engine, data)[CELL].total.seconds == 9000


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
    house: House, column: str, reason: str
) -> None:
    house.export([row(**{column: None})], types={column: pa.null()})
    night = house.night()
    assert night.refused == {}
    assert ledger(night.ledger) == {reason: 1}


def test_columns_may_have_other_names(engine: str, data: Path) -> None:
    theirs = {
        "org_id": "Lag",
        "activity_id": "Møte nr.",
        "participant_id": "PersonalID",
        "bufdir_category": 'Type "aktivitet"',
        "started_at": "from",
        "hours": "select",
        "updated_at": "row",
        "status": "file",
        "deleted": "month",
    }
    ours = table([row(updated_at=AUTUMN, status="completed", deleted=False), row(deleted=True)])
    write(data, ours.rename_columns([theirs[name] for name in ours.column_names]))
    chosen = settings(export={"columns": theirs})
    assert read(data).accepted == ()
    assert ledgers(engine, data, chosen) == {"rp-2024-q4": {"counted": 1, "superseded": 1}}


def test_names_may_be_swapped(engine: str, data: Path) -> None:
    ours = table(
        [row(activity_id="p1", participant_id="a1"), row(activity_id="p2", participant_id="a1")]
    )
    write(data, ours)
    chosen = settings(
        export={"columns": {"activity_id": "participant_id", "participant_id": "activity_id"}}
    )
    counted = cells(engine, data, chosen=chosen)[CELL]
    assert (counted.total.people, counted.total.activities) == (2, 1)


def test_activity_types_are_mapped_and_the_codes_stand_for_themselves(
    engine: str, data: Path
) -> None:
    names = ["Åpen barnehage", "åpen barnehage", "eldre", "foreldre_barn", None]
    rows = [row(participant_id=f"p{n}", bufdir_category=name) for n, name in enumerate(names)]
    mapping = {"Åpen barnehage": "foreldre_barn", "eldre": "eldre"}
    export(data, rows, types={"bufdir_category": pa.dictionary(pa.int32(), pa.string())})
    counted = cells(engine, data, chosen=settings(export={"categories": mapping}))[CELL]
    shares = {name: share.participations for name, share in counted.categories.items()}
    assert shares == {"foreldre_barn": 2, "ungdom": 0, "eldre": 1, "funksjonsnedsettelse": 0}
    assert ledger(counted.ledger) == {"counted": 3, "unknown_category": 2}


def test_the_mapping_is_applied_once(engine: str, data: Path) -> None:
    """What a name is mapped to is ours, and not looked up again."""
    mapping = {"Klubb": "ungdom", "Ungdom": "eldre"}
    export(data, [row(bufdir_category="Klubb")])
    counted = cells(engine, data, chosen=settings(export={"categories": mapping}))[CELL]
    assert counted.categories["ungdom"].participations == 1


def test_other_columns_are_ignored_and_named_once(house: House) -> None:
    for name in ("a.parquet", "b.parquet"):
        extra = table(people(1)).append_column("Kommune", [["0301"]])
        nested = pa.array([[{"deep": 1}]])
        write(house.data, extra.append_column("Annet", nested), name)
    night = house.night()
    assert night.ignored == {
        "Annet": ["a.parquet", "b.parquet"],
        "Kommune": ["a.parquet", "b.parquet"],
    }
    assert night.refused == {}


def test_the_order_of_columns_is_of_no_account(engine: str, data: Path) -> None:
    written = table([row(status="completed")])
    write(data, written.select(list(reversed(written.column_names))))
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}}


def test_files_of_different_types_and_columns_are_one_whole(engine: str, data: Path) -> None:
    export(
        data,
        [row(participant_id=1, hours=1)],
        "1.parquet",
        types={
            "participant_id": pa.int32(),
            "hours": pa.int8(),
        },
    )
    export(
        data,
        [row(participant_id="2", hours=Decimal("0.50"), started_at=AUTUMN)],
        "2.parquet",
        types={"hours": pa.decimal128(4, 2), "started_at": pa.timestamp("ns", "America/New_York")},
    )
    export(
        data,
        [row(participant_id="3", status="completed", deleted=False, updated_at=AUTUMN)],
        "deep/er/3.parquet",
    )
    export(
        data,
        [row(participant_id="4", started_at=AUTUMN.date())],
        "4.parquet",
        types={"started_at": pa.date32()},
    )
    counted = cells(engine, data)[CELL]
    assert ledger(counted.ledger) == {"counted": 4}
    assert counted.total.seconds == (1 + 2 + 2) * 3600 + 1800


# Refused


def without(column: str) -> Any:
    return table(people(3)).drop_columns([column])


def other(column: str, kind: Any, value: object) -> Any:
    written = table([row(status="completed", deleted=False, updated_at=AUTUMN)])
    place = written.column_names.index(column)
    return written.set_column(place, column, pa.array([value], kind))


def refusals(house: House) -> dict[str, str]:
    """What a night refuses beside a good file, which it counts."""
    house.export(people(2), "good.parquet")
    night = house.night()
    assert ledger(night.ledger) == {"counted": 2}
    assert house.published()[CELL].total.participations == 2
    assert night.files == 1 + len(night.refused)
    return dict(night.refused)


@pytest.mark.parametrize(
    "column", ["org_id", "activity_id", "participant_id", "bufdir_category", "started_at", "hours"]
)
def test_a_file_without_a_required_column_is_refused_and_the_others_go_on(
    house: House, column: str
) -> None:
    write(house.data, without(column), "bad.parquet")
    (problem,) = refusals(house).values()
    assert "bad.parquet (3 rows) is refused" in problem
    assert f"lacks the required column {column};" in problem
    assert "[export.columns]" in problem


def test_a_missing_column_is_named_as_the_settings_name_it(house: House) -> None:
    house.settings = settings(export={"columns": {"participant_id": "PersonalID"}})
    write(house.data, table(people(1)), "bad.parquet")
    night = house.night()
    assert (
        "lacks the required column PersonalID (our participant_id)" in night.refused["bad.parquet"]
    )
    assert "it has org_id, activity_id, participant_id" in night.refused["bad.parquet"]


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
        ("hours", pa.decimal256(50, 2), None, "not a float, integer or decimal"),
        ("updated_at", pa.string(), "2024-11-05", "holds string, not a timestamp or a date"),
        ("status", pa.int32(), 1, "holds int32, not a string or dictionary"),
        ("status", pa.list_(pa.string()), ["completed"], "not a string or dictionary"),
        ("deleted", pa.int8(), 1, "holds int8, not a boolean"),
        ("deleted", pa.string(), "false", "holds string, not a boolean"),
    ],
    ids=str,
)
def test_a_file_that_holds_a_column_as_another_type_is_refused(
    house: House, column: str, kind: Any, value: object, named: str
) -> None:
    write(house.data, other(column, kind, value), "bad.parquet")
    (problem,) = refusals(house).values()
    assert f"column {column} " in problem
    assert named in problem


def test_a_dictionary_of_integers_is_no_text(house: House) -> None:
    kind = pa.dictionary(pa.int32(), pa.int64())
    values = pa.array([7]).dictionary_encode().cast(kind)
    written = table([row()])
    write(house.data, written.set_column(3, "bufdir_category", values), "bad.parquet")
    # Parquet keeps no dictionary of integers: they come back as integers, which are no text either.
    (problem,) = refusals(house).values()
    assert "not a string or dictionary" in problem


def test_a_column_that_is_there_twice_is_refused(house: House) -> None:
    for column in ("hours", "status", "Kommune"):
        written = table([row(status="completed")]).append_column("Kommune", [["0301"]])
        twice = written.append_column(column, written.column(column))
        write(house.data, twice, f"{column}.parquet")
    problems = refusals(house)
    assert "it has 2 columns named hours; keep one" in problems["hours.parquet"]
    assert "it has 2 columns named status; keep one" in problems["status.parquet"]
    assert "it has 2 columns named Kommune; keep one" in problems["Kommune.parquet"]


def test_files_that_are_no_parquet_are_refused_with_the_reason(house: House) -> None:
    exported = house.export(people(50), "whole.parquet")
    content = exported.read_bytes()
    exported.unlink()
    folder = house.data / "exports"
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_text("org_id;activity_id\n")
    (folder / "short.parquet").write_bytes(content[:-40])
    (folder / "head.parquet").write_bytes(content[: len(content) // 2])
    (folder / "magic.parquet").write_bytes(b"PAR1")
    problems = refusals(house)
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
def test_a_page_that_is_spoilt_in_the_middle_of_a_file_refuses_the_file(
    house: House, column: str
) -> None:
    path = house.export(people(300), "bad.parquet", row_group_size=50, compression="zstd")
    spoil_a_page(path, column)
    (problem,) = refusals(house).values()
    assert problem.startswith(
        "export bad.parquet (300 rows) is refused: it can't be read to its end"
    )
    assert "\n" not in problem


def test_several_spoilt_files_are_each_refused(house: House) -> None:
    for name in ("a.parquet", "z.parquet"):
        spoil_a_page(house.export(people(300), name, compression="zstd"), "hours")
    assert set(refusals(house)) == {"a.parquet", "z.parquet"}


def test_a_spoilt_column_of_no_account_refuses_nothing(house: House) -> None:
    written = table(people(100)).append_column("Merknad", [[f"n{n}" for n in range(100)]])
    path = write(house.data, written, compression="zstd")
    spoil_a_page(path, "Merknad")
    assert ledger(house.night().ledger) == {"counted": 100}


def test_a_folder_named_like_an_export_and_a_dangling_link_are_told_apart(house: House) -> None:
    (house.data / "exports" / "folder.parquet").mkdir()
    (house.data / "exports" / "gone.parquet").symlink_to(house.data / "nowhere")
    house.export(people(1), "folder.parquet/inside.parquet")
    problems = refusals_of(house)
    assert set(problems) == {"gone.parquet"}
    assert "it can't be opened (No such file or directory)" in problems["gone.parquet"]


def refusals_of(house: House) -> dict[str, str]:
    return dict(house.night().refused)


def test_links_are_followed_once_however_they_lead(house: House, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (house.data / "exports" / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(house.data / "exports")
    pq.write_table(table(people(2)), elsewhere / "a.parquet")
    night = house.night()
    assert night.rows == 2
    assert ledger(night.ledger) == {"counted": 2}


@pytest.mark.parametrize("name", [b"\xff.parquet", b"two\nlines.parquet"])
def test_a_file_whose_name_can_not_be_shown_is_refused_and_the_others_go_on(
    house: House, name: bytes
) -> None:
    path = house.export(people(2))
    shutil.copy(path, path.parent / os.fsdecode(name))
    night = house.night()
    (problem,) = night.refused.values()
    assert problem.isprintable()
    assert "its path has signs that can't be shown; rename it" in problem
    assert ledger(night.ledger) == {"counted": 2}
    assert not house.night().changed


def test_a_pipe_among_the_exports_is_refused_and_holds_nobody_up(house: House) -> None:
    house.export(people(2))
    os.mkfifo(house.data / "exports" / "pipe.parquet")
    assert "it is no regular file" in house.night().refused["pipe.parquet"]


def test_hidden_files_and_other_files_are_no_exports(house: House) -> None:
    good = house.export(people(1))
    for name in (".a.parquet", ".hidden/a.parquet", "a.parquet.tmp", "a.csv", "README.md"):
        path = house.data / "exports" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(good.read_bytes())
    assert [file.name for file in exports.find(house.data)] == ["a.parquet"]


def test_exports_are_found_at_any_depth_in_the_order_of_their_paths(data: Path) -> None:
    names = ["b.parquet", "a/z.parquet", "a/b/c/d.parquet", "Å.parquet", "A.PARQUET", "a-1.parquet"]
    for name in names:
        export(data, people(1), name)
    assert [file.name for file in exports.find(data)] == sorted(names)


def test_names_that_look_like_patterns_are_names(engine: str, data: Path) -> None:
    for number, name in enumerate(
        ["[a].parquet", "a.parquet", "*.parquet", "??.parquet", "{b}.parquet"]
    ):
        export(data, [row(participant_id=f"p{number}")], f"100% #1/{name}")
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 5}}


def test_a_missing_exports_folder_is_named(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(ExportsMissing, match=r"no folder .*exports: put the exports there"):
        house.night()
    assert house.published() == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_stops_the_night(house: House) -> None:
    house.export(people(1), "closed/a.parquet")
    closed = house.data / "exports" / "closed"
    closed.chmod(0)
    try:
        with pytest.raises(ExportsUnreadable, match="closed"):
            house.night()
    finally:
        closed.chmod(0o755)


def test_check_judges_files_wherever_they_lie_and_publishes_nothing(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere.parquet"
    pq.write_table(table([row(), row(hours=None, org_id=None), row(hours=3.0)]), path)
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"")
    with house.work() as work:
        checked = inspection.check(work, [path, bad, tmp_path / "gone.parquet"])
    accepted, refused, gone = (
        next(file for file in checked.files if file.name.endswith(name))
        for name in ("elsewhere.parquet", "bad.parquet", "gone.parquet")
    )
    assert (accepted.rows, accepted.problem) == (3, None)
    assert "it is empty" in str(refused.problem)
    assert "it can't be opened (No such file or directory)" in str(gone.problem)
    assert (checked.rows, checked.cells) == (3, 1)
    assert ledger(checked.ledger) == {"counted": 1, "superseded": 1, "missing_org_id": 1}
    assert ledger(checked.unplaced) == {"missing_org_id": 1}
    assert house.published() == {}
    assert house.files() == set()


def test_check_without_names_judges_all_exports(house: House) -> None:
    house.export(people(2))
    house.export(people(3, org_id="org-2"), "b.parquet")
    with house.work() as work:
        checked = inspection.check(work)
    assert [file.name for file in checked.files] == ["a.parquet", "b.parquet"]
    assert (checked.rows, checked.cells) == (5, 2)


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()], ids=str)
def test_an_engine_that_is_asked_for_some_organisations_reads_these_only(
    data: Path, kind: Any
) -> None:
    numbers: list[Any] = [1, 2, 3]
    ids = [str(number) for number in numbers] if kind == pa.string() else numbers
    export(data, [row(org_id=org_id) for org_id in ids], types={"org_id": kind})
    asked = ScanRequest.of(read(data).accepted, settings(), {"1", "3"})
    assert survey.survey(asked).organisations == {"1", "3"}
    both = {cell.org_id for cell in survey.survey(asked).breakdowns("quarter", None)}
    assert both == {cell.org_id for cell in duckdb.breakdowns(asked, "quarter", None)} == {"1", "3"}


def test_an_engine_gives_the_cells_it_is_asked_for(engine: str, data: Path) -> None:
    export(data, [row(), row(org_id="org-2"), row(started_at=datetime(2024, 1, 5, tzinfo=UTC))])
    asked = question(data)
    every = survey.survey(asked).breakdowns("quarter", None)
    wanted = [cell for cell in every if cell.org_id == "org-1"]
    some = (
        survey.survey(asked).breakdowns("quarter", wanted)
        if engine == "polars"
        else duckdb.breakdowns(asked, "quarter", wanted)
    )
    assert list(some) == wanted
    assert some == {cell: every[cell] for cell in wanted}


def test_the_types_of_this_test_are_those_of_every_column() -> None:
    assert set(TYPES) == {column.name for column in columns.COLUMNS}
