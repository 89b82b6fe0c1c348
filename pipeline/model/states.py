"""The words for states, sources, outcomes and verdicts, as enums whose values are published."""

from __future__ import annotations

from enum import StrEnum


class SnapshotStatus(StrEnum):
    """The state of a snapshot."""

    PROCESSING = "processing"
    """The first version is not there yet."""
    COMPLETED = "completed"
    """A version is published."""
    FAILED = "failed"
    """The first run failed."""


class RunState(StrEnum):
    """The state of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RunSource(StrEnum):
    """The part of the program that asked for a run."""

    API = "api"
    COMMAND = "command"
    NIGHTLY = "night"
    """The value is what every release has written to the catalog."""


class FileState(StrEnum):
    """The state of a published version's file."""

    READABLE = "readable"
    UNREADABLE = "unreadable"
    """It is missing or corrupt."""
    NEWER = "newer"
    """A newer release wrote it."""


class Outcome(StrEnum):
    """The result of a run for one snapshot."""

    COMPUTED = "computed"
    UNCHANGED = "unchanged"
    RETAINED = "retained"
    """An operator declared that its numbers stay, although rows of them are gone."""
    BLOCKED = "blocked"
    """Its numbers stay until somebody acts."""
    FAILED = "failed"
    DELETED = "deleted"
    """The snapshot was deleted while it was computed."""


class Action(StrEnum):
    """A run's decision about one snapshot."""

    COMPUTE = "compute"
    LEAVE = "leave"
    """Its version is up to date."""
    RETAIN = "retain"
    BLOCK = "block"
    FAIL = "fail"
    DEFER = "defer"
    """Its period has not begun."""


class Reason(StrEnum):
    """Why a snapshot is computed, or why it is not."""

    FIRST = "first"
    ROWS = "rows"
    TERMS = "terms"
    FORCED = "forced"
    UNREADABLE = "unreadable_version"
    NEWER = "newer_version"
    """A newer release wrote its version file."""
    SAME = "same"
    NO_ROWS_LEFT = "no_rows_left"
    NO_EXPORT = "no_export"
    REFUSED_EXPORT = "refused_export"
    GONE = "export_gone"
    """An export that its version rests on is gone."""
    SHRUNK = "rows_fell"
    """An export written again, or a newer dump, has many rows fewer."""
    RETIRED = "retired"
    """An operator declared that its numbers stay, although rows of them are gone."""
    NOT_BEGUN = "not_begun"


class Verdict(StrEnum):
    """The result of comparing a published version with a new computation."""

    MATCH = "match"
    MISMATCH = "mismatch"
    """The same digest and other numbers: a fault of the program."""
    STALE = "stale"
    SOURCE_MISSING = "source_missing"
    """No export has its rows any longer."""
    UNPUBLISHED = "unpublished"
    CORRUPT = "corrupt"
    """The version file cannot be read."""
    NEWER = "newer"
    """A newer release wrote the version file."""
    CATALOG_MISMATCH = "catalog_mismatch"
    """The catalog lists other numbers than the version file has."""


class EngineName(StrEnum):
    """An engine that counts rows."""

    POLARS = "polars"
    DUCKDB = "duckdb"
    SPARK = "spark"


class Format(StrEnum):
    """The format of a source's files."""

    PARQUET = "parquet"
    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


class Mode(StrEnum):
    """The way in which the exports of a source belong together."""

    LOG = "log"
    """Each adds statements."""
    DUMP = "dump"
    """Each has everything, so that only the newest counts."""


class Retirement(StrEnum):
    """The meaning of an export that is gone on purpose."""

    KEEP = "keep"
    """It was deleted by law: numbers stay as they are."""
    RETRACT = "retract"
    """Its statements never were."""


class DeclarationKind(StrEnum):
    """The kind of an operator's declaration."""

    RETIRED = "retired"
    """An export is gone on purpose."""
    ACCEPTED = "accepted"
    """A fall of a snapshot's rows is meant; with KEEP it is meant, and not published."""
    FORCED = "forced"
    """A run was forced to count what it would otherwise have blocked or retained."""
