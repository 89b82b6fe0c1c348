"""The exports of now in which the rows of a version are expected: under the names of now, or gone.

Pure: from names to names. `export_changes` finds what has become of exports, from their contents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pipeline.storage.declarations import RetiredExport


@dataclass(frozen=True, slots=True)
class Successors:
    """The exports in which the rows of an export are expected now."""

    names: tuple[str, ...]
    """None of them where it is gone."""
    is_copy: bool = False
    """Whether the one export has exactly its rows."""


@dataclass(frozen=True, slots=True)
class ExportChanges:
    """The exports of now, compared with all that versions were counted from."""

    present: Collection[str]
    """The exports that are read."""
    copies: Mapping[str, str] = field(default_factory=dict)
    """By an export that is gone or set aside, one with the same rows: a copy, or the new name."""
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By an export that is gone, those that together have its rows now, and those of others."""
    replaced: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By an export of an older dump, those of the newer dump that counts."""
    retired: Mapping[str, RetiredExport] = field(default_factory=dict)
    """The exports that are gone on purpose."""
    organisations_of_gone: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By an export that is gone and not retired, the organisations that it named."""

    moved: Collection[str] = ()
    """The exports that are gone, set aside or written again: their rows may be in others now."""
    outdated: Mapping[str, str] = field(default_factory=dict)
    """By an export of an older dump, one of the newer dump that is gone."""
    empty: Collection[str] = ()
    """The exports that are read and have no row at all."""

    def last_name(self, name: str) -> str:
        """Give the name of an export, or of the one that is missed in its place."""
        return self.outdated.get(name, name)

    def successors(self, before: Iterable[str]) -> Mapping[str, Successors]:
        """Find where the rows of each export of a version are expected now.

        The exports of a dump are compared with the newer dump as a whole, unless all of them have
        copies elsewhere: a copy of one would hide what another has lost.
        """
        names = tuple(before)
        compared = {
            self.replaced[name]
            for name in names
            if name in self.replaced and self.copies.get(name) in {None, *self.replaced[name]}
        }
        return {name: self._successors(name, compared) for name in names}

    def _successors(self, name: str, compared: Collection[tuple[str, ...]]) -> Successors:
        """Find the successors of one export.

        Args:
            name: Its name.
            compared: The newer dumps that older ones are compared with as a whole.
        """
        if name in self.merged:
            return Successors(tuple(self.merged[name]))
        if name in self.present:
            return Successors((name,))
        replaced = self.replaced.get(name, ())
        if name in self.copies and replaced not in compared:
            return Successors((self.copies[name],), is_copy=True)
        return Successors(replaced)

    def expected(self, before: Mapping[str, int]) -> Mapping[tuple[str, ...], int]:
        """Count the rows of a version by the exports in which they are expected now.

        Exports that are gone are left out. Copies have the same rows, which count once.
        """
        found: dict[tuple[str, ...], int] = {}
        copied: dict[tuple[str, ...], int] = {}
        for name, successors in self.successors(before).items():
            of, rows = successors.names, before[name]
            if successors.is_copy:
                copied[of] = max(copied.get(of, 0), rows)
            elif of:
                found[of] = found.get(of, 0) + rows
        for of, rows in copied.items():
            found[of] = max(found.get(of, 0), rows)
        return found

    def followed(self, before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
        """Give the rows of a version by export under the names that the exports have now.

        A name is replaced only where all its rows are in one export now. Any other is still missed
        under the name that it had, so that a fall ends when what was there before comes back.
        """
        expected = self.expected(before)
        found: dict[str, int] = {}
        for name, successors in self.successors(before).items():
            of = successors.names
            if len(of) == 1 and now.get(of[0], 0) == expected[of]:
                found[of[0]] = expected[of]
            else:
                found[name] = before[name]
        return found

    def gone(self, before: Iterable[str]) -> tuple[str, ...]:
        """Name the exports of a version that are gone, as they are missed; each once."""
        successors = self.successors(before)
        return tuple(
            dict.fromkeys(self.last_name(name) for name, of in successors.items() if not of.names)
        )
