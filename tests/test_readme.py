"""The README says what the program does: its commands are run, its tables compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from pipeline.model.ledger import LEDGER, REASONS
from pipeline.model.metrics import METRICS
from pipeline.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
SERVE = "bufdir serve &"


def _console() -> list[tuple[str, str]]:
    """Every command that the README shows, in its order, with the output shown below it."""
    shown: list[tuple[str, str]] = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = re.fullmatch(r"(?:\$ |\.venv/bin/)(.*)", line)
            if command:
                shown.append((command[1], ""))
            else:
                shown[-1] = (shown[-1][0], f"{shown[-1][1]}{line}\n")
    return shown


def _table_rows(heading: str, cell: int = -1) -> dict[str, str]:
    """The first cell and another, the last unless told, of each row of a table."""
    table = README.split(heading, 1)[1].split("\n\n", 1)[0]
    rows = [[text.strip() for text in line.strip("| ").split("|")] for line in table.splitlines()]
    return {row[0].strip("`"): row[cell] for row in rows if row[0].startswith("`")}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "data", tmp_path / "data", ignore=shutil.ignore_patterns("snapshots", "faults")
    )
    for left in ("catalog.sqlite", "quarantine", ".locks", "bufdir.toml", "faults"):
        target = tmp_path / "data" / left
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
    return tmp_path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BUFDIR_")}
    return plain | {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}


def _run(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def _wait_until_ready(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "the server ended before it was ready"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("the server was not ready in 30 s")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through calls curl")
def test_every_command_in_the_readme_prints_what_stands_below_it(clone: Path) -> None:
    port = _free_port()
    server: subprocess.Popen[bytes] | None = None
    try:
        for command, shown in _console():
            if command == "make demo":
                continue  # its recipe's own commands follow, and are run one by one
            if command == SERVE:
                arguments = ["bufdir", "serve", "--port", str(port)]
                server = subprocess.Popen(arguments, cwd=clone, env=_environment())
                _wait_until_ready(port, server)
                continue
            if "/agg-009" in command:
                _wait_for_the_run(port)
            printed = _run(command.replace(":8000/", f":{port}/"), clone)
            assert (
                INSTANT.sub("(instant)", printed).strip() == INSTANT.sub("(instant)", shown).strip()
            ), command
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def _wait_for_the_run(port: int) -> None:
    """A reader of the walk-through types slower than a run takes."""
    url = f"http://127.0.0.1:{port}/api/v1/bufdir-aggregations/agg-009"
    for _ in range(300):
        if httpx.get(url).json()["status"] != "processing":
            return
        time.sleep(0.1)
    pytest.fail("the run did not end in 30 s")


def test_make_demo_runs_the_commands_that_the_readme_shows() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\ndemo:", 1)[1]
    recipe = recipe.split("\n\n", 1)[0]
    commands = re.findall(r"\$\(bin\)/(.*)", recipe)
    shown = [command for command, _ in _console()]
    first = shown.index("make demo") + 1
    assert commands
    assert shown[first : first + len(commands)] == commands


def test_the_table_of_numbers_says_what_the_metrics_say() -> None:
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
    """A value as the settings file has it; what is empty is shown as nothing set."""
    match value:
        case tuple():
            return f"`[{', '.join(map(json.dumps, value))}]`"
        case dict():
            return "none"
        case _:
            return f"`{json.dumps(value)}`"


def test_the_costs_in_the_readme_are_rows_of_the_results_that_were_measured() -> None:
    section = README.split("## What it costs, and why", 1)[1].split("\n## ", 1)[0]
    shown = [line for line in section.splitlines() if line.startswith("| ")]
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8").splitlines()
    assert len(shown) > 12
    assert [line for line in shown if line not in measured] == []


def test_every_module_and_package_of_the_pipeline_is_on_the_map() -> None:
    layers = README.split("## How it is built", 1)[1]
    there = [path for path in (ROOT / "pipeline").iterdir() if not path.stem.startswith("__")]
    names = {path.name if path.is_file() else f"{path.name}/" for path in there}
    assert {name for name in names if f"{name}`" not in layers} == set()
