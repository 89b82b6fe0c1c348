"""Properties of any exports, on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.polars import hashing, sums
from pipeline.model.periods import KINDS
from tests import given as exports
from tests import reference
from tests.drawn_exports import (
    CHOSEN,
    MAPPING,
    Cells,
    Drawn,
    files,
    files_of_any_clock,
    many_files,
    plain,
    written,
)
from tests.engines.division import divide_finely
from tests.given import cells, numbers_of, survey_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.engines import Survey
    from pipeline.model.cells import Cell, CellContent

pytestmark = pytest.mark.no_cover

ORACLE: Final = reference.Settings(category_mapping=MAPPING)


def numbers(engine: str, data: Path, kind: str = "quarter") -> Cells:
    found = cells(engine, data, kind, CHOSEN)
    return {cell: plain(counted) for cell, counted in found.items()}


def plain_numbers(found: Survey, kind: str = "quarter") -> Cells:
    return {cell: plain(counted) for cell, counted in numbers_of(found, kind).items()}


def oracle(data: Path, kind: str) -> tuple[Cells, dict[str, int]]:
    """Count the same files in plain Python, row by row; also the rows that are in no cell."""
    found = reference.outcome(data / "exports", kind, ORACLE)
    in_cells = {
        cell: {
            "total": msgspec.to_builtins(counted.total),
            "categories": {
                name: msgspec.to_builtins(share) for name, share in counted.categories.items()
            },
            "ledger": dict(counted.ledger),
        }
        for cell, counted in found.cells.items()
    }
    return in_cells, dict(found.rows_without_cell)


def numbers_and_digests(data: Path) -> tuple[Cells, dict[Cell, CellContent]]:
    found = survey_of(data, CHOSEN)
    return plain_numbers(found), dict(found.contents("quarter"))


def taken(table: Any, rows: Sequence[int]) -> Any:
    return table.take(pa.array(rows, pa.int64()))


@settings(max_examples=exports.examples(30))
@given(drawn=files_of_any_clock, kind=st.sampled_from(sorted(KINDS)))
def test_every_engine_gives_what_plain_python_gives(
    engine: str, drawn: list[Drawn], kind: str
) -> None:
    with written(drawn) as data:
        expected, unplaced = oracle(data, kind)
        with survey_of(data, CHOSEN, engine) as found:
            assert exports.ledger(found.rows_without_cell) == unplaced
            assert plain_numbers(found, kind) == expected


@given(many_files)
def test_the_ledger_always_adds_up_to_the_rows_of_the_footers(drawn: list[Drawn]) -> None:
    with written(drawn) as data:
        found = survey_of(data, CHOSEN)
        rows = sum(file.table.num_rows for file in drawn)
        assert sum(found.ledger.values()) == exports.read(data, CHOSEN).rows == rows
        for kind in KINDS:
            counted = numbers_of(found, kind)
            in_cells = {cell: sum(of.ledger.values()) for cell, of in counted.items()}
            assert sum(in_cells.values()) + sum(found.rows_without_cell.values()) == rows
            assert in_cells == {cell.key: of.rows for cell, of in found.contents(kind).items()}
            for of in counted.values():
                shares = of.categories.values()
                assert of.ledger["counted"] == of.total["participations"]
                assert of.total["participations"] == sum(
                    share["participations"] for share in shares
                )
                assert of.total["seconds"] == sum(share["seconds"] for share in shares)
                assert max(share["people"] for share in shares) <= of.total["people"]
                assert of.total["people"] <= sum(share["people"] for share in shares)


@given(many_files, st.data())
def test_the_order_of_rows_and_row_groups_changes_no_number_and_no_digest(
    drawn: list[Drawn], more: st.DataObject
) -> None:
    with written(drawn) as data:
        before = numbers_and_digests(data)
    shuffled = [
        Drawn(
            taken(file.table, more.draw(st.permutations(range(file.table.num_rows)))),
            more.draw(st.integers(1, 5)),
        )
        for file in drawn
    ]
    with written(shuffled) as data:
        assert numbers_and_digests(data) == before


@pytest.mark.parametrize("other", exports.OTHER_ENGINES)
@settings(max_examples=exports.examples(15))
@given(many_files, st.data())
def test_the_order_of_rows_changes_nothing_on_other_engines_either(
    other: str, drawn: list[Drawn], more: st.DataObject
) -> None:
    with written(drawn) as data:
        before = numbers(other, data)
    shuffled = [
        Drawn(taken(file.table, more.draw(st.permutations(range(file.table.num_rows)))), 3)
        for file in drawn
    ]
    with written(shuffled) as data:
        assert numbers(other, data) == before


@st.composite
def untied(draw: st.DrawFn) -> Any:
    """Draw a file without two statements of the same moment, so that no path decides."""
    drawn = draw(files(most_rows=16)).table
    moments = draw(st.permutations(range(drawn.num_rows)))
    updated = pa.array(moments, pa.int64()).cast(pa.timestamp("us", "UTC"))
    if "updated_at" in drawn.column_names:
        drawn = drawn.drop_columns(["updated_at"])
    return drawn.append_column("updated_at", updated)


@given(many_files, st.integers(1, 5))
def test_how_exports_are_cut_into_batches_changes_no_number_and_no_digest(
    drawn: list[Drawn], rows: int
) -> None:
    with written(drawn) as data, pytest.MonkeyPatch.context() as patch:
        before = numbers_and_digests(data)
        divide_finely(patch, rows)
        assert numbers_and_digests(data) == before


@given(many_files)
def test_groups_whose_number_is_wider_than_64_bits_add_up_to_the_same(drawn: list[Drawn]) -> None:
    with written(drawn) as data, pytest.MonkeyPatch.context() as patch:
        before = numbers_and_digests(data)
        patch.setattr(sums, "MONTHS", 2**62)
        assert numbers_and_digests(data) == before


@given(many_files)
def test_ids_whose_hashes_collide_are_counted_separately(drawn: list[Drawn]) -> None:
    with written(drawn) as data, pytest.MonkeyPatch.context() as patch:
        expected, _ = oracle(data, "quarter")
        halves = hashing.first_halves
        patch.setattr(hashing, "first_halves", lambda: [half % 1 for half in halves()])
        assert numbers("polars", data) == expected


@given(untied(), st.data())
def test_splitting_a_file_and_shuffling_files_changes_no_number_and_no_digest(
    drawn: Any, more: st.DataObject
) -> None:
    with written([Drawn(drawn, 100)]) as data:
        before = numbers_and_digests(data)
    rows = more.draw(st.permutations(range(drawn.num_rows)))
    cuts = sorted(more.draw(st.lists(st.integers(0, len(rows)), min_size=1, max_size=3)))
    parts = [
        Drawn(taken(drawn, rows[first:last]), 100)
        for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    with written(more.draw(st.permutations(parts))) as data:
        assert numbers_and_digests(data) == before


@given(many_files, st.data())
def test_another_row_in_a_cell_changes_its_digest_and_of_no_other_organisation(
    drawn: list[Drawn], more: st.DataObject
) -> None:
    with written(drawn) as data:
        _, before = numbers_and_digests(data)
        participant = more.draw(st.sampled_from(["1", "new", None]))
        exports.export(data, [exports.row(org_id="1", participant_id=participant)], "zz.parquet")
        _, after = numbers_and_digests(data)
    cell = next(cell for cell in after if (cell.org_id, cell.period.id) == ("1", "rp-2024-q4"))
    assert before.get(cell) != after[cell]
    assert {c: content for c, content in after.items() if c.org_id != "1"} == {
        c: content for c, content in before.items() if c.org_id != "1"
    }
