"""Refusals on their way to the audit log: none is lost, and a flood is a few lines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from api.access.refusals import RefusalLog
from pipeline.model.access import ANONYMOUS, Caller, Role
from tests.api.serving import audit_lines

if TYPE_CHECKING:
    from pathlib import Path


def of(address: str) -> Caller:
    return Caller(ANONYMOUS, address, None, Role.READ)


async def flood(log: RefusalLog, addresses: list[str], pause: float = 0) -> None:
    async with log.running():
        for address in addresses:
            log.add(of(address), "POST", "token-needed")
        await asyncio.sleep(pause)


def test_equal_refusals_are_one_line_at_once_and_one_with_the_count_of_the_others(
    data: Path,
) -> None:
    log = RefusalLog(data, structlog.get_logger())
    asyncio.run(flood(log, ["10.0.0.1"] * 500 + ["10.0.0.2"], 0.5))
    lines = audit_lines(data)
    assert [(line["from"], line["count"]) for line in lines] == [
        ("10.0.0.1", 1),
        ("10.0.0.2", 1),
        ("10.0.0.1", 499),
    ]


def test_refusals_of_very_many_addresses_count_together(data: Path) -> None:
    log = RefusalLog(data, structlog.get_logger())
    asyncio.run(flood(log, [f"10.0.{n // 250}.{n % 250}" for n in range(5_000)]))
    lines = audit_lines(data)
    assert len(lines) < 70
    assert sum(line["count"] for line in lines) == 5_000


def test_a_caller_who_goes_on_is_one_line_a_period(data: Path) -> None:
    log = RefusalLog(data, structlog.get_logger(), period_seconds=0.4)

    async def go_on() -> None:
        async with log.running():
            for _ in range(50):
                log.add(of("10.0.0.1"), "POST", "token-needed")
                await asyncio.sleep(0.03)

    asyncio.run(go_on())
    lines = audit_lines(data)
    assert sum(line["count"] for line in lines) == 50
    assert len(lines) <= 8
