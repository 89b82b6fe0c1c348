"""Fixtures of all tests: data folders, the catalog, and the engines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, settings

from pipeline.model.states import EngineName
from pipeline.storage.catalog import Catalog
from tests import given, s3
from tests.given import (
    EARLIER,
    MAPPING,
    OTHER,
    Q2,
    Q3,
    Q4,
    SPRING,
    SUMMER,
    DataFolder,
    computed,
    people,
    row,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

_MEASURED: Final = "COVERAGE_PROCESS_CONFIG"
"""The variable by which Coverage.py measures child processes."""

settings.register_profile(
    "bounded",
    max_examples=40,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("bounded")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need Spark's packages, or an object store."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        fixtures = getattr(item, "fixturenames", ())
        if EngineName.SPARK in parameters or {"cluster", "s3_server"}.intersection(fixtures):
            item.add_marker("spark")
        if "cluster" in fixtures:
            item.add_marker("cluster")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure the coverage of no process that a test starts which is marked `no_cover`.

    Measuring takes a process as long again: it is left out where others reach the same lines.
    """
    is_left_out = item.get_closest_marker("no_cover") is not None
    measured = os.environ.pop(_MEASURED, None) if is_left_out else None
    try:
        return (yield)
    finally:
        if measured is not None:
            os.environ[_MEASURED] = measured


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("BUFDIR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data" / "exports").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def folder(data: Path) -> DataFolder:
    return DataFolder(data)


@pytest.fixture(params=[*given.ENGINES])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[*given.LOCAL_ENGINES])
def local_engine(request: pytest.FixtureRequest) -> str:
    """An engine that needs no connector of a cluster, which PySpark's package does not have."""
    return str(request.param)


@pytest.fixture
def populated(folder: DataFolder) -> DataFolder:
    """A data folder with four cells in three files, after its first nightly run."""
    folder.settings = given.settings(export={"categories": MAPPING})
    folder.export(people(3, updated_at=EARLIER), "autumn.parquet")
    folder.export(
        [
            row(
                participant_id="s1", started_at=SUMMER, updated_at=EARLIER, bufdir_category="Klubb"
            ),
            row(participant_id="s2", started_at=SPRING, updated_at=EARLIER),
        ],
        "summer.parquet",
    )
    folder.export(people(2, org_id="org-2", bufdir_category="Eldretreff"), "other.parquet")
    assert computed(folder.nightly()) == {Q2, Q3, Q4, OTHER}
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.Server]:
    with s3.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def bucket(s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch) -> s3.Bucket:
    """A new bucket, which the variables of the environment lead to."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    return s3.Bucket(s3_server)


@pytest.fixture
def catalog(data: Path) -> Iterator[Catalog]:
    with Catalog.open(data) as opened:
        yield opened
