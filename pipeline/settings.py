"""The one configuration: `bufdir.toml` in the data folder, and `BUFDIR_*` variables over it.

Read once, at the edge, and handed on as a value. Refuses what it does not know, by name.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, cast, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# Nobody's plugins have a say in what a setting means; to look for them takes a while.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic.fields import FieldInfo

FILE: Final = "bufdir.toml"
PREFIX: Final = "BUFDIR_"
_WITHIN: Final = "__"
"""Stands between a section and its setting in a variable's name."""
_ZONE: Final = re.compile(r"(?!posix|right/)[A-Z][\w+-]*(/[\w+-]+)*", re.ASCII)
"""What zones are named; the database has other files besides, such as posixrules."""
DATA_VARIABLE: Final = "BUFDIR_DATA"
"""Names the data folder, where the settings are; so it can't be one of them."""

_PROBLEMS: Final[Mapping[str, str]] = {
    "literal_error": "it may be {expected}",
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
    "dict_type": "it must be a section, such as [{name}]",
    "model_type": "it must be a section, such as [{name}]",
}
"""What may be, by the kind of what the settings library found wrong."""

Kind = Literal["year", "half-year", "tertial", "quarter", "month"]
Code = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]{0,63}$")]
ColumnName = Annotated[str, Field(min_length=1)]
OurColumn = Literal[
    "org_id",
    "activity_id",
    "participant_id",
    "bufdir_category",
    "started_at",
    "hours",
    "updated_at",
    "status",
    "deleted",
]


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        msg = "names one value twice; keep each once"
        raise ValueError(msg)
    return values


def _known_zone(name: str) -> str:
    if not _is_zone(name):
        msg = "is no time zone; it may be any name of the IANA database, such as Europe/Oslo"
        raise ValueError(msg)
    return name


def _is_zone(name: str) -> bool:
    """Whether the database has it; to list all that there are takes as long as to start."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return _ZONE.fullmatch(name) is not None


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        msg = "it must be a number"
        raise ValueError(msg)  # noqa: TRY004 (what the settings library takes for a refusal)
    return value


_NoFlag: Final = BeforeValidator(_no_flag)
"""Python would take true for 1."""


def _wrong(name: str, problem: str) -> PydanticCustomError:
    """What is wrong with settings that don't fit each other, under the name of one of them."""
    return PydanticCustomError("misfit", "{problem}", {"name": name, "problem": problem})


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExportSettings(_Section):
    """How the organisation's own names map onto ours."""

    columns: dict[OurColumn, ColumnName] = {}
    """Our column to theirs; a column not named here bears our name."""
    categories: dict[str, str] = {}
    """Their category to ours; our codes always stand for themselves."""

    @model_validator(mode="after")
    def _one_column_each(self) -> Self:
        theirs = [self.columns.get(ours, ours) for ours in get_args(OurColumn)]
        twice = sorted({name for name in theirs if theirs.count(name) > 1})
        if twice:
            raise _wrong(
                "export.columns",
                f"{twice[0]!r} is read as two of our columns; each needs one of its own, and "
                "bears our name where nothing else is said",
            )
        return self


class RunSettings(_Section):
    """The bounds of a run in a child process."""

    at_once: Annotated[int, Field(ge=1, le=64), _NoFlag] = 2
    """Child processes of one API at the same time."""
    memory_mb: Annotated[int, Field(ge=256, le=1_048_576), _NoFlag] = 4096
    """Mebibytes of memory that one run may use."""
    seconds: Annotated[int, Field(ge=1, le=86_400), _NoFlag] = 600
    """How long one run may take."""
    wait_seconds: Annotated[float, Field(ge=0, le=600), _NoFlag] = 30
    """How long a PUT waits for its run."""


class LogSettings(_Section):
    """How logs are written to stderr."""

    format: Literal["text", "json"] = "text"


class Settings(_Section):
    """Everything that can be set, with what holds when it is not."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Oslo"
    periods: Annotated[tuple[Kind, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "quarter",
    )
    """The kinds of period that a night computes."""
    categories: Annotated[tuple[Code, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "foreldre_barn",
        "ungdom",
        "eldre",
        "funksjonsnedsettelse",
    )
    """The category codes that count, in the order in which they are shown."""
    max_hours: Annotated[float, Field(gt=0, le=8784, allow_inf_nan=False), _NoFlag] = 24
    """The most hours that one participation may have; a leap year has 8784."""
    export: ExportSettings = ExportSettings()
    runs: RunSettings = RunSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _categories_lead_to_known_ones(self) -> Self:
        for theirs, ours in self.export.categories.items():
            if ours not in self.categories:
                raise _wrong(
                    "export.categories",
                    f"{theirs!r} is mapped to {ours!r}, which is not in categories; it may be one "
                    f"of {', '.join(self.categories)}",
                )
            if theirs in self.categories and theirs != ours:
                raise _wrong(
                    "export.categories",
                    f"{theirs!r} is one of our codes and always stands for itself; take the line "
                    "out",
                )
        return self

    @property
    def columns(self) -> Mapping[str, str]:
        """Our column to theirs, where the names differ."""
        return {str(ours): theirs for ours, theirs in self.export.columns.items()}

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which periods begin and end."""
        return ZoneInfo(self.timezone)


def load(data: Path) -> Settings:
    """Read the settings of a data folder; a missing file means that all defaults hold.

    Raises:
        InvalidSetting: A line or a variable is unknown or does not hold.
    """
    file = data / FILE
    try:
        return Settings.model_validate(_over(_in_file(file), _in_environment()))
    except ValidationError as error:
        raise _refusal(error, file) from error


def _in_file(file: Path) -> Mapping[str, Any]:
    if os.path.lexists(file) and not file.is_file():
        problem = "this is no file, or leads to none; put the settings there or take it away"
        raise InvalidSetting("(all)", problem, str(file))
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting("(all)", f"this is no TOML: {error}", str(file)) from error
    except OSError as error:
        raise InvalidSetting("(all)", f"can't be read: {error.strerror}", str(file)) from error


def _in_environment() -> Mapping[str, Any]:
    """What variables say, `BUFDIR_RUNS__SECONDS` within its section.

    A misspelt one is refused: it would otherwise be passed over, and its setting not hold.
    """
    known = _variables()
    said: Mapping[str, Any] = {}
    for name in sorted(os.environ):
        if not name.upper().startswith(PREFIX) or name == DATA_VARIABLE:
            continue
        if name not in known:
            options = ", ".join(sorted({DATA_VARIABLE, *known}))
            raise InvalidSetting(name, f"is unknown; it may be {options}", "the environment")
        value: object = _value(name, known[name])
        for part in reversed(name.removeprefix(PREFIX).lower().split(_WITHIN)):
            value = {part: value}
        said = _over(said, cast("Mapping[str, Any]", value))
    return said


def _variables() -> Mapping[str, FieldInfo]:
    """Each variable that may be, and the setting it stands for."""
    known = {}
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        known[variable] = field
        for inner_name, inner in _fields_of(field).items():
            known[f"{variable}{_WITHIN}{inner_name.upper()}"] = inner
    return known


def _fields_of(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """The settings of a section; none of any other."""
    kind = field.annotation
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, _Section) else {}


def _value(name: str, field: FieldInfo) -> object:
    """What a variable says: a list or a table is JSON, anything else is what it is."""
    if not _fields_of(field) and get_origin(field.annotation) not in {tuple, dict}:
        return os.environ[name]
    try:
        return json.loads(os.environ[name])
    except ValueError as error:
        problem = f"{os.environ[name]!r}: it must be JSON, a list or a table of texts"
        raise InvalidSetting(name, problem, "the environment") from error


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """One over the other, section by section."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _over(merged[name], value) if both else value
    return merged


def _refusal(error: ValidationError, file: Path) -> InvalidSetting:
    """The first thing wrong, as a sentence that names the setting as the user wrote it."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"] if part != "[key]"]
    bounds = {name: _plain(value) for name, value in first.get("ctx", {}).items()}
    given = {"name": ".".join(location), **bounds}
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = f"is unknown; it may be {', '.join(_options(location[:-1]))}"
    elif first["type"] in _PROBLEMS:
        problem = f"{first['input']!r}: {_PROBLEMS[first['type']].format_map(given)}"
    elif not isinstance(first["input"], dict | BaseModel):
        problem = f"{first['input']!r}: {problem}"
    name = str(given["name"])
    variable = PREFIX + name.upper().replace(".", "__")
    from_environment = any(
        variable.startswith(known) for known in os.environ if known.startswith(PREFIX)
    )
    return InvalidSetting(name, problem, "the environment" if from_environment else str(file))


def _plain(bound: object) -> object:
    """A bound as people write it: 24, not 24.0."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _options(section: list[str]) -> list[str]:
    known: Mapping[str, FieldInfo] = Settings.model_fields
    for part in section:
        known = _fields_of(known[part])
    return list(known)
