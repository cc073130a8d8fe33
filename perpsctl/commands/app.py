"""The command line's root: runs one command line, and turns every ending into an exit code and at most two lines.

One of the three homes of `except Exception`: what arrives here is our bug, told without a traceback and without secrets.
"""

import io
import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from perpsctl.commands.invocation import Invocation, begin
from perpsctl.commands.output import write_error
from perpsctl.commands.tree import tree_for
from perpsctl.domain.errors import ExitCode, InvariantBroken, PerpsctlError, UsageError
from perpsctl.domain.text import shown


def main() -> None:
    """The `perpsctl` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it was closed
            stream.reconfigure(errors="backslashreplace")  # a C locale shows an escape, never a traceback (P10)
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line; the result is its exit code, and every ending has been told exactly once."""
    begun = begin(arguments)
    try:
        code = tree_for(arguments)(list(arguments), prog_name="perpsctl", standalone_mode=False)
    except PerpsctlError as error:
        return _told(error, begun, arguments)
    except TyperException as error:
        return _told(_usage(error), begun, arguments)
    except typer.Exit as ending:
        return ending.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _told(_Interrupted("interrupted"), begun, arguments)
    except Exception as error:
        return _told(_bug(error), begun, arguments)
    if code == ExitCode.INTERRUPTED and not begun.answered:  # typer turns Ctrl-C into an exit code
        return _told(_Interrupted("interrupted"), begun, arguments)
    return code if isinstance(code, int) else int(ExitCode.DONE)


class _Interrupted(PerpsctlError):
    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED
    default_fix = "an order under way is in doubt: `perpsctl order list` shows it first"


def _usage(error: TyperException) -> PerpsctlError:
    format_message = getattr(error, "format_message", None)
    text = format_message() if callable(format_message) else str(error)
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "perpsctl"
    message = " ".join(text.replace("Value error, ", "").split()) if text.isprintable() or "\n" in text else text
    return UsageError(shown(message, 300), fix=f"see `{path} --help`")


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


def _told(error: PerpsctlError, begun: Invocation, arguments: Sequence[str]) -> int:
    """The error is told; an answer that is out already stays the one document, and stderr has the rest."""
    write_error(error, begun, no_color="--no-color" in arguments)
    return int(error.exit_code)


if __name__ == "__main__":
    main()
