"""One home, one exchange process, and commands as real processes that can be killed at a step or at an instant.

A command is a fork of this process (which has imported everything, opened nothing, and has one thread) or an interpreter of its
own; both run `tests.crash.entry`. What a process told, printed and ended with is read to its last byte.
"""

import fcntl
import importlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perpsctl import places
from perpsctl.simulator import launcher
from tests.crash import entry
from tests.crash.clock import SharedClock
from tests.crash.entry import Spec
from tests.crash.marks import At
from tests.crash.zygote import Outputs, Zygote

REPOSITORY = Path(__file__).resolve().parents[2]
PROFILES = {"us": "sim", "global": "sim-global"}
PRODUCTS = {"us": "BIP-20DEC30-CDE", "global": "BTC_USDC-PERPETUAL"}
PRICE = "60000"
ENDS_WITHIN_S = 60
PIPE_BYTES = 1 << 20
# Raised so that limits stop nothing here: entries of one minute do not run out, and a busy machine makes no read stale.
CONFIG = "".join(
    f"""
[profile.{name}.limits]
orders_per_minute_max = 100000
position_max_share = "0.9"
gross_max_share = "0.9"
leverage_max = 9
duplicate_guard_s = 1
mark_age_max_s = 60
book_age_max_s = 60
account_age_max_s = 60
"""
    for name in PROFILES.values()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """From the outside: so many microseconds after the process began, or after its `nth` write began to leave."""

    us: int
    after_write: int = 0  # 0: after the beginning

    @property
    def told(self) -> str:
        return f"{self.us}us" + (f"@{self.after_write}" if self.after_write else "")

    @classmethod
    def read(cls, text: str) -> "Instant":
        """As `told` writes it."""
        us, _, write = text.partition("us")
        return cls(us=int(us), after_write=int(write.removeprefix("@") or 0))


@dataclass(slots=True, kw_only=True)
class Ended:
    """How a process ended, and everything it told."""

    argv: tuple[str, ...]
    code: int | None = None  # None: a signal ended it
    signal: int | None = None
    out: str = ""
    err: str = ""
    told: list[dict[str, Any]] = field(default_factory=list)
    hung: bool = False

    @property
    def killed(self) -> bool:
        """True when SIGKILL ended it."""
        return self.signal == signal.SIGKILL and not self.hung

    @property
    def document(self) -> Any:
        """The whole document on stdout; None where it is not there to its end."""
        try:
            return json.loads(self.out)
        except ValueError:
            return None

    @property
    def data(self) -> Any:
        """Its `data`, or its `error`; None where there is no whole document."""
        found = self.document
        return None if found is None else found.get("data", found.get("error"))

    @property
    def steps(self) -> list[At]:
        """The steps it reached, in order."""
        return [At(name=each["step"], nth=each["nth"]) for each in self.told if "step" in each]

    @property
    def loaded(self) -> set[str]:
        """The modules it had loaded when it was done."""
        return {name for each in self.told for name in each.get("loaded", ())}

    @property
    def lefts(self) -> list[dict[str, Any]]:
        """The writes of which bytes may have left."""
        return [each for each in self.told if "left" in each]


class Running:
    """A started process whose telling is being read."""

    def __init__(self, argv: tuple[str, ...], pid: int, pipe: int, outputs: Outputs) -> None:
        self.pid = pid
        self.ended = Ended(argv=argv)
        self.began_ns = time.monotonic_ns()
        self._pipe = pipe
        self._outputs = outputs
        self._rest = b""
        self._open = True

    def read(self, until_ns: int) -> bool:
        """What it tells until then is taken in; False once it has closed its end."""
        while self._open:
            left = max(0, until_ns - time.monotonic_ns()) / 1e9
            if not select.select([self._pipe], [], [], left)[0]:
                return True
            got = os.read(self._pipe, 1 << 16)
            if not got:
                self._open = False
                os.close(self._pipe)
                break
            *lines, self._rest = (self._rest + got).split(b"\n")
            self.ended.told += [json.loads(line) for line in lines]
            return True
        return False

    def wait_for_step(self, name: str, nth: int = 1, within_s: int = 30) -> bool:
        """True as soon as it reached the step; False when it ended or time was over."""
        until = time.monotonic_ns() + within_s * 1_000_000_000
        while not any(each.get("step") == name and each.get("nth") == nth for each in self.ended.told):
            if time.monotonic_ns() >= until or not self.read(until):
                return False
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """A signal from the outside, while it is ours to signal."""
        if self.ended.code is None and self.ended.signal is None:
            os.kill(self.pid, number)

    def wait(self, within_s: int = ENDS_WITHIN_S) -> Ended:
        """Read to its end and collected; killed, and told as hung, when it takes longer."""
        ended = self.ended
        if ended.code is not None or ended.signal is not None:
            return ended
        until = time.monotonic_ns() + within_s * 1_000_000_000
        while self.read(until):
            if time.monotonic_ns() >= until:
                ended.hung = True
                os.kill(self.pid, signal.SIGKILL)
                until += 5_000_000_000
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        ended.code, ended.signal = (code, None) if code >= 0 else (None, -code)
        ended.out, ended.err = (each.read_text("utf-8", "replace") for each in self._outputs)
        for each in self._outputs:
            each.unlink()
        return ended


class Lab:
    """A home of its own with its exchange; one account after the other."""

    def __init__(self, folder: Path, *, plant: str = "", dedupe: str = "never", threads: bool = False) -> None:
        """`threads`: this process has threads, or may have; another one forks for it."""
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        (self.home / "perpsctl.toml").write_text(CONFIG, encoding="utf-8")
        self.environ = {"PERPSCTL_HOME": str(self.home)}
        self.clock_file = folder / "clock"
        self.clock = SharedClock(self.clock_file)
        self.plant = plant
        self._numbers = itertools.count()
        self._loaded: set[str] = set()
        self._folder = folder
        self.exchange_folder = places.private_folder(places.exchange_folder(self.environ))
        command = ["-m", "tests.crash.exchange", str(self.clock_file), "--folder", str(self.exchange_folder)]
        with (folder / "exchange.log").open("wb") as log:
            self._exchange = subprocess.Popen(
                [sys.executable, *command, "--idle-minutes", "0", "--dedupe", dedupe],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, cwd=REPOSITORY, env=_environment(),
            )  # fmt: skip
        self._zygote = Zygote(_environment()) if threads else None
        until = time.monotonic() + 60
        while launcher.status(self.exchange_folder) is None:
            if self._exchange.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the exchange did not come up: " + (folder / "exchange.log").read_text())
            time.sleep(0.02)

    def close(self) -> None:
        """The exchange has ended."""
        if self._zygote is not None:
            self._zygote.close()
        self._exchange.terminate()
        try:
            self._exchange.wait(10)
        except subprocess.TimeoutExpired:
            self._exchange.kill()
            self._exchange.wait()

    # --- the exchange ------------------------------------------------------------------------------------------

    def control(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
        """The exchange's control face."""
        return launcher.control(self.exchange_folder, method, target, body)

    def judge(self) -> Any:
        """The exchange's own book and its record of requests."""
        return self.control("GET", "/judge")

    def fresh(self, venue: str) -> None:
        """A new account on a market that stands still, and a profile that never ran."""
        launcher.reset(self.exchange_folder)
        shutil.rmtree(self.folder(venue), ignore_errors=True)
        for product in PRODUCTS.values():
            self.control("POST", "/state/price", {"product_id": product, "price": PRICE, "hold": True})

    def folder(self, venue: str) -> Path:
        """The profile's state."""
        return places.profile_folder(PROFILES[venue], self.environ)

    # --- commands ----------------------------------------------------------------------------------------------

    def start(
        self, venue: str, *argv: str, at: At | None = None, virtual: bool = False, cold: bool = False,
        sabotaged: bool = False, form: str = "json",
    ) -> Running:  # fmt: skip
        """A command begins. `cold`: as an interpreter of its own. `sabotaged`: with the planted bug."""
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        line = (*argv, "--profile", PROFILES[venue], *(("--format", form) if form else ()))
        spec = Spec(
            argv=line, home=str(self.home), folder=str(self.folder(venue)), clock=str(self.clock_file), pipe=writing,
            at=at, virtual=virtual, plant=self.plant if sabotaged else "",
        )  # fmt: skip
        number = next(self._numbers)
        outputs = (self._folder / f"{number}.out", self._folder / f"{number}.err")
        if cold:
            pid = self._spawned(spec, outputs)
        elif self._zygote is not None:
            pid = self._zygote.forked(asdict(spec), outputs, writing)
        else:
            pid = self._forked(spec, outputs)
        os.close(writing)
        return Running(line, pid, reading, outputs)

    def run(self, venue: str, *argv: str, **how: Any) -> Ended:
        """A command from its beginning to its end; what it had to load, the next fork finds loaded."""
        ended = self.start(venue, *argv, **how).wait()
        fresh, self._loaded = ended.loaded - self._loaded, self._loaded | ended.loaded
        if fresh and self._zygote is not None:
            self._zygote.load(fresh)
        elif fresh:
            for name in fresh:
                with suppress(ImportError):
                    importlib.import_module(name)
        return ended

    def kill_at(self, venue: str, *argv: str, moment: Instant, **how: Any) -> Ended:
        """A command that is killed from the outside at this moment, if it lives so long."""
        running = self.start(venue, *argv, **how)
        began = running.began_ns
        limit = began + ENDS_WITHIN_S * 1_000_000_000
        if moment.after_write:
            while len(running.ended.lefts) < moment.after_write:
                if not running.read(limit):
                    return running.wait()
            began = running.ended.lefts[moment.after_write - 1]["ns"]
        until = began + moment.us * 1000
        while time.monotonic_ns() < until:
            if not running.read(until):
                return running.wait()
        running.kill()
        return running.wait()

    def _forked(self, spec: Spec, outputs: Outputs) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        os._exit(run_in_child(asdict(spec), outputs))

    def _spawned(self, spec: Spec, outputs: Outputs) -> int:
        os.set_inheritable(spec.pipe, True)
        written = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.crash.entry", spec.text()],
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                *((os.POSIX_SPAWN_OPEN, number, str(path), written, 0o600) for number, path in enumerate(outputs, 1)),
            ],
        )


def run_in_child(spec: dict[str, Any], outputs: Outputs) -> int:
    """The command of this forked child, to its exit code; whatever happens, it never returns into the harness."""
    try:
        _redirect(outputs)
        return entry.main(Spec.of(spec))
    except BaseException as bug:
        os.write(2, f"{type(bug).__name__}: {bug}\n".encode())
        return 70


def _redirect(outputs: Outputs) -> None:
    """Standard streams and signals of a forked child are those of a command started by a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    for descriptor, path in zip((1, 2), outputs, strict=True):
        held = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        os.dup2(held, descriptor)
        os.close(held)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERPSCTL_")}
    return kept | {"PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}


@contextmanager
def laboratory(folder: Path, **how: Any) -> Iterator[Lab]:
    """A lab whose exchange runs while the block does."""
    made = Lab(folder, **how)
    try:
        yield made
    finally:
        made.close()
