"""A reply of the gateway lost after the send: one order or none, proven within the bound its `valid_until` gives.

On virtual time, over both roads an order can take. reliability.md: an order that exists is found within 15 s, the absence
of one that does not is proven within 60 s, after the fault is over; and never before the venue can no longer start it.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from perpsctl.domain.orders import Accepted, NotSent, OrderIntent, TimeInForce
from perpsctl.exchange.global_derivatives import GLOBAL_CAPABILITIES
from tests.scenarios.gateway import GatewayWorld, gateway

pytestmark = pytest.mark.scenario

FOUND_WITHIN = timedelta(seconds=15)
ABSENT_WITHIN = timedelta(seconds=60)
DOUBT = GLOBAL_CAPABILITIES.doubt
# valid_until, what a listing may lag, the listings apart, and a look on either side of each
PROOF_WITHIN = DOUBT.write_ttl + DOUBT.visibility + DOUBT.listings_apart + timedelta(seconds=6)
REPLY = timedelta(seconds=8)  # how long a reply is waited for at most, on either road


@pytest.fixture(params=["http", "socket"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayWorld]:
    with gateway(tmp_path, socket=request.param == "socket") as made:
        yield made


class Told:
    """How placing it ended, and how long that took on the exchange's clock."""

    def __init__(self, world: GatewayWorld, intent: OrderIntent) -> None:
        began = world.clock.now()
        self.report = world.engine.desk.place(intent, wait=timedelta(seconds=60))
        self.outcome = self.report.outcome
        self.took = world.clock.now() - began


@pytest.mark.parametrize("fault", ["N8", "N12", "N15", "N16", "N20", "N21", "N23"])
def test_I1_an_order_whose_reply_is_lost_after_execution_is_one_and_found_within_15_seconds(
    world: GatewayWorld, fault: str
) -> None:
    intent = world.intent()
    world.arm(fault)
    told = Told(world, intent)
    assert isinstance(told.outcome, Accepted), told.report
    assert [order.order_id for order in world.orders_of(intent)] == [told.outcome.venue_order_id]
    assert world.creates() == 1
    assert world.journal.in_doubt() == ()
    assert told.took <= REPLY + FOUND_WITHIN


@pytest.mark.parametrize("fault", ["N7", "N11"])
def test_I3_an_order_that_never_arrived_is_proven_absent_within_its_bound_and_not_before_its_end(
    world: GatewayWorld, fault: str
) -> None:
    intent = world.intent()
    world.arm(fault)
    told = Told(world, intent)
    assert isinstance(told.outcome, NotSent), told.report
    assert told.outcome.reason == "absent_at_venue"
    assert (world.orders_of(intent), world.creates(), world.journal.in_doubt()) == ((), 0, ())
    assert DOUBT.write_ttl + DOUBT.visibility <= told.took <= PROOF_WITHIN <= ABSENT_WITHIN


@pytest.mark.parametrize("hidden_s", [1, 10, 15, 19])
def test_E1_an_order_the_venue_is_slow_to_show_is_never_called_absent(world: GatewayWorld, hidden_s: int) -> None:
    """A lost reply and an order that no read knows for a while: the pair that made a double position elsewhere."""
    intent = world.intent(below=2000)
    world.arm("N12")
    world.arm("E1", seconds=hidden_s)
    told = Told(world, intent)
    assert isinstance(told.outcome, Accepted), told.report
    assert [order.order_id for order in world.orders_of(intent)] == [told.outcome.venue_order_id]
    assert world.journal.in_doubt() == ()


@pytest.mark.parametrize(("seconds", "orders"), [(1, 1), (3, 1), (4, 1), (6, 0), (8, 0), (30, 0)])
def test_N14_an_order_the_venue_gets_to_late_is_one_before_its_valid_until_and_none_after(
    world: GatewayWorld, seconds: int, orders: int
) -> None:
    intent = world.intent(below=2000)  # the market comes nowhere near it meanwhile
    world.arm("N14", seconds=seconds)
    told = Told(world, intent)
    assert isinstance(told.outcome, Accepted if orders else NotSent), told.report
    assert told.took <= REPLY + (FOUND_WITHIN if orders else PROOF_WITHIN)
    world.clock.sleep(timedelta(seconds=60))
    assert len(world.orders_of(intent)) == orders
    assert world.journal.in_doubt() == ()


@pytest.mark.parametrize("fault", ["N12", "N15"])
def test_I1_fills_of_an_order_whose_reply_is_lost_are_booked_once(world: GatewayWorld, fault: str) -> None:
    intent = world.intent(below=-20, tif=TimeInForce.IOC, post_only=False, size="0.02")
    world.arm(fault)
    told = Told(world, intent)
    assert isinstance(told.outcome, Accepted), told.report
    assert told.took <= REPLY + FOUND_WITHIN
    (order,) = world.orders_of(intent)
    assert world.journal.booked_coin() == {intent.product_id: order.filled_size * world.product().contract_size}
