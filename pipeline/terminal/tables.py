"""Results about snapshots and exports as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from pipeline.model import versions
from pipeline.model.breakdowns import BY_CATEGORY
from pipeline.model.ledger import COUNTED, REASONS
from pipeline.model.metrics import SECONDS, complete
from pipeline.model.states import SnapshotStatus
from pipeline.printable import escaped
from pipeline.storage.database import text_of
from pipeline.terminal.layout import HOURS, METRIC_HEADINGS, properties, table
from pipeline.terminal.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from pipeline.model.deletions import Deletion
    from pipeline.model.metrics import Numbers
    from pipeline.model.versions import Version
    from pipeline.runs.check import CheckedFile, CheckResult
    from pipeline.runs.context import SnapshotResult
    from pipeline.runs.verify import VerifiedSnapshot
    from pipeline.storage.catalog import Entry

_MEANINGS: Final = {COUNTED: "The row counts."} | {
    reason.name: reason.meaning for reason in REASONS
}


def entries(listed: Sequence[Entry]) -> RenderableType:
    """Show snapshots, a line each."""
    if not listed:
        return "no snapshots"
    headings = (
        *("id", "organisation", "period", "status"),
        *("participations", HOURS, "activities", "refreshed"),
    )
    return table(
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


def deleted(found: Sequence[Deletion], days: int) -> RenderableType:
    """Show deleted snapshots, a line each, with the instant until which each can be undeleted."""
    if not found:
        return "no deleted snapshots"
    return table(
        ("id", "organisation", "period", "version", "deleted", "by", "can be undone until"),
        (
            (
                *(one.id, one.org_id, one.reporting_period_id, one.version or None),
                *(text_of(one.deleted_at), one.deleted_by),
                "files removed" if one.removed_at else text_of(one.until(days)),
            )
            for one in found
        ),
    )


def outcomes(found: Sequence[SnapshotResult]) -> RenderableType:
    """Show the outcome of each snapshot of a run, a line each."""
    if not found:
        return "no export names an organisation"
    return table(
        ("id", "organisation", "period", "outcome", "version"),
        (
            (one.id, one.org_id, one.reporting_period_id, one.outcome, one.version or None)
            for one in found
        ),
    )


def unpublished(entry: Entry) -> RenderableType:
    """Show a snapshot that has no version yet, with the reason where it failed."""
    values = {
        "id": entry.id,
        "organisation": entry.org_id,
        "period": entry.reporting_period_id,
        "status": entry.status,
        "created": text_of(entry.created_at),
    }
    return properties(values if entry.error is None else {**values, "error": entry.error})


def published(version: Version) -> RenderableType:
    """Show a snapshot with all its numbers and its ledger."""
    values = {
        "id": version.id,
        "organisation": version.org_id,
        "period": version.reporting_period_id,
        "from": text_of(version.period_start),
        "until": text_of(version.period_end),
        "status": SnapshotStatus.COMPLETED,
        "version": str(version.version),
        "created": text_of(version.created_at),
        "refreshed": text_of(version.refreshed_at),
    }
    return Group(properties(values), "", metrics(version), "", ledger(version.ledger))


def metrics(version: Version) -> RenderableType:
    """Show every metric of a version by every breakdown.

    The last line of each table counts all rows; it is not the sum of the others, because people
    and activities do not add up.
    """
    shown: list[RenderableType] = []
    for name, groups in _breakdowns(version).items():
        rows = {**groups, "all": version.total}
        lines = ((value or "(none)", *_numbers(numbers)) for value, numbers in rows.items())
        shown += ["", table((name, *METRIC_HEADINGS), lines)]
    return Group(*shown[1:])


def _breakdowns(version: Version) -> Mapping[str, Mapping[str, Numbers]]:
    return {BY_CATEGORY: version.categories, **version.breakdowns}


def _numbers(numbers: Numbers) -> Sequence[object]:
    return [
        _hours(value) if name == SECONDS else value for name, value in complete(numbers).items()
    ]


def checked(found: CheckResult) -> RenderableType:
    """Show the verdict on each export, then the ledger of their rows."""
    if not found.files:
        return "no exports"
    problems = [Text(escaped(file.problem)) for file in found.files if file.problem is not None]
    return Group(
        table(("export", "rows", "verdict", "ignored"), map(_file, found.files)),
        *problems,
        "",
        ledger(found.ledger),
        "",
        placed(found),
    )


def placed(found: CheckResult) -> str:
    """Sum up in how many cells the rows are."""
    unplaced = counted(sum(found.rows_without_cell.values()), "row")
    return f"{counted(found.cells, 'cell')} with rows; {unplaced} in no cell"


def _file(file: CheckedFile) -> Sequence[object]:
    verdict = "accepted" if file.problem is None else "refused"
    return file.name, file.rows, verdict, ", ".join(file.ignored) or None


def verified(found: Sequence[VerifiedSnapshot]) -> RenderableType:
    """Show the verdict on each snapshot, then every number that differs."""
    if not found:
        return "no snapshots"
    verdicts = table(
        ("id", "organisation", "period", "engine", "verdict"),
        ((one.id, one.org_id, one.reporting_period_id, one.engine, one.verdict) for one in found),
    )
    differences = [
        (one.id, each.name, each.published, each.recomputed)
        for one in found
        for each in one.differences
    ]
    if not differences:
        return verdicts
    return Group(verdicts, "", table(("id", "number", "published", "recomputed"), differences))


def ledger(found: Mapping[str, int]) -> Table:
    """Show the lines of a ledger with their meanings, and the sum."""
    lines = [(rows, line, _MEANINGS.get(line)) for line, rows in found.items()]
    return table(("rows", "ledger", "meaning"), [*lines, (sum(found.values()), "read", None)])


def _hours(seconds: int | None) -> int | float | None:
    return None if seconds is None else versions.hours(seconds)
