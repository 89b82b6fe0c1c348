"""Text files as UTF-8, whatever their encoding, a piece at a time."""

from __future__ import annotations

import codecs
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.sources.exports import Readable

LOST: Final = "\ufffd"
"""The sign in the place of bytes that are no text in the encoding."""
_PIECE: Final = 2**17
"""Bytes that are decoded at a time: what fits into a processor's cache takes half the time."""
_WIDEST: Final = 3
"""The most bytes of UTF-8 for one byte of another encoding."""


class Transcoded(io.RawIOBase):
    """A file as UTF-8, whatever its encoding; bytes that are no text in it become `LOST`."""

    def __init__(self, opened: Readable, encoding: str) -> None:
        super().__init__()
        name = codecs.lookup(encoding).name
        self._is_utf_8 = name in {"utf-8", "utf-8-sig"}
        decoder = codecs.getincrementaldecoder("utf-8" if self._is_utf_8 else encoding)
        self._opened, self._decoder = opened, decoder(errors="replace")
        self._waiting = b""
        self._is_at_begin, self._is_at_end = True, False
        self.has_quotes = self.has_lost = False
        """Whether any quote, and any `LOST`, has been read so far."""
        self.has_line_end = False
        """Whether what has been read so far ends with a line end."""

    def readable(self) -> bool:
        """Return that it can be read, as Arrow asks."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read up to this many bytes of UTF-8, or one piece; none only at the end."""
        if self._waiting:
            given, self._waiting = self._waiting[:size], self._waiting[size:]
            return given
        pieces: list[bytes] = []
        left = size
        while not self._is_at_end and (left >= _PIECE * _WIDEST or left == size):
            pieces.append(self._transcoded(self._opened.read(_PIECE)))
            left -= len(pieces[-1])
        given = b"".join(pieces)
        self.has_line_end = given.endswith((b"\n", b"\r")) if given else self.has_line_end
        self.has_quotes = self.has_quotes or b'"' in given
        return given

    def _transcoded(self, content: bytes) -> bytes:
        """Write bytes as UTF-8; no bytes are the end of the file."""
        self._is_at_end = not content
        if self._is_at_begin and self._is_utf_8:
            content = content.removeprefix(codecs.BOM_UTF8)  # no part of the first name
        self._is_at_begin = False
        cut_off, _ = self._decoder.getstate()
        text = self._decoder.decode(content, final=self._is_at_end)
        self.has_lost = self.has_lost or LOST in text
        if self._is_utf_8 and LOST not in text:
            cut_off_now, _ = self._decoder.getstate()
            return (cut_off + content).removesuffix(cut_off_now)
        return text.encode("utf-8", "replace")

    def unread(self, content: bytes) -> None:
        """Give back what has been read."""
        self._waiting = content + self._waiting
