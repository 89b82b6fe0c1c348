"""Object stores that can't be read: each gives one sentence, soon, and without a secret."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ExportsUnreachable
from pipeline.sources import locations
from tests.cli.conftest import python
from tests.given import people
from tests.s3 import SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.s3 import Bucket


def sentence(data: Path, address: str) -> str:
    """List a location that can't be listed, and return the message."""
    begin = time.monotonic()
    with pytest.raises(ExportsUnreachable) as failure:
        locations.of(data, address).list_files()
    assert time.monotonic() - begin < 20
    shown = str(failure.value)
    assert shown.isprintable()
    assert shown.startswith(f"the exports in {address} can't be read: ")
    assert "nothing was published" in shown
    assert SECRET not in shown
    assert "http:" not in shown
    return shown


def test_a_missing_bucket_is_named(bucket: Bucket, data: Path) -> None:
    del bucket
    shown = sentence(data, "s3a://no-such-bucket/exports")
    assert "there is no such bucket or container" in shown
    assert "correct the setting exports.location" in shown


def test_refused_credentials_are_named_without_them(bucket: Bucket, data: Path) -> None:
    with bucket.server.refusing():
        shown = sentence(data, bucket.location)
    assert "access is denied; nothing was published, set credentials in the environment" in shown


def test_an_endpoint_where_nothing_listens_is_named(
    bucket: Bucket, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert "the store can't be reached" in sentence(data, bucket.location)


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


def test_an_endpoint_that_never_replies_is_given_up_soon(
    bucket: Bucket, data: Path, monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    assert "the store can't be reached" in sentence(data, bucket.location)


def test_the_environment_may_set_other_timeouts(
    bucket: Bucket, data: Path, monkeypatch: pytest.MonkeyPatch, silent_port: int
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent_port}")
    monkeypatch.setenv("AWS_READ_TIMEOUT", "200ms")
    begin = time.monotonic()
    sentence(data, bucket.location)
    assert time.monotonic() - begin < 5


def test_a_store_without_tls_needs_a_variable(
    bucket: Bucket, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "or set a variable such as AWS_ALLOW_HTTP=true" in sentence(data, bucket.location)


def test_a_variable_that_the_store_does_not_know_the_value_of_is_refused(
    bucket: Bucket, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "perhaps")
    with pytest.raises(ExportsUnreachable, match="correct the variables that begin with AWS_"):
        locations.of(data, bucket.location)


def test_an_object_whose_name_the_library_refuses_is_named(bucket: Bucket, data: Path) -> None:
    bucket.put(people(1))
    bucket.put_directly("two//a.parquet")
    shown = sentence(data, bucket.location)
    assert re.search(r"two//a\.parquet has a name that can't be read; .*rename or remove it", shown)


def test_without_the_package_one_sentence_names_it_and_the_way_to_get_it(data: Path) -> None:
    code = """
import sys
from pathlib import Path
sys.modules["obstore"] = None
from pipeline.sources import locations
try:
    locations.of(Path(sys.argv[1]), "s3a://bucket/exports")
except Exception as error:
    print(type(error).__name__, error)
"""
    assert python(code, data).out == (
        "PackageMissing the package obstore is not installed, and an object store needs it; "
        "pip install '.[spark-client]' or '.[spark]' in the folder of the program\n"
    )
