"""The files for systemd and for cron; both start the same nightly run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS

DEPLOY = Path(__file__).parent.parent / "deploy"
UNITS = sorted(DEPLOY.glob("*.service")) + sorted(DEPLOY.glob("*.timer"))
PROGRAM = "/opt/bufdir/.venv/bin/bufdir"
DATA = "/srv/bufdir"


def lines(name: str, key: str) -> list[str]:
    """Return the values of the `key=` lines of a unit, in order."""
    return re.findall(rf"^{key}=(.*)$", (DEPLOY / name).read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        # systemd also asks that the program be there, which it is on the operator's machine only
        there = unit.read_text().replace(PROGRAM, shutil.which("true") or "")
        (tmp_path / unit.name).write_text(there)

    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )

    problems = [line for line in verdict.stderr.splitlines() if "bufdir-" in line]
    assert problems == []
    assert verdict.returncode == 0


def test_a_service_may_write_in_the_data_folder_only_and_never_in_its_exports() -> None:
    for service in DEPLOY.glob("*.service"):
        assert lines(service.name, "ProtectSystem") == ["strict"]
        assert lines(service.name, "ReadWritePaths") == [DATA]
        assert lines(service.name, "ReadOnlyPaths") == [f"{DATA}/exports"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
@pytest.mark.parametrize("service", ["bufdir-nightly.service", "bufdir-serve.service"])
def test_systemd_finds_no_fault_in_a_service_with_exports_elsewhere(
    tmp_path: Path, service: str
) -> None:
    unit = (DEPLOY / service).read_text().replace(PROGRAM, shutil.which("true") or "")
    (tmp_path / service).write_text(unit)
    (tmp_path / f"{service}.d").mkdir()
    shutil.copy(DEPLOY / "exports-elsewhere.conf", tmp_path / f"{service}.d")
    verdict = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / service],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert [line for line in verdict.stderr.splitlines() if "bufdir" in line] == []
    assert verdict.returncode == 0


def test_exports_elsewhere_need_the_network_that_a_service_denies() -> None:
    opened = "exports-elsewhere.conf"
    assert lines("bufdir-nightly.service", "PrivateNetwork") == ["yes"]
    assert lines(opened, "PrivateNetwork") == ["no"]
    assert lines("bufdir-serve.service", "IPAddressDeny") == ["any"]
    assert lines(opened, "IPAddressDeny") == [""]
    families = lines("bufdir-serve.service", "RestrictAddressFamilies")
    assert lines(opened, "RestrictAddressFamilies") == families
    assert lines(opened, "ReadOnlyPaths") == [""]


def test_a_nightly_run_writes_the_folders_that_its_unit_names_and_no_exports(
    tmp_path: Path,
) -> None:
    exports = tmp_path / "exports"
    shutil.copytree(DEPLOY.parent / "data" / "exports" / "2023", exports)
    before = {path: path.stat().st_mtime_ns for path in (exports, *exports.rglob("*"))}

    subprocess.run(
        [Path(sys.executable).with_name("bufdir"), "--data", tmp_path, "nightly"],
        env={**os.environ, "PYTHONPATH": str(DEPLOY.parent)},
        capture_output=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )

    named = set(re.findall(r"(\S+)/[ ,.\n]", (DEPLOY / "bufdir-nightly.service").read_text()))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} <= named
    assert {path: path.stat().st_mtime_ns for path in (exports, *exports.rglob("*"))} == before


def test_a_nightly_run_that_finds_the_lock_taken_is_tried_again() -> None:
    assert lines("bufdir-nightly.service", "Restart") == ["on-failure"]
    assert lines("bufdir-nightly.service", "RestartPreventExitStatus") == ["1 2 3"]
    assert lines("bufdir-nightly.service", "SuccessExitStatus") == []


def test_cron_and_the_timer_start_the_same_command_at_the_same_time() -> None:
    (entry,) = re.findall(r"^\d.*$", (DEPLOY / "crontab").read_text(), re.MULTILINE)
    minute, hour, *every_day, user, command = entry.split(maxsplit=6)

    assert every_day == ["*", "*", "*"]
    assert lines("bufdir-nightly.timer", "OnCalendar") == [
        f"*-*-* {int(hour):02}:{int(minute):02}:00 Europe/Oslo"
    ]
    assert lines("bufdir-nightly.service", "User") == [user]
    assert lines("bufdir-nightly.service", "ExecStart") == [command]


@pytest.mark.parametrize("service", ["bufdir-nightly.service", "bufdir-serve.service"])
def test_what_a_service_starts_is_a_command_that_bufdir_has(service: str, tmp_path: Path) -> None:
    (command,) = lines(service, "ExecStart")
    program, *arguments = shlex.split(command.replace(DATA, str(tmp_path)))
    assert program == PROGRAM

    shown = subprocess.run(
        [Path(sys.executable).with_name("bufdir"), *arguments, "--help"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )

    assert shown.returncode == 0, shown.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
@pytest.mark.parametrize("service", ["bufdir-nightly.service", "bufdir-serve.service"])
def test_systemd_rates_the_exposure_of_a_service_below_three_of_ten(service: str) -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=29", DEPLOY / service],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )

    assert rated.returncode == 0, rated.stdout


def test_every_test_that_the_page_on_security_names_is_there() -> None:
    page = (DEPLOY.parent / "SECURITY.md").read_text()

    named = re.findall(r"`((?:tests|docs)/[^`]+)`", page)

    assert len(named) > 20
    assert [path for path in named if not (DEPLOY.parent / path).exists()] == []
