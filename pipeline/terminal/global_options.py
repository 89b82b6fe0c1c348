"""Global options: given before the command or after it, and set on the reporter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pipeline.terminal import data_folder
from pipeline.terminal.command_result import CommandResult
from pipeline.terminal.data_folder import DataFolder, DataFolderRule
from pipeline.terminal.reporter import PROGRAM, Reporter

_GLOBAL_PANEL: Final = "Global options, before or after the command"


def _set_quiet(context: typer.Context, value: bool) -> None:
    reporter: Reporter = context.obj
    reporter.is_quiet |= value


def _set_verbose(context: typer.Context, value: int) -> None:
    reporter: Reporter = context.obj
    reporter.verbose += value


def _set_progress(context: typer.Context, value: bool) -> None:
    reporter: Reporter = context.obj
    reporter.has_progress &= not value


def _set_data(context: typer.Context, value: Path) -> Path:
    """Record the data folder, where a traceback would go; one named here wins."""
    reporter: Reporter = context.obj
    reporter.data = value
    source = context.get_parameter_source("data")
    if source is not None and source.name == "COMMANDLINE":
        reporter.data_rule = DataFolderRule.OPTION
    return value


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as installed_version

        typer.echo(f"{PROGRAM} {installed_version('bufdir-aggregation')}")
        raise typer.Exit


def chosen_data_folder(context: typer.Context, given: Path | None) -> DataFolder:
    """Choose the data folder of commands to which none is given after their name."""
    if given is None:
        return data_folder.find(Path.cwd())
    source = context.get_parameter_source("data")
    is_variable = source is not None and source.name == "ENVIRONMENT"
    return DataFolder(given, DataFolderRule.VARIABLE if is_variable else DataFolderRule.OPTION)


def name_of(context: typer.Context) -> str | None:
    """Name the command of a context, such as `token create`; None for the program itself."""
    names: list[str] = []
    place: Any = context
    while place.parent is not None:
        names.insert(0, str(place.info_name))
        place = place.parent
    return " ".join(names) or None


Version = Annotated[
    bool,
    typer.Option(
        "-V", "--version", help="Print the version.", callback=_show_version, is_eager=True
    ),
]
RootData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="BUFDIR_DATA",
        show_default=False,
        help="The data folder. Default: the nearest from the current directory upwards; that is a "
        "folder data with exports/, catalog.sqlite or bufdir.toml in it, or a folder with "
        "one of these two files itself (the current directory: any of the three). Else ./data.",
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The data folder; see bufdir --help for how it is found.",
        exists=True,
        file_okay=False,
        show_default=False,
        callback=_set_data,
        rich_help_panel=_GLOBAL_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q",
        "--quiet",
        help="Print only what was asked for, warnings and errors.",
        callback=_set_quiet,
        rich_help_panel=_GLOBAL_PANEL,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        show_default=False,
        metavar="",
        help="Print each event on stderr; -vv prints debug events too.",
        callback=_set_verbose,
        rich_help_panel=_GLOBAL_PANEL,
    ),
]
NoProgress = Annotated[
    bool,
    typer.Option(
        "--no-progress",
        help="Show no progress bar.",
        callback=_set_progress,
        rich_help_panel=_GLOBAL_PANEL,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

_GLOBAL: Final = (
    inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet),
    inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=Verbose),
    inspect.Parameter(
        "no_progress", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=NoProgress
    ),
)
_JSON: Final = inspect.Parameter(
    "as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson
)
_CONTEXT: Final = inspect.Parameter(
    "context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context
)
_COPIED: Final = ("__module__", "__name__", "__qualname__", "__doc__")

Command = Callable[..., CommandResult | None]


def command(
    app: typer.Typer, name: str, *, takes_json: bool = True
) -> Callable[[Command], Command]:
    """Add a function to the program as a command, with the options that every command takes.

    The function is not given these: they are set on the reporter. It is given the reporter, where
    it has a parameter of that name.
    """

    def register(function: Command) -> Command:
        app.command(name)(with_global_options(function, takes_json=takes_json))
        return function

    return register


def with_global_options(function: Command, *, takes_json: bool = False) -> Command:
    """Add the options that every command takes to the signature of a function."""
    signature = inspect.signature(function, eval_str=True)
    own = [one for one in signature.parameters.values() if one.name != "reporter"]
    takes_reporter = len(own) < len(signature.parameters)
    added = (*([_JSON] if takes_json else []), *_GLOBAL)

    @wraps(function, assigned=_COPIED)
    def wrapped(**given: Any) -> CommandResult | None:  # noqa: ANN401 (as Typer passes them)
        context: typer.Context = given["context"]
        reporter: Reporter = context.obj
        reporter.command = name_of(context)
        values = {one.name: given[one.name] for one in own}
        return function(reporter, **values) if takes_reporter else function(**values)

    # Typer would read the annotations of the wrapper as well as its signature.
    wrapped.__annotations__ = {}
    keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    context = [] if any(one.name == _CONTEXT.name for one in own) else [_CONTEXT]
    parameters = [*keyword_only, *context, *added]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapped
