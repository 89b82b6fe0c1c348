"""Where all goes that is no result: sentences for people, or one JSON line an event.

Owns what stderr is told and where the traceback of a fault is kept. Never prints one.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from pipeline.settings import Settings

PROGRAM: Final = "bufdir"
FAULTS: Final = "faults"
"""The folder in the data folder that keeps tracebacks."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something the operator should know besides the result."""

    event: str
    sentence: str
    is_failure: bool = False


@dataclass(slots=True)
class Reporter:
    """The notes and events of one command."""

    data: Path | None = None
    """The data folder, once it is known."""
    lines: FilteringBoundLogger | None = None
    """The log in JSON, once the settings have asked for it."""
    has_settings: bool = False
    """Whether it is known what the settings ask for."""

    def follow(self, settings: Settings) -> None:
        """Write from here on as the settings say."""
        self.has_settings = True
        if settings.log.format == "json":
            from pipeline import logs  # noqa: PLC0415 (most nights write text, and need not wait for it)

            self.lines = logs.configure("json")

    def say(self, note: Diagnostic) -> None:
        """EventSink the operator one thing."""
        self._find_settings()
        if self.lines is None:
            typer.echo(f"{PROGRAM}: {note.sentence}", err=True)
        else:
            write = self.lines.error if note.is_failure else self.lines.warning
            write(note.event, detail=note.sentence)

    def say_fault(self, error: BaseException, now: datetime) -> None:
        """EventSink of a fault of ours, and keep its traceback where it can be found."""
        self._find_settings()
        sentence = f"this is a fault of ours ({type(error).__name__})"
        if self.lines is None:
            kept = _keep_traceback(error, self.data, now)
            self.say(Diagnostic("fault", f"{sentence}; report it with the traceback in {kept}"))
        else:
            self.lines.error("fault", detail=sentence, exc_info=error)

    def _find_settings(self) -> None:
        """Commands that only read the catalog need no settings before there is something to say."""
        if self.has_settings or self.data is None:
            return
        self.has_settings = True
        from pipeline import settings  # noqa: PLC0415 (as above)

        with suppress(InvalidSetting):
            self.follow(settings.load(self.data))


def _keep_traceback(error: BaseException, data: Path | None, now: datetime) -> Path:
    """Write the traceback into the data folder, or where that can't be, to a temporary file."""
    text = "".join(traceback.format_exception(error))
    name = f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    if data is not None and data.is_dir():
        try:
            path = data / FAULTS / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        except OSError:
            pass  # a full disk may be the very cause
        else:
            return path
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{PROGRAM}-", suffix=f"-{name}", delete=False
    ) as file:
        file.write(text)
    return Path(file.name)
