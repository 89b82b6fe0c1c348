"""The quick way to the latest statements agrees with the definition, whatever their hashes are."""

from __future__ import annotations

from typing import Any, Final

import narwhals as nw
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.definitions import steps
from pipeline.definitions.steps import IS_LATEST
from pipeline.engines.polars import latest, scan
from pipeline.engines.polars.hashing import KEY_HASH
from pipeline.engines.polars.latest import LATEST_HASH, PARTICIPATION
from pipeline.engines.row_hash import ROW_HASH
from pipeline.model.columns import (
    ACTIVITY_ID,
    COLUMNS,
    FILE,
    HOURS,
    ORG_ID,
    ROW,
    UPDATED_AT,
    UPDATED_AT_NS,
    latest_by,
)

KEY: Final = "key"
LEAST: Final = -(2**63)
NUMBERS: Final = (KEY_HASH, ROW_HASH, *PARTICIPATION[2:])
SCHEMA: Final = {
    **dict.fromkeys(latest_by(COLUMNS), pl.Int64()),
    **dict.fromkeys(NUMBERS, pl.UInt64()),
    ORG_ID: pl.String(),
    ACTIVITY_ID: pl.String(),
    FILE: pl.Int32(),
    ROW: pl.Int64(),
}


@st.composite
def statements(draw: st.DrawFn) -> pl.DataFrame:
    """Draw rows of few different values, so that keys, times and hashes often agree."""
    times = draw(st.sampled_from([[None, 7], [None, LEAST, 0]]))
    drawn: dict[str, st.SearchStrategy[Any]] = {
        KEY: st.sampled_from([("a", "a", 0, 0), ("a", "b", 0, 0), ("b", "a", 0, 2**64 - 1)]),
        UPDATED_AT: st.sampled_from(times),
        UPDATED_AT_NS: st.sampled_from([None, 0, 1]),
        FILE: st.integers(0, 1),
        HOURS: st.sampled_from([None, 1, 2]),
    }
    rows = draw(st.lists(st.fixed_dictionaries(drawn), max_size=12))
    numbered: list[dict[str, Any]] = [
        {**row, **dict(zip(PARTICIPATION, row[KEY], strict=True)), ROW: place}
        for place, row in enumerate(rows)
    ]
    return pl.DataFrame(numbered, schema=SCHEMA).with_columns(
        of_content(), of_key(draw(st.sampled_from([2, 2**63])))
    )


def of_content() -> pl.Expr:
    """Hash the content of a row: equal rows have equal hashes."""
    return pl.struct(*PARTICIPATION, UPDATED_AT, UPDATED_AT_NS, HOURS).hash().alias(ROW_HASH)


def of_key(hashes: int) -> pl.Expr:
    """Hash the key; of few hashes, other participations have the same one."""
    return (pl.struct(*PARTICIPATION).hash() % hashes).alias(KEY_HASH)


@settings(max_examples=500)
@given(statements())
def test_the_same_statements_are_the_latest_as_by_the_definition(rows: pl.DataFrame) -> None:
    marked = latest.mark_latest(rows, COLUMNS)

    assert marked.height == rows.height
    by_definition = scan.native(
        steps.mark_latest(nw.from_native(rows.lazy()), COLUMNS, PARTICIPATION)
    ).collect()
    expected = by_definition.filter(IS_LATEST).select(*PARTICIPATION, FILE, ROW_HASH)
    found = marked.filter(IS_LATEST).select(*PARTICIPATION, FILE, ROW_HASH)
    assert found.sort(pl.all()).equals(expected.sort(pl.all()))
    of_each = expected.select(*PARTICIPATION, pl.col(ROW_HASH).alias("expected"))
    hashes = marked.join(of_each, on=PARTICIPATION, how="left")
    assert hashes.select((pl.col(LATEST_HASH) == pl.col("expected")).all()).item()


@given(st.integers(1, 5))
def test_of_equal_rows_in_one_file_the_last_is_the_latest(rows: int) -> None:
    one: dict[str, Any] = dict.fromkeys(SCHEMA, 0) | {ORG_ID: "a", ACTIVITY_ID: "a"}
    frame = pl.DataFrame([{**one, ROW: row} for row in range(rows)], schema=SCHEMA)

    marked = latest.mark_latest(frame.reverse(), COLUMNS)

    assert marked.filter(IS_LATEST).get_column(ROW).to_list() == [rows - 1]
