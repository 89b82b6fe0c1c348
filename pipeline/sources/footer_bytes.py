"""The bytes of a Parquet file's footer, read before any library sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.exports import Opened

_MAGIC: Final = b"PAR1"
_ENCRYPTED: Final = b"PARE"
_END: Final = 8
"""The bytes after the footer: its size and the magic number."""
_FIRST_READ: Final = 65_536
"""A size in bytes that is enough for most footers."""
_MEBIBYTE: Final = 2**20
_NO_PARQUET: Final = "it can't be read as Parquet ({}); export or copy it again"


class FooterRefused(ValueError):
    """A footer that contradicts itself or its file, or exceeds a bound; has what to do."""


def read(file: Opened, size: int, limits: LimitSettings) -> bytes:
    """Read the footer of an open file of this size.

    Raises:
        FooterRefused: It is no Parquet, or cut, or its footer is larger than it or than allowed.
        OSError: It can't be read.
    """
    if not size:
        raise FooterRefused("it is empty; export it again")
    if size < len(_MAGIC) + _END:
        raise FooterRefused(_NO_PARQUET.format("it is too short"))
    end = _read(file, max(0, size - _FIRST_READ), min(size, _FIRST_READ))
    beginning = end[:4] if size <= _FIRST_READ else _read(file, 0, 4)
    if _ENCRYPTED in {end[-len(_MAGIC) :], beginning}:
        raise FooterRefused("it is encrypted; export it without encryption")
    if (beginning, end[-len(_MAGIC) :]) != (_MAGIC, _MAGIC):
        raise FooterRefused(_NO_PARQUET.format("it does not begin and end as Parquet does"))
    length = int.from_bytes(end[-_END : -len(_MAGIC)], "little")
    if length > size - _END - len(_MAGIC):
        claim = f"its footer has {length:,} bytes by its own account, and the file {size:,}"
        raise FooterRefused(_NO_PARQUET.format(claim))
    refuse_above("footer_mb", length, limits.footer_mb, _MEBIBYTE, "a footer of {} bytes")
    if length + _END > len(end):
        end = _read(file, size - _END - length, length + _END)
    return end[-_END - length : -_END]


def size_with(footer: bytes) -> int:
    """Give the bytes that a footer takes at the end of its file."""
    return len(footer) + _END


def as_file(footer: bytes) -> bytes:
    """Give a file without pages that has this footer."""
    return _MAGIC + footer + len(footer).to_bytes(4, "little") + _MAGIC


def refuse_above(setting: str, number: int, most: int, unit: int, what: str) -> None:
    """Refuse a file that has more than a bound allows.

    Args:
        setting: The name of the setting in `[limits]`.
        number: The number that the file has.
        most: The value of the setting.
        unit: The number that one of the setting's units is.
        what: The words for what the file has, with braces for the number.

    Raises:
        FooterRefused: It has more.
    """
    if number > most * unit:
        raise FooterRefused(
            f"it has {what.format(f'{number:,}')}, and the setting limits.{setting} allows "
            f"{most:,}; raise it if the file is meant to be so"
        )


def _read(file: Opened, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
