"""Layout of tables: aligned, numbers to the right, and never cut where no terminal limits them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipeline.model.metrics import METRICS, SECONDS
from pipeline.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

_STDOUT: Final = 1
_UNBOUNDED: Final = 100_000
HOURS: Final = "hours"
METRIC_HEADINGS: Final = tuple(
    HOURS if metric.name == SECONDS else metric.name for metric in METRICS
)
_NUMBERS: Final = frozenset(
    {"version", "rows", "published", "recomputed", "attempts", *METRIC_HEADINGS}
)
"""Columns that are aligned to the right."""
_PROSE: Final = frozenset(
    {
        *("meaning", "ignored", "export", "value", "source", "problem", "finding", "remedy"),
        *("in the file", "first rows", "cells"),
    }
)
"""Columns that may be folded. An id or a number never is: half of one is another one."""
_NOTHING: Final = "-"


def rendered(shown: RenderableType) -> str:
    """Render for this terminal; off one, as wide as needed, so that nothing is cut.

    Each part of a group is as wide as it needs itself.
    """
    if isinstance(shown, Group):
        return "\n".join(map(rendered, shown.renderables))
    is_terminal = os.isatty(_STDOUT)
    console = Console(force_terminal=is_terminal, highlight=False)
    unbounded = console.options.update(width=_UNBOUNDED)
    needed = Measurement.get(console, unbounded, shown).minimum
    console.width = max(console.width, needed) if is_terminal else _UNBOUNDED
    with console.capture() as capture:
        console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Align rows below their headings; None is shown as a dash."""
    laid_out = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        laid_out.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            no_wrap=heading not in _PROSE,
            overflow="fold",
        )
    for row in rows:
        laid_out.add_row(*(Text(_text(value)) for value in row))
    return laid_out


def properties(values: Mapping[str, str]) -> Table:
    """Align names and values, one pair a line."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in values.items():
        grid.add_row(name, Text(escaped(value)))
    return grid


def _text(value: object) -> str:
    if value is None:
        return _NOTHING
    return f"{value:,}" if isinstance(value, int | float) else escaped(str(value))
