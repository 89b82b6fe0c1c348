"""What all parts of the settings are made of: a section, and checks that several of them need."""

from __future__ import annotations

import os
from typing import Annotated, Final

# Plugins of other packages must not change a setting, and searching for them takes time.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from pipeline.model.columns import COLUMNS

ColumnName = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A table of the settings file; unknown names in it are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def conflict(name: str, problem: str) -> PydanticCustomError:
    """Build the refusal of settings that contradict each other, under the name of one of them."""
    return PydanticCustomError("conflict", "{problem}", {"name": name, "problem": problem})


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that has one value twice."""
    if len(set(values)) < len(values):
        msg = "names one value twice; name each once"
        raise ValueError(msg)
    return values


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        msg = "it must be a number"
        raise ValueError(msg)  # noqa: TRY004 (pydantic refuses a value only by ValueError)
    return value


NO_FLAG: Final = BeforeValidator(_no_flag)
"""Refuses true, which Python would take for 1."""


def check_columns(columns: dict[str, str], section: str) -> None:
    """Refuse a column that is none of ours, and one of theirs that is read as two of ours.

    Args:
        columns: Our column to theirs; a column that is not listed has our name.
        section: The name of the table, for the refusal.
    """
    known = [column.name for column in COLUMNS]
    for name in columns:
        if name not in known:
            problem = f"{name!r}: it may be {', '.join(map(repr, known))}"
            raise conflict(f"{section}.{name}", problem)
    theirs = [columns.get(ours, ours) for ours in known]
    twice = sorted({name for name in theirs if theirs.count(name) > 1})
    if twice:
        raise conflict(
            section,
            f"{twice[0]!r} is read as two of our columns; each needs one of its own, and "
            "has our name unless a line here renames it",
        )


def check_categories(mapping: dict[str, str], codes: tuple[str, ...], section: str) -> None:
    """Refuse a mapping to a category that does not count, and one of our own codes.

    Args:
        mapping: Their category to ours.
        codes: The category codes that count.
        section: The name of the table, for the refusal.
    """
    for theirs, ours in mapping.items():
        if ours not in codes:
            raise conflict(
                section,
                f"{theirs!r} is mapped to {ours!r}, which is not in categories; it may be one "
                f"of {', '.join(codes)}",
            )
        if theirs in codes and theirs != ours:
            raise conflict(
                section,
                f"{theirs!r} is one of our codes and always means itself; remove the line",
            )
