"""The page `RESULTS.md`: `make bench` writes it, and other benchmarks a section each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("RESULTS.md")
SECTIONS: Final = ("soak", "spark")
"""The sections that are written apart from the rest, in their order at the end of the page."""


def write(page: str) -> None:
    """Write the whole page, but keep the sections that are written apart."""
    _write(page, _divided()[1])


def write_section(name: str, section: str) -> None:
    """Write one of the sections, and keep all others."""
    page, sections = _divided()
    _write(page, {**sections, name: section})


def _write(page: str, sections: dict[str, str]) -> None:
    parts = [page.rstrip("\n") + "\n"]
    parts += [
        f"<!-- {name} -->\n{sections[name]}<!-- /{name} -->\n"
        for name in SECTIONS
        if name in sections
    ]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _divided() -> tuple[str, dict[str, str]]:
    """Read the page without its sections, and the sections by name."""
    page = PAGE.read_text(encoding="utf-8")
    sections = {}
    for name in SECTIONS:
        mark = re.compile(f"\n<!-- {name} -->\n(.*)<!-- /{name} -->\n", re.DOTALL)
        found = mark.search(page)
        if found is not None:
            sections[name] = found[1]
            page = mark.sub("", page)
    return page, sections
