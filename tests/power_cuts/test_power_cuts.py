"""After a power cut at any moment everything is as before or as after, and the next run repairs.

`make test` takes a share of the moments, drawn by TEST_SEED, `make test-long` takes all of them.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from tests.power_cuts import disk, harness
from tests.power_cuts.interference import Interference

if TYPE_CHECKING:
    from tests.power_cuts.calls import Change

pytestmark = pytest.mark.no_cover

STEP: Final = 7
"""In the long test, of this many moments one is checked with lost disks too."""


def kill(experiment: harness.Experiment, point: int) -> None:
    """Kill the command before a call, and check what is left."""
    data = experiment.fresh()
    experiment.execute(data, Interference(point))
    experiment.check(data)


def cut(experiment: harness.Experiment, moment: int, loss: disk.Loss, seed: str) -> None:
    """Lose what was not flushed after a change, and check what is left."""
    model = experiment.disk()
    for change in experiment.undisturbed.changes[:moment]:
        model.change(change)
    random = Random(f"{seed} {moment} {loss}")  # noqa: S311 (drawn again from the same seed)
    experiment.check(experiment.fresh(model.after_power_cut(loss, random)))


def test_after_a_power_cut_at_drawn_moments_nothing_is_torn_or_lost(
    experiment: harness.Experiment, request: pytest.FixtureRequest
) -> None:
    random = Random(f"{harness.SEED} {request.node.name}")  # noqa: S311 (as above)
    trace = experiment.undisturbed
    for _ in range(harness.SHARE):
        point, moment = random.randint(1, trace.points), random.randint(0, len(trace.changes))
        loss = random.choice([*disk.Loss])
        with harness.noting(f"TEST_SEED={harness.SEED}: killed before call {point}"):
            kill(experiment, point)
        with harness.noting(f"TEST_SEED={harness.SEED}: {loss} lost after change {moment}"):
            cut(experiment, moment, loss, harness.SEED)


def test_every_file_is_durable_before_the_catalog_names_it(
    experiment: harness.Experiment,
) -> None:
    model = experiment.disk()
    for change in experiment.undisturbed.changes:
        if is_commit(change):
            assert [path for path in harness.named(model) if not model.is_durable(path)] == []
        model.change(change)


def is_commit(change: Change) -> bool:
    """Return whether a change commits a transaction of SQLite: the journal goes."""
    return (change.kind, change.path) == ("remove", "catalog.sqlite-journal")


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_after_a_power_cut_at_any_moment_nothing_is_torn_or_lost(
    experiment: harness.Experiment,
) -> None:
    trace = experiment.undisturbed
    for point in range(1, trace.points + 1):
        with harness.noting(f"killed before call {point} of {trace.points}"):
            kill(experiment, point)
    for moment in range(1, len(trace.changes) + 1, STEP):
        for loss in disk.Loss:
            with harness.noting(f"{loss} lost after {trace.changes[moment - 1]}"):
                cut(experiment, moment, loss, "0")
