"""The exports of a run as values: each accepted, with its columns as ours, or refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from pipeline.errors import ExportRefused
    from pipeline.model.columns import ColumnMapping
    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.exports import File


@dataclass(frozen=True, slots=True)
class Export:
    """One export that can be read."""

    file: File
    mapping: ColumnMapping = field(hash=False)
    types: Mapping[str, pa.DataType] = field(hash=False)
    """The type of each of our columns that the file has."""
    rows: int
    ignored: tuple[str, ...]
    """The names of columns that are not read."""
    layout: tuple[Any, ...]
    """Our columns with their names and types."""
    is_exact: bool
    """Whether engines' own readers give every value of it exactly, wherever the file is."""
    limits: LimitSettings = field(hash=False)
    """The bounds that its pages must keep."""
    converted: File | None = field(default=None, hash=False)
    """The Parquet file with its rows, where it has another format itself."""

    @property
    def parquet(self) -> File:
        """The file that is read."""
        return self.converted or self.file

    @property
    def read_as(self) -> tuple[Any, ...]:
        """All that decides how its rows are read; one scan can read files that agree in it."""
        instants = self.mapping.instants.items()
        units = tuple((ours, ticks.unit.value, ticks.zoned) for ours, ticks in instants)
        return self.layout, units, tuple(sorted(self.mapping.categories.items()))

    @property
    def is_native(self) -> bool:
        """Whether readers of engines here open the file themselves; otherwise `batches` reads it.

        Only its location opens a remote file.
        """
        return self.is_exact and not self.parquet.is_remote


@dataclass(frozen=True, slots=True)
class Exports:
    """All export files of a run, each accepted or refused, in the order of their names."""

    accepted: tuple[Export, ...]
    refused: Mapping[File, ExportRefused]

    @property
    def rows(self) -> int:
        """The number of rows in the accepted files, by their footers."""
        return sum(export.rows for export in self.accepted)

    @property
    def files(self) -> tuple[File, ...]:
        """All files, accepted and refused."""
        return (*(export.file for export in self.accepted), *self.refused)

    @property
    def problems(self) -> Mapping[str, str]:
        """The problem of each refused file, by its name."""
        return {file.name: str(error) for file, error in self.refused.items()}

    def without(self, damaged: Mapping[Export, ExportRefused]) -> Exports:
        """Return these exports with the damaged ones refused as well."""
        return Exports(
            tuple(export for export in self.accepted if export not in damaged),
            {**self.refused, **{export.file: error for export, error in damaged.items()}},
        )
