"""Replies of the API compared with what was exported: their numbers must be of one generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.soak.exports import Cell, Numbers, numbers


class WrongReply(Exception):
    """A reply with numbers that no generation has, or a status that is not due."""


def of_snapshot(body: Mapping[str, Any]) -> tuple[Cell, int]:
    """Find the cell and the generation of a snapshot with its numbers by category.

    Raises:
        WrongReply: Its numbers are not those of one generation.
    """
    cell, generation, due = _due(
        body["org_id"], body["reporting_period_id"], body["participant_count"]
    )
    _compare(
        body,
        status="completed",
        hours_delivered=due.hours,
        activity_count=due.activities,
        bufdir_category_breakdown={name: count for name, (count, _) in due.categories.items()},
    )
    return cell, generation


def of_listed(body: Mapping[str, Any]) -> tuple[Cell, int]:
    """Find the cell and the generation of a snapshot in a list, or in the reply to a refresh.

    Raises:
        WrongReply: Its numbers are not those of one generation.
    """
    cell, generation, due = _due(
        body["org_id"], body["reporting_period_id"], body["participant_count"]
    )
    _compare(body, status="completed", hours_delivered=due.hours)
    if "activity_count" in body:
        _compare(body, activity_count=due.activities)
    return cell, generation


def of_metrics(body: Mapping[str, Any]) -> tuple[Cell, int]:
    """Find the cell and the generation of all numbers of a snapshot.

    Raises:
        WrongReply: Its numbers are not those of one generation.
    """
    cell, generation, due = _due(body["org_id"], body["period_id"], body["total_participants"])
    _compare(
        body,
        unique_participants=due.people,
        total_hours=due.hours,
        total_activities=due.activities,
        category_distribution={
            name: {"participants": count, "hours": hours}
            for name, (count, hours) in due.categories.items()
        },
    )
    return cell, generation


def _due(org_id: str, period_id: str, participations: int) -> tuple[Cell, int, Numbers]:
    cell = Cell.of(org_id, period_id)
    generation = cell.generation(participations)
    if generation < 0:
        raise WrongReply(f"{participations} participations of {org_id} were never exported")
    return cell, generation, numbers(cell, generation)


def _compare(body: Mapping[str, Any], **due: object) -> None:
    wrong = [name for name, value in due.items() if body[name] != value]
    if wrong:
        raise WrongReply(f"{', '.join(wrong)} are not of the same generation: {dict(body)}")
