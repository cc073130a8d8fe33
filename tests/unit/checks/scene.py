"""A scene in which every check passes, made of small fakes; a test changes the one thing it is about."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from perpsctl.checks.context import (
    CheckContext,
    Descriptors,
    KeyFile,
    RequestSeen,
    RetiredAnswer,
    Setup,
    Space,
    Synced,
)
from perpsctl.checks.grids import grid_of
from perpsctl.checks.model import Check, Row
from perpsctl.checks.runner import run_checks
from perpsctl.domain.accounts import AccountView, Booked, Fees, MarginWindow, OrdersRead, PositionsRead, ServerTime
from perpsctl.domain.errors import CredentialsError, PerpsctlError
from perpsctl.domain.ids import AccountKey, ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Notional
from perpsctl.domain.orders import Preview, QuantizedOrder
from perpsctl.domain.ports import Halts, Integrity, Journal, JournalEvent, Lease, Venue
from perpsctl.domain.products import Environment, Product, VenueId
from perpsctl.domain.reports import ExitPending, HaltFacts, HaltState, IntentRecord, KeyFacts, KeyPurpose, RequestLimit
from perpsctl.domain.streams import StreamPart
from perpsctl.latch import LatchFacts, LatchState
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    NOW,
    a_book,
    a_booked,
    a_margin_window,
    a_product,
    a_server_time,
    an_account,
    orders_read,
    positions_read,
)
from tests.unit.engine.fake_streams import FakeStreams

PORTFOLIO = "11111111-2222-3333-4444-555555555555"
ACCOUNT = AccountKey(f"us:sim:{PORTFOLIO}")
RATES = {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "29", "x-ratelimit-reset": "1"}


def some_products() -> tuple[Product, ...]:
    return (
        a_product(),
        a_product(product_id="ETP-20DEC30-CDE", alias="ETH-PERP", base="ETH", contract_size="0.1"),
        a_product(product_id="SLP-20DEC30-CDE", alias="SOL-PERP", base="SOL", contract_size="5"),
        a_product(product_id="XPP-20DEC30-CDE", alias="XRP-PERP", base="XRP", contract_size="500"),
    )


class FakeClock:
    """Stands at noon; the monotonic count moves by a microsecond each look."""

    def __init__(self) -> None:
        self.wall = NOW
        self._ns = 0

    def now(self) -> datetime:
        return self.wall

    def monotonic_ns(self) -> int:
        self._ns += 1000
        return self._ns

    def sleep(self, duration: timedelta) -> None:
        self.wall += duration
        self._ns += duration // timedelta(microseconds=1) * 1000


@dataclass
class Capabilities:
    has_preview: bool = True
    native_reduce_only: bool = False
    requests_per_second_private: int = 30
    margin_windows: bool = True
    limits_in_headers: bool = True


@dataclass
class FakeVenue:
    """Answers what it holds; a field that holds an error raises it."""

    purpose: KeyPurpose | None
    wire: list[RequestSeen]
    facts: KeyFacts | PerpsctlError
    time: ServerTime | PerpsctlError = field(default_factory=a_server_time)
    listed: tuple[Product, ...] | PerpsctlError = field(default_factory=some_products)
    books: dict[str, BookView] = field(default_factory=dict)
    money: AccountView | PerpsctlError = field(default_factory=an_account)
    held: PositionsRead | PerpsctlError = field(default_factory=positions_read)
    live: OrdersRead | PerpsctlError = field(default_factory=orders_read)
    day: OrdersRead | PerpsctlError = field(default_factory=orders_read)
    paid: Fees | PerpsctlError = field(
        default_factory=lambda: Fees(maker=Decimal("0.0002"), taker=Decimal("0.0005"), tier="Advanced 1")
    )
    window: MarginWindow | PerpsctlError = field(default_factory=a_margin_window)
    answer: Preview | PerpsctlError = field(
        default_factory=lambda: Preview(
            problems=(),
            warnings=(),
            order_total=Notional(Decimal("540")),
            commission=Notional(Decimal("0.1")),
            margin=Notional(Decimal("54")),
            average_price=None,
            best_bid=None,
            best_ask=None,
            slippage=None,
            estimate=False,
        )
    )
    capabilities: Capabilities = field(default_factory=Capabilities)
    statuses: list[int] = field(default_factory=list)  # the next answers' HTTP statuses; 200 when empty
    latency_us: int | None = 4000
    rate_headers: Mapping[str, str] = field(default_factory=lambda: RATES)
    previewed: list[QuantizedOrder] = field(default_factory=list)

    def _told(self, path: str, value: Any) -> Any:
        while self.statuses and self.statuses[0] != 200:
            self._saw(path, self.statuses.pop(0))
        if self.statuses:
            self.statuses.pop(0)
        if isinstance(value, PerpsctlError):
            raise value
        self._saw(path, 200)
        return value

    def _saw(self, path: str, status: int) -> None:
        self.wire.append(
            RequestSeen(
                method="GET",
                path=path,
                signed_as=self.purpose,
                status=status,
                ending="answered",
                latency_us=self.latency_us,
                request_id=f"req-{len(self.wire)}",
                rate_headers=self.rate_headers if self.purpose else {},
            )
        )

    def server_time(self) -> ServerTime:
        return cast(ServerTime, self._told("/time", self.time))

    def key_facts(self) -> KeyFacts:
        return cast(KeyFacts, self._told("/key_permissions", self.facts))

    def products(self) -> tuple[Product, ...]:
        return cast(tuple[Product, ...], self._told("/products", self.listed))

    def product(self, product_id: ProductId) -> Product:
        return next(product for product in self.products() if product.product_id == product_id)

    def book(self, product_id: ProductId, depth: int) -> BookView:
        return cast(BookView, self._told("/product_book", self.books.get(product_id) or a_book(product_id=product_id)))

    def account(self) -> AccountView:
        return cast(AccountView, self._told("/cfm/balance_summary", self.money))

    def positions(self) -> PositionsRead:
        return cast(PositionsRead, self._told("/cfm/positions", self.held))

    def live_orders(self) -> OrdersRead:
        return cast(OrdersRead, self._told("/orders/historical/batch", self.live))

    def orders_since(self, start: datetime) -> OrdersRead:
        return cast(OrdersRead, self._told("/orders/historical/batch", self.day))

    def fees(self) -> Fees:
        return cast(Fees, self._told("/transaction_summary", self.paid))

    def margin_window(self) -> MarginWindow:
        return cast(MarginWindow, self._told("/cfm/intraday/current_margin_window", self.window))

    def preview(self, order: QuantizedOrder) -> Preview:
        self.previewed.append(order)
        return cast(Preview, self._told("/orders/preview", self.answer))


def rights(*, view: bool = True, trade: bool = False, transfer: bool = False, portfolio: str = PORTFOLIO) -> KeyFacts:
    return KeyFacts(
        can_view=view, can_trade=trade, can_transfer=transfer, portfolio_id=portfolio, portfolio_type="DEFAULT"
    )


class FakeVenues:
    def __init__(self, keys: "FakeKeys") -> None:
        self.wire: list[RequestSeen] = []
        self.open = FakeVenue(None, self.wire, rights(view=False))
        self.trade = FakeVenue(KeyPurpose.TRADE, self.wire, rights(trade=True))
        self.monitor = FakeVenue(KeyPurpose.MONITOR, self.wire, rights())
        self.analytics = FakeVenue(KeyPurpose.ANALYTICS, self.wire, rights())
        self.retired_answer = RetiredAnswer(
            asked="GET /market/products/BTC-PERP-INTX", served=False, said="HTTP 404 NOT_FOUND: no such product"
        )
        self.limits: tuple[RequestLimit, ...] = ()
        self._keys = keys

    def all(self) -> tuple[FakeVenue, ...]:
        return self.open, self.trade, self.monitor, self.analytics

    def unsigned(self) -> Venue:
        return cast(Venue, self.open)

    def signed(self, purpose: KeyPurpose) -> Venue:
        problem = self._keys.files[purpose].problem
        if problem:
            raise CredentialsError(problem)
        return cast(Venue, getattr(self, purpose.value))

    def retired(self) -> RetiredAnswer:
        return self.retired_answer

    def request_limits(self) -> Sequence[RequestLimit]:
        return self.limits

    def seen(self) -> Sequence[RequestSeen]:
        return tuple(self.wire)


def a_key_file(purpose: KeyPurpose, **changes: Any) -> KeyFile:
    values: dict[str, Any] = {
        "purpose": purpose,
        "configured": True,
        "source": f"/keys/{purpose}.json",
        "mode": 0o600,
        "size": 340,
        "modified": NOW - timedelta(days=3),
        "algorithm": "ES256",
        "fingerprint": f"{purpose:0<16}",
        "problem": "",
        "fix": "",
    }
    return KeyFile(**{**values, **changes})


class FakeKeys:
    def __init__(self) -> None:
        self.files = {purpose: a_key_file(purpose) for purpose in KeyPurpose}

    def facts(self, purpose: KeyPurpose) -> KeyFile:
        return self.files[purpose]

    def change(self, purpose: KeyPurpose, **changes: Any) -> None:
        self.files[purpose] = a_key_file(purpose, **changes)


@dataclass
class FakeHost:
    free: int = 50 << 30
    files_free: int | None = 1_000_000
    opened: int = 20
    limit: int = 4096
    sync_trouble: OSError | None = None
    modes: dict[Path, int | None] = field(default_factory=dict)
    files: tuple[str, ...] = ("journal.sqlite", "gate.lock")
    synced: list[Path] = field(default_factory=list)

    def space(self, folder: Path) -> Space:
        return Space(free=self.free, total=100 << 30, files_free=self.files_free)

    def descriptors(self) -> Descriptors:
        return Descriptors(open=self.opened, limit=self.limit)

    def sync_beside(self, folder: Path) -> Synced:
        if self.sync_trouble is not None:
            raise self.sync_trouble
        self.synced.append(folder)
        return Synced(took_us=900)

    def mode(self, path: Path) -> int | None:
        return self.modes.get(path, 0o700 if path == STATE else 0o600)

    def names(self, folder: Path) -> tuple[str, ...]:
        return self.files


STATE = Path("/home/op/state/sim")
JOURNAL_FILE = STATE / "journal.sqlite"
CONFIG_FILE = Path("/home/op/perpsctl.toml")


class FakeLatch:
    folder = STATE

    def state(self) -> LatchFacts:
        return LatchFacts(state=LatchState.RELEASED)


@dataclass
class FakeJournal:
    account: AccountKey = ACCOUNT
    integrity: Integrity | PerpsctlError = field(
        default_factory=lambda: Integrity(
            rows=12, verified_from=1, sound=True, first_bad=None, problem="", head="ab" * 32
        )
    )
    doubts: tuple[IntentRecord, ...] = ()
    pending: tuple[ExitPending, ...] = ()
    coin: Mapping[ProductId, Decimal] = field(default_factory=dict)
    book: Booked = field(default_factory=a_booked)
    rows: list[JournalEvent] = field(default_factory=list)
    recorded: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def in_doubt(self) -> tuple[IntentRecord, ...]:
        return self.doubts

    def working(self) -> tuple[IntentRecord, ...]:
        return ()

    def exits_pending(self) -> tuple[ExitPending, ...]:
        return self.pending

    def booked_coin(self) -> Mapping[ProductId, Decimal]:
        return self.coin

    def booked(self) -> Booked:
        return self.book

    def events(self, *, kind: str | None = None, limit: int | None = None) -> tuple[JournalEvent, ...]:
        return tuple(self.rows)

    def record_event(self, kind: str, payload: Mapping[str, object], intent_id: object = None) -> None:
        self.recorded.append((kind, payload))

    def remember_grids(self, products: Sequence[Product], at: datetime = NOW - timedelta(days=1)) -> None:
        payload = json.dumps({"grids": {p.product_id: dict(grid_of(p)) for p in products}})
        self.rows.insert(0, JournalEvent(seq=1, kind="checks_run", at=at, intent_id=None, payload=payload))


@dataclass
class FakeHalts:
    told: HaltFacts = field(
        default_factory=lambda: HaltFacts(
            state=HaltState.RELEASED, latch="released", journal="released", reason="", by="", since=None
        )
    )

    def facts(self) -> HaltFacts:
        return self.told


@dataclass
class FakeLease:
    by: str | None = None

    def holder(self) -> str | None:
        return self.by


class Scene:
    """Everything a check looks through, well; a test spoils one part of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keys = FakeKeys()
        self.venues = FakeVenues(self.keys)
        self.host = FakeHost()
        self.journal = FakeJournal()
        self.journal.remember_grids(some_products())
        self.journal_trouble: PerpsctlError | None = None
        self.halts = FakeHalts()
        self.lease = FakeLease()
        self.cash_times = (time(20, 0),)
        self.streams = FakeStreams(self.clock)
        for part in (StreamPart.ORDERS, StreamPart.BALANCE):
            self.streams.live(part)
        self.streams.tell_book()
        self.setup: dict[str, Any] = {
            "profile": "sim",
            "venue": VenueId.US,
            "environment": Environment.SIM,
            "live": False,
            "portfolio": PORTFOLIO,
            "products": ("BTC-PERP",),
            "egress": (),
            "limits": RiskLimits(),
            "config_file": CONFIG_FILE,
            "config_exists": True,
            "sources": {"default": 40, "file": 2},
            "state_folder": STATE,
            "journal_file": JOURNAL_FILE,
        }

    @property
    def venue(self) -> FakeVenue:
        """The one under the trade key."""
        return self.venues.trade

    def everywhere(self, name: str, value: object) -> None:
        """Each venue answers so, whatever the key."""
        for venue in self.venues.all():
            setattr(venue, name, value)

    def context(self) -> CheckContext:
        return CheckContext(
            setup=Setup(**self.setup),
            clock=self.clock,
            venues=self.venues,
            keys=self.keys,
            host=self.host,
            latch=FakeLatch(),
            journal=self._journal,
            integrity=self._integrity,
            account=lambda: self.journal.account,
            halts=lambda: cast(Halts, self.halts),
            lease=lambda: cast(Lease, self.lease),
            cash_times=lambda: self.cash_times,
            streams=lambda purpose: self.streams,
        )

    def _integrity(self) -> Integrity:
        if isinstance(self.journal.integrity, PerpsctlError):
            raise self.journal.integrity
        return self.journal.integrity

    def _journal(self) -> Journal:
        if self.journal_trouble is not None:
            raise self.journal_trouble
        return cast(Journal, self.journal)

    def look(self, check: Check[CheckContext]) -> Row:
        """One check alone, its needs taken as met, through the real runner."""
        alone = Check(check.id, check.title, run=check.run, grave=check.grave, deadline=check.deadline)
        return run_checks("alone", (alone,), self.context(), self.clock).rows[0]

    def series(self, checks: Sequence[Check[CheckContext]], progress: Callable[[Row], None] = lambda row: None) -> Any:
        """A whole series through the real runner."""
        return run_checks("series", checks, self.context(), self.clock, progress)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
