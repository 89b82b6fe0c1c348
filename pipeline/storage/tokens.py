"""The tokens in the catalog: made, listed, revoked and looked up. Only their hashes are kept.

A revoked token stays listed, so that a server whose last token was revoked does not become public.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import InvalidValue
from pipeline.model.access import Grant
from pipeline.storage.database import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from pipeline.storage.database import Database

PREFIX: Final = "bfd_"
"""The beginning of every token, by which scanners find one in the wrong place."""
_BYTES: Final = 32


def digest_of(token: str) -> str:
    """Give the hash by which a token is known."""
    return sha256(token.encode()).hexdigest()


def create(catalog: Database, grant: Grant) -> str:
    """Make a token, and return its text, which is kept nowhere.

    Raises:
        InvalidValue: A token of this name was made before.
    """
    if catalog.execute("SELECT 1 FROM tokens WHERE name = ?", (grant.name,)):
        problem = "a token of this name was made before; take another name"
        raise InvalidValue("NAME", grant.name, problem)
    token = f"{PREFIX}{secrets.token_urlsafe(_BYTES)}"
    restore(catalog, {digest_of(token): grant})
    return token


def restore(catalog: Database, grants: Mapping[str, Grant]) -> None:
    """Take tokens into the catalog, by their hashes."""
    for digest, grant in grants.items():
        organisations = grant.organisations
        catalog.execute(
            "INSERT INTO tokens (name, digest, organisations, role, created_at, expires_at, "
            "revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                grant.name,
                digest,
                None if organisations is None else msgspec.json.encode(organisations).decode(),
                grant.role,
                text_of(grant.created_at),
                grant.expires_at and text_of(grant.expires_at),
                grant.revoked_at and text_of(grant.revoked_at),
            ),
        )


def by_digest(catalog: Database) -> Mapping[str, Grant]:
    """Read all tokens that were ever made, by their hashes, oldest first."""
    rows = catalog.execute("SELECT * FROM tokens ORDER BY rowid")
    return {row["digest"]: _grant(catalog, dict(row)) for row in rows}


def grants(catalog: Database) -> Sequence[Grant]:
    """Read all tokens that were ever made, oldest first."""
    return list(by_digest(catalog).values())


def are_made(catalog: Database) -> bool:
    """Return whether any token was ever made."""
    return bool(catalog.execute("SELECT 1 FROM tokens LIMIT 1"))


def revoke(catalog: Database, name: str, now: datetime) -> None:
    """Revoke a token; it is refused from now on.

    Raises:
        InvalidValue: There is no token of this name, or it is revoked already.
    """
    changed = catalog.change(
        "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
        (text_of(now), name),
    )
    if not changed:
        problem = "no token of this name can be revoked; bufdir token list shows which there are"
        raise InvalidValue("NAME", name, problem)


def _grant(catalog: Database, row: dict[str, object]) -> Grant:
    """Decode a token.

    Raises:
        StoreDamaged: The row is not what was written.
    """
    del row["digest"]
    given = row["organisations"]
    try:
        row["organisations"] = given if given is None else msgspec.json.decode(str(given))
    except msgspec.DecodeError as error:
        raise catalog.damaged(f"a token: {error}") from error
    return catalog.decode(row, Grant)
