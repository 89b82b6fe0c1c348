"""The one configuration: `bufdir.toml` in the data folder, and `BUFDIR_*` variables over it.

Read once, at the edge, and handed on as a value. Refuses what it does not know, by name.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, get_args
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
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "bufdir.toml"
PREFIX: Final = "BUFDIR_"
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


class Settings(BaseSettings):
    """Everything that can be set, with what holds when it is not."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file; no `.env` and no secrets folder is read."""
        del dotenv_settings, file_secret_settings
        toml = TomlConfigSettingsSource(settings_cls)
        return init_settings, env_settings, toml


def load(data: Path) -> Settings:
    """Read the settings of a data folder; a missing file means that all defaults hold.

    Raises:
        InvalidSetting: A line or a variable is unknown or does not hold.
    """
    file = data / FILE
    _refuse_unknown_variables()
    if os.path.lexists(file) and not file.is_file():
        problem = "this is no file, or leads to none; put the settings there or take it away"
        raise InvalidSetting("(all)", problem, str(file))

    class SettingsHere(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return SettingsHere()
    except ValidationError as error:
        raise _refusal(error, file) from error
    except SettingsError as error:
        raise _no_json(error) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSetting("(all)", f"this is no TOML: {error}", str(file)) from error
    except OSError as error:
        raise InvalidSetting("(all)", f"can't be read: {error.strerror}", str(file)) from error


def _no_json(error: SettingsError) -> InvalidSetting:
    """A list or a table in a variable is JSON; the library names the one that is not in words."""
    field = re.search(r'field "(\w+)"', str(error))
    start = PREFIX + (field[1].upper() if field else "")
    name = next(name for name in os.environ if name.startswith(start) and not _is_json(name))
    problem = f"{os.environ[name]!r}: it must be JSON, a list or a table of texts"
    return InvalidSetting(name, problem, "the environment")


def _is_json(variable: str) -> bool:
    try:
        json.loads(os.environ[variable])
    except ValueError:
        return False
    return True


def _refuse_unknown_variables() -> None:
    """A misspelt variable would otherwise be passed over, and its setting not hold."""
    known = {DATA_VARIABLE}
    for name, field in Settings.model_fields.items():
        known.add(PREFIX + name.upper())
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            known |= {f"{PREFIX}{name.upper()}__{part.upper()}" for part in inner.model_fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable not in known:
            options = ", ".join(sorted(known))
            raise InvalidSetting(variable, f"is unknown; it may be {options}", "the environment")


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
    model: type[BaseModel] = Settings
    for part in section:
        inner = model.model_fields[part].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
