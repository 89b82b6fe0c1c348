"""Reports on named files: how each is read, for a person who sets up a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from pipeline import redaction
from pipeline.engines import first_rows
from pipeline.errors import ExportRefused
from pipeline.runs import gather
from pipeline.sources import header, unreadable_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.engines import Engine
    from pipeline.engines.first_rows import FirstRow
    from pipeline.model.states import Format
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.settings import SourceSettings
    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import File
    from pipeline.sources.unreadable_rows import UnreadableRows

_FIRST_ROWS: Final = 5
_PLACES: Final = 10


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """One of our columns, as a file has it."""

    ours: str
    theirs: str
    """The name that the source has for it."""
    type: str | None
    """The type as which it is read; None where the file does not have it."""
    required: bool


@dataclass(frozen=True, slots=True)
class FileReport:
    """The way in which one file is read."""

    name: str
    source: str
    is_of_source: bool
    """Whether the file's name is one of the source's, or the source was chosen."""
    format: Format
    problem: str | None
    """The reason for which it is refused; all that follows is then empty."""
    rows: int = 0
    columns: Sequence[ReadColumn] = ()
    """Our columns, those that the file lacks too."""
    ignored: Sequence[str] = ()
    """Its other columns."""
    first_rows: Sequence[FirstRow] = ()
    ledger: Mapping[str, int] = field(default_factory=dict)
    """The rows of this file alone, by ledger line."""
    unreadable: UnreadableRows = unreadable_rows.NONE
    """The rows with a value that could not be read, and the places of the first ones."""


def reports(context: RunContext, engine: Engine, inputs: RunInputs) -> list[FileReport]:
    """Report on each file that was named, in the order of names.

    Args:
        context: The settings.
        engine: Reads each file alone, where there are several.
        inputs: The files, and the survey of all.
    """
    found = [
        *(_accepted(context, engine, inputs, export) for export in inputs.exports.accepted),
        *(_refused(inputs, file, error) for file, error in inputs.exports.refused.items()),
    ]
    return sorted(found, key=lambda report: report.name)


def _refused(inputs: RunInputs, file: File, error: ExportRefused) -> FileReport:
    source = inputs.selection.sources[file.name]
    is_of_source = file.name not in inputs.selection.others
    return FileReport(file.name, source.name, is_of_source, source.format, error.problem)


def _accepted(context: RunContext, engine: Engine, inputs: RunInputs, export: Export) -> FileReport:
    file = export.file
    source = inputs.selection.sources[file.name]
    try:
        with context.reading.of([file], export.rows):
            rows = first_rows.read(export, context.settings.terms, _FIRST_ROWS)
            unreadable = unreadable_rows.find(export, _PLACES)
        ledger = _ledger_of(context, engine, inputs, file)
    except (pa.ArrowException, OSError) as error:  # it was read to its end a moment ago
        problem = f"it can't be read any longer ({redaction.summary(error)}); check it again"
        return _refused(inputs, file, ExportRefused(file.name, problem))
    return FileReport(
        file.name,
        source.name,
        file.name not in inputs.selection.others,
        source.format,
        None,
        export.rows,
        list(_columns(context, source, export)),
        export.ignored,
        rows,
        ledger,
        unreadable,
    )


def _ledger_of(
    context: RunContext, engine: Engine, inputs: RunInputs, file: File
) -> Mapping[str, int]:
    """Give the ledger of one file alone: a statement in another file supersedes none of its own."""
    if len(inputs.exports.accepted) == 1:
        return inputs.survey.ledger
    alone, survey = gather.survey_files(context, engine, inputs.selection.of([file]))
    with survey:
        gather.check_ledger(alone, survey, is_complete=True)
        return survey.ledger


def _columns(context: RunContext, source: SourceSettings, export: Export) -> Iterator[ReadColumn]:
    columns = context.settings.terms.columns
    theirs = header.names_of(source, columns)
    for column in columns:
        dtype = export.types.get(column.name)
        type_ = None if dtype is None else _described(dtype)
        yield ReadColumn(column.name, theirs[column.name], type_, column.required)


def _described(dtype: pa.DataType) -> str:
    """Name a type; of an instant, whether the file has its zone."""
    if pa.types.is_timestamp(dtype):
        return "instant" if dtype.tz else "wall clock"
    return "date" if pa.types.is_date(dtype) else str(dtype)
