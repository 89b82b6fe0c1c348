"""The system calls that change a file system, and the change that each makes below a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from tests.power_cuts.ptrace import Condition, RawCall, read_memory, read_text

_CWD: Final = -100
_REMOVE_FOLDER: Final = 0x200
_CREATES: Final = os.O_CREAT | os.O_TRUNC


class Form(NamedTuple):
    """The form of a system call: its kind, and the places of its arguments."""

    kind: str
    number: int
    descriptor: int | None = None
    """The argument that is an open file; of `*at` calls, the folder that a path begins in."""
    path: int | None = None
    other: tuple[int | None, int] | None = None
    """The arguments that are the folder and the path of a second name."""
    condition: Condition | None = None
    """Only calls with these bits change anything."""


FORMS: Final = (
    Form("write", 1, 0),
    Form("write", 18, 0),  # pwrite64
    Form("write_several", 20, 0),
    Form("write_several", 296, 0),  # pwritev
    Form("write_several", 328, 0),  # pwritev2
    Form("open", 2, None, 0, condition=Condition(1, _CREATES)),
    Form("open", 257, 0, 1, condition=Condition(2, _CREATES)),  # openat
    Form("open", 85, None, 0),  # creat
    Form("rename", 82, None, 0, (None, 1)),
    Form("rename", 264, 0, 1, (2, 3)),
    Form("rename", 316, 0, 1, (2, 3)),
    Form("make_folder", 83, None, 0),
    Form("make_folder", 258, 0, 1),
    Form("remove_folder", 84, None, 0),
    Form("remove", 87, None, 0),
    Form("remove", 263, 0, 1),  # unlinkat
    Form("link", 86, None, 0, (None, 1)),
    Form("link", 265, 0, 1, (2, 3)),
    Form("symlink", 88, None, 1, (None, 0)),
    Form("symlink", 266, 1, 2, (None, 0)),
    Form("truncate", 76, None, 0),
    Form("truncate", 77, 0),  # ftruncate
    Form("sync", 74, 0),
    Form("sync", 75, 0),  # fdatasync
    Form("sync_all", 306, 0),  # syncfs
    Form("unknown", 285, 0),  # fallocate
    Form("unknown", 9, 4, condition=Condition(3, 1)),  # mmap, shared with the file
    Form("unknown", 40, 0),  # sendfile
    Form("unknown", 275, 2),  # splice
    Form("unknown", 326, 2),  # copy_file_range
    Form("unknown", 437, 0, 1),  # openat2
    Form("unknown", 133, None, 0),  # mknod
    Form("unknown", 259, 0, 1),  # mknodat
)
BY_NUMBER: Final = {form.number: form for form in FORMS}
_CREAT: Final = 85
_MAP: Final = 9
_POSITIONED: Final = {18: 3, 296: 3, 328: 3}
"""The argument with the position in the file; other calls write where the file is."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change below a folder, or a flush of some of it."""

    kind: str
    path: str
    """The path, from the folder; empty for the folder itself."""
    inode: int = 0
    """The inode of the file or folder that is open."""
    other: str = ""
    """The new path of a rename or link; the target of a symbolic link."""
    position: int = 0
    """Where bytes are written; the new size of a truncated file."""
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Begun:
    """A system call below the folder that has begun; its change is known when it has ended."""

    form: Form
    raw: RawCall
    change: Change
    existed: bool


class Reader:
    """Reads system calls of stopped threads; of interest are those below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)

    def begin(self, tid: int, raw: RawCall) -> Begun | None:
        """Read a call that begins; None where it changes nothing below the folder."""
        form = BY_NUMBER[raw.number]
        path = self._inside(_path_of(tid, form, raw))
        if path is None:
            return None
        full = os.path.join(self._folder, path) if path else self._folder
        existed = os.path.lexists(full)
        flags = 0 if form.kind != "open" or raw.number == _CREAT else raw.arguments[form.path + 1]  # type: ignore[operator]
        if form.kind == "open" and existed and not flags & os.O_TRUNC:
            return None
        if raw.number == _MAP and not raw.arguments[2] & 2:
            return None
        return Begun(form, raw, self._change(tid, form, raw, path), existed)

    def _change(self, tid: int, form: Form, raw: RawCall, path: str) -> Change:
        change = Change(form.kind, path)
        if form.path is None:
            change = replace(
                change, inode=_inode(tid, _signed(raw.arguments[form.descriptor or 0]))
            )
        if form.kind.startswith("write"):
            change = replace(change, position=_position(tid, raw))
        if form.kind == "symlink":
            change = replace(change, other=read_text(tid, raw.arguments[form.other[1]]))  # type: ignore[index]
        elif form.other is not None:
            other = self._inside(_named(tid, raw, *form.other))
            change = replace(change, other=other or "")
        if form.kind == "truncate":
            change = replace(change, position=raw.arguments[1])
        if form.kind == "remove" and form.descriptor is not None:
            kind = "remove_folder" if raw.arguments[2] & _REMOVE_FOLDER else "remove"
            change = replace(change, kind=kind)
        return change

    def end(self, tid: int, begun: Begun, result: int) -> Change | None:
        """Complete a change with what the call has returned; None where it failed."""
        change = begun.change
        if result < 0:
            return None
        if change.kind == "open":
            kind = "truncate" if begun.existed else "create"
            return replace(change, kind=kind, inode=_inode(tid, result))
        if change.kind == "make_folder":
            return replace(change, inode=os.stat(os.path.join(self._folder, change.path)).st_ino)
        if change.kind == "write":
            content = read_memory(tid, begun.raw.arguments[1], result)
            return replace(change, content=content)
        if change.kind == "write_several":
            return replace(change, kind="write", content=_several(tid, begun.raw, result))
        return change

    def _inside(self, path: str | None) -> str | None:
        """Give the path from the folder; None where it is elsewhere."""
        if path is None:
            return None
        if path == self._folder:
            return ""
        inside = path.removeprefix(f"{self._folder}/")
        return None if inside == path else inside


def _path_of(tid: int, form: Form, raw: RawCall) -> str | None:
    if form.path is not None:
        return _named(tid, raw, form.descriptor, form.path)
    return _of_descriptor(tid, _signed(raw.arguments[form.descriptor or 0]))


def _of_descriptor(tid: int, descriptor: int) -> str | None:
    try:
        return os.readlink(f"/proc/{tid}/fd/{descriptor}")
    except OSError:
        return None


def _named(tid: int, raw: RawCall, folder: int | None, path: int) -> str | None:
    """Give the path that an argument names, with links in its folder resolved."""
    name = read_text(tid, raw.arguments[path])
    start = _CWD if folder is None else _signed(raw.arguments[folder])
    link = "cwd" if start == _CWD else f"fd/{start}"
    joined = os.path.join(os.readlink(f"/proc/{tid}/{link}"), name)
    parent, last = os.path.split(os.path.normpath(joined))
    return os.path.join(os.path.realpath(parent), last)


def _signed(value: int) -> int:
    return (value & 0xFFFF_FFFF) - ((value & 0x8000_0000) << 1)


def _inode(tid: int, descriptor: int) -> int:
    return os.stat(f"/proc/{tid}/fd/{descriptor}").st_ino


def _position(tid: int, raw: RawCall) -> int:
    if raw.number in _POSITIONED:
        return raw.arguments[_POSITIONED[raw.number]]
    descriptor = _signed(raw.arguments[0])
    lines = Path(f"/proc/{tid}/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    if int(found["flags"], 8) & os.O_APPEND:
        return os.stat(f"/proc/{tid}/fd/{descriptor}").st_size
    return int(found["pos"])


def _several(tid: int, raw: RawCall, length: int) -> bytes:
    """Read the parts of a write of several parts."""
    parts = read_memory(tid, raw.arguments[1], 16 * raw.arguments[2])
    words = memoryview(parts).cast("Q")
    found = b"".join(
        read_memory(tid, words[place], words[place + 1]) for place in range(0, len(words), 2)
    )
    return found[:length]
