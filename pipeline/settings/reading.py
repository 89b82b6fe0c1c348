"""Reading of settings: the file, the variables over it, and the refusal of invalid values."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast, get_origin

from pydantic import BaseModel, ValidationError

from pipeline.errors import InvalidSetting
from pipeline.settings.schema import Settings, fields_of, inner_fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydantic.fields import FieldInfo

FILE: Final = "bufdir.toml"
PREFIX: Final = "BUFDIR_"
WITHIN: Final = "__"
"""Separates a section and its setting in a variable's name."""
DATA_VARIABLE: Final = "BUFDIR_DATA"
"""The variable that names the data folder, where the settings are; so it is no setting."""
_TABLES: Final = "sources"
"""The one setting that is a list of tables."""
LOG_LEVEL_VARIABLE: Final = "BUFDIR_LOG__LEVEL"

_PROBLEMS: Final[Mapping[str, str]] = {
    "literal_error": "it may be {expected}",
    "enum": "it may be {expected}",
    "greater_than": "it must be over {gt}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than_equal": "it may be {le} at most",
    "finite_number": "it must be a number with an end",
    "float_type": "it must be a number",
    "float_parsing": "it must be a number",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "string_type": "it must be a text in quotes",
    "string_too_short": "it must not be empty",
    "string_pattern_mismatch": "it must be 1 to 64 characters, the first no space, all on one line",
    "tuple_type": 'it must be a list, such as ["one", "two"]',
    "too_short": "it must name one at least",
    "missing": "it is missing; write it",
    "dict_type": "it must be a section, such as [{name}]",
    "model_type": "it must be a section, such as [{name}]",
}
"""The allowed values, by pydantic's type of error."""


def load(data: Path) -> Settings:
    """Read the settings of a data folder; without a file they are the defaults.

    Raises:
        InvalidSetting: A line or a variable is unknown or invalid.
    """
    file = data / FILE
    given = over(parse(text_of(file), file), in_environment())
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise _refusal(error, file, given) from error


def text_of(file: Path) -> str:
    """Read the settings file as text; empty where there is none.

    Raises:
        InvalidSetting: It is no file, can't be read, or is no UTF-8.
    """
    if os.path.lexists(file) and not file.is_file():
        problem = "this is no file, or leads to none; put the settings there or take it away"
        raise InvalidSetting("(all)", problem, str(file))
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InvalidSetting("(all)", f"this is no TOML: {error}", str(file)) from error
    except OSError as error:
        raise InvalidSetting("(all)", f"can't be read: {error.strerror}", str(file)) from error


def parse(text: str, file: Path) -> Mapping[str, Any]:
    """Parse the text of a settings file.

    Raises:
        InvalidSetting: It is no TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting("(all)", f"this is no TOML: {error}", str(file)) from error


def in_environment() -> Mapping[str, Any]:
    """Read the variables as nested settings, `BUFDIR_RUNS__SECONDS` within its section.

    A misspelt variable is refused: otherwise it would be ignored without notice.

    Raises:
        InvalidSetting: A variable is unknown, or is no JSON where a list or table is meant.
    """
    known = _variables()
    given: Mapping[str, Any] = {}
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX) or name == DATA_VARIABLE:
            continue
        if name not in known:
            options = ", ".join(sorted({DATA_VARIABLE, *known}))
            raise InvalidSetting(name, f"is unknown; it may be {options}", "the environment")
        value: object = _value(name, known[name])
        for part in reversed(name.removeprefix(PREFIX).lower().split(WITHIN)):
            value = {part: value}
        given = over(given, cast("Mapping[str, Any]", value))
    return given


def variable_of(name: str) -> str:
    """Name the variable of a setting: `BUFDIR_RUNS__SECONDS` for `runs.seconds`."""
    return PREFIX + name.upper().replace(".", WITHIN)


def _variables() -> Mapping[str, FieldInfo]:
    """Map each allowed variable to its setting."""
    known = {}
    for name, field in Settings.model_fields.items():
        known[variable_of(name)] = field
        for inner_name, inner in fields_of(field).items():
            known[variable_of(f"{name}.{inner_name}")] = inner
    return known


def _value(name: str, field: FieldInfo) -> object:
    """Read one variable: a list or a table as JSON, anything else as it is."""
    if not fields_of(field) and get_origin(field.annotation) not in {tuple, dict}:
        return os.environ[name]
    try:
        return json.loads(os.environ[name])
    except ValueError as error:
        problem = f"{os.environ[name]!r}: it must be JSON, a list or a table of texts"
        raise InvalidSetting(name, problem, "the environment") from error


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """Merge two nested mappings section by section; the second one wins."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = over(merged[name], value) if both else value
    return merged


def _refusal(error: ValidationError, file: Path, given_values: Mapping[str, Any]) -> InvalidSetting:
    """Convert the first problem to a sentence that names the setting as the user wrote it."""
    first = error.errors()[0]
    location = [part for part in _location(first["loc"], given_values) if part != "[key]"]
    bounds = {name: _plain(value) for name, value in first.get("ctx", {}).items()}
    given = {"name": ".".join(location), **bounds}
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = f"is unknown; it may be {', '.join(_options(first['loc'][:-1]))}"
    elif first["type"] == "missing":
        problem = _PROBLEMS["missing"]
    elif first["type"] == "tuple_type" and first["loc"] == (_TABLES,):
        problem = "it must be tables, each under its own line [[sources]]"
    elif first["type"] in _PROBLEMS:
        problem = f"{first['input']!r}: {_PROBLEMS[first['type']].format_map(given)}"
    elif not isinstance(first["input"], dict | BaseModel):
        problem = f"{first['input']!r}: {problem}"
    name = str(given["name"])
    variable = variable_of(name)
    from_environment = any(
        variable.startswith(known) for known in os.environ if known.startswith(PREFIX)
    )
    return InvalidSetting(name, problem, "the environment" if from_environment else str(file))


def _plain(bound: object) -> object:
    """Write a bound as people do: 24, not 24.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _location(loc: Iterable[str | int], given: Mapping[str, Any]) -> list[str]:
    """Name a setting; a table in a list by its name, where it has one."""
    parts: list[str] = []
    value: Any = given
    for part in loc:
        if isinstance(part, int):
            value = value[part]
            parts.append(str(value.get("name", part) if isinstance(value, dict) else part))
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
            parts.append(part)
    return parts


def _options(section: Iterable[str | int]) -> list[str]:
    known: Mapping[str, FieldInfo] = Settings.model_fields
    for part in section:
        if not isinstance(part, int):
            known = fields_of(known[part]) or inner_fields_of(known[part])
    return list(known)
