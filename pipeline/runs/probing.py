"""Probes: exports read as a run reads them, in a process that they may end.

Nothing is published or written; what counts is that the process comes to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.states import EngineName
from pipeline.runs import gather

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.runs.context import RunContext
    from pipeline.sources.selection import Selection


def read(
    context: RunContext,
    selection: Selection,
    names: Collection[str],
    engines: Collection[EngineName] = (),
) -> None:
    """Read the files of these names as a run would.

    Args:
        context: The settings.
        selection: The exports.
        names: The names of those to read.
        engines: The engines that read them; without any, the one of the settings.
    """
    wanted = selection.of(file for file in selection.files if file.name in names)
    for name in engines or (context.settings.engine.name,):
        if name is EngineName.SPARK:  # its rows are read by other processes
            gather.open_files(context, wanted)
        else:
            _survey(context.with_engine(name), wanted)


def _survey(context: RunContext, selection: Selection) -> None:
    _, survey = gather.survey_files(context, context.engine(reads_cache=False), selection)
    with survey:
        for kind in context.settings.periods:
            cells = survey.contents(kind)
            for _ in survey.count(kind, cells):
                pass
            survey.rejected_rows(cells)
        survey.unplaced_rows()
