"""Structured talk on stderr: notes when asked for, alarms always. Never a secret, never raw text from outside."""

import sys
from collections.abc import Callable
from typing import Any

from perpsctl.domain.ports import Diagnostics
from perpsctl.domain.text import shown


class StderrDiagnostics:
    """Writes one JSON line an event with structlog, which is imported when there is something to say.

    A line that cannot be written is lost and stops nothing: the journal is the record, this is talk (fault D13).
    """

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
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
        if sys.stderr is None:  # it was closed
            return
        try:
            getattr(self._said_by(), level)(shown(event), **{key: shown(value) for key, value in facts.items()})
        except (OSError, ValueError):  # stderr is closed or full
            return

    def _said_by(self) -> Any:
        if self._logger is None:
            import structlog

            self._logger = structlog.wrap_logger(
                structlog.PrintLogger(sys.stderr),
                processors=[
                    structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.JSONRenderer(),
                ],
            )
        return self._logger


def _is_diagnostics(found: StderrDiagnostics) -> Diagnostics:
    return found
