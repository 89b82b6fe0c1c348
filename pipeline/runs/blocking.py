"""The organisations that are blocked, because an export that named them is refused now.

Their numbers would be too small without it, so runs leave them as they are unless forced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.cells import NO_CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model.cells import Cell
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.plan import Published
    from pipeline.storage.nightly_record import NightlyRecord


def organisations_of_refused(
    record: NightlyRecord, inputs: RunInputs, entries: Mapping[Cell, Published]
) -> Mapping[str, Sequence[str]]:
    """Find, for each refused export, the organisations whose numbers would be too small without it.

    They are those that the file named before. A refused file that is new is taken for the
    successor of every file that has gone: a torn delivery under a new name. After the catalog was
    lost, no file is known; then they are the organisations that would lose rows.

    Args:
        record: The last nightly run, with the files as it found them.
        inputs: The exports of now, and the survey of them.
        entries: The snapshots to decide about.
    """
    names = {file.name for file in inputs.exports.files}
    gone = [file.organisations for name, file in record.files.items() if name not in names]
    unknown = {org_id for organisations in gone for org_id in organisations}
    if record.run_id == 0:
        unknown |= set(_losing_rows(inputs, entries))
    return {
        name: record.files[name].organisations if name in record.files else sorted(unknown)
        for name in inputs.exports.problems
    }


def _losing_rows(inputs: RunInputs, entries: Mapping[Cell, Published]) -> Iterator[str]:
    """Give the organisations with a cell that has fewer rows now than when it was published."""
    if not inputs.exports.refused:
        return
    contents = {
        kind: inputs.survey.contents(kind)
        for kind in dict.fromkeys(cell.period.kind for cell in entries)
    }
    for cell, published in entries.items():
        content = contents[cell.period.kind].get(cell, NO_CONTENT)
        if content.rows < (published.entry.rows or 0):
            yield cell.org_id


def blocked_organisations(of_refused: Mapping[str, Sequence[str]]) -> Mapping[str, str]:
    """Give each blocked organisation, with one of the refused exports because of which it is."""
    return {org_id: name for name, named in of_refused.items() for org_id in named}
