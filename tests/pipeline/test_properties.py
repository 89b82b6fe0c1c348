"""What holds of any exports, however dirty: found by drawing them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.polars import hashing, partials, scan
from pipeline.model.periods import KINDS
from tests import reference
from tests.pipeline import given as exports
from tests.pipeline.given import cells, judged, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.engines.polars.survey import Content
    from pipeline.model.cells import Breakdown, Cell

Cells = dict[tuple[str, str], dict[str, Any]]

MAPPING: Final = {"Klubb": "ungdom", "Treff": "eldre", "": "funksjonsnedsettelse"}
CHOSEN: Final = exports.settings(export={"categories": MAPPING})
ORACLE: Final = reference.Settings(category_mapping=MAPPING)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TEXT_TYPES: Final = (pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()))
ID_TYPES: Final = (*TEXT_TYPES, pa.int16(), pa.uint64())
ZONED_TYPES: Final = (
    *(pa.timestamp(unit, "UTC") for unit in ("ms", "us", "ns")),
    pa.timestamp("ns", "America/New_York"),
    pa.timestamp("us", "+02:00"),
)
INSTANT_TYPES: Final = (
    *ZONED_TYPES,
    *(pa.timestamp(unit) for unit in ("s", "us", "ns")),
    pa.date32(),
)
HOUR_TYPES: Final = (pa.float64(), pa.float32(), pa.int16(), pa.decimal128(9, 4))

MOMENTS: Final = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2024-11-05T17:00:00",
        "2024-09-30T21:59:59",
        "2024-09-30T22:00:00",
        "2024-09-30T23:30:00",
        "2024-12-31T22:59:59",
        "2024-12-31T23:00:00",
        "2025-01-01T00:00:00",
        "2024-10-27T00:30:00",
        "2024-10-27T02:30:00",
        "2024-03-31T02:30:00",
    )
]
FAR_MOMENTS: Final = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "1999-12-31T22:59:59",
        "1999-12-31T23:00:00",
        "2100-12-31T22:59:59",
        "2100-12-31T23:00:00",
        "1924-01-01T00:00:00",
    )
]
HOURS: Final = [0.0, -0.0, 0.1, 0.25, 1.5, 2.0, 1 / 3, 24.0, 24.25, -1.0, -0.5, None]
NOT_FINITE: Final = [math.nan, math.inf, -math.inf]
NANOSECONDS: Final = (0, 0, 0, 1, 999, 1000)


@dataclass(frozen=True)
class Drawn:
    """One file: its columns as Arrow arrays."""

    table: Any
    row_group_size: int

    def __repr__(self) -> str:
        """What Hypothesis shows when a test fails."""
        return f"{self.table.schema}\n{self.table.to_pylist()}"


def column(values: st.SearchStrategy[Any], kind: Any, rows: int) -> st.SearchStrategy[Any]:
    drawn = st.lists(values, min_size=rows, max_size=rows)
    return drawn.map(lambda found: pa.array(found, kind))


def ids(kind: Any, texts: Sequence[str | None]) -> st.SearchStrategy[Any]:
    if pa.types.is_integer(kind):
        return st.sampled_from([int(text) for text in texts if text and text.isdecimal()] + [None])
    return st.sampled_from(texts)


def instants(kind: Any, near: Sequence[datetime]) -> st.SearchStrategy[Any]:
    """Ticks of the type, some of them a few nanoseconds after a whole second."""
    if pa.types.is_date(kind):
        return st.sampled_from([*(moment.date() for moment in near), None])
    second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
    moments = st.sampled_from([*near, None])
    beyond = st.sampled_from(NANOSECONDS)
    return st.builds(
        lambda moment, rest: moment and int(moment.timestamp()) * second + rest * second // 10**9,
        moments,
        beyond,
    )


def times(kind: Any, moments: Sequence[datetime], rows: int) -> st.SearchStrategy[Any]:
    if pa.types.is_date(kind):
        return column(instants(kind, moments), kind, rows)
    return column(instants(kind, moments), pa.int64(), rows).map(lambda ticks: ticks.cast(kind))


def hours(kind: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_floating(kind):
        return st.sampled_from([*HOURS, *NOT_FINITE])
    if pa.types.is_integer(kind):
        return st.sampled_from([0, 1, 2, 24, 25, -1, None])
    return st.sampled_from(
        [None if h is None else Decimal(round(h * 10**4)).scaleb(-4) for h in HOURS]
    )


@st.composite
def files(draw: st.DrawFn, *, most_rows: int = 12, clocks: bool = False) -> Drawn:
    """A file in one of the shapes that exports have, with every kind of dirt.

    What clocks on the wall show, and a span of centuries, take a while to read, so they are
    drawn where they matter.
    """
    instant_types = INSTANT_TYPES if clocks else ZONED_TYPES
    moments = [*MOMENTS, *FAR_MOMENTS] if clocks else MOMENTS
    rows = draw(st.integers(0, most_rows))
    kinds = {
        name: draw(st.sampled_from(ID_TYPES))
        for name in ("org_id", "activity_id", "participant_id")
    }
    some = ["1", "2", None, "", "org 1"]
    columns = {
        "org_id": column(ids(kinds["org_id"], ["1", *some]), kinds["org_id"], rows),
        "activity_id": column(
            ids(kinds["activity_id"], ["1", "1", "2", None, ""]), kinds["activity_id"], rows
        ),
        "participant_id": column(
            ids(kinds["participant_id"], ["1", "2", "3", None, ""]), kinds["participant_id"], rows
        ),
        "bufdir_category": column(
            st.sampled_from(["ungdom", "eldre", "Klubb", "Treff", "sport", "", None]),
            draw(st.sampled_from(TEXT_TYPES)),
            rows,
        ),
        "started_at": times(draw(st.sampled_from(instant_types)), moments, rows),
    }
    hour_type = draw(st.sampled_from(HOUR_TYPES))
    columns["hours"] = column(hours(hour_type), hour_type, rows)
    optional = {
        "updated_at": times(draw(st.sampled_from(instant_types)), moments, rows),
        "status": column(
            st.sampled_from(["completed", "completed", "cancelled", "", None]),
            draw(st.sampled_from(TEXT_TYPES)),
            rows,
        ),
        "deleted": column(st.sampled_from([None, False, True]), pa.bool_(), rows),
    }
    columns |= {name: values for name, values in optional.items() if draw(st.booleans())}
    order = draw(st.permutations(sorted(columns)))
    table = pa.table({name: draw(columns[name]) for name in order})
    return Drawn(table, draw(st.integers(1, 8)))


many_files = st.lists(files(), min_size=1, max_size=4)
files_of_any_clock = st.lists(files(clocks=True), min_size=1, max_size=3)


@contextmanager
def written(drawn: Sequence[Drawn]) -> Iterator[Path]:
    """The files as exports of a data folder, named in their order."""
    with TemporaryDirectory() as folder:
        for place, file in enumerate(drawn):
            write(Path(folder), file.table, f"{place}.parquet", row_group_size=file.row_group_size)
        yield Path(folder)


def plain(found: Breakdown) -> dict[str, Any]:
    return {
        "total": msgspec.to_builtins(found.total),
        "categories": {
            name: msgspec.to_builtins(share) for name, share in found.categories.items()
        },
        "ledger": exports.ledger(found.ledger),
    }


def numbers(engine: str, data: Path, kind: str = "quarter") -> Cells:
    found = cells(engine, data, kind, CHOSEN)
    return {cell: plain(counted) for cell, counted in found.items()}


def of_ids(found: Mapping[Cell, Breakdown]) -> Cells:
    return {(cell.org_id, cell.period.id): plain(counted) for cell, counted in found.items()}


def oracle(data: Path, kind: str) -> tuple[Cells, dict[str, int]]:
    """What plain Python makes of the same files, row by row; and the rows that lie in no cell."""
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
    return in_cells, dict(found.unplaced)


def numbers_and_digests(data: Path) -> tuple[Cells, dict[Cell, Content]]:
    found = judged(data, CHOSEN)
    return of_ids(found.breakdowns("quarter", None)), dict(found.contents("quarter"))


def taken(table: Any, rows: Sequence[int]) -> Any:
    return table.take(pa.array(rows, pa.int64()))


@pytest.mark.timeout(400)
@settings(max_examples=30)
@given(files_of_any_clock, st.sampled_from(sorted(KINDS)))
def test_both_engines_give_what_plain_python_gives(drawn: list[Drawn], kind: str) -> None:
    with written(drawn) as data:
        expected, unplaced = oracle(data, kind)
        found = judged(data, CHOSEN)
        assert exports.ledger(found.unplaced) == unplaced
        assert of_ids(found.breakdowns(kind, None)) == expected
        assert numbers("duckdb", data, kind) == expected


@given(many_files)
def test_the_ledger_always_adds_up_to_the_rows_of_the_footers(drawn: list[Drawn]) -> None:
    with written(drawn) as data:
        found = judged(data, CHOSEN)
        rows = sum(file.table.num_rows for file in drawn)
        assert sum(found.ledger.values()) == exports.read(data, CHOSEN).rows == rows
        for kind in KINDS:
            counted = found.breakdowns(kind, None)
            in_cells = {cell: sum(of.ledger.values()) for cell, of in counted.items()}
            assert sum(in_cells.values()) + sum(found.unplaced.values()) == rows
            assert in_cells == {cell: of.rows for cell, of in found.contents(kind).items()}
            for of in counted.values():
                shares = of.categories.values()
                assert of.ledger["counted"] == of.total.participations
                assert of.total.participations == sum(share.participations for share in shares)
                assert of.total.seconds == sum(share.seconds for share in shares)
                assert max(share.people for share in shares) <= of.total.people
                assert of.total.people <= sum(share.people for share in shares)


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


@settings(max_examples=15)
@given(many_files, st.data())
def test_the_order_of_rows_changes_nothing_on_the_second_engine_either(
    drawn: list[Drawn], more: st.DataObject
) -> None:
    with written(drawn) as data:
        before = numbers("duckdb", data)
    shuffled = [
        Drawn(taken(file.table, more.draw(st.permutations(range(file.table.num_rows)))), 3)
        for file in drawn
    ]
    with written(shuffled) as data:
        assert numbers("duckdb", data) == before


@st.composite
def untied(draw: st.DrawFn) -> Any:
    """A file in which no two statements are of the same moment, so that no path decides."""
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
        patch.setattr(scan, "BATCH_ROWS", rows)
        assert numbers_and_digests(data) == before


@given(many_files)
def test_groups_whose_number_is_wider_than_64_bits_add_up_to_the_same(drawn: list[Drawn]) -> None:
    with written(drawn) as data, pytest.MonkeyPatch.context() as patch:
        before = numbers_and_digests(data)
        patch.setattr(partials, "MONTHS", 2**62)
        assert numbers_and_digests(data) == before


@given(many_files)
def test_ids_whose_hashes_fall_together_are_still_counted_apart(drawn: list[Drawn]) -> None:
    with written(drawn) as data, pytest.MonkeyPatch.context() as patch:
        expected, _ = oracle(data, "quarter")
        ids = hashing.ids
        patch.setattr(
            hashing,
            "ids",
            lambda place: [found % 1 if place == 0 else found for found in ids(place)],
        )
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
def test_another_row_in_a_cell_is_another_digest_and_of_no_other_organisation(
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
