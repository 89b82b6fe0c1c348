"""Every failure that is expected, as one tree; each carries the fields its sentence names.

Owns no HTTP status and no exit code: the API and the command line translate by one table each.
Anything that is not one of these is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass


class BufdirError(Exception):
    """The base of all expected failures; `str()` is one sentence that says what to do."""


@dataclass(eq=False)
class InvalidSetting(BufdirError):
    """A setting that does not hold; names it, what it was, and what it may be."""

    name: str
    problem: str
    source: str

    def __str__(self) -> str:
        return f"setting {self.name} in {self.source}: {self.problem}"


@dataclass(eq=False)
class InvalidValue(BufdirError):
    """A value somebody gave (an organisation, a period, an id) that can't be what it claims."""

    field: str
    value: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field} {self.value!r}: {self.problem}"


@dataclass(eq=False)
class PeriodNotBegun(BufdirError):
    """A period that lies in the future, so that nothing can have happened in it."""

    period_id: str
    begins: str

    def __str__(self) -> str:
        return (
            f"period {self.period_id} has not begun: it begins {self.begins}; "
            "ask for it from then on"
        )


@dataclass(eq=False)
class SnapshotNotFound(BufdirError):
    """No snapshot has this id, or it was deleted."""

    snapshot_id: str

    def __str__(self) -> str:
        return f"no snapshot {self.snapshot_id}; list the snapshots to see which there are"


@dataclass(eq=False)
class SnapshotExists(BufdirError):
    """The cell already has a published version; it is refreshed, not created."""

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
    """The snapshot has no published version yet, so there are no numbers to give."""

    snapshot_id: str
    status: str

    def __str__(self) -> str:
        wait = (
            "its first run is still going on; ask again shortly"
            if self.status == "processing"
            else "its first run failed; mend the cause and start it again"
        )
        return f"snapshot {self.snapshot_id} has no numbers yet: {wait}"


@dataclass(eq=False)
class CellMismatch(BufdirError):
    """A refresh names another organisation or period than the snapshot's own."""

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
    """Another process does this work at the moment."""

    what: str
    holder: str

    def __str__(self) -> str:
        return f"{self.what} is already going on ({self.holder}); try again when it has ended"


@dataclass(eq=False)
class ExportRefused(BufdirError):
    """One export file that is refused as a whole; the others go on."""

    file: str
    problem: str
    rows: int | None = None

    def __str__(self) -> str:
        noun = "row" if self.rows == 1 else "rows"
        rows = "" if self.rows is None else f" ({self.rows:,} {noun})"
        return f"export {self.file}{rows} is refused: {self.problem}"


@dataclass(eq=False)
class ExportsMissing(BufdirError):
    """The folder that should hold the exports is not there."""

    folder: str

    def __str__(self) -> str:
        return f"no folder {self.folder}: put the exports there, or name another data folder"


@dataclass(eq=False)
class ExportsUnreadable(BufdirError):
    """A folder of exports can't be listed, so nobody knows what is missing."""

    folder: str
    problem: str

    def __str__(self) -> str:
        return (
            f"folder {self.folder} can't be listed ({self.problem}); nothing was published, "
            "let this user read it"
        )


@dataclass(eq=False)
class ExportsChanged(BufdirError):
    """Export files kept changing while they were read."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"exports changed while they were read: {', '.join(self.files)}; nothing was "
            "published, run again once they are written to their end"
        )


@dataclass(eq=False)
class RunFailed(BufdirError):
    """One computation of one cell that came to no version; nothing published was touched."""

    snapshot_id: str
    problem: str

    def __str__(self) -> str:
        return f"the run of {self.snapshot_id} failed: {self.problem}"


@dataclass(eq=False)
class LedgerBroken(BufdirError):
    """The rows that were read are not all accounted for; nothing is published from that."""

    where: str
    read: int
    accounted: int

    def __str__(self) -> str:
        return (
            f"the ledger of {self.where} does not add up: {self.read:,} rows read, "
            f"{self.accounted:,} accounted for; nothing was published, report this as a fault"
        )


@dataclass(eq=False)
class StoreUnusable(BufdirError):
    """The catalog can't be read or written at the moment; what it holds is whole."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file} can't be used: {self.problem}; see that there is room and write access"


@dataclass(eq=False)
class StoreDamaged(BufdirError):
    """A snapshot file or the catalog is not what was written."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file} is damaged: {self.problem}"
