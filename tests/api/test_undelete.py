"""A snapshot that is deleted over the API, and undeleted by an operator while the server runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.runs import lifecycle
from pipeline.storage import deletions
from pipeline.storage.catalog import Catalog
from tests.api.serving import BASE, create, export, settled

if TYPE_CHECKING:
    import httpx

    from tests.api.serving import Server


def made(server: Server, client: httpx.Client, org_id: str) -> str:
    """Create a snapshot that has numbers, and return its id."""
    export(server.data, org_id, 3)
    snapshot_id = create(client, org_id)
    assert settled(client, snapshot_id)["status"] == "completed"
    return snapshot_id


def undelete(server: Server, snapshot_id: str) -> None:
    with Catalog.open(server.data) as catalog:
        lifecycle.undelete(catalog, snapshot_id, datetime.now(UTC), 30)


def test_delete_then_404_then_undelete_then_the_same_reply_again(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "back-again")
    paths = [f"{BASE}/{snapshot_id}", f"{BASE}/{snapshot_id}/metrics", f"{BASE}?org_id=back-again"]
    before = [writer.get(path) for path in paths]

    reply = writer.delete(f"{BASE}/{snapshot_id}")
    assert (reply.status_code, reply.json()) == (200, {"deleted": True, "id": snapshot_id})
    assert list(reply.json()) == ["deleted", "id"]
    assert [writer.get(path).status_code for path in paths] == [404, 404, 200]
    assert writer.get(paths[2]).json()["pagination"]["total"] == 0

    undelete(changing, snapshot_id)

    after = [writer.get(path) for path in paths]
    assert [one.status_code for one in after] == [200] * 3
    assert [one.content for one in after] == [one.content for one in before]
    assert [one.headers["etag"] for one in after] == [one.headers["etag"] for one in before]


def test_the_catalog_has_who_deleted(changing: Server, writer: httpx.Client) -> None:
    snapshot_id = made(changing, writer, "by-whom")
    writer.delete(f"{BASE}/{snapshot_id}")
    with Catalog.open(changing.data) as catalog:
        deletion = deletions.find(catalog, snapshot_id)
    assert deletion is not None
    assert deletion.deleted_by == "anonymous"
    assert abs((datetime.now(UTC) - deletion.deleted_at).total_seconds()) < 60


def test_an_undeleted_snapshot_is_refreshed_as_any_other(
    changing: Server, writer: httpx.Client
) -> None:
    snapshot_id = made(changing, writer, "fresh-again")
    writer.delete(f"{BASE}/{snapshot_id}")
    export(changing.data, "fresh-again", 5)
    undelete(changing, snapshot_id)

    reply = writer.put(f"{BASE}/{snapshot_id}")

    assert (reply.status_code, reply.json()["participant_count"]) == (200, 5)


def test_after_a_new_snapshot_of_the_cell_it_is_listed_once(
    changing: Server, writer: httpx.Client
) -> None:
    before = made(changing, writer, "remade")
    writer.delete(f"{BASE}/{before}")
    after = made(changing, writer, "remade")
    assert after != before
    listed = writer.get(BASE, params={"org_id": "remade"}).json()["data"]
    assert [one["id"] for one in listed] == [after]
