"""The guard against identity numbers: refuses exports that name people by them.

Participants must be pseudonyms. So an export is refused as a whole if more than
`privacy.most_identity_numbers` of its different participants are identity numbers. A share alone
would refuse small exports of random eleven digits: of 40 of them, one often is an identity number.
So there must also be more of them than chance gives in one of 10,000 such exports. Two of two are
refused, and one alone is not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pipeline.errors import ExportRefused
from pipeline.model.columns import PARTICIPANT_ID
from pipeline.sources.identity_numbers import CHANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.engines.participants import Participants
    from pipeline.sources.accepted import Export

_RARE: Final = 1e-4
"""The share of files of random eleven digits that may be refused."""


def refused(
    exports: Iterable[Export], found: Sequence[Participants], most: float
) -> Mapping[Export, ExportRefused]:
    """Find the exports that name people by identity numbers.

    Args:
        exports: The exports.
        found: The participants of each.
        most: The greatest share of identity numbers that is accepted.
    """
    return {
        export: ExportRefused(export.file.name, _problem(export, of), export.rows)
        for export, of in zip(exports, found, strict=True)
        if has_identity_numbers(of, most)
    }


def has_identity_numbers(found: Participants, most: float) -> bool:
    """Return whether more values are identity numbers than may be, and than chance gives."""
    return (
        found.identity_numbers > most * found.values
        and _chance(found.identity_numbers, found.of_eleven_digits) <= _RARE
    )


def _chance(numbers: int, of_eleven_digits: int) -> float:
    """Give an upper bound of the chance of so many among random eleven digits (Chernoff)."""
    share = numbers / of_eleven_digits if of_eleven_digits else 0
    if share <= CHANCE:
        return 1
    divergence = share * math.log(share / CHANCE)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - CHANCE))
    return math.exp(-of_eleven_digits * divergence)


def _problem(export: Export, found: Participants) -> str:
    theirs = export.mapping.sources.get(PARTICIPANT_ID, PARTICIPANT_ID)
    column = PARTICIPANT_ID if theirs == PARTICIPANT_ID else f"{theirs} ({PARTICIPANT_ID})"
    return (
        f"{found.identity_numbers:,} of {found.values:,} different values that were looked at in "
        f"column {column} are national identity numbers; export pseudonyms in their place, such as "
        "HMAC-SHA-256 of each number with a secret key that stays at the source"
    )
