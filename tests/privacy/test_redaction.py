"""Errors of libraries are written without values of exports."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pytest

from pipeline.errors import ExportRefused
from pipeline.redaction import redacted, summary, traceback_of
from tests.patience import PATIENCE_SECONDS

PERSON = "kari-7f3a"


@pytest.mark.parametrize(
    "message",
    [
        "Couldn't deserialize thrift: TProtocolException: Invalid data",
        "Unexpected end of stream: Page was smaller (24) than expected (30)",
        "Parquet magic bytes not found in footer. Either the file is corrupted",
        "Invalid UTF8 sequence at string index 5",
        "conversion to int64 and/or utf-8 failed for 1 of 3 values",
    ],
)
def test_plain_words_and_small_numbers_are_kept(message: str) -> None:
    assert redacted(message) == message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Invalid value 'kari': look", "Invalid value …: look"),
        ('value "ka"ri" is no number', "value … is no number"),
        ('value "kari\nnordmann" is no number', "value …"),
        ("failed for 1 of 3 values: [kari, ola]", "failed for 1 of 3 values: …"),
        ("no participant kari_7", "no participant …"),
        ("no participant kari7 or ola8, sorry", "no participant … or … sorry"),
        ("12345678 is no participant", "… is no participant"),
        ("no participant Åse here", "no participant … here"),
        (
            "CSV parse error: Expected 3 columns, got 2: kari,ola",
            "CSV parse error: Expected 3 columns, got 2: …",
        ),
        ("kari7 ola8 per9", "…"),
        ("", ""),
    ],
)
def test_what_may_be_a_value_is_left_out(message: str, expected: str) -> None:
    assert redacted(message) == expected


def from_polars() -> None:
    pl.Series([PERSON]).cast(pl.Int64)


def from_arrow() -> None:
    pa.array([PERSON]).cast(pa.int64())


def from_arrow_csv() -> None:
    arrow_csv.read_csv(io.BytesIO(f"a,b\n1,2\n{PERSON}\n".encode()))


def from_duckdb() -> None:
    with duckdb.connect() as connection:
        connection.execute(f"SELECT '{PERSON}'::INTEGER")


def from_python() -> None:
    raise KeyError(PERSON)


@pytest.mark.parametrize(
    "fails", [from_polars, from_arrow, from_arrow_csv, from_duckdb, from_python]
)
def test_messages_and_tracebacks_of_libraries_have_no_value(fails: Any) -> None:
    with pytest.raises(Exception, match=PERSON) as caught:
        fails()
    assert PERSON not in summary(caught.value)
    text = traceback_of(caught.value)
    assert PERSON not in text
    assert fails.__name__ in text
    assert type(caught.value).__name__ in text


def test_our_own_errors_stay_as_they_are() -> None:
    assert (
        summary(ExportRefused("a_1.parquet", "it is empty"))
        == "export a_1.parquet is refused: it is empty"
    )


def test_errors_of_the_system_are_given_in_its_words_without_the_path() -> None:
    with pytest.raises(OSError, match=PERSON) as caught:
        open(f"/nowhere/{PERSON}")  # noqa: PTH123, SIM115
    assert summary(caught.value) == "No such file or directory"


def test_an_error_without_a_message_is_given_as_its_type() -> None:
    assert summary(MemoryError()) == "MemoryError"


def test_causes_and_groups_are_in_the_traceback() -> None:
    def fail() -> None:
        try:
            int(PERSON)
        except ValueError as error:
            raise ExceptionGroup("several", [KeyError(PERSON), TypeError("plain words")]) from error

    with pytest.raises(ExceptionGroup) as caught:
        fail()
    text = traceback_of(caught.value)
    assert "with base 10: …\n\nThe above exception was the direct cause" in text
    assert "ExceptionGroup: several" in text
    assert "KeyError: …" in text
    assert "TypeError: plain words" in text
    assert PERSON not in text


def test_an_error_that_follows_another_names_it() -> None:
    def fail() -> None:
        try:
            int(PERSON)
        except ValueError:
            dict[str, str]()[PERSON]

    with pytest.raises(KeyError) as caught:
        fail()
    text = traceback_of(caught.value)
    assert "During handling of the above exception" in text
    assert PERSON not in text


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_has_tracebacks_without_values(form: str) -> None:
    code = f"""
import logging
from pipeline import logs
log = logs.configure({form!r}, "debug")
try:
    raise KeyError("{PERSON}")
except KeyError:
    log.exception("run_crashed")
    logging.getLogger("litestar").exception("words")
""".replace(f'"{PERSON}"', '"kari-" + "7f3a"')
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    assert PERSON not in ended.stderr
    assert ended.stderr.replace("\\u2026", "…").count("KeyError: …") == 2
    if form == "json":
        assert "Traceback" in json.loads(ended.stderr.splitlines()[0])["exception"]
