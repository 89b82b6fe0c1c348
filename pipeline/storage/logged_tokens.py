"""The tokens as the audit log knows them, which outlasts a lost catalog and one from a backup.

A catalog that is older than the log takes revoked tokens for valid ones, and does not know those
that were made since. It is made to follow the log. The log has no hashes, so it makes no token
valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline.errors import StoreUnusable
from pipeline.model import audit as model
from pipeline.model.access import Grant, Role
from pipeline.model.audit import Act
from pipeline.storage import audit, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.storage.catalog import Catalog

_MARK: Final = b'"token_'
"""The beginning of both acts, which other lines seldom have: most need not be decoded."""


@dataclass(frozen=True, slots=True)
class LoggedTokens:
    """The names of the audit log, with the last instant of each act."""

    made: dict[str, datetime] = field(default_factory=dict)
    revoked: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The tokens about which the catalog is behind the audit log."""

    lost: Mapping[str, datetime] = field(default_factory=dict)
    """The names that the catalog lacks, with the instants at which the tokens were made."""
    revoked: Mapping[str, datetime] = field(default_factory=dict)
    """The names that the log revokes, lost ones too, with the instants at which it does."""

    @property
    def lost_names(self) -> Sequence[str]:
        """The tokens that were valid, and have to be made again under other names."""
        return [name for name in self.lost if name not in self.revoked]

    @property
    def revoked_names(self) -> Sequence[str]:
        """The tokens that the catalog takes for valid."""
        return [name for name in self.revoked if name not in self.lost]

    @property
    def all_names(self) -> Sequence[str]:
        """The tokens that end to be valid once the catalog follows the log."""
        return [*self.lost_names, *self.revoked_names]


def read(data: Path) -> LoggedTokens:
    """Read the tokens of the audit log.

    Call it outside any transaction: a process that writes the log waits for those of others.

    Raises:
        StoreUnusable: The audit log can't be read.
    """
    found = LoggedTokens()
    try:
        for raw in audit.lines(data):
            line = model.decoded(raw.removesuffix(b"\n")) if _MARK in raw else None
            if line is not None and line.act is Act.TOKEN_CREATE:
                found.made[line.what.partition(":")[0]] = line.at
            elif line is not None and line.act is Act.TOKEN_REVOKE:
                found.revoked[line.what] = line.at
    except OSError as error:
        raise StoreUnusable(str(data / audit.FILE), str(error.strerror)) from error
    return found


def disagreement(catalog: Catalog, logged: LoggedTokens) -> Disagreement:
    """Compare the tokens of the catalog with those of the audit log, which was read before."""
    known = {grant.name: grant for grant in tokens.grants(catalog)}
    lost = {name: at for name, at in logged.made.items() if name not in known}
    return Disagreement(
        lost,
        {
            name: at
            for name, at in logged.revoked.items()
            if name in lost or _takes_for_valid(known.get(name), at)
        },
    )


def follow(catalog: Catalog, logged: LoggedTokens, now: datetime) -> Disagreement:
    """Revoke each token that the audit log revokes, and take lost ones in as revoked.

    Without them, a lost name could be given twice, and a catalog without any token would let
    everybody write.

    Args:
        catalog: The catalog.
        logged: The tokens of its audit log, which was read before.
        now: The present instant.

    Returns:
        What the catalog was behind in.
    """
    if disagreement(catalog, logged) == Disagreement():
        return Disagreement()
    with catalog.transaction():
        found = disagreement(catalog, logged)
        for name, made_at in found.lost.items():
            end = found.revoked.get(name, now)
            lost = Grant(name, (), Role.READ, made_at, None, revoked_at=end)
            tokens.restore(catalog, {f"lost {name}": lost})
        for name in found.revoked_names:
            tokens.revoke(catalog, name, found.revoked[name])
        for name in found.all_names:
            catalog.record(Act.TOKEN_REVOKE, name)
    return found


def _takes_for_valid(grant: Grant | None, revoked_at: datetime) -> bool:
    """Return whether a token was made before the log revoked its name, and is not revoked.

    Earlier releases gave a name twice, after a catalog from a backup had lost its first token.
    """
    return grant is not None and grant.revoked_at is None and grant.created_at <= revoked_at
