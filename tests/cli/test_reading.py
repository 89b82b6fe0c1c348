"""Listing and showing what is published, for people and for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

import pytest

from pipeline.model.ledger import LEDGER, REASONS
from pipeline.model.listing import Sort, Status
from pipeline.model.metrics import METRICS
from pipeline.terminal.layout import METRIC_HEADINGS
from tests.given import export, people, table, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def timeless(value: Any) -> Any:
    """Replace each instant in a text by a word."""
    if isinstance(value, dict):
        return {name: timeless(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [timeless(inner) for inner in value]
    return "instant" if isinstance(value, str) and INSTANT.fullmatch(value) else value


def ids(listed: str) -> list[str]:
    return re.findall(r"^agg-\d+", listed, re.MULTILINE)


def test_the_list_is_a_table_with_numbers_to_the_right(computed: Bufdir) -> None:
    ended = computed("list")

    heading, *lines = ended.out.splitlines()
    assert heading.split() == [
        *("id", "organisation", "period", "status"),
        *("participations", "hours", "activities", "refreshed"),
    ]
    assert [line.split()[:7] for line in lines] == [
        ["agg-001", "org-1", "rp-2024-q4", "completed", "5", "6.5", "2"],
        ["agg-002", "org-2", "rp-2024-q4", "completed", "2", "4", "1"],
        ["agg-003", "org-1", "rp-2024-q3", "completed", "1", "2", "1"],
    ]
    end = heading.index("participations") + len("participations")
    assert [line[end - 1] for line in lines] == ["5", "2", "1"]
    assert all(INSTANT.fullmatch(line.split()[7]) for line in lines)
    assert (ended.code, ended.err) == (0, "")


def test_nothing_in_a_list_is_cut_off_a_terminal(bufdir: Bufdir, data: Path) -> None:
    name = "o" * 64
    export(data, people(1, org_id=name))
    bufdir("nightly")

    heading, line = bufdir("list").out.splitlines()

    assert line.split()[1] == name
    assert INSTANT.fullmatch(line.split()[-1])
    assert "\x1b" not in heading


def test_an_empty_list_says_so(bufdir: Bufdir) -> None:
    assert bufdir("list").out == "no snapshots\n"
    assert bufdir("list", "--json").body == {
        "data": [],
        "pagination": {"page": 1, "limit": 0, "total": 0},
    }


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (["--org", "org-1"], ["agg-001", "agg-003"]),
        (["--period", "rp-2024-q4"], ["agg-001", "agg-002"]),
        (["--org", "org-1", "--period", "rp-2024-q3"], ["agg-003"]),
        (["--status", "failed"], []),
        (["--status", "completed"], ["agg-001", "agg-002", "agg-003"]),
        (["--sort", "participant_count"], ["agg-003", "agg-002", "agg-001"]),
        (["--sort", "-participant_count"], ["agg-001", "agg-002", "agg-003"]),
        (["--sort", "-org_id"], ["agg-002", "agg-001", "agg-003"]),
        (["--sort", "reporting_period_id"], ["agg-003", "agg-001", "agg-002"]),
    ],
)
def test_the_list_is_filtered_and_sorted(
    computed: Bufdir, chosen: list[str], found: list[str]
) -> None:
    assert ids(computed("list", *chosen).out) == found


def test_a_list_that_is_cut_says_how_many_there_are(computed: Bufdir) -> None:
    ended = computed("list", "--limit", "2")

    assert ids(ended.out) == ["agg-001", "agg-002"]
    assert ended.err == "bufdir: 2 of 3 snapshots are shown\n"
    assert computed("list", "--limit", "2", "--json").body["pagination"] == {
        "page": 1,
        "limit": 2,
        "total": 3,
    }


def test_the_list_for_programs_is_the_reply_of_the_api(computed: Bufdir) -> None:
    body = computed("list", "--org", "org-1", "--sort", "reporting_period_id", "--json").body

    assert list(body) == ["data", "pagination"]
    assert list(body["data"][0]) == [
        *("id", "org_id", "reporting_period_id", "status", "participant_count"),
        *("hours_delivered", "activity_count", "created_at", "refreshed_at"),
    ]
    assert timeless(body["data"][1]) == {
        "id": "agg-001",
        "org_id": "org-1",
        "reporting_period_id": "rp-2024-q4",
        "status": "completed",
        "participant_count": 5,
        "hours_delivered": 6.5,
        "activity_count": 2,
        "created_at": "instant",
        "refreshed_at": "instant",
    }
    assert body["pagination"] == {"page": 1, "limit": 2, "total": 2}


def test_the_help_of_list_names_every_sort_and_state(computed: Bufdir) -> None:
    words = computed("list", "--help").out.replace("│", " ").split()

    assert {word.strip(".,;") for word in words} >= {
        *(name for name in get_args(Sort) if not name.startswith("-")),
        *get_args(Status),
    }


def test_a_snapshot_is_shown_with_its_categories_and_its_whole_ledger(computed: Bufdir) -> None:
    ended = computed("show", "agg-001")

    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[:7] == [
        ["id", "agg-001"],
        ["organisation", "org-1"],
        ["period", "rp-2024-q4"],
        ["from", "2024-09-30T22:00:00Z"],
        ["until", "2024-12-31T23:00:00Z"],
        ["status", "completed"],
        ["version", "1"],
    ]
    assert ["category", "participations", "people", "hours", "activities"] in lines
    assert ["ungdom", "3", "3", "6", "1"] in lines
    assert ["eldre", "2", "2", "0.5", "1"] in lines
    assert ["foreldre_barn", "0", "0", "0", "0"] in lines
    assert ["all", "5", "3", "6.5", "2"] in lines
    assert [line[1] for line in lines[-len(LEDGER) - 1 : -1]] == list(LEDGER)
    assert "5  superseded               A later statement about the same" in ended.out
    assert lines[-1] == ["10", "read", "-"]
    for reason in REASONS:
        assert reason.meaning in ended.out


def test_a_snapshot_for_programs_is_the_reply_of_the_api(computed: Bufdir) -> None:
    body = computed("show", "agg-001", "--json").body

    assert list(body) == [
        *("id", "org_id", "reporting_period_id", "status", "participant_count"),
        *("hours_delivered", "activity_count", "bufdir_category_breakdown"),
        *("created_at", "refreshed_at"),
    ]
    assert timeless(body) == {
        "id": "agg-001",
        "org_id": "org-1",
        "reporting_period_id": "rp-2024-q4",
        "status": "completed",
        "participant_count": 5,
        "hours_delivered": 6.5,
        "activity_count": 2,
        "bufdir_category_breakdown": {
            "foreldre_barn": 0,
            "ungdom": 3,
            "eldre": 2,
            "funksjonsnedsettelse": 0,
        },
        "created_at": "instant",
        "refreshed_at": "instant",
    }


def test_metrics_for_programs_are_the_reply_of_the_api(computed: Bufdir) -> None:
    body = computed("show", "agg-001", "--metrics", "--json").body

    assert list(body) == [
        *("org_id", "period_id", "total_participants", "unique_participants"),
        *("total_hours", "total_activities", "category_distribution"),
    ]
    assert body["unique_participants"] == 3
    assert body["category_distribution"] == {
        "foreldre_barn": {"participants": 0, "hours": 0},
        "ungdom": {"participants": 3, "hours": 6},
        "eldre": {"participants": 2, "hours": 0.5},
        "funksjonsnedsettelse": {"participants": 0, "hours": 0},
    }


def test_metrics_for_people_are_the_categories_alone(computed: Bufdir) -> None:
    ended = computed("show", "agg-001", "--metrics")

    assert ended.out.splitlines()[0].split()[0] == "category"
    assert len(ended.out.splitlines()) == 6


def test_metrics_for_people_list_every_metric_by_every_breakdown(
    bufdir: Bufdir, data: Path
) -> None:
    (data / "bufdir.toml").write_text('[breakdowns]\ncounty = "Fylke"\n')
    county = ["Oslo", "Oslo", None, "Troms"]
    write(data, table(people(4)).append_column("Fylke", [county]), "a.parquet")
    bufdir("nightly")

    ended = bufdir("show", "agg-001", "--metrics")

    by_category, by_county = ended.out.split("\n\n")
    assert by_category.splitlines()[0].split() == ["category", *METRIC_HEADINGS]
    assert [line.split() for line in by_county.splitlines()] == [
        ["county", "participations", "people", "hours", "activities"],
        ["(none)", "1", "1", "2", "1"],
        ["Oslo", "2", "2", "4", "1"],
        ["Troms", "1", "1", "2", "1"],
        ["all", "4", "4", "8", "1"],
    ]
    assert len(METRIC_HEADINGS) == len(METRICS)


def test_a_breakdown_whose_column_no_export_has_is_named(bufdir: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text('[breakdowns]\ncounty = "Fylkke"\nage = "Alder"\n')
    write(data, table(people(4)).append_column("Alder", [["ung"] * 4]), "a.parquet")
    warning = (
        "bufdir: no export has the column 'Fylkke' of the breakdown county, so all rows are "
        "without a value in it; correct [breakdowns] in the settings\n"
    )

    checked, nightly = bufdir("check"), bufdir("nightly")

    assert (checked.code, checked.err) == (0, warning)
    assert (nightly.code, nightly.err) == (0, warning)
    assert bufdir("check", "--json").result["missing"] == {"county": "Fylkke"}


def test_a_snapshot_that_failed_is_shown_with_its_error_and_has_no_metrics(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(1))
    bufdir("run", "--period", "rp-2024-q4", "--org", "absent")

    shown, body = bufdir("show", "agg-001"), bufdir("show", "agg-001", "--json").body
    metrics = bufdir("show", "agg-001", "--metrics")

    assert "error         no export names absent" in shown.out.splitlines()
    assert shown.code == 0
    assert list(body)[-1] == "error"
    assert (body["status"], body["participant_count"]) == ("failed", None)
    assert metrics.err == (
        "bufdir: snapshot agg-001 has no numbers yet: its first run failed; fix the cause and "
        "start it again\n"
    )
    assert (metrics.code, metrics.out) == (3, "")


@pytest.mark.parametrize("command", ["show", "delete", "verify"])
def test_an_id_that_is_not_there_is_wrong_usage(computed: Bufdir, command: str) -> None:
    ended = computed(command, "agg-999")

    assert ended.err == ("bufdir: no snapshot agg-999; list the snapshots to see which there are\n")
    assert ended.code == 2
