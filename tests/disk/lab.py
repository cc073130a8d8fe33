"""One home with its exchange and a zygote: commands whose disk is watched, and commands that nobody watches."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perpsctl.simulator import launcher
from tests.disk.shim import Failure, Unwatchable
from tests.scenarios.homes import GENEROUS, REPOSITORY, Home

CONFIG = GENEROUS + GENEROUS.replace("[profile.sim.", "[profile.sim-global.")
HELD_PRICE = {"us": ("BIP-20DEC30-CDE", "60000"), "global": ("BTC_USDC-PERPETUAL", "60000")}
PROFILES = {"us": "sim", "global": "sim-global"}
TOO_LONG_S = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended: its exit code, below zero for the signal it died of."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any] | None:
        """The one JSON document on stdout; None when there is none."""
        try:
            told = json.loads(self.out)
        except ValueError:
            return None
        return told if isinstance(told, dict) else None

    @property
    def data(self) -> Any:
        """`data` of the document, else its error."""
        told = self.document or {}
        return told.get("data", told.get("error"))


class Lab:
    """A home, its exchange and its processes, for one venue."""

    def __init__(self, path: Path, venue: str) -> None:
        self.venue = venue
        self.home = Home(path, CONFIG)
        self.folder = path / "state" / PROFILES[venue]
        self.state = path / "state"
        self.trace = path / "trace"
        self._out, self._err = path / "out", path / "err"
        launcher.start(self.home.folder, launcher.SimOptions(idle_minutes=600))
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.disk.zygote"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
            env=self.home.environ | {"PERPSCTL_PROFILE": PROFILES[venue]},
        )  # fmt: skip
        self._answer()
        tried = self.run("--version", raw=True)
        self.trace.unlink(missing_ok=True)
        if tried.code != 0:
            self.close()
            raise Unwatchable(tried.err.strip().splitlines()[-1] if tried.err.strip() else f"exit {tried.code}")

    def close(self) -> None:
        """Nothing of it runs any more."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        with suppress(OSError):
            self._zygote.stdin.close()
        try:
            self._zygote.wait(TOO_LONG_S)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()
        self._zygote.stdout.close()
        launcher.stop(self.home.folder)

    def fresh(self) -> None:
        """A new account whose prices stand still, and a profile that never ran."""
        self.home.control("POST", "/reset")
        for product, price in HELD_PRICE.values():
            self.home.control("POST", "/state/price", {"product_id": product, "price": price, "hold": True})
        shutil.rmtree(self.folder, ignore_errors=True)
        self.trace.unlink(missing_ok=True)

    def run(
        self,
        *argv: str,
        watched: bool = True,
        die_at: int | None = None,
        die_on: str | None = None,
        fail: Failure | None = None,
        bytes_kept: bool = True,
        raw: bool = False,
    ) -> Ended:
        """One command line in a process of its own; its disk is watched unless said otherwise."""
        plan = None
        if watched:
            plan = {
                "root": str(self.state),
                "trace": str(self.trace),
                "die_at": die_at,
                "die_on": die_on,
                "fail": None if fail is None else asdict(fail),
                "bytes_kept": bytes_kept,
            }
        line = [*argv, "--profile", PROFILES[self.venue], *(() if raw else ("--format", "json"))]
        environ = self.home.environ | {"PERPSCTL_PROFILE": PROFILES[self.venue]}
        wanted = {"argv": line, "environ": environ, "out": str(self._out), "err": str(self._err), "plan": plan}
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(wanted) + "\n")
        self._zygote.stdin.flush()
        code = int(self._answer()["code"])
        return Ended(code=code, out=self._out.read_text(errors="replace"), err=self._err.read_text(errors="replace"))

    def _answer(self) -> dict[str, Any]:
        assert self._zygote.stdout is not None
        line = self._zygote.stdout.readline()
        if not line:
            raise RuntimeError("the process that forks the commands is gone")
        told: dict[str, Any] = json.loads(line)
        return told

    def events(self) -> list[dict[str, Any]]:
        """What the watch saw, in order, of every process since `fresh`."""
        if not self.trace.exists():
            return []
        return [json.loads(line) for line in self.trace.read_text().splitlines()]

    def book(self) -> Sequence[dict[str, Any]]:
        """Orders as the exchange holds them."""
        orders: Sequence[dict[str, Any]] = self.home.judge()["orders"]
        return orders


@contextmanager
def lab(path: Path, venue: str) -> Iterator[Lab]:
    """A lab that ends with the block."""
    made = Lab(path, venue)
    try:
        yield made
    finally:
        made.close()
