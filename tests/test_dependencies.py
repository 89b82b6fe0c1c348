"""Dependencies: without known vulnerabilities, with hashes, audited and listed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = (
    "requirements.lock",
    "benchmarks/requirements.lock",
    "tests/spark/requirements.lock",
    "deploy/spark.lock",
    "deploy/spark-client.lock",
    ".ci/tools.lock",
)
FIXED: Final = {
    "certifi": ("2024.7.4", "CVE-2024-39689"),
    "cryptography": ("46.0.5", "CVE-2026-26007"),
    "flask": ("3.1.3", "CVE-2026-27205"),
    "flask-cors": ("6.0.0", "CVE-2024-6221"),
    "fonttools": ("4.61.0", "CVE-2025-66034"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "idna": ("3.7", "CVE-2024-3651"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "litestar": ("2.20.0", "CVE-2026-25478"),
    "multipart": ("1.3.1", "CVE-2026-28356"),
    "pillow": ("12.1.1", "CVE-2026-25990"),
    "pyarrow": ("23.0.1", "CVE-2026-25087"),
    "pygments": ("2.15.1", "CVE-2022-40896"),
    "requests": ("2.32.4", "CVE-2024-47081"),
    "setuptools": ("78.1.1", "CVE-2025-47273"),
    "urllib3": ("2.6.3", "CVE-2026-21441"),
    "werkzeug": ("3.1.6", "CVE-2026-27199"),
}
"""By package, the release that fixed the latest vulnerability that is known to us."""
_PIN: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def required() -> Iterator[Requirement]:
    """Give every requirement of the program and of its extras."""
    extras = project()["optional-dependencies"].values()
    for group in (project()["dependencies"], *extras):
        yield from map(Requirement, group)


def floor(requirement: Requirement) -> Version:
    return max(Version(one.version) for one in requirement.specifier if one.operator == ">=")


@pytest.mark.parametrize("package", FIXED)
def test_no_floor_admits_a_release_with_a_known_vulnerability(package: str) -> None:
    floors = [floor(one) for one in required() if one.name == package]
    assert floors
    assert min(floors) >= Version(FIXED[package][0])


def test_every_requirement_has_a_floor() -> None:
    assert all(any(one.operator == ">=" for one in found.specifier) for found in required())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_has_releases_without_them_and_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    pins = _PIN.findall(text)
    assert pins
    for package, release in pins:
        assert Version(release) >= Version(FIXED.get(package, ("0", ""))[0]), package
    parts = re.split(r"(?m)^(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in part for part in parts if _PIN.match(part))


def test_an_audit_without_its_tools_reports_that_in_one_sentence() -> None:
    command = [sys.executable, str(ROOT / ".ci/audit.py"), str(ROOT / "requirements.lock")]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert (ended.returncode, ended.stdout) == (69, "")
    assert re.fullmatch(
        r"audit: pip-audit could not look up .*; run it again where .*\n", ended.stderr
    )


@pytest.mark.skipif(not (ROOT / ".venv-tools" / ".ready").exists(), reason="needs make sbom")
def test_the_bill_of_materials_has_every_locked_package_and_is_the_same_each_time() -> None:
    command = ["make", "-s", "sbom"]
    printed = [
        subprocess.run(
            command, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE_SECONDS
        ).stdout
        for _ in range(2)
    ]
    assert printed[0] == printed[1]
    bill = json.loads(printed[0])
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == project()["name"]
    found = {(one["name"], one["version"]) for one in bill["components"]}
    assert found == set(_PIN.findall((ROOT / "requirements.lock").read_text("utf-8")))
