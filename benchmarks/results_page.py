"""The page `RESULTS.md`: `make bench` writes it, and other benchmarks one section each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("RESULTS.md")
_SECTION: Final = re.compile(r"<!-- (?P<name>\w+) -->\n.*?<!-- /(?P=name) -->\n", re.DOTALL)


def write(page: str) -> None:
    """Write the whole page, but keep the sections that other benchmarks wrote."""
    _write(page, _divided()[1])


def write_section(name: str, section: str) -> None:
    """Write the section of one benchmark, and keep everything else."""
    page, sections = _divided()
    _write(page, sections | {name: f"<!-- {name} -->\n{section}<!-- /{name} -->\n"})


def _write(page: str, sections: dict[str, str]) -> None:
    parts = [page.rstrip("\n") + "\n", *sections.values()]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _divided() -> tuple[str, dict[str, str]]:
    """Read the page without its sections, and each section by its name, with its marks."""
    page = PAGE.read_text(encoding="utf-8")
    sections = {found["name"]: found[0] for found in _SECTION.finditer(page)}
    return _SECTION.sub("", page), sections
