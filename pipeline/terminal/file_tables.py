"""How named files are read, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from pipeline.model.ledger import COUNTED
from pipeline.printable import escaped
from pipeline.terminal.layout import properties, table
from pipeline.terminal.tables import ledger, placed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from pipeline.engines.first_rows import FirstRow
    from pipeline.runs.check import CheckResult
    from pipeline.runs.file_reports import FileReport, ReadColumn
    from pipeline.sources.unreadable_rows import UnreadableRows

_NEXT: Final = " | "
"""Separates the values of one column in the first rows."""


def read(found: CheckResult) -> RenderableType:
    """Show how each file is read, then the ledger of all where there are several."""
    shown: list[RenderableType] = []
    for report in found.reports:
        shown += [*_report(report), ""]
    if len(found.reports) > 1:
        shown += ["all files together", ledger(_lines(found.ledger)), ""]
    return Group(*shown, placed(found))


def _report(report: FileReport) -> Iterator[RenderableType]:
    source = report.source
    if not report.is_of_source:
        source += ", the first one: no source has files of this path; --source NAME chooses another"
    summary = {"source": source, "format": str(report.format)}
    yield Text(escaped(report.name), style="bold")
    if report.problem is not None:
        yield properties({**summary, "verdict": "refused"})
        yield Text(escaped(report.problem))
        return
    if report.ignored:
        summary["ignored"] = ", ".join(report.ignored)
    yield properties({**summary, "rows": f"{report.rows:,}"})
    yield ""
    yield table(("column", "in the file", "type"), map(_column, report.columns))
    if report.first_rows:
        yield ""
        yield _first_rows(report.first_rows)
    yield ""
    yield ledger(_lines(report.ledger))
    if report.unreadable.rows:
        yield ""
        yield from _unreadable(report.unreadable)


def _lines(found: Mapping[str, int]) -> Mapping[str, int]:
    """Select the lines of a ledger that have rows."""
    return {line: rows for line, rows in found.items() if rows or line == COUNTED}


def _column(column: ReadColumn) -> Sequence[object]:
    if column.type is not None:
        return column.ours, column.theirs, column.type
    return column.ours, None, "missing, required" if column.required else "missing, optional"


def _first_rows(rows: Sequence[FirstRow]) -> Table:
    """Show each column on a line, with its values from the first row on."""
    lines: list[tuple[str, Sequence[object]]] = [("row", [row.row for row in rows])]
    if any(row.sheet is not None for row in rows):
        lines.append(("sheet", [row.sheet for row in rows]))
    lines += [(ours, [row.values[ours] for row in rows]) for ours in rows[0].values]
    return table(
        ("column", "first rows"),
        ((name, _NEXT.join(map(_value, values))) for name, values in lines),
    )


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.15g}"
        case _:
            return str(value)


def _unreadable(found: UnreadableRows) -> Iterator[RenderableType]:
    """Show where people find the rows of which a value can't be read."""
    whole = "all: more or fewer than the header, or no JSON object"
    yield table(
        ("row", "sheet", "cells"),
        ((f"{one.row}", one.sheet, one.columns or whole) for one in found.places),
    )
    more = found.rows - len(found.places)
    if more:
        yield f"and {more:,} more"
