"""The commands of the program: each calls one verb and returns a `CommandResult`.

Computes and prints nothing itself; `pipeline/terminal` prints and gives the exit codes.
"""

from __future__ import annotations

import gc
import io
import sys
from typing import TYPE_CHECKING, Final

import typer

from pipeline import errors
from pipeline.model.findings import Health
from pipeline.model.states import EngineName, Verdict
from pipeline.storage import permissions
from pipeline.terminal import confirmation, options, program
from pipeline.terminal.command_result import CommandResult, Diagnostic, Severity
from pipeline.terminal.data_folder import HERE
from pipeline.terminal.exit_codes import ExitCode
from pipeline.terminal.global_options import (
    Data,
    RootData,
    Version,
    chosen_data_folder,
    command,
    with_global_options,
)
from pipeline.terminal.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from pipeline.model.listing import Listing
    from pipeline.proposals.proposal import Proposal
    from pipeline.runs.context import RunContext
    from pipeline.runs.reading import Reading
    from pipeline.sources.selection import Selection
    from pipeline.storage.catalog import Entry

_LOCAL_ENGINES: Final = (EngineName.POLARS, EngineName.DUCKDB)
"""The engines by which `verify` may read."""

app: Final = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


tokens_app: Final = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(tokens_app, name="token", help="Make, list and revoke the tokens of the API.")


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    permissions.restrict_new_files()
    # Objects loaded by now are never freed; searching them for garbage would slow short commands.
    gc.freeze()
    # A command loads many more modules and leaves few cycles: searching less often is enough.
    gc.set_threshold(300_000, 50, 100)
    program.open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that can't be encoded is shown
    reporter = Reporter(is_json=program.asks_for_json(sys.argv[1:]))
    sys.exit(program.run(app, reporter))


def _program(
    context: typer.Context, data: RootData = None, version: Version = False
) -> CommandResult | None:
    """Convert nightly exports of participations to the numbers that Bufdir asks for.

    Exports are read from exports/ in the data folder, settings from bufdir.toml
    in it; snapshots are written next to them.

    [bold]Examples[/]
    $ bufdir nightly
    $ bufdir list --period rp-2024-q4
    $ bufdir --data /srv/bufdir show agg-001 --json

    [bold]Exit codes[/]
    0   done
    1   a fault of the program, or a data folder that can't be read or written
    2   wrong usage
    3   some input was refused, snapshots are blocked or a run failed; all else was done
    75  another run holds the lock
    130 interrupted by Ctrl-C; what was published stays published
    """
    del version
    reporter: Reporter = context.obj
    folder = chosen_data_folder(context, data)
    reporter.data_rule = folder.rule
    # Commands take this folder unless one is named after them.
    context.default_map = {
        str(registered.name): {"data": folder.path} for registered in app.registered_commands
    }
    context.default_map["token"] = {
        str(registered.name): {"data": folder.path} for registered in tokens_app.registered_commands
    }
    return None


app.callback()(with_global_options(_program))


@command(app, "nightly")
def nightly(
    reporter: Reporter,
    *,
    full: options.Full = False,
    engine: options.Engine = None,
    data: Data = HERE,
) -> CommandResult:
    """Bring every snapshot of the configured kinds of period up to date.

    Computes only what is stale. Prints a line on stderr for each thing that the
    operator should know: refused exports, blocked snapshots, failed runs, warnings.

    [bold]Examples[/]
    $ bufdir nightly
    $ bufdir --data /srv/bufdir nightly --full
    """
    from pipeline.runs import nightly as nightly_run
    from pipeline.terminal import access_tables, nightly_sentences, session

    with session.run_context(reporter, data, engine=engine) as context:
        result = nightly_run.run(context, full=full)
        current = sum(version > 0 for version in context.catalog.current_versions().values())
    failed = (
        *(result.refused, result.blocked, result.damaged),
        *(one.problem for one in result.outcomes),
    )
    return CommandResult(
        text=lambda: nightly_sentences.summary(result, current),
        body=lambda: nightly_sentences.body(result, current),
        diagnostics=[
            *nightly_sentences.diagnostics(result),
            *access_tables.diagnostics_of_unwritable(context.catalog.audit_problem),
        ],
        exit_code=ExitCode.REFUSED_OR_FAILED if any(failed) else ExitCode.DONE,
        is_confirmation=True,
    )


@command(app, "run")
def run(
    reporter: Reporter,
    *,
    period: options.Periods,
    org: options.Organisations = None,
    force: options.Force = False,
    engine: options.Engine = None,
    data: Data = HERE,
) -> CommandResult:
    """Compute snapshots now: these periods of these organisations.

    Periods of any kind: rp-2024, rp-2024-h2, rp-2024-t3, rp-2024-q4, rp-2024-m10.

    [bold]Examples[/]
    $ bufdir run --period rp-2024-q4
    $ bufdir run --period rp-2024-q1..rp-2024-q4 --org org-bufdir-42
    $ bufdir run --period rp-2024 --org org-1 --org org-2 --force
    """
    from pipeline.model import periods
    from pipeline.terminal import sentences, session, tables

    wanted = [part for text in period for part in periods.parse_range(text)]
    with session.run_context(reporter, data, engine=engine) as context:
        from pipeline.runs import run as run_now

        result = run_now.run_cells(context, wanted, org, force=force)
    diagnostics = sentences.diagnostics_of_run(result)
    return CommandResult(
        text=lambda: tables.outcomes(result.outcomes),
        body=lambda: result,
        diagnostics=diagnostics,
        exit_code=ExitCode.REFUSED_OR_FAILED if diagnostics else ExitCode.DONE,
        is_confirmation=True,
    )


@command(app, "check")
def check(
    reporter: Reporter,
    files: options.Files = None,
    *,
    source: options.Source = None,
    engine: options.Engine = None,
    data: Data = HERE,
) -> CommandResult:
    """Check exports without publishing: the ledger, what is refused, what would be blocked.

    Without FILE it names the snapshots that a nightly run would block, and the
    command that ends each block. With FILE it shows how each file is read: source,
    columns, first rows, and where values are that can't be read. Writes nothing.

    [bold]Examples[/]
    $ bufdir check
    $ bufdir check delivery/2024-q4.parquet
    $ bufdir check delivery/clubs.csv --source register
    """
    from pipeline.terminal import file_tables, sentences, session, tables

    if source is not None and not files:
        raise typer.BadParameter("name a FILE that the source is to read", param_hint="--source")

    def select(context: RunContext) -> Selection:
        from pipeline.runs import check as checking

        return checking.selected(context, files or None, source)

    with session.run_context(
        reporter, data, select=select, engine=engine, read_only=True
    ) as context:
        from pipeline.runs import check as checking

        checked = checking.check(context, files or None, source)
    failed = checked.blocked or any(file.problem is not None for file in checked.files)
    return CommandResult(
        text=lambda: file_tables.read(checked) if files else tables.checked(checked),
        body=lambda: checked,
        diagnostics=[
            *sentences.diagnostics_of_blocked(checked.blocked),
            *sentences.diagnostics_of_missing_columns(checked.missing),
            *sentences.diagnostics_of_look_alikes(checked.look_alikes),
            *sentences.diagnostics_of_set_aside(checked.set_aside),
        ],
        exit_code=ExitCode.REFUSED_OR_FAILED if failed else ExitCode.DONE,
    )


@command(app, "init")
def init(reporter: Reporter, file: options.ProposedFile, data: Data = HERE) -> CommandResult:
    """Propose the settings of a source for a file, as a commented entry of bufdir.toml.

    Guesses the format, the columns and the meaning of texts from the first rows.
    Read the proposal before you use it. Writes nothing.

    [bold]Examples[/]
    $ bufdir init delivery/clubs.csv
    $ bufdir init delivery/clubs.csv > clubs.toml
    """
    from pipeline.runs.confined import Confined
    from pipeline.terminal import session

    chosen = session.load_settings(reporter, data)

    def propose(bounds: Reading) -> Proposal:
        from pipeline.runs import propose as proposing

        return proposing.propose(bounds, file, chosen, data)

    def probe(bounds: Reading, names: Collection[str]) -> None:
        if names:
            propose(bounds)

    with session.confined(reporter, Confined(chosen, probe)) as bounds:
        proposal = propose(bounds)
    from pipeline.proposals import toml

    return CommandResult(
        text=lambda: toml.as_toml(proposal),
        body=lambda: {
            "settings": proposal.settings,
            "proposal": proposal,
            "next": toml.next_command(proposal),
        },
    )


@command(app, "retire")
def retire(
    reporter: Reporter,
    files: options.GoneFiles,
    *,
    keep: options.Keep = False,
    retract: options.Retract = False,
    undo: options.Undo = False,
    note: options.Note = "",
    data: Data = HERE,
) -> CommandResult:
    """Declare that exports are gone on purpose, so that they block nothing.

    With --keep they were deleted by law: the snapshots that they touched keep
    their numbers for good, and are counted again only by run --force. With
    --retract their statements never were: the next nightly run counts without them.

    [bold]Examples[/]
    $ bufdir retire 2019/q4.parquet --keep --note "deleted after five years"
    $ bufdir retire wrong-system --retract
    $ bufdir retire 2019/q4.parquet --undo
    """
    from pipeline.model.states import Retirement
    from pipeline.runs import declare
    from pipeline.terminal import sentences, session

    if sum((keep, retract, undo)) != 1:
        raise typer.BadParameter("give one of --keep, --retract and --undo")
    with session.run_context(reporter, data) as context:
        if undo:
            result = declare.unretire(context.catalog, files)
        else:
            how = Retirement.KEEP if keep else Retirement.RETRACT
            result = declare.retire(context, files, how, note)
    return CommandResult(
        text=lambda: sentences.retired(result), body=lambda: result, is_confirmation=True
    )


@command(app, "accept")
def accept(
    ids: options.BlockedIds,
    *,
    keep: options.KeepNumbers = False,
    undo: options.Undo = False,
    note: options.Note = "",
    data: Data = HERE,
) -> CommandResult:
    """Declare that snapshots may lose as many rows as exports have lost.

    Counts for the next computation only. A further fall blocks again. With --keep
    the fall is never published: the snapshots keep their numbers for good, and
    are counted again only by run --force, or after --undo.

    [bold]Examples[/]
    $ bufdir accept agg-001 agg-002 --note "the club left in October"
    $ bufdir accept agg-003 --keep --note "the organisation left the system"
    $ bufdir accept agg-001 --undo
    """
    from pipeline.runs import declare
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import sentences

    if keep and undo:
        raise typer.BadParameter("give one of --keep and --undo")
    with Catalog.open(data) as catalog:
        if undo:
            withdrawn = declare.unaccept(catalog, ids)
            return CommandResult(
                text=lambda: f"no longer accepted: {sentences.some(withdrawn)}",
                body=lambda: {"withdrawn": withdrawn},
                is_confirmation=True,
            )
        cells = declare.accept(catalog, ids, program.now(), note, keep=keep)
    return CommandResult(
        text=lambda: sentences.kept(cells) if keep else sentences.accepted(cells),
        body=lambda: {"accepted": cells, "kept": keep},
        is_confirmation=True,
    )


@command(app, "verify")
def verify(
    reporter: Reporter,
    ids: options.Ids = None,
    *,
    engine: options.OtherEngine = None,
    data: Data = HERE,
) -> CommandResult:
    """Recompute snapshots on a second engine, and compare every number.

    Writes nothing.

    [bold]Examples[/]
    $ bufdir verify
    $ bufdir verify agg-001 agg-002
    $ bufdir verify --engine polars
    """
    from pipeline.terminal import sentences, session, tables

    probed = _LOCAL_ENGINES if engine is None else (engine,)
    with session.run_context(reporter, data, probed=probed, read_only=True) as context:
        from pipeline.runs import verify as verifying

        verified = verifying.verify(context, ids or None, engine)
    verdicts = {one.verdict for one in verified.snapshots}
    if verdicts & {Verdict.MISMATCH, Verdict.CORRUPT, Verdict.CATALOG_MISMATCH}:
        code = ExitCode.CRASHED
    else:
        is_fine = verdicts <= {Verdict.MATCH} and not verified.refused
        code = ExitCode.DONE if is_fine else ExitCode.REFUSED_OR_FAILED
    return CommandResult(
        text=lambda: tables.verified(verified.snapshots),
        body=lambda: verified,
        diagnostics=sentences.diagnostics_of_refusals(verified.refused),
        exit_code=code,
    )


@command(app, "status")
def status(data: Data = HERE) -> CommandResult:
    """Show the last nightly run, the queue, and what is blocked or retained.

    Writes nothing, and opens no export.

    [bold]Examples[/]
    $ bufdir status
    $ bufdir status --json
    """
    from pipeline.runs import status as statuses
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import status_tables

    with Catalog.open_read_only(data) as catalog:
        found = statuses.status(catalog)
    return CommandResult(text=lambda: status_tables.status(found), body=lambda: found)


@command(app, "doctor")
def doctor(reporter: Reporter, data: Data = HERE) -> CommandResult:
    """Examine an installation: folders, disk, permissions, catalog, versions, exports, timer.

    Names what to do about each problem, and ends with 3 if there is any. Writes
    nothing, and opens no export.

    [bold]Examples[/]
    $ bufdir doctor
    $ bufdir doctor --json
    """
    from pipeline.runs import doctor as examination
    from pipeline.terminal import session, status_tables

    chosen = session.load_settings(reporter, data)
    found = examination.examine(data, chosen, program.now())
    has_problem = any(one.health is Health.PROBLEM for one in found)
    return CommandResult(
        text=lambda: status_tables.findings(found),
        body=lambda: {"findings": found},
        exit_code=ExitCode.REFUSED_OR_FAILED if has_problem else ExitCode.DONE,
    )


@command(app, "config")
def config(reporter: Reporter, data: Data = HERE) -> CommandResult:
    """Show every setting in effect, and the line or variable that decided it.

    [bold]Examples[/]
    $ bufdir config
    $ BUFDIR_RUNS__SECONDS=60 bufdir config --json
    """
    from pipeline import settings
    from pipeline.terminal import session, status_tables

    session.load_settings(reporter, data)
    found, rule = settings.effective(data), reporter.data_rule
    return CommandResult(
        text=lambda: status_tables.settings(data, rule, found),
        body=lambda: status_tables.settings_body(data, rule, found),
    )


@command(app, "list")
def list_snapshots(
    reporter: Reporter,
    *,
    org: options.Organisation = None,
    period: options.Period = None,
    status: options.Status = None,
    sort: options.Sort = "created_at",
    limit: options.Limit = None,
    deleted: options.Deleted = False,
    data: Data = HERE,
) -> CommandResult:
    """List snapshots, one a line; with --deleted those that were deleted.

    [bold]Examples[/]
    $ bufdir list
    $ bufdir list --period rp-2024-q4 --sort -participant_count --limit 10
    $ bufdir list --status failed --json
    $ bufdir list --deleted
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
    if deleted:
        if (status, sort, limit) != (None, "created_at", None):
            raise typer.BadParameter("takes only --org and --period", param_hint="--deleted")
        return _deleted(reporter, data, listing)
    with Catalog.open_read_only(data) as catalog:
        entries, total = catalog.list(listing)
    rest = f"{len(entries):,} of {total:,} snapshots are shown"
    return CommandResult(
        text=lambda: tables.entries(entries),
        body=lambda: _page(entries, limit or total, total),
        diagnostics=([Diagnostic("list_cut", rest, Severity.INFO)] if len(entries) < total else []),
        is_contract_body=True,
    )


def _deleted(reporter: Reporter, data: Path, listing: Listing) -> CommandResult:
    """List the deleted snapshots of an organisation and a period, or of all."""
    from pipeline.model import deletions as models
    from pipeline.storage import deletions
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import session, tables

    days = session.load_settings(reporter, data).history.undelete_days
    with Catalog.open_read_only(data) as catalog:
        found = [
            one
            for one in deletions.read(catalog)
            if listing.org_id in {None, one.org_id}
            and listing.reporting_period_id in {None, one.reporting_period_id}
        ]
    return CommandResult(
        text=lambda: tables.deleted(found, days),
        body=lambda: {"deleted": [models.in_words(one, days) for one in found]},
    )


def _page(entries: Sequence[Entry], limit: int, total: int) -> object:
    from api.snapshots import replies

    data = [replies.Listed.of(entry) for entry in entries]
    return replies.Page(data, replies.Pagination(page=1, limit=limit, total=total))


@command(app, "show")
def show(
    snapshot_id: options.Id,
    *,
    metrics: options.Metrics = False,
    data: Data = HERE,
) -> CommandResult:
    """Show one snapshot: its numbers by category, and the ledger of its rows.

    [bold]Examples[/]
    $ bufdir show agg-001
    $ bufdir show agg-001 --json
    $ bufdir show agg-001 --metrics --json
    """
    from api.snapshots import replies
    from pipeline.storage import file_digests, version_files
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import tables

    with Catalog.open_read_only(data) as catalog:
        entry = catalog.get(snapshot_id)
        sha256 = file_digests.find(catalog, entry.number, entry.version)
    if entry.version:
        version = version_files.read(data, entry.number, entry.version, sha256)
        shown, body = (
            (tables.metrics, replies.Metrics.of)
            if metrics
            else (tables.published, replies.Snapshot.published)
        )
        return CommandResult(
            text=lambda: shown(version), body=lambda: body(version), is_contract_body=True
        )
    if metrics:
        raise errors.SnapshotNotReady(entry.id, entry.status)
    return CommandResult(
        text=lambda: tables.unpublished(entry),
        body=lambda: replies.Snapshot.unpublished(entry, entry.error),
        is_contract_body=True,
    )


@command(app, "delete")
def delete(
    reporter: Reporter,
    snapshot_id: options.Id,
    *,
    yes: options.Yes = False,
    data: Data = HERE,
) -> CommandResult:
    """Delete one snapshot. Asks first; without a terminal, give --yes.

    It can be undeleted for history.undelete_days (30); then a nightly run removes
    its files. Nightly runs do not compute its organisation and period again:
    bufdir run --org --period does, with a new id.

    [bold]Examples[/]
    $ bufdir delete agg-001
    $ bufdir delete agg-001 --yes
    """
    from api.snapshots import replies
    from pipeline.runs import lifecycle
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import sentences, session

    days = session.load_settings(reporter, data).history.undelete_days
    with Catalog.open(data) as catalog:
        cell = sentences.cell_of(catalog.get(snapshot_id))
        if not yes:
            question = f"Delete {snapshot_id} ({cell})?"
            confirmation.confirm(f"deleting {snapshot_id}", question)
        lifecycle.delete(catalog, snapshot_id, program.now(), catalog.caller.name)
    return CommandResult(
        text=lambda: sentences.deleted(snapshot_id, cell, days),
        body=lambda: replies.Deleted(deleted=True, id=snapshot_id),
        is_contract_body=True,
        is_confirmation=True,
    )


@command(app, "undelete")
def undelete(
    reporter: Reporter, snapshot_id: options.DeletedId, data: Data = HERE
) -> CommandResult:
    """Publish a deleted snapshot again, under its id and with its numbers.

    Only for history.undelete_days (30) after it was deleted, and while its
    organisation and period have no other snapshot. The next nightly run brings
    it up to date.

    [bold]Examples[/]
    $ bufdir list --deleted
    $ bufdir undelete agg-001
    """
    from pipeline.runs import lifecycle
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import sentences, session

    days = session.load_settings(reporter, data).history.undelete_days
    with Catalog.open(data) as catalog:
        entry = lifecycle.undelete(catalog, snapshot_id, program.now(), days)
    return CommandResult(
        text=lambda: f"{entry.id} is published again: {sentences.cell_of(entry)}",
        body=lambda: {"undeleted": True, "id": entry.id},
        is_confirmation=True,
    )


@command(app, "reindex")
def reindex(reporter: Reporter, data: Data = HERE) -> CommandResult:
    """Rebuild the catalog from the snapshot files, after it was lost, damaged or restored.

    [bold]Examples[/]
    $ bufdir --data /srv/bufdir reindex
    """
    from pipeline.runs import reindex as reindexing
    from pipeline.terminal import sentences, session

    session.load_settings(reporter, data)
    result = reindexing.run(data, program.now())
    return CommandResult(
        text=lambda: sentences.reindexed(result),
        body=lambda: result,
        diagnostics=[
            *(Diagnostic("version_damaged", sentence) for sentence in result.damaged),
            *sentences.diagnostics_of_tokens(result),
        ],
        exit_code=ExitCode.REFUSED_OR_FAILED if result.damaged else ExitCode.DONE,
        is_confirmation=True,
    )


@command(tokens_app, "create")
def create_token(
    reporter: Reporter,
    name: options.TokenName,
    *,
    can: options.Can,
    org: options.TokenOrganisations = None,
    every: options.AllOrganisations = False,
    expires: options.Expires = None,
    data: Data = HERE,
) -> CommandResult:
    """Make a token, and print it once: only a hash of it is kept.

    From the first token on, writes need one. A token of some organisations sees
    only theirs. Roles: read; write, which is read and POST, PUT and DELETE; admin,
    which is write, and POST for organisations that no export names.

    [bold]Examples[/]
    $ bufdir token create dashboard --org org-bufdir-42 --can read
    $ bufdir token create operator --all --can admin --expires 2027-12-31
    """
    from pipeline.runs import access
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import session

    if bool(org) == every:
        raise typer.BadParameter("give one of --org and --all")
    zone = session.load_settings(reporter, data).zone
    end = None if expires is None else access.end_of(expires.date(), zone)
    grant = access.grant(name, org, can, program.now(), end)
    with Catalog.open(data) as catalog:
        token = access.create_token(catalog, grant)
    return CommandResult(text=lambda: token, body=lambda: {"token": token, "grant": grant})


@command(tokens_app, "list")
def list_tokens(data: Data = HERE) -> CommandResult:
    """List all tokens that were ever made, without their text.

    [bold]Examples[/]
    $ bufdir token list
    """
    from pipeline.storage import tokens
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import access_tables

    with Catalog.open_read_only(data) as catalog:
        grants = tokens.grants(catalog)
    return CommandResult(
        text=lambda: access_tables.tokens(grants, program.now()), body=lambda: {"tokens": grants}
    )


@command(tokens_app, "revoke")
def revoke_token(name: options.TokenName, data: Data = HERE) -> CommandResult:
    """Revoke a token: servers refuse it from the next request on.

    After the last one is revoked, writes still need a token.

    [bold]Examples[/]
    $ bufdir token revoke dashboard
    """
    from pipeline.runs import access
    from pipeline.storage.catalog import Catalog

    with Catalog.open(data) as catalog:
        access.revoke_token(catalog, name, program.now())
    return CommandResult(
        text=lambda: f"{name} is revoked", body=lambda: {"revoked": name}, is_confirmation=True
    )


@command(app, "audit")
def audit(
    *,
    verify: options.VerifyAudit = False,
    limit: options.AuditLimit = None,
    data: Data = HERE,
) -> CommandResult:
    """Show who did what: writes, refusals, tokens, declarations and runs.

    With --verify it checks the chain of hashes: a line that was changed, removed
    or moved is named by its number, with exit code 3. Writes nothing.

    [bold]Examples[/]
    $ bufdir audit --limit 20
    $ bufdir audit --verify
    """
    from pipeline.runs import access
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import access_tables

    with Catalog.open_read_only(data) as catalog:
        log = access.read_audit_log(catalog, verify=verify, limit=limit)
    return CommandResult(
        text=lambda: access_tables.audit_log(log),
        body=lambda: log,
        diagnostics=access_tables.diagnostics_of_audit(log),
        exit_code=ExitCode.REFUSED_OR_FAILED if log.problems else ExitCode.DONE,
    )


@command(app, "serve", takes_json=False)
def serve(
    reporter: Reporter,
    *,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    workers: options.Workers = 1,
    public: options.Public = False,
    data: Data = HERE,
) -> None:
    """Serve the API until interrupted.

    On an address that other computers reach, or behind the proxy that the
    settings name, it starts only once a token was made, or with --public.

    [bold]Examples[/]
    $ bufdir serve
    $ bufdir --data /srv/bufdir serve --port 9000 --workers 4
    """
    from api import server
    from pipeline.terminal import session

    chosen = session.load_settings(reporter, data)
    chosen = chosen.with_log_level(reporter.level(chosen))
    server.serve(data, chosen, host, port, workers, is_public=public)


@command(app, "sample")
def sample(
    reporter: Reporter,
    folder: options.SampleFolder,
    *,
    rows: options.SampleRows = 100_000,
    orgs: options.SampleOrganisations = 20,
    files: options.SampleFiles = 8,
    seed: options.SampleSeed = 1,
) -> CommandResult:
    """Write sample exports: the same bytes for the same arguments.

    [bold]Examples[/]
    $ bufdir sample big/exports --rows 1000000 --orgs 200
    $ bufdir --data big nightly
    """
    from pipeline import sample as samples
    from pipeline.terminal import progress, sentences

    with progress.bar(reporter, "Writing rows", rows) as advance:
        try:
            paths = samples.write(
                folder, rows=rows, organisations=orgs, files=files, seed=seed, progress=advance
            )
        except (ValueError, FileExistsError) as error:
            raise typer.BadParameter(str(error)) from error
    exports = sentences.counted(len(paths), "export")
    return CommandResult(
        text=lambda: f"sample: {sentences.counted(rows, 'row')} under {folder}, in {exports}",
        body=lambda: {"files": [path.as_posix() for path in paths], "rows": rows},
        is_confirmation=True,
    )


if __name__ == "__main__":
    main()
