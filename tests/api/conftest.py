"""Servers that tests share where they can."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.api.serving import ROOT, Server, nightly_run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

CREATED = datetime(2025, 1, 5, 8, 0, 0, tzinfo=UTC)
REFRESHED = datetime(2025, 1, 5, 8, 12, 43, tzinfo=UTC)


@pytest.fixture(scope="session")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two workers over the sample that ships, for tests that only read."""
    data = tmp_path_factory.mktemp("reading") / "data"
    shutil.copytree(ROOT / "data" / "exports", data / "exports")
    nightly_run(data, CREATED)
    nightly_run(data, REFRESHED, full=True)
    with serving(data, workers=2) as server:
        yield server


@pytest.fixture
def broken_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break a package of engines in all processes that the test starts; servers load none."""
    (tmp_path / "polars_hash.py").write_text("1 / 0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.fixture
def reader(reading: Server) -> Iterator[httpx.Client]:
    with reading.client() as client:
        yield client


@pytest.fixture(scope="session")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two workers whose data tests change, each for organisations of its own."""
    data = tmp_path_factory.mktemp("changing") / "data"
    (data / "exports").mkdir(parents=True)
    with serving(data, workers=2, RUNS__AT_ONCE=4) as server:
        yield server


@pytest.fixture
def writer(changing: Server) -> Iterator[httpx.Client]:
    with changing.client() as client:
        yield client
