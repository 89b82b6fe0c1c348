"""Warnings of a nightly run: what may be wrong with exports although it blocks nothing.

Pure: from the record, the exports of now and the new versions to values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.model.ledger import QUARANTINED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.cells import Cell
    from pipeline.model.versions import Version
    from pipeline.runs.published import Published
    from pipeline.settings import Settings
    from pipeline.sources.selection import Selection
    from pipeline.storage.nightly_record import NightlyRecord

_FEW: Final = 0.01
"""A reason that left out a smaller share of an organisation's rows was rare."""
_MANY: Final = 0.1
"""One that leaves out a greater share is not."""
_SOME_ROWS: Final = 10
"""So many rows or fewer are no jump, whatever their share."""


@dataclass(frozen=True, slots=True)
class LedgerJump:
    """A reason that left out few rows of some organisations before, and leaves out many now."""

    reason: str
    organisations: Sequence[str]
    before: int
    """The rows of these organisations that it left out before."""
    rows_before: int
    """All their rows before."""
    now: int
    rows_now: int


@dataclass(frozen=True, slots=True)
class NightlyWarnings:
    """What an operator should look at, although nothing is blocked because of it."""

    same_content: Sequence[Sequence[str]] = ()
    """Exports that have the same rows, each set by name."""
    silent: Mapping[str, datetime] = field(default_factory=dict)
    """The sources from which nothing new has come for too long, and when something last did."""
    left_out: Sequence[LedgerJump] = ()
    """The reasons that leave out many rows of the new versions, and few of those before."""
    look_alikes: Mapping[str, int] = field(default_factory=dict)
    """By export, the participants whose ids differ from another's only in how they are written."""


def last_new(
    last: NightlyRecord,
    selection: Selection,
    checksums: Mapping[str, str | None],
    settings: Settings,
    now: datetime,
) -> dict[str, datetime]:
    """Give the instant, by source, at which an export of a new name or content was last found.

    Args:
        last: The record of the nightly run before.
        selection: The exports of now.
        checksums: The content checksum of each export that is read; None where it is refused.
        settings: The settings, for the sources; a new one begins now.
        now: The present.
    """
    known = {**last.gone, **last.files}
    names = {*known, *last.set_aside}
    contents = {None, *(file.checksum for file in known.values())}
    new = {
        selection.sources[file.name].name
        for file in selection.exports
        if file.name not in names or checksums.get(file.name) not in contents
    }
    return {
        source.name: now if source.name in new else last.last_new.get(source.name, now)
        for source in settings.every_source
    }


def of_record(record: NightlyRecord, settings: Settings, now: datetime) -> NightlyWarnings:
    """Find what the record of a nightly run itself shows; quiet runs find it again."""
    return NightlyWarnings(_same_content(record), _silent(record, settings, now))


def _same_content(record: NightlyRecord) -> Sequence[Sequence[str]]:
    by_content: dict[str, list[str]] = {}
    for name, file in sorted(record.files.items()):
        if file.checksum is not None and file.rows:
            by_content.setdefault(file.checksum, []).append(name)
    return [names for names in by_content.values() if len(names) > 1]


def _silent(record: NightlyRecord, settings: Settings, now: datetime) -> Mapping[str, datetime]:
    """Compare days of the calendar: nightly runs do not begin at the same second."""
    most = settings.guard.most_silent_days
    if most is None:
        return {}
    today = now.astimezone(settings.zone).date()
    return {
        name: since
        for name, since in record.last_new.items()
        if (today - since.astimezone(settings.zone).date()).days > most
    }


def left_out(
    published: Mapping[Cell, Published], versions: Iterable[tuple[Cell, Version]], kind: str
) -> Sequence[LedgerJump]:
    """Find the reasons that leave out many rows where they left out few.

    Args:
        published: The snapshots as the run found them.
        versions: The new versions.
        kind: The kind of period that is compared: others have the same rows.
    """
    counts: dict[str, _Counts] = {}
    for cell, version in versions:
        before = published.get(cell)
        if cell.period.kind == kind and before is not None and before.entry.version:
            counts.setdefault(cell.org_id, _Counts()).add(before, version)
    found = []
    for reason in QUARANTINED:
        jumped = {name: one for name, one in sorted(counts.items()) if one.has_jumped(reason)}
        if jumped:
            before_and_now = [
                sum(one.before[reason] for one in jumped.values()),
                sum(one.rows_before for one in jumped.values()),
                sum(one.now[reason] for one in jumped.values()),
                sum(one.rows_now for one in jumped.values()),
            ]
            found.append(LedgerJump(reason, list(jumped), *before_and_now))
    return found


@dataclass(slots=True)
class _Counts:
    """The rows of one organisation by reason for which they are left out, before and now."""

    before: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    rows_before: int = 0
    rows_now: int = 0

    def add(self, before: Published, version: Version) -> None:
        """Add the rows of one cell."""
        self.before.update(before.left_out or {})
        self.now.update(version.ledger)
        self.rows_before += before.entry.rows or 0
        self.rows_now += sum(version.ledger.values())

    def has_jumped(self, reason: str) -> bool:
        """Return whether a reason was rare, and is no longer."""
        before, now = self.before[reason], self.now[reason]
        was_rare = before == 0 or before < _FEW * self.rows_before
        return was_rare and now > max(_SOME_ROWS, _MANY * self.rows_now)
