"""Addresses of the place where exports are: a folder, or a URL that a cluster can read as well.

Refuses addresses with credentials in them: settings are no place for secrets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

FOLDER: Final = "exports"
"""The address where no other is set: a folder of the data folder."""
_FILE: Final = "file"
HDFS: Final = "hdfs"
_SCHEMES: Final = ("s3a", "s3", "abfss", "gs", HDFS)
"""The schemes of addresses on other computers."""
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)", re.DOTALL)
_AUTHORITIES: Final = {
    "abfss": re.compile(r"[\w$-]+@[\w-]+(\.[\w-]+)*", re.ASCII),
    HDFS: re.compile(r"[\w.-]+(:\d{1,5})?", re.ASCII),
}
_BUCKET: Final = re.compile(r"[\w.-]+", re.ASCII)
_EXAMPLES: Final = {
    "abfss": "abfss://container@account.dfs.core.windows.net/folder",
    HDFS: "hdfs://namenode:8020/folder",
}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Address:
    """A place with exports."""

    scheme: str
    """`file`, or the scheme that a cluster knows."""
    authority: str
    """The bucket, the container with its account, or the name node; empty for a folder."""
    path: str
    """The path of a folder; elsewhere the path without a slash at either end."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of this computer."""
        return self.scheme == _FILE

    def __str__(self) -> str:
        if self.is_folder:
            return self.path
        return f"{self.scheme}://{self.authority}/{self.path}".rstrip("/")


def parse(text: str) -> Address:
    """Parse an address.

    Raises:
        ValueError: It is none that can be read. The message does not repeat it.
    """
    if not text or _CONTROL.search(text):
        raise ValueError("it must be an address, all on one line")
    url = _URL.fullmatch(text)
    if url is None:
        return Address(_FILE, "", text)
    scheme, authority, path = url[1].lower(), url[2], url[3]
    if scheme == _FILE:
        if authority or len(path) < len("/x"):
            raise ValueError("a folder is written file:///folder, without the name of a computer")
        return Address(_FILE, "", unquote(path))
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise ValueError(
            f"exports can't be read from {scheme}://; it may be a folder, or an address that "
            f"begins with file:/// or one of {known}"
        )
    return _remote("s3a" if scheme == "s3" else scheme, authority, path)


def _remote(scheme: str, authority: str, path: str) -> Address:
    if _AUTHORITIES.get(scheme, _BUCKET).fullmatch(authority) is None:
        example = _EXAMPLES.get(scheme, f"{scheme}://bucket/folder")
        raise ValueError(f"it must be written {example}; credentials are read from the environment")
    if "?" in path or "#" in path:
        raise ValueError("it must have no ? and no #; credentials are read from the environment")
    parts = path.strip("/")
    if parts and any(part in {"", ".", ".."} for part in parts.split("/")):
        raise ValueError("it must have no empty folder, and none named . or ..")
    return Address(scheme, authority, parts)
