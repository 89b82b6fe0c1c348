"""Types of the settings: each with its default and its bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from pipeline.model import addresses
from pipeline.model.breakdowns import BY_CATEGORY
from pipeline.model.columns import PARTICIPANT_ID
from pipeline.model.states import EngineName
from pipeline.model.terms import Terms
from pipeline.settings.history import HistorySettings
from pipeline.settings.limits import LimitSettings
from pipeline.settings.proxy import ProxySettings
from pipeline.settings.sections import (
    NO_FLAG,
    ColumnName,
    Section,
    check_categories,
    check_columns,
    conflict,
    distinct,
)
from pipeline.settings.sources import GuardSettings, PrivacySettings, SourceSettings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from pipeline.logs import Level

_SECRET: Final = re.compile(
    r"secret|password|token|credential|(access|account|api)[.-]?key", re.IGNORECASE
)
"""Parts of names of Spark's settings whose values are secret."""
_ZONE: Final = re.compile(r"(?!posix|right/)[A-Z][\w+-]*(/[\w+-]+)*", re.ASCII)
"""The form of a zone's name; the database has other files too, such as posixrules."""

Kind = Literal["year", "half-year", "tertial", "quarter", "month"]
Code = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]{0,63}$")]
_BREAKDOWN: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_RESERVED: Final = frozenset({BY_CATEGORY, "categories", "total", "all"})
"""Names that version files and tables have for other groups."""


def _known_zone(name: str) -> str:
    if not _is_zone(name):
        msg = "is no time zone; it may be any name of the IANA database, such as Europe/Oslo"
        raise ValueError(msg)
    return name


def _is_zone(name: str) -> bool:
    """Look a zone up in the database; listing all zones takes as long as the program's start."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return _ZONE.fullmatch(name) is not None


def _breakdown_names(breakdowns: dict[str, str]) -> dict[str, str]:
    for name in breakdowns:
        if _BREAKDOWN.fullmatch(name) is None:
            problem = "it must be 1 to 32 of a to z, 0 to 9 and _, the first a letter"
            raise conflict(f"breakdowns.{name}", problem)
        if name in _RESERVED:
            problem = "is the name of another group of numbers; choose another name"
            raise conflict(f"breakdowns.{name}", problem)
    return breakdowns


class ExportsSettings(Section):
    """The place where exports are."""

    location: str = addresses.FOLDER
    """A folder, which counts from the data folder, or an address that a cluster can read."""

    @model_validator(mode="after")
    def _location_can_be_read(self) -> Self:
        # The refusal of a field repeats its value, and this one may have a secret in it.
        try:
            addresses.parse(self.location)
        except ValueError as error:
            raise conflict("exports.location", str(error)) from error
        return self


class ExportSettings(Section):
    """Mappings from the organisation's own names to ours."""

    columns: dict[str, ColumnName] = {}
    """Our column to theirs; a column that is not listed has our name."""
    categories: dict[str, str] = {}
    """Their category to ours; our codes always mean themselves."""

    @model_validator(mode="after")
    def _one_column_each(self) -> Self:
        check_columns(self.columns, "export.columns")
        return self


class RunSettings(Section):
    """The bounds of a run in a child process."""

    at_once: Annotated[int, Field(ge=1, le=64), NO_FLAG] = 2
    """Child processes of one API at the same time."""
    memory_mb: Annotated[int, Field(ge=512, le=1_048_576), NO_FLAG] = 4096
    """Mebibytes of memory that one run may use."""
    seconds: Annotated[int, Field(ge=1, le=86_400), NO_FLAG] = 600
    """Seconds that one run may take."""
    wait_seconds: Annotated[float, Field(ge=0, le=600), NO_FLAG] = 30
    """Seconds that a PUT waits for its run."""


class AccessSettings(Section):
    """The rights of callers without a token, and the bounds of what callers may ask for."""

    reads: Literal["public", "token"] = "public"
    """Whether reads need a token, once there is one or this is `token`."""
    writes_per_minute: Annotated[int, Field(ge=1, le=1_000_000), NO_FLAG] = 120
    """Writes a minute of one token, or of one address without a token; as many at once before."""
    most_open_runs: Annotated[int, Field(ge=1, le=1_000_000), NO_FLAG] = 100
    """Open runs of one caller, and its failed snapshots, beyond which it starts no first run."""


class LogSettings(Section):
    """The form of logs on stderr, and how much is logged."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning"] = "info"
    """The least severe events that are logged."""


class EngineSettings(Section):
    """The engine that reads exports and counts rows."""

    name: EngineName = EngineName.POLARS
    spark_remote: Annotated[str, Field(pattern=r"^(sc://.+)?$")] = ""
    """The address of a Spark Connect server, such as `sc://host:15002`."""
    spark_master: str = ""
    """The address of a Spark master, such as `spark://host:7077` or `local[*]`."""
    spark_options: dict[str, str] = {}
    """Spark's own settings, handed through to the session."""

    @model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if self.spark_remote and self.spark_master:
            problem = "there is a spark_master too; keep one of the two"
            raise conflict("engine.spark_remote", problem)
        if _SECRET.search(self.spark_remote.partition(";")[2]):
            problem = (
                "it must have no token, because settings are shown; set "
                "SPARK_CONNECT_AUTHENTICATE_TOKEN in the environment"
            )
            raise conflict("engine.spark_remote", problem)
        return self

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        for name in self.spark_options:
            if _SECRET.search(name):
                problem = (
                    "it must not be here, because settings are shown; set it in Spark's own "
                    "configuration, such as conf/spark-defaults.conf"
                )
                raise conflict(f"engine.spark_options.{name}", problem)
        return self

    @property
    def cluster(self) -> str:
        """The address of the cluster, without parameters of Spark Connect; empty if none is set."""
        return (self.spark_remote or self.spark_master).partition(";")[0].rstrip("/")


class Settings(Section):
    """All settings, each with its default."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Oslo"
    periods: Annotated[tuple[Kind, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "quarter",
    )
    """The kinds of period that nightly runs compute."""
    categories: Annotated[tuple[Code, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "foreldre_barn",
        "ungdom",
        "eldre",
        "funksjonsnedsettelse",
    )
    """The category codes that count, in the order of display."""
    max_hours: Annotated[float, Field(gt=0, le=8784, allow_inf_nan=False), NO_FLAG] = 24
    """The most hours that one participation may have; a leap year has 8784."""
    breakdowns: Annotated[dict[str, ColumnName], AfterValidator(_breakdown_names)] = {}
    """The breakdowns in addition to category: their names in snapshots, and their columns."""
    engine: EngineSettings = EngineSettings()
    exports: ExportsSettings = ExportsSettings()
    export: ExportSettings = ExportSettings()
    sources: Annotated[tuple[SourceSettings, ...], Field(min_length=1)] = (
        SourceSettings(name="exports"),
    )
    """The sources of exports, in the order in which files are matched."""
    guard: GuardSettings = GuardSettings()
    limits: LimitSettings = LimitSettings()
    privacy: PrivacySettings = PrivacySettings()
    history: HistorySettings = HistorySettings()
    runs: RunSettings = RunSettings()
    access: AccessSettings = AccessSettings()
    proxy: ProxySettings = ProxySettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _no_breakdown_names_people(self) -> Self:
        mappings = [{**self.export.columns, **source.columns} for source in self.sources]
        people = {mapping.get(PARTICIPANT_ID, PARTICIPANT_ID) for mapping in mappings}
        for name, column in self.breakdowns.items():
            if column in people:
                problem = (
                    f"{column!r} is the column of participants, and a breakdown would publish each "
                    "of them; choose another column"
                )
                raise conflict(f"breakdowns.{name}", problem)
        return self

    @model_validator(mode="after")
    def _mappings_lead_to_ours(self) -> Self:
        check_categories(self.export.categories, self.categories, "export.categories")
        names = [source.name for source in self.sources]
        for source in self.sources:
            section = f"sources.{source.name}"
            if names.count(source.name) > 1:
                raise conflict(section, "there are two sources of this name; rename one")
            check_columns({**self.export.columns, **source.columns}, f"{section}.columns")
            check_categories(source.categories, self.categories, f"{section}.categories")
        return self

    def with_engine(self, name: EngineName) -> Self:
        """Give the same settings with another engine."""
        return self.model_copy(update={"engine": self.engine.model_copy(update={"name": name})})

    def with_memory(self, memory_mb: int) -> Self:
        """Give the same settings with another bound on the memory of runs."""
        return self.model_copy(
            update={"runs": self.runs.model_copy(update={"memory_mb": memory_mb})}
        )

    def with_log_level(self, level: Level) -> Self:
        """Give the same settings with another level of the log."""
        return self.model_copy(update={"log": self.log.model_copy(update={"level": level})})

    @cached_property
    def every_source(self) -> tuple[SourceSettings, ...]:
        """The sources, each with its whole mapping of columns and categories."""
        pairs = zip(self.terms.further_columns, self.breakdowns.values(), strict=True)
        further = {ours.name: theirs for ours, theirs in pairs}
        return tuple(
            source.model_copy(
                update={
                    "columns": {**self.export.columns, **source.columns, **further},
                    "categories": {**self.export.categories, **source.categories},
                }
            )
            for source in self.sources
        )

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which periods begin and end."""
        return ZoneInfo(self.timezone)

    @cached_property
    def terms(self) -> Terms:
        """All that decides a number apart from the rows."""
        return Terms(
            self.zone,
            self.categories,
            self.max_hours,
            tuple(self.breakdowns),
        )


def fields_of(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """List the settings of a section by name; none where the field is no section."""
    kind = field.annotation
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, Section) else {}


def inner_fields_of(field: FieldInfo) -> Mapping[str, FieldInfo]:
    """List the settings of each table in a list of tables; none where the field is no such list."""
    inner = next(iter(get_args(field.annotation)), None)
    return inner.model_fields if isinstance(inner, type) and issubclass(inner, Section) else {}
