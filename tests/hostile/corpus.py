"""Honest conversations of the real client with the embedded exchange: what the fuzzer spoils.

Each `Call` is one thing the client asks of a venue, with every request it made for it and the reply that came, as bytes.
They are made anew in each process, so a plain clone has them; nothing of them is stored.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import ClientOrderId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    EditIntent,
    OrderIntent,
    OrderType,
    QuantizedEdit,
    TimeInForce,
)
from perpsctl.domain.ports import Sought
from perpsctl.domain.products import Product, VenueId
from perpsctl.domain.quantize import quantize
from perpsctl.domain.sides import Side
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.advanced_trade.operations import Operations as UsOperations
from perpsctl.exchange.credentials import Credentials, Secret, from_values
from perpsctl.exchange.global_derivatives.operations import Operations as GlobalOperations
from perpsctl.simulator.inprocess import InProcessAdapter
from perpsctl.simulator.options import Options
from tests.rig import World
from tests.rig_keys import key_of
from tests.unit.exchange.parts import OpenGate

HOUR = timedelta(hours=1)
WRITES = ("submit", "submit_edit", "close_position")
WRITE_PATHS = {
    "/api/v3/brokerage/orders": "create",
    "/api/v3/brokerage/orders/edit": "edit",
    "/api/v3/brokerage/orders/close_position": "create",
    "private/buy": "create",
    "private/sell": "create",
    "private/edit": "edit",
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its honest reply."""

    key: str  # what was asked, without what changes from time to time
    path: str  # the endpoint or the method
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    id: int | None  # of the JSON-RPC request it answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a call asks for: what an accepted answer must agree with."""

    product: str = ""
    side: str = ""
    contracts: Decimal | None = None
    size: Decimal | None = None
    price: Decimal | None = None
    label: str = ""
    order_id: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the client with the conversation it led to."""

    venue: str
    name: str
    ask: Callable[[Any], Any]
    terms: Terms
    at: datetime
    exchanges: tuple[Exchange, ...]

    @property
    def told(self) -> str:
        return f"{self.venue}.{self.name}"


@dataclass(slots=True)
class Recorder:
    """Sits on the client's transport and keeps what passes."""

    seen: list[Exchange] = field(default_factory=list)


def key_and_path(method: str, target: str, body: bytes | None) -> tuple[str, str, int | None]:
    """What a request asks, its endpoint, and its JSON-RPC id; nonces, tokens and ends of validity left out."""
    parts = urlsplit(target)
    if body is None or not parts.path.startswith("/api/v2/"):
        text = "" if body is None else body.decode()
        return f"{method} {parts.path}?{parts.query} {text}", parts.path, None
    told = json.loads(body)
    params = {name: value for name, value in (told.get("params") or {}).items() if name not in ("valid_until", "token")}
    return f"{told['method']} {json.dumps(params, sort_keys=True)}", told["method"], told["id"]


class _Recording(InProcessAdapter):
    recorder: Recorder

    def send(self, request: requests.PreparedRequest, *rest: Any, **named: Any) -> requests.Response:
        response = InProcessAdapter.send(self, request, *rest, **named)
        told = response.raw.read()
        body = request.body if isinstance(request.body, bytes) else None
        target = (request.url or "").partition("://")[2]
        key, path, ident = key_and_path(request.method or "GET", target[target.index("/") :], body)
        self.recorder.seen.append(
            Exchange(key, path, response.status_code, tuple(response.headers.items()), told, ident)
        )
        response.raw = BytesIO(told)
        return response


class RecordedWorld(World):
    """One venue with orders, fills and a position, whose client is listened to."""

    def __init__(self, folder: Path, venue: VenueId) -> None:
        self.recorder = Recorder()
        super().__init__(folder, options=Options(seed=7), venue=venue)

    def adapter(self) -> InProcessAdapter:
        face = self.embedded.global_ if self.venue_id is VenueId.GLOBAL else self.embedded.us
        made = _Recording(self.embedded, face=face)
        made.recorder = self.recorder
        return made


def order_of(
    product: Product, at: datetime, *, ident: str, price: Decimal | None, size: str = "0.03", side: Side = Side.BUY
) -> ApprovedOrder:
    """An order as the risk room would approve it."""
    intent = OrderIntent(
        id=IntentId(ident),
        product_id=product.product_id,
        side=side,
        size=Size(Decimal(size)),
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        tif=TimeInForce.IOC if price is None else TimeInForce.GTC,
        limit_price=None if price is None else Price(price),
        post_only=price is not None,
        reduce_only=price is None,
        reason="hostile",
        created_at=at,
    )
    order = quantize(intent, product)
    return ApprovedOrder(order=order, client_order_id=ClientOrderId(ident), judged_at=at)


def edit_of(placed: ApprovedOrder, order_id: VenueOrderId, at: datetime, price: Decimal) -> ApprovedEdit:
    """An edit of its price."""
    order = placed.order
    intent = EditIntent(
        id=IntentId("hostile-edit-1"),
        target=order.intent.id,
        venue_order_id=order_id,
        new_price=Price(price),
        new_size=None,
        created_at=at,
    )
    edit = QuantizedEdit(
        intent=intent,
        product=order.product,
        side=order.side,
        old_size=order.size,
        old_price=order.limit_price,
        filled=Size(Decimal(0)),
        new_size=order.size,
        new_price=Price(price),
        post_only=order.intent.post_only,
        reduce_only=order.intent.reduce_only,
    )
    return ApprovedEdit(edit=edit, judged_at=at)


def _terms(order: ApprovedOrder, **more: Any) -> Terms:
    found = order.order
    return Terms(
        product=str(found.product_id),
        side=found.side.value,
        contracts=found.size / found.product.contract_size,
        size=found.size,
        price=found.limit_price,
        label=str(order.client_order_id),
        **more,
    )


@cache
def corpus() -> tuple[Call, ...]:
    """Every call against both venues; made once a process."""
    made: list[Call] = []
    for venue in (VenueId.US, VenueId.GLOBAL):
        with tempfile.TemporaryDirectory() as folder:
            world = RecordedWorld(Path(folder), venue)
            try:
                made += _told(world)
            finally:
                world.close()
    return tuple(made)


@cache
def credentials() -> Credentials:
    """A key for whoever plays a conversation back: the venue it meets there checks none."""
    with tempfile.TemporaryDirectory() as folder:
        world = RecordedWorld(Path(folder), VenueId.US)
        try:
            name, secret = key_of(world.embedded.key_text("trade"))
        finally:
            world.close()
    return from_values(name, Secret(secret))


def _told(world: RecordedWorld) -> list[Call]:
    product = next(each for each in world.venue.products() if each.alias == "BTC-PERP")
    us = isinstance(world.venue, AdvancedTradeVenue)
    bought = world.intent(size="0.05", price="69200", tif=TimeInForce.IOC, post_only=False, named="hostile-bought-1")
    report = world.engine.desk.place(bought, wait=timedelta(seconds=1))
    assert isinstance(report.outcome, Accepted), report
    rests = world.intent(size="0.03", below=60 if us else 3000, named="hostile-rests-1")
    resting = world.engine.desk.place(rests, wait=timedelta(seconds=1))
    assert isinstance(resting.outcome, Accepted), resting
    order_id = resting.outcome.venue_order_id
    record = world.journal.intent(rests.id)
    assert record is not None
    sought = Sought(record=record, sent_after=record.committed_at)
    assert rests.limit_price is not None
    price = rests.limit_price - 20 * product.price_step(rests.limit_price)
    at = world.clock.now()
    start = at - HOUR
    fresh = order_of(product, at, ident="hostile-fresh-1", price=price)
    close = order_of(product, at, ident="hostile-close-1", price=None, size="0.05", side=Side.SELL)
    placed = ApprovedOrder(order=quantize(rests, product), client_order_id=ClientOrderId(rests.id), judged_at=at)
    edit = edit_of(placed, order_id, at, price)
    pid = product.product_id
    operations: Any = UsOperations if us else GlobalOperations
    gate = OpenGate()
    asks: list[tuple[str, Callable[[Any], Any], Terms]] = [
        ("products", lambda v: v.products(), Terms()),
        ("product", lambda v: v.product(pid), Terms(product=str(pid))),
        ("book", lambda v: v.book(pid, 10), Terms(product=str(pid))),
        ("candles", lambda v: v.candles(pid, start=start, end=at, granularity=timedelta(minutes=5)), Terms()),
        ("trades", lambda v: v.trades(pid, 20), Terms(product=str(pid))),
        ("server_time", lambda v: v.server_time(), Terms()),
        ("key_facts", lambda v: v.key_facts(), Terms()),
        ("account", lambda v: v.account(), Terms()),
        ("positions", lambda v: v.positions(), Terms(product=str(pid))),
        ("fees", lambda v: v.fees(), Terms()),
        ("margin_window", lambda v: v.margin_window(), Terms()),
        ("transfers", lambda v: v.transfers(start), Terms()),
        ("live_orders", lambda v: v.live_orders(), Terms(ids=(str(order_id),))),
        ("orders_since", lambda v: v.orders_since(start), Terms(ids=(str(order_id),))),
        ("foreign_orders", lambda v: v.foreign_orders(), Terms()),
        ("order", lambda v: v.order(order_id), Terms(product=str(pid), order_id=str(order_id))),
        ("fills", lambda v: v.fills(since=start), Terms(product=str(pid))),
        ("preview", lambda v: v.preview(fresh.order), Terms()),
        ("search", lambda v: v.search(sought), Terms(product=str(pid), label=str(rests.id), order_id=str(order_id))),
    ]
    if us:
        asks += [
            ("best_bid_ask", lambda v: v.best_bid_ask(pid), Terms(product=str(pid))),
            ("wallets", lambda v: operations(v).wallets(), Terms()),
            ("portfolios", lambda v: operations(v).portfolios(), Terms()),
            ("position", lambda v: operations(v).position(pid), Terms(product=str(pid))),
            ("schedule_sweep", lambda v: operations(v).schedule_sweep(Decimal(100)), Terms()),
            ("sweeps", lambda v: operations(v).sweeps(), Terms()),
            ("cancel_sweeps", lambda v: operations(v).cancel_sweeps(), Terms()),
            ("margin_setting", lambda v: operations(v).margin_setting(), Terms()),
        ]
    else:
        asks += [
            ("mark", lambda v: v.mark(pid), Terms(product=str(pid))),
            ("funding", lambda v: v.funding(pid, 8), Terms()),
            ("request_limits", lambda v: v.request_limits(), Terms()),
            ("by_label", lambda v: v.by_label(ClientOrderId(rests.id)), Terms()),
            ("fills_of", lambda v: v.fills(venue_order_id=order_id), Terms()),
            ("leverage", lambda v: operations(v).leverage(pid), Terms()),
            ("set_leverage", lambda v: operations(v).set_leverage(pid, Decimal(5)), Terms()),
            ("transaction_log", lambda v: operations(v).transaction_log(start), Terms()),
            ("cancel_all", lambda v: v.cancel_all(ProductId("ETH_USDC-PERPETUAL")), Terms()),
        ]
    asks += [
        ("submit", lambda v: v.submit(fresh, gate), _terms(fresh)),
        ("submit_edit", lambda v: v.submit_edit(edit, gate), _terms(placed, order_id=str(order_id))),
        ("cancel", lambda v: v.cancel([order_id]), Terms(ids=(str(order_id),))),
        ("close_position", lambda v: v.close_position(close, gate), _terms(close)),
    ]
    if not us:
        asks.append(("cancel_every", lambda v: v.cancel_all(None), Terms()))
    return [_recorded(world, each, ask, terms) for each, ask, terms in asks]


def _recorded(world: RecordedWorld, name: str, ask: Callable[[Any], Any], terms: Terms) -> Call:
    """The conversation of a client that knows nothing yet, begun when no rate limit is near."""
    world.clock.sleep(timedelta(seconds=2))
    key = from_values(*_key(world))
    venue = world.client(key)
    world.recorder.seen.clear()
    at = world.clock.now()
    try:
        ask(venue)
    except PerpsctlError as error:  # a corpus that records failures would prove nothing
        raise AssertionError(f"{world.venue_id.value}.{name} failed on an honest exchange: {error.message}") from error
    finally:
        venue.close()
    return Call(world.venue_id.value, name, ask, terms, at, tuple(world.recorder.seen))


def _key(world: RecordedWorld) -> tuple[str, Secret]:
    name, secret = key_of(world.embedded.key_text("trade"))
    return name, Secret(secret)
