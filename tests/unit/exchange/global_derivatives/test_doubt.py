"""Against the simulator's gateway, in process: a reply lost after execution is one order, found by its label."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.ids import ClientOrderId, ProductId
from perpsctl.domain.orders import Accepted, ApprovedOrder, OrderType, Rejected, Road, TimeInForce, Unknown
from perpsctl.domain.ports import Sighting, Sought
from perpsctl.domain.products import Environment
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.global_derivatives import GLOBAL_CAPABILITIES, GlobalDerivativesVenue
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.transport import Timing
from perpsctl.simulator.embedded import Embedded
from perpsctl.simulator.inprocess import GLOBAL_ORIGIN, InProcessAdapter
from tests.builders import an_intent
from tests.rig import SeededIds, VirtualClock
from tests.rig_keys import key_of
from tests.unit.exchange.parts import OpenGate

BTC = ProductId("BTC_USDC-PERPETUAL")


class Scene:
    """One exchange and one client with its trade key."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.embedded = Embedded(self.clock)
        self.clock.on_sleep = self.embedded.advance
        name, secret = key_of(self.embedded.key_text("trade"))
        self.venue = GlobalDerivativesVenue(
            endpoint_for(Environment.SIM, GLOBAL_ORIGIN),
            from_values(name, Secret(secret)),
            self.clock,
            SeededIds(),
            adapter=InProcessAdapter(self.embedded, face=self.embedded.global_),
            timing=Timing(total=timedelta(seconds=4)),  # shorter than the end of a write
        )
        self.product = self.venue.product(BTC)
        self.count = 0

    def order(self, share: str = "0.995", **changes: object) -> ApprovedOrder:
        """A buy at a share of the mark, on the grid."""
        self.count += 1
        mark = self.venue.mark(BTC).price
        step = self.product.price_step(mark)
        told: dict[str, object] = {
            "id": f"intent-{self.count:08d}",
            "product_id": BTC,
            "size": "0.01",
            "limit_price": str((mark * Decimal(share)).quantize(step)),
        }
        intent = an_intent(**(told | changes))  # type: ignore[arg-type]
        return ApprovedOrder(
            order=quantize(intent, self.product), client_order_id=ClientOrderId(intent.id), judged_at=self.clock.now()
        )

    def search(self, order: ApprovedOrder) -> Sighting:
        quantized = order.order
        record = IntentRecord(
            intent=quantized.intent,
            stage=IntentStage.UNKNOWN,
            committed_at=order.judged_at,
            sent_size=quantized.size,
            denied=None,
            outcome=None,
            venue_order_id=None,
            order=None,
            sent_price=quantized.limit_price,
            sent_stop=quantized.stop_price,
        )
        return self.venue.search(Sought(record=record, sent_after=order.judged_at))

    def arm(self, fault: str) -> None:
        self.embedded.exchange.faults.arm(fault, operation="create_order")


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("fault", ["N12", "N15", "N16", "N20", "N21", "N23"])
def test_I3_a_reply_lost_after_execution_is_one_order_found_by_its_label(scene: Scene, fault: str) -> None:
    order = scene.order()
    scene.arm(fault)
    outcome = scene.venue.submit(order, OpenGate())
    assert isinstance(outcome, Unknown)
    scene.clock.sleep(GLOBAL_CAPABILITIES.doubt.write_ttl + GLOBAL_CAPABILITIES.doubt.visibility)
    sighting = scene.search(order)
    assert sighting.contradicts == ""
    assert sighting.order is not None
    assert len(scene.venue.by_label(order.client_order_id)) == 1
    assert len(scene.venue.live_orders().orders) == 1


@pytest.mark.parametrize(("seconds", "orders"), [(3, 1), (8, 0)])
def test_a_request_the_venue_gets_to_late_is_one_order_before_its_end_and_none_after(
    scene: Scene, seconds: int, orders: int
) -> None:
    order = scene.order()
    scene.embedded.exchange.faults.arm("N14", operation="create_order", seconds=seconds)
    assert isinstance(scene.venue.submit(order, OpenGate()), Unknown)
    for _ in range(30):
        scene.clock.sleep(timedelta(seconds=1))
    sighting = scene.search(order)
    assert (sighting.order is not None, sighting.contradicts) == (orders == 1, "")
    assert len(scene.venue.live_orders().orders) == orders


def test_what_the_venue_accepts_rejects_and_clamps(scene: Scene) -> None:
    submit: Callable[[ApprovedOrder], object] = lambda order: scene.venue.submit(order, OpenGate())  # noqa: E731
    assert isinstance(submit(scene.order(post_only=True)), Accepted)
    crossing = submit(scene.order("1.002", post_only=True))
    assert isinstance(crossing, Rejected)
    assert crossing.reason == "post_only_reject"
    assert isinstance(submit(scene.order("1.002", tif=TimeInForce.IOC)), Accepted)
    stop = scene.order("1.005", type=OrderType.STOP_LIMIT, stop_price=str(scene.order("1.005").order.limit_price))
    assert isinstance(submit(stop), Accepted)
    assert scene.venue.positions().coin(BTC) == Decimal("0.01")
    way_out = scene.order("0.95", side=Side.SELL, tif=TimeInForce.IOC, reduce_only=True, road=Road.EXIT)
    left = submit(way_out)
    assert isinstance(left, Accepted)
    assert "price limits" in left.evidence
    assert scene.venue.positions().positions == ()


def test_every_order_and_fill_is_read_back_and_every_order_cancelled(scene: Scene) -> None:
    resting, taking = scene.order(), scene.order("1.002", tif=TimeInForce.IOC)
    started = scene.clock.now()
    for order in (resting, taking):
        assert isinstance(scene.venue.submit(order, OpenGate()), Accepted)
    seen = {order.client_order_id: order for order in scene.venue.orders_since(started).orders}
    assert set(seen) == {resting.client_order_id, taking.client_order_id}
    fills = scene.venue.fills(since=started)
    assert sum(fill.size for fill in fills) == Decimal("0.01")
    assert scene.venue.fills(venue_order_id=seen[taking.client_order_id].venue_order_id) == fills
    (result,) = scene.venue.cancel([seen[resting.client_order_id].venue_order_id])
    assert result.accepted
    assert scene.venue.live_orders().orders == ()


def test_an_http_session_that_ran_out_is_renewed_without_anybody_noticing(scene: Scene) -> None:
    scene.venue.live_orders()
    scene.clock.sleep(timedelta(minutes=40))
    assert scene.venue.live_orders().orders == ()
