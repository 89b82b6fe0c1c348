"""Tables of tokens and of the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group

from pipeline.terminal import layout
from pipeline.terminal.command_result import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from pipeline.model.access import Grant
    from pipeline.model.audit import AuditLine
    from pipeline.runs.access import AuditLog


def tokens(grants: Sequence[Grant], now: datetime) -> RenderableType:
    """Show tokens, one a line."""
    headings = ("token", "can", "organisations", "made", "expires", "state")
    return layout.table(headings, (_token(grant, now) for grant in grants))


def _token(grant: Grant, now: datetime) -> tuple[object, ...]:
    organisations = "all" if grant.organisations is None else " ".join(grant.organisations)
    state = "valid" if grant.is_valid(now) else "expired"
    if grant.revoked_at is not None:
        state = "revoked"
    return (
        *(grant.name, grant.role.value, organisations),
        *(_instant(grant.created_at), _instant(grant.expires_at), state),
    )


def audit_log(log: AuditLog) -> RenderableType:
    """Show the lines of the audit log, and what became of the check of its chain."""
    headings = ("line", "at", "who", "from", "act", "count", "what", "end")
    table = layout.table(headings, map(_line, log.lines))
    if log.problems is None:
        return table
    if log.problems:
        return Group(table, "the audit log is broken")
    return Group(table, "no line was changed, removed or moved")


def _line(line: AuditLine) -> tuple[object, ...]:
    return (
        *(str(line.line), _instant(line.at), line.who, line.address),
        *(line.act.value, str(line.count), line.what, line.end),
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def diagnostics_of_audit(log: AuditLog) -> list[Diagnostic]:
    """Name each place where the chain is broken, and acts that wait."""
    found = [
        Diagnostic("audit_broken", f"audit.jsonl, line {one.line}: {one.problem}")
        for one in log.problems or ()
    ]
    if log.pending:
        waiting = (
            f"{log.pending} acts are not in audit.jsonl yet; the next command that writes adds "
            "them, once it can write the file"
        )
        found.append(Diagnostic("audit_pending", waiting))
    return found


def diagnostics_of_unwritable(problem: str | None) -> list[Diagnostic]:
    """Report an audit log that could not be written."""
    if problem is None:
        return []
    sentence = f"{problem}; its lines are in the catalog until a command can write it"
    return [Diagnostic("audit_unwritable", sentence)]
