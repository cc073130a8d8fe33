"""The product on virtual time with a seam at every yield point: each call of venue and journal, each step of a write, each
request. There a process can die, be held up, or find that somebody else acted meanwhile.

Nothing of the product is replaced: the parts are wrapped, the wire is watched, and the watching is the judge's.
"""

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from perpsctl.domain.ports import Journal, Venue
from perpsctl.domain.products import VenueId
from perpsctl.engine.reading import VENUE_ERRORS
from perpsctl.exchange.streams.line import Line
from perpsctl.journal.opening import open_journal
from perpsctl.journal.store import SqlJournal
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.inprocess import InProcessAdapter
from perpsctl.simulator.options import Dedupe, Options
from perpsctl.simulator.products import Product as ListedProduct
from perpsctl.simulator.state import State
from tests.crash.wire import GLOBAL_WRITES, US_WRITES
from tests.dst.judge import ADDS, TURNED_AWAY, Book, BookOrder, Case, JournalEye, Left
from tests.dst.schedule import ProcessFault, Schedule
from tests.dst.swift import quicken, shorten
from tests.rig import VirtualClock, World
from tests.scenarios.gateway import GatewayLine, GatewayWorld

PRODUCTS = {
    "us": {"BTC-PERP": "BIP-20DEC30-CDE", "ETH-PERP": "ETP-20DEC30-CDE"},
    "global": {"BTC-PERP": "BTC_USDC-PERPETUAL", "ETH-PERP": "ETH_USDC-PERPETUAL"},
}
LOT = {"BTC-PERP": Decimal("0.01"), "ETH-PERP": Decimal("0.1")}  # coin; one contract of the US venue


class Died(BaseException):
    """The process is gone: nothing after this instant happens."""


class HostClock(VirtualClock):
    """The host's own clock: the time that passes is the exchange's, the time of day can be stepped away from it (T1)."""

    def __init__(self, true: VirtualClock) -> None:
        super().__init__(true.now())
        self.true = true
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return self.true.now() + self.ahead

    def advance(self, seconds: int = 0, *, milliseconds: int = 0) -> datetime:
        return self.true.advance(seconds, milliseconds=milliseconds) + self.ahead

    def monotonic_ns(self) -> int:
        return self.true.monotonic_ns()

    def sleep(self, duration: timedelta) -> None:
        self.true.sleep(duration)

    @property
    def on_sleep(self) -> Callable[[], None]:
        return self.true.on_sleep

    @on_sleep.setter
    def on_sleep(self, act: Callable[[], None]) -> None:
        if hasattr(self, "true"):
            self.true.on_sleep = act


class Life:
    """Counts yield points of the step under way; strikes where a process fault says so; keeps the trace."""

    def __init__(self, faults: tuple[ProcessFault, ...], now: Callable[[], object]) -> None:
        self.trace: list[str] = []
        self.fired: list[ProcessFault] = []
        self.dead = False
        self._faults = faults
        self._now = now
        self._step = -1
        self._counts: dict[int, int] = {}
        self._quiet = 0
        self.interrupt: Callable[[ProcessFault], None] = lambda fault: None

    def begin(self, step: int) -> None:
        """Yield points count anew; -1 outside any step, where nothing strikes."""
        self._step = step
        self._counts = {}

    def note(self, line: str) -> None:
        self.trace.append(f"{self._now()} {line}")

    def reach(self, name: str) -> None:
        """A yield point. Died for good once dead; OSError where the disk fails."""
        if self.dead:
            raise Died(name)
        if self._quiet:
            return
        self.trace.append(name)
        for number, fault in enumerate(self._faults):
            if fault.step != self._step or fault in self.fired or fault.at not in name:
                continue
            self._counts[number] = self._counts.get(number, 0) + 1
            if self._counts[number] == fault.nth:
                self._strike(fault, name)

    def _strike(self, fault: ProcessFault, name: str) -> None:
        if fault.kind == "disk" and not name.startswith("step."):
            return
        if fault.kind not in ("disk", "crash") and not name.startswith(("before ", "after ")):
            return
        self.fired.append(fault)
        self.note(f"strikes: {fault.kind} at {name}")
        if fault.kind == "crash":
            self.dead = True
            raise Died(name)
        if fault.kind == "disk":
            raise OSError(28, "No space left on device")
        with self.silence():
            self.interrupt(fault)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Nothing strikes within."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @property
    def quiet(self) -> bool:
        """True while somebody else acts."""
        return self._quiet > 0


class Mortal:
    """Passes every call on, with a yield point before and after it."""

    def __init__(self, real: Any, life: Life, name: str) -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_life", life)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name.startswith("_") or not callable(found):
            return found
        told, life = f"{self._name}.{name}", self._life

        def call(*arguments: Any, **named: Any) -> Any:
            life.reach(f"before {told}")
            answer = found(*arguments, **named)
            life.reach(f"after {told}")
            return answer

        return call


class Watch:
    """What one site's wire shows: every write that leaves, in which state it leaves the disk, what the book says then."""

    def __init__(self, world: "Site", case: Case, life: Life) -> None:
        self._world = world
        self._case = case
        self.life = life
        self.eye = JournalEye(case.folder)
        self.disturbed = False
        self.crossed = False  # the next write gets the answer of the one before: a mix-up on a kept connection (N17)
        self._names = tuple(case.unit)
        self.asked: Counter[str] = Counter()  # requests of the command under way

    def leaves(self, op: str, ident: str, body: Mapping[str, Any]) -> None:
        """A write is handed to the wire now."""
        eye = self.eye
        if op in ADDS:
            self.look()
        committed = eye.edit_of(ident) if op == "edit" else op.startswith("cancel") or eye.committed(ident)
        self._case.sends.append(
            Left(
                at=self._world.host.true.now(),
                process="other" if self.life.quiet else "first",
                op=op,
                ident=ident,
                body=body,
                committed=committed,
                latched=eye.latched(),
                seq=eye.last(),
            )
        )

    def answered(self, body: bytes, ident: str) -> None:
        """An answer to a write as it leaves the exchange: was the write turned away at the door?"""
        with suppress(ValueError):
            error = json.loads(body).get("error")
            if isinstance(error, dict) and error.get("code") in TURNED_AWAY:
                self._case.turned_away.append(ident)

    def sample(self) -> None:
        """The marks of this moment."""
        now, state = self._world.host.true.now(), self._world.state
        self._case.marks += [(now, name, state.mark(name)) for name in self._names]

    def look(self) -> int:
        """The exchange's book as it stands, kept; its number."""
        self.sample()
        view = self._world.embedded.exchange.judge_view()
        us = self._world.venue_id is VenueId.US
        book = Book(
            at=view.at,
            orders=tuple(
                BookOrder(
                    order_id=each.order_id,
                    client_id=each.client_order_id,
                    product=each.product_id,
                    side=each.side,
                    size=each.size,
                    filled=each.filled_size,
                    price=each.limit_price,
                    status=each.status,
                    kind=each.kind,
                    outside=each.sequence == 0,
                )
                for each in view.orders
            ),
            positions=dict(view.positions),
            cash=view.cbi_usd + view.cfm_usd if us else view.usdc,
            disturbed=self.disturbed,
        )
        self._case.books.append(book)
        return len(self._case.books) - 1

    def carried(self, op: str | None, told: str, send: Callable[[], Any], latency_ms: int) -> Any:
        """One request: yield points around it, time for its way there and back, its line in the trace."""
        if not self.life.quiet:
            self.asked[op or "read"] += 1
        life, clock, embedded = self.life, self._world.clock, self._world.embedded
        kind = "wire.read" if op is None else f"wire.write {op}"
        if life.dead or op is not None:
            life.reach(f"{kind} leaves")
        if latency_ms:
            clock.advance(milliseconds=latency_ms)
            embedded.advance()
        self.sample()
        ending = "lost"
        try:
            answer = send()
            ending = str(getattr(answer, "status_code", "sent"))
        finally:
            life.note(f"{kind} {told} {ending}")
            if op is not None:
                self.look()
        if life.dead or op is not None:
            life.reach(f"{kind} handled")
        if latency_ms:
            clock.advance(milliseconds=latency_ms)
            embedded.advance()
        return answer


class Overheard:
    """A venue's face whose answers to writes are heard as they leave, before any fault of the wire."""

    def __init__(self, face: Any, watch: Watch) -> None:
        self._face = face
        self._watch = watch
        self.writing = ""
        self._earlier: Any = None  # the last answer to a write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._face, name)

    def hung_up(self) -> None:
        """The connection is another one from here: nothing of the last one can arrive on it."""
        self._earlier = None

    def answer(self, arrived: Any, intake: Any) -> Any:
        reply = self._face.answer(arrived, intake)
        if not self.writing:
            return reply
        self._watch.answered(reply.body, self.writing)
        told, self._earlier = self._earlier, reply
        if told is not None and self._watch.crossed:
            self._watch.crossed = False
            return told
        return reply


class WatchedAdapter(InProcessAdapter):
    """The wire over HTTP."""

    def __init__(self, site: "Site", **how: Any) -> None:
        face = site.embedded.us if site.venue_id is VenueId.US else site.embedded.global_
        self._heard = Overheard(face, site.watch)
        super().__init__(site.embedded, face=self._heard, **how)  # type: ignore[arg-type]
        self._site = site

    def forget_connections(self) -> None:
        self._heard.hung_up()

    def send(self, request: requests.PreparedRequest, *rest: Any, **named: Any) -> requests.Response:
        op, ident, body = _us_write(request) if self._site.venue_id is VenueId.US else _global_write(request)
        watch = self._site.watch
        self._heard.writing = ident if op is not None else ""
        if op is not None:
            watch.leaves(op, ident, body)
        told = f"{request.method} {_told_line(request)}"
        answer: requests.Response = watch.carried(
            op, told, lambda: InProcessAdapter.send(self, request, *rest, **named), self._site.latency_ms
        )
        return answer


class WatchedLine(GatewayLine):
    """The wire over the order socket."""

    def __init__(self, site: "Site") -> None:
        super().__init__(site.embedded, site.clock)
        self._site = site
        self._writing: dict[int, str] = {}

    def send(self, text: bytes) -> int:
        told = json.loads(text)
        op, ident, body = _rpc_write(str(told["method"]), told.get("params") or {})
        watch = self._site.watch
        if op is not None:
            watch.leaves(op, ident, body)
            self._writing[int(told["id"])] = ident
        line = f"SOCKET {told['method']} {'' if 'auth' in told['method'] else json.dumps(body, sort_keys=True)}"
        sent: int = watch.carried(op, line, lambda: GatewayLine.send(self, text), self._site.latency_ms)
        return sent

    def _arrived(self, frames: list[bytes]) -> None:
        for frame in frames:
            with suppress(ValueError, AttributeError):
                ident = self._writing.get(json.loads(frame).get("id"))
                if ident:
                    self._site.watch.answered(frame, ident)
        super()._arrived(frames)


def _told_line(request: requests.PreparedRequest) -> str:
    """Path, query and body without anything that is signed: no header is told, no login's body."""
    parts = urlsplit(request.url or "")
    body = request.body or b""
    text = body.decode("utf-8") if isinstance(body, bytes) else str(body)
    if "auth" in parts.path:
        text = ""
    return f"{parts.path}?{parts.query} {text}"


def _us_write(request: requests.PreparedRequest) -> tuple[str | None, str, Mapping[str, Any]]:
    op = US_WRITES.get(urlsplit(request.url or "").path) if request.method == "POST" else None
    if op is None:
        return None, "", {}
    body = json.loads(request.body or b"{}")
    return op, str(body.get("client_order_id") or body.get("order_id") or ""), body


def _global_write(request: requests.PreparedRequest) -> tuple[str | None, str, Mapping[str, Any]]:
    parts = urlsplit(request.url or "")
    method = "/".join(parts.path.split("/")[-2:])
    if method not in GLOBAL_WRITES:
        return None, "", {}
    if request.body:
        params = json.loads(request.body).get("params") or {}
    else:
        params = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return _rpc_write(method, params)


def _rpc_write(method: str, params: Mapping[str, Any]) -> tuple[str | None, str, Mapping[str, Any]]:
    op = GLOBAL_WRITES.get(method)
    body = dict(params)
    if method in ("private/buy", "private/sell"):
        body["side"] = method.removeprefix("private/")
    return op, str(params.get("label") or params.get("order_id") or ""), body


# --- the two sites ----------------------------------------------------------------------------------------------


class Site(World):
    """One exchange and one profile; each start is a process that can die."""

    schedule: Schedule
    case: Case
    watch: Watch
    life: Life
    mortal: bool
    latency_ms: int
    state: State  # the account of this venue, as the exchange holds it
    host: HostClock

    def prepared(self) -> None:
        with self.embedded.exchange.us() as core:
            shorten(core)
            self.state = core.state if self.venue_id is VenueId.US else core.gateway.state
        self.clock = self.host = HostClock(self.clock)
        names = PRODUCTS[self.schedule.venue]
        self.case = Case(
            venue=self.schedule.venue,
            folder=self.folder,
            limits=self.schedule.limits,
            unit={product: self.listed(product).unit_size for product in names.values()},
            alias={product: alias for alias, product in names.items()},
        )
        self.mortal = True
        self.latency_ms = self.schedule.latency_ms
        self.life = Life(self.schedule.process, lambda: self.host.true.now().isoformat())
        self.watch = Watch(self, self.case, self.life)

    def opened_journal(self) -> SqlJournal:
        if not self.mortal:
            return super().opened_journal()
        real = open_journal(self.folder, self.account, clock=self.clock, ids=self.ids, step=self._step)
        return Mortal(real, self.life, "journal")  # type: ignore[return-value]

    def _step(self, name: str) -> None:
        self.life.reach(f"step.{name}")

    def adapter(self) -> InProcessAdapter:
        return WatchedAdapter(self)

    def assemble(self, venue: Venue, journal: Journal) -> None:
        super().assemble(Mortal(venue, self.life, "venue") if self.mortal else venue, journal)

    def another(self) -> "Site":
        """Another process of the same profile: its own client, journal handle and engine."""
        other = copy.copy(self)
        other.mortal = False
        other.start()
        return other

    def step_clock(self, ahead: timedelta) -> None:
        """The host's time of day is this far from the true one from now on; time goes on as before."""
        self.host.ahead = ahead
        self.case.clock_steps.append((self.watch.eye.last(), ahead))

    def reborn(self) -> None:
        """The process is gone, however it ended, and the next one begins."""
        self.life.dead = False
        with self.life.silence():
            self.restart()

    def listed(self, product: str) -> ListedProduct:
        """The product as the exchange itself holds it."""
        return self.state.products[product]

    def touch(self, product: str) -> tuple[Decimal, Decimal]:
        """The true best bid and ask; the last mark for both where makers are gone."""
        self.embedded.exchange.advance()
        state = self.state
        found, step = state.touch(product), state.products[product].price_increment
        if found is None:
            return state.mark(product), state.mark(product)
        return found.bid * step, found.ask * step


class UsSite(Site):
    """The US venue."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        super().__init__(folder, options=_options(schedule), limits=_limits(schedule), venue=VenueId.US)


class GlobalSite(GatewayWorld, Site):
    """The gateway, over HTTP or with its order socket armed."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule = schedule
        super().__init__(folder, socket=schedule.socket, options=_options(schedule), limits=_limits(schedule))

    def adapter(self) -> InProcessAdapter:
        return WatchedAdapter(self, wait_ms=self.waited)

    def line(self) -> Line:
        return WatchedLine(self)

    def start(self) -> None:
        """Without its socket where that cannot be had: what a single command does."""
        self._over_socket, self.socket = self.mortal and self.schedule.socket, None
        try:
            super().start()
        except VENUE_ERRORS:
            self._over_socket, self.socket = False, None
            super().start()


def _options(schedule: Schedule) -> Options:
    return Options(seed=1 + schedule.seed % 1000, dedupe=Dedupe(schedule.mode))


def _limits(schedule: Schedule) -> RiskLimits:
    told: dict[str, object] = dict(schedule.limits)
    return RiskLimits.from_mapping(told)


def site_of(schedule: Schedule, folder: Path) -> Site:
    """The site of a schedule, its first process begun."""
    quicken()
    return UsSite(schedule, folder) if schedule.venue == "us" else GlobalSite(schedule, folder)
