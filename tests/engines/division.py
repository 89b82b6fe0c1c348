"""The division of rows into batches, pieces and parts, as fine as few rows need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.engines.polars import comparison, scan, statements

if TYPE_CHECKING:
    import pytest


def divide_finely(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Have the default engine read and compare so many rows at a time, instead of very many."""
    patch.setattr(scan, "BATCH_ROWS", rows)
    patch.setattr(statements, "PIECE_ROWS", rows)
    patch.setattr(comparison, "PART_ROWS", rows)
