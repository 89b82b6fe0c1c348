"""Results as tables: aligned, numbers to the right, and never cut where no terminal limits them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipeline.model import versions
from pipeline.model.ledger import COUNTED, REASONS
from pipeline.storage.catalog import COMPLETED, text_of
from pipeline.terminal.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from pipeline.model.numbers import Numbers
    from pipeline.model.versions import Version
    from pipeline.runs.context import Outcome
    from pipeline.runs.inspection import Checked, CheckedFile, Verified
    from pipeline.storage.catalog import Entry

_STDOUT: Final = 1
_UNBOUNDED: Final = 100_000
_NUMBERS: Final = frozenset(
    {
        *("version", "rows", "published", "recomputed"),
        *("participations", "people", "hours", "activities"),
    }
)
"""Columns that are aligned to the right."""
_PROSE: Final = frozenset({"meaning", "ignored", "export"})
"""Columns that may be folded. An id or a number never is: half of one is another one."""
_METRICS: Final = ("participations", "people", "hours", "activities")
_NOTHING: Final = "-"
_MEANINGS: Final = {COUNTED: "The row counts."} | {
    reason.name: reason.meaning for reason in REASONS
}


def rendered(shown: RenderableType) -> str:
    """As this terminal shows it; off one, as wide as it needs to be, so that nothing is cut."""
    is_terminal = os.isatty(_STDOUT)
    console = Console(force_terminal=is_terminal, highlight=False)
    unbounded = console.options.update(width=_UNBOUNDED)
    needed = Measurement.get(console, unbounded, shown).minimum
    console.width = max(console.width, needed) if is_terminal else _UNBOUNDED
    with console.capture() as capture:
        console.print(shown)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def entries(listed: Sequence[Entry]) -> RenderableType:
    """Snapshots, a line each."""
    if not listed:
        return "no snapshots"
    headings = (
        *("id", "organisation", "period", "status"),
        *("participations", "hours", "activities", "refreshed"),
    )
    return _table(
        headings,
        (
            (
                *(entry.id, entry.org_id, entry.reporting_period_id, entry.status),
                *(entry.participations, _hours(entry.seconds), entry.activities),
                text_of(entry.refreshed_at) if entry.refreshed_at else None,
            )
            for entry in listed
        ),
    )


def outcomes(ended: Sequence[Outcome]) -> RenderableType:
    """What became of each snapshot of a run, a line each."""
    if not ended:
        return "no export names an organisation"
    return _table(
        ("id", "organisation", "period", "outcome", "version"),
        (
            (one.id, one.org_id, one.reporting_period_id, one.outcome, one.version or None)
            for one in ended
        ),
    )


def unpublished(entry: Entry) -> RenderableType:
    """One snapshot that has no version yet, and why it failed, if it did."""
    facts = {
        "id": entry.id,
        "organisation": entry.org_id,
        "period": entry.reporting_period_id,
        "status": entry.status,
        "created": text_of(entry.created_at),
    }
    return _facts(facts if entry.error is None else {**facts, "error": entry.error})


def published(version: Version) -> RenderableType:
    """One snapshot whole: its numbers by category, and what became of every row."""
    facts = {
        "id": version.id,
        "organisation": version.org_id,
        "period": version.reporting_period_id,
        "from": text_of(version.period_start),
        "until": text_of(version.period_end),
        "status": COMPLETED,
        "version": str(version.version),
        "created": text_of(version.created_at),
        "refreshed": text_of(version.refreshed_at),
    }
    return Group(_facts(facts), "", metrics(version), "", _ledger(version.ledger))


def metrics(version: Version) -> Table:
    """The numbers of a version by category; the last line's are of all rows, not sums."""
    groups = {**version.categories, "all": version.total}
    return _table(
        ("category", *_METRICS), ((name, *_shares(share)) for name, share in groups.items())
    )


def _shares(numbers: Numbers) -> Sequence[object]:
    return numbers.participations, numbers.people, _hours(numbers.seconds), numbers.activities


def checked(found: Checked) -> RenderableType:
    """What would become of exports: each file, then the ledger of their rows."""
    if not found.files:
        return "no exports"
    problems = [Text(file.problem) for file in found.files if file.problem is not None]
    unplaced = counted(sum(found.unplaced.values()), "row")
    placed = f"{counted(found.cells, 'cell')} with rows; {unplaced} in no cell"
    return Group(
        _table(("export", "rows", "verdict", "ignored"), map(_file, found.files)),
        *problems,
        "",
        _ledger(found.ledger),
        "",
        placed,
    )


def _file(file: CheckedFile) -> Sequence[object]:
    verdict = "accepted" if file.problem is None else "refused"
    return file.name, file.rows, verdict, ", ".join(file.ignored) or None


def verified(found: Sequence[Verified]) -> RenderableType:
    """Each snapshot's verdict, then every number that differs."""
    if not found:
        return "no snapshots"
    verdicts = _table(
        ("id", "organisation", "period", "verdict"),
        ((one.id, one.org_id, one.reporting_period_id, one.verdict) for one in found),
    )
    differences = [
        (one.id, each.name, each.published, each.recomputed)
        for one in found
        for each in one.differences
    ]
    if not differences:
        return verdicts
    return Group(verdicts, "", _table(("id", "number", "published", "recomputed"), differences))


def _ledger(ledger: Mapping[str, int]) -> Table:
    lines = [(rows, line, _MEANINGS.get(line)) for line, rows in ledger.items()]
    return _table(("rows", "ledger", "meaning"), [*lines, (sum(ledger.values()), "read", None)])


def _facts(facts: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, Text(value))
    return grid


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            no_wrap=heading not in _PROSE,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    return table


def _shown(value: object) -> str:
    if value is None:
        return _NOTHING
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _hours(seconds: int | None) -> int | float | None:
    return None if seconds is None else versions.hours(seconds)
