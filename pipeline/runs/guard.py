"""The guard of published numbers: the falls that no statement explains, found export by export.

Pure: from values to values. A version names the exports of its rows. Each of them is compared with
the exports of now: one that is gone, or that was written again with fewer rows, may explain a fall.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pipeline.model.declarations import Declaration
from pipeline.model.states import DeclarationKind, Reason, Retirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.runs.successors import ExportChanges
    from pipeline.storage.catalog import Entry
    from pipeline.storage.declarations import AcceptedFall

_ALWAYS: Final = 10
"""The rows that an export written again may always take."""


@dataclass(frozen=True, slots=True)
class Fall:
    """A change of the rows of a cell that is not published by itself."""

    reason: Reason
    """RETIRED where an operator has declared that numbers stay; else what needs a person."""
    exports: tuple[str, ...]
    """The exports that are gone, or that have fewer rows than before."""
    before: int
    """The rows of the version."""
    now: int


@dataclass(frozen=True, slots=True)
class Guard:
    """The bounds of a fall, and what operators have declared."""

    changes: ExportChanges
    most_fall: float = 0.1
    accepted: Mapping[int, AcceptedFall] = field(default_factory=dict)
    """By snapshot number, the fall that an operator has accepted."""

    def keeps(self, entry: Entry) -> bool:
        """Return whether an operator declared that the numbers of a snapshot stay."""
        accepted = self.accepted.get(entry.number)
        return accepted is not None and accepted.kept

    def fall(
        self,
        entry: Entry,
        before: Mapping[str, int] | None,
        now: Mapping[str, int],
    ) -> Fall | None:
        """Find the fall of a cell that is not published by itself, if there is one.

        Args:
            entry: Its snapshot, with a version.
            before: The rows of the version by export; None where an earlier release wrote it.
            now: Its rows of now, by export.
        """
        rows, left = entry.rows or 0, sum(now.values())
        taken = self._taken(before, now) if before is not None else {"": rows - left}
        exports = tuple(filter(None, taken))
        if self.keeps(entry):
            return Fall(Reason.RETIRED, exports, rows, left)
        if kept := self._kept(before or ()):
            return Fall(Reason.RETIRED, kept, rows, left)
        missing = self._missing(entry.org_id, before) if before is not None or left < rows else ()
        if missing:
            return Fall(Reason.GONE, missing, rows, left)
        accepted = self.accepted.get(entry.number)
        base = rows if accepted is None else accepted.rows
        lost = sum(taken.values()) if accepted is None else base - left
        if lost <= (0 if self._is_emptied(before or {}) else max(_ALWAYS, self.most_fall * base)):
            return None
        return Fall(Reason.SHRUNK, exports, rows, left)

    def _kept(self, before: Iterable[str]) -> tuple[str, ...]:
        """Name the exports that a version rests on and that were deleted by law."""
        retired = self.changes.retired
        last_names = dict.fromkeys(map(self.changes.last_name, before))
        return tuple(
            name
            for name in last_names
            if name in retired and retired[name].retirement is Retirement.KEEP
        )

    def _is_emptied(self, before: Mapping[str, int]) -> bool:
        """Return whether exports had rows of a version, and those in their place have none at all.

        That is an export that failed, not a few corrections, however few rows it took.
        """
        of_rows = self.changes.successors(name for name, rows in before.items() if rows)
        names = (successors.names for successors in of_rows.values())
        return any(of and all(name in self.changes.empty for name in of) for of in names)

    def declared(
        self,
        entry: Entry,
        before: Mapping[str, int] | None,
        now: Mapping[str, int],
    ) -> tuple[Declaration, ...]:
        """Name the declarations without which a new version would not be published by itself.

        Args:
            entry: The snapshot, with the version before.
            before: The rows of that version by export; None where an earlier release wrote it.
            now: The rows of now, by export.
        """
        without = self.changes.gone(before or ())
        found = [
            Declaration(
                DeclarationKind.RETIRED,
                one.declared_at,
                one.declared_by,
                (name,),
                retirement=one.retirement,
                note=one.note,
            )
            for name in without
            if (one := self.changes.retired.get(name)) is not None
        ]
        accepted = self.accepted.get(entry.number)
        fall = replace(self, accepted={}).fall(entry, before, now) if accepted else None
        if accepted and fall:
            found.append(
                Declaration(
                    DeclarationKind.ACCEPTED,
                    accepted.declared_at,
                    accepted.declared_by,
                    fall.exports,
                    retirement=Retirement.KEEP if accepted.kept else None,
                    note=accepted.note,
                )
            )
        return tuple(found)

    def _missing(self, org_id: str, before: Mapping[str, int] | None) -> tuple[str, ...]:
        """Name the exports that a version rests on and that are gone without a reason."""
        if before is None:
            gone = self.changes.organisations_of_gone
            return tuple(sorted(name for name, named in gone.items() if org_id in named))
        missing = self.changes.gone(before)
        return tuple(name for name in missing if name not in self.changes.retired)

    def _taken(self, before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
        """Count the rows that exports took from a cell since, by the exports that have fewer."""
        expected = self.changes.expected(before)
        lost = {names: rows - _rows_of(now, names) for names, rows in expected.items()}
        return {names[0]: rows for names, rows in lost.items() if rows > 0}


def _rows_of(now: Mapping[str, int], exports: Iterable[str]) -> int:
    return sum(now.get(name, 0) for name in exports)
