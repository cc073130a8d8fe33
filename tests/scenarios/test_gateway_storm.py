"""The gateway answers 10028 to most requests and hangs up: no order is lost, none doubled, and the way out stays open.

Orders are placed, changed and cancelled while it goes on, some with their reply lost besides. What is true is the exchange's
own book, asked of its core and never of the client.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import PerpsctlError, RateLimited
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import EditIntent, OrderIntent, TimeInForce
from perpsctl.domain.reports import IntentStage, PlaceReport
from perpsctl.risk.limits import RiskLimits
from perpsctl.simulator.views import JudgedOrder
from tests.scenarios.gateway import GatewayWorld, gateway
from tests.scenarios.homes import Home, exchange_home

pytestmark = pytest.mark.scenario

LIMITS = RiskLimits(orders_per_minute_max=10_000)
FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
MOST = Decimal("0.75")
FEW = Decimal("0.1")  # of the reads, where a story is to get as far as its writes
LOST = Decimal("0.3")  # of the writes that get through
RESOLVED_WITHIN = timedelta(seconds=60)
CANCELLED_WITHIN = timedelta(seconds=60)
PROVEN = {
    IntentStage.WORKING: 1,
    IntentStage.DONE: 1,
    IntentStage.REJECTED: 0,
    IntentStage.NOT_SENT: 0,
    IntentStage.DENIED: 0,
}


@pytest.fixture(params=["http", "socket"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayWorld]:
    with gateway(tmp_path, socket=request.param == "socket", limits=LIMITS) as made:
        yield made


@pytest.fixture
def over_http(tmp_path: Path) -> Iterator[GatewayWorld]:
    with gateway(tmp_path, limits=LIMITS) as made:
        yield made


class Storm:
    """What an operator, or a strategy, does while it rages; and what it was told."""

    def __init__(self, world: GatewayWorld) -> None:
        self.world = world
        self.intents: list[OrderIntent] = []
        self.edits: list[EditIntent] = []
        self.told: dict[IntentId, PlaceReport] = {}
        self.unanswered = 0

    def rages(self, seed: int, *, reads: Decimal = MOST, lost: bool = True) -> None:
        """Most writes are refused, and so many of the reads; of what gets through some replies are lost."""
        faults = self.world.embedded.exchange.faults
        for operation, share in (("reads", reads), ("writes", MOST)):
            faults.arm("N1", operation=operation, count=None, probability=share, seed=seed, retry_after="none")
        if lost:
            for fault in ("N8", "N12", "N20"):
                faults.arm(fault, operation="create_order", count=None, probability=LOST / 3, seed=seed)
                faults.arm(fault, operation="edit_order", count=None, probability=LOST / 3, seed=seed)

    def place(self, number: int) -> None:
        """A resting order far from the market, or one that takes."""
        taking = number % 4 == 3
        try:
            intent = self.world.intent(
                named=f"storm-{number:04d}",
                size="0.001",
                below=-20 if taking else 2000 + 10 * number,
                tif=TimeInForce.IOC if taking else TimeInForce.GTC,
                post_only=not taking,
            )
            self.intents.append(intent)
            self.told[intent.id] = self.world.engine.desk.place(intent)
        except PerpsctlError:
            self.unanswered += 1

    def edit(self, number: int) -> None:
        """The oldest order known to work gets another price."""
        for record in self.world.journal.working():
            order = record.order
            if order is None or order.limit_price is None or not order.status.live:
                continue
            intent = EditIntent(
                id=IntentId(f"storm-edit-{number:04d}"),
                target=record.intent.id,
                venue_order_id=order.venue_order_id,
                new_price=Price(order.limit_price - 1),
                new_size=None,
                created_at=self.world.clock.now(),
            )
            self.edits.append(intent)
            try:
                self.told[intent.id] = self.world.engine.edits.edit(intent)
            except PerpsctlError:
                self.unanswered += 1
            return

    def cancel(self) -> None:
        """The newest order known to work goes."""
        working = self.world.journal.working()
        if working:
            self.world.engine.canceller.cancel([working[-1].intent.id])

    def story(self, rounds: int = 16) -> None:
        for number in range(rounds):
            self.place(number)
            if number % 3 == 1:
                self.edit(number)
            if number % 5 == 4:
                self.cancel()
            self.world.clock.sleep(timedelta(seconds=1))

    # --- what is true ------------------------------------------------------------------------------------------

    def watched_until_nothing_rests(self) -> list[timedelta]:
        """Holds how long it took from now on, once it is so."""
        began, time_passes = self.world.clock.now(), self.world.clock.on_sleep
        gone: list[timedelta] = []

        def look() -> None:
            time_passes()
            if not gone and not self.live():
                gone.append(self.world.clock.now() - began)

        self.world.clock.on_sleep = look
        return gone

    def live(self) -> list[JudgedOrder]:
        return [order for order in self.world.embedded.exchange.judge_view().orders if order.status not in FINAL]

    def check(self) -> None:
        """The journal and the exchange's own book tell one story, and nothing is left open in it."""
        world, view = self.world, self.world.embedded.exchange.judge_view()
        assert world.journal.in_doubt() == ()
        sent = [r.client_order_id for r in view.requests if r.operation == "create_order"]
        assert len(sent) == len(set(sent)), "a create reached the exchange twice (I1)"
        for intent in self.intents:
            record = world.journal.intent(intent.id)
            orders = world.orders_of(intent)
            if record is None:  # refused before it was decided: nothing can have left
                assert orders == ()
                continue
            assert len(orders) == PROVEN[record.stage], (record, orders)
            if orders:
                assert record.venue_order_id == orders[0].order_id
                assert record.order is not None
                assert record.order.limit_price == orders[0].limit_price, "an edit is told as what it did"
                assert record.stage.final is (orders[0].status in FINAL)
        ours = {intent.id for intent in self.intents}
        assert {order.client_order_id for order in view.orders} <= ours, "an order nobody meant"
        bought = sum((order.filled_size for order in view.orders), Decimal(0)) * world.product().contract_size
        assert sum(world.journal.booked_coin().values(), Decimal(0)) == bought


def settle(world: GatewayWorld) -> timedelta:
    """The storm is over: every doubt is looked into. How long the last one took."""
    world.heal()
    began = world.clock.now()
    world.engine.resolver.resolve_all(RESOLVED_WITHIN)
    world.engine.tracker.update()
    return world.clock.now() - began


@pytest.mark.parametrize("seed", [1, 6, 8, 10])
def test_I1_I4_in_a_10028_storm_no_order_is_lost_none_doubled_and_every_doubt_ends_by_evidence(
    world: GatewayWorld, seed: int
) -> None:
    storm = Storm(world)
    storm.rages(seed, reads=FEW)
    began = world.clock.now()
    storm.story(24)
    if world.socket is not None:  # each end of it was 10028 or without a word: a whole refill before the next
        assert world.socket.facts().connections <= 2 + (world.clock.now() - began) // timedelta(seconds=5)
    assert settle(world) <= RESOLVED_WITHIN
    storm.check()
    assert len(world.embedded.exchange.judge_view().orders) >= 2, "too little got through to tell anything"


@pytest.mark.parametrize("seed", range(1, 4))
def test_I4_where_most_reads_are_refused_too_nothing_is_told_that_is_not_so(world: GatewayWorld, seed: int) -> None:
    storm = Storm(world)
    for number in (0, 1):
        storm.place(number)
    storm.rages(seed)
    storm.story(12)
    assert settle(world) <= RESOLVED_WITHIN
    storm.check()
    assert len(storm.intents) + storm.unanswered >= 14, "each attempt ended"


@pytest.mark.parametrize("seed", range(1, 6))
def test_N5_cancels_get_through_a_10028_storm_within_a_minute(world: GatewayWorld, seed: int) -> None:
    storm = Storm(world)
    for number in (0, 1, 2, 4, 5, 6):
        storm.place(number)
    assert len(storm.live()) == 6
    storm.rages(seed, lost=False)
    gone = storm.watched_until_nothing_rests()
    report = world.engine.canceller.cancel_all(wait=CANCELLED_WITHIN)
    assert gone, (storm.live(), report)
    assert gone[0] <= CANCELLED_WITHIN
    settle(world)
    storm.check()


@pytest.mark.parametrize("seed", range(1, 4))
def test_R1_R2_the_switch_in_a_10028_storm_lets_nothing_through_and_attests_no_more_than_it_read(
    world: GatewayWorld, seed: int
) -> None:
    storm = Storm(world)
    for number in (0, 1, 2):
        storm.place(number)
    storm.rages(seed)
    storm.story(4)
    engaged = world.switch.engage(reason="storm", by="tests")
    attested = engaged.attestation
    if attested.open_orders is not None:
        assert {order.venue_order_id for order in attested.open_orders} >= {order.order_id for order in storm.live()}
    assert attested.clean is False or (storm.live() == [] and world.journal.in_doubt() == ())
    sent = world.creates()
    storm.place(90)
    assert world.creates() == sent, "an order left after the switch (R1)"

    settle(world)
    again = world.switch.engage(reason="storm is over", by="tests")
    assert again.attestation.clean, again
    assert storm.live() == []
    storm.check()


def test_N5_a_cancel_is_asked_every_few_seconds_while_everything_is_refused_and_goes_first_when_it_ends(
    over_http: GatewayWorld,
) -> None:
    world = over_http  # on the order socket a refused sign of life is its end, and with it that of its orders
    storm = Storm(world)
    for number in (0, 1):
        storm.place(number)
    first, second = (VenueOrderId(order.order_id) for order in storm.live())
    world.arm("N1", operation="any", count=None, retry_after="none")
    world.records.clear()
    began = world.clock.now()
    with pytest.raises(RateLimited):
        world.venue.cancel([first])
    asked = [record for record in world.records if record.path.endswith("private/cancel")]
    assert len(asked) >= 6, "a read waits five seconds each time; a cancel two"
    assert timedelta(seconds=10) <= world.clock.now() - began <= timedelta(seconds=22)

    world.heal()
    began = world.clock.now()
    results = world.venue.cancel([first, second])
    assert [result.accepted for result in results] == [True, True]
    assert world.clock.now() - began <= timedelta(seconds=2)
    began = world.clock.now()
    world.venue.positions()
    assert world.clock.now() - began > timedelta(seconds=1), "what is no way out waits for the whole refill"


def test_a_storm_that_meets_the_login_itself_ends_with_it(world: GatewayWorld) -> None:
    """The session runs out in the storm: `public/auth` is refused like everything else, and renewed when it can be."""
    storm = Storm(world)
    storm.place(0)
    world.clock.sleep(timedelta(minutes=16))
    world.embedded.exchange.faults.arm("N1", operation="login", count=3, retry_after="none")
    storm.place(1)
    world.engine.canceller.cancel_all(wait=CANCELLED_WITHIN)
    settle(world)
    storm.check()
    assert storm.live() == []


# --- with real processes, over loopback ---------------------------------------------------------------------

PROFILE = ("--profile", "sim-global")
PLACE = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--post-only", *PROFILE)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with exchange_home(tmp_path / "home") as running:
        yield running


@pytest.mark.slow
def test_I1_N5_a_10028_storm_met_by_one_process_after_another(home: Home) -> None:
    """The connection is truly closed after each refusal, and the processes share the budget it empties."""
    placed = [home.perpsctl(*PLACE, "--price", price) for price in ("60000", "59000")]
    assert [each.data["outcome"] for each in placed] == ["accepted", "accepted"]
    storm = {"name": "N1", "count": None, "for_seconds": 12, "params": {"retry_after": "none"}}
    home.control("POST", "/faults", storm | {"operation": "writes"})
    told = home.perpsctl(*PLACE, "--price", "58000")
    assert (told.code, told.data["outcome"]) == (6, "not_sent"), told
    home.control("POST", "/faults", storm | {"operation": "any", "probability": "0.6"})
    home.perpsctl("order", "cancel-all", "--wait", "60s", *PROFILE)
    assert home.live() == []
    home.control("POST", "/faults", storm | {"operation": "any", "probability": "0.6"})
    engaged = home.perpsctl("killswitch", "engage", *PROFILE)
    assert engaged.code in {0, 10}, engaged
    refused = home.perpsctl(*PLACE, "--price", "57000")
    assert refused.code == 3, refused

    home.control("DELETE", "/faults")
    assert home.perpsctl("killswitch", "engage", *PROFILE).data["attestation"]["clean"]
    assert home.perpsctl("reconcile", *PROFILE).data["breaks"] == [], "what the switch read back is booked"
    judge = home.judge()
    created = [each["client_order_id"] for each in judge["requests"] if each["operation"] == "create_order"]
    assert len(created) == len(set(created)) == len(judge["orders"]) == 2
    assert home.live() == []


@pytest.mark.slow
def test_N6_a_switch_that_meets_only_rate_limits_says_why_it_takes_longer_and_ends_clean(home: Home) -> None:
    assert home.perpsctl(*PLACE, "--price", "60000").code == 0
    home.control(
        "POST",
        "/faults",
        {"name": "N1", "operation": "any", "count": None, "for_seconds": 15, "params": {"retry_after": "none"}},
    )
    engaged = home.perpsctl("killswitch", "engage", *PROFILE)
    assert (engaged.code, home.live()) == (0, []), engaged
    assert "sim-global: the venue answers with its rate limit: cancelling for up to" in engaged.stderr
    assert home.perpsctl("reconcile", *PROFILE).data["breaks"] == []


@pytest.mark.slow
def test_N6_cancel_all_in_a_storm_is_patient_and_says_so_and_a_wait_given_bounds_it(home: Home) -> None:
    assert home.perpsctl(*PLACE, "--price", "60000").code == 0
    home.control(
        "POST",
        "/faults",
        {"name": "N1", "operation": "any", "count": None, "for_seconds": 14, "params": {"retry_after": "none"}},
    )
    bounded = home.perpsctl("order", "cancel-all", "--wait", "1s", *PROFILE)
    assert (bounded.code, len(home.live())) == (10, 1), bounded
    assert "cancelling for up to" not in bounded.stderr
    patient = home.perpsctl("order", "cancel-all", *PROFILE)
    assert (patient.code, home.live()) == (0, []), patient
    assert "sim-global: the venue answers with its rate limit: cancelling for up to" in patient.stderr
