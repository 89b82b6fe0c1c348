"""Periods that have not begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.given import Q4, DataFolder, computed, ledger, row


def test_rows_of_a_period_that_has_not_begun_are_deferred(folder: DataFolder) -> None:
    folder.export([row(), row(participant_id="p2", started_at=datetime(2025, 4, 2, tzinfo=UTC))])
    result = folder.nightly()
    assert computed(result) == {Q4}
    assert [(cell.org_id, cell.period.id) for cell in result.deferred] == [("org-1", "rp-2025-q2")]
    assert ledger(result.ledger) == {"counted": 2}
    assert not folder.nightly().changed


def test_a_deferred_period_is_computed_once_it_begins(folder: DataFolder) -> None:
    folder.export([row(), row(participant_id="p2", started_at=datetime(2025, 4, 2, tzinfo=UTC))])
    folder.nightly()
    begins = datetime(2025, 3, 31, 22, tzinfo=UTC)
    folder.now = begins - timedelta(seconds=1)
    assert not folder.nightly().changed
    folder.now = begins
    result = folder.nightly()
    assert (computed(result), result.deferred) == ({"org-1 rp-2025-q2"}, [])
    folder.now = begins + timedelta(days=1)
    assert not folder.nightly().changed


def test_of_two_deferred_periods_each_is_computed_when_it_begins(folder: DataFolder) -> None:
    folder.export(
        [
            row(participant_id=f"p{month}", started_at=datetime(2025, month, 2, tzinfo=UTC))
            for month in (7, 4)
        ]
    )
    assert computed(folder.nightly()) == set()
    for begins, period in (((2025, 4, 1), "rp-2025-q2"), ((2025, 7, 1), "rp-2025-q3")):
        folder.now = datetime(*begins, 3, tzinfo=UTC)
        assert computed(folder.nightly()) == {f"org-1 {period}"}
    assert not folder.nightly().changed
