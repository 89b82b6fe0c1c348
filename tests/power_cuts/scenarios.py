"""The scenarios: a data folder, and what is done in it while the power is cut."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pipeline import settings
from pipeline.model.access import Grant, Role
from pipeline.runs import access, lifecycle
from pipeline.storage.catalog import Catalog
from tests.given import NOW, SUMMER, DataFolder, people, row
from tests.storage import released

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTINGS: Final = """
[[sources]]
name = "tables"
files = "*.csv"
format = "csv"
csv = { dates = "%Y-%m-%d" }

[[sources]]
name = "system"
files = "**/*.parquet"
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A data folder, and a command in it."""

    prepare: Callable[[DataFolder], None]
    """Makes the data folder."""
    command: tuple[str, ...]
    """The arguments of the command; see `zygote.Request`."""
    repair: tuple[tuple[str, ...], ...] = ()
    """Commands that must follow before the next nightly run, because reads may be refused."""
    variables: Mapping[str, str] = field(default_factory=dict)


def first(folder: DataFolder) -> None:
    """Export two organisations, with rows to be left out and one that no cell has."""
    dirt = [row(participant_id="x", hours=-1.0), row(participant_id="y", org_id=None)]
    folder.export([*people(3), row(activity_id="s", started_at=SUMMER), *dirt], "a.parquet")
    folder.export(people(2, org_id="org-2"), "b.parquet")


def second(folder: DataFolder) -> None:
    """Publish what `first` exports."""
    first(folder)
    folder.nightly()


def grown(folder: DataFolder) -> None:
    """Export more people, and other rows to be left out, than are published."""
    second(folder)
    folder.export([*people(5), row(activity_id="s", hours=-2.0, started_at=SUMMER)], "c.parquet")


def fallen(folder: DataFolder) -> None:
    """Have a snapshot blocked, because its rows are gone."""
    folder.export(people(30))
    folder.export(people(20, org_id="org-2"), "b.parquet")
    folder.nightly()
    folder.export(people(5))
    folder.nightly()


def gone(folder: DataFolder) -> None:
    """Have a snapshot blocked, because its export is gone."""
    second(folder)
    (folder.data / "exports" / "b.parquet").unlink()
    folder.nightly()


def tables(folder: DataFolder) -> None:
    """Export as CSV, next to what is published, with a value that can't be read."""
    (folder.data / "bufdir.toml").write_text(SETTINGS, encoding="utf-8")
    folder.settings = settings.load(folder.data)
    second(folder)
    header = "org_id,activity_id,participant_id,bufdir_category,started_at,hours\n"
    rows = "org-1,a9,q1,ungdom,2024-11-05,2.5\norg-3,a9,q2,eldre,2024-11-05,many\n"
    (folder.data / "exports" / "t.csv").write_text(header + rows, encoding="utf-8")


def older(folder: DataFolder) -> None:
    """Have the data folder of release 0.1."""
    exports = folder.data / "exports"
    shutil.copytree(released.RELEASE / "exports", exports, dirs_exist_ok=True)
    ignored = shutil.ignore_patterns("exports")
    shutil.copytree(released.RELEASE, folder.data, dirs_exist_ok=True, ignore=ignored)


def damaged(folder: DataFolder) -> None:
    """Damage the catalog, so that only another file can take its place."""
    second(folder)
    path = folder.data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def many(folder: DataFolder) -> None:
    """Export so many organisations that their files are flushed together."""
    for name in ("org-1", "org-2"):
        folder.export([row(org_id=name)], f"{name}.parquet")
    folder.nightly()
    rows = [row(org_id=f"org-{number}", participant_id="q") for number in range(9)]
    dirt = [row(org_id=f"org-{number}", participant_id="x", hours=-1.0) for number in range(9)]
    folder.export([*rows, *dirt], "a.parquet")


def with_token(folder: DataFolder) -> None:
    """Publish, and make a token."""
    second(folder)
    with Catalog.open(folder.data) as catalog:
        access.create_token(catalog, Grant("kari", None, Role.WRITE, NOW, None))


def without_one(folder: DataFolder) -> None:
    """Publish, and delete a snapshot."""
    second(folder)
    with Catalog.open(folder.data) as catalog:
        lifecycle.delete(catalog, "agg-001", datetime.now(UTC), "local:kari")


QUARTER: Final = ("--period", "rp-2024-q4")
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "the first nightly run": Scenario(first, ("nightly",)),
    "a nightly run of more rows": Scenario(grown, ("nightly",)),
    "a nightly run of many snapshots": Scenario(many, ("nightly",)),
    "a nightly run that changes nothing": Scenario(second, ("nightly",)),
    "a full nightly run": Scenario(second, ("nightly", "--full")),
    "a first run by hand": Scenario(first, ("run", *QUARTER)),
    "a run by hand": Scenario(grown, ("run", *QUARTER)),
    "a forced run": Scenario(second, ("run", *QUARTER, "--force")),
    "a refresh by the API": Scenario(second, ("api", "refresh", "agg-001")),
    "a creation by the API": Scenario(first, ("api", "create", "org-2", "rp-2024")),
    "a token made": Scenario(second, ("token", "create", "kari", "--all", "--can", "write")),
    "a token revoked": Scenario(with_token, ("token", "revoke", "kari")),
    "an undeletion": Scenario(without_one, ("undelete", "agg-001")),
    "a deletion": Scenario(second, ("delete", "agg-001", "--yes")),
    "a migration": Scenario(older, ("nightly",)),
    "a reindexing": Scenario(second, ("reindex",)),
    "a reindexing of a damaged catalog": Scenario(damaged, ("reindex",), (("reindex",),)),
    "an accepted fall": Scenario(fallen, ("accept", "agg-001")),
    "an export retired": Scenario(gone, ("retire", "b.parquet", "--retract")),
    "an export retired and its numbers retained": Scenario(gone, ("retire", "b.parquet", "--keep")),
    "a conversion": Scenario(tables, ("nightly",)),
}
"""By name, each scenario: kill points are found and checked in the same way in all of them."""
