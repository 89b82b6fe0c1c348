"""The reads of the catalog: one snapshot, a page of them, their order, all of them."""

from __future__ import annotations

from array import array
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import SnapshotNotFound
from pipeline.model import versions
from pipeline.model.states import SnapshotStatus
from pipeline.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.listing import Listing
    from pipeline.model.versions import ListedVersion, Version

AMONG: Final = "number IN (SELECT value FROM json_each(?))"
"""A condition over any count of numbers, see `json_of`: SQLite bounds the count of parameters."""
LISTED: Final = (
    *("refreshed_at", "digest", "rows", "participations", "seconds", "activities"),
    *("row_digest", "terms_digest"),
)
"""The columns of a snapshot whose values are those of its current version, see `listed`."""
_COLUMN: Final = {"participant_count": "participations"}
"""The column that lists are sorted by, where it has another name than the order."""


class Entry(msgspec.Struct, frozen=True):
    """A snapshot as the catalog knows it; the numbers are None while there is no version."""

    number: int
    org_id: str
    reporting_period_id: str
    status: SnapshotStatus
    version: int
    """The current version; 0 while there is none."""
    created_at: datetime
    refreshed_at: datetime | None
    digest: str | None
    rows: int | None
    """The rows of the cell, counted or not."""
    participations: int | None
    seconds: int | None
    activities: int | None
    error: str | None
    row_digest: str | None
    terms_digest: str | None
    inputs: str | None
    """The digest of terms and export files by which a run last decided this snapshot."""

    @property
    def id(self) -> str:
        """The snapshot's id."""
        return versions.snapshot_id(self.number)

    def agrees_with(self, version: ListedVersion) -> bool:
        """Return whether it lists what its current version has."""
        own = (self.id, self.org_id, self.reporting_period_id, self.version, self.created_at)
        return own == (
            *(version.id, version.org_id, version.reporting_period_id),
            *(version.version, version.created_at),
        ) and listed(version) == tuple(getattr(self, name) for name in LISTED)


def listed(version: Version | ListedVersion) -> tuple[datetime | str | int | None, ...]:
    """Give the values of the columns `LISTED`, which are those of the current version."""
    total = version.total
    return (
        *(version.refreshed_at, version.digest, sum(version.ledger.values())),
        *(total["participations"], total["seconds"], total["activities"]),
        *(version.row_digest, version.terms_digest),
    )


class EntryReads(Database):
    """Reads that change nothing; the numbers of all are as of one moment.

    Reads by id, by cell and in lists see only the organisations that are visible. A snapshot of
    another one is missing to them, by the same query.
    """

    visible: frozenset[str] | None = None
    """The organisations that are visible; None for all."""

    @property
    def _wall(self) -> dict[str, str | int]:
        """The value in `_snapshots`, by its name."""
        return {} if self.visible is None else {"visible": json_of(sorted(self.visible))}

    @property
    def _snapshots(self) -> str:
        """The table of visible snapshots.

        Joined in this order, a foreign snapshot costs the same look-up as a missing one.
        """
        if self.visible is None:
            return "snapshots"
        return "json_each(:visible) AS seen CROSS JOIN snapshots ON org_id = seen.value"

    def get(self, snapshot_id: str) -> Entry:
        """Read the snapshot with this id.

        Raises:
            InvalidValue: The id can't be one.
            SnapshotNotFound: There is none, or no longer.
        """
        number = versions.snapshot_number(snapshot_id)
        found = self._entries(
            f"SELECT snapshots.* FROM {self._snapshots} WHERE number = :number",
            {"number": number, **self._wall},
        )
        # Another way of writing the same number, agg-0001, is the id of nothing.
        if not found or versions.snapshot_id(number) != snapshot_id:
            raise SnapshotNotFound(snapshot_id)
        return found[0]

    def of_cell(self, org_id: str, period_id: str) -> Entry | None:
        """Read the snapshot of a cell, where there is one."""
        found = self._entries(
            f"SELECT snapshots.* FROM {self._snapshots} WHERE org_id = :org_id "
            "AND reporting_period_id = :period_id",
            {"org_id": org_id, "period_id": period_id, **self._wall},
        )
        return found[0] if found else None

    def list(self, listing: Listing) -> tuple[Sequence[Entry], int]:
        """Read one page of snapshots, and how many there are on all pages, as of one moment."""
        where, given, order = self._listed(listing)
        page: dict[str, str | int] = {
            "limit": -1 if listing.limit is None else listing.limit,
            "offset": listing.offset,
        }
        with self.transaction("DEFERRED"):
            ((total,),) = self.execute(
                f"SELECT count(*) FROM {self._snapshots} WHERE true{where}", given
            )
            entries = self._entries(
                f"SELECT snapshots.* FROM {self._snapshots} WHERE true{where} "
                f"ORDER BY {order}, number LIMIT :limit OFFSET :offset",
                given | page,
            )
        return entries, int(total)

    def order(self, listing: Listing) -> array[int]:
        """Read the numbers of all snapshots that are listed, in order."""
        where, given, order = self._listed(listing)
        rows = self.execute(
            f"SELECT number FROM {self._snapshots} WHERE true{where} ORDER BY {order}, number",
            given,
        )
        return array("q", (number for (number,) in rows))

    def at(self, numbers: Sequence[int]) -> Sequence[Entry]:
        """Read the snapshots with these numbers, in this order."""
        entries = self._entries(
            f"SELECT snapshots.* FROM {self._snapshots} "
            "WHERE number IN (SELECT value FROM json_each(:numbers))",
            {"numbers": json_of(numbers), **self._wall},
        )
        found = {entry.number: entry for entry in entries}
        return [found[number] for number in numbers]

    def entries(self) -> Mapping[tuple[str, str], Entry]:
        """Read all snapshots, by organisation and period."""
        entries = self._entries("SELECT * FROM snapshots ORDER BY number")
        return {(entry.org_id, entry.reporting_period_id): entry for entry in entries}

    def current_versions(self) -> Mapping[int, int]:
        """Read the current version of every snapshot; 0 where there is none yet."""
        rows = self.execute("SELECT number, version FROM snapshots")
        return {row["number"]: row["version"] for row in rows}

    def has_published(self, org_id: str) -> bool:
        """Return whether any snapshot of an organisation has a version."""
        return bool(
            self.execute(
                "SELECT 1 FROM snapshots WHERE org_id = ? AND version > 0 LIMIT 1", (org_id,)
            )
        )

    def all_follow_from(self, inputs: str) -> bool:
        """Return whether a run decided every published snapshot by these inputs.

        Args:
            inputs: A digest of terms and export files.
        """
        others = self.execute(
            "SELECT 1 FROM snapshots WHERE version > 0 AND inputs IS NOT ? "
            "AND (org_id, reporting_period_id) NOT IN "
            "(SELECT org_id, reporting_period_id FROM blocked_cells) LIMIT 1",
            (inputs,),
        )
        return not others

    def _listed(self, listing: Listing) -> tuple[str, dict[str, str | int], str]:
        """Write the condition of a list, its values by name, and its order."""
        filters = {
            "org_id": listing.org_id,
            "reporting_period_id": listing.reporting_period_id,
            "status": listing.status,
        }
        given: dict[str, str | int] = {
            name: value for name, value in filters.items() if value is not None
        }
        where = "".join(f" AND {name} = :{name}" for name in given)
        given |= self._wall
        name = listing.sort.removeprefix("-")
        return (
            where,
            given,
            f"{_COLUMN.get(name, name)} {'ASC' if name == listing.sort else 'DESC'}",
        )

    def _entries(
        self, sql: str, params: Sequence[object] | Mapping[str, object] = ()
    ) -> Sequence[Entry]:
        return [self.decode(row, Entry) for row in self.execute(sql, params)]


def json_of(values: Iterable[int] | Iterable[str]) -> str:
    """Write values as JSON, for `AMONG`."""
    return msgspec.json.encode(list(values)).decode()
