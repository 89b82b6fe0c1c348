"""Exports in an object store: S3 and stores like it, Azure Data Lake Storage, Google Cloud Storage.

Credentials, endpoints and regions come from the environment, as `obstore` reads it. No message has
text of the library, because addresses of requests can have secrets in them.
"""

from __future__ import annotations

import errno
import io
import os
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from pipeline.errors import ExportsUnreachable, PackageMissing
from pipeline.sources import exports
from pipeline.sources.exports import File, Fingerprint

try:
    import obstore
    from obstore.exceptions import (
        BaseError,
        InvalidPathError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import from_url
except ImportError as error:
    raise PackageMissing("obstore", "an object store", ("spark-client", "spark")) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed import WriteableBuffer

    from pipeline.model.addresses import Address
    from pipeline.sources.exports import Opened

_PREFIXES: Final = {"s3a": "AWS_", "abfss": "AZURE_", "gs": "GOOGLE_"}
"""How the variables of each store begin."""
_CLIENT_OPTIONS: Final = (
    "allow_http",
    "allow_invalid_certificates",
    "connect_timeout",
    "proxy_ca_certificate",
    "proxy_excludes",
    "proxy_url",
    "read_timeout",
    "timeout",
)
"""The options of the HTTP client that variables may give, such as AWS_ALLOW_HTTP."""
_TIMEOUTS: Final = {"connect_timeout": "4s", "read_timeout": "5s", "timeout": "300s"}
"""A store that does not reply fails a request within 20 seconds, retries included."""
_RETRIES: Final = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_LIST_SIZE: Final = 1000
_BUFFER_BYTES: Final = 2**20
"""The bytes of one request at least, because each takes as long as many bytes do."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_STATUS: Final = re.compile(r"status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_PATH: Final = re.compile(r'Path "(.*?)" contained|parsing Path "(.*?)": ', re.DOTALL)
_METADATA: Final = "169.254.169.254"
"""The address at which a cloud gives credentials to its own computers."""
_ERRORS: Final = (BaseError, OSError, ValueError)


class _Failure(NamedTuple):
    """A failure of a store, as two parts of a sentence."""

    problem: str
    remedy: str


_ADDRESS: Final = "correct the setting exports.location"
_CREDENTIALS: Final = "set credentials in the environment that may list and read it"
_MISSING: Final = _Failure("there is no such bucket or container", _ADDRESS)
_DENIED: Final = _Failure("access is denied", _CREDENTIALS)
_NO_CREDENTIALS: Final = _Failure("there are no credentials", _CREDENTIALS)
_NO_HTTP: Final = _Failure(
    "it is reached without TLS, which is not allowed",
    "use https, or set a variable such as AWS_ALLOW_HTTP=true",
)
_REGION: Final = _Failure("the bucket is in another region", "set AWS_REGION to its region")
_SILENT: Final = _Failure("the store can't be reached", "see that the network and the store work")


class ObjectStore:
    """A bucket or container, or a prefix of it, with exports at any depth."""

    def __init__(self, address: str, store: Any) -> None:  # noqa: ANN401 (obstore has no base)
        self._address = address
        self._store = store
        self._failure: ExportsUnreachable | None = None
        """The first failure of the store while a file was read."""

    def check(self) -> None:
        """Do nothing: `list_files` asks the store."""

    def list_files(self) -> tuple[File, ...]:
        """List the objects below the prefix, in the order of names.

        Leaves out empty objects that mark folders, as some programs write them.

        Raises:
            ExportsUnreachable: The store can't be listed.
        """
        files = [self._file(found) for found in _without_markers(self._objects())]
        return tuple(sorted(files, key=attrgetter("name")))

    def changed(self, files: Iterable[File]) -> tuple[str, ...]:
        """List the names of objects that have changed or are gone, by listing the store again.

        Raises:
            ExportsUnreachable: The store can't be listed, or did not reply while a file was read.
        """
        if self._failure is not None:
            raise self._failure
        return exports.changed(files, self.list_files())

    def _objects(self) -> list[Mapping[str, Any]]:
        try:
            chunks = obstore.list(self._store, chunk_size=_LIST_SIZE)
            found = (one for chunk in chunks for one in chunk)
            return [one for one in found if not exports.is_skipped(one["path"])]
        except _ERRORS as error:
            raise self._unreachable(_failure(error)) from None

    def _file(self, found: Mapping[str, Any]) -> File:
        name = found["path"]
        return File(
            exports.legible(name),
            f"{self._address}/{name}",
            _fingerprint(found),
            opener=partial(self._open, found),
        )

    def _open(self, found: Mapping[str, Any]) -> Opened:
        return io.BufferedReader(_Reader(self, found), _BUFFER_BYTES)

    def read(self, found: Mapping[str, Any], start: int, end: int) -> memoryview:
        """Read these bytes of an object as it was listed.

        Raises:
            OSError: The object is gone, has changed or can't be read, or the store does not reply.
        """
        options: Any = {"range": (start, end)}
        if found["e_tag"] is not None:
            options["if_match"] = found["e_tag"]
        try:
            return memoryview(obstore.get(self._store, found["path"], options=options).bytes())
        except FileNotFoundError:
            raise _os_error(errno.ENOENT) from None
        except PreconditionError:
            raise _os_error(errno.ESTALE) from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise _os_error(errno.EACCES) from None
        except _ERRORS as error:
            self._failure = self._failure or self._unreachable(_failure(error))
            raise _os_error(errno.EIO) from None

    def _unreachable(self, failure: _Failure) -> ExportsUnreachable:
        return ExportsUnreachable(self._address, *failure)


class _Reader(io.RawIOBase):
    """An object that is open for reading; each read is a request."""

    def __init__(self, store: ObjectStore, found: Mapping[str, Any]) -> None:
        super().__init__()
        self._store = store
        self._found = found
        self._size: int = found["size"]
        self._position = 0

    def readable(self) -> bool:
        """Return True: this is what it is for."""
        return True

    def seekable(self) -> bool:
        """Return True: a request can be for any part of an object."""
        return True

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Read from this position next."""
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = max(0, origins[whence] + position)
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into the buffer, and return the number of bytes."""
        room = memoryview(buffer).cast("B")
        end = min(self._size, self._position + len(room))
        if end <= self._position:
            return 0
        content = self._store.read(self._found, self._position, end)
        room[: len(content)] = content
        self._position += len(content)
        return len(content)


def connect(address: Address) -> ObjectStore:
    """Give the object store of an address; the store is not asked before it is listed.

    Raises:
        ExportsUnreachable: A variable of the environment has no value that the store knows.
    """
    url = f"{address.scheme}://{address.authority}/{quote(address.path)}"
    given = {
        option: os.environ[f"{_PREFIXES[address.scheme]}{option.upper()}"]
        for option in _CLIENT_OPTIONS
        if f"{_PREFIXES[address.scheme]}{option.upper()}" in os.environ
    }
    options: Any = {**_TIMEOUTS, **given}
    retries: Any = _RETRIES
    try:
        store = from_url(url, client_options=options, retry_config=retries)
    except _ERRORS:
        problem = "the store can't be set up from the environment"
        remedy = f"correct the variables that begin with {_PREFIXES[address.scheme]}"
        raise ExportsUnreachable(str(address), problem, remedy) from None
    return ObjectStore(str(address), store)


def _without_markers(found: Iterable[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Leave out empty objects that mark folders; `obstore` gives an object `a/` the path `a`."""
    by_path: dict[str, Mapping[str, Any]] = {}
    folders: set[str] = set()
    for one in found:
        path = one["path"]
        folders.update(path[: place.start()] for place in re.finditer("/", path))
        if one["size"] or path not in by_path:
            by_path[path] = one
    return [
        one
        for path, one in by_path.items()
        if one["size"] or (path not in folders and "." in path.rpartition("/")[2])
    ]


def _fingerprint(found: Mapping[str, Any]) -> Fingerprint:
    modified_ns = (found["last_modified"] - _EPOCH) // timedelta(microseconds=1) * 1000
    marks = (found["e_tag"], found["version"])
    if marks == (None, None):
        return Fingerprint(found["size"], modified_ns)
    digest = blake2b(repr(marks).encode(), digest_size=16).digest()
    halves = (int.from_bytes(half) >> 1 for half in (digest[:8], digest[8:]))
    return Fingerprint(found["size"], modified_ns, *halves)


def _failure(error: Exception) -> _Failure:
    """Find out what has failed from an error of the library, without repeating its text."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    number, name = status[1] if status else "", code[1] if code else ""
    is_denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
    known = (
        (isinstance(error, InvalidPathError), _unreadable_name(text)),
        (_METADATA in text or "token request" in text, _NO_CREDENTIALS),
        (number == "301" or name == "AuthorizationHeaderMalformed", _REGION),
        (is_denied or number in {"401", "403"}, _DENIED),
        (isinstance(error, FileNotFoundError) or number == "404", _MISSING),
        ("builder error" in text, _NO_HTTP),
        (bool(number), _Failure(f"the store replied with status {number}", "try again later")),
    )
    return next((failure for is_it, failure in known if is_it), _SILENT)


def _unreadable_name(text: str) -> _Failure:
    path = _PATH.search(text)
    name = exports.legible(path[1] or path[2]) if path else "an object"
    return _Failure(f"{name} has a name that can't be read", "rename or remove it")


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
