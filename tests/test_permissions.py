"""Files that this program writes are for its user and, to read, for the group."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.conftest import PLANTED, PROGRAM, REPOSITORY, environment
from tests.given import people, row, table, write
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CSV: Final = """
[[sources]]
name = "csv"
files = "*.csv"
format = "csv"

[[sources]]
name = "others"
"""


@contextmanager
def masked(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def run(data: Path, umask: int, *arguments: str) -> int:
    command = [*PROGRAM, "--data", str(data), *arguments]
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(),
        umask=umask,
        check=False,
        timeout=PATIENCE_SECONDS,
    ).returncode


def modes(data: Path) -> dict[str, int]:
    """Return the permissions of all that is ours."""
    ours = (
        path
        for path in data.rglob("*")
        if not path.is_symlink()
        and path.relative_to(data).parts[0] not in {"exports", "bufdir.toml"}
    )
    return {str(path.relative_to(data)): stat.S_IMODE(path.stat().st_mode) for path in ours}


@pytest.fixture
def populated(data: Path) -> Path:
    write(data, table([*people(3), row(hours=-1.0)]))
    header = "org_id,activity_id,participant_id,bufdir_category,started_at,hours"
    text = f"{header}\norg-1,a,p,eldre,2024-11-05,1\n"
    (data / "exports" / "b.csv").write_text(text, encoding="utf-8")
    (data / "bufdir.toml").write_text(CSV, encoding="utf-8")
    return data


@pytest.mark.parametrize(("umask", "file", "folder"), [(0, 0o640, 0o750), (0o077, 0o600, 0o700)])
def test_no_mask_of_the_caller_widens_files(
    populated: Path, umask: int, file: int, folder: int
) -> None:
    assert run(populated, umask, "nightly") == 0
    assert run(populated, umask, "run", "--period", "rp-2024-m11") == 0
    code = PLANTED.format(error="KeyError()")
    subprocess.run(
        [PROGRAM[0], "-c", code, str(populated)],
        cwd=REPOSITORY,
        env=environment(),
        umask=umask,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    found = modes(populated)
    assert {"catalog.sqlite", "cache.key", "snapshots", "quarantine", "cache", "crashes"} <= set(
        found
    )
    assert found.pop("cache.key") == 0o600
    for name, mode in found.items():
        allowed = folder if (populated / name).is_dir() else file
        assert mode & ~allowed == 0, f"{name} is {mode:o}"


def test_runs_of_the_server_write_files_as_tight(populated: Path) -> None:
    assert run(populated, 0, "nightly") == 0
    command = [*PROGRAM, "--data", str(populated), "serve", "--port", "0"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment(), umask=0, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            address = next(line for line in server.stderr if "http://" in line)
            assert "127.0.0.1" in address
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=PATIENCE_SECONDS)
    assert all(mode & 0o027 == 0 for mode in modes(populated).values())


def test_what_an_earlier_release_left_wider_is_restricted(populated: Path) -> None:
    with masked(0):
        (populated / "crashes").mkdir()
        (populated / "quarantine").mkdir()
    (populated / "crashes").chmod(0o777)
    assert run(populated, 0, "nightly") == 0
    (populated / "catalog.sqlite").chmod(0o666)
    assert run(populated, 0, "run", "--period", "rp-2024-q4", "--force") == 0
    found = modes(populated)
    assert found["crashes"] == found["quarantine"] == 0o750
    assert found["catalog.sqlite"] == 0o640


def test_exports_and_settings_keep_their_permissions(populated: Path) -> None:
    (populated / "bufdir.toml").chmod(0o664)
    (populated / "exports").chmod(0o775)
    assert run(populated, 0, "nightly") == 0
    assert stat.S_IMODE((populated / "bufdir.toml").stat().st_mode) == 0o664
    assert stat.S_IMODE((populated / "exports").stat().st_mode) == 0o775
