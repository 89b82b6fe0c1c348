"""How the server and its children log: to stderr, one line an event, as text or as JSON."""

from __future__ import annotations

import logging.config
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import TextIOBase

    from structlog.typing import EventDict, FilteringBoundLogger, Processor

Format = Literal["text", "json"]

_FAULTS: Final = frozenset({"exc_info", "exception", "stack"})
_QUOTED: Final = re.compile(r"""[ \t=\r\n"']""")
_EVENT_WIDTH: Final = 30


def configure(form: Format) -> FilteringBoundLogger:
    """Log like this from here on, in this process: our own events and those of libraries."""
    logging.config.dictConfig(libraries(form))
    structlog.configure(**events(form))
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def to(file: TextIOBase, form: Format) -> FilteringBoundLogger:
    """A logger of our own events that writes the same lines to this file."""
    writer = structlog.WriteLogger(cast("TextIO", file))
    logger: FilteringBoundLogger = structlog.wrap_logger(writer, **_made(form))
    return logger.bind()  # once, not at every line


def events(form: Format) -> dict[str, Any]:
    """How our own events become lines, in the words of structlog."""
    return {**_made(form), "logger_factory": structlog.WriteLoggerFactory(sys.stderr)}


def _made(form: Format) -> dict[str, Any]:
    """How lines are made, wherever they go."""
    return {
        "processors": _processors(form),
        "wrapper_class": structlog.make_filtering_bound_logger(logging.INFO),
    }


def libraries(form: Format) -> dict[str, Any]:
    """The same lines for what libraries say, in the words of `logging`: warnings and worse."""
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
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        )
    return (_line,)


_CONSOLE: Final = structlog.dev.ConsoleRenderer(
    colors=False, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
)


def _line(logger: object, level: str, event: EventDict) -> str:
    """An event as the console renderer lays it out; which takes longer than to answer a read."""
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if not _FAULTS.isdisjoint(event):
        return _CONSOLE(logger, level, {"timestamp": timestamp, "level": level, **event})
    said = event.pop("event")
    if not event:
        return f"{timestamp} [{level:<9}] {said}"
    fields = " ".join([f"{name}={_shown(value)}" for name, value in event.items()])
    return f"{timestamp} [{level:<9}] {said:<{_EVENT_WIDTH}} {fields}"


def _shown(value: object) -> str:
    is_plain = isinstance(value, int | float) or (
        isinstance(value, str) and _QUOTED.search(value) is None
    )
    return str(value) if is_plain else repr(value)
