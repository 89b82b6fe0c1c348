"""Exports that can't be read together, although each can by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline.engines import UnreadableExports
from pipeline.engines import polars as polars_engine
from pipeline.engines.duckdb import scan as duckdb_scan
from tests.given import export, numbers_of, opened, people, scan_request

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.engines import ScanRequest


def three_exports(data: Path) -> ScanRequest:
    for number in range(3):
        export(data, people(5, org_id=f"org-{number % 2}"), f"{number}.parquet")
    return scan_request(data)


def test_exports_that_are_read_one_by_one_give_the_same_numbers(
    data: Path, local_engine: str
) -> None:
    request = three_exports(data)
    engine = opened(local_engine)
    alone = replace(request, one_by_one=True)
    with engine.survey(request) as together, engine.survey(alone) as each:
        assert numbers_of(each) == numbers_of(together)
        assert each.rows_by_file == together.rows_by_file == [5, 5, 5]
        assert each.checksums == together.checksums
        assert each.ledger == together.ledger
    assert engine.organisations(alone) == {"org-0", "org-1"}


def test_a_failure_of_all_together_leads_to_one_by_one_and_then_is_a_fault(data: Path) -> None:
    request = three_exports(data)
    error = pl.exceptions.ComputeError("schemas differ")
    alone = polars_engine._one_by_one(request, error)  # noqa: SLF001 (no file is known that fails so)
    assert alone == replace(request, one_by_one=True)
    with pytest.raises(pl.exceptions.ComputeError):
        polars_engine._one_by_one(alone, error)  # noqa: SLF001 (as above)
    duckdb_scan.refuse_unreadable(request, error)
    with pytest.raises(pl.exceptions.ComputeError):
        duckdb_scan.refuse_unreadable(alone, error)


def test_a_file_that_fails_by_itself_is_named(data: Path, local_engine: str) -> None:
    request = three_exports(data)
    damaged = request.exports[1]
    content = bytearray((data / "exports" / "1.parquet").read_bytes())
    content[8:40] = b"\xff" * 32
    (data / "exports" / "1.parquet").write_bytes(content)
    with pytest.raises(UnreadableExports) as found:
        opened(local_engine).survey(request)
    assert list(found.value.refused) == [damaged]
