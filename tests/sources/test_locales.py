"""Names of files under every locale of the process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.given import DataFolder, people

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, sys
from pathlib import Path

from tests.given import DataFolder, cells, read

folder = DataFolder(Path(sys.argv[1]))
result = folder.nightly(full=True)
(counted,) = cells("duckdb", folder.data).values()
found = {"encoding": sys.getfilesystemencoding(), "refused": dict(result.refused)}
found["names"] = [export.file.name for export in read(folder.data).accepted]
found["rows"] = [result.rows, counted.total["participations"]]
print(json.dumps(found))
"""
NAMES = ["a.parquet", "snø/Ålesund.parquet", "ふゆ.parquet"]


def run_under(data: Path, variables: dict[str, str]) -> dict[str, object]:
    """Run a process with these variables, and return what it finds."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    environment = {**others, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **variables}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(data)],
        env=environment,
        capture_output=True,
        check=True,
    )
    found: dict[str, object] = json.loads(ended.stdout)
    return found


@pytest.fixture
def latin1(tmp_path: Path) -> dict[str, str]:
    """The variables of a process whose system speaks ISO 8859-1."""
    compiler = shutil.which("localedef")
    made = compiler and subprocess.run(
        [compiler, "-i", "nb_NO", "-f", "ISO-8859-1", str(tmp_path / "nb_NO.ISO-8859-1")],
        capture_output=True,
        check=False,
    )
    if not made or made.returncode > 1:
        pytest.skip("this system can't make a locale")
    return {"LC_ALL": "nb_NO.ISO-8859-1", "LOCPATH": str(tmp_path)}


@pytest.fixture
def named(folder: DataFolder) -> Path:
    for number, name in enumerate(NAMES):
        folder.export(people(1, activity_id=str(number)), name)
    return folder.data


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_are_the_same_under_every_locale(named: Path, locale: str) -> None:
    found = run_under(named, {"LC_ALL": locale})
    assert found["encoding"] == {"C": "ascii", "C.UTF-8": "utf-8"}[locale]
    assert (found["names"], found["rows"], found["refused"]) == (sorted(NAMES), [3, 3], {})


def test_names_are_the_same_where_the_system_has_an_encoding_of_its_own(
    named: Path, latin1: dict[str, str]
) -> None:
    found = run_under(named, latin1)
    assert found["encoding"] == "iso8859-1"
    assert (found["names"], found["rows"], found["refused"]) == (sorted(NAMES), [3, 3], {})
