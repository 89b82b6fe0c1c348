"""A data folder whose exports change at random: the rules that Hypothesis chooses from."""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import wraps
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests import given
from tests.given import AUTUMN, SUMMER, DataFolder
from tests.histories import DUMPS, Content, Statement, as_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCES: Final = [
    {"name": "register", "files": f"{DUMPS}**", "mode": "dump"},
    {"name": "others"},
]
FOLDERS: Final = ("", "club/")
ORGANISATIONS: Final = ("org-1", "org-2", "org-3")
TIMES: Final = {"q3": SUMMER, "q4": AUTUMN}
COUNTS: Final = (1, 3, 8, 12, 30, 60)

draws = st.data()
counts = st.sampled_from(COUNTS)
cells = st.tuples(st.sampled_from(ORGANISATIONS), st.sampled_from(sorted(TIMES)))
groups = st.lists(st.tuples(cells, counts), min_size=1, max_size=3)
shares = st.sampled_from((0.0, 0.03, 0.1, 0.3, 0.5, 1.0))


def change(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a rule of a change, after which a nightly run comes or another change."""

    def of(method: Callable[..., None]) -> Any:
        @wraps(method)
        def changes(
            self: ChangingFolder, data: st.DataObject, *, comes: bool, **values: Any
        ) -> None:
            method(self, data, **values)
            if comes:
                self.nightly()

        as_rule: Any = rule
        return as_rule(data=draws, comes=st.booleans(), **drawn)(changes)

    return of


class ChangingFolder(RuleBasedStateMachine):
    """A data folder, and the changes to its exports."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(mkdtemp())
        (self.place / "exports").mkdir()
        self.folder = DataFolder(self.place, given.settings(sources=SOURCES))
        self.files: dict[str, Content] = {}
        self.made = self.named = 0
        self.dumps = 0

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    # What happens to exports

    def statements(self, drawn: Sequence[tuple[tuple[str, Any], int]]) -> tuple[Statement, ...]:
        """Make new participations of these cells."""
        rows: list[Statement] = []
        for (org_id, quarter), number in drawn:
            for _ in range(number):
                self.made += 1
                person, hours = f"p{self.made // 2}", 0.25 * (self.made % 9)
                category = "eldre" if self.made % 3 else "ungdom"
                made_at = self.folder.now.replace(year=2024) + timedelta(seconds=self.made)
                rows.append(
                    Statement(
                        org_id,
                        f"a{self.made % 5}-{self.made % 2}",
                        person,
                        category,
                        TIMES[quarter],
                        hours,
                        made_at,
                        False,
                    )
                )
        return tuple(rows)

    def put(self, name: str, content: Content) -> None:
        path = self.place / "exports" / name
        path.parent.mkdir(exist_ok=True)
        if content is None:
            path.write_bytes(b"no Parquet")
        else:
            pq.write_table(as_table(content), path)
        self.files[name] = content

    def remove(self, name: str) -> Content:
        (self.place / "exports" / name).unlink()
        return self.files.pop(name)

    def logs(self) -> list[str]:
        return sorted(name for name in self.files if not name.startswith(DUMPS))

    def any_of(self, data: st.DataObject, names: Sequence[str]) -> str:
        return data.draw(st.sampled_from(names))

    def a_readable(self, data: st.DataObject) -> tuple[str, tuple[Statement, ...]]:
        names = [name for name in sorted(self.files) if self.files[name] is not None]
        name = self.any_of(data, names)
        return name, self.files[name] or ()

    def has_files(self) -> bool:
        return any(content is not None for content in self.files.values())

    def a_free_name(self, data: st.DataObject) -> str:
        """Draw a name that no export has had, before or after the others in their order."""
        self.named += 1
        folder, letter = data.draw(st.tuples(st.sampled_from(FOLDERS), st.sampled_from("az")))
        return f"{folder}{letter}{self.named}.parquet"

    @initialize(drawn=groups)
    def begins(self, drawn: Any) -> None:
        self.put("a.parquet", self.statements(drawn))
        self.nightly()

    @change(drawn=groups)
    def an_export_arrives(self, data: st.DataObject, drawn: Any) -> None:
        self.put(self.a_free_name(data), self.statements(drawn))

    @precondition(lambda self: self.files)
    @change()
    def an_export_goes(self, data: st.DataObject) -> None:
        self.remove(self.any_of(data, sorted(self.files)))

    @precondition(has_files)
    @change(share=shares, drawn=groups, more=st.booleans())
    def an_export_is_written_again(
        self, data: st.DataObject, share: float, drawn: Any, *, more: bool
    ) -> None:
        name, rows = self.a_readable(data)
        left = rows[round(len(rows) * share) :]
        self.put(name, (*left, *self.statements(drawn)) if more else left)

    @precondition(has_files)
    @change(share=shares)
    def an_export_is_cut(self, data: st.DataObject, share: float) -> None:
        name, rows = self.a_readable(data)
        self.put(name, rows[: round(len(rows) * (1 - share))])

    @precondition(lambda self: self.files)
    @change()
    def an_export_becomes_unreadable(self, data: st.DataObject) -> None:
        self.put(self.any_of(data, sorted(self.files)), None)

    @precondition(lambda self: self.logs())
    @change()
    def an_export_is_renamed(self, data: st.DataObject) -> None:
        name, new = self.any_of(data, self.logs()), self.a_free_name(data)
        (self.place / "exports" / new).parent.mkdir(exist_ok=True)
        (self.place / "exports" / name).rename(self.place / "exports" / new)
        self.files[new] = self.files.pop(name)

    @precondition(has_files)
    @change()
    def an_export_is_copied(self, data: st.DataObject) -> None:
        _, rows = self.a_readable(data)
        self.put(self.a_free_name(data), rows)

    @precondition(lambda self: len(self.logs()) > 1)
    @change()
    def two_exports_are_merged(self, data: st.DataObject) -> None:
        one, other = data.draw(st.permutations(self.logs()))[:2]
        if self.files[one] is not None and self.files[other] is not None:
            rows = (*(self.remove(one) or ()), *(self.remove(other) or ()))
            self.put(self.a_free_name(data), rows)

    @precondition(has_files)
    @change(number=counts, what=st.sampled_from(("move", "hours", "withdraw", "rename")))
    def corrections_arrive(self, data: st.DataObject, number: int, what: str) -> None:
        """Later statements about rows of an export: other cells, other hours, or withdrawn."""
        _, rows = self.a_readable(data)
        later = []
        for one in rows[:number]:
            self.made += 1
            changes: dict[str, dict[str, Any]] = {
                "move": {"started_at": SUMMER if one.started_at == AUTUMN else AUTUMN},
                "hours": {"hours": one.hours + 1},
                "withdraw": {"deleted": True},
                "rename": {"bufdir_category": "foreldre_barn"},
            }
            at = self.folder.now.replace(year=2024) + timedelta(seconds=self.made)
            later.append(one._replace(updated_at=at, **changes[what]))
        self.put(self.a_free_name(data), tuple(later))

    @change(drawn=groups, share=shares, older=st.booleans())
    def a_newer_dump_arrives(
        self, data: st.DataObject, drawn: Any, share: float, *, older: bool
    ) -> None:
        names = sorted(name for name in self.files if name.startswith(DUMPS))
        rows = (self.files[names[-1]] or ()) if names else ()
        if names and not older:
            self.remove(names[-1])
        self.dumps += 1
        left = rows[round(len(rows) * share) :]
        name = f"{DUMPS}2024-10-{self.dumps:02}.parquet"
        self.put(
            name, None if data.draw(st.integers(0, 5)) == 5 else (*left, *self.statements(drawn))
        )

    def nightly(self) -> None:
        """Run at night, and check what is published."""
        raise NotImplementedError
