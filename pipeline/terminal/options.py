"""Options and arguments of single commands, each with its help and its completion."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline.model import listing
from pipeline.model.access import Role
from pipeline.model.states import EngineName
from pipeline.terminal.completion import deleted_ids, ids_of_catalog

Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="Such as agg-001.", autocompletion=ids_of_catalog)
]
DeletedId = Annotated[
    str, typer.Argument(metavar="ID", help="Such as agg-001.", autocompletion=deleted_ids)
]
Deleted = Annotated[
    bool, typer.Option("--deleted", help="Those that were deleted, and until when to undelete.")
]
Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID",
        help="All if none is named.",
        autocompletion=ids_of_catalog,
        show_default=False,
    ),
]
Full = Annotated[bool, typer.Option("--full", help="Compute every snapshot again.")]
Engine = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=f"{' or '.join(EngineName)}. Default: the setting engine.name.",
        show_default=False,
    ),
]
OtherEngine = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=f"{' or '.join(EngineName)}. Default: for each version, not the one that counted it.",
        show_default=False,
    ),
]
Periods = Annotated[
    list[str],
    typer.Option("--period", metavar="P", help="A period, or a range of them; repeatable."),
]
Organisations = Annotated[
    list[str] | None,
    typer.Option(
        "--org",
        metavar="O",
        help="An organisation; repeatable. Default: all that exports name.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Compute what has not changed, too.")]
Files = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE",
        help="Export files in any folder. Default: all exports of the data folder.",
        exists=True,
        dir_okay=False,
        show_default=False,
    ),
]
ProposedFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="An export of the system, in any folder.",
        exists=True,
        dir_okay=False,
        readable=True,
        show_default=False,
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="The source that reads FILE. Default: the one whose files have such a path.",
        show_default=False,
    ),
]
GoneFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE", help="Names below exports/, folders, or patterns such as '2023/**'."
    ),
]
Keep = Annotated[bool, typer.Option("--keep", help="They were deleted by law; numbers stay.")]
KeepNumbers = Annotated[bool, typer.Option("--keep", help="Never publish the fall; numbers stay.")]
Retract = Annotated[bool, typer.Option("--retract", help="Their statements never were.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take the declaration back.")]
Note = Annotated[
    str, typer.Option("--note", metavar="TEXT", help="The reason, for later.", show_default=False)
]
BlockedIds = Annotated[
    list[str],
    typer.Argument(metavar="ID", help="Such as agg-001.", autocompletion=ids_of_catalog),
]
Organisation = Annotated[
    str | None, typer.Option("--org", metavar="O", help="Of this organisation.")
]
Period = Annotated[str | None, typer.Option("--period", metavar="P", help="Of this period.")]
Status = Annotated[
    listing.Status | None,
    typer.Option("--status", metavar="S", help="In this state: processing, completed or failed."),
]
Sort = Annotated[
    listing.Sort,
    typer.Option(
        "--sort",
        metavar="NAME",
        help="By created_at, refreshed_at, org_id, reporting_period_id or participant_count; "
        "with a - before it in descending order.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=1,
        max=10**9,
        help="At most this many. Default: all.",
        show_default=False,
    ),
]
Metrics = Annotated[bool, typer.Option("--metrics", help="Only the numbers, by every breakdown.")]
Host = Annotated[str, typer.Option("--host", metavar="NAME", help="The address to listen on.")]
Port = Annotated[
    int,
    typer.Option("--port", metavar="N", min=0, max=65535, help="The port; 0 takes any free one."),
]
Workers = Annotated[
    int,
    typer.Option("--workers", metavar="N", min=1, max=64, help="Processes that answer requests."),
]
TokenName = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the token; no other ever has it.")
]
TokenOrganisations = Annotated[
    list[str] | None,
    typer.Option(
        "--org",
        metavar="O",
        help="An organisation that the token is for; repeatable.",
        show_default=False,
    ),
]
AllOrganisations = Annotated[
    bool, typer.Option("--all", help="The token is for all organisations.")
]
Can = Annotated[Role, typer.Option("--can", metavar="ROLE", help=f"{', '.join(Role)}.")]
Expires = Annotated[
    datetime | None,
    typer.Option(
        "--expires",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help="The last day on which the token is valid, such as 2027-12-31. Default: no end.",
        show_default=False,
    ),
]
VerifyAudit = Annotated[
    bool, typer.Option("--verify", help="Check that no line was changed, removed or moved.")
]
AuditLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        min=1,
        max=10**9,
        help="The last N lines only. Default: all.",
        show_default=False,
    ),
]
Public = Annotated[
    bool,
    typer.Option("--public", help="Serve other computers even if no token was made."),
]
SampleFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder to write to; made if missing.")
]
SampleRows = Annotated[
    int, typer.Option("--rows", metavar="N", max=10**10, help="Rows of all files together.")
]
SampleOrganisations = Annotated[
    int, typer.Option("--orgs", metavar="N", max=10**6, help="Organisations.")
]
SampleFiles = Annotated[int, typer.Option("--files", metavar="N", max=10**6, help="Files.")]
SampleSeed = Annotated[
    int, typer.Option("--seed", metavar="S", max=2**62, help="Another seed gives other rows.")
]
