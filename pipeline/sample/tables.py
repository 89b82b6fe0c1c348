"""The tables of a sample: columns of exports from numbers, and rows with invalid values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    UPDATED_AT,
)
from pipeline.sample.groups import CATEGORIES, ONE_IN, scatter

if TYPE_CHECKING:
    from pipeline.sample.groups import Integers, Plan
    from pipeline.sample.statements import Statements

_INSTANT: Final = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    {
        ORG_ID: pa.string(),
        ACTIVITY_ID: pa.string(),
        PARTICIPANT_ID: pa.string(),
        CATEGORY: pa.string(),
        STARTED_AT: _INSTANT,
        HOURS: pa.float64(),
        UPDATED_AT: _INSTANT,
        STATUS: pa.string(),
        DELETED: pa.bool_(),
    }
)

_DIRT: Final[tuple[tuple[str, Any], ...]] = (
    *((ORG_ID, value) for value in (None, "", "org 1")),
    *((ACTIVITY_ID, value) for value in (None, "")),
    *((PARTICIPANT_ID, value) for value in (None, "")),
    *((CATEGORY, value) for value in (None, "annet")),
    *((STARTED_AT, year and datetime(year, 1, 1, tzinfo=UTC)) for year in (None, 1970, 2204)),
    *((HOURS, value) for value in (None, float("nan"), float("inf"), -1.5, 150.0)),
    *((STATUS, value) for value in (None, "cancelled", "no_show")),
    (UPDATED_AT, None),
    (DELETED, True),
)
"""The invalid values of dirty rows, one after the other."""


def table_of(statements: Statements, seed: int) -> pa.Table:
    """Convert rows to the columns of an export."""
    count = len(statements.activity)
    columns = {
        ORG_ID: _numbered("org", statements.organisation + 1),
        ACTIVITY_ID: _numbered("act", statements.activity + 1),
        PARTICIPANT_ID: _pseudonyms(scatter(statements.person, seed)),
        CATEGORY: pa.array(list(CATEGORIES), pa.string()).take(pa.array(statements.category)),
        STARTED_AT: pa.array(statements.started_at).cast(_INSTANT),
        HOURS: pa.array(statements.quarters / 4),
        UPDATED_AT: pa.array(statements.updated_at).cast(_INSTANT),
        STATUS: pa.repeat(COMPLETED, count),
        DELETED: pa.array(statements.deleted),
    }
    return pa.table(columns, schema=SCHEMA)


def _numbered(prefix: str, numbers: Integers) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 5, "0")
    return pc.binary_join_element_wise(prefix, digits, "-")


def _pseudonyms(numbers: Integers) -> pa.Array:
    """Write each number below 2**48 as twelve hexadecimal digits."""
    six_bytes = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    digits = six_bytes.tobytes().hex().encode()
    return pa.array(np.frombuffer(digits, dtype="S12"), pa.string())


def with_dirt(table: pa.Table, plan: Plan, first: int, last: int) -> pa.Table:
    """Replace one value by an invalid one in one row of a hundred."""
    kind = np.arange(first // ONE_IN, last // ONE_IN) % len(_DIRT)
    rng = np.random.default_rng((plan.seed, first, 2))
    rows = np.sort(rng.choice(last - first, len(kind), replace=False))
    for field in SCHEMA:
        values = pa.array([v if name == field.name else None for name, v in _DIRT], field.type)
        mine = np.array([name == field.name for name, _ in _DIRT])[kind]
        mask = np.zeros(last - first, dtype=np.bool_)
        mask[rows[mine]] = True
        spoilt = pc.replace_with_mask(
            table[field.name].combine_chunks(), pa.array(mask), values.take(pa.array(kind[mine]))
        )
        table = table.set_column(table.schema.get_field_index(field.name), field, spoilt)
    return table
