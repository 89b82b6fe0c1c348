"""Pages of the docs as tests read them: their blocks, and their commands as people run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).parent.parent
_PROGRAMS: Final = Path(sys.executable).parent
_VARYING: Final = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ": "(instant)",
    r"^date: .*": "date: (date)",
}
"""The parts of an output that are another every time."""


def page(name: str) -> str:
    """Return the text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Return the content of every block of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def console(text: str) -> list[tuple[str, str]]:
    """List every command that a page shows, in its order, with the output below it."""
    shown: list[tuple[str, str]] = []
    for block in blocks(text, "console"):
        for line in block.splitlines():
            command = re.fullmatch(r"(?:\$ |\.venv/bin/)(.*)", line)
            if command:
                shown.append((command[1], ""))
            else:
                shown[-1] = (shown[-1][0], f"{shown[-1][1]}{line}\n")
    return shown


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text: their rows, with the header first, as texts of cells."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    return [[_cells(line) for line in table.splitlines() if "---" not in line] for table in found]


def _cells(line: str) -> list[str]:
    return [text.strip() for text in line.strip()[1:-1].split("|")]


def environment() -> dict[str, str]:
    """Return our environment with the program on the path, and without variables that set it."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BUFDIR_")}
    path = f"{_PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return plain | {"PATH": path, "PYTHONPATH": str(ROOT)}


def run(command: str, folder: Path) -> str:
    """Run a command as a person types it, and return all that it prints."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return done.stdout


def without_varying(output: str) -> str:
    """Return an output without the parts that are another every time."""
    for pattern, replacement in _VARYING.items():
        output = re.sub(pattern, replacement, output, flags=re.MULTILINE)
    return output.strip()
