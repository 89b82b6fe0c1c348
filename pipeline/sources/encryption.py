"""The encryption of converted files: they have participants as the exports do.

Converted files are encrypted as a whole, by Parquet's own modular encryption: AES-256 in
Galois/Counter Mode, which also finds every changed byte. A hash in the place of each participant
would be simpler. But one person in a Parquet file and in a CSV file must stay one person, so the
values must come back as they were.

The key is in a file next to the cache, not in it: a copy of the cache alone reveals nothing. Each
part of a file has a random nonce of 96 bits, so one key may encrypt 2^32 parts (NIST SP 800-38D,
8.3), about four million files. A lost key costs the time to convert the exports again.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pyarrow.parquet as pq
from pyarrow.parquet.encryption import create_decryption_properties, create_encryption_properties

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from pipeline.sources.exports import File

KEY_FILE: Final = "cache.key"
"""The file with the key, in the data folder."""
_SIZE: Final = 32
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class EncryptedFile:
    """A Parquet file to be written, and the key to encrypt it with."""

    path: Path
    key: bytes = field(repr=False)

    def writer(self, schema: pa.Schema, **options: Any) -> pq.ParquetWriter:  # noqa: ANN401
        """Open the file to write it.

        Raises:
            OSError: It can't be written.
        """
        encryption = create_encryption_properties(self.key)
        return pq.ParquetWriter(self.path, schema, encryption_properties=encryption, **options)


def new_key() -> bytes:
    """Make a random key."""
    return secrets.token_bytes(_SIZE)


def read_key(path: Path) -> bytes | None:
    """Read the key; None where there is none, or none that can be used."""
    with suppress(OSError):
        key = path.read_bytes()
        return key if len(key) == _SIZE else None
    return None


def make_key(path: Path) -> bytes:
    """Read the key, or write a new one that only this user can read.

    Of two processes that write one at the same time, both get the first one's.

    Raises:
        OSError: It can't be written.
    """
    if (known := read_key(path)) is not None:
        return known
    with suppress(FileNotFoundError):
        path.unlink()  # it is torn, so no file can be read with it
    temporary = path.with_name(f".{uuid4().hex}-{path.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(new_key())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError, FileNotFoundError):  # another process was first
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes()


def sweep(path: Path) -> None:
    """Remove keys that a killed process left under other names, once there is a key."""
    if read_key(path) is not None:
        for left in path.parent.glob(f".*-{path.name}"):
            left.unlink(missing_ok=True)


def open_parquet(file: File, **options: Any) -> pq.ParquetFile:  # noqa: ANN401 (of any type)
    """Open a Parquet file to read it, encrypted or not.

    Raises:
        pyarrow.ArrowException, OSError: It is no Parquet, has another key, or can't be opened.
    """
    if file.key is not None:
        options["decryption_properties"] = create_decryption_properties(file.key)
    return pq.ParquetFile(file.for_arrow(), **options)
