"""Room for first runs: each caller has its own, and learns nothing of that of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import TooManyFailed, TooManyOpenRuns
from pipeline.model import periods
from pipeline.model.access import ANONYMOUS, Caller, Role
from pipeline.runs import lifecycle, new_cells
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.given import NOW

if TYPE_CHECKING:
    from pathlib import Path

MOST = 2
ALL = Caller("all", "192.0.2.1", None, Role.WRITE)
OTHER_ALL = Caller("other", "192.0.2.2", None, Role.WRITE)


def of(*organisations: str, name: str = "") -> Caller:
    named = name or f"of-{'-'.join(organisations)}"
    return Caller(named, "192.0.2.9", frozenset(organisations), Role.WRITE)


def post(data: Path, caller: Caller, org_id: str, month: int) -> None:
    """Start the first run of a cell, as POST does."""
    period = periods.parse(f"rp-2024-m{month}")
    with Catalog.open(data, caller=caller) as catalog, catalog.transaction():
        new_cells.check_room(catalog, org_id, period, MOST)
        lifecycle.create(catalog, org_id, period, NOW)


def fail_all(data: Path) -> None:
    with Catalog.open(data) as catalog:
        for run in run_queue.open_runs(catalog):
            run_queue.end(catalog, run.id, NOW, "no export names it")


@pytest.mark.parametrize("other", [of("b"), ALL, Caller(ANONYMOUS, None, None, Role.WRITE)])
def test_open_runs_of_one_organisation_leave_others_their_room(data: Path, other: Caller) -> None:
    for month in (1, 2):
        post(data, of("a"), "a", month)
    with pytest.raises(TooManyOpenRuns, match="2 of your runs are open"):
        post(data, of("a"), "a", 3)
    for month in (3, 4):
        post(data, other, "b", month)
    with pytest.raises(TooManyOpenRuns, match="2 of your runs are open"):
        post(data, other, "b", 5)


def test_several_tokens_of_an_organisation_share_its_room(data: Path) -> None:
    post(data, of("a"), "a", 1)
    post(data, ALL, "a", 2)
    with pytest.raises(TooManyOpenRuns):
        post(data, of("a", "b", name="second"), "b", 3)


def test_a_run_that_is_open_needs_no_room(data: Path) -> None:
    for month in (1, 2, 1, 2):
        post(data, of("a"), "a", month)


@pytest.mark.parametrize("other", [of("b"), ALL])
def test_failed_first_runs_of_one_organisation_block_no_other(data: Path, other: Caller) -> None:
    for month in (1, 2):
        post(data, of("a"), "a", month)
    fail_all(data)
    with pytest.raises(TooManyFailed, match="2 of your snapshots have failed"):
        post(data, of("a"), "a", 3)
    post(data, other, "b", 3)
    post(data, of("a"), "a", 1)  # one that has failed may be tried again


def test_failed_first_runs_of_one_token_block_no_other_token(data: Path) -> None:
    for month in (1, 2):
        post(data, ALL, "a", month)
    fail_all(data)
    with pytest.raises(TooManyFailed):
        post(data, ALL, "b", 3)
    post(data, OTHER_ALL, "b", 3)


def test_all_callers_together_have_a_bound_whose_message_names_none_of_them(data: Path) -> None:
    for number in range(10):
        for month in (1, 2):
            post(data, of(f"org-{number}"), f"org-{number}", month)
    with pytest.raises(TooManyOpenRuns) as refused:
        post(data, of("late"), "late", 1)
    assert str(refused.value) == (
        "no more runs are queued at the moment; try again when some have ended"
    )
