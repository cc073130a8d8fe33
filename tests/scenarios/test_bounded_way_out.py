"""The way out ends in its time, whatever the venue does: W and the deadline of one request more, never a whole retry (L2).

Both venues on virtual time: most requests refused, every request slow, nothing answered at all. The judge is the
exchange's own book, and the clock.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.orders import Accepted, TimeInForce
from perpsctl.domain.products import VenueId
from perpsctl.domain.reports import IntentStage
from perpsctl.engine.allowance import AT_LEAST
from perpsctl.engine.cancels import PATIENCE
from perpsctl.engine.killswitch import CANCEL_WAIT, READ_BACK_WAIT
from perpsctl.exchange.transport import ExchangeRecord, Timing
from perpsctl.risk.limits import RiskLimits
from tests.rig import VirtualClock, World

pytestmark = pytest.mark.scenario

ROOMY = RiskLimits.from_mapping(
    {"position_max_share": "0.9", "gross_max_share": "0.9", "orders_per_minute_max": 10_000}
)
MOST = Decimal("0.75")
ONE_REQUEST = Timing().total
FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})


class Slow(list[ExchangeRecord]):
    """Every request takes its time."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock
        self.milliseconds = 0

    def append(self, record: ExchangeRecord) -> None:
        super().append(record)
        self._clock.advance(milliseconds=self.milliseconds)


class Bounded(World):
    """A profile whose requests can be made slow, with some orders and a position."""

    def __init__(self, folder: Path, venue: VenueId) -> None:
        super().__init__(folder, limits=ROOMY, venue=venue)
        self.slow = Slow(self.clock)
        self.records = self.slow
        self.restart()

    def trade(self, orders: int, *, position: bool = False) -> None:
        for number in range(orders):
            placed = self.engine.desk.place(self.intent(below=500 + 10 * number))
            assert isinstance(placed.outcome, Accepted), placed
        if position:
            taken = self.intent(size="0.05", below=-40, tif=TimeInForce.IOC, post_only=False)
            assert isinstance(self.engine.desk.place(taken).outcome, Accepted)

    def storm(self, seed: int, *, share: Decimal = MOST, seconds: int | None = None) -> None:
        self.embedded.exchange.faults.arm(
            "N1", operation="any", count=None, probability=share, seed=seed, retry_after="none", for_seconds=seconds
        )

    def live(self) -> list[str]:
        return [o.order_id for o in self.embedded.exchange.judge_view().orders if o.status not in FINAL]

    def took(self, act: Callable[[], object]) -> timedelta:
        began = self.clock.now()
        act()
        return self.clock.now() - began


@pytest.fixture(params=list(VenueId))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bounded]:
    made = Bounded(tmp_path, request.param)
    yield made
    made.close()


ACTS: dict[str, Callable[[Bounded, timedelta], object]] = {
    "cancel-all": lambda world, wait: world.engine.canceller.cancel_all(wait=wait),
    "cancel": lambda world, wait: world.engine.canceller.cancel(
        [record.intent.id for record in world.journal.working()], wait=wait
    ),
    "cancel foreign ids": lambda world, wait: world.engine.canceller.cancel([*world.live(), "none-such"], wait=wait),
    "flatten": lambda world, wait: world.engine.exits.flatten(wait=wait),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("wait", [timedelta(0), timedelta(seconds=10), timedelta(seconds=60)])
def test_L2_in_a_storm_it_ends_in_its_time(world: Bounded, act: str, seed: int, wait: timedelta) -> None:
    world.trade(4, position=True)
    world.storm(seed)
    assert world.took(lambda: ACTS[act](world, wait)) <= max(wait, AT_LEAST) + ONE_REQUEST


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("milliseconds", [3000, 7900])
def test_L2_where_every_request_takes_seconds_it_ends_in_its_time(world: Bounded, act: str, milliseconds: int) -> None:
    world.trade(4, position=True)
    world.slow.milliseconds = milliseconds
    wait = timedelta(seconds=20)
    assert world.took(lambda: ACTS[act](world, wait)) <= wait + ONE_REQUEST


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("fault", ["N7", "N9", "N14"])
def test_L2_where_nothing_is_answered_it_ends_in_its_time(world: Bounded, act: str, fault: str) -> None:
    world.trade(3, position=True)
    world.arm(fault, operation="any", count=None)
    wait = timedelta(seconds=10)
    assert world.took(lambda: ACTS[act](world, wait)) <= wait + ONE_REQUEST


# --- the switch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1, 7))
def test_L2_N6_the_switch_in_an_endless_storm_is_patient_for_a_minute_and_claims_no_more_than_it_read(
    world: Bounded, seed: int
) -> None:
    world.trade(4)
    world.storm(seed)
    began = world.clock.now()
    report = world.switch.engage(reason="storm", by="tests")
    assert world.clock.now() - began <= PATIENCE + 2 * READ_BACK_WAIT + ONE_REQUEST
    if report.attestation.clean:
        assert world.live() == []
    if report.attestation.open_orders is not None:
        assert {o.venue_order_id for o in report.attestation.open_orders} == set(world.live())


@pytest.mark.parametrize("seconds", [25, 40])
def test_N5_a_storm_longer_than_a_cancels_usual_wait_ends_with_a_clean_attestation(
    world: Bounded, seconds: int
) -> None:
    """Everything is refused for so long; what comes first after it gets out."""
    world.trade(6)
    said: list[str] = []
    world.talk.note = lambda event, **facts: said.append(event)  # type: ignore[method-assign]
    world.storm(1, share=Decimal(1), seconds=seconds)
    began = world.clock.now()
    report = world.switch.engage(reason="storm", by="tests")
    assert report.attestation.clean, report
    assert world.live() == []
    assert world.clock.now() - began <= timedelta(seconds=60)
    assert "cancels_go_on" in said, "whoever waits hears why"


@pytest.mark.parametrize("fault", ["N7", "N9", "N14"])
def test_a_dead_venue_answers_quickly_and_nothing_is_called_clean(world: Bounded, fault: str) -> None:
    world.trade(2)
    world.arm(fault, operation="any", count=None)
    began = world.clock.now()
    report = world.switch.engage(reason="dead", by="tests")
    assert world.clock.now() - began <= CANCEL_WAIT + 2 * READ_BACK_WAIT + 3 * ONE_REQUEST
    assert not report.attestation.clean
    assert report.attestation.open_orders is None
    assert set(report.attestation.unread) >= {"open orders", "positions"}


# --- what was read back is booked ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["switch", "cancel-all"])
@pytest.mark.parametrize("seed", range(1, 7))
def test_J_what_a_command_proved_late_is_no_news_to_the_next_reconcile(world: Bounded, seed: int, command: str) -> None:
    """Clean, or nothing left unproven, means that the journal knows it too."""
    world.trade(5)
    world.storm(seed, seconds=20)
    if command == "switch":
        proven = world.switch.engage(reason="storm", by="tests").attestation.clean
    else:
        report = world.engine.canceller.cancel_all(wait=timedelta(seconds=60))
        proven = not (report.unproven or report.still_live or report.problems)
    assert proven
    world.heal()
    world.clock.sleep(timedelta(seconds=10))
    found = world.engine.reconciler.run()
    assert (found.breaks, found.unread) == ((), ())
    assert {record.stage for record in world.journal.intents()} == {IntentStage.DONE}


def test_an_order_whose_cancel_was_never_proven_by_id_is_booked_from_the_read_back(world: Bounded) -> None:
    world.trade(2)
    (first, *_) = world.journal.working()
    world.embedded.exchange.faults.arm("N7", operation="get_order", count=None, for_seconds=10)
    report = world.switch.engage(reason="late", by="tests")
    assert report.cancels[0].gone == (), "nothing was proven while it cancelled"
    assert report.attestation.open_orders == ()
    record = world.journal.intent(first.intent.id)
    assert record is not None
    assert record.stage is IntentStage.DONE
    found = world.engine.reconciler.run()
    assert (found.breaks, found.unread) == ((), ())


def test_a_bound_of_a_block_ends_with_it(world: Bounded) -> None:
    with world.venue.within(timedelta(seconds=1)), world.venue.within(timedelta(seconds=9)):
        world.venue.positions()
        world.clock.sleep(timedelta(seconds=2))
        with pytest.raises(PerpsctlError, match="not asked"):
            world.venue.positions()
    world.venue.positions()


def test_L2_a_login_that_takes_all_the_time_leaves_none_for_what_was_to_be_asked(tmp_path: Path) -> None:
    world = Bounded(tmp_path, VenueId.GLOBAL)
    world.trade(2)
    world.clock.sleep(timedelta(hours=2))  # the session is over
    world.slow.milliseconds = 7900
    assert world.took(lambda: ACTS["cancel-all"](world, timedelta(0))) <= AT_LEAST + ONE_REQUEST
    world.close()


def test_what_went_before_anything_was_cancelled_is_booked_by_the_list_that_lacks_it(world: Bounded) -> None:
    """A mass cancel whose reply was lost, or somebody else's cancel: nothing rests, and the journal says so."""
    world.trade(3)
    world.venue.cancel([record.order.venue_order_id for record in world.journal.working() if record.order is not None])
    assert world.live() == []
    report = world.engine.canceller.cancel_all()
    assert report.problems == ()
    found = world.engine.reconciler.run()
    assert (found.breaks, found.unread) == ((), ())
