"""What the tests of the pipeline share: an empty data folder, and the engines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.pipeline.given import House

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile(
    "bounded",
    max_examples=40,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("bounded")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("BUFDIR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "exports").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def house(data: Path) -> House:
    return House(data)


@pytest.fixture(params=["polars", "duckdb"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)
