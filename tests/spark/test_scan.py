"""Files as Spark reads them: any name, and those that only Arrow reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipeline.engines import UnreadableExports
from pipeline.errors import EngineFailed
from tests.api.serving import BASE, nightly_run, serving
from tests.given import (
    cells,
    export,
    opened,
    people,
    row,
    scan_request,
    settings,
    survey_of,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark
NAMES = (
    "a b.parquet",
    "a+b.parquet",
    "50%25.parquet",
    "%41.parquet",
    "Åse/ø=1/x.parquet",
    "c[1]{x,y}*?.parquet",
    "back\\slash.parquet",
    "#hash;semi&amp.parquet",
)
WIDE: Any = pa.decimal256(50, 4)
"""More digits than Spark's decimals have."""


def answers(data: Path, engine: str) -> tuple[Any, ...]:
    with survey_of(data, engine=engine) as found:
        by_file = found.rows_by_file, found.organisations_by_file, found.checksums
        return *by_file, found.contents("quarter"), cells(engine, data)


def test_every_row_is_of_the_file_whose_name_it_has(data: Path) -> None:
    for number, name in enumerate(NAMES, start=1):
        export(data, people(number, org_id=f"org-{number}"), name)
    found = answers(data, "spark")
    assert sorted(found[0]) == list(range(1, len(NAMES) + 1))
    assert found == answers(data, "polars")


@pytest.mark.parametrize("compression", ["brotli", "lz4", "gzip", "zstd", "none"])
def test_a_codec_that_spark_does_not_have_is_read_by_arrow(data: Path, compression: str) -> None:
    export(data, people(5, updated_at=datetime(2024, 12, 1, tzinfo=UTC)))
    later = {"updated_at": datetime(2024, 12, 2, tzinfo=UTC), "hours": 3.0}
    export(data, people(3, **later), "b.parquet", compression=compression)
    assert answers(data, "spark") == answers(data, "polars")


def test_a_file_read_by_arrow_takes_part_with_nanoseconds_and_wide_numbers(data: Path) -> None:
    moment = datetime(2024, 12, 1, tzinfo=UTC)
    export(data, people(3, updated_at=moment))
    types = {"hours": WIDE, "updated_at": pa.timestamp("ns"), "org_id": pa.uint64()}
    rows = [row(org_id=2**64 - 1, hours=Decimal("1.25"), updated_at=moment.replace(tzinfo=None))]
    rows += [row(org_id=7, hours=None, updated_at=None, started_at=moment - timedelta(days=400))]
    export(data, rows, "b.parquet", types=types)
    assert answers(data, "spark") == answers(data, "polars")


def test_a_damaged_file_that_arrow_reads_is_refused_by_name(data: Path) -> None:
    export(data, people(3), "good.parquet")
    path = export(
        data,
        [row(hours=Decimal("4.5"))],
        "wide.parquet",
        types={"hours": WIDE},
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    content = path.read_bytes()
    stored = int(Decimal("4.5") * 10**4).to_bytes(2, "big")
    assert stored in content
    path.write_bytes(content.replace(stored, b"\x00\x01", 1))
    with pytest.raises(UnreadableExports) as refused:
        opened("spark").survey(scan_request(data))
    ((damaged, problem),) = refused.value.refused.items()
    assert damaged.file.name == "wide.parquet"
    assert "the checksum of a page of column hours is not that of its bytes" in str(problem)


def test_several_damaged_files_are_found_at_once(data: Path) -> None:
    for number in range(4):
        path = export(data, people(200), f"{number}.parquet", compression="none")
        if number % 2:
            content = path.read_bytes()
            half = len(content) // 2
            path.write_bytes(content[:4] + bytes(half) + content[4 + half :])
    with pytest.raises(UnreadableExports) as refused:
        opened("spark").survey(scan_request(data))
    assert [one.file.name for one in refused.value.refused] == ["1.parquet", "3.parquet"]


def test_a_location_below_a_folder_above_is_read_where_its_link_leads(
    data: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "disk" / "organisation"
    elsewhere.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(elsewhere)
    export(data, people(3))
    export(data, people(2, org_id="org-2"), "b.parquet")
    (data / "exports").rename(tmp_path / "disk" / "delivered")
    chosen = settings(exports={"location": "../delivered"})
    with survey_of(link, chosen, "spark") as found:
        assert found.rows_by_file == [3, 2]


def test_a_damaged_file_is_refused_whatever_its_name_is(data: Path) -> None:
    path = export(data, people(200), "UNAVAILABLE-1.parquet", compression="none")
    export(data, people(2), "good.parquet")
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:4] + bytes(half) + content[4 + half :])
    with pytest.raises(UnreadableExports) as refused:
        opened("spark").survey(scan_request(data))
    assert [one.file.name for one in refused.value.refused] == ["UNAVAILABLE-1.parquet"]


def test_a_file_that_the_cluster_does_not_reach_ends_the_run_with_a_sentence(data: Path) -> None:
    path = export(data, people(3))
    request = scan_request(data)
    path.unlink()
    with pytest.raises(EngineFailed, match=r"the engine spark failed: .*a\.parquet"):
        opened("spark").survey(request)


def test_a_refresh_through_the_api_does_not_name_the_cluster(data: Path) -> None:
    export(data, people(3))
    nightly_run(data)
    engine = '[engine]\nname = "spark"\nspark_remote = "sc://127.0.0.1:1"\n'
    (data / "bufdir.toml").write_text(engine, encoding="utf-8")
    export(data, people(4))
    with serving(data) as server, server.client() as client:
        failed = client.put(f"{BASE}/agg-001", json={})
        assert failed.status_code == 409
        reason = "the engine spark failed: the cluster can't be reached; nothing was published"
        assert reason in failed.json()["detail"]
        assert "127.0.0.1" not in failed.json()["detail"]
        assert client.get(f"{BASE}/agg-001").json()["participant_count"] == 3
