"""Nightly runs over exports in several formats: the same numbers as from Parquet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.model.states import Outcome
from pipeline.runs import check, verify
from tests.given import CELL, DataFolder, cells, examples, ledger, row, settings, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


OSLO = ZoneInfo("Europe/Oslo")
STARTED = datetime(2024, 11, 5, 18)  # noqa: DTZ001 (a wall clock)
ROW: dict[str, Any] = {**row(), "started_at": STARTED}
CSV = {"delimiter": ";", "decimal": ",", "dates": "%d.%m.%Y %H:%M", "encoding": "cp1252"}
SOURCES: tuple[dict[str, Any], ...] = (
    {"name": "csv", "format": "csv", "csv": CSV},
    {"name": "xlsx", "format": "xlsx", "xlsx": {"header_row": 2}},
    {"name": "jsonl", "format": "jsonl"},
    {"name": "parquet"},
)
CHOSEN = settings(sources=SOURCES, categories=("Åpen", "ungdom"))


def write_csv(data: Path, rows: Sequence[dict[str, Any]], name: str = "a.csv") -> Path:
    path = data / "exports" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(rows[0])
    lines = [";".join(names), *(";".join(_norwegian(one[name]) for name in names) for one in rows)]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("cp1252"))
    return path


def _norwegian(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%d.%m.%Y %H:%M")
    if isinstance(value, float):
        return str(value).replace(".", ",")
    return "" if value is None else str(value)


def write_excel(data: Path, rows: Sequence[dict[str, Any]], name: str = "b.xlsx") -> None:
    (data / "exports").mkdir(parents=True, exist_ok=True)
    with xlsxwriter.Workbook(data / "exports" / name) as book:
        sheet, style = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(0, 0, ["Deltakelser"])
        sheet.write_row(1, 0, list(rows[0]))
        for number, one in enumerate(rows, start=2):
            for column, cell in enumerate(one[name] for name in rows[0]):
                if isinstance(cell, datetime):
                    sheet.write_datetime(number, column, cell, style)
                elif cell is not None:
                    sheet.write(number, column, cell)


def write_json(data: Path, rows: Sequence[dict[str, Any]], name: str = "c.jsonl") -> None:
    (data / "exports").mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(one, default=datetime.isoformat) + "\n" for one in rows)
    (data / "exports" / name).write_text(text, encoding="utf-8")


def write_parquet(data: Path, rows: Sequence[dict[str, Any]], name: str = "d.parquet") -> None:
    write(data, pa.Table.from_pylist(list(rows)), name)


WRITERS = (write_csv, write_excel, write_json, write_parquet)
WALL_CLOCK = st.datetimes(datetime(2023, 1, 1), datetime(2025, 12, 31)).map(  # noqa: DTZ001
    lambda at: at.replace(second=0, microsecond=0)
) | st.sampled_from(
    [
        datetime(2024, 3, 31, 2, 30),  # noqa: DTZ001 (does not occur)
        datetime(2024, 10, 27, 2, 30),  # noqa: DTZ001 (occurs twice)
        datetime(2024, 12, 31, 23, 59),  # noqa: DTZ001
        datetime(2025, 1, 1),  # noqa: DTZ001
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "org_id": st.sampled_from(["org-1", "org-2", "or g", None]),
            "activity_id": st.sampled_from(["a1", "a2", "Ærlig", None]),
            "participant_id": st.sampled_from(["p1", "p2", "p3", None]),
            "bufdir_category": st.sampled_from(["Åpen", "ungdom", "sport", None]),
            "started_at": WALL_CLOCK | st.none(),
            "hours": st.sampled_from([0.25, 1.5, 2.0, 25.0, -1.0, None]),
            "updated_at": WALL_CLOCK | st.none(),
            "status": st.sampled_from(["completed", "cancelled", None]),
        }
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.no_cover
@hypothesis_settings(
    max_examples=examples(24), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_every_format_gives_the_numbers_that_parquet_gives(
    engine: str, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    rows = [{**ROW, "org_id": "typed", "updated_at": STARTED, "status": "completed"}, *rows]
    found = []
    for writer in WRITERS:
        data = tmp_path_factory.mktemp(writer.__name__)
        writer(data, rows)
        found.append(cells(engine, data, chosen=CHOSEN))
    assert found[0] == found[1] == found[2] == found[3]
    assert found[0]


def test_exports_of_several_formats_are_settled_together(data: Path, local_engine: str) -> None:
    folder = DataFolder(data, CHOSEN.with_engine(local_engine))  # type: ignore[arg-type]
    later = datetime(2024, 12, 1)  # noqa: DTZ001
    write_csv(data, [{**ROW, "participant_id": f"p{n}", "updated_at": None} for n in range(5)])
    write_excel(data, [{**ROW, "participant_id": "p1", "hours": 4.0, "updated_at": later}])
    write_json(data, [{**ROW, "participant_id": "p2", "updated_at": later, "status": "cancelled"}])
    write_parquet(data, [{**ROW, "participant_id": "p9"}])
    result = folder.nightly()
    assert [one.outcome for one in result.outcomes] == [Outcome.COMPUTED]
    version = folder.published()[CELL]
    assert version.total["participations"] == 5
    assert ledger(version.ledger) == {"counted": 5, "superseded": 2, "not_completed": 1}
    assert version.exports == {"a.csv": 5, "b.xlsx": 1, "c.jsonl": 1, "d.parquet": 1}
    assert not folder.nightly().changed
    with folder.context() as context:
        assert [one.verdict for one in verify.verify(context).snapshots] == ["match"]


def test_rejected_rows_are_quarantined_with_the_place_where_people_find_them(
    data: Path, local_engine: str
) -> None:
    folder = DataFolder(data, CHOSEN.with_engine(local_engine))  # type: ignore[arg-type]
    secret = "person-of-flesh-and-blood"  # noqa: S105 (no password)
    person = {**ROW, "participant_id": secret}
    rows = [{**person, "activity_id": f"a{number}"} for number in range(6)]
    write_csv(data, [rows[0], {**rows[1], "hours": secret}, {**rows[2], "hours": 25.0}])
    write_excel(data, [rows[3], {**rows[4], "started_at": secret, "hours": secret}])
    write_json(data, [rows[3], {**rows[5], "bufdir_category": "sport"}])
    folder.nightly()
    lines = [
        json.loads(line)
        for path in sorted((data / "quarantine").rglob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    names = ("reason", "file", "sheet", "row", "columns")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("hours_too_long", "a.csv", None, 4, None),
        ("unreadable_value", "a.csv", None, 3, "hours"),
        ("unknown_category", "c.jsonl", None, 2, None),
        ("unreadable_value", "b.xlsx", "Sheet1", 4, "started_at, hours"),
    ]
    assert secret not in json.dumps(lines)


def test_an_unreadable_row_is_no_statement_so_that_an_older_one_counts(
    data: Path, local_engine: str
) -> None:
    folder = DataFolder(data, CHOSEN.with_engine(local_engine))  # type: ignore[arg-type]
    write_csv(data, [{**ROW, "updated_at": STARTED}])
    folder.nightly()
    write_csv(data, [{**ROW, "hours": "mye", "updated_at": STARTED}], "b.csv")
    (outcome,) = folder.nightly().outcomes
    assert outcome.outcome is Outcome.COMPUTED
    version = folder.published()[CELL]
    assert version.total["seconds"] == 7200
    assert ledger(version.ledger) == {"counted": 1, "unreadable_value": 1}


def test_a_mended_value_makes_a_new_version(data: Path) -> None:
    folder = DataFolder(data, CHOSEN)
    write_csv(data, [{**ROW, "hours": "mye"}])
    folder.nightly()
    assert folder.published()[CELL].total["participations"] == 0
    write_csv(data, [{**ROW, "hours": None}])
    folder.nightly()
    assert ledger(folder.published()[CELL].ledger) == {"hours_missing": 1}
    write_csv(data, [ROW])
    folder.nightly()
    assert folder.published()[CELL].total["participations"] == 1


def test_other_settings_of_a_format_count_a_file_once_more(data: Path) -> None:
    folder = DataFolder(data, CHOSEN)
    write_csv(data, [ROW])
    folder.nightly()
    source = {**SOURCES[0], "csv": {**CSV, "null": ["", "2,0"]}}
    folder.settings = settings(sources=(source,), categories=("Åpen", "ungdom"))
    folder.nightly()
    assert ledger(folder.published()[CELL].ledger) == {"hours_missing": 1}


def test_a_refused_file_blocks_its_organisation_and_lets_others_go_on(
    data: Path, local_engine: str
) -> None:
    folder = DataFolder(data, CHOSEN.with_engine(local_engine))  # type: ignore[arg-type]
    path = write_csv(data, [ROW])
    write_json(data, [{**ROW, "org_id": "org-2"}])
    folder.nightly()
    path.write_text("org_id;hours\norg-1;2\n", encoding="utf-8")
    write_json(data, [{**ROW, "org_id": "org-2", "hours": 3.0}])
    result = folder.nightly()
    assert "it lacks the required column activity_id" in result.refused["a.csv"]
    assert [(one.org_id, one.reason) for one in result.blocked] == [("org-1", "refused_export")]
    assert folder.published()["org-2", "rp-2024-q4"].total["seconds"] == 10_800


def test_a_damaged_converted_file_costs_time_and_no_number(data: Path, local_engine: str) -> None:
    folder = DataFolder(data, CHOSEN.with_engine(local_engine))  # type: ignore[arg-type]
    write_csv(data, [{**ROW, "participant_id": f"p{n}"} for n in range(50)])
    folder.nightly()
    (path,) = (one for one in (data / "cache" / "converted").iterdir() if not one.is_symlink())
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    result = folder.nightly(full=True)
    assert result.refused == {}
    assert ledger(folder.published()[CELL].ledger) == {"counted": 50}


def test_the_cache_of_the_engine_is_used_for_unchanged_files_of_other_formats(data: Path) -> None:
    folder = DataFolder(data, CHOSEN)
    write_csv(data, [ROW])
    folder.nightly()
    (path,) = (one for one in (data / "cache" / "converted").iterdir() if not one.is_symlink())
    modified = path.stat().st_mtime_ns
    write_json(data, [{**ROW, "participant_id": "p2"}])
    folder.nightly()
    assert path.stat().st_mtime_ns == modified
    assert folder.published()[CELL].total["participations"] == 2


def test_check_judges_files_of_every_format_and_writes_nothing(data: Path) -> None:
    folder = DataFolder(data, CHOSEN)
    write_csv(data, [ROW, {**ROW, "hours": "x"}])
    write_excel(data, [ROW])
    with folder.context() as context:
        before = sorted(data.rglob("*"))
        checked = check.check(replace(context, writes=False))
    assert [(file.name, file.rows, file.problem) for file in checked.files] == [
        ("a.csv", 2, None),
        ("b.xlsx", 1, None),
    ]
    assert ledger(checked.ledger) == {"counted": 1, "superseded": 1, "unreadable_value": 1}
    assert sorted(data.rglob("*")) == before
