"""Every engine gives the same answers: numbers, ledger, digests, checksums and rejected rows."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings

from pipeline.engines import UnreadableExports
from pipeline.model.periods import KINDS
from pipeline.model.states import EngineName
from tests import given as exports
from tests.drawn_exports import CHOSEN, Drawn, many_files, plain, written
from tests.given import (
    export,
    ledger,
    numbers_of,
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

    from pipeline.engines import Survey
    from pipeline.settings import Settings

COUNTY = exports.settings(breakdowns={"county": "Fylke"})


def answers(survey: Survey) -> dict[str, Any]:
    """Collect all answers of a survey."""
    return {
        "rows by file": survey.rows_by_file,
        "ledger": survey.ledger,
        "rows without cell": survey.rows_without_cell,
        "organisations": survey.organisations_by_file,
        "checksums": survey.checksums,
        "contents": {kind: survey.contents(kind) for kind in KINDS},
        "numbers": {
            kind: {cell: plain(of) for cell, of in numbers_of(survey, kind).items()}
            for kind in KINDS
        },
        "rows by export": {kind: survey.rows_by_export(survey.contents(kind)) for kind in KINDS},
        "rejected": survey.rejected_rows(survey.contents("quarter")),
        "unplaced": survey.unplaced_rows(),
    }


def of_engine(data: Path, engine: str, chosen: Settings | None = None) -> dict[str, Any]:
    with survey_of(data, chosen, engine) as survey:
        return answers(survey)


@pytest.mark.no_cover
@pytest.mark.parametrize("other", exports.OTHER_ENGINES)
@settings(max_examples=exports.examples(20))
@given(drawn=many_files)
def test_every_engine_answers_as_the_default_one_does(other: str, drawn: list[Drawn]) -> None:
    with written(drawn) as data:
        assert of_engine(data, other, CHOSEN) == of_engine(data, EngineName.POLARS, CHOSEN)


@pytest.mark.parametrize("other", exports.OTHER_ENGINES)
def test_every_engine_answers_alike_about_corrections_and_rows_without_an_id(
    other: str, data: Path
) -> None:
    """Digests of rows depend on the latest statement, and of no other row where there is none."""
    days = [datetime(2024, 12, day, tzinfo=UTC) for day in (1, 2, 3)]
    moves = [exports.SUMMER, exports.AUTUMN, exports.SPRING]
    for place in range(3):
        rows = [
            row(participant_id=f"p{n}", started_at=moves[(n + place) % 3], hours=n + place / 2)
            | {"updated_at": days[(2 * n + place) % 3]}
            for n in range(1, 6)
        ]
        rows += [row(participant_id=None, hours=place + n / 4, updated_at=None) for n in range(3)]
        export(data, rows, f"{place}.parquet")
    found = of_engine(data, other)
    assert found == of_engine(data, EngineName.POLARS)
    assert ledger(found["ledger"]) == {"counted": 5, "superseded": 10, "missing_participant_id": 9}


def test_a_file_with_text_that_is_no_utf_8_is_refused_on_every_engine(
    engine: str, data: Path
) -> None:
    export(data, people(3), "good.parquet")
    path = export(data, people(3, org_id="blåbær"), "latin.parquet", compression="none")
    path.write_bytes(path.read_bytes().replace("blåbær".encode(), "blåbær--".encode("latin-1")))
    with pytest.raises(UnreadableExports) as refused:
        opened(engine).survey(scan_request(data))
    ((damaged, problem),) = refused.value.refused.items()
    assert (damaged.file.name, damaged.rows) == ("latin.parquet", 3)
    assert "it can't be read to its end" in str(problem)


def test_a_category_that_is_stored_as_a_uuid_may_be_null(engine: str, data: Path) -> None:
    kinds = [UUID(int=5).bytes, None, UUID(int=2**127 + 1).bytes]
    columns = table(people(3)).drop_columns(["bufdir_category"])
    written_as = pa.ExtensionArray.from_storage(pa.uuid(), pa.array(kinds, pa.binary(16)))
    write(data, columns.append_column("bufdir_category", written_as))
    chosen = exports.settings(
        categories=["ungdom"], export={"categories": {str(UUID(int=5)): "ungdom", "": "ungdom"}}
    )
    found = of_engine(data, engine, chosen)
    assert found == of_engine(data, EngineName.POLARS, chosen)
    assert ledger(found["ledger"]) == {"counted": 1, "unknown_category": 2}


def test_an_engine_names_its_kind(engine: str) -> None:
    assert opened(engine).name == engine


def test_no_exports_give_empty_answers(engine: str, data: Path) -> None:
    with survey_of(data, engine=engine) as survey:
        assert sum(survey.ledger.values()) == 0
        assert (survey.rows_by_file, survey.organisations_by_file) == ([], [])
        assert (survey.checksums, survey.contents("year")) == ({}, {})
        assert (survey.rejected_rows([]), survey.unplaced_rows()) == ({}, b"")


def test_an_engine_finds_the_valid_organisations_of_all_rows(engine: str, data: Path) -> None:
    export(data, [row(), row(org_id="org 2"), row(org_id=None), row(org_id="b", hours=None)])
    assert opened(engine).organisations(scan_request(data)) == {"org-1", "b"}


def test_a_checksum_stays_with_the_rows_and_changes_with_them(engine: str, data: Path) -> None:
    export(data, people(3))
    with survey_of(data, engine=engine) as survey:
        checksums = survey.checksums
    export(data, people(3)[::-1], row_group_size=1)
    assert opened(engine).content_checksums(scan_request(data)) == checksums
    export(data, people(2))
    assert opened(engine).content_checksums(scan_request(data)) != checksums


def test_a_file_that_cannot_be_read_is_named_and_the_others_can_be(engine: str, data: Path) -> None:
    export(data, people(200), "good.parquet")
    path = export(data, people(200, org_id="org-2"), "bad.parquet", compression="none")
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    request = scan_request(data)
    with pytest.raises(UnreadableExports) as refused:
        opened(engine).survey(request)
    assert [one.file.name for one in refused.value.refused] == ["bad.parquet"]
    (problem,) = map(str, refused.value.refused.values())
    assert "export bad.parquet (200 rows) is refused: it can't be read" in problem


def test_a_further_breakdown_counts_each_value_and_rows_without_one(
    engine: str, data: Path
) -> None:
    rows = [
        row(participant_id="p1", Fylke="Oslo"),
        row(participant_id="p2", Fylke="Oslo", activity_id="a2"),
        row(participant_id="p1", Fylke="Agder", activity_id="a3", hours=1.0),
        row(participant_id="p3", Fylke=None, activity_id="a4"),
        row(participant_id="p4", Fylke="", activity_id="a5"),
        row(participant_id="p5", Fylke="Rogaland", hours=None),
    ]
    export(data, rows, types={"Fylke": exports.TYPES["org_id"]})
    counted = exports.cells(engine, data, chosen=COUNTY)[exports.CELL]
    assert counted.breakdowns["county"] == {
        "": {"participations": 2, "people": 2, "seconds": 14_400, "activities": 2},
        "Agder": {"participations": 1, "people": 1, "seconds": 3600, "activities": 1},
        "Oslo": {"participations": 2, "people": 2, "seconds": 14_400, "activities": 2},
    }
    assert counted.total["people"] == 4
    assert counted.categories["ungdom"] == counted.total


def test_a_file_without_the_column_of_a_breakdown_has_rows_without_a_value(
    engine: str, data: Path
) -> None:
    export(data, people(2))
    counted = exports.cells(engine, data, chosen=COUNTY)[exports.CELL]
    assert {value: of["people"] for value, of in counted.breakdowns["county"].items()} == {"": 2}


def test_a_correction_moves_a_participation_to_another_value_of_a_breakdown(
    engine: str, data: Path
) -> None:
    later = {"updated_at": datetime(2024, 12, 1, tzinfo=UTC)}
    rows = [row(Fylke="Oslo"), row(Fylke="Agder", **later), row(participant_id="p2", Fylke="Oslo")]
    export(data, rows, types={"Fylke": exports.TYPES["org_id"]})
    counted = exports.cells(engine, data, chosen=COUNTY)[exports.CELL]
    assert ledger(counted.ledger) == {"counted": 2, "superseded": 1}
    assert {value: of["people"] for value, of in counted.breakdowns["county"].items()} == {
        "Agder": 1,
        "Oslo": 1,
    }


@pytest.mark.parametrize("other", exports.OTHER_ENGINES)
def test_every_engine_gives_the_same_digest_with_a_further_breakdown(
    other: str, data: Path
) -> None:
    export(
        data,
        [row(Fylke="Oslo"), row(participant_id="p2", Fylke=None)],
        types={"Fylke": exports.TYPES["org_id"]},
    )
    assert of_engine(data, other, COUNTY) == of_engine(data, EngineName.POLARS, COUNTY)
    assert of_engine(data, other, COUNTY)["contents"] != of_engine(data, other)["contents"]


def test_a_page_that_differs_from_its_checksum_refuses_its_file(engine: str, data: Path) -> None:
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False}
    path = export(
        data, [row(hours=4.0)], write_page_checksum=True, write_statistics=False, **options
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<d", 4.0), struct.pack("<d", 23.0), 1))
    with pytest.raises(UnreadableExports) as refused:
        opened(engine).survey(scan_request(data))
    (problem,) = map(str, refused.value.refused.values())
    assert "the checksum of a page of column hours is not that of its bytes" in problem
