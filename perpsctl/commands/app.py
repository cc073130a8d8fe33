"""The command line's root: joins the subcommands, and turns every ending into an exit code and at most two lines.

One of the three homes of `except Exception`: what arrives here is our bug, told without a traceback and without secrets.
"""

import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from perpsctl.commands import checks, config, journal, killswitch, limits, order, positions, products, run, sim
from perpsctl.commands.globals import OutputFormat, VersionOption, new_group, with_globals
from perpsctl.commands.output import write_error
from perpsctl.domain.errors import ExitCode, InvariantBroken, PerpsctlError, UsageError
from perpsctl.domain.text import shown

HELP = "Trade Coinbase perpetual futures, and prove that it is safe to do so."

app = new_group(HELP)


def _root(ctx: typer.Context, version: VersionOption = False) -> None: ...


_root.__doc__ = HELP
app.callback()(with_globals(_root))
for name, group in (
    ("products", products.app),
    ("order", order.app),
    ("positions", positions.app),
    ("fills", positions.fills_app),
    ("killswitch", killswitch.app),
    ("limits", limits.app),
    ("config", config.app),
    ("journal", journal.app),
    ("sim", sim.app),
):
    app.add_typer(group, name=name)
positions.add_pnl(app)
run.add_to(app)
checks.add_to(app)


def main() -> None:
    """The `perpsctl` command."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line; the result is its exit code, and every ending has been told."""
    try:
        code = app(list(arguments), prog_name="perpsctl", standalone_mode=False)
    except PerpsctlError as error:
        return _told(error, arguments)
    except TyperException as error:
        return _told(_usage(error), arguments)
    except typer.Exit as ending:
        return ending.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _told(_Interrupted("interrupted", fix="`perpsctl order list` shows what is open"), arguments)
    except Exception as error:
        return _told(_bug(error), arguments)
    return code if isinstance(code, int) else int(ExitCode.DONE)


class _Interrupted(PerpsctlError):
    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


def _usage(error: TyperException) -> PerpsctlError:
    format_message = getattr(error, "format_message", None)
    text = format_message() if callable(format_message) else str(error)
    if not text:  # a group without a subcommand has printed its help already
        return UsageError("a subcommand is missing", fix="see the help above")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "perpsctl"
    return UsageError(shown(text.replace("Value error, ", ""), 300), fix=f"see `{path} --help`")


def _bug(error: Exception) -> PerpsctlError:
    """Names the kind and the place, never the values: an exception's text may hold what must not be shown (S1)."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return InvariantBroken(
        f"a bug in perpsctl: {type(error).__name__} at {place}",
        fix="orders may be open: `perpsctl order list`; stop trading with `perpsctl killswitch engage`; report this line",
    )


def _told(error: PerpsctlError, arguments: Sequence[str]) -> int:
    write_error(error, output=_wanted_format(arguments), no_color="--no-color" in arguments)
    return int(error.exit_code)


def _wanted_format(arguments: Sequence[str]) -> OutputFormat:
    """The last --format on the line, also when the line could not be parsed."""
    wanted = OutputFormat.TABLE
    for position, argument in enumerate(arguments):
        text = argument.partition("=")[2] if argument.startswith("--format=") else ""
        if argument == "--format" and position + 1 < len(arguments):
            text = arguments[position + 1]
        if text in set(OutputFormat):
            wanted = OutputFormat(text)
    return wanted


if __name__ == "__main__":
    main()
