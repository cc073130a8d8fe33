"""How a command ends: the answer on stdout in the wanted form, talk and errors on stderr, the exit code by the outcome.

Heavy imports stay inside the functions, so that `--help` and the kill switch's latch do not wait for them. On stdout there
is one answer and nothing else; a reader that went away changes no exit code.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from perpsctl.commands.globals import Globals, globals_of
from perpsctl.commands.invocation import Invocation, OutputFormat, invocation
from perpsctl.domain.errors import OffGrid, PerpsctlError
from perpsctl.domain.text import shown

if TYPE_CHECKING:
    from rich.console import Console

    from perpsctl.render.answer import Answer

_SETUP = "perpsctl.setup"
_DOCUMENTS = (OutputFormat.JSON, OutputFormat.JSONL)


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
        _say(shown(text, 500), tone, no_color=globals_of(ctx).no_color)


def write_answer(wanted: Globals, answer: "Answer", command: str, setup: Setup) -> None:
    """The answer on stdout as --format says; warnings on stderr where they are not in the document."""
    from perpsctl.render import envelope, markdown, terminal
    from perpsctl.systemports import SystemClock

    now = SystemClock().now()
    origin = envelope.Origin(
        command=command, profile=setup.profile, venue=setup.venue, environment=setup.environment, as_of=now
    )
    output = OutputFormat.TABLE if wanted.format is OutputFormat.JUNIT and not answer.junit else wanted.format
    match output:
        case OutputFormat.JSON:
            text = envelope.result(answer, origin) + "\n"
        case OutputFormat.JSONL:
            text = envelope.lines(answer, origin)
        case OutputFormat.MARKDOWN:
            text = markdown.document(answer.blocks, now)
        case OutputFormat.JUNIT:
            text = answer.junit
        case OutputFormat.TABLE:
            text = ""
    begun = invocation.get(None)
    if begun is not None:
        begun.answered = True
    if output is OutputFormat.TABLE:
        _guarded(lambda: terminal.show(answer.blocks, terminal.console(sys.stdout, no_color=wanted.no_color), now))
    else:
        _guarded(lambda: sys.stdout.write(text))
    if output is not OutputFormat.JSON and not wanted.quiet:
        for warning in answer.warnings:
            _say(f"warning: {shown(warning, 500)}", "yellow", no_color=wanted.no_color)


def write_error(error: PerpsctlError, begun: Invocation, *, no_color: bool) -> None:
    """What could not be answered: a JSON document on stdout for a machine, two lines on stderr for a person."""
    if begun.output in _DOCUMENTS and not begun.answered:
        from perpsctl.render import envelope

        begun.answered = True
        text = envelope.error(
            code=error.code,
            message=error.message,
            fix=error.fix,
            exit_code=error.exit_code,
            retryable=error.retryable,
            details=_details(error),
            indent=2 if begun.output is OutputFormat.JSON else None,
        )
        _guarded(lambda: sys.stdout.write(text + "\n"))
        return
    _say(f"error: {shown(error.message, 1000)}", "bold red", no_color=no_color)
    if error.fix:
        _say(f"  fix: {shown(error.fix, 1000)}", "", no_color=no_color)


def _details(error: PerpsctlError) -> Mapping[str, object]:
    return {"field": error.field, "nearest": list(error.nearest)} if isinstance(error, OffGrid) else {}


def _say(line: str, tone: str, *, no_color: bool) -> None:
    """One line on stderr; where stderr is closed or gone, talk is lost and nothing else (P10)."""
    try:
        console = errors(no_color=no_color)
        console.print(line, style=tone or None, soft_wrap=not console.is_terminal)
    except OSError:
        return


def errors(*, no_color: bool) -> "Console":
    """The console on stderr."""
    from perpsctl.render import terminal

    return terminal.console(sys.stderr, no_color=no_color)


def _guarded(write: Callable[[], object]) -> None:
    """A reader that went away (`| head`) is no error of ours: the exit code still tells the outcome (P5).

    A stdout that takes nothing (a full disk) is told on stderr, with the same exit code: what was done stays done.
    """
    if sys.stdout is None:
        return
    try:
        write()
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
    except OSError as trouble:
        _to_nowhere()
        _say(f"error: the answer could not be written to stdout: {trouble.strerror}", "bold red", no_color=False)


def told_line(text: str) -> bool:
    """One line of an answer that goes on; False when nobody reads stdout any more."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
        return False
    return True


def _to_nowhere() -> None:
    """What is still buffered for stdout goes nowhere, so that the interpreter does not stumble over it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
