"""The steps of a zone's clock, found without looking at every day."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.model.clock import wall_clock
from pipeline.model.periods import MICROSECOND


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Oslo",
        "UTC",
        "America/Boa_Vista",  # changed twice within seven days in October 2000
        "Africa/Casablanca",  # leaves summer time for Ramadan
        "Africa/Cairo",
        "Asia/Gaza",
        "Antarctica/Casey",
        "Pacific/Apia",  # left out a day
        "Australia/Lord_Howe",  # changes by half an hour
    ],
)
def test_no_change_of_a_clock_is_passed_over(name: str) -> None:
    zone = ZoneInfo(name)
    day, end = datetime(1999, 1, 1, tzinfo=UTC), datetime(2102, 1, 1, tzinfo=UTC)
    offsets = []
    while day <= end:
        offset = day.astimezone(zone).utcoffset()
        assert offset is not None
        offsets.append(offset // MICROSECOND)
        day += timedelta(days=1)
    changes = [after - before for before, after in itertools.pairwise(offsets)]
    clock = wall_clock(zone)
    assert clock.first_offset_us == offsets[0]
    assert [step.change_us for step in clock.steps] == [change for change in changes if change]
