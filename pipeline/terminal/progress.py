"""How far the work is: a bar on stderr, only where that is a terminal, and gone at the end."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.terminal.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.runs.context import EventSink
    from pipeline.terminal.reporter import Reporter


_STDERR: Final = 2


class Advance(Protocol):
    """Moves a bar; a total or a title that is left out stays as it is."""

    def __call__(self, by: int, *, total: int | None = None, title: str | None = None) -> None:
        """Say that so much more is done."""


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Advance]:
    """A bar while the block lasts; without a total it only shows that something goes on."""
    if not os.isatty(_STDERR):
        yield _nowhere
        return
    from rich.console import Console  # noqa: PLC0415 (cron's nights have no terminal)
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)

        def advance(by: int, *, total: int | None = None, title: str | None = None) -> None:
            is_stale = title is not None  # shown at once, or the next would hide it
            progress.update(task, advance=by, total=total, description=title, refresh=is_stale)

        yield advance


def _nowhere(by: int, *, total: int | None = None, title: str | None = None) -> None:
    """Nobody looks."""


@contextmanager
def telling(journal: Reporter) -> Iterator[EventSink]:
    """Where a run's events go: into the log in JSON, or else onto a bar."""
    if journal.lines is not None:
        yield journal.lines.info
        return
    with bar("Reading exports") as advance:

        def tell(event: str, **fields: object) -> None:
            match fields:
                case {"done": int(done), "total": int(total)}:
                    advance(done, total=total, title="Publishing snapshots")
                case {"snapshots": int()}:
                    pass
                case {"rows": int(rows)}:
                    advance(0, title=f"Counting {counted(rows, 'row')}")
                case _:
                    advance(0, title=event.replace("_", " ").capitalize())

        yield tell
