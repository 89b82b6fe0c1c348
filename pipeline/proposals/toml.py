"""Proposals as a commented entry of the settings file."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.proposals.proposal import Guess, Proposal

_CHECK: Final = "# check this: "
_MOST_NAMES: Final = 50
_LAST_OF_16_BITS: Final = 0xFFFF


def as_toml(proposal: Proposal) -> str:
    """Write a proposal as an entry that a person can append to the settings file.

    The last line has the next command.
    """
    return "\n".join(_lines(proposal))


def _lines(proposal: Proposal) -> Iterator[str]:
    noun = "row" if proposal.rows == 1 else "rows"
    rows = f"{'its' if proposal.has_all_rows else 'its first'} {proposal.rows:,} {noun}"
    yield f"# A proposal for {one_line(proposal.file)}, from {rows}."
    yield "# Read it, correct it, and put it into bufdir.toml."
    for note in proposal.notes:
        yield f"{_CHECK}{one_line(note)}"
    yield "[[sources]]"
    for guess in proposal.source:
        yield from _setting(guess)
    yield f'{_CHECK}mode = "dump", if each file has everything and replaces the one before'
    yield ""
    yield "[sources.columns]"
    for guess in proposal.columns:
        yield from _setting(guess)
    yield from _missing(proposal)
    if proposal.options:
        yield ""
        yield f"[sources.{proposal.format}]"
        for guess in proposal.options:
            yield from _setting(guess)
    yield from _categories(proposal)
    yield ""
    yield f"# Next: {one_line(next_command(proposal))}"


def next_command(proposal: Proposal) -> str:
    """Give the command that shows how the file is read with the proposal."""
    return f"bufdir check {shlex.quote(proposal.file)} --source {proposal.name}"


def _setting(guess: Guess) -> Iterator[str]:
    line = f"{guess.setting} = {_value(guess.value)}"
    if guess.is_certain:
        yield f"{line}  # {one_line(guess.why)}"
    else:
        yield f"{_CHECK}{one_line(guess.why)}"
        yield line


def _missing(proposal: Proposal) -> Iterator[str]:
    """Name what must be filled in, and the columns of which it can be."""
    left = ", ".join(map(quoted, proposal.left[:_MOST_NAMES])) or "none"
    more = len(proposal.left) - _MOST_NAMES
    rest = f"{left} and {more:,} more" if more > 0 else left
    for ours in proposal.missing:
        yield f"{_CHECK}no column has a usual name for {ours}, which is required; fill it in"
        yield f'# {ours} = ""'
    yield f"# columns that are left: {rest}"


def _categories(proposal: Proposal) -> Iterator[str]:
    if not proposal.categories:
        return
    yield ""
    yield f"{_CHECK}rows with these categories do not count, until they are mapped to one of ours"
    yield "[sources.categories]"
    for one in proposal.categories:
        ours = one.ours or ""
        noun = "row" if one.rows == 1 else "rows"
        yield f"# {quoted(one.theirs)} = {quoted(ours)}  # {one.rows:,} {noun}"


def _value(value: str | int | Sequence[str]) -> str:
    if isinstance(value, str):
        return quoted(value)
    return str(value) if isinstance(value, int) else f"[{', '.join(map(quoted, value))}]"


def quoted(text: str) -> str:
    """Write a text as a basic string of TOML; signs that can't be shown by their numbers."""
    inner = json.dumps(text, ensure_ascii=False)[1:-1]
    return f'"{"".join(map(_shown, inner))}"'


def one_line(text: str) -> str:
    """Write a text in a comment, so that it can't end the line."""
    return "".join(map(_shown, text))


def _shown(sign: str) -> str:
    if sign.isprintable():
        return sign
    number = ord(sign)
    return f"\\u{number:04x}" if number <= _LAST_OF_16_BITS else f"\\U{number:08x}"
