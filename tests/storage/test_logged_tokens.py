"""Tokens by the audit log: a catalog that is older than the log follows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import InvalidValue, StoreUnusable
from pipeline.model.access import Role
from pipeline.runs import access
from pipeline.storage import audit, logged_tokens, tokens
from pipeline.storage.catalog import FILE, Catalog

if TYPE_CHECKING:
    from pathlib import Path


def create(data: Path, name: str, made_at: datetime | None = None) -> None:
    grant = access.grant(name, None, Role.WRITE, made_at or datetime.now(UTC), None)
    with Catalog.open(data) as catalog:
        access.create_token(catalog, grant)


def revoke(data: Path, name: str) -> None:
    with Catalog.open(data) as catalog:
        access.revoke_token(catalog, name, datetime.now(UTC))


def followed(data: Path) -> list[str]:
    with Catalog.open(data) as catalog:
        logged = logged_tokens.read(data)
        return list(logged_tokens.follow(catalog, logged, datetime.now(UTC)).all_names)


def states(data: Path) -> dict[str, bool]:
    with Catalog.open_read_only(data) as catalog:
        return {one.name: one.is_valid(datetime.now(UTC)) for one in tokens.grants(catalog)}


def test_a_catalog_that_is_as_new_as_the_log_stays_as_it_is(data: Path) -> None:
    create(data, "a")
    create(data, "b")
    revoke(data, "b")
    before = (data / FILE).read_bytes()
    assert followed(data) == []
    assert (data / FILE).read_bytes() == before
    assert states(data) == {"a": True, "b": False}


def test_a_name_that_the_catalog_has_lost_is_not_given_again(data: Path) -> None:
    Catalog.open(data).close()
    backup = (data / FILE).read_bytes()
    create(data, "a")
    create(data, "b")
    revoke(data, "a")
    (data / FILE).write_bytes(backup)
    for name in ("a", "b"):
        with pytest.raises(InvalidValue, match="a token of this name was made before"):
            create(data, name)
    assert states(data) == {}
    create(data, "c")
    assert states(data) == {"a": False, "b": False, "c": True}
    assert followed(data) == []


def test_a_token_that_was_made_after_its_name_was_revoked_stays_valid(data: Path) -> None:
    create(data, "a")
    revoke(data, "a")
    with Catalog.open(data) as catalog:
        catalog.execute("DELETE FROM tokens")  # as a catalog from a backup had been
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        tokens.create(catalog, access.grant("a", None, Role.WRITE, tomorrow, None))
    assert followed(data) == []
    assert states(data) == {"a": True}


def test_an_audit_log_that_can_not_be_read_makes_no_token_valid(data: Path) -> None:
    (data / audit.FILE).mkdir(parents=True)
    with pytest.raises(StoreUnusable, match=r"audit\.jsonl"):
        followed(data)
