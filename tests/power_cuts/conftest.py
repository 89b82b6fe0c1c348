"""Fixtures of power cuts and faults: the loaded program, and each scenario in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.power_cuts import harness, ptrace
from tests.power_cuts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Programs]:
    if not ptrace.is_available():
        pytest.skip("needs Linux on x86-64, whose system calls are known here")
    with harness.programs(tmp_path_factory.mktemp("output")) as found:
        yield found


@pytest.fixture(scope="session", params=SCENARIOS)
def experiment(
    request: pytest.FixtureRequest,
    started: harness.Programs,
    tmp_path_factory: pytest.TempPathFactory,
) -> harness.Experiment:
    folder = tmp_path_factory.mktemp("scenario")
    return harness.Experiment(SCENARIOS[request.param], started, folder)
