"""The Prometheus metrics of a server: their names, and what they count."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.jobs.endings import RunEnd, ending
from pipeline import errors
from pipeline.settings import RunSettings
from tests.api.serving import (
    BASE,
    Server,
    create,
    export,
    nightly_run,
    run_process_of,
    serving,
    settled,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {
    "bufdir_requests": "counter",
    "bufdir_request_duration_seconds": "histogram",
    "bufdir_requests_in_progress": "gauge",
    "bufdir_requests_error": "counter",
    "bufdir_runs": "counter",
    "bufdir_build_info": "gauge",
    "bufdir_blocked_snapshots": "gauge",
    "bufdir_nightly_last_success_timestamp_seconds": "gauge",
}
"""Published: dashboards and alerts ask for these names. A counter's samples end in `_total`."""


def samples(server: Server, name: str) -> list[tuple[dict[str, str], float]]:
    """Return the labels and the value of each sample of this name."""
    families = text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
    return [
        (sample.labels, sample.value)
        for family in families
        for sample in family.samples
        if sample.name == name
    ]


def ends(server: Server) -> dict[str, float]:
    return {labels["end"]: value for labels, value in samples(server, "bufdir_runs_total")}


def test_the_names_are_the_published_ones(data: Path) -> None:
    export(data, "damaged", 3)
    nightly_run(data)
    (data / "snapshots" / "agg-001" / "v1.json").write_text("{")
    with serving(data, workers=2) as server, server.client() as client:
        assert client.get(f"{BASE}/agg-001").status_code == 500
        text = client.get("/metrics").text

    families = list(text_string_to_metric_families(text))
    assert {family.name: family.type for family in families} == NAMES
    assert all(family.documentation for family in families)


def requests_counted(server: Server, path: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("bufdir_requests_total{") and f'path="{path}"' in line
    )


def test_metrics_add_up_over_all_workers(reading: Server) -> None:
    before = requests_counted(reading, "/livez")

    for _ in range(20):
        httpx.get(f"{reading.url}/livez")

    assert requests_counted(reading, "/livez") == before + 20


def test_metrics_name_paths_by_their_form_and_count_runs(data: Path) -> None:
    export(data, "measured", 3)
    with serving(data, workers=2) as server, server.client() as client:
        settled(client, create(client, "measured"))
        form = f"{BASE}/{{id}}"

        assert requests_counted(server, form) > 0
        assert requests_counted(server, f"{BASE}/agg-001") == 0
        wait_for(lambda: ends(server)["succeeded"] == 1)


def test_runs_are_counted_from_zero_by_how_they_ended(data: Path) -> None:
    for name in ("good", "killed", "slow", "starved"):
        export(data, name, 3)
    with serving(data, workers=2) as server, server.client() as client:
        assert ends(server) == dict.fromkeys(RunEnd, 0)

        create(client, "good")
        wait_for(lambda: ends(server)["succeeded"] == 1)
        create(client, "absent")
        wait_for(lambda: ends(server)["failed"] == 1)
        create(client, "slow")
        os.kill(run_process_of(server), signal.SIGALRM)
        wait_for(lambda: ends(server)["timeout"] == 1)
        create(client, "starved")
        os.kill(run_process_of(server), signal.SIGABRT)
        wait_for(lambda: ends(server)["out_of_memory"] == 1)
        create(client, "killed")
        os.kill(run_process_of(server), signal.SIGKILL)
        wait_for(lambda: ends(server)["killed"] == 1)

        # A killed run is requeued, and succeeds in its second process.
        wait_for(lambda: ends(server)["succeeded"] == 2)
        others = {RunEnd.SUCCEEDED: 2, RunEnd.CRASHED: 0, RunEnd.STORE_UNUSABLE: 0}
        assert ends(server) == dict.fromkeys(RunEnd, 1.0) | others


@pytest.mark.usefixtures("broken_package")
def test_a_run_that_crashes_is_counted(data: Path) -> None:
    export(data, "unlucky", 3)
    with serving(data) as server, server.client() as client:
        settled(client, create(client, "unlucky"))

        wait_for(lambda: ends(server)["crashed"] == 1)


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (0, RunEnd.SUCCEEDED),
        (3, RunEnd.FAILED),
        (12, RunEnd.OUT_OF_MEMORY),
        (74, RunEnd.STORE_UNUSABLE),
        (-signal.SIGABRT, RunEnd.OUT_OF_MEMORY),
        (-signal.SIGALRM, RunEnd.TIMEOUT),
        (-signal.SIGKILL, RunEnd.KILLED),
        (-signal.SIGSEGV, RunEnd.KILLED),
        (1, RunEnd.CRASHED),
        (2, RunEnd.CRASHED),
    ],
)
def test_an_exit_code_tells_how_a_run_process_ended(code: int, end: RunEnd) -> None:
    assert ending(code, RunSettings()).how is end


def test_the_build_names_its_versions(reading: Server) -> None:
    ((labels, value),) = samples(reading, "bufdir_build_info")

    assert value == 1
    assert labels == {
        "version": version("bufdir-aggregation"),
        "python": python_version(),
        "polars": version("polars"),
        "duckdb": version("duckdb"),
        "spark": "",  # which means no label: it is not installed
    }


def test_the_last_nightly_run_that_succeeded_is_a_timestamp(data: Path) -> None:
    name = "bufdir_nightly_last_success_timestamp_seconds"
    export(data, "nightly", 3)
    with serving(data, workers=2) as server:
        assert samples(server, name) == []

        for ended in (datetime(2025, 1, 5, 8, tzinfo=UTC), datetime(2025, 1, 6, 8, tzinfo=UTC)):
            nightly_run(data, ended)
            assert samples(server, name) == [({}, ended.timestamp())]

        (data / "exports" / "nightly.parquet").unlink()
        (data / "exports").rmdir()
        with pytest.raises(errors.ExportsMissing):
            nightly_run(data)
        assert samples(server, name) == [({}, ended.timestamp())]


def test_metrics_are_served_while_the_catalog_can_not_be_read(data: Path) -> None:
    with serving(data) as server:
        (data / "catalog.sqlite").write_bytes(b"this is no catalog, and long enough to see so" * 9)

        assert samples(server, "bufdir_nightly_last_success_timestamp_seconds") == []
        assert samples(server, "bufdir_build_info")
