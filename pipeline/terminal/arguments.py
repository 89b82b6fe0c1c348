"""Arguments that several commands take, each with its help and what it can be completed to."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline.errors import BufdirError

if TYPE_CHECKING:
    from pipeline.terminal.reporter import Reporter

HERE: Final = Path("data")
"""The data folder where none is named."""


def _note_folder(context: typer.Context, data: Path) -> Path:
    """EventSink the journal where the traceback of a fault may be kept."""
    journal: Reporter = context.obj
    journal.data = data
    return data


def ids_of_catalog(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """What an id can be completed to, with what it is the id of."""
    from pipeline.storage import catalog as index  # noqa: PLC0415 (only the tab key needs it)

    # While the tab key asks, what stands before the command has not been handed on to it.
    own: Path = context.params.get("data") or HERE
    data = own if own != HERE else context.find_root().params["data"]
    if not (data / index.FILE).exists():
        return []
    try:
        with index.Catalog.open(data) as catalog:
            entries = catalog.entries().values()
    except (BufdirError, sqlite3.Error):
        return []  # whoever presses the tab key can't use an error
    return [
        (entry.id, f"{entry.org_id} in {entry.reporting_period_id}")
        for entry in entries
        if entry.id.startswith(incomplete)
    ]


Data = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder with everything in it; may stand before the command too.",
        exists=True,
        file_okay=False,
        callback=_note_folder,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="Such as agg-001.", autocompletion=ids_of_catalog)
]
