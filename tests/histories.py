"""A model of what is published, in plain Python: exports as lists of rows, cells as dictionaries.

It follows the rules as the documentation has them, without any code of the pipeline. Where these
leave a choice, such as which of two changes made at once is a rename, it only gives bounds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from tests import reference
from tests.given import people, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

CellKey = tuple[str, str]
DUMPS: Final = "register/"
"""The folder of the source of which only the newest export counts."""
ALWAYS, MOST_FALL = 10, 0.1
"""The rows, and the share of a cell's rows, that exports written again may take."""
RULES: Final = reference.Settings()


class Statement(NamedTuple):
    """One row of an export."""

    org_id: str
    activity_id: str
    participant_id: str
    bufdir_category: str
    started_at: datetime
    hours: float
    updated_at: datetime
    deleted: bool

    @property
    def key(self) -> tuple[str, str, str]:
        return self[:3]


Content = tuple[Statement, ...] | None
"""The rows of an export; None where it is no Parquet."""


def as_table(rows: Sequence[Statement]) -> object:
    """Give rows as they are written to an export; one without rows has all columns, too."""
    if rows:
        return table([one._asdict() for one in rows])
    return table(people(1, updated_at=None, deleted=None)).slice(0, 0)


@dataclass(frozen=True)
class Counted:
    """A plain count of one cell, and the exports of its rows."""

    numbers: reference.Cell
    rows: Mapping[str, int]
    """By export."""
    keys: frozenset[tuple[str, str, str]]
    """The participations that count."""
    contents: Mapping[str, tuple[Statement, ...]]
    """By export, all rows of it, in this cell or not."""

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def count(files: Mapping[str, Content]) -> dict[CellKey, Counted]:
    """Count these exports as they are."""
    verdicts = reference.validate_all(
        [_as_row(name, one) for name, rows in sorted(counting(files).items()) for one in rows],
        RULES,
    )
    cells: dict[CellKey, list[reference.Verdict]] = {}
    for verdict in verdicts:
        place = reference.cell_of(verdict.row, "quarter", RULES)
        assert place is not None
        cells.setdefault(place, []).append(verdict)
    return {place: _counted(of, counting(files)) for place, of in cells.items()}


def nothing() -> Counted:
    """Count no rows."""
    return _counted([], {})


def _counted(
    verdicts: list[reference.Verdict], contents: Mapping[str, tuple[Statement, ...]]
) -> Counted:
    rows = Counter(one.row.file for one in verdicts)
    keys = frozenset(
        (str(one.row.org_id), str(one.row.activity_id), str(one.row.participant_id))
        for one in verdicts
        if one.reason == reference.COUNTED
    )
    of_cell = {name: contents[name] for name in rows}
    return Counted(reference.cell(verdicts, RULES), rows, keys, of_cell)


def _as_row(name: str, one: Statement) -> reference.Row:
    nanoseconds = [
        int((instant - reference.EPOCH).total_seconds()) * 10**9
        for instant in (one.started_at, one.updated_at)
    ]
    return reference.Row(
        name,
        one.org_id,
        one.activity_id,
        one.participant_id,
        one.bufdir_category,
        nanoseconds[0],
        reference.exact(one.hours),
        nanoseconds[1],
        "completed",
        one.deleted,
    )


def cell_of(one: Statement) -> CellKey | None:
    return reference.cell_of(_as_row("", one), "quarter", RULES)


def selected(names: Iterable[str]) -> set[str]:
    """Select the exports that count: all, but of dumps the newest only."""
    found = set(names)
    dumps = sorted(name for name in found if name.startswith(DUMPS))
    return found - set(dumps[:-1])


def counting(files: Mapping[str, Content]) -> dict[str, tuple[Statement, ...]]:
    """Select the exports that count and can be read."""
    chosen = {name: files[name] for name in selected(files)}
    return {name: rows for name, rows in chosen.items() if rows is not None}


def refused(files: Mapping[str, Content]) -> set[str]:
    """Select the exports that are refused; those of older dumps are not opened."""
    return {name for name in selected(files) if files[name] is None}


def organisations(rows: Iterable[Statement]) -> set[str]:
    return {one.org_id for one in rows}


def may_take(rows: int) -> float:
    """Give the rows that exports written again may take of a cell with this many."""
    return max(ALWAYS, MOST_FALL * rows)


@dataclass
class Model:
    """What was published, and from which exports."""

    published: dict[CellKey, Counted] = field(default_factory=dict)
    versions: dict[CellKey, Counted] = field(default_factory=dict)
    """The same as of the version: exports may have other names since, with the same rows."""
    kept: set[str] = field(default_factory=set)
    """The exports that were declared to be deleted by law."""
    retracted: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    """The exports that were declared to be gone under names that they had before."""
    accepted: dict[CellKey, int] = field(default_factory=dict)
    """By cell, the rows that were accepted for it."""
    missed: dict[str, tuple[Statement, ...]] = field(default_factory=dict)
    """The exports that went without a trace, and their rows: no other one has them."""
    read: dict[str, set[str]] = field(default_factory=dict)
    """By export of the last nightly run, the organisations that it named when it was readable."""
    contents: dict[str, Content] = field(default_factory=dict)
    """The exports of the last nightly run."""

    @property
    def retired(self) -> set[str]:
        return self.kept | self.retracted

    def must_be_refused(self, files: Mapping[str, Content]) -> set[str]:
        """Give the organisations that a refused export named."""
        gone = self._of_gone(files)
        return {org_id for name in refused(files) for org_id in self.read.get(name, gone)}

    def _of_gone(self, files: Mapping[str, Content]) -> set[str]:
        """Give the organisations of exports that went: a refused one that is new is in place."""
        named = (of for name, of in self.read.items() if name not in selected(files))
        return {org_id for of in named for org_id in of}

    def observe(self, files: Mapping[str, Content]) -> None:
        """Take in the exports that a nightly run finds, before it decides."""
        self.kept -= files.keys()
        self.retracted -= files.keys()
        self.excused -= files.keys()
        rows_now = Counter(row for rows in counting(files).values() for row in rows)
        vanished = self.contents.keys() - files.keys()
        self.missed |= {name: self.contents[name] or () for name in vanished}
        self.missed = {
            name: rows
            for name, rows in self.missed.items()
            if name not in files and Counter(rows) - rows_now and not _is_replaced(name, files)
        }

    def ends(self, files: Mapping[str, Content]) -> None:
        """Take in what a nightly run leaves for the next one."""
        gone = self._of_gone(files)
        of_refused = {name: self.read.get(name, gone) for name in refused(files)}
        self.read = {name: organisations(rows) for name, rows in counting(files).items()}
        self.read |= of_refused
        self.contents = {
            name: self.contents.get(name) if rows is None else rows for name, rows in files.items()
        }

    def missing(self, cell: CellKey, files: Mapping[str, Content]) -> set[str]:
        """Name the exports of a cell that went without a trace, and of whose rows some are lost."""
        rows_now = Counter(row for rows in counting(files).values() for row in rows)
        return {
            name
            for name, rows in self.published[cell].contents.items()
            if name in self.missed
            and name not in self.retired | self.excused
            and Counter(row for row in rows if cell_of(row) == cell) - rows_now
        }

    def may_fall(self, cell: CellKey, files: Mapping[str, Content]) -> float:
        """Give the rows that exports may take of a cell: none where one has no row any longer."""
        before = self.published[cell]
        emptied = {name for name, rows in counting(files).items() if not rows}
        is_emptied = any(
            name in emptied or (_is_replaced(name, files) and any(map(_is_dump, emptied)))
            for name in before.rows
        )
        return 0 if is_emptied else may_take(before.total)

    def is_kept(self, cell: CellKey) -> bool:
        return bool(self.kept.intersection(self.published[cell].rows))

    def most_lost(self, cell: CellKey, now: Counted, files: Mapping[str, Content]) -> float:
        """Give the most rows that exports took of a cell, by any of their names.

        Copies of rows that are gone count too: what they superseded is not known from their number.
        """
        bases = (self.published[cell], self.versions[cell])
        by_name = (self._most_lost(before, now, files) for before in bases)
        return max(*by_name, self.published[cell].total - now.total)

    def _most_lost(self, before: Counted, now: Counted, files: Mapping[str, Content]) -> float:
        lost = 0.0
        for name, rows in before.rows.items():
            if name in counting(files):
                lost += max(0, rows - now.rows.get(name, 0))
            elif name in self.retracted or self._has_copy(before.contents[name], files):
                continue
            else:
                return float("inf")
        return lost

    def _has_copy(self, rows: tuple[Statement, ...], files: Mapping[str, Content]) -> bool:
        return any(Counter(rows) == Counter(of) for of in counting(files).values())

    def least_lost(self, cell: CellKey, now: Counted, files: Mapping[str, Content]) -> int:
        """Give the rows that exports of the same name took of a cell, and that no other has."""
        before, lost = self.published[cell], 0
        rows_now = Counter(row for rows in counting(files).values() for row in rows)
        for name, rows in before.rows.items():
            if name in counting(files):
                without = (Counter(before.contents[name]) - rows_now).total()
                lost += min(max(0, rows - now.rows.get(name, 0)), without)
        return lost

    def unexplained(self, cell: CellKey, now: Counted, files: Mapping[str, Content]) -> int:
        """Count by how many participations a cell fell of which no statement is left."""
        stated = {one.key for rows in counting(files).values() for one in rows}
        before = self.published[cell].keys
        explained = sum(key in stated for key in before - now.keys)
        return len(before) - len(now.keys) - explained


def _is_dump(name: str) -> bool:
    return name.startswith(DUMPS)


def _is_replaced(name: str, files: Mapping[str, Content]) -> bool:
    """Return whether a newer dump is in the place of this one."""
    return name.startswith(DUMPS) and any(
        other.startswith(DUMPS) and other > name for other in files
    )
