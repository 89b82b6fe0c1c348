"""Exports opened: each accepted with its columns as ours, or refused as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import ExportRefused
from pipeline.model.states import Format
from pipeline.settings.limits import DEFAULTS
from pipeline.sources import checksum_lists, parquet
from pipeline.sources.accepted import Export, Exports
from pipeline.sources.exports import is_legible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.columns import Column
    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.content_digests import ContentDigests
    from pipeline.sources.conversion import Conversions
    from pipeline.sources.exports import File
    from pipeline.sources.selection import Selection


def read(
    selection: Selection,
    columns: Sequence[Column],
    conversions: Conversions,
    limits: LimitSettings = DEFAULTS,
    digests: ContentDigests | None = None,
) -> Exports:
    """Accept or refuse each file; reads no row of a Parquet file.

    Args:
        selection: The files to open, each with its source.
        columns: The columns that are read.
        conversions: The converted files of those that are not Parquet.
        limits: The bounds that Parquet files must keep, converted ones too.
        digests: The digests of contents, to compare with lists of checksums; None compares none.
    """
    accepted: list[Export] = []
    refused = dict(checksum_lists.refusals(selection, digests)) if digests else {}
    for file in [file for file in selection.files if file not in refused]:
        source = selection.sources[file.name]
        try:
            _refuse_unopened(file)
            if source.format is Format.PARQUET:
                accepted.append(parquet.accept(file, source, columns, limits))
            else:
                accepted.append(conversions.accept(file, source, columns, limits))
        except ExportRefused as error:
            # A copy: the error itself has, by its traceback, all that the reader had in memory.
            refused[file] = replace(error)
    return Exports(tuple(accepted), refused)


def _refuse_unopened(file: File) -> None:
    if file.problem is not None:
        raise ExportRefused(file.name, file.problem)
    if not is_legible(file.location):
        problem = "its path has signs that can't be shown; rename it"
        raise ExportRefused(file.name, problem)
