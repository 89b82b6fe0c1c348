"""What callers do all the time: each function does it once, and records what must not be."""

from __future__ import annotations

import http.client
import random
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from benchmarks.soak import replies
from benchmarks.soak.calls import Reply, Site, ask
from benchmarks.soak.exports import Cell
from benchmarks.soak.record import Record
from benchmarks.soak.replies import WrongReply

_CHANGED: Final = "exports changed while they were read"
"""The only reason for which a refresh or a nightly run may fail: exports change all the time."""


@dataclass
class Reader:
    """A caller with a connection that stays open, who reads one snapshot after the other."""

    site: Site
    record: Record
    ids: dict[Cell, str]
    chance: random.Random
    _connection: http.client.HTTPConnection | None = None
    _tags: dict[str, tuple[str, Cell, int]] = field(default_factory=dict)
    """The last tag of each path, and what its reply had."""

    def read(self) -> None:
        """Read a snapshot, its metrics or a list, sometimes with the tag of an earlier reply."""
        connection = self._connection or self.site.connect()
        self._connection = connection
        try:
            if self.chance.random() < 1 / 4:
                self._read_list(connection)
            else:
                path = self.chance.choice(("", "/metrics"))
                self._read_one(connection, self.chance.choice(list(self.ids)), path)
        except (OSError, http.client.HTTPException):
            self.close()  # the next read opens another one
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read_one(self, connection: http.client.HTTPConnection, cell: Cell, path: str) -> None:
        least = self.record.newest(cell)
        snapshot_id = self.ids[cell]
        path = f"/{snapshot_id}{path}"
        known = self._tags.get(path)
        headers = {"If-None-Match": known[0]} if known and self.chance.random() < 1 / 2 else {}
        method = "GET" if self.chance.random() < 9 / 10 else "HEAD"
        reply = ask(connection, method, path, None, headers)
        self.record.count(f"{method} {reply.status}")
        if not _is_due(reply, snapshot_id, self.record) or method == "HEAD":
            return
        if reply.status == HTTPStatus.NOT_MODIFIED:
            if known is None or reply.content:
                raise WrongReply("a reply without a condition was 304, or had a body")
            self.record.read(*known[1:], least)
        elif reply.status == HTTPStatus.OK:
            view = replies.of_metrics if path.endswith("/metrics") else replies.of_snapshot
            found = view(reply.body)
            if found[0] != cell or reply.tag is None:
                raise WrongReply(f"{path} was answered with {reply.body}")
            self._tags[path] = (reply.tag, *found)
            self.record.read(*found, least)

    def _read_list(self, connection: http.client.HTTPConnection) -> None:
        least = {cell: self.record.newest(cell) for cell in self.ids}
        sort = self.chance.choice(("created_at", "-participant_count", "org_id"))
        reply = ask(connection, "GET", f"?limit=200&sort={sort}")
        self.record.count(f"GET list {reply.status}")
        if reply.status != HTTPStatus.OK:
            raise WrongReply(f"a list was answered with {reply.status}: {reply.content!r}")
        listed = reply.body["data"]
        if reply.body["pagination"]["total"] != len(listed):
            raise WrongReply("a list has another total than items")
        for item in listed:
            cell, generation = replies.of_listed(item)
            self.record.read(cell, generation, least[cell])
        self._see_all({item["id"] for item in listed}, reply)

    def _see_all(self, listed: set[str], reply: Reply) -> None:
        for snapshot_id in self.ids.values():
            times = snapshot_id, reply.begin, reply.end
            if snapshot_id in listed and not self.record.may_be_there(*times):
                raise WrongReply(f"{snapshot_id} was listed, though it was deleted")
            if snapshot_id not in listed and not self.record.may_be_gone(*times):
                raise WrongReply(f"{snapshot_id} was not listed, though it was there")


def _is_due(reply: Reply, snapshot_id: str, record: Record) -> bool:
    """See that a reply is one that may be; return whether the snapshot was there.

    Raises:
        WrongReply: Neither 200 nor 304, nor 404 of a snapshot that may be gone.
    """
    times = snapshot_id, reply.begin, reply.end
    if reply.status == HTTPStatus.NOT_FOUND and record.may_be_gone(*times):
        return False
    if reply.status not in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}:
        raise WrongReply(f"{snapshot_id} was answered with {reply.status}: {reply.content!r}")
    if not record.may_be_there(*times):
        raise WrongReply(f"{snapshot_id} was answered, though it was deleted")
    return True


@dataclass
class Writer:
    """Callers and operators who change what is published."""

    site: Site
    record: Record
    ids: dict[Cell, str]
    chance: random.Random

    def refresh(self) -> None:
        """Refresh a snapshot, forced every other time; the reply must have what was exported."""
        cell = self.chance.choice(list(self.ids))
        snapshot_id = self.ids[cell]
        least = max(self.record.newest(cell), self.record.written[cell.organisation])
        forced = self.chance.random() < 1 / 2
        reply = self.site.call("PUT", f"/{snapshot_id}", {"force_refresh": forced})
        self.record.count(f"PUT{' forced' if forced else ''} {reply.status}")
        if reply.status == HTTPStatus.CONFLICT and _CHANGED in reply.body["detail"]:
            return
        if _is_due(reply, snapshot_id, self.record):
            self.record.read(*replies.of_listed(reply.body), least)

    def delete_and_undelete(self) -> None:
        """Delete a snapshot, see that it is gone, and take the deletion back."""
        cell = self.chance.choice(list(self.ids))
        snapshot_id = self.ids[cell]
        absence = self.record.deleting(snapshot_id)
        reply = self.site.call("DELETE", f"/{snapshot_id}")
        absence.begun = reply.end
        self.record.count(f"DELETE {reply.status}")
        if reply.status != HTTPStatus.OK:
            raise WrongReply(f"DELETE was answered with {reply.status}: {reply.content!r}")
        for method in ("GET", "PUT", "DELETE"):
            again = self.site.call(method, f"/{snapshot_id}")
            self.record.count(f"{method} of a deleted one {again.status}")
            if again.status != HTTPStatus.NOT_FOUND:
                raise WrongReply(f"{method} of {snapshot_id} was {again.status} after its deletion")
        absence.may_end = time.monotonic()
        self._commanded("undelete", snapshot_id)
        back = self.site.call("GET", f"/{snapshot_id}")
        absence.ended = back.begin
        if _is_due(back, snapshot_id, self.record):
            self.record.read(*replies.of_snapshot(back.body), 0)

    def use_a_token(self) -> None:
        """Make a token of one organisation, see what it may and may not, and revoke it."""
        cell = self.chance.choice(list(self.ids))
        name = f"soak-{self.chance.getrandbits(48):012x}"
        made = self._commanded("token", "create", name, "--org", cell.org_id, "--can", "read")
        header = {"Authorization": f"Bearer {made.strip()}"}
        reply = self.site.call("GET", "?limit=200", None, header)
        seen = {item["org_id"] for item in reply.body.get("data", ())}
        if reply.status != HTTPStatus.OK or not seen <= {cell.org_id}:
            raise WrongReply(f"a token of {cell.org_id} saw {seen}, with {reply.status}")
        other = next(one for one in self.ids if one.organisation != cell.organisation)
        self._refused("GET", self.ids[other], header, HTTPStatus.NOT_FOUND)
        self._refused("PUT", self.ids[cell], header, HTTPStatus.FORBIDDEN)
        self._commanded("token", "revoke", name)
        self._refused("GET", self.ids[cell], header, HTTPStatus.UNAUTHORIZED)

    def run_nightly(self) -> None:
        """Start a nightly run, and wait for its end."""
        ended = self.site.command("nightly")
        self.record.count(f"nightly {ended.returncode}")
        if ended.returncode and _CHANGED not in ended.stderr:
            raise WrongReply(f"nightly ended with {ended.returncode}: {ended.stderr}")

    def _commanded(self, *arguments: str) -> str:
        ended = self.site.command(*arguments)
        self.record.count(
            f"{' '.join(arguments[: 1 + (arguments[0] == 'token')])} {ended.returncode}"
        )
        if ended.returncode:
            raise WrongReply(f"{arguments[0]} ended with {ended.returncode}: {ended.stderr}")
        return ended.stdout

    def _refused(
        self, method: str, snapshot_id: str, header: dict[str, str], due: HTTPStatus
    ) -> None:
        reply = self.site.call(method, f"/{snapshot_id}", None, header)
        self.record.count(f"{method} by another token {reply.status}")
        if reply.status != due:
            raise WrongReply(f"{method} by a token was {reply.status}, and {int(due)} was due")
