"""The options every command takes, before and after its name; where one is given twice, the later wins.

They are declared once, as `Annotated` aliases, and joined to each command's signature by `command`, so none repeats them.
"""

import functools
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from perpsctl import __version__
from perpsctl.commands import help as help_layout
from perpsctl.commands.invocation import OutputFormat, wants_document
from perpsctl.domain.errors import UsageError

_KEY = "perpsctl.globals"
CONTEXT = {"help_option_names": ["-h", "--help"]}


REPORTS = frozenset({"probe", "preflight"})  # the commands that have a JUnit form


@dataclass(slots=True)
class Globals:
    """What the options of every command said; None is "not given"."""

    profile: str | None = None
    config: str | None = None
    format: OutputFormat = OutputFormat.TABLE
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False
    live: bool = False
    yes: bool = False


ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Profile to act on.", show_default=False),
]
ConfigOption = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Another configuration file."),
]
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option("--format", help="How the result is written; junit: reports of checks only.", show_default=False),
]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colour; NO_COLOR does the same.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No talk on stderr.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="More talk on stderr.")]
LiveOption = Annotated[bool, typer.Option("--live", help="Allow entries in production, if the profile does.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before a destructive command.")]
_SHARED: dict[str, tuple[Any, Any]] = {
    "profile": (ProfileOption, None),
    "config": (ConfigOption, None),
    "format": (FormatOption, None),
    "no_color": (NoColorOption, False),
    "quiet": (QuietOption, False),
    "verbose": (VerboseOption, False),
    "live": (LiveOption, False),
    "yes": (YesOption, False),
}
TAKE_VALUES = frozenset({f"--{name}" for name, (_, default) in _SHARED.items() if default is None})


def _show_version(wanted: bool) -> None:
    if wanted:
        document = json.dumps({"schema": "perpsctl.version/1", "version": __version__})
        typer.echo(document if wants_document() else f"perpsctl {__version__}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
]


def globals_of(ctx: typer.Context) -> Globals:
    """The one Globals of this invocation."""
    found = ctx.find_root().meta.setdefault(_KEY, Globals())
    assert isinstance(found, Globals)
    return found


def with_globals(function: Callable[..., None]) -> Callable[..., None]:
    """`function` (whose first parameter is `ctx`) also takes the shared options; given ones are kept in its Globals."""
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def call(ctx: typer.Context, **values: Any) -> None:
        kept = globals_of(ctx)
        for name in _SHARED:
            value = values.pop(name)
            if value is not None and value is not False:
                setattr(kept, name, value)
        if junit_is_wrong(ctx, kept):
            raise UsageError("only reports of checks can be written as junit", fix="use table, json, jsonl or markdown")
        function(ctx, **values)

    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _SHARED.items()
    ]
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in list(own.parameters.values())[1:]]
    first = next(iter(own.parameters.values()))
    call.__signature__ = own.replace(parameters=[first, *keyword_only, *shared])  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in [first, *keyword_only, *shared]} | {"return": None}
    return call


def junit_is_wrong(ctx: typer.Context, kept: Globals) -> bool:
    """True when JUnit is asked of a command that makes no report of checks."""
    leaf = not isinstance(ctx.command, help_layout.Group)
    return leaf and kept.format is OutputFormat.JUNIT and ctx.info_name not in REPORTS


class _Command(help_layout.Command):
    shared = frozenset(_SHARED)


class _Group(help_layout.Group):
    shared = frozenset(_SHARED)


def new_group(help_text: str, *, epilog: str | None = None) -> typer.Typer:
    """An empty group of commands; the shared options may stand before the command's name."""
    group = typer.Typer(
        cls=_Group,
        help=help_text,
        epilog=epilog,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )

    def options(ctx: typer.Context) -> None: ...

    options.__doc__ = help_text
    group.callback()(with_globals(options))
    return group


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as `name`, with the shared options joined to its own."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name, cls=_Command, context_settings=CONTEXT, **settings)(with_globals(function))
        return function

    return register
