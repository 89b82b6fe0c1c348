"""Nothing that the program writes holds a participant: files, logs, messages, replies."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import pytest

from tests.api.serving import BASE, serving
from tests.cli.conftest import PLANTED, Bufdir, Finished, python
from tests.patience import PATIENCE_SECONDS
from tests.privacy import planted
from tests.privacy.planted import SETTINGS, Finding, export, persons, search

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.no_cover

REFUSED: Final = {
    "cut.parquet",
    "header.csv",
    "identity.parquet",
    "lacking.parquet",
    "no-text.parquet",
    "quote.csv",
    "torn.parquet",
    "torn.xlsx",
}


@pytest.fixture
def exported(data: Path) -> Path:
    (data / "exports").mkdir(exist_ok=True)
    export(data)
    (data / "bufdir.toml").write_text(SETTINGS, encoding="utf-8")
    return data


def found_in(data: Path, temporary: Path, *ended: Finished) -> list[Finding]:
    """Search all output, and all files but the exports."""
    findings = []
    for number, one in enumerate(ended):
        findings += search(f"stdout {number}", one.out.encode())
        findings += search(f"stderr {number}", one.err.encode())
    files = [path for path in data.rglob("*") if path.relative_to(data).parts[0] != "exports"]
    for path in (*files, *temporary.rglob("*")):
        findings += search(f"name of {path.name}", str(path).encode())
        if path.is_file() and not path.is_symlink():
            findings += search(str(path), path.read_bytes())
    return findings


def test_the_search_finds_every_planted_participant_in_the_exports(exported: Path) -> None:
    findings = [
        finding
        for path in (exported / "exports").iterdir()
        for finding in search(path.name, path.read_bytes())
    ]
    assert {finding.person for finding in findings} == set(persons())
    assert {"good.parquet", "numbers.parquet", "good.csv", "lines.jsonl"} <= {
        finding.where.partition("/")[0] for finding in findings
    }


@pytest.mark.parametrize("form", ["utf-8", "utf-16-le", "hex", "base64"])
def test_the_search_finds_encoded_participants(form: str) -> None:
    for person in planted.TEXTS:
        text = person.encode()
        content = {
            "utf-8": text,
            "utf-16-le": person.encode("utf-16-le"),
            "hex": text.hex().encode(),
            "base64": base64.b64encode(b"ab" + text + b"cd"),
        }[form]
        assert search("file", b"before" + content + b"after")


@pytest.mark.parametrize("engine", ["polars", "duckdb"])
def test_no_command_writes_a_participant(exported: Path, tmp_path: Path, engine: str) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    bufdir = Bufdir(exported)
    variables = {"TMPDIR": str(temporary), "BUFDIR_ENGINE__NAME": engine}
    nightly = bufdir("-vv", "nightly", **variables)
    assert nightly.code == 3
    assert {name for name in REFUSED if name not in nightly.err} == set()
    ended = [
        nightly,
        bufdir("-vv", "nightly", "--full", **variables, BUFDIR_LOG__FORMAT="json"),
        bufdir("run", "--period", "rp-2024-m11", "--json", **variables),
        bufdir("check", "--json", **variables),
        bufdir("check", *sorted((exported / "exports").iterdir()), **variables),
        bufdir("verify", "--json", **variables),
        bufdir("status"),
        bufdir("show", "agg-001", "--metrics"),
    ]
    assert found_in(exported, temporary, *ended) == []
    assert any((exported / "quarantine").iterdir())
    assert any((exported / "cache" / "converted").iterdir())


def test_no_proposal_writes_a_participant(exported: Path, tmp_path: Path) -> None:
    bufdir = Bufdir(exported)
    names = ("good.csv", "lines.jsonl", "book.xlsx", "good.parquet", "torn.parquet", "quote.csv")
    ended = [bufdir("init", exported / "exports" / name) for name in names]
    assert found_in(exported, tmp_path / "none", *ended) == []


def test_a_crash_writes_no_participant(exported: Path, tmp_path: Path) -> None:
    for form, person in zip(("text", "text", "json"), planted.TEXTS, strict=False):
        code = PLANTED.format(error=f"KeyError({person!a})")
        ended = python(code, exported, BUFDIR_LOG__FORMAT=form)
        assert ended.code == 1
        assert found_in(exported, tmp_path / "none", ended) == []
    assert any((exported / "crashes").iterdir())


def test_the_server_and_its_runs_write_no_participant(exported: Path, tmp_path: Path) -> None:
    Bufdir(exported)("-q", "nightly")
    with serving(exported) as server, server.client() as client:
        paths = ("", "/agg-001", "/agg-001/metrics", "/agg-999")
        bodies = [client.get(f"{BASE}{path}").content for path in paths]
        asked = {"force_refresh": True}
        bodies.append(client.put(f"{BASE}/agg-001", json=asked, timeout=PATIENCE_SECONDS).content)
        log = server.log
    assert [search("reply", body) for body in bodies] == [[]] * len(bodies)
    assert found_in(exported, tmp_path / "none", Finished(0, "", log.read_text())) == []
