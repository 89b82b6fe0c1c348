"""The lines of the log: their layout, and when they are written."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

import structlog

from api.http.event_loop import BatchedFile
from pipeline import logs


class Written(io.StringIO):
    """A file that records each write."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def write(self, text: str) -> int:
        self.texts.append(text)
        return len(text)


def test_the_lines_of_an_iteration_are_written_together_in_their_order() -> None:
    file = Written()

    async def log() -> None:
        logger = logs.to(BatchedFile(file), "text", "info")
        for number in (1, 2):
            logger.info("request", number=number)
        assert file.texts == []
        await asyncio.sleep(0)
        logger.info("request", number=3)
        await asyncio.sleep(0)

    asyncio.run(log())
    iterations = [[line.rpartition("=")[2] for line in text.splitlines()] for text in file.texts]
    assert iterations == [["1", "2"], ["3"]]
    assert all(text.endswith("\n") for text in file.texts)


def test_a_line_of_text_is_laid_out_as_the_console_renderer_does() -> None:
    console = structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)
    *_, line = logs.events("text", "info")["processors"]
    events: tuple[dict[str, Any], ...] = (
        {"path": "/a%20b", "status": 200, "duration_ms": 0.3, "none": None},
        {"detail": "it's here", "empty": "", "equal": "a=b", "quoted": 'a"b', "ø": "å\n"},
        {},
    )
    for event in events:
        written = line(None, "info", {"event": "request", **event})
        timestamp, _, _ = written.partition(" ")
        assert datetime.fromisoformat(timestamp).tzinfo is UTC
        whole = {"timestamp": timestamp, "level": "info", "event": "request", **event}
        assert written == console(None, "info", whole)
