"""Starts, finds and ends the one simulator of a home, like adb's server: on first use, detached, never twice.

Standard library only, and cheap to import: every command with a `sim` profile passes through here. Whether a server
lives is asked of a lock the server holds for life (a dead process holds none, a reused pid proves nothing); its state
file says where it listens. Nothing here ends a process that is not the server it started from the same folder.
"""

import fcntl
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perpsctl.domain.errors import ConfigError, PerpsctlError, UsageError, VenueUnreachable
from perpsctl.domain.text import shown
from perpsctl.places import private_folder

STATE_FILE = "server.json"
LIFE_LOCK = "server.lock"  # held by the server as long as it lives
START_LOCK = "start.lock"  # held by whoever is starting or stopping one
LOG_FILE = "server.log"
READY_WITHIN_S = 20  # a start takes half a second; ten first uses at once on two busy cores took eight
_ANSWERED_WITHIN_S = 10
_STOPPED_WITHIN_S = 10
_POLL_S = 0.02
_USAGE = 2
US_SOCKETS = ("ws", "wss", "user_ws", "user_wss")
_OVER = frozenset("ZX")  # ended, and at most not yet collected by its parent
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimOptions:
    """What `sim start` can choose; everything plain text, so that two starts can be compared. UsageError when illegal."""

    seed: int = 1
    replay: str | None = None  # absolute path of a recorded file
    start: str | None = None  # RFC 3339: where in the file to begin
    speed: str = "1"  # of the price path
    calendar: str = "open"  # open, venue
    dedupe: str = "forever"  # forever, 60s, never
    maker_fee: str | None = None  # share of notional
    taker_fee: str | None = None
    http_port: int = 0  # 0: any free one
    https_port: int = 0
    global_http_port: int = 0
    global_https_port: int = 0
    control_port: int = 0
    idle_minutes: int = 30  # 0: never ends itself

    def __post_init__(self) -> None:
        _one_of("calendar", self.calendar, ("open", "venue"))
        _one_of("dedupe", self.dedupe, ("forever", "60s", "never"))
        _decimal("speed", self.speed, above=Decimal(0))
        for name in ("maker_fee", "taker_fee"):
            value = getattr(self, name)
            if value is not None:
                _decimal(name, value, above=None)
        for name in ("http_port", "https_port", "global_http_port", "global_https_port", "control_port"):
            if not 0 <= getattr(self, name) <= 65_535:
                raise UsageError(f"{name} is a port, 0 to 65535")
        if not 0 <= self.idle_minutes <= 10_080 or not 0 <= self.seed < 1 << 63:
            raise UsageError("idle_minutes is 0 to 10080 and seed is a whole number from 0")
        if self.start is not None:
            if self.replay is None:
                raise UsageError("--from needs --replay")
            _instant(self.start)
        if self.replay is not None:
            path = Path(self.replay).expanduser().absolute()
            if not path.is_file():
                raise UsageError(f"there is no file {shown(str(path))} to replay")
            object.__setattr__(self, "replay", str(path))

    def arguments(self) -> list[str]:
        """The options as the server's command line takes them; defaults are left out."""
        given: list[str] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                given += [f"--{each.name.replace('_', '-')}", str(value)]
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class SimStatus:
    """A running simulator: where it listens and whose it is."""

    pid: int
    started_at: str  # RFC 3339
    http: str
    https: str
    us_sockets: Mapping[str, str]  # ws, wss, user_ws, user_wss
    global_faces: Mapping[str, str]  # http, https, ws, wss, streams_ws, streams_wss
    ca_file: str
    key_files: Mapping[str, str]  # trade, monitor, analytics
    control: str
    control_token: str = field(repr=False)
    options: Mapping[str, Any]
    portfolio: str
    account: int  # starts and resets in this home so far
    already_running: bool = False  # found, not started, by this call

    def as_data(self, folder: Path) -> dict[str, Any]:
        """The `data` of `sim status`: no secret, only where the control token stands."""
        us = {"http": self.http, "https": self.https, **self.us_sockets}
        return {
            "running": True,
            "pid": self.pid,
            "started_at": self.started_at,
            "faces": {"us": us, "global": dict(self.global_faces)},
            "ca_file": self.ca_file,
            "key_files": dict(self.key_files),
            "control": self.control,
            "control_token_file": str(folder / STATE_FILE),
            "portfolio": self.portfolio,
            "account": self.account,
            "options": dict(self.options),
        }


def ensure(folder: Path, options: SimOptions | None = None) -> SimStatus:
    """A simulator runs from `folder` (`places.exchange_folder()`): the one that is there, or a new one.

    Without options any running one will do. Raises VenueUnreachable when it does not come up within twenty seconds.
    """
    found = status(folder)
    if found is not None and options is None:
        return found
    return start(folder, options)


def start(folder: Path, options: SimOptions | None = None) -> SimStatus:
    """As `ensure`, but options are binding: UsageError when one runs with others."""
    wanted = options if options is not None else SimOptions()
    with _exclusive(folder):
        found = status(folder)
        if found is None:
            return _launch(folder, wanted)
        if options is not None and dict(found.options) != asdict(wanted):
            differing = ", ".join(
                sorted(name for name, value in asdict(wanted).items() if found.options.get(name) != value)
            )
            raise UsageError(
                f"a simulator with other options is running (different: {differing})",
                fix="`perpsctl sim stop` first; its open orders and positions end with it",
            )
        return found


def status(folder: Path) -> SimStatus | None:
    """The running simulator, or None. What a dead one left behind is not believed."""
    if not _alive(folder):
        return None
    return _read_state(folder)


def stop(folder: Path) -> bool:
    """No simulator runs from `folder`; False when none did. It is gone, not only told, when this returns."""
    if not folder.is_dir():
        return False
    with _exclusive(folder):
        found = status(folder)
        if found is None:
            if _alive(folder):
                raise VenueUnreachable("a simulator is just starting or ending", fix="repeat the command")
            (folder / STATE_FILE).unlink(missing_ok=True)
            return False
        os.kill(found.pid, signal.SIGTERM)
        if not _gone(folder, found.pid, _STOPPED_WITHIN_S):
            os.kill(found.pid, signal.SIGKILL)
            if not _gone(folder, found.pid, _STOPPED_WITHIN_S):
                raise VenueUnreachable(f"the simulator (process {found.pid}) does not end", fix="look at its log")
        (folder / STATE_FILE).unlink(missing_ok=True)
        return True


def reset(folder: Path) -> SimStatus:
    """The running simulator has a new account and new keys. UsageError when none runs."""
    if status(folder) is None:
        raise UsageError("no simulator is running", fix="start it with `perpsctl sim start`")
    control(folder, "POST", "/reset")
    after = status(folder)
    if after is None:
        raise VenueUnreachable("the simulator ended during its reset")
    return after


def control(folder: Path, method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
    """The answer of the running simulator's control face, parsed; numbers come as text.

    UsageError with its sentence for a refused question, VenueUnreachable when it does not answer.
    """
    found = status(folder)
    if found is None:
        raise UsageError("no simulator is running", fix="start it with `perpsctl sim start`")
    address = urlsplit(found.control)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=_ANSWERED_WITHIN_S)
    try:
        connection.request(
            method,
            target,
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {found.control_token}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        answer = json.loads(response.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as failed:
        raise VenueUnreachable(f"the simulator's control face did not answer ({type(failed).__name__})") from None
    finally:
        connection.close()
    if response.status != 200:
        said = answer.get("error", "") if isinstance(answer, dict) else ""
        raise UsageError(f"the simulator refused: {shown(str(said))}")
    return answer


# --- one process --------------------------------------------------------------------------------------


def _launch(folder: Path, options: SimOptions) -> SimStatus:
    (folder / STATE_FILE).unlink(missing_ok=True)
    log = folder / LOG_FILE
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "perpsctl.simulator.server", "--folder", str(folder), *options.arguments()]
    package_parent = str(Path(__file__).resolve().parents[2])
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(
        part for part in (package_parent, os.environ.get("PYTHONPATH", "")) if part
    )
    # Every stream closed (else `$(perpsctl ...)` waits for us for ever), a session of its own, no handle inherited.
    pid = os.posix_spawn(
        sys.executable,
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(log), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        code = _ended(pid)
        if code is not None:
            raise _failure(log, code)
        found = _read_state(folder) if (folder / STATE_FILE).exists() and _alive(folder) else None
        if found is not None and found.pid == pid:
            return _fresh(found)
        time.sleep(_POLL_S)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise VenueUnreachable(
        f"the simulator was not ready within {READY_WITHIN_S} s", fix=f"look at {shown(str(log))} and repeat"
    )


def _fresh(found: SimStatus) -> SimStatus:
    return SimStatus(**{each.name: getattr(found, each.name) for each in fields(found)} | {"already_running": False})


def _ended(pid: int) -> int | None:
    """The exit code of our child, None while it lives."""
    try:
        done, waited = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -1
    return os.waitstatus_to_exitcode(waited) if done == pid else None


def _failure(log: Path, code: int) -> PerpsctlError:
    """The server's own words about why it did not start."""
    try:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    said = shown(lines[-1]) if lines else f"exit code {code}"
    if code == _USAGE:
        return UsageError(f"the simulator cannot start: {said}")
    return VenueUnreachable(f"the simulator did not start: {said}", fix=f"see {shown(str(log))}")


def _gone(folder: Path, pid: int, seconds: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _ended(pid)  # collects it where it is a child of this very process
        if not _alive(folder) and not _running(pid):
            return True
        time.sleep(_POLL_S)
    return False


# --- files --------------------------------------------------------------------------------------------


def _alive(folder: Path) -> bool:
    """True while a server holds its life lock."""
    try:
        handle = os.open(folder / LIFE_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as refused:
        raise ConfigError(f"{LIFE_LOCK} cannot be opened: {refused.strerror}", fix="look at the file's mode") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _read_state(folder: Path) -> SimStatus | None:
    """The state file; None while the server has not written it yet, or what stands there is not one."""
    try:
        state = json.loads((folder / STATE_FILE).read_text("utf-8"))
        found = SimStatus(
            pid=int(state["pid"]),
            started_at=str(state["started_at"]),
            http=str(state["faces"]["us"]["http"]),
            https=str(state["faces"]["us"]["https"]),
            us_sockets={str(name): str(state["faces"]["us"][name]) for name in US_SOCKETS},
            global_faces={str(name): str(url) for name, url in state["faces"]["global"].items()},
            ca_file=str(state["ca_file"]),
            key_files={str(role): str(path) for role, path in state["key_files"].items()},
            control=str(state["control"]["url"]),
            control_token=str(state["control"]["token"]),
            options=dict(state["options"]),
            portfolio=str(state["portfolio"]),
            account=int(state["account"]),
            already_running=True,
        )
        started = state["process_start"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    # A pid alone proves nothing: it may be another program's by now.
    return found if started == process_start(found.pid) else None


def process_start(pid: int) -> str | None:
    """When the kernel started a process, in its own ticks and for this boot; None where it does not say, or is over."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return None if facts[0] in _OVER else f"{boot}:{facts[19]}"
    except (OSError, IndexError):
        return None


def _running(pid: int) -> bool:
    if Path("/proc/self/stat").exists():
        return process_start(pid) is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One starter or stopper at a time: the second of two simultaneous first uses finds the first one's server."""
    try:
        private_folder(folder)
        handle = os.open(folder / START_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as refused:
        raise ConfigError(
            f"the embedded exchange's folder cannot be used: {refused.strerror}",
            fix="make PERPSCTL_HOME a folder you can write to",
        ) from None
    try:
        deadline = time.monotonic() + READY_WITHIN_S + _STOPPED_WITHIN_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise VenueUnreachable("another command is starting the simulator", fix="repeat") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


# --- checks -------------------------------------------------------------------------------------------


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is one of {', '.join(allowed)}")


def _decimal(name: str, text: str, *, above: Decimal | None) -> None:
    try:
        value = Decimal(text) if text.isascii() and len(text) <= 40 and "_" not in text else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or (above is not None and value <= above):
        raise UsageError(f"{name} is a plain number" + ("" if above is None else f" above {above}"))


def _instant(text: str) -> None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise UsageError("--from is a time with a zone, for example 2022-01-21T21:30:00Z")
