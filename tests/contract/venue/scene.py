"""One exchange, one of its two venues, one transport: the same questions in process on virtual time, over HTTP, HTTPS.

A venue differs from the other by its `VenueCapabilities` and by its `Ground`, which is data, and by nothing else here.

What truly happened is asked of the exchange's own book over its control face, never of the client.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from perpsctl.domain.ids import IntentId, client_order_id
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    EditIntent,
    OrderIntent,
    OrderType,
    QuantizedOrder,
    SubmitOutcome,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Gate, Sighting, Sought
from perpsctl.domain.products import Environment, Product, VenueId
from perpsctl.domain.quantize import quantize, quantize_edit
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.exchange.advanced_trade import AdvancedTradeVenue
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.global_derivatives import GlobalDerivativesVenue
from perpsctl.exchange.global_derivatives.credits import Bucket, Credits, Rate
from perpsctl.exchange.hosts import Endpoint, endpoint_for
from perpsctl.exchange.retrying import RetryPolicy
from perpsctl.exchange.transport import Timing
from perpsctl.simulator import launcher
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.faces.control import ControlFace, Hooks
from perpsctl.simulator.faces.messages import Request
from perpsctl.simulator.faces.venue_face import VenueFace
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, ORIGIN, InProcessAdapter
from perpsctl.simulator.launcher import SimStatus
from perpsctl.systemports import SystemClock
from tests.rig import SeededIds, VirtualClock
from tests.rig_keys import key_of

MID = "60000"
PATIENT = Timing(total=timedelta(seconds=8))
HASTY = Timing(total=timedelta(milliseconds=600))
TWICE = RetryPolicy(attempts=3, total=timedelta(seconds=12), waits=False)
FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
Control = Callable[[str, str, Mapping[str, Any] | None], Any]
Client = AdvancedTradeVenue | GlobalDerivativesVenue
Rows = Sequence[tuple[str, str]]  # price, size in coin


class BriskCredits(Credits):
    """Budgets that are full again at once: each line the venue cuts empties them, and a true one fills up for five seconds.

    The account's own figures, which any read of the account takes over elsewhere, would make it a true one.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, rates=dict.fromkeys(Bucket, Rate(per_second=1000, burst=20)))

    def adopt(self, told: Mapping[Bucket, Rate]) -> None:
        """They stay as they are."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What of a scene is its venue's: names and figures of the exchange's listing and account, and where it is reached."""

    venue: VenueId
    client: Callable[..., Client]
    brisk: Callable[[Clock], Mapping[str, Any]]  # a budget of requests that is full again at once, for real time
    product_id: str  # the bitcoin perpetual
    other_id: str  # another perpetual
    nowhere_id: str  # of the right shape, and not listed
    contract: str  # coin
    wallet: str  # the cash that carries the margin, by its name on the control face
    fees: tuple[str, str]  # maker, taker
    margin_windows: bool
    judged_portfolio: bool  # the judge knows the account by the same name as the key's holder does
    order_words: bool  # of an order its words tell who placed it, and that it waits to be cancelled, changed, opened
    sessions: (
        bool  # a refused token is renewed and what was refused is asked once more; else the key signs each request
    )
    long_bars: bool  # a rate limit may bar the key for as long as its answer says
    modes: frozenset[str]  # of a product, beyond "takes orders"
    close_operation: str  # what a close without a price bound is to the exchange
    origin: str
    face: Callable[[Embedded], VenueFace[Any]]
    address: Callable[[SimStatus, str], str]  # by http or https


US = Ground(
    venue=VenueId.US,
    client=AdvancedTradeVenue,
    brisk=lambda _: {},
    product_id="BIP-20DEC30-CDE",
    other_id="ETP-20DEC30-CDE",
    nowhere_id="NOP-20DEC30-CDE",
    contract="0.01",
    wallet="cfm_usd",
    fees=("0.0001", "0.0007"),  # as the tests set them
    margin_windows=True,
    judged_portfolio=True,
    order_words=True,
    sessions=False,
    long_bars=True,
    modes=frozenset({"cancel_only", "is_disabled", "post_only", "limit_only"}),
    close_operation="close_position",
    origin=ORIGIN,
    face=lambda embedded: embedded.us,
    address=lambda found, scheme: {"http": found.http, "https": found.https}[scheme],
)
GLOBAL = Ground(
    venue=VenueId.GLOBAL,
    client=GlobalDerivativesVenue,
    brisk=lambda clock: {"pacer": BriskCredits(clock)},
    product_id="BTC_USDC-PERPETUAL",
    other_id="ETH_USDC-PERPETUAL",
    nowhere_id="NOP_USDC-PERPETUAL",
    contract="0.0001",
    wallet="usdc",
    fees=("0.00015", "0.00035"),  # the listing's
    margin_windows=False,
    judged_portfolio=False,
    order_words=False,
    sessions=True,
    long_bars=False,  # the refusal's own wait counts, and no longer than a budget takes to fill up
    modes=frozenset({"cancel_only", "is_disabled"}),
    close_operation="create_order",  # the venue's own close takes no label
    origin=GLOBAL_ORIGIN,
    face=lambda embedded: embedded.global_,
    address=lambda found, scheme: found.global_faces[scheme],
)


class OpenGate:
    """Lets everything through and counts."""

    def __init__(self) -> None:
        self.entered = 0

    def __enter__(self) -> None:
        self.entered += 1

    def __exit__(self, *_: object) -> None:
        return


class Scene:
    """A fresh account whose BTC perpetual stands at 60,000, a client of it, and its judge."""

    def __init__(
        self,
        ground: Ground,
        *,
        sockets: bool,
        endpoint: Endpoint,
        key_text: Callable[[], str],
        control: Control,
        clock: Clock,
        embedded: Embedded | None = None,
    ) -> None:
        self.ground = ground
        self.sockets = sockets
        self.clock = clock
        self.ids = SeededIds()
        self.gate = OpenGate()
        self._endpoint = endpoint
        self._key_text = key_text
        self._control = control
        self._embedded = embedded
        self._venues: list[Client] = []
        self.set("switches", rate_limits=False)
        self.set("price", product_id=ground.product_id, price=MID, hold=True)
        self.venue = self.another_venue()
        self.product: Product = next(p for p in self.venue.products() if p.product_id == ground.product_id)

    # --- the client -------------------------------------------------------------------------------------

    def another_venue(self, timing: Timing = PATIENT) -> Client:
        """A client of its own: another process as it were."""
        name, secret = key_of(self._key_text())
        embedded = self._embedded
        made = self.ground.client(
            self._endpoint,
            from_values(name, Secret(secret)),
            self.clock,
            self.ids,
            timing=timing,
            adapter=None if embedded is None else InProcessAdapter(embedded, face=self.ground.face(embedded)),
            reads=TWICE,
            cancels=TWICE,
            **(self.ground.brisk(self.clock) if self.sockets else {}),
        )
        self._venues.append(made)
        return made

    def order(
        self,
        *,
        side: Side = Side.BUY,
        size: str = "0.01",
        kind: OrderType = OrderType.LIMIT,
        tif: TimeInForce = TimeInForce.GTC,
        price: str | None = "59000",
        stop: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        expires_in: timedelta | None = None,
        named: str | None = None,
    ) -> ApprovedOrder:
        """As the judge of risk would have approved it."""
        now = self.clock.now()
        intent = OrderIntent(
            id=IntentId(named or self.ids.new()),
            product_id=self.product.product_id,
            side=side,
            size=Size(Decimal(size)),
            type=kind,
            tif=tif,
            limit_price=None if price is None else Price(Decimal(price)),
            stop_price=None if stop is None else Price(Decimal(stop)),
            post_only=post_only,
            reduce_only=reduce_only,
            expires=None if expires_in is None else (now + expires_in).replace(microsecond=0),
            created_at=now,
        )
        return ApprovedOrder(
            order=quantize(intent, self.product), client_order_id=client_order_id(intent.id), judged_at=now
        )

    def placed(self, **terms: Any) -> VenueOrder:
        """An order the venue took, read back."""
        outcome = self.submit(self.order(**terms))
        assert isinstance(outcome, Accepted), outcome
        found = self.venue.order(outcome.venue_order_id)
        assert found is not None
        return found

    def submit(self, order: ApprovedOrder, gate: Gate | None = None) -> SubmitOutcome:
        return self.venue.submit(order, gate or self.gate)

    def edit(self, order: VenueOrder, *, price: str | None = None, size: str | None = None) -> SubmitOutcome:
        now = self.clock.now()
        intent = EditIntent(
            id=IntentId(self.ids.new()),
            target=IntentId(str(order.client_order_id)),
            venue_order_id=order.venue_order_id,
            new_price=None if price is None else Price(Decimal(price)),
            new_size=None if size is None else Size(Decimal(size)),
            created_at=now,
        )
        quantized = quantize_edit(intent, order, self.product, post_only=False, reduce_only=False)
        return self.venue.submit_edit(ApprovedEdit(edit=quantized, judged_at=now), self.gate)

    def search(self, order: ApprovedOrder, venue: Client | None = None) -> Sighting:
        """One look for it, as after a doubt."""
        quantized: QuantizedOrder = order.order
        record = IntentRecord(
            intent=quantized.intent,
            stage=IntentStage.UNKNOWN,
            committed_at=quantized.intent.created_at,
            sent_size=quantized.size,
            denied=None,
            outcome=None,
            venue_order_id=None,
            order=None,
        )
        return (venue or self.venue).search(Sought(record=record, sent_after=quantized.intent.created_at))

    # --- the exchange -----------------------------------------------------------------------------------

    def control(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._control(method, target, body)

    def set(self, what: str, **values: Any) -> None:
        self.control("POST", f"/state/{what}", values)

    def arm(
        self,
        fault: str,
        params: Mapping[str, str | int] = MappingProxyType({}),
        *,
        operation: str = "create_order",
        count: int | None = 1,
    ) -> None:
        body = {"name": fault, "operation": operation, "count": count, "params": dict(params)}
        self.control("POST", "/faults", body)

    def heal(self) -> None:
        self.control("DELETE", "/faults")

    def fired(self) -> int:
        return sum(int(fault["fired"]) for fault in self.control("GET", "/faults")["faults"])

    def judge(self) -> Any:
        """The whole truth, whatever faults show to a client."""
        return self.control("GET", "/judge")

    def booked(self, order: ApprovedOrder) -> int:
        """How many orders the exchange truly holds under this id."""
        return sum(1 for found in self.judge()["orders"] if found["client_order_id"] == order.client_order_id)

    def creates(self) -> int:
        """How many create requests reached the exchange."""
        return sum(1 for each in self.judge()["requests"] if each["operation"] == "create_order")

    def contracts(self, coin: str) -> str:
        """So many coins as the exchange counts them."""
        return str(self.product.contracts(Size(Decimal(coin))).normalize().quantize(Decimal(1)))

    def set_book(self, *, bids: Rows, asks: Rows) -> None:
        sides = {"bids": bids, "asks": asks}
        rows = {name: [[price, self.contracts(coin)] for price, coin in side] for name, side in sides.items()}
        self.set("book", product_id=self.product.product_id, **rows)

    def set_position(self, coin: str) -> None:
        self.set("position", product_id=self.product.product_id, contracts=self.contracts(coin), average_entry=MID)

    def inject(self, name: str, source: str, *, side: str = "BUY", coin: str = "0.01", price: str = "59000") -> str:
        """An order placed by somebody else on this portfolio."""
        terms = {"base_size": self.contracts(coin), "limit_price": price, "post_only": False}
        body = {
            "client_order_id": name,
            "product_id": self.product.product_id,
            "side": side,
            "order_configuration": {"limit_limit_gtc": terms},
            "source": source,
        }
        answer = self.control("POST", "/orders", body)
        return str(answer["order_id"])

    def until(self, holds: Callable[[], bool], seconds: int) -> bool:
        """Whether it holds within so many seconds of the exchange's time."""
        if self._embedded is not None:
            assert isinstance(self.clock, VirtualClock)
            for _ in range(seconds * 10):
                if holds():
                    return True
                self.clock.sleep(timedelta(milliseconds=100))
            return holds()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if holds():
                return True
            time.sleep(0.05)
        return holds()

    def needs(self, capability: str) -> None:
        """The story is of something this venue has; else the test is skipped, saying so."""
        if not getattr(self.venue.capabilities, capability):
            pytest.skip(f"the {self.ground.venue.value} venue has no {capability}")

    def close(self) -> None:
        for venue in self._venues:
            venue.close()


def in_process(ground: Ground) -> Scene:
    """On virtual time, without a socket."""
    clock = VirtualClock()
    embedded = Embedded(clock)
    clock.on_sleep = embedded.advance
    face = ControlFace(embedded, "word", Hooks(status=dict, new_account=lambda: None, stop=lambda: None))

    def control(method: str, target: str, body: Mapping[str, Any] | None) -> Any:
        path, _, query = target.partition("?")
        reply = face.handle(
            Request(
                method=method,
                path=path,
                query=query,
                headers={"authorization": "Bearer word"},
                body=b"" if body is None else json.dumps(body).encode(),
                received_at=clock.now(),
                connected_host="127.0.0.1:1",
            )
        )
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    return Scene(
        ground,
        sockets=False,
        endpoint=endpoint_for(Environment.SIM, ground.origin, venue=ground.venue),
        key_text=embedded.key_text,
        control=control,
        clock=clock,
        embedded=embedded,
    )


def over_sockets(ground: Ground, folder: Path, *, tls: bool) -> Scene:
    """A fresh account of the exchange that runs from `folder`."""
    found = launcher.reset(folder)
    return Scene(
        ground,
        sockets=True,
        endpoint=endpoint_for(
            Environment.SIM,
            ground.address(found, "https" if tls else "http"),
            Path(found.ca_file) if tls else None,
            venue=ground.venue,
        ),
        key_text=lambda: Path(found.key_files["trade"]).read_text(encoding="ascii"),
        control=lambda method, target, body: launcher.control(folder, method, target, body),
        clock=SystemClock(),
    )
