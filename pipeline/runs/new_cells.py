"""Whether a request may start the first run of a cell, so that strangers can't fill the catalog."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline import settings
from pipeline.errors import BufdirError, OrganisationUnknown, TooManyFailed, TooManyOpenRuns
from pipeline.model import access
from pipeline.model.states import SnapshotStatus
from pipeline.runs import staleness
from pipeline.sources import locations
from pipeline.sources.selection import select
from pipeline.storage import caller_counts, nightly_record, run_queue, tokens

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.model.periods import Period
    from pipeline.storage.catalog import Catalog

_CALLERS: Final = 10
"""So many callers may have as many open runs as one may have, at the same time."""


def check_known(catalog: Catalog, org_id: str, now: datetime) -> None:
    """Check that an organisation can have rows; administrators may name any.

    Known are organisations with a published snapshot, those that an export named, and those that
    a valid token names. While exports or settings have changed since the last nightly run, any
    organisation may be new in them.

    Raises:
        OrganisationUnknown: No export names it.
    """
    if catalog.caller.role is access.Role.ADMIN or catalog.has_published(org_id):
        return
    if org_id in access.named_organisations(tokens.grants(catalog), now):
        return
    record = nightly_record.read(catalog)
    if record is None:
        return
    if any(org_id in file.organisations for file in (record.files | record.gone).values()):
        return
    if _inputs_of_now(catalog) == record.inputs:
        raise OrganisationUnknown(org_id)


def _inputs_of_now(catalog: Catalog) -> str | None:
    """Sum up the settings and the state of every export; None where they can't be read."""
    with suppress(BufdirError):
        chosen = settings.load(catalog.data)
        listed = locations.of(catalog.data, chosen.exports.location).list_files()
        return staleness.inputs_digest(chosen, select(listed, chosen.every_source).exports)
    return None


def check_room(catalog: Catalog, org_id: str, period: Period, most: int) -> None:
    """Check that one more first run may be queued; a cell whose run is open needs no room.

    Each caller has room of its own, so no caller takes that of others or learns of them. Failed
    snapshots stay until they are deleted, so they count for their own caller only.

    Args:
        catalog: The catalog, opened on behalf of the caller.
        org_id: The organisation of the cell.
        period: Its period.
        most: The most open runs of one caller, and the most of its cells that have failed.

    Raises:
        TooManyOpenRuns: As many runs are open as may be, of this caller or of all.
        TooManyFailed: As many first runs of this caller have failed.
    """
    entry = catalog.of_cell(org_id, period.id)
    if entry is not None and entry.status is not SnapshotStatus.FAILED:
        return
    if caller_counts.open_runs(catalog) >= most:
        raise TooManyOpenRuns(most)
    if run_queue.count_open(catalog) >= _CALLERS * most:
        raise TooManyOpenRuns(None)
    if entry is None and caller_counts.failed(catalog) >= most:
        raise TooManyFailed(most)
