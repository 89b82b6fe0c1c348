"""Completion of snapshot ids from the catalog, for the tab key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 (Typer reads annotations when the program runs)

from pipeline.errors import BufdirError
from pipeline.terminal import data_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.model.deletions import Deletion
    from pipeline.storage.catalog import Catalog, Entry


def ids_of_catalog(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """List the ids that begin so, each with its organisation and period; no error is shown."""
    return _ids(context, incomplete, lambda catalog: catalog.entries().values())


def deleted_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """List the ids of deleted snapshots that begin so, as `ids_of_catalog` does."""
    from pipeline.storage import deletions

    return _ids(context, incomplete, deletions.read)


def _ids(
    context: typer.Context,
    incomplete: str,
    read: Callable[[Catalog], Iterable[Entry | Deletion]],
) -> list[tuple[str, str]]:
    from pipeline.storage import catalog as index

    # While the tab key asks, options before the command are not yet passed on to it.
    given: Path = context.params.get("data") or data_folder.HERE
    if given == data_folder.HERE:
        given = context.find_root().params.get("data") or data_folder.find(Path.cwd()).path
    if not (given / index.FILE).exists():
        return []
    try:
        with index.Catalog.open_read_only(given) as catalog:
            found = list(read(catalog))
    except BufdirError:
        return []
    return [
        (one.id, f"{one.org_id} in {one.reporting_period_id}")
        for one in found
        if one.id.startswith(incomplete)
    ]
