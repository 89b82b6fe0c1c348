"""The names that activity systems have for our columns, in Norwegian and English."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    UPDATED_AT,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_USUAL: Final[Mapping[str, str]] = {
    ORG_ID: """
        org_id, organisasjonsid, organisasjonsnummer, organisasjonsnr, orgnummer, orgnr, enhetsid,
        enhet id, avdelingsid, lagsid, lag id, lagnr, klubbid, organisation id, organization id,
        unit id, club id, organisasjon, organisasjonskode, organisation, organization, org, enhet,
        avdeling, lag, lokallag, forening, klubb, krets, unit, department, branch, chapter, club
    """,
    ACTIVITY_ID: """
        activity_id, aktivitetsid, aktivitet id, aktivitetsnr, aktivitetsnummer, arrangementsid,
        arrangement id, arrangementsnr, hendelsesid, samlingsid, kursid, tiltaksid, event id,
        session id, aktivitet, aktivitetskode, arrangement, samling, kurs, tiltak, hendelse,
        activity, event, session, aktivitetsnavn
    """,
    PARTICIPANT_ID: """
        participant_id, deltakerid, deltagerid, deltakernr, deltakernummer, personid, person nr,
        medlemsid, medlem id, medlemsnr, medlemsnummer, brukerid, pseudonym, pseudonymid, pseudoid,
        personnøkkel, personal id, member id, member number, user id, participant, person,
        deltaker, deltager, medlem, bruker, member
    """,
    CATEGORY: """
        bufdir_category, bufdirkategori, bufdir kode, kategori, kategorikode, kategorinavn,
        målgruppe, aktivitetskategori, aktivitetstype, type aktivitet, tiltakstype, tilbud,
        tilbudstype, category, activity category, activity type, target group
    """,
    STARTED_AT: """
        started_at, starttidspunkt, starttid, start, startet, startdato, dato og tid, tidspunkt,
        aktivitetsdato, oppmøtedato, dato, start time, start date, event date, date
    """,
    HOURS: """
        hours, timer, antall timer, timeantall, timetall, timer totalt, varighet timer, varighet i
        timer, varighet, deltakertimer, duration hours, number of hours, duration
    """,
    UPDATED_AT: """
        updated_at, sist endret, endret, endret dato, endringsdato, endringstidspunkt, sist
        oppdatert, oppdatert, oppdatert dato, oppdateringsdato, modified at, last modified,
        modified, last updated, updated, changed at, last changed, changed
    """,
    STATUS: "status, deltakerstatus, oppmøtestatus, deltakelsesstatus, attendance status",
    DELETED: "deleted, slettet, er slettet, trukket, avlyst, is deleted, withdrawn, cancelled",
}
"""Our column to the usual names for it, the most likely first."""
_LETTERS: Final = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})


def _plain(name: str) -> str:
    """Reduce a name to its letters and digits, whatever is between them."""
    letters = unicodedata.normalize("NFC", name).casefold().translate(_LETTERS)
    return "".join(sign for sign in letters if sign.isalnum())


_RANKS: Final = {
    _plain(name): (rank, ours)
    for ours, names in _USUAL.items()
    for rank, name in enumerate(" ".join(names.split()).split(", "))
}


def fitting(names: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Find the columns that have a usual name for one of ours, the most likely one first.

    A name with dots leads into objects. It counts as a whole, or else its last part does.

    Args:
        names: The names of a file's columns.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in dict.fromkeys(names):
        match = _RANKS.get(_plain(name)) or _RANKS.get(_plain(name.rpartition(".")[2]))
        if match is not None:
            rank, ours = match
            found.setdefault(ours, []).append((rank, name))
    return {
        ours: [name for _, name in sorted(of, key=lambda one: one[0])] for ours, of in found.items()
    }
