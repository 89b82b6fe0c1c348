"""The page `RESULTS.md`: `make bench` writes it, `make bench-spark` one section of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("RESULTS.md")
_BEGIN: Final = "<!-- spark -->\n"
_END: Final = "<!-- /spark -->\n"


def write(page: str) -> None:
    """Write the whole page, but keep the section about Spark."""
    _write(page, _divided()[1])


def write_section(section: str) -> None:
    """Write the section about Spark, and keep all others."""
    _write(_divided()[0], f"{_BEGIN}{section}{_END}")


def _write(page: str, section: str) -> None:
    parts = [page.rstrip("\n") + "\n", section] if section else [page]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _divided() -> tuple[str, str]:
    """Read the page without the section about Spark, and that section with its marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, begin, found = page.partition(_BEGIN)
    section, end, after = found.partition(_END)
    return before + after, begin + section + end
