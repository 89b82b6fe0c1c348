"""The row hash on Spark follows the same specification as in the default engine."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import polars as pl
import pytest

from pipeline.engines.row_hash import hashed_columns
from pipeline.engines.spark import hashing
from tests.engines.test_row_hash import expected, xxh64
from tests.given import opened

pytestmark = pytest.mark.spark
TEXTS = ("org_id", "activity_id", "participant_id", "bufdir_category", "status")
NUMBERS = ("started_at", "started_at_ns", "updated_at", "updated_at_ns")
FLAGS = ("deleted", "unreadable")
DOUBLES = [0.0, -0.0, 0.1, 24.25, -1e300, 5e-324, math.inf, -math.inf, math.nan, None]


def rows(count: int) -> list[dict[str, Any]]:
    """Draw rows with values of every size, and nulls."""
    some = random.Random(5)  # noqa: S311 (no secret)
    signs = "aÅ€𝄞 x"
    edges = [0, -1, 1, 2**63 - 1, -(2**63), 2**32, -(2**32), 2**31, None]

    def text() -> str | None:
        length = some.choice([0, 1, 3, 8, 31, 32, 33, 70, -1])
        return None if length < 0 else "".join(some.choices(signs, k=length))

    def number() -> int | None:
        return some.choice([*edges, some.randrange(-(2**63), 2**63)])

    return [
        {name: text() for name in TEXTS}
        | {name: number() for name in NUMBERS}
        | {name: some.choice([True, False, None]) for name in FLAGS}
        | {"hours": some.choice(DOUBLES)}
        for _ in range(count)
    ]


def test_row_hashes_and_checksums_follow_their_specification() -> None:
    engine: Any = opened("spark")
    drawn = rows(500)
    kinds = dict.fromkeys(TEXTS, "string") | dict.fromkeys(NUMBERS, "bigint")
    kinds |= {"hours": "double"} | dict.fromkeys(FLAGS, "boolean")
    assert set(kinds) == set(hashed_columns())
    dtypes: dict[str, Any] = {
        name: {"string": pl.String, "double": pl.Float64}.get(kind, pl.Int64)
        for name, kind in kinds.items()
    }
    schema = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    values = [tuple(one[name] for name in kinds) for one in drawn]
    frame = engine.cluster.spark.createDataFrame(values, schema)
    hashed = frame.select(hashing.row_hash(kinds, kinds).alias("own"))
    found = hashed.select("own", hashing.checksum("own", "own").alias("checksum")).collect()
    for row, answer in zip(drawn, found, strict=True):
        own = expected(row, dtypes)
        assert answer.own % 2**64 == own, row
        assert answer.checksum % 2**64 == xxh64(struct.pack("<Q", own * 2 % 2**64), 42)
