"""Exports opened: each accepted with its columns as ours, or refused as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ExportRefused
from pipeline.model.columns import COLUMNS, Column
from pipeline.sources import parquet
from pipeline.sources.accepted import Export, Exports
from pipeline.sources.exports import is_legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.sources.exports import File
    from pipeline.sources.selection import Selection


def read(selection: Selection, columns: Sequence[Column] = COLUMNS) -> Exports:
    """Accept or refuse each file; reads no row of a Parquet file.

    Args:
        selection: The files to open, each with its source.
        columns: The columns that are read.
    """
    accepted: list[Export] = []
    refused: dict[File, ExportRefused] = {}
    for file in selection.files:
        try:
            _refuse_unopened(file)
            accepted.append(parquet.accept(file, selection.sources[file.name], columns))
        except ExportRefused as error:
            refused[file] = error
    return Exports(tuple(accepted), refused)


def _refuse_unopened(file: File) -> None:
    if file.problem is not None:
        raise ExportRefused(file.name, file.problem)
    if not is_legible(file.location):
        problem = "its path has signs that can't be shown; rename it"
        raise ExportRefused(file.name, problem)
