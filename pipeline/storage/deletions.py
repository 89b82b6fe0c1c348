"""Deletions in the catalog: snapshots that were deleted on purpose, and their way back.

A deleted snapshot is in no table of snapshots, so no read finds it. Its files stay until `remove`,
and its cell is not computed by itself while it has no other snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pipeline.model import versions
from pipeline.model.audit import Act
from pipeline.model.deletions import Deletion
from pipeline.storage import (
    deletion_markers,
    file_digests,
    followed_exports,
    nightly_record,
    version_files,
)
from pipeline.storage.database import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipeline.model.versions import Version
    from pipeline.storage.catalog import Catalog
    from pipeline.storage.database import Database
    from pipeline.storage.entries import Entry


def delete(catalog: Catalog, snapshot_id: str, now: datetime, by: str) -> Deletion:
    """Take a snapshot out of every read, in one transaction; its files stay.

    Args:
        catalog: The catalog.
        snapshot_id: The snapshot.
        now: The present.
        by: The name of who deletes it.

    Raises:
        InvalidValue: The id is invalid.
        SnapshotNotFound: No snapshot has this id.
    """
    number = None
    try:
        with catalog.transaction():
            deletion = _deletion_of(catalog.get(snapshot_id), now, by)
            _delete(catalog, deletion)
            cell = f"{deletion.org_id} in {deletion.reporting_period_id}"
            catalog.record(Act.DELETE, f"{deletion.id}: {cell}")
            number = versions.snapshot_number(snapshot_id)
            deletion_markers.write(catalog.data, deletion)
    except BaseException:
        if number is not None:  # the transaction is rolled back, so the marker must go, too
            deletion_markers.remove(catalog.data, number)
        raise
    return deletion


def _deletion_of(entry: Entry, now: datetime, by: str) -> Deletion:
    return Deletion(
        id=entry.id,
        org_id=entry.org_id,
        reporting_period_id=entry.reporting_period_id,
        version=entry.version,
        created_at=entry.created_at,
        deleted_at=now.replace(microsecond=0),
        deleted_by=by,
    )


def _delete(catalog: Catalog, deletion: Deletion) -> None:
    """Delete the entry of a snapshot, its queued run, and what is listed of its cell."""
    number = versions.snapshot_number(deletion.id)
    add(catalog, deletion)
    catalog.execute("DELETE FROM snapshots WHERE number = ?", (number,))
    catalog.execute(
        "DELETE FROM blocked_cells WHERE org_id = ? AND reporting_period_id = ?", deletion.key
    )
    catalog.execute(
        "UPDATE runs SET state = 'failed', error = 'its snapshot was deleted' "
        "WHERE number = ? AND state = 'queued'",
        (number,),
    )


def undelete(catalog: Catalog, deletion: Deletion, version: Version | None) -> None:
    """Publish a deleted snapshot again, with the version that was current.

    The marker must be removed once the transaction around this call has ended.

    Args:
        catalog: The catalog; the cell has no other snapshot.
        deletion: The deletion, whose files are still there.
        version: The version from its file; None where the snapshot had none.
    """
    number = versions.snapshot_number(deletion.id)
    with catalog.transaction():
        catalog.execute("DELETE FROM deletions WHERE number = ?", (number,))
        if version is None:
            catalog.restore_failed(deletion)
        else:
            catalog.restore(version)
        nightly_record.void(catalog)


def remove(catalog: Catalog, deletion: Deletion, now: datetime) -> None:
    """Remove the files of a deleted snapshot for good; its id is never given out again.

    The deletion itself stays, so that no nightly run computes the cell, while no other snapshot and
    no later deletion of the cell does the same.
    """
    number = versions.snapshot_number(deletion.id)
    with catalog.transaction():
        catalog.execute("DELETE FROM accepted_falls WHERE number = ?", (number,))
        followed_exports.delete(catalog, number)
        file_digests.delete_all_of(catalog, number)
        is_needed = by_cell(catalog).get(deletion.key) == deletion
        if is_needed:
            removed = msgspec.structs.replace(deletion, removed_at=now.replace(microsecond=0))
            add(catalog, removed)
            deletion_markers.write(catalog.data, removed)
        else:
            catalog.execute("DELETE FROM deletions WHERE number = ?", (number,))
    version_files.remove_versions(catalog.data, number)
    if not is_needed:
        deletion_markers.remove(catalog.data, number)


def add(catalog: Database, deletion: Deletion) -> None:
    """Write a deletion into the catalog, in the place of an earlier one of the same id."""
    catalog.execute(
        "INSERT OR REPLACE INTO deletions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(versions.snapshot_number(deletion.id), *deletion.key, deletion.version),
            *(text_of(deletion.created_at), text_of(deletion.deleted_at), deletion.deleted_by),
            text_of(deletion.removed_at) if deletion.removed_at else None,
        ),
    )


def read(catalog: Database) -> Sequence[Deletion]:
    """Read all deletions, by id."""
    rows = [dict(row) for row in catalog.execute("SELECT * FROM deletions ORDER BY number")]
    return [
        catalog.decode({"id": versions.snapshot_id(row.pop("number")), **row}, Deletion)
        for row in rows
    ]


def find(catalog: Database, snapshot_id: str) -> Deletion | None:
    """Read the deletion of a snapshot, where it is deleted."""
    return next((one for one in read(catalog) if one.id == snapshot_id), None)


def by_cell(catalog: Database) -> Mapping[tuple[str, str], Deletion]:
    """Read the last deletion of each cell that no run may compute unless it is asked for."""
    rows = catalog.execute(
        "SELECT number FROM deletions AS d WHERE EXISTS (SELECT 1 FROM snapshots AS s WHERE "
        "s.org_id = d.org_id AND s.reporting_period_id = d.reporting_period_id)"
    )
    made_again = {versions.snapshot_id(row["number"]) for row in rows}
    return {one.key: one for one in read(catalog) if one.id not in made_again}


def kept_versions(catalog: Database) -> Mapping[int, int]:
    """Read the version that was current of each deleted snapshot whose files are kept."""
    return {
        versions.snapshot_number(one.id): one.version
        for one in read(catalog)
        if one.removed_at is None
    }
