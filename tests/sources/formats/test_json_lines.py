"""JSON lines: one object a line, with paths into inner objects as columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ExportRefused
from tests.formats import Converted, converted, format_settings

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {"org_id": "unit.id", "participant_id": "person.key", "activity_id": "activity"}
ROW: dict[str, Any] = {
    "unit": {"id": "org-1", "name": "Nord"},
    "activity": 17,
    "person": {"key": "p1"},
    "bufdir_category": "ungdom",
    "started_at": "2024-11-05T18:00:00+01:00",
    "hours": 1.5,
}


def read(folder: Path, *rows: Any, **options: Any) -> Converted:
    path = folder / "a.jsonl"
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return converted(path, format_settings("jsonl", columns=COLUMNS, jsonl=options))


def test_dotted_paths_lead_into_objects(tmp_path: Path) -> None:
    found = read(tmp_path, ROW)
    assert found.rows == [
        {
            "org_id": "org-1",
            "activity_id": "17",
            "participant_id": "p1",
            "bufdir_category": "ungdom",
            "started_at": "2024-11-05T17:00:00Z",
            "hours": 1.5,
        }
    ]
    assert found.places == [(1, None, None)]
    assert found.ignored == ("unit.name",)


@pytest.mark.parametrize(
    ("changes", "column", "value"),
    [
        ({"activity": 12345678901234567890123}, "activity_id", "12345678901234567890123"),
        ({"activity": 3.0}, "activity_id", "3"),
        ({"activity": None}, "activity_id", None),
        ({"person": None}, "participant_id", None),
        ({"person": {}}, "participant_id", None),
        ({"hours": 2}, "hours", 2.0),
        ({"hours": "1.5"}, "hours", 1.5),
        ({"started_at": "2024-11-05"}, "started_at", "2024-11-04T23:00:00Z"),
    ],
)
def test_values_are_read_by_the_types_of_their_columns(
    tmp_path: Path, changes: dict[str, Any], column: str, value: object
) -> None:
    found = read(tmp_path, ROW, {**ROW, **changes})
    assert found.rows[1][column] == value
    assert found.unreadable == []


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"activity": 1.5}, "activity"),
        ({"activity": ["a1"]}, "activity"),
        ({"activity": True}, "activity"),
        ({"hours": "mye"}, "hours"),
        ({"hours": [1]}, "hours"),
        ({"started_at": 1730826000}, "started_at"),
        ({"bufdir_category": {"code": "ungdom"}}, "bufdir_category"),
    ],
)
def test_a_value_of_another_type_costs_its_row_and_is_named(
    tmp_path: Path, changes: dict[str, Any], column: str
) -> None:
    found = read(tmp_path, ROW, {**ROW, **changes}, ROW)
    assert found.unreadable == [2]
    assert (2, None, column) in found.places


def test_lines_that_are_no_object_are_torn_and_empty_ones_are_skipped(tmp_path: Path) -> None:
    torn = json.dumps(ROW)[:-9]
    found = read(tmp_path, ROW, "", torn, "[1]", "  ", ROW)
    assert found.unreadable == [3, 4]
    assert sorted(place[0] for place in found.places) == [1, 3, 4, 6]


def test_a_flag_may_be_a_boolean_or_a_word(tmp_path: Path) -> None:
    found = read(tmp_path, {**ROW, "deleted": True}, {**ROW, "deleted": "nei"}, false="nei")
    assert [row["deleted"] for row in found.rows] == [True, False]


def test_a_column_may_first_occur_after_many_lines(tmp_path: Path) -> None:
    found = read(tmp_path, *([ROW] * 70_000), {**ROW, "status": "cancelled"})
    assert len(found.rows) == 70_001
    assert found.rows[0]["status"] is None
    assert found.rows[-1]["status"] == "cancelled"


def test_the_last_line_needs_no_end_and_the_first_may_have_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(f"{json.dumps(ROW)}\r\n{json.dumps(ROW)}".encode("utf-8-sig"))
    assert len(converted(path, format_settings("jsonl", columns=COLUMNS)).rows) == 2


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ((), "it has no JSON object; export it again"),
        (("torn",), "it has no JSON object; export it again"),
        (({"a": 1},), "it lacks the required column unit.id (our org_id); it has a"),
    ],
)
def test_a_file_without_the_columns_is_refused(
    tmp_path: Path, rows: tuple[Any, ...], problem: str
) -> None:
    with pytest.raises(ExportRefused, match="is refused") as refused:
        read(tmp_path, *rows)
    assert problem in str(refused.value)
