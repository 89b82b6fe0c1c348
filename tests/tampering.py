"""Versions with other numbers than were counted, as a fault of the program would publish them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipeline.model import versions
from pipeline.storage import file_digests, version_files
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path


def tamper(data: Path, number: int = 1, version: int = 1, **changes: Any) -> None:
    """Change fields of a published version in its file, and its digests with them."""
    found = version_files.read(data, number, version)
    content = versions.encode(msgspec.structs.replace(found, **changes))
    version_files.version_path(data, number, version).write_bytes(content)
    with Catalog.open(data) as catalog:
        file_digests.write(catalog, {(number, version): file_digests.digest_of(content)})
