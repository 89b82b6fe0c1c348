"""Files `SHA256SUMS` among the exports: the bytes that each listed file must have.

Written by `sha256sum`, with names relative to the folder of the list. An export that has other
bytes is refused, and so is a file that is listed and missing: a copy that was interrupted.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportRefused
from pipeline.sources.exports import File, Fingerprint, is_skipped, legible, os_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.sources.content_digests import ContentDigests
    from pipeline.sources.selection import Selection

_LINE: Final = re.compile(rb"(\\?)([0-9A-Fa-f]{64}) [ *](.+)", re.DOTALL)
_TAGGED: Final = re.compile(rb"(\\?)SHA256 \((.+)\) = ([0-9A-Fa-f]{64})", re.DOTALL)
"""A line of `sha256sum --tag`."""
_ESCAPES: Final = {rb"\\": b"\\", rb"\n": b"\n", rb"\r": b"\r"}
_LARGEST: Final = 2**26
"""The most bytes of a list that are read."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file in a list."""

    name: str
    """Its name among the exports."""
    digest: str
    by: str
    """The name of the list."""


def refusals(selection: Selection, digests: ContentDigests) -> Mapping[File, ExportRefused]:
    """Compare the exports with the lists; refuse those that differ or are missing.

    A list with lines that are none is refused as well; its other lines count.

    Args:
        selection: The exports and the lists.
        digests: The digests of files' contents.
    """
    refused: dict[File, ExportRefused] = {}
    listed: list[_Listed] = []
    for file in selection.lists:
        try:
            listed += _read(file)
        except _Malformed as error:
            listed += error.others
            refused[file] = ExportRefused(file.name, str(error))
        except OSError as error:
            refused[file] = ExportRefused(file.name, os_problem(error), is_passing=True)
    exports, names = {file.name: file for file in selection.files}, selection.names
    for one in listed:
        if one.name in exports:
            file = exports[one.name]
            problem = _difference(file, one, digests)
        else:
            file = File(one.name, one.name, Fingerprint(0, 0))
            is_there = one.name in names or is_skipped(one.name)
            problem = None if is_there else _MISSING.format(one.by)
        if problem is not None:
            refused[file] = ExportRefused(file.name, problem)
    digests.write()
    return refused


_MISSING: Final = "it is listed in {} and missing; copy it, or take its line out of the list"


def _difference(file: File, listed: _Listed, digests: ContentDigests) -> str | None:
    """Give the problem of an export whose bytes are not as listed; None where they are."""
    if file.problem is not None:
        return file.problem
    try:
        digest = digests.of(file)
    except OSError as error:
        return os_problem(error)
    if digest == listed.digest:
        return None
    return f"its SHA-256 is not the one in {listed.by}; copy it again, with its list"


class _Malformed(Exception):
    """A list with lines that are none."""

    def __init__(self, problem: str, others: list[_Listed]) -> None:
        super().__init__(problem)
        self.others = others


def _read(file: File) -> list[_Listed]:
    """Read a list.

    Raises:
        OSError: It can't be read.
        _Malformed: It has lines that are none.
    """
    if file.problem is not None:
        raise _Malformed(file.problem, [])
    opened = file.open()
    try:
        content = opened.read(_LARGEST + 1)
    finally:
        opened.close()
    if len(content) > _LARGEST:
        raise _Malformed(f"it has over {_LARGEST:,} bytes; divide it by folders", [])
    listed: list[_Listed] = []
    wrong: list[int] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.removesuffix(b"\r")
        found = _parsed(text, file.name)
        if found is not None:
            listed.append(found)
        elif text and not text.startswith(b"#"):
            wrong.append(number)
    if wrong:
        more = f" and {len(wrong) - 1:,} more are" if len(wrong) > 1 else " is"
        problem = f"line {wrong[0]}{more} not a digest and a name; write it with sha256sum"
        raise _Malformed(problem, listed)
    return listed


def _parsed(line: bytes, list_name: str) -> _Listed | None:
    """Read a line; None where it is none, or leads out of the exports."""
    if match := _LINE.fullmatch(line):
        escape, digest, name = match.groups()
    elif match := _TAGGED.fullmatch(line):
        escape, name, digest = match.groups()
    else:
        return None
    if escape:
        name = re.sub(rb"\\[\\nr]", lambda found: _ESCAPES[found[0]], name)
    decoded = name.decode("utf-8", "surrogateescape")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(list_name), decoded))
    if path.startswith(("/", "../")) or path in {".", ".."}:
        return None
    return _Listed(legible(path), digest.decode().lower(), list_name)
