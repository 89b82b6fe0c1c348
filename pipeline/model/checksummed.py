"""JSON files that end with the SHA-256 of their own content, so that damage is found in them alone.

The last field is `sha256`. Its value is the digest of the file with that value left out:
`sed 's/"sha256": "[0-9a-f]*"/"sha256": ""/' FILE | sha256sum` gives it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

_END: Final = b"\n}\n"
_FIELD: Final = b',\n  "sha256": "'
_CHECKSUM: Final = re.compile(re.escape(_FIELD) + rb'([0-9a-f]{64})"\n\}\n\Z')


class WrongChecksum(msgspec.DecodeError):
    """A file whose content is not that of its checksum."""

    def __init__(self) -> None:
        super().__init__("its content does not agree with its checksum")


def encode(value: msgspec.Struct) -> bytes:
    """Write a value as indented JSON that ends with its checksum."""
    content = msgspec.json.format(msgspec.json.encode(value), indent=2).removesuffix(b"\n}")
    return b"".join((content, _FIELD, _digest(content), b'"', _END))


def body(content: bytes) -> bytes | None:
    """Give the JSON of a file without its checksum; None where it does not end with one.

    Raises:
        WrongChecksum: The checksum is not that of the content.
    """
    found = _CHECKSUM.search(content, max(0, len(content) - len(_FIELD) - 70))
    if found is None:
        return None
    before = content[: found.start()]
    if _digest(before) != found[1]:
        raise WrongChecksum
    return before + _END


def _digest(content: bytes) -> bytes:
    """Digest a file whose checksum is empty."""
    digest = hashlib.sha256(content)
    digest.update(_FIELD + b'"' + _END)
    return digest.hexdigest().encode()
