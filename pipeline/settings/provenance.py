"""Provenance of settings: each effective value, and the place that decided it."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pipeline.settings.reading import FILE, in_environment, load, text_of, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

SettingPath = tuple[str, ...]
"""The names that lead to a setting, such as `("runs", "seconds")`; tables in a list by number."""
_ARRAY: Final = "sources"
"""The one setting that is a list of tables."""


class SettingSource(StrEnum):
    """A place that decides settings."""

    DEFAULT = "default"
    FILE = "file"
    VARIABLE = "variable"


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One setting in effect, and the place that decided it."""

    name: str
    """As the settings file has it, `runs.seconds`; an entry of a table has its key last.

    The settings of a source have its name in the middle: `sources.fagsystem.files`.
    """
    value: object
    source: SettingSource
    variable: str | None = None
    """The variable that decided it, if one did."""
    line: int | None = None
    """The line of the settings file that decided it, from 1, if one did."""


def effective(data: Path) -> Sequence[EffectiveSetting]:
    """List every setting of a data folder with its source, in the order of the schema.

    A table of names, such as `export.columns`, has one row an entry: the file and a variable may
    each have given some. An empty one has one row.

    Raises:
        InvalidSetting: A line or a variable is unknown or invalid.
    """
    chosen = load(data)
    lines = lines_of(text_of(data / FILE))
    given = frozenset(path for path, _ in _leaves(in_environment()))
    names = {str(number): source.name for number, source in enumerate(chosen.sources)}
    return [
        _sourced(path, names, value, lines, given)
        for path, value in _leaves(chosen.model_dump(mode="json"))
    ]


def _sourced(
    path: SettingPath,
    names: Mapping[str, str],
    value: object,
    lines: Mapping[SettingPath, int],
    given: frozenset[SettingPath],
) -> EffectiveSetting:
    shown = (path[0], names[path[1]], *path[2:]) if path[0] == _ARRAY and path[1:] else path
    name = ".".join(shown)
    if path in given:
        return EffectiveSetting(name, value, SettingSource.VARIABLE, variable=_variable(path))
    if path in lines:
        return EffectiveSetting(name, value, SettingSource.FILE, line=lines[path])
    return EffectiveSetting(name, value, SettingSource.DEFAULT)


def _variable(path: SettingPath) -> str:
    """Find the variable that gave a setting: its own, or that of the table that it is in."""
    names = [variable_of(".".join(path[:length])) for length in range(len(path), 0, -1)]
    return next(name for name in names if name in os.environ)


def _leaves(
    nested: Mapping[str, object], above: SettingPath = ()
) -> Iterator[tuple[SettingPath, object]]:
    for name, value in nested.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from _leaves({str(place): one for place, one in enumerate(value)}, path)
        else:
            yield path, value


def lines_of(text: str) -> Mapping[SettingPath, int]:
    """Find the line, from 1, on which each value of a valid TOML text begins.

    A statement is parsed alone, under the header before it, because the standard library's parser
    gives no line numbers.
    """
    found: dict[SettingPath, int] = {}
    header: SettingPath = ()
    sources = 0
    statement = ""
    begin = 0
    for number, line in enumerate(text.split("\n"), start=1):
        begin = begin if statement else number
        statement += f"{line}\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        is_header = statement.lstrip().startswith("[")
        sources += statement.lstrip().startswith("[[")
        for path, _ in _leaves(parsed):
            if not is_header:
                found[(*header, *path)] = begin
            elif path[0] == _ARRAY:
                inner = path[2:] if path[1:2] == ("0",) else path[1:]
                header = (_ARRAY, str(sources - 1), *inner)
            else:
                header = path
        statement = ""
    return found
