"""The JSON envelope of commands, of their diagnostics and of their failures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.cli.conftest import PLANTED, bare, python
from tests.given import NOW, export, people

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir, Finished

KEYS = ["command", "exit_code", "result", "diagnostics", "error"]


def failed(ended: Finished) -> dict[str, Any]:
    """Return the error in the envelope that a failed command has printed."""
    envelope = ended.body
    assert list(envelope) == KEYS
    assert (envelope["exit_code"], envelope["result"]) == (ended.code, None)
    assert ended.err.removeprefix("bufdir: ").removesuffix("\n") == envelope["error"]["message"]
    return {"command": envelope["command"], "type": envelope["error"]["type"]}


@pytest.mark.parametrize("command", ["nightly", "check", "verify", "status", "config", "reindex"])
def test_commands_without_a_contract_body_print_one_envelope(
    computed: Bufdir, command: str
) -> None:
    envelope = computed(command, "--json").body

    assert list(envelope) == KEYS
    assert (envelope["command"], envelope["exit_code"], envelope["error"]) == (command, 0, None)
    assert isinstance(envelope["result"], dict)


def test_the_envelope_holds_the_diagnostics_that_stderr_shows(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    (data / "exports" / "empty.parquet").touch()

    ended = bufdir("nightly", "--json")

    message = "export empty.parquet is refused: it is empty; export it again"
    assert ended.body["diagnostics"] == [
        {"event": "export_refused", "message": message, "severity": "warning"}
    ]
    assert ended.err == f"bufdir: {message}\n"
    assert (ended.code, ended.body["exit_code"]) == (3, 3)


def test_a_failed_run_is_a_diagnostic_of_severity_error(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))

    ended = bufdir("run", "--period", "rp-2024-q4", "--org", "absent", "--json")

    assert [(one["event"], one["severity"]) for one in ended.body["diagnostics"]] == [
        ("run_failed", "error")
    ]


@pytest.mark.parametrize(
    ("arguments", "command", "type_"),
    [
        (["list", "--json", "--foo"], "list", "usage"),
        (["list", "--limit", "0", "--json"], "list", "usage"),
        (["show", "--json"], "show", "usage"),
        (["nigtly", "--json"], None, "usage"),
        (["--json", "list"], None, "usage"),
        (["list", "--org", "a b", "--json"], "list", "invalid-value"),
        (["show", "agg-999", "--json"], "show", "snapshot-not-found"),
        (["delete", "agg-999", "--json"], "delete", "snapshot-not-found"),
        (["delete", "agg-001", "--json"], "delete", "confirmation-needed"),
        (["run", "--period", "rp-2100", "--json"], "run", "period-not-begun"),
        (["sample", "s", "--seed", "-1", "--json"], "sample", "usage"),
    ],
)
def test_a_refusal_is_an_envelope_with_an_error_of_a_stable_type(
    computed: Bufdir, arguments: list[str], command: str | None, type_: str
) -> None:
    ended = computed(*arguments)

    assert failed(ended) == {"command": command, "type": type_}
    assert ended.code == 2


def test_a_wrong_setting_is_an_error_in_json(computed: Bufdir) -> None:
    ended = computed("config", "--json", BUFDIR_MAX_HOURS="0")

    assert failed(ended) == {"command": "config", "type": "invalid-setting"}


def test_a_data_folder_that_does_not_exist_is_an_error_in_json(tmp_path: Path) -> None:
    ended = bare("list", "--json", "--data", str(tmp_path / "typo"))

    assert failed(ended) == {"command": "list", "type": "usage"}


def test_a_lock_that_another_run_holds_is_an_error_in_json(bufdir: Bufdir, data: Path) -> None:
    with Catalog.open(data) as catalog, run_queue.nightly_run(catalog, lambda: NOW):
        ended = bufdir("nightly", "--json")

    assert failed(ended) == {"command": "nightly", "type": "busy"}
    assert ended.code == 75


def test_a_crash_is_an_error_in_json(data: Path) -> None:
    code = PLANTED.format(error="ZeroDivisionError('planted')").replace(
        '"nightly"]', '"nightly", "--json"]'
    )

    ended = python(code, data)

    assert failed(ended) == {"command": "nightly", "type": "crash"}
    assert ended.code == 1


def test_a_failure_without_json_prints_nothing_on_stdout(computed: Bufdir) -> None:
    assert computed("show", "agg-999").out == ""
    assert computed("show", "--", "--json").out == ""


def test_contract_bodies_stand_in_no_envelope(bufdir: Bufdir, data: Path) -> None:
    export(data, people(2))
    bufdir("nightly")

    assert list(bufdir("list", "--json").body) == ["data", "pagination"]
    assert next(iter(bufdir("show", "agg-001", "--json").body)) == "id"
    assert next(iter(bufdir("show", "agg-001", "--metrics", "--json").body)) == "org_id"
    assert json.loads(bufdir("delete", "agg-001", "--yes", "--json").out) == {
        "deleted": True,
        "id": "agg-001",
    }
