"""The simulator as a process: its faces on loopback sockets, a ticker, a state file, and a clean end.

Binds loopback and nothing else. No token, key or body reaches a log. One server per folder: it holds a lock as long as it
lives, and a second one refuses to start.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from starlette.types import Receive, Scope, Send

from perpsctl.domain.errors import UsageError
from perpsctl.domain.text import shown
from perpsctl.places import private_folder
from perpsctl.simulator import ws
from perpsctl.simulator.clock import SystemClock
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.control import Body, ControlFace, Hooks
from perpsctl.simulator.faces.errors import refusal
from perpsctl.simulator.faces.messages import first_of, whole, word
from perpsctl.simulator.faces.spelling import stamp
from perpsctl.simulator.faults import EffectKind
from perpsctl.simulator.identity import replace_private_file
from perpsctl.simulator.launcher import LIFE_LOCK, STATE_FILE, SimOptions, process_start
from perpsctl.simulator.listening import (
    HOST,
    QuietServer,
    access_log,
    listen,
    request_of,
    server_config,
    tls_context,
)
from perpsctl.simulator.options import CalendarMode, Dedupe, Options, ReplaySpec
from perpsctl.simulator.outlet import SocketName
from perpsctl.simulator.recordings import BadRecording
from perpsctl.simulator.sockets import Connection, connection_of, deliver, refusing, whole_body
from perpsctl.simulator.tls import loopback_certificates

ACCESS_LOG = "access.log"
CA_FILE = "ca.pem"
ACCOUNT_FILE = "account"  # how many accounts this folder has seen: every start and reset is a new one
TICK_S = 0.1
BODY_LIMIT = 1_000_000
_USAGE = 2


class Server:
    """One simulator on its sockets, from `run` until told to stop."""

    def __init__(self, folder: Path, options: SimOptions, *, on_ready: Callable[[Body], None] | None = None) -> None:
        self._folder = folder
        self._options = options
        self._on_ready = on_ready
        self._started_at = datetime.now(UTC)
        self._last_request = time.monotonic()
        self._stopping = threading.Event()
        self._servers: list[QuietServer] = []
        self._token = secrets.token_urlsafe(32)
        self._log = access_log(folder / ACCESS_LOG)
        try:
            self.embedded = Embedded(
                SystemClock(), core_options(options), folder=folder, accounts_before=_accounts_before(folder)
            )
        except BadRecording as refused:
            raise UsageError(f"the recording cannot be replayed: {shown(str(refused))}") from None
        self._control = ControlFace(
            self.embedded,
            self._token,
            Hooks(status=self._state, new_account=self._write_state, stop=self.stop),
        )
        self._trading_socket = ws.embedded_sockets(self.embedded, SocketName.GLOBAL_TRADING, heard=self._heard)
        self._streams_socket = ws.embedded_sockets(self.embedded, SocketName.GLOBAL_STREAMS, heard=self._heard)
        self._us_socket = ws.embedded_sockets(self.embedded, SocketName.US_MARKET, heard=self._heard)
        self._us_user_socket = ws.embedded_sockets(self.embedded, SocketName.US_USER, heard=self._heard)
        self._sockets = {
            "http": listen(options.http_port),
            "https": listen(options.https_port),
            "global_http": listen(options.global_http_port),
            "global_https": listen(options.global_https_port),
            "streams_ws": listen(0),
            "streams_wss": listen(0),
            "us_ws": listen(0),
            "us_wss": listen(0),
            "us_user_ws": listen(0),
            "us_user_wss": listen(0),
            "control": listen(options.control_port),
        }

    def run(self) -> None:
        """Serves until stopped by signal, control face or idleness."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Ends soon; safe from any thread."""
        self._stopping.set()
        for server in self._servers:
            server.should_exit = True

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        certificates = loopback_certificates(self._started_at)
        replace_private_file(self._folder / CA_FILE, certificates.ca)
        knock = self.embedded.exchange.faults.knock
        tls = tls_context(self._folder, certificates.chain, certificates.key)
        self._servers = [
            QuietServer(server_config(self._us_app, refusing(knock))),
            QuietServer(server_config(self._us_app, refusing(knock), tls)),
            QuietServer(server_config(self._global_app, refusing(knock), sockets=True)),
            QuietServer(server_config(self._global_app, refusing(knock), tls, sockets=True)),
            QuietServer(server_config(self._streams_app, Connection, sockets=True)),
            QuietServer(server_config(self._streams_app, Connection, tls, sockets=True)),
            QuietServer(server_config(self._us_market_app, refusing(knock), sockets=True)),
            QuietServer(server_config(self._us_market_app, refusing(knock), tls, sockets=True)),
            QuietServer(server_config(self._us_user_app, refusing(knock), sockets=True)),
            QuietServer(server_config(self._us_user_app, refusing(knock), tls, sockets=True)),
            QuietServer(server_config(self._control_app, Connection)),
        ]
        serving = [
            asyncio.ensure_future(server.serve(sockets=[sock]))
            for server, sock in zip(self._servers, self._sockets.values(), strict=True)
        ]
        while not all(server.started for server in self._servers):
            if any(task.done() for task in serving):
                break
            await asyncio.sleep(0.005)
        ticker = threading.Thread(target=self._tick, name="ticker", daemon=True)
        self._write_state()
        ticker.start()
        if self._on_ready is not None:
            self._on_ready(self._public_state())
        try:
            await asyncio.gather(*serving)
        finally:
            self._stopping.set()
            ticker.join(timeout=5)
            (self._folder / STATE_FILE).unlink(missing_ok=True)
            self._log.close()

    def _tick(self) -> None:
        idle_s = self._options.idle_minutes * 60
        state_file = self._folder / STATE_FILE
        try:
            while not self._stopping.wait(TICK_S):
                self.embedded.advance()
                if ws.in_use():
                    self._heard()
                if idle_s and time.monotonic() - self._last_request > idle_s:
                    self.stop()
                if not state_file.exists():  # the home was removed: nobody can find or stop this process any more
                    self.stop()
        except BaseException:
            self.stop()  # an exchange whose time stands still would lie
            raise

    # --- applications ---------------------------------------------------------------------------------

    async def _us_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        self._last_request = began
        connection = connection_of(scope)
        request = request_of(scope, b"", self.embedded.exchange.now())
        intake = self.embedded.us.intake(request, counted=connection.first_counted())
        reset = first_of(intake.effects, EffectKind.RESET)
        if reset is not None and word(reset, "when", "before") == "during_request":
            await connection.cut()
            return
        body = await whole_body(receive, BODY_LIMIT)
        if body is None:
            return
        slow = first_of(intake.effects, EffectKind.SLOW_READ)
        if slow is not None:
            await asyncio.sleep(len(body) / max(1, whole(slow, "bytes_per_second", 1000)))
        if intake.delay_before_s:
            await asyncio.sleep(intake.delay_before_s)  # the client may leave; the request is handled all the same
        request = request_of(scope, body, request.received_at)
        if len(body) > BODY_LIMIT:
            reply = refusal(413, "INVALID_ARGUMENT", "the body is too large")
        else:
            reply = self.embedded.us.answer(request, intake)
        await deliver(reply, connection, send)
        self._log.line(request, reply.status, _microseconds_since(began))

    async def _global_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As for the US, but the body comes first: it may name the method, and with it what goes wrong."""
        if scope["type"] == "websocket":
            await ws.serve_socket(scope, receive, send, self._trading_socket)
            return
        began = time.monotonic()
        self._last_request = began
        connection = connection_of(scope)
        body = await whole_body(receive, BODY_LIMIT)
        if body is None:
            return
        request = request_of(scope, body, self.embedded.exchange.now())
        intake = self.embedded.global_.intake(request, counted=connection.first_counted())
        reset = first_of(intake.effects, EffectKind.RESET)
        if reset is not None and word(reset, "when", "before") == "during_request":
            await connection.cut()
            return
        slow = first_of(intake.effects, EffectKind.SLOW_READ)
        if slow is not None:
            await asyncio.sleep(len(body) / max(1, whole(slow, "bytes_per_second", 1000)))
        if intake.delay_before_s:
            await asyncio.sleep(intake.delay_before_s)  # the client may leave; the request is handled all the same
        if len(body) > BODY_LIMIT:
            reply = refusal(413, "INVALID_ARGUMENT", "the body is too large")
        else:
            reply = self.embedded.global_.answer(request, intake)
        await deliver(reply, connection, send)
        self._log.line(request, reply.status, _microseconds_since(began))

    async def _streams_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await ws.serve_socket(scope, receive, send, self._streams_socket)
        else:  # subscriptions only: there is nothing to read over HTTP on this host
            await deliver(refusal(404, "NOT_FOUND", "sockets only"), connection_of(scope), send)

    async def _us_market_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._us_stream(scope, receive, send, self._us_socket)

    async def _us_user_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._us_stream(scope, receive, send, self._us_user_socket)

    async def _us_stream(self, scope: Scope, receive: Receive, send: Send, make: ws.Make) -> None:
        if scope["type"] == "websocket":
            admits = self.embedded.us_sockets.admits
            await ws.serve_socket(scope, receive, send, make, paths=ws.US_PATHS, admits=admits)
        else:
            await deliver(refusal(404, "NOT_FOUND", "sockets only"), connection_of(scope), send)

    def _heard(self) -> None:
        self._last_request = time.monotonic()

    async def _control_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._last_request = time.monotonic()
        body = await whole_body(receive, BODY_LIMIT)
        if body is None:
            return
        reply = self._control.handle(request_of(scope, body, self.embedded.exchange.now()))
        await deliver(reply, connection_of(scope), send)

    # --- state ----------------------------------------------------------------------------------------

    def _url(self, name: str, scheme: str) -> str:
        return f"{scheme}://{HOST}:{self._sockets[name].getsockname()[1]}"

    def _public_state(self) -> Body:
        return {
            "pid": os.getpid(),
            "started_at": stamp(self._started_at),
            "faces": {
                "us": {
                    "http": self._url("http", "http"),
                    "https": self._url("https", "https"),
                    "ws": self._url("us_ws", "ws"),
                    "wss": self._url("us_wss", "wss"),
                    "user_ws": self._url("us_user_ws", "ws"),
                    "user_wss": self._url("us_user_wss", "wss"),
                },
                "global": {
                    "http": self._url("global_http", "http"),
                    "https": self._url("global_https", "https"),
                    "ws": self._url("global_http", "ws") + ws.PATH,
                    "wss": self._url("global_https", "wss") + ws.PATH,
                    "streams_ws": self._url("streams_ws", "ws") + ws.PATH,
                    "streams_wss": self._url("streams_wss", "wss") + ws.PATH,
                },
            },
            "ca_file": str(self._folder / CA_FILE),
            "key_files": {role: str(path) for role, path in self.embedded.key_files.items()},
            "control": self._url("control", "http"),
            "options": asdict(self._options),
            "portfolio": self.embedded.exchange.portfolio_uuid,
            "account": self.embedded.account,
        }

    def _state(self) -> Body:
        now = self.embedded.exchange.now()
        return {**self._public_state(), "venue_time": stamp(now), "idle_s": int(time.monotonic() - self._last_request)}

    def _write_state(self) -> None:
        replace_private_file(self._folder / ACCOUNT_FILE, f"{self.embedded.account}\n".encode("ascii"))
        state = self._public_state()
        state["control"] = {"url": state["control"], "token": self._token}
        state["process_start"] = process_start(os.getpid())
        replace_private_file(self._folder / STATE_FILE, json.dumps(state, indent=2).encode("utf-8"))


def serve(folder: Path, options: SimOptions, on_ready: Callable[[Body], None] | None = None) -> None:
    """Serves in the foreground until stopped. UsageError when another server lives in `folder` or an option is wrong.

    `on_ready` gets what `sim status` shows, once the sockets listen.
    """
    private_folder(folder)
    handle = os.open(folder / LIFE_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                "a simulator is already running from this folder", fix="`perpsctl sim stop` first"
            ) from None
        Server(folder, options, on_ready=on_ready).run()
    finally:
        os.close(handle)


def core_options(options: SimOptions) -> Options:
    """The core's options; its own defaults where none was given."""
    defaults = Options()
    replay = None
    if options.replay is not None:
        begins = None if options.start is None else datetime.fromisoformat(options.start).astimezone(UTC)
        replay = ReplaySpec(path=Path(options.replay), start=begins)
    return Options(
        seed=options.seed,
        speed=Decimal(options.speed),
        calendar=CalendarMode(options.calendar),
        dedupe=Dedupe(options.dedupe),
        maker_fee_rate=defaults.maker_fee_rate if options.maker_fee is None else Decimal(options.maker_fee),
        taker_fee_rate=defaults.taker_fee_rate if options.taker_fee is None else Decimal(options.taker_fee),
        replay=replay,
    )


def _microseconds_since(began: float) -> int:
    return int((time.monotonic() - began) * 1_000_000)


def _accounts_before(folder: Path) -> int:
    try:
        text = (folder / ACCOUNT_FILE).read_text("ascii").strip()
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdigit() and len(text) < 10 else 0


def main(arguments: list[str] | None = None) -> None:
    """The process the launcher starts. Exit 2 with a sentence on stderr for a usage error."""
    parser = argparse.ArgumentParser(prog="perpsctl.simulator.server")
    parser.add_argument("--folder", type=Path, required=True)
    for each in fields(SimOptions):
        kind = int if isinstance(each.default, int) else str
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=kind, default=each.default)
    given = vars(parser.parse_args(arguments))
    folder: Path = given.pop("folder")
    try:
        serve(folder, SimOptions(**given))
    except UsageError as wrong:
        sys.exit(_said(wrong.message))


def _said(message: str) -> int:
    logging.getLogger("perpsctl.simulator").error("%s", message)  # to stderr, which the launcher keeps as the log
    return _USAGE


if __name__ == "__main__":
    main()
