"""`bufdir token`, and `serve` on an address that other computers reach."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.storage import tokens
from pipeline.storage.catalog import FILE, Catalog
from tests.given import DataFolder, export, people
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def test_a_token_is_printed_once_and_only_its_hash_is_kept(bufdir: Bufdir, data: Path) -> None:
    ended = bufdir("token", "create", "kari", "--org", "org-1", "--can", "write")
    assert (ended.code, ended.err) == (0, "")
    made = ended.out.strip()
    assert made.startswith("bfd_")
    assert len(made) == 4 + 43
    with Catalog.open_read_only(data) as catalog:
        assert list(tokens.by_digest(catalog)) == [tokens.digest_of(made)]
    assert not [
        path for path in data.rglob("*") if path.is_file() and made.encode() in path.read_bytes()
    ]


def test_tokens_are_listed_with_their_rights_and_state(bufdir: Bufdir) -> None:
    ended = bufdir("token", "create", "b", "--all", "--can", "admin", "--expires", "2999-01-31")
    assert ended.code == 0
    assert bufdir("token", "create", "a", "--org", "y", "--org", "x", "--can", "read").code == 0
    assert bufdir("token", "revoke", "a").out == "a is revoked\n"
    listed = bufdir("token", "list").out.splitlines()
    assert listed[0].split() == ["token", "can", "organisations", "made", "expires", "state"]
    assert [*listed[1].split()[:3], *listed[1].split()[4:]] == [
        *("b", "admin", "all", "2999-01-31T23:00:00Z", "valid")
    ]
    assert listed[2].split()[:4] == ["a", "read", "x", "y"]
    assert listed[2].split()[-2:] == ["-", "revoked"]
    found = bufdir("token", "list", "--json").result["tokens"]
    assert [one["organisations"] for one in found] == [None, ["x", "y"]]


def test_a_name_is_never_given_twice(bufdir: Bufdir) -> None:
    create = ("token", "create", "kari", "--all", "--can", "read")
    assert bufdir(*create).code == 0
    assert bufdir("token", "revoke", "kari").code == 0
    ended = bufdir(*create)
    assert ended.code == 2
    assert "a token of this name was made before; take another name" in ended.err
    assert bufdir("token", "revoke", "kari").code == 2
    assert bufdir("token", "revoke", "ola").code == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["kari", "--can", "read"], "give one of --org and --all"),
        (["kari", "--can", "read", "--all", "--org", "x"], "give one of --org and --all"),
        (["kari", "--can", "rule", "--all"], "'rule' is not one of"),
        (["kari", "--all"], "--can"),
        (["kari", "--can", "read", "--org", "a b"], "organisations are written with"),
        (["anonymous", "--can", "read", "--all"], "none is named anonymous"),
        (["local:kari", "--can", "read", "--all"], "tokens are named with"),
        (["kari", "--can", "read", "--all", "--expires", "soon"], "'soon'"),
    ],
)
def test_wrong_usage_makes_no_token(
    bufdir: Bufdir, data: Path, arguments: list[str], problem: str
) -> None:
    ended = bufdir("token", "create", *arguments)
    assert ended.code == 2
    assert problem in ended.err
    assert ended.out == ""
    with Catalog.open_read_only(data) as catalog:
        assert not tokens.are_made(catalog)


def test_a_token_may_not_end_before_it_begins(bufdir: Bufdir) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    ended = bufdir("token", "create", "kari", "--all", "--can", "read", "--expires", yesterday)
    assert ended.code == 2
    assert "it is past; give a later one" in ended.err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 (as an operator would)
def test_serving_other_computers_is_refused_until_a_token_is_made(
    bufdir: Bufdir, host: str
) -> None:
    ended = bufdir("serve", "--host", host, "--port", "0")
    assert ended.code == 2
    assert "make one with bufdir token create, or give --public" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("TRUSTED", '["127.0.0.1"]'), ("PREFIX", "/bufdir")]
)
def test_serving_through_a_proxy_is_refused_until_a_token_is_made(
    bufdir: Bufdir, setting: str, value: str
) -> None:
    ended = bufdir("serve", "--port", "0", **{f"BUFDIR_PROXY__{setting}": value})
    assert ended.code == 2
    assert "through the proxy that the settings name, and no token was made" in ended.err


@pytest.mark.parametrize("is_public", [True, False])
def test_serving_other_computers_begins_with_a_token_or_on_purpose(
    bufdir: Bufdir, is_public: bool
) -> None:
    if not is_public:
        assert bufdir("token", "create", "kari", "--all", "--can", "read").code == 0
    options = ["--public"] if is_public else []
    with bufdir.begin("serve", "--host", "0.0.0.0", "--port", "0", *options) as server:  # noqa: S104
        assert server.stderr is not None
        assert "serving" in server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


def test_a_rebuilt_catalog_keeps_the_tokens(bufdir: Bufdir, data: Path, folder: DataFolder) -> None:
    export(data, people(2))
    folder.nightly()
    assert bufdir("token", "create", "kari", "--all", "--can", "read").code == 0
    assert bufdir("reindex").err == ""
    (found,) = bufdir("token", "list", "--json").result["tokens"]
    assert (found["name"], found["revoked_at"]) == ("kari", None)


@pytest.mark.parametrize("damage", ["missing", "unreadable"])
def test_tokens_that_are_lost_with_the_catalog_leave_the_server_closed(
    bufdir: Bufdir, data: Path, folder: DataFolder, damage: str
) -> None:
    export(data, people(2))
    folder.nightly()
    assert bufdir("token", "create", "kari", "--all", "--can", "write").code == 0
    (data / FILE).unlink()
    if damage == "unreadable":
        (data / FILE).write_bytes(b"no catalog" * 1_000)
    ended = bufdir("reindex")
    assert ended.code == 0
    assert "lost with the catalog, and revoked: the tokens kari; make new ones" in ended.err
    (found,) = bufdir("token", "list", "--json").result["tokens"]
    assert found["name"] == "kari"
    assert found["revoked_at"] is not None


def test_a_catalog_from_a_backup_makes_no_revoked_token_valid(
    bufdir: Bufdir, data: Path, folder: DataFolder
) -> None:
    export(data, people(2))
    folder.nightly()
    for name in ("ola", "kari"):
        assert bufdir("token", "create", name, "--all", "--can", "write").code == 0
    backup = (data / FILE).read_bytes()
    assert bufdir("token", "create", "later", "--all", "--can", "write").code == 0
    assert bufdir("token", "revoke", "kari").code == 0
    (data / FILE).write_bytes(backup)

    assert bufdir("doctor").out.count("by which these end: later, kari") == 1
    ended = bufdir("reindex", "--json")
    assert ended.code == 0
    assert ended.result["lost_tokens"] == ["later"]
    assert ended.result["revoked_tokens"] == ["kari"]
    assert valid_tokens(data) == ["ola"]
    assert bufdir("reindex").err == ""
    assert bufdir("audit", "--verify").code == 0


@contextmanager
def served(bufdir: Bufdir) -> Iterator[list[str]]:
    """Serve during the block; give the lines of its log until it answers."""
    with bufdir.begin("serve", "--port", "0") as server:
        assert server.stderr is not None
        try:
            lines = [server.stderr.readline()]
            while "serving" not in lines[-1]:
                lines.append(server.stderr.readline())
            yield lines
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_SECONDS) == 0


def test_a_server_over_a_catalog_from_a_backup_follows_the_audit_log(
    bufdir: Bufdir, data: Path
) -> None:
    assert bufdir("token", "create", "kari", "--all", "--can", "write").code == 0
    backup = (data / FILE).read_bytes()
    assert bufdir("token", "revoke", "kari").code == 0
    (data / FILE).write_bytes(backup)
    with served(bufdir) as lines:
        assert "tokens_revoked" in lines[0]
        assert valid_tokens(data) == []


def test_a_server_without_its_catalog_is_as_closed_as_the_audit_log_says(
    bufdir: Bufdir, data: Path
) -> None:
    assert bufdir("token", "create", "kari", "--all", "--can", "write").code == 0
    (data / FILE).unlink()
    with served(bufdir), Catalog.open_read_only(data) as catalog:
        assert [one.name for one in tokens.grants(catalog)] == ["kari"]
    assert valid_tokens(data) == []


def valid_tokens(data: Path) -> list[str]:
    with Catalog.open_read_only(data) as catalog:
        return [one.name for one in tokens.grants(catalog) if one.is_valid(datetime.now(UTC))]
