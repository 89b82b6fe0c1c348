"""The search for what ends a child: halves are tried, then single items, each in a child."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.confinement.endings import ChildEnd

Item = TypeVar("Item")
Tried_contra = TypeVar("Tried_contra", contravariant=True)

_SINGLY: Final = 32
"""So many items are tried one by one, in one child: halving them would start more children."""


class Trial(Protocol[Tried_contra]):
    """The work with some items, in a child process."""

    def together(self, items: Sequence[Tried_contra]) -> ChildEnd | None:
        """Work with all of them at once; return how the child died, None where it did not."""

    def singly(self, items: Sequence[Tried_contra]) -> tuple[int, ChildEnd] | None:
        """Work with one after the other; return the place of the first that ends the child."""


@dataclass(frozen=True, slots=True)
class Search(Generic[Item]):
    """The search in items that end a child when it works with all of them."""

    trial: Trial[Item]
    found: dict[Item, ChildEnd] = field(default_factory=dict)

    def run(self, items: Sequence[Item]) -> dict[Item, ChildEnd]:
        """Find each item that alone ends a child, and how; empty where only several do."""
        if len(items) <= _SINGLY:
            self._singly(items)
            return self.found
        middle = len(items) // 2
        for half in (items[:middle], items[middle:]):
            if self.trial.together(half) is not None:
                self.run(half)
        return self.found

    def _singly(self, items: Sequence[Item]) -> None:
        rest = items
        while rest and (died := self.trial.singly(rest)) is not None:
            place, end = died
            item, rest = rest[place], rest[place + 1 :]
            # Those before it were read by the same child, and may have had a part in it.
            confirmed = self.trial.together([item]) if place else end
            if confirmed is not None:
                self.found[item] = confirmed
