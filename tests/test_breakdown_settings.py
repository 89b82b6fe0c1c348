"""The settings of breakdowns: which names they may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["category", "total", "all", "Age", '"a b"', "a" * 33])
def test_a_breakdown_with_a_reserved_or_odd_name_is_refused(data: Path, name: str) -> None:
    (data / "bufdir.toml").write_text(f'[breakdowns]\n{name} = "age"')

    with pytest.raises(InvalidSetting) as caught:
        settings.load(data)

    assert caught.value.name == f"breakdowns.{name.strip(chr(34))}"
