"""Completion of snapshot ids from the catalog, for the tab key."""

from __future__ import annotations

from pathlib import Path

import typer  # noqa: TC002 (Typer reads annotations when the program runs)

from pipeline.errors import BufdirError
from pipeline.terminal import data_folder


def ids_of_catalog(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """List the ids that begin so, each with its organisation and period; no error is shown."""
    from pipeline.storage import catalog as index

    # While the tab key asks, options before the command are not yet passed on to it.
    given: Path = context.params.get("data") or data_folder.HERE
    if given == data_folder.HERE:
        given = context.find_root().params.get("data") or data_folder.find(Path.cwd()).path
    if not (given / index.FILE).exists():
        return []
    try:
        with index.Catalog.open_read_only(given) as catalog:
            entries = catalog.entries().values()
    except BufdirError:
        return []
    return [
        (entry.id, f"{entry.org_id} in {entry.reporting_period_id}")
        for entry in entries
        if entry.id.startswith(incomplete)
    ]
