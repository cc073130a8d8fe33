"""Structured talk on stderr: notes when asked for, alarms always. Never a secret, never raw text from outside."""

import logging
from collections.abc import Callable
from typing import Any

from perpsctl.domain.ports import Diagnostics
from perpsctl.domain.text import shown


class StderrDiagnostics:
    """One line an event: words for a person at a terminal, JSON by structlog elsewhere, for whatever collects stderr.

    structlog is imported when there is something to say. A line that cannot be written is lost and stops nothing: the
    journal is the record, this is talk (fault D13).
    """

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._stream: Any = None
        self._logger: Any = None
        self._watcher: Callable[[str, dict[str, object]], None] | None = None

    def watch(self, watcher: Callable[[str, dict[str, object]], None]) -> None:
        """`watcher` hears every note as it happens, whether it is said or not: progress for whoever waits."""
        self._watcher = watcher

    def note(self, event: str, **facts: object) -> None:
        """Said with --verbose only."""
        if self._watcher is not None:
            self._watcher(event, facts)
        if self._verbose:
            self._write("info", event, facts)

    def alarm(self, event: str, **facts: object) -> None:
        """Always said."""
        self._write("error", event, facts)

    def _write(self, level: str, event: str, facts: dict[str, object]) -> None:
        told = {key: shown(value) for key, value in facts.items()}
        try:
            if self._stream is None:
                self._stream = logging.StreamHandler().stream  # stderr as it is now; None where it was closed
            if self._stream is None:
                return
            if self._stream.isatty():
                self._for_a_person(level, shown(event), told)
            else:
                getattr(self._by_structlog(), level)(shown(event), **told)
        except (OSError, ValueError):  # stderr is gone or full
            return

    def _for_a_person(self, level: str, event: str, told: dict[str, str]) -> None:
        words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in told.items())
        head = "ALARM" if level == "error" else "note"
        self._stream.write(f"{head}: {event.replace('_', ' ')}{': ' + words if words else ''}\n")
        self._stream.flush()

    def _by_structlog(self) -> Any:
        if self._logger is None:
            import structlog

            self._logger = structlog.wrap_logger(
                structlog.PrintLogger(self._stream),
                processors=[
                    structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.JSONRenderer(),
                ],
            )
        return self._logger


def _is_diagnostics(found: StderrDiagnostics) -> Diagnostics:
    return found
