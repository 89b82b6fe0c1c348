"""The settings of the reverse proxy: their forms, and how others are refused."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path


def load(data: Path, *lines: str) -> settings.Settings:
    (data / settings.FILE).write_text("\n".join(["[proxy]", *lines]), encoding="utf-8")
    return settings.load(data)


def test_no_proxy_is_trusted_by_default(data: Path) -> None:
    chosen = load(data).proxy
    assert (chosen.networks, chosen.prefix, chosen.is_set) == ((), "", False)


def test_addresses_and_networks_are_trusted(data: Path) -> None:
    chosen = load(data, 'trusted = ["127.0.0.1", "10.0.0.0/24", "fd00::/8"]').proxy
    assert ipaddress.ip_address("127.0.0.1") in chosen.networks[0]
    assert [network.prefixlen for network in chosen.networks] == [32, 24, 8]
    assert chosen.is_set


@pytest.mark.parametrize("prefix", ["", "/bufdir", "/a/b-c.d_e~1"])
def test_a_prefix_is_a_path_without_a_slash_at_its_end(data: Path, prefix: str) -> None:
    assert load(data, f'prefix = "{prefix}"').proxy.prefix == prefix


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('trusted = ["nginx"]', "is no address and no network; name one such as 127.0.0.1"),
        ('trusted = ["10.0.0.1/24"]', "is no address and no network"),
        ('trusted = ["0.0.0.0/0"]', "has every address"),
        ('trusted = ["::/0"]', "has every address"),
        ('trusted = ["::1", "::1"]', "names one value twice"),
        *(
            (f'prefix = "{prefix}"', "is no path as the API needs it; write it as /bufdir")
            for prefix in ("/", "/bufdir/", "bufdir", "/a//b", "/a b", "/a?b", "/<b>", "//evil")
        ),
    ],
)
def test_other_values_are_refused(data: Path, line: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem):
        load(data, line)
