"""The command line: its commands, and what each failure ends them with.

A command does its work and returns an `Answer`; printing comes last, in one place. Results go to
stdout, everything else to stderr. Computes nothing itself.
"""

from __future__ import annotations

import gc
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline import errors
from pipeline.model.listing import Sort, Status
from pipeline.terminal.arguments import HERE, AsJson, Data, Id, ids_of_catalog
from pipeline.terminal.reporter import PROGRAM, Diagnostic, Reporter

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipeline.runs.context import Work
    from pipeline.storage.catalog import Entry

DISTRIBUTION: Final = "bufdir-aggregation"

DONE: Final = 0
OUR_FAULT: Final = 1
WRONG_USAGE: Final = 2
REFUSED_OR_FAILED: Final = 3
LOCKED: Final = 75
INTERRUPTED: Final = 128 + signal.SIGINT

EXIT_CODES: Final[Mapping[type[errors.BufdirError], int]] = {
    errors.InvalidSetting: WRONG_USAGE,
    errors.InvalidValue: WRONG_USAGE,
    errors.PeriodNotBegun: WRONG_USAGE,
    errors.SnapshotNotFound: WRONG_USAGE,
    errors.SnapshotExists: WRONG_USAGE,
    errors.CellMismatch: WRONG_USAGE,
    errors.ExportsMissing: WRONG_USAGE,
    errors.ExportsUnreadable: WRONG_USAGE,
    errors.SnapshotNotReady: REFUSED_OR_FAILED,
    errors.ExportRefused: REFUSED_OR_FAILED,
    errors.ExportsChanged: REFUSED_OR_FAILED,
    errors.RunFailed: REFUSED_OR_FAILED,
    errors.LedgerBroken: OUR_FAULT,
    errors.StoreDamaged: OUR_FAULT,
    errors.StoreUnusable: OUR_FAULT,
    errors.Busy: LOCKED,
}
"""What each expected failure ends the program with."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say when its work is done."""

    shown: RenderableType = ""
    """For people: text or tables."""
    body: object = None
    """For programs, printed as JSON in place of what is shown; None where that was not asked."""
    notes: Sequence[Diagnostic] = ()
    code: int = DONE


def _now() -> datetime:
    return datetime.now(UTC)


def main() -> None:
    """Do what the arguments say, and end with the exit code that tells how it went."""
    # What is loaded by now stays: to look through it for garbage makes quiet nights longer.
    gc.freeze()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that can't be written is shown
    sys.exit(_run(Reporter()))


def _run(journal: Reporter) -> int:
    try:
        answer = app(prog_name=PROGRAM, obj=journal, standalone_mode=False)
        if isinstance(answer, Answer):
            _hand_over(answer, journal)
            return answer.code
    except SystemExit:
        raise
    except KeyboardInterrupt:
        answer = INTERRUPTED
    except BaseException as error:  # noqa: BLE001 (the last one who can say what went wrong)
        return _refuse(error, journal)
    if answer == INTERRUPTED:
        journal.say(Diagnostic("interrupted", "interrupted; what was published stands"))
    return int(answer or DONE)


def _refuse(error: BaseException, journal: Reporter) -> int:
    """Say in one sentence what went wrong; the exit code that belongs to it."""
    match error:
        case errors.BufdirError():
            code, sentence = EXIT_CODES.get(type(error), OUR_FAULT), str(error)
        case typer.TyperException():
            code, sentence = WRONG_USAGE, _usage_sentence(error)
        case OSError(strerror=str(reason)):
            where = f"{error.filename}: " if error.filename else ""
            code, sentence = OUR_FAULT, f"{where}{reason}"
        case (
            sqlite3.OperationalError()
            | sqlite3.DatabaseError(sqlite_errorcode=sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB)
        ):
            code, sentence = OUR_FAULT, f"the catalog can't be used: {error}"
        case _:
            journal.say_fault(error, _now())
            return OUR_FAULT
    if sentence:
        journal.say(Diagnostic("command_failed", sentence, is_failure=True))
    return code


def _usage_sentence(error: typer.TyperException) -> str:
    """What Typer says of wrong arguments; nothing where it has shown the whole help instead."""
    context: typer.Context | None = getattr(error, "ctx", None)
    said = " ".join(error.format_message().split()).removesuffix(".")
    said = said.replace("Value error, ", "").replace(". Did you", ", did you")
    if context is None or not said:
        return said
    said = f"{said[0].lower()}{said[1:]}"
    return said if said.endswith("?") else f"{said}; {context.command_path} --help shows more"


def _hand_over(answer: Answer, journal: Reporter) -> None:
    """Print the result, then what else there is to say."""
    if answer.body is not None:
        text = _as_json(answer.body)
    elif isinstance(answer.shown, str):
        text = answer.shown
    else:
        from pipeline.terminal import tables

        text = tables.rendered(answer.shown)
    try:
        typer.echo(text)
    except BrokenPipeError:
        # A reader, such as head, has seen enough; what else there is to say goes elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for note in answer.notes:
        journal.say(note)


def _as_json(body: object) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(body), indent=2).decode()


app: Final = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as installed_version

        typer.echo(f"{PROGRAM} {installed_version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _program(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="DIR", envvar="BUFDIR_DATA", help="The folder with everything in it."
        ),
    ] = HERE,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Turn nightly exports of participations into the numbers that Bufdir asks for.

    Exports lie in DIR/exports, settings in DIR/bufdir.toml; snapshots are
    written beside them.

    [bold]Examples[/]
    $ bufdir nightly
    $ bufdir list --period rp-2024-q4
    $ bufdir --data /srv/bufdir show agg-001 --json

    [bold]Exit codes[/]
    0   done
    1   a fault of ours
    2   wrong usage
    3   some input was refused or a run failed; all else was done
    75  another run holds the lock
    """
    del version
    # What stands before the command holds for it, unless it is told otherwise.
    context.default_map = {str(command.name): {"data": data} for command in app.registered_commands}


@contextmanager
def _work(context: typer.Context, data: Path) -> Iterator[Work]:
    """Settings, catalog, clock and progress for a command that reads exports."""
    from pipeline import settings
    from pipeline.runs.context import Work
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import progress

    chosen = settings.load(data)
    context.obj.follow(chosen)
    with Catalog.open(data) as catalog, progress.telling(context.obj) as tell:
        yield Work(data, chosen, catalog, _now, tell)


@app.command("nightly")
def nightly(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Compute every cell anew.")] = False,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """Bring every cell of every configured kind of period up to date.

    Computes only what is stale. What the operator should know goes to stderr,
    a line each: refused exports, failed runs, what was left as it is, and why.

    [bold]Examples[/]
    $ bufdir nightly
    $ bufdir --data /srv/bufdir nightly --full
    """
    from pipeline.runs import nightly as nights
    from pipeline.terminal import sentences

    with _work(context, data) as work:
        night = nights.run(work, full=full)
        standing = sum(version > 0 for version in work.catalog.current_versions().values())
    failed = night.refused or night.held or any(outcome.problem for outcome in night.outcomes)
    return Answer(
        shown=sentences.night(night, standing),
        body=sentences.night_body(night, standing) if as_json else None,
        notes=sentences.notes_of_night(night),
        code=REFUSED_OR_FAILED if failed else DONE,
    )


@app.command("run")
def run(
    context: typer.Context,
    *,
    period: Annotated[
        list[str], typer.Option(metavar="P", help="A period, or a range of them; repeatable.")
    ],
    org: Annotated[
        list[str] | None,
        typer.Option(metavar="O", help="An organisation; repeatable. All that exports name."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compute anew what has not changed, too.")
    ] = False,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """Compute cells now: these periods of these organisations.

    Periods of any kind: rp-2024, rp-2024-h2, rp-2024-t3, rp-2024-q4, rp-2024-m10.

    [bold]Examples[/]
    $ bufdir run --period rp-2024-q4
    $ bufdir run --period rp-2024-q1..rp-2024-q4 --org org-bufdir-42
    $ bufdir run --period rp-2024 --org org-1 --org org-2 --force
    """
    from pipeline.model import periods
    from pipeline.terminal import sentences, tables

    wanted = [part for text in period for part in periods.parse_range(text)]
    with _work(context, data) as work:
        from pipeline.runs import compute

        ended = compute.run_cells(work, wanted, org, force=force)
    notes = sentences.notes_of_run(ended)
    return Answer(
        shown=tables.outcomes(ended.outcomes),
        body=ended if as_json else None,
        notes=notes,
        code=REFUSED_OR_FAILED if notes else DONE,
    )


@app.command("check")
def check(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Export files anywhere; all under DIR/exports where none is named.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """Judge exports without publishing: the ledger, and what would be refused.

    [bold]Examples[/]
    $ bufdir check
    $ bufdir check delivery/2024-q4.parquet
    """
    from pipeline.terminal import tables

    with _work(context, data) as work:
        from pipeline.runs import inspection

        checked = inspection.check(work, files or None)
    refused = any(file.problem is not None for file in checked.files)
    return Answer(
        shown=tables.checked(checked),
        body=checked if as_json else None,
        code=REFUSED_OR_FAILED if refused else DONE,
    )


@app.command("verify")
def verify(
    context: typer.Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="All where none is named.",
            autocompletion=ids_of_catalog,
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """Recompute snapshots on the second engine, and compare every number.

    [bold]Examples[/]
    $ bufdir verify
    $ bufdir verify agg-001 agg-002
    """
    from pipeline.terminal import sentences, tables

    with _work(context, data) as work:
        from pipeline.runs import inspection

        verified = inspection.verify(work, ids or None)
    verdicts = {one.verdict for one in verified.snapshots}
    if verdicts & {inspection.COUNT_DISTINCT, inspection.DAMAGED, inspection.MISLISTED}:
        code = OUR_FAULT
    else:
        is_fine = verdicts <= {inspection.EQUAL} and not verified.refused
        code = DONE if is_fine else REFUSED_OR_FAILED
    return Answer(
        shown=tables.verified(verified.snapshots),
        body=verified if as_json else None,
        notes=sentences.notes_of_refusals(verified.refused),
        code=code,
    )


@app.command("list")
def list_snapshots(
    *,
    org: Annotated[str | None, typer.Option(metavar="O", help="Of this organisation.")] = None,
    period: Annotated[str | None, typer.Option(metavar="P", help="Of this period.")] = None,
    status: Annotated[
        Status | None,
        typer.Option(metavar="S", help="In this state: processing, completed or failed."),
    ] = None,
    sort: Annotated[
        Sort,
        typer.Option(
            metavar="NAME",
            help="By created_at, refreshed_at, org_id, reporting_period_id or participant_count; "
            "a - before it turns it round.",
        ),
    ] = "created_at",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=10**9, help="At most so many; all by default."),
    ] = None,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """List snapshots, a line each.

    [bold]Examples[/]
    $ bufdir list
    $ bufdir list --period rp-2024-q4 --sort -participant_count --limit 10
    $ bufdir list --status failed --json
    """
    from pipeline.model import periods, versions
    from pipeline.model.listing import Listing
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import tables

    listing = Listing(
        org_id=None if org is None else versions.check_organisation(org),
        reporting_period_id=None if period is None else periods.parse(period).id,
        status=status,
        sort=sort,
        limit=limit,
    )
    with Catalog.open(data) as catalog:
        entries, total = catalog.list(listing)
    rest = Diagnostic("list_cut", f"{len(entries):,} of {total:,} snapshots are shown")
    return Answer(
        shown=tables.entries(entries),
        body=_page(entries, limit or total, total) if as_json else None,
        notes=[rest] if len(entries) < total else [],
    )


def _page(entries: Sequence[Entry], limit: int, total: int) -> object:
    from api import replies

    data = [replies.Listed.of(entry) for entry in entries]
    return replies.Page(data, replies.Pagination(page=1, limit=limit, total=total))


@app.command("show")
def show(
    snapshot_id: Id,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Only the numbers, people among them.")
    ] = False,
    as_json: AsJson = False,
    data: Data = HERE,
) -> Answer:
    """Show one snapshot: its numbers by category, and what became of every row.

    [bold]Examples[/]
    $ bufdir show agg-001
    $ bufdir show agg-001 --json
    $ bufdir show agg-001 --metrics --json
    """
    from api import replies
    from pipeline.storage import version_files
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import tables

    with Catalog.open(data) as catalog:
        entry = catalog.get(snapshot_id)
    version = version_files.read(data, entry.number, entry.version) if entry.version else None
    body: object
    if version is None:
        if metrics:
            raise errors.SnapshotNotReady(entry.id, entry.status)
        shown, body = tables.unpublished(entry), replies.Snapshot.unpublished(entry, entry.error)
    elif metrics:
        shown, body = tables.metrics(version), replies.Metrics.of(version)
    else:
        shown, body = tables.published(version), replies.Snapshot.published(version)
    return Answer(shown, body if as_json else None)


@app.command("delete")
def delete(snapshot_id: Id, as_json: AsJson = False, data: Data = HERE) -> Answer:
    """Delete one snapshot with its files, at once.

    The next night makes a new one, with a new id, if exports still hold that cell.

    [bold]Examples[/]
    $ bufdir delete agg-001
    """
    from api import replies
    from pipeline.runs import lifecycle
    from pipeline.storage.catalog import Catalog

    with Catalog.open(data) as catalog:
        entry = lifecycle.delete(catalog, snapshot_id)
    return Answer(
        shown=f"{entry.id} is deleted: {entry.org_id} in {entry.reporting_period_id}",
        body=replies.Deleted(deleted=True, id=entry.id) if as_json else None,
    )


@app.command("reindex")
def reindex(context: typer.Context, as_json: AsJson = False, data: Data = HERE) -> Answer:
    """Rebuild the catalog from the snapshot files, after it was lost, damaged or restored.

    [bold]Examples[/]
    $ bufdir --data /srv/bufdir reindex
    """
    from pipeline import settings
    from pipeline.runs import reindex as reindexing
    from pipeline.terminal import sentences

    context.obj.follow(settings.load(data))
    found = reindexing.run(data, _now())
    return Answer(
        shown=sentences.reindexed(found),
        body=found if as_json else None,
        notes=[Diagnostic("version_damaged", sentence) for sentence in found.damaged],
        code=REFUSED_OR_FAILED if found.damaged else DONE,
    )


@app.command("serve")
def serve(
    context: typer.Context,
    host: Annotated[
        str, typer.Option(metavar="NAME", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="The port; 0 takes any free one.")
    ] = 8000,
    workers: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Processes that answer.")
    ] = 1,
    data: Data = HERE,
) -> None:
    """Serve the API until interrupted.

    [bold]Examples[/]
    $ bufdir serve
    $ bufdir --data /srv/bufdir serve --port 9000 --workers 4
    """
    from api import server
    from pipeline import settings

    chosen = settings.load(data)
    context.obj.follow(chosen)
    server.serve(data, chosen, host, port, workers)


@app.command("sample")
def sample(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")
    ],
    *,
    rows: Annotated[
        int, typer.Option(metavar="N", max=10**10, help="Rows of all files.")
    ] = 100_000,
    orgs: Annotated[int, typer.Option(metavar="N", max=10**6, help="Organisations.")] = 20,
    files: Annotated[int, typer.Option(metavar="N", max=10**6, help="Files.")] = 8,
    seed: Annotated[
        int, typer.Option(metavar="S", max=2**62, help="Another seed, other rows.")
    ] = 1,
    as_json: AsJson = False,
) -> Answer:
    """Write sample exports, the same bytes for the same arguments.

    [bold]Examples[/]
    $ bufdir sample big/exports --rows 1000000 --orgs 200
    $ bufdir --data big nightly
    """
    from pipeline import sample as samples
    from pipeline.terminal import progress, sentences

    with progress.bar("Writing rows", rows) as advance:
        try:
            paths = samples.write(
                folder, rows=rows, organisations=orgs, files=files, seed=seed, progress=advance
            )
        except (ValueError, FileExistsError) as error:
            raise typer.BadParameter(str(error)) from error
    return Answer(
        shown=f"sample: {sentences.counted(rows, 'row')} under {folder}, in "
        f"{sentences.counted(len(paths), 'export')}",
        body={"files": [path.as_posix() for path in paths], "rows": rows} if as_json else None,
    )


if __name__ == "__main__":
    main()
