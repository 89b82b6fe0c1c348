"""A disk that fails at any call ends a command in one sentence, and nothing is torn or lost."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from tests.power_cuts import harness
from tests.power_cuts.interference import DISTURBANCES, Interference

if TYPE_CHECKING:
    from tests.power_cuts.interference import Disturbance

pytestmark = pytest.mark.no_cover

STEP: Final = 13
"""In the long test, of this many calls one is checked with each disturbance."""


def disturb(experiment: harness.Experiment, point: int, by: Disturbance) -> None:
    """Make calls fail, and check how the command ends and what is left."""
    data = experiment.fresh()
    experiment.execute(data, Interference(point, by))
    printed = experiment.printed
    assert "Traceback" not in printed, printed
    assert "crash" not in printed, printed
    experiment.check(data, has_unfit_cache="the cache can't be used" in printed)


def test_a_fault_at_a_drawn_call_ends_the_command_in_one_sentence(
    experiment: harness.Experiment, request: pytest.FixtureRequest
) -> None:
    random = Random(f"{harness.SEED} {request.node.name}")  # noqa: S311 (drawn again by the seed)
    for _ in range(harness.SHARE):
        point = random.randint(1, experiment.undisturbed.points)
        name = random.choice([*DISTURBANCES])
        with harness.noting(f"TEST_SEED={harness.SEED}: {name} from call {point} on"):
            disturb(experiment, point, DISTURBANCES[name])


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_fault_at_any_call_ends_the_command_in_one_sentence(
    name: str, experiment: harness.Experiment
) -> None:
    first = 1 + [*DISTURBANCES].index(name)
    for point in range(first, experiment.undisturbed.points + 1, STEP):
        with harness.noting(f"{name} from call {point} on"):
            disturb(experiment, point, DISTURBANCES[name])
