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


def recorded(data: Path, *refusals: tuple[Caller, str, str]) -> list[tuple[str, ...]]:
    """Record refusals; return who, from where, what, the end and the count of each line."""

    async def add_all() -> None:
        async with log.running():
            for refusal in refusals:
                log.add(*refusal)

    log = RefusalLog(data, structlog.get_logger())
    asyncio.run(add_all())
    names = ("who", "from", "what", "end", "count")
    return [tuple(str(line[name]) for name in names) for line in audit_lines(data)]


def test_invented_methods_are_one_kind(data: Path) -> None:
    stranger = [(of("10.0.0.1"), f"M{n}", "token-needed") for n in range(500)]
    assert recorded(data, *stranger) == [
        (ANONYMOUS, "10.0.0.1", "other", "token-needed", "500"),
    ]


def test_addresses_of_one_network_of_ipv6_are_one_kind(data: Path) -> None:
    stranger = [(of(f"2001:db8::{n:x}"), "PUT", "token-needed") for n in range(500)]
    assert recorded(data, *stranger) == [
        (ANONYMOUS, "2001:db8::/64", "PUT", "token-needed", "500"),
    ]


def test_a_caller_of_many_kinds_hides_those_of_no_other(data: Path) -> None:
    kari = Caller("kari", "10.0.0.1", None, Role.READ)
    lines = recorded(
        data,
        *((of("10.0.0.1"), "POST", f"problem-{n}") for n in range(50)),
        *((kari, "PUT", f"problem-{n}") for n in range(50)),
        (of("10.0.0.2"), "DELETE", "token-needed"),
        (Caller("ola", "10.0.0.1", None, Role.READ), "DELETE", "not-allowed"),
    )
    assert (ANONYMOUS, "10.0.0.1", "several", "several", "44") in lines
    assert ("kari", "several", "several", "several", "44") in lines
    assert lines[-2:] == [
        (ANONYMOUS, "10.0.0.2", "DELETE", "token-needed", "1"),
        ("ola", "10.0.0.1", "DELETE", "not-allowed", "1"),
    ]
    assert len(lines) == 16


def test_very_many_strangers_hide_no_token(data: Path) -> None:
    strangers = [(of(f"10.{n // 250}.{n % 250}.1"), "PUT", "token-needed") for n in range(5_000)]
    kari = Caller("kari", "10.0.0.1", None, Role.READ)
    assert recorded(data, *strangers, (kari, "PUT", "not-allowed"))[-1] == (
        *("kari", "10.0.0.1", "PUT", "not-allowed", "1"),
    )


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
