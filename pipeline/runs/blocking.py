"""The organisations that are blocked, because an export that named them is refused now.

Their numbers would be too small without it, so runs leave them as they are unless forced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model import periods
from pipeline.model.cells import NO_CONTENT, Cell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.storage.nightly_record import NightlyRecord


def organisations_of_refused(
    context: RunContext,
    record: NightlyRecord,
    inputs: RunInputs,
    organisations: Collection[str] | None = None,
) -> Mapping[str, Sequence[str]]:
    """Find, for each refused export, the organisations whose numbers would be too small without it.

    They are those that the file named before. A refused file that is new is taken for the
    successor of every file that has gone: a torn delivery under a new name. After the catalog was
    lost, no file is known; then they are the organisations that have other rows than published.

    Args:
        context: The catalog.
        record: The last nightly run, with the files as it found them.
        inputs: The exports of now, and the survey of them.
        organisations: The organisations of the survey; None is all.
    """
    if not inputs.exports.refused:
        return {}
    names = {file.name for file in inputs.exports.files}
    unknown = {
        org_id
        for name, file in record.files.items()
        if name not in names
        for org_id in file.organisations
    }
    if record.run_id == 0:
        unknown |= set(_changed(context, inputs, organisations))
    found = {}
    for name in inputs.exports.problems:
        known = record.files.get(name)
        named = set(known.organisations) if known else set()
        found[name] = sorted(named if known and known.is_complete else named | unknown)
    return found


def _changed(
    context: RunContext, inputs: RunInputs, organisations: Collection[str] | None
) -> Iterator[str]:
    """Give the organisations with a cell of other rows than its version was computed from."""
    entries = [
        entry
        for entry in context.catalog.entries().values()
        if entry.version and (organisations is None or entry.org_id in organisations)
    ]
    cells = {Cell(one.org_id, periods.parse(one.reporting_period_id)): one for one in entries}
    contents = {
        kind: inputs.survey.contents(kind)
        for kind in dict.fromkeys(cell.period.kind for cell in cells)
    }
    for cell, entry in cells.items():
        if entry.row_digest != contents[cell.period.kind].get(cell, NO_CONTENT).digest:
            yield cell.org_id


def blocked_organisations(of_refused: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Give each blocked organisation, with one of the refused exports because of which it is."""
    return {org_id: name for name, named in of_refused.items() for org_id in named}
