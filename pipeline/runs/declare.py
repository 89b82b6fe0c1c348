"""Declarations of operators and their withdrawal: exports gone on purpose, falls that are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wcmatch import glob

from pipeline.errors import InvalidValue
from pipeline.model import versions
from pipeline.model.audit import Act
from pipeline.model.blocked import remedy
from pipeline.model.states import Reason, Retirement
from pipeline.runs import export_changes
from pipeline.storage import blocked_cells, declarations, nightly_record
from pipeline.storage.actors import local_user
from pipeline.storage.declarations import AcceptedFall, RetiredExport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pipeline.model.blocked import BlockedCell
    from pipeline.runs.context import RunContext
    from pipeline.storage.catalog import Catalog

_FOLDER = "exports/"


@dataclass(frozen=True, slots=True)
class Retired:
    """The exports about which something was declared, and the cells that wait for it."""

    exports: Sequence[str]
    retirement: Retirement | None
    """The declaration; None where it was taken back."""
    blocked: Sequence[BlockedCell]
    """The cells that were blocked because of these exports."""


def retire(
    context: RunContext, patterns: Iterable[str], retirement: Retirement, note: str = ""
) -> Retired:
    """Declare exports that are gone to be gone on purpose.

    Args:
        context: The catalog, the location of the exports and the clock.
        patterns: Names below the exports, folders, or patterns such as `2023/**`.
        retirement: The meaning of their absence.
        note: The reason, for later readers.

    Raises:
        InvalidValue: A pattern fits no export that is gone.
        ExportsMissing, ExportsUnreadable, ExportsUnreachable: The exports can't be listed.
    """
    record = nightly_record.read(context.catalog) or nightly_record.EMPTY
    selection = context.select(context.location.list_files())
    present = {file.name for file in selection.exports}
    gone = {*export_changes.gone(record, selection), *_missed(context.catalog)} - present
    names: list[str] = []
    for pattern in patterns:
        found = _matching(pattern, gone)
        if not found:
            is_there = bool(_matching(pattern, present))
            problem = (
                "it is among the exports; only one that is gone can be retired"
                if is_there
                else "no nightly run has read such an export that is gone; bufdir status names "
                "those that are missed"
            )
            raise InvalidValue("FILE", pattern, problem)
        names += found
    names = list(dict.fromkeys(names))
    now, by = context.clock(), local_user()
    declared = [RetiredExport(name, retirement, now, by, note) for name in names]
    with context.catalog.transaction():
        declarations.retire(context.catalog, declared)
        for name in names:
            context.catalog.record(Act.RETIRE, f"{name} ({retirement})")
    return Retired(names, retirement, _blocked_by(context.catalog, names))


def unretire(catalog: Catalog, patterns: Iterable[str]) -> Retired:
    """Take such declarations back.

    Raises:
        InvalidValue: A pattern fits no export that was retired.
    """
    retired = declarations.retired(catalog)
    names: list[str] = []
    for pattern in patterns:
        found = _matching(pattern, retired)
        if not found:
            raise InvalidValue("FILE", pattern, "no such export is retired")
        names += found
    with catalog.transaction():
        declarations.unretire(catalog, names)
        for name in names:
            catalog.record(Act.UNRETIRE, name)
    return Retired(names, None, ())


def accept(
    catalog: Catalog, ids: Iterable[str], now: datetime, note: str = "", *, keep: bool = False
) -> Sequence[BlockedCell]:
    """Declare the falls of blocked snapshots to be meant; the next run of each computes it.

    Args:
        catalog: The catalog.
        ids: The snapshots.
        now: The present.
        note: The reason, for later readers.
        keep: Never publish the falls: the snapshots are retained from now on, not blocked.

    Raises:
        InvalidValue: A snapshot is not blocked, or not because of a fall that can be accepted.
        SnapshotNotFound: There is no such snapshot.
    """
    cells: list[tuple[int, BlockedCell]] = []
    for snapshot_id in dict.fromkeys(ids):
        entry = catalog.get(snapshot_id)
        cell = blocked_cells.find(catalog, entry.org_id, entry.reporting_period_id)
        if cell is None:
            raise InvalidValue("ID", snapshot_id, "it is not blocked; bufdir status lists those")
        if cell.reason is not Reason.SHRUNK or cell.id is None:
            problem = f"it is blocked for another reason; {remedy([cell])}"
            raise InvalidValue("ID", snapshot_id, problem)
        cells.append((entry.number, cell))
    by = local_user()
    falls = [AcceptedFall(number, cell.rows_now, keep, now, by, note) for number, cell in cells]
    with catalog.transaction():
        declarations.accept(catalog, falls)
        for _, cell in cells:
            catalog.record(Act.ACCEPT, f"{cell.id} (keep)" if keep else str(cell.id))
        if keep:
            blocked_cells.write(catalog, [], [cell.key for _, cell in cells])
    return [cell for _, cell in cells]


def unaccept(catalog: Catalog, ids: Iterable[str]) -> Sequence[str]:
    """Take such declarations back, where no run has computed the snapshot since.

    Raises:
        InvalidValue: A fall was not accepted, or is published by now.
    """
    numbers = {versions.snapshot_number(one): one for one in ids}
    accepted = declarations.accepted(catalog)
    for number, snapshot_id in numbers.items():
        if number not in accepted:
            problem = "no fall of it is accepted, or it is published by now"
            raise InvalidValue("ID", snapshot_id, problem)
    with catalog.transaction():
        declarations.unaccept(catalog, numbers)
        for snapshot_id in numbers.values():
            catalog.record(Act.UNACCEPT, snapshot_id)
    return list(numbers.values())


def _matching(pattern: str, names: Iterable[str]) -> list[str]:
    wanted = pattern.removeprefix(_FOLDER)
    folder = wanted.rstrip("/") + "/"
    return sorted(
        name
        for name in names
        if name == wanted
        or name.startswith(folder)
        or glob.globmatch(name, wanted, flags=glob.GLOBSTAR | glob.FORCEUNIX | glob.CASE)
    )


def _missed(catalog: Catalog) -> Iterable[str]:
    """Name the exports that block snapshots; after the catalog was lost, no record has them."""
    for cell in blocked_cells.read(catalog):
        if cell.reason is Reason.GONE:
            yield from cell.exports


def _blocked_by(catalog: Catalog, names: Iterable[str]) -> Sequence[BlockedCell]:
    wanted = set(names)
    return [
        cell
        for cell in blocked_cells.read(catalog)
        if cell.reason is Reason.GONE and wanted.intersection(cell.exports)
    ]
