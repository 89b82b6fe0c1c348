"""Looking without touching: what a night would make of exports, and whether snapshots are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.engines import duckdb
from pipeline.errors import StoreDamaged
from pipeline.model.numbers import NO_NUMBERS
from pipeline.runs import compute
from pipeline.sources import exports
from pipeline.storage import version_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.model.cells import Breakdown, Cell
    from pipeline.model.numbers import Numbers
    from pipeline.model.versions import Version
    from pipeline.runs.compute import RunInputs
    from pipeline.runs.context import Work
    from pipeline.storage.catalog import Entry

EQUAL: Final = "equal"
COUNT_DISTINCT: Final = "different"
STALE: Final = "stale"
GONE: Final = "gone"
UNPUBLISHED: Final = "unpublished"
DAMAGED: Final = "damaged"
MISLISTED: Final = "mislisted"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What would become of one export."""

    name: str
    rows: int | None
    problem: str | None
    """Why it would be refused; None where it would be accepted."""
    ignored: Sequence[str]
    """Columns that mean nothing to us."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What would become of exports; their ledger is that of these files for themselves."""

    files: Sequence[CheckedFile]
    rows: int
    cells: int
    """Organisations and configured periods in which a row lies."""
    ledger: Mapping[str, int]
    """All rows by what would become of them."""
    unplaced: Mapping[str, int]
    """The rows among them that lie in no cell, by reason."""


def check(work: Work, paths: Sequence[Path] | None = None) -> Checked:
    """Judge the exports, or these files wherever they lie, and publish nothing.

    Raises:
        ExportsMissing: No files are named, and there is no exports folder.
    """
    if paths is None:
        gathered = compute.gather(work)
    else:
        gathered = compute.RunInputs(*compute.survey(work, _named(paths)))
    reading, judged = gathered.exports, gathered.judged
    accepted = [
        CheckedFile(export.file.name, export.rows, None, export.ignored)
        for export in reading.accepted
    ]
    refused = [
        CheckedFile(file.name, error.rows, str(error), ())
        for file, error in reading.refused.items()
    ]
    return Checked(
        files=sorted([*accepted, *refused], key=lambda file: file.name),
        rows=reading.rows,
        cells=sum(len(judged.contents(kind)) for kind in work.settings.periods),
        ledger=judged.ledger,
        unplaced=judged.unplaced,
    )


def _named(paths: Iterable[Path]) -> list[exports.File]:
    files = [exports.look_at(path, path.as_posix()) for path in paths]
    return sorted(files, key=lambda file: file.name)


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that the second engine gives otherwise."""

    name: str
    published: int
    recomputed: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether one snapshot's numbers are those that the second engine gives."""

    id: str
    org_id: str
    reporting_period_id: str
    verdict: str
    """`equal`; `different`: a fault of ours; `stale`: its exports or rules have changed since;
    `gone`: no export holds its rows any longer; `unpublished`: it has no version; `damaged`: its
    file can't be read; `mislisted`: the catalog lists other numbers than its file holds."""
    differences: Sequence[Difference] = ()


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of looking at snapshots again, and which exports that had to do without."""

    snapshots: Sequence[Verified]
    refused: Mapping[str, str]
    """Refused exports and why."""


def verify(work: Work, ids: Sequence[str] | None = None) -> Verification:
    """Recompute these snapshots, or all, on DuckDB, and compare every number.

    Raises:
        InvalidValue: This is no id.
        SnapshotNotFound: There is none of these.
        ExportsMissing: There is no exports folder.
    """
    entries = (
        list(work.catalog.entries().values())
        if ids is None
        else [work.catalog.get(id_) for id_ in dict.fromkeys(ids)]
    )
    published = [entry for entry in entries if entry.version]
    organisations = None if ids is None else {entry.org_id for entry in published}
    gathered = compute.gather(work, organisations)
    recomputed = _recompute(gathered, [compute.cell_of(entry) for entry in published])
    return Verification(
        [_verify(work, gathered, recomputed, entry) for entry in entries],
        gathered.exports.problems,
    )


def _recompute(gathered: RunInputs, cells: Sequence[Cell]) -> Mapping[Cell, Breakdown]:
    found: dict[Cell, Breakdown] = {}
    for kind in dict.fromkeys(cell.period.kind for cell in cells):
        of_kind = [cell for cell in cells if cell.period.kind == kind]
        found |= duckdb.breakdowns(gathered.judged.question, kind, of_kind)
    return found


def _verify(
    work: Work, gathered: RunInputs, recomputed: Mapping[Cell, Breakdown], entry: Entry
) -> Verified:
    cell = compute.cell_of(entry)
    verdict = UNPUBLISHED
    differences: tuple[Difference, ...] = ()
    if entry.version:
        content = gathered.judged.contents(cell.period.kind).get(cell, compute.NOTHING)
        current = compute.plan(work, entry, cell, content).digest
        try:
            version = version_files.read(work.data, entry.number, entry.version)
        except StoreDamaged:
            verdict = DAMAGED
        else:
            again = recomputed.get(cell, compute.zeros(gathered))
            differences = tuple(_differences(version, again))
            verdict = _verdict(version, content.rows, current, differences)
            if verdict != COUNT_DISTINCT and _listed(entry) != _numbers(version.total):
                verdict = MISLISTED
    return Verified(
        entry.id,
        entry.org_id,
        entry.reporting_period_id,
        verdict,
        differences if verdict == COUNT_DISTINCT else (),
    )


def _listed(entry: Entry) -> tuple[int | None, ...]:
    return entry.participations, entry.seconds, entry.activities


def _numbers(total: Numbers) -> tuple[int, ...]:
    return total.participations, total.seconds, total.activities


def _verdict(version: Version, rows: int, current: str, differences: Sequence[Difference]) -> str:
    if version.digest == current:
        return COUNT_DISTINCT if differences else EQUAL
    return STALE if rows else GONE


def _differences(version: Version, again: Breakdown) -> Iterable[Difference]:
    numbers = {"total": (version.total, again.total)} | {
        f"categories.{name}": (version.categories.get(name, NO_NUMBERS), share)
        for name, share in again.categories.items()
    }
    for name, (published, recomputed) in numbers.items():
        for metric in published.__struct_fields__:
            before, after = getattr(published, metric), getattr(recomputed, metric)
            if before != after:
                yield Difference(f"{name}.{metric}", before, after)
    for line, rows in again.ledger.items():
        if version.ledger.get(line, 0) != rows:
            yield Difference(f"ledger.{line}", version.ledger.get(line, 0), rows)
