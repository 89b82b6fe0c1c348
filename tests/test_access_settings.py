"""The settings of access: their bounds, and how other values are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("variable", "value"), [("READS", "token"), ("WRITES_PER_MINUTE", 1), ("MOST_OPEN_RUNS", 7)]
)
def test_a_variable_sets_each(
    data: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: object
) -> None:
    monkeypatch.setenv(f"BUFDIR_ACCESS__{variable}", str(value))
    assert getattr(settings.load(data).access, variable.lower()) == value


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('reads = "none"', "it may be 'public' or 'token'"),
        ("writes_per_minute = 0", "it must be 1 or more"),
        ("writes_per_minute = true", "it must be a number"),
        ("most_open_runs = 0", "it must be 1 or more"),
        ("writes = 1", "is unknown; it may be reads, writes_per_minute, most_open_runs"),
    ],
)
def test_other_values_are_refused(data: Path, line: str, problem: str) -> None:
    (data / settings.FILE).write_text(f"[access]\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidSetting, match=problem):
        settings.load(data)
