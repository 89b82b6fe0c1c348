"""The settings file that ships: complete, and true about the defaults."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pipeline.settings import FILE, Settings, load

EXAMPLE = Path(__file__).parents[2] / "data" / "bufdir.example.toml"
UNCOMMENTED = re.sub(r"^#(?=\w+ = |\[\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("BUFDIR_"):
            monkeypatch.delenv(name)


def names(model: type[BaseModel]) -> dict[str, Any]:
    """Return the settings of a model, with those of its sections."""
    return {
        name: names(section) if (section := _section(field.annotation)) else None
        for name, field in model.model_fields.items()
    }


def _section(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def names_in(table: dict[str, Any]) -> dict[str, Any]:
    """Return the names in a TOML table, with those of its tables; a mapping is one setting."""
    return {
        name: names_in(value) if isinstance(value, dict) and value else None
        for name, value in table.items()
    }


def test_the_example_as_it_ships_changes_nothing(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path / FILE)

    assert load(tmp_path).model_dump() == Settings().model_dump()


def test_every_line_of_the_example_says_what_holds_by_itself(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(UNCOMMENTED)

    assert load(tmp_path).model_dump() == Settings().model_dump()


def test_the_example_names_every_setting() -> None:
    named = names(Settings)
    for name in ("most_silent_days",):  # it has no default that a line could set
        assert Settings().guard.model_dump()[name] is named["guard"].pop(name) is None
        assert f"{name} = " in EXAMPLE.read_text()
    assert names_in(tomllib.loads(UNCOMMENTED)) == named


def test_the_example_sets_nothing() -> None:
    live = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]

    assert live == [
        *("[breakdowns]", "[engine]", "[engine.spark_options]", "[exports]"),
        *("[export.columns]", "[export.categories]", "[guard]", "[limits]", "[privacy]"),
        *("[history]", "[runs]", "[access]", "[proxy]", "[log]"),
    ]
