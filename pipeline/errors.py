"""The expected failures, as one tree of exceptions; each has the fields that its message names.

Owns no HTTP status and no exit code: the API and the command line have one table each for them.
Any other exception is a fault of the program, and its traceback is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipeline import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

Translated = TypeVar("Translated")


class BufdirError(Exception):
    """The base of all expected failures; `str()` is one sentence with what to do."""

    @property
    def public(self) -> str:
        """The sentence without what only operators may know."""
        return str(self)


@dataclass(eq=False)
class InvalidSetting(BufdirError):
    """An invalid setting, with its name, its source and the values that are allowed."""

    name: str
    problem: str
    source: str

    def __str__(self) -> str:
        return f"setting {self.name} in {self.source}: {self.problem}"


@dataclass(eq=False)
class InvalidValue(BufdirError):
    """An invalid value in a request or command: an organisation, a period or an id."""

    field: str
    value: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field} {self.value!r}: {self.problem}"


@dataclass(eq=False)
class PeriodNotBegun(BufdirError):
    """A period in the future, which can't have participations yet."""

    period_id: str
    begins: str

    def __str__(self) -> str:
        return (
            f"period {self.period_id} has not begun: it begins {self.begins}; "
            "ask for it from then on"
        )


@dataclass(eq=False)
class SnapshotNotFound(BufdirError):
    """An id that no snapshot has, or whose snapshot was deleted."""

    snapshot_id: str

    def __str__(self) -> str:
        return f"no snapshot {self.snapshot_id}; list the snapshots to see which there are"


@dataclass(eq=False)
class NotUndeletable(BufdirError):
    """A deletion that can't be undone, or a snapshot that is not deleted."""

    snapshot_id: str
    problem: str

    def __str__(self) -> str:
        return f"{self.snapshot_id} can't be undeleted: {self.problem}"


@dataclass(eq=False)
class SnapshotExists(BufdirError):
    """A request to create a snapshot whose cell already has a published version."""

    snapshot_id: str
    org_id: str
    period_id: str

    def __str__(self) -> str:
        return (
            f"{self.org_id} in {self.period_id} is already {self.snapshot_id}; "
            f"refresh it with PUT {self.snapshot_id}"
        )


@dataclass(eq=False)
class SnapshotNotReady(BufdirError):
    """A snapshot without a published version, so that it has no numbers yet."""

    snapshot_id: str
    status: str

    def __str__(self) -> str:
        wait = (
            "its first run is still going on; ask again shortly"
            if self.status == "processing"
            else "its first run failed; fix the cause and start it again"
        )
        return f"snapshot {self.snapshot_id} has no numbers yet: {wait}"


@dataclass(eq=False)
class OrganisationUnknown(BufdirError):
    """A request for the first run of an organisation that no export names."""

    org_id: str

    def __str__(self) -> str:
        return (
            f"no export names {self.org_id}; a snapshot of it can be made once an export does, or "
            "with a token that names it"
        )


@dataclass(eq=False)
class TooManyOpenRuns(BufdirError):
    """A request for one more first run than may be open."""

    most: int | None
    """The most of one caller; None where those of all callers together are too many."""

    def __str__(self) -> str:
        if self.most is None:
            return "no more runs are queued at the moment; try again when some have ended"
        return (
            f"{self.most} of your runs are open, the most by the setting access.most_open_runs; "
            "try again when some have ended"
        )


@dataclass(eq=False)
class TooManyFailed(BufdirError):
    """A request for one more snapshot while many have failed and have no version."""

    most: int

    def __str__(self) -> str:
        return (
            f"the first runs of {self.most} of your snapshots have failed, the most by the setting "
            "access.most_open_runs; delete those that were not meant"
        )


@dataclass(eq=False)
class CellMismatch(BufdirError):
    """A refresh that names another organisation or period than the snapshot's own."""

    snapshot_id: str
    field: str
    given: str
    actual: str

    def __str__(self) -> str:
        return (
            f"snapshot {self.snapshot_id} has {self.field} {self.actual}, not {self.given}; "
            "leave the field out or give the snapshot's own"
        )


@dataclass(eq=False)
class Busy(BufdirError):
    """Work that another process does at the moment."""

    what: str
    holder: str

    def __str__(self) -> str:
        return f"{self.what} is already going on ({self.holder}); try again when it has ended"


@dataclass(eq=False)
class ExportRefused(BufdirError):
    """One export file that is refused as a whole; the run continues with the others.

    Its sentence is one line that a terminal can show, whatever the file has in it.
    """

    file: str
    problem: str
    rows: int | None = None
    is_passing: bool = False
    """Whether the system did not read it, so that the same file may be read the next time."""

    def __str__(self) -> str:
        noun = "row" if self.rows == 1 else "rows"
        rows = "" if self.rows is None else f" ({self.rows:,} {noun})"
        file = printable.name(self.file)
        return printable.sentence(f"export {file}{rows} is refused: {self.problem}")


@dataclass(eq=False)
class NoProposal(BufdirError):
    """A file for which no settings can be proposed, because no table is found in it."""

    file: str
    problem: str

    def __str__(self) -> str:
        file = printable.name(self.file)
        return printable.sentence(f"no settings can be proposed for {file}: {self.problem}")


@dataclass(eq=False)
class ExportsMissing(BufdirError):
    """A data folder without the folder of exports."""

    folder: str

    def __str__(self) -> str:
        return f"no folder {self.folder}: put the exports there, or name another data folder"


@dataclass(eq=False)
class ExportsUnreadable(BufdirError):
    """A folder of exports that can't be listed, so that exports may be missing."""

    folder: str
    problem: str

    def __str__(self) -> str:
        return (
            f"folder {self.folder} can't be listed ({self.problem}); nothing was published, "
            "let this user read it"
        )


@dataclass(eq=False)
class ExportsUnreachable(BufdirError):
    """A place on other computers whose exports can't be listed or read."""

    location: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"the exports in {self.location} can't be read: {self.problem}; nothing was "
            f"published, {self.remedy}"
        )


@dataclass(eq=False)
class PackageMissing(BufdirError):
    """A package that a setting needs and that is not installed."""

    package: str
    use: str
    extras: tuple[str, ...]
    """The extras of this program that have it."""

    def __str__(self) -> str:
        ways = " or ".join(f"'.[{extra}]'" for extra in self.extras)
        return (
            f"the package {self.package} is not installed, and {self.use} needs it; "
            f"pip install {ways} in the folder of the program"
        )


@dataclass(eq=False)
class ExportsChanged(BufdirError):
    """Export files that changed each time they were read."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"exports changed while they were read: {', '.join(self.files)}; nothing was "
            "published, run again once they are written to their end"
        )


@dataclass(eq=False)
class EngineFailed(BufdirError):
    """An engine that can't be reached, is lost in the middle, or has an unfit configuration."""

    engine: str
    problem: str
    detail: str = ""
    """The words of the engine's own library, which may name computers."""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"the engine {self.engine} failed: {self.problem}{detail}; nothing was published"

    @property
    def public(self) -> str:
        """The sentence without the words of the library."""
        return str(EngineFailed(self.engine, self.problem))


@dataclass(eq=False)
class ReadingDied(BufdirError):
    """A process that died while it read exports, of which no single one is the cause."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"the exports can't be read together: {self.problem}; {self.remedy}"


@dataclass(eq=False)
class ProcessDied(BufdirError):
    """A process that died at its work, and not because of exports."""

    how: str
    code: int
    """The negative number of the signal, or the exit code."""

    def __str__(self) -> str:
        return (
            f"the process that did the work died ({self.how}); published numbers stand, try again"
        )


@dataclass(eq=False)
class RunFailed(BufdirError):
    """A run of one cell that published no version and changed none."""

    snapshot_id: str
    problem: str

    def __str__(self) -> str:
        return f"the run of {self.snapshot_id} failed: {self.problem}"


@dataclass(eq=False)
class LedgerBroken(BufdirError):
    """A ledger that does not account for all rows that were read; the run publishes nothing."""

    where: str
    read: int
    accounted: int
    unit: str = "rows"

    def __str__(self) -> str:
        return (
            f"the ledger of {self.where} does not add up: {self.read:,} {self.unit} read, "
            f"{self.accounted:,} accounted for; nothing was published, report this as a bug"
        )


@dataclass(eq=False)
class StoreUnusable(BufdirError):
    """A catalog that can't be read or written at the moment, but is not damaged."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file} can't be used: {self.problem}; see that there is room and write access"


@dataclass(eq=False)
class StoreDamaged(BufdirError):
    """A damaged snapshot file or catalog."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file} is damaged: {self.problem}"


@dataclass(eq=False)
class StoreTooNew(BufdirError):
    """A snapshot file or the catalog that a newer release of this program wrote."""

    file: str
    schema_version: int
    known: int

    def __str__(self) -> str:
        return (
            f"{self.file} has schema version {self.schema_version}, and this release reads up to "
            f"{self.known}: use the release that wrote it, or restore an older backup"
        )


def lookup(table: Mapping[type[Exception], Translated], error: BaseException) -> Translated | None:
    """Return the entry of the error's own class, else of its nearest base; None without one."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)
