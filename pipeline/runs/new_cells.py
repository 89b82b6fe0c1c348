"""Whether a request may start the first run of a cell, so that strangers can't fill the catalog."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline import settings
from pipeline.errors import BufdirError, OrganisationUnknown, TooManyFailed, TooManyOpenRuns
from pipeline.model import access
from pipeline.model.states import SnapshotStatus
from pipeline.runs import staleness
from pipeline.sources import locations
from pipeline.sources.selection import select
from pipeline.storage import nightly_record, run_queue, tokens

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.model.periods import Period
    from pipeline.storage.catalog import Catalog


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

    Raises:
        TooManyOpenRuns: As many runs are open as may be.
        TooManyFailed: As many first runs have failed.
    """
    entry = catalog.of_cell(org_id, period.id)
    if entry is not None and entry.status is not SnapshotStatus.FAILED:
        return
    if run_queue.count_open(catalog) >= most:
        raise TooManyOpenRuns(most)
    if entry is None and catalog.count_failed() >= most:
        raise TooManyFailed(most)
