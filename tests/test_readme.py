"""The docs agree with the program: commands are run, tables compared, links followed."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from pydantic import BaseModel

import cli
from api.http.problems import INTERNAL, KINDS
from pipeline.model.ledger import LEDGER, REASONS
from pipeline.model.metrics import METRICS
from pipeline.settings import Settings
from pipeline.terminal.exit_codes import ExitCode
from tests import pages
from tests.pages import ROOT
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

README = pages.page("README.md")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md")])
SERVE = "bufdir serve &"
SERVED_AFTER_AN_ERROR: Final = {"bufdir_requests_error_total"}
"""Metrics that a server serves only once it has counted something."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The commands of the README with their output, and the replies of the server."""

    steps: Sequence[tuple[str, str, str]]
    """Command, output in the README, output of the program."""
    metrics: str
    documentation: str


def _table_rows(heading: str, cell: int = -1) -> dict[str, str]:
    """Return the first cell and another, by default the last, of each row of a table."""
    table = README.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    rows = [[text.strip() for text in line.strip("| ").split("|")] for line in table]
    return {row[0].strip("`"): row[cell] for row in rows}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what a fresh clone has of the data folder."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("exports", "late"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)
    (folder / "data/exports/org-bufdir-42-late.parquet").unlink(missing_ok=True)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _server(folder: Path, port: int) -> Iterator[None]:
    arguments = ["bufdir", "serve", "--port", str(port)]
    server = subprocess.Popen(arguments, cwd=folder, env=pages.environment())
    try:
        _wait_until_ready(port, server)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE_SECONDS)


def _wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(10 * PATIENCE_SECONDS):
        assert server.poll() is None, "the server ended before it was ready"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the server was not ready in time")


@pytest.fixture(scope="module")
def walk(clone: Path) -> Walk:
    """Run every command of the README, in its order."""
    if shutil.which("curl") is None:
        pytest.skip("the README calls curl")
    shown, port = pages.console(README), _free_port()
    first_served = [command for command, _ in shown].index(SERVE)
    # The commands of the recipe of `make demo` follow it, and are run one by one.
    before = [one for one in shown[:first_served] if one[0] != "make demo"]
    steps = [(command, expected, pages.run(command, clone)) for command, expected in before]
    with _server(clone, port):
        for command, expected in shown[first_served + 1 :]:
            if "/agg-009" in command:
                _wait_for_the_run(port)
            printed = pages.run(command.replace(":8000/", f":{port}/"), clone)
            steps.append((command, expected, printed))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        documentation = httpx.get(f"http://127.0.0.1:{port}/schema").text
    return Walk(steps, metrics, documentation)


def _wait_for_the_run(port: int) -> None:
    """Wait as a reader does, who types slower than a run takes."""
    url = f"http://127.0.0.1:{port}/api/v1/bufdir-aggregations/agg-009"
    for _ in range(10 * PATIENCE_SECONDS):
        if httpx.get(url).json()["status"] != "processing":
            return
        time.sleep(0.1)
    pytest.fail("the run did not end in time")


def test_every_command_in_the_readme_prints_the_output_below_it(walk: Walk) -> None:
    for command, shown, printed in walk.steps:
        assert pages.without_varying(printed) == pages.without_varying(shown), command


def test_make_demo_runs_the_commands_that_the_readme_shows() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo:", 1)[1]
    recipe = recipe.split("\n\n", 1)[0]
    commands = re.findall(r"\$\(bin\)/(.*)", recipe)
    shown = [command for command, _ in pages.console(README)]
    first = shown.index("make demo") + 1
    assert commands
    assert shown[first : first + len(commands)] == commands


def test_the_table_of_numbers_agrees_with_the_metrics() -> None:
    rows = _table_rows("| number | in replies | meaning |")
    assert rows == {metric.name: metric.meaning for metric in METRICS}


def test_the_ledgers_lines_and_meanings_are_those_of_the_rules() -> None:
    rows = _table_rows("| line | meaning |")
    assert list(rows) == list(LEDGER)
    assert {name: rows[name] for name in rows if name != "counted"} == {
        reason.name: reason.meaning for reason in REASONS
    }


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    rows = _table_rows("| setting | default | what it decides |", cell=1)
    names = []
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        names += [f"{name}.{part}" for part in inner] if inner else [name]
    assert list(rows) == names
    chosen = Settings.model_construct()
    for name, shown in rows.items():
        value: object = chosen
        for part in name.split("."):
            value = getattr(value, part)
        assert shown == _as_toml(value), name


def _as_toml(value: object) -> str:
    """Return a value as the settings file has it; an empty one is shown as nothing set."""
    match value:
        case tuple():
            return f"`[{', '.join(map(_item, value))}]`"
        case dict() | None:
            return "none"
        case _:
            return f"`{json.dumps(value)}`"


def _item(value: object) -> str:
    """Return an item of a list; a table with all that differs from its defaults."""
    if isinstance(value, BaseModel):
        chosen = value.model_dump(exclude_defaults=True).items()
        return "{ " + ", ".join(f"{name} = {json.dumps(of)}" for name, of in chosen) + " }"
    return json.dumps(value)


def test_every_command_is_in_the_readme() -> None:
    rows = _table_rows("| command | does |")
    named = sorted({row.split()[1].strip("`") for row in rows})
    groups = [str(group.name) for group in cli.app.registered_groups]
    commands = [str(command.name) for command in cli.app.registered_commands]
    assert named == sorted([*commands, *groups])


def test_every_exit_code_is_in_the_readme() -> None:
    rows = _table_rows("| exit code | meaning | action |")
    assert list(rows) == [str(int(code)) for code in sorted(ExitCode)]


def test_every_metric_that_the_server_serves_is_in_the_readme(walk: Walk) -> None:
    served = re.findall(r"^# TYPE (\S+)", walk.metrics, re.MULTILINE)
    assert sorted(_table_rows("| metric | meaning |")) == sorted({*served, *SERVED_AFTER_AN_ERROR})


def test_every_alert_is_about_a_metric_that_is_served(walk: Walk) -> None:
    (rules,) = pages.blocks(README, "yaml")
    asked = set(re.findall(r"bufdir_\w+", rules))
    assert asked
    assert {name for name in asked if f"# TYPE {name} " not in walk.metrics} == set()


def test_every_kind_of_problem_is_documented_by_the_server(walk: Walk) -> None:
    for kind in {*KINDS.values(), INTERNAL}:
        assert f"id='{kind.slug}'" in walk.documentation, kind.slug
        assert f"<b>{kind.status.value}</b> {kind.title}" in walk.documentation, kind.slug


def test_the_costs_in_the_docs_are_rows_of_the_results_that_were_measured() -> None:
    costs = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    shown = [line for line in costs.splitlines() if line.startswith("| ")]
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    assert len(shown) > 12
    assert [line for line in shown if line not in measured] == []


def test_every_module_and_package_of_the_pipeline_is_on_the_map() -> None:
    places = README.split("| place | owns |", 1)[1].split("\n\n", 1)[0]
    there = [path for path in (ROOT / "pipeline").iterdir() if not path.stem.startswith("__")]
    names = {path.name if path.is_file() else f"{path.name}/" for path in there}
    assert {name for name in names if f"pipeline/{name}`" not in places} == set()


def test_every_path_that_the_docs_name_exists() -> None:
    for page in PAGES:
        named = re.findall(
            r"`((?:pipeline|api|tests|benchmarks|deploy|docs)/[\w./-]*)`", page.read_text()
        )
        assert [name for name in named if not (ROOT / name).exists()] == [], page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not heading or heading in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
