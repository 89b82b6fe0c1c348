"""A version file that is not the one that was published: its numbers are never served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.serving import BASE, PROBLEM, create, export, serving, settled
from tests.tampering import tamper

if TYPE_CHECKING:
    from pathlib import Path


def test_a_whole_file_with_other_numbers_is_not_served_and_a_put_computes_it_again(
    data: Path,
) -> None:
    export(data, "swapped", 3)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "swapped")
        before = settled(client, snapshot_id)
    path = data / "snapshots" / snapshot_id / "v1.json"
    whole = path.read_bytes()
    tamper(data, total={"participations": 9, "people": 9, "seconds": 9, "activities": 9})
    path_of_other = path.read_bytes()
    path.write_bytes(whole)
    with serving(data) as server, server.client() as client:
        # The catalog has the digest of the other file now.
        replies = [client.get(f"{BASE}/{snapshot_id}{path}") for path in ("", "/metrics")]
        assert [one.status_code for one in replies] == [500, 500]
        assert {one.headers["content-type"] for one in replies} == {PROBLEM}
        assert "a PUT computes a damaged snapshot again" in replies[0].json()["detail"]
        again = client.put(f"{BASE}/{snapshot_id}")
        assert (again.status_code, again.json()["participant_count"]) == (200, 3)
        after = client.get(f"{BASE}/{snapshot_id}").json()
        assert {**after, "refreshed_at": None} == {**before, "refreshed_at": None}
    assert path_of_other != whole
