"""A model of the disk below a folder: its content, and what of that outlasts a power cut.

Only what was flushed is certain to last: the bytes of a file by flushing the file, its name by
flushing the folder. Of all else a part may have reached the disk, as the system chose.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from tests.power_cuts.calls import Change

_SECTOR: Final = 512
State = dict[str, bytes | str | None]
"""By path from the folder: the bytes of a file, the target of a link, None for a folder."""


class Loss(StrEnum):
    """The part of what was not flushed that a power cut takes."""

    ALL = "all that was not flushed"
    CONTENT = "content that was not flushed"
    NAMES = "names that were not flushed"
    SOME = "some of what was not flushed"


@dataclass(eq=False)
class File:
    """A file: its bytes, those that are on disk, and the writes since then."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Position and bytes of each write; None truncates."""

    def write(self, position: int, content: bytes | None) -> None:
        """Write bytes at a position, or cut the file there."""
        _apply(self.content, position, content)
        self.pending.append((position, content))

    def flush(self) -> None:
        """Have all bytes on disk."""
        self.durable, self.pending = bytes(self.content), []

    def some(self, random: Random) -> bytes:
        """Give the durable bytes with the first of the pending writes, the last of these torn."""
        found = bytearray(self.durable)
        writes = self.pending[: random.randint(0, len(self.pending))]
        for position, content in writes[:-1]:
            _apply(found, position, content)
        for position, content in writes[-1:]:
            torn = content and content[: _SECTOR * random.randint(0, 1 + len(content) // _SECTOR)]
            _apply(found, position, torn)
        return bytes(found)


def _apply(held: bytearray, position: int, content: bytes | None) -> None:
    if content is None:
        del held[position:]
    held.extend(bytes(max(0, position - len(held))))
    if content:
        held[position : position + len(content)] = content


@dataclass(eq=False)
class Folder:
    """A folder: its entries, those that are on disk, and the changes since then."""

    entries: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    pending: list[Mapping[str, Node | None]] = field(default_factory=list)
    """The names of each change that becomes durable at once, with their new nodes."""

    def change(self, names: Mapping[str, Node | None]) -> None:
        """Give names other nodes, or remove them, in one step."""
        _rename(self.entries, names)
        self.pending.append(names)

    def flush(self) -> None:
        """Have all entries on disk."""
        self.durable, self.pending = dict(self.entries), []

    def some(self, random: Random) -> Mapping[str, Node]:
        """Give the durable entries with the first of the pending changes."""
        found = dict(self.durable)
        for names in self.pending[: random.randint(0, len(self.pending))]:
            _rename(found, names)
        return found


def _rename(entries: dict[str, Node], names: Mapping[str, Node | None]) -> None:
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


Node = File | Folder | str


class Disk:
    """The files below a folder, changed by the changes of a trace."""

    def __init__(self, folder: Path) -> None:
        """Read the folder as it is now; all of it is on disk."""
        self._nodes: dict[int, Node] = {}
        self.root = self._read(folder)

    def _read(self, folder: Path) -> Folder:
        found = Folder()
        self._nodes[folder.stat().st_ino] = found
        for entry in os.scandir(folder):
            if entry.is_symlink():
                found.entries[entry.name] = os.readlink(entry)
            elif entry.is_dir():
                found.entries[entry.name] = self._read(Path(entry))
            else:
                file = File(bytearray(Path(entry).read_bytes()))
                file.flush()
                found.entries[entry.name] = self._nodes[entry.inode()] = file
        found.flush()
        return found

    def change(self, change: Change) -> None:
        """Carry out one change.

        Raises:
            NotImplementedError: The program does what this model does not know.
        """
        match change.kind:
            case "write":
                self._file(change).write(change.position, change.content)
            case "truncate":
                self._file(change).write(change.position, None)
            case "sync":
                self._flush(self._nodes[change.inode])
            case "sync_all":
                for _, node in _below(self.root):
                    self._flush(node)
            case _:
                self._change_names(change)

    def _change_names(self, change: Change) -> None:
        folder, name = self._place(change.path)
        match change.kind:
            case "create":
                self._nodes[change.inode] = file = File()
                folder.change({name: file})
            case "make_folder":
                self._nodes[change.inode] = made = Folder()
                folder.change({name: made})
            case "symlink":
                folder.change({name: change.other})
            case "remove" | "remove_folder":
                folder.change({name: None})
            case "rename" | "link":
                self._name_otherwise(change)
            case _:
                raise NotImplementedError(f"{change.kind} of {change.path}")

    def _name_otherwise(self, change: Change) -> None:
        (old_folder, old), (new_folder, new) = self._place(change.path), self._place(change.other)
        node = old_folder.entries[old]
        removed = {old: None} if change.kind == "rename" else {}
        if old_folder is new_folder:
            new_folder.change({**removed, new: node})
        else:
            new_folder.change({new: node})
            old_folder.change(removed)

    def _place(self, path: str) -> tuple[Folder, str]:
        """Find the folder of a path, which has ended to exist where a file was removed."""
        *parents, name = path.split("/")
        folder = self.root
        for parent in parents:
            found = folder.entries.get(parent)
            folder = found if isinstance(found, Folder) else Folder()
        return folder, name

    def _file(self, change: Change) -> File:
        if change.inode:
            found = self._nodes[change.inode]
        else:
            folder, name = self._place(change.path)
            found = folder.entries[name]
        assert isinstance(found, File)
        return found

    def _flush(self, node: Node) -> None:
        if not isinstance(node, str):
            node.flush()

    def state(self) -> State:
        """Give what programs see."""
        return dict(_state(self.root, lambda one: one.entries, lambda one: bytes(one.content)))

    def after_power_cut(self, loss: Loss, random: Random) -> State:
        """Give what is on disk after a power cut that takes this."""
        names, content = {
            Loss.ALL: (lambda one: one.durable, lambda one: one.durable),
            Loss.CONTENT: (lambda one: one.entries, lambda one: one.durable),
            Loss.NAMES: (lambda one: one.durable, lambda one: bytes(one.content)),
            Loss.SOME: (lambda one: one.some(random), lambda one: one.some(random)),
        }[loss]
        return dict(_state(self.root, names, content))

    def is_durable(self, path: str) -> bool:
        """Return whether a file is on disk, with all its bytes and under its name."""
        folder: Node | None = self.root
        for name in path.split("/"):
            if not isinstance(folder, Folder) or folder.durable.get(name) is None:
                return False
            folder = folder.durable[name]
        return isinstance(folder, File) and not folder.pending


def _below(folder: Folder) -> Iterator[tuple[str, Node]]:
    yield "", folder
    for name, node in folder.entries.items():
        if isinstance(node, Folder):
            yield from ((f"{name}/{below}".rstrip("/"), one) for below, one in _below(node))
        else:
            yield name, node


def _state(folder: Folder, names: Any, content: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    for name, node in names(folder).items():
        path = f"{at}{name}"
        if isinstance(node, Folder):
            yield path, None
            yield from _state(node, names, content, f"{path}/")
        else:
            yield path, node if isinstance(node, str) else content(node)


def read(folder: Path) -> State:
    """Read a folder as it is."""
    return Disk(folder).state()


def write(folder: Path, state: State) -> None:
    """Make a folder with this content."""
    folder.mkdir(parents=True)
    for name, content in state.items():
        path = folder / name
        if content is None:
            path.mkdir()
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
