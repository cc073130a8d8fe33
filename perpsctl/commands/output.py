"""How a command ends: the answer on stdout in the wanted form, talk and errors on stderr, the exit code by the outcome.

Heavy imports stay inside the functions, so that `--help` and the kill switch's latch do not wait for them.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from perpsctl.commands.globals import Globals, OutputFormat, globals_of
from perpsctl.domain.errors import OffGrid, PerpsctlError
from perpsctl.domain.text import shown

if TYPE_CHECKING:
    from rich.console import Console

    from perpsctl.render.answer import Answer

_SETUP = "perpsctl.setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Which profile, venue and environment an answer speaks of."""

    profile: str | None = None
    venue: str | None = None
    environment: str | None = None


def remember_setup(ctx: typer.Context, setup: Setup) -> None:
    """Answers of this invocation name this set-up."""
    ctx.find_root().meta[_SETUP] = setup


def finish(ctx: typer.Context, answer: "Answer") -> None:
    """Print the answer and end with its exit code."""
    write_answer(globals_of(ctx), answer, command_name(ctx), ctx.find_root().meta.get(_SETUP, Setup()))
    raise typer.Exit(int(answer.exit_code))


def command_name(ctx: typer.Context) -> str:
    """`order place` for `perpsctl order place`."""
    return " ".join(ctx.command_path.split()[1:]) or "perpsctl"


def talk(ctx: typer.Context, text: str, *, tone: str = "dim") -> None:
    """One line for the operator on stderr, unless --quiet."""
    if not globals_of(ctx).quiet:
        _errors(no_color=globals_of(ctx).no_color).print(shown(text, 500), style=tone)


def write_answer(wanted: Globals, answer: "Answer", command: str, setup: Setup) -> None:
    """The answer on stdout as --format says; warnings on stderr where they are not in the document."""
    from perpsctl.render import envelope, markdown, terminal
    from perpsctl.systemports import SystemClock

    origin = envelope.Origin(
        command=command,
        profile=setup.profile,
        venue=setup.venue,
        environment=setup.environment,
        as_of=SystemClock().now(),
    )
    if wanted.format is OutputFormat.JSON:
        _put(envelope.result(answer, origin) + "\n")
    elif wanted.format is OutputFormat.JSONL:
        _put(envelope.lines(answer, origin) + "\n")
    elif wanted.format is OutputFormat.MARKDOWN:
        _put(markdown.document(answer.blocks))
    elif wanted.format is OutputFormat.JUNIT and answer.junit:
        _put(answer.junit)
    else:
        _guarded(lambda: terminal.show(answer.blocks, terminal.console(sys.stdout, no_color=wanted.no_color)))
    if wanted.format in (OutputFormat.TABLE, OutputFormat.MARKDOWN) and not wanted.quiet:
        for warning in answer.warnings:
            _errors(no_color=wanted.no_color).print(f"warning: {shown(warning, 500)}", style="yellow")


def write_error(error: PerpsctlError, *, output: OutputFormat, no_color: bool) -> None:
    """What could not be answered: a JSON document on stdout for a machine, two lines on stderr for a person."""
    details: Mapping[str, object] = (
        {"field": error.field, "nearest": list(error.nearest)} if isinstance(error, OffGrid) else {}
    )
    if output in (OutputFormat.JSON, OutputFormat.JSONL):
        from perpsctl.render import envelope

        _put(
            envelope.error(
                code=error.code,
                message=error.message,
                fix=error.fix,
                exit_code=error.exit_code,
                retryable=error.retryable,
                details=details,
            )
            + "\n"
        )
        return
    console = _errors(no_color=no_color)
    console.print(f"error: {shown(error.message, 1000)}", style="bold red")
    if error.fix:
        console.print(f"  fix: {shown(error.fix, 1000)}")


def _errors(*, no_color: bool) -> "Console":
    from perpsctl.render import terminal

    return terminal.console(sys.stderr, no_color=no_color)


def _put(text: str) -> None:
    def write() -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    _guarded(write)


def _guarded(write: Callable[[], None]) -> None:
    """A reader that went away (`| head`) is no error of ours: the exit code still tells the outcome (P5)."""
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
