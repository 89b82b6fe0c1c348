"""Form of the log on stderr, one line an event, as text or as JSON; and what receives events."""

from __future__ import annotations

import logging.config
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TextIO, cast

import structlog

from pipeline import redaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import TextIOBase

    from structlog.typing import EventDict, ExcInfo, FilteringBoundLogger, Processor

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning"]
"""The least severe of our own events that is written."""

_TRACEBACKS: Final = frozenset({"exc_info", "exception", "stack"})
_QUOTED: Final = re.compile(r"""[ \t=\r\n"']""")
_EVENT_WIDTH: Final = 30


class EventSink(Protocol):
    """The receiver of events: a log, or a progress bar."""

    def __call__(self, event: str, **fields: object) -> None:
        """Take one event."""


def configure(form: Format, level: Level) -> FilteringBoundLogger:
    """Set the log of this process, for our own events and those of libraries."""
    logging.config.dictConfig(libraries(form))
    structlog.configure(**events(form, level))
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def to(file: TextIOBase, form: Format, level: Level) -> FilteringBoundLogger:
    """Make a logger of our own events that writes the same lines to this file."""
    writer = structlog.WriteLogger(cast("TextIO", file))
    logger: FilteringBoundLogger = structlog.wrap_logger(writer, **_rendering(form, level))
    return logger.bind()  # once, not at every line


def events(form: Format, level: Level) -> dict[str, Any]:
    """Configure our own events on stderr, as arguments of `structlog.configure`."""
    return {
        **_rendering(form, level),
        "logger_factory": structlog.WriteLoggerFactory(sys.stderr),
    }


def _rendering(form: Format, level: Level) -> dict[str, Any]:
    """Configure how events become lines, whichever file they go to."""
    return {
        "processors": _processors(form),
        "wrapper_class": structlog.make_filtering_bound_logger(level),
    }


def libraries(form: Format) -> dict[str, Any]:
    """Configure the warnings and errors of libraries, as `logging.config.dictConfig` takes it."""
    handler = {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    logger = {"handlers": ["console"], "propagate": False}
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *_processors(form),
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        # Litestar would add a handler of this name, with a thread of its own, where it is missing.
        "handlers": {"console": handler, "queue_listener": handler},
        "loggers": {"_granian": logger, "litestar": logger},
        "root": {"handlers": ["console"], "level": "WARNING"},
    }


def _processors(form: Format) -> Sequence[Processor]:
    if form == "json":
        return (
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_traceback),
            structlog.processors.JSONRenderer(),
        )
    return (_line,)


def _traceback(exc_info: ExcInfo) -> str:
    """Format an exception without values of exports."""
    return redaction.traceback_of(exc_info[1]).rstrip("\n")


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    out.write("\n" + _traceback(exc_info))


_CONSOLE: Final = structlog.dev.ConsoleRenderer(
    colors=False, sort_keys=False, exception_formatter=_write_traceback
)


def _line(logger: object, level: str, event: EventDict) -> str:
    """Render an event as structlog's console renderer does, which is slower than a read."""
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if not _TRACEBACKS.isdisjoint(event):
        return _CONSOLE(logger, level, {"timestamp": timestamp, "level": level, **event})
    name = event.pop("event")
    if not event:
        return f"{timestamp} [{level:<9}] {name}"
    fields = " ".join([f"{field}={_shown(value)}" for field, value in event.items()])
    return f"{timestamp} [{level:<9}] {name:<{_EVENT_WIDTH}} {fields}"


def _shown(value: object) -> str:
    is_plain = isinstance(value, int | float) or (
        isinstance(value, str) and value.isprintable() and _QUOTED.search(value) is None
    )
    return str(value) if is_plain else repr(value)
