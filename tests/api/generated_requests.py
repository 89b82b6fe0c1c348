"""Schemathesis as a process: it generates requests from the OpenAPI document that a server serves.

All of its checks are switched on, and all of its phases, of which the last follows links.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.api.serving import Server

SEED: Final = int(os.environ.get("TEST_SEED") or Random().randrange(10**6))  # noqa: S311
"""What draws the requests."""
_PHASES: Final = ["examples", "coverage", "fuzzing", "stateful"]
_SETTINGS: Final = """
hooks = "tests.api.schemathesis_hooks"
continue-on-failure = true
request-timeout = 60

[generation]
max-examples = {examples}
database = "none"

"""


@dataclass(frozen=True)
class Generated:
    """The end of a process of Schemathesis."""

    seed: int
    report: Mapping[str, Any]
    printed: str

    @property
    def cases(self) -> int:
        """The number of requests that were generated, sent and checked."""
        tests: Mapping[str, int] = self.report["test_cases"]
        return tests["generated"] - tests["without_checks"]

    def check(self) -> None:
        """Check that every phase has run to its end, and that every reply was as documented."""
        problem = f"TEST_SEED={self.seed}\n{self.printed}"
        assert self.report["complete"], problem
        assert list(self.report["phases"]) == _PHASES, problem
        assert not self.report["errors"], problem
        assert not self.report["failures"], problem
        assert self.report["exit_code"] == 0, problem


def bearer(token: str) -> str:
    """Write the settings by which every request shows this token."""
    return f'[auth.openapi.token]\nbearer = "{token}"\n'


def peers(folder: Path, tokens: Mapping[str, str]) -> str:
    """Write the settings by which requests show these tokens in turn.

    No reply to one of them may have what another one has created.
    """
    users = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    (folder / "users.json").write_text(json.dumps({"auth": users}))
    return f'[auth.wfc]\npath = "{folder / "users.json"}"\npeers = {json.dumps(list(tokens))}\n'


def generate(
    server: Server, folder: Path, seed: int, examples: int, settings: str, *options: str
) -> Generated:
    """Generate requests to a server, send them and check the replies.

    Args:
        server: The server.
        folder: A folder for settings and the report.
        seed: What draws the requests.
        examples: The most cases of one operation in one phase.
        settings: Further settings.
        options: Further options.
    """
    (folder / "schemathesis.toml").write_text(_SETTINGS.format(examples=examples) + settings)
    report = folder / "report.json"
    program = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"]
    command = ["run", f"{server.url}/schema/openapi.json", "--checks", "all", "--seed", str(seed)]
    outputs = ["--report", "json", "--report-json-path", str(report), "--no-shrink"]
    done = subprocess.run(
        [*program, *command, *outputs, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert report.exists(), printed
    return Generated(seed, json.loads(report.read_text()), printed)
