"""What can be held of the engine Spark where its packages are not installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.engines import open_engine
from pipeline.engines.spark.session import REQUIRED
from pipeline.errors import InvalidSetting, PackageMissing
from pipeline.model.states import EngineName
from pipeline.settings import EngineSettings
from tests.given import no_events
from tests.test_settings import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs" / "spark.md"
_ROW = re.compile(r"\| `(spark\.sql\.\S+)` \| `(\S+)` \| .+ \|")


def documented() -> Iterator[tuple[str, str]]:
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if row := _ROW.fullmatch(line):
            yield row[1], row[2]


def test_the_docs_have_every_setting_that_a_session_must_have() -> None:
    assert dict(documented()) == REQUIRED


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="the package is installed here")
@pytest.mark.parametrize(
    ("name", "address", "extras"),
    [
        ("spark_remote", "sc://127.0.0.1", "'.[spark-client]' or '.[spark]'"),
        ("spark_master", "local[1]", "'.[spark]'"),
    ],
)
def test_without_the_package_one_sentence_names_how_to_get_it(
    name: str, address: str, extras: str
) -> None:
    chosen = EngineSettings.model_validate({"name": EngineName.SPARK, name: address})
    with pytest.raises(PackageMissing) as missing:
        open_engine(chosen, None, no_events)
    assert str(missing.value) == (
        f"the package pyspark is not installed, and engine.{name} needs it; "
        f"pip install {extras} in the folder of the program"
    )


def test_one_cluster_is_named_not_two(data: Path) -> None:
    refusal = refused(data, '[engine]\nspark_remote = "sc://a"\nspark_master = "local[2]"\n')
    assert (refusal.name, refusal.problem) == (
        "engine.spark_remote",
        "there is a spark_master too; keep one of the two",
    )


@pytest.mark.parametrize(
    "name",
    [
        "spark.hadoop.fs.s3a.secret.key",
        "spark.hadoop.fs.s3a.access.key",
        "spark.hadoop.fs.azure.account.key.a.example.org",
        "spark.ssl.keyPassword",
    ],
)
def test_an_option_with_a_secret_is_refused_by_name_and_not_repeated(data: Path, name: str) -> None:
    refusal = refused(data, f'[engine.spark_options]\n"{name}" = "s3cret"\n')
    assert refusal.name == f"engine.spark_options.{name}"
    assert "because settings are shown" in str(refusal)
    assert "s3cret" not in str(refusal)


@pytest.mark.parametrize(
    "given", ["/;token=s3cret", ";use_ssl=true;token=s3cret", "/;x-api-key=s3cret"]
)
def test_an_address_with_a_token_is_refused_and_not_repeated(data: Path, given: str) -> None:
    refusal = refused(data, f'[engine]\nspark_remote = "sc://a:15002{given}"\n')
    assert isinstance(refusal, InvalidSetting)
    assert "s3cret" not in str(refusal)
    assert "SPARK_CONNECT_AUTHENTICATE_TOKEN" in str(refusal)
