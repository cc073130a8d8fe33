"""A home with a running embedded exchange of its own, for stories with real processes over loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perpsctl import places
from perpsctl.simulator import launcher

REPOSITORY = Path(__file__).resolve().parents[2]
# Raised so that without the kill switch every order of a race would be accepted.
GENEROUS = """
[profile.sim.limits]
orders_per_minute_max = 100000
position_max_share = "0.9"
gross_max_share = "0.9"
leverage_max = 9
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command line ended."""

    code: int
    data: Any
    stderr: str
    warnings: Any = ()


class Home:
    """One PERPSCTL_HOME."""

    def __init__(self, path: Path, config: str = "") -> None:
        self.path = path
        path.mkdir(mode=0o700, exist_ok=True)
        if config:
            (path / "perpsctl.toml").write_text(config, encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PERPSCTL_")}
        self.environ = kept | {"PERPSCTL_HOME": str(path), "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
        self.folder = places.exchange_folder(self.environ)

    def perpsctl(self, *line: str, timeout: int = 120) -> Done:
        """One command line as a process of its own, answered in JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "perpsctl.commands.app", *line, "--format", "json"],
            env=self.environ, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        document = json.loads(done.stdout)
        return Done(
            done.returncode, document.get("data", document.get("error")), done.stderr, document.get("warnings", ())
        )

    def spawn(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """A process of this home, whose stdout is read by the test."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
        )  # fmt: skip

    def control(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
        """The exchange's control face."""
        return launcher.control(self.folder, method, target, body)

    def judge(self) -> Any:
        """The exchange's own book."""
        return self.control("GET", "/judge")

    def live(self) -> Sequence[Any]:
        """Orders that truly could still fill."""
        final = {"FILLED", "CANCELLED", "EXPIRED", "FAILED"}
        return [order for order in self.judge()["orders"] if order["status"] not in final]


@contextmanager
def exchange_home(path: Path, config: str = "", options: launcher.SimOptions | None = None) -> Iterator[Home]:
    """A home whose exchange runs while the block does."""
    home = Home(path, config)
    launcher.start(home.folder, options)
    try:
        yield home
    finally:
        launcher.stop(home.folder)
