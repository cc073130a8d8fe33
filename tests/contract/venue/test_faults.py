"""What a venue's client says of a request that went wrong, against what the exchange's own book says (N1 to N29).

The rule: Accepted only of what is booked; Rejected and NotSent only of what is not; Unknown of everything else; and never
a second create. On sockets the faults happen to the connection itself.
"""

from dataclasses import dataclass, field, replace

import pytest

from perpsctl.domain.errors import PerpsctlError, RateLimited, VenueRefusedUs, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.orders import Accepted, NotSent, OrderType, Rejected, SubmitOutcome, TimeInForce, Unknown
from perpsctl.domain.sides import Side
from tests.contract.venue.scene import HASTY, PATIENT, Scene

LATE = 12  # seconds within which a late order must have come


@dataclass(frozen=True)
class Wrong:
    """A fault on a create: how it ends for the client, and whether the order is booked in the end."""

    fault: str
    ends: type[SubmitOutcome]
    booked: bool
    params: dict[str, str | int] = field(default_factory=dict)
    in_process: type[SubmitOutcome] | None = None  # where a true refusal can be proven that a socket cannot
    hasty: bool = False
    barred: bool = False  # the same client may not ask again for a long time
    renewed: bool = False  # asked once more and taken, where the venue has sessions

    def __str__(self) -> str:
        return "-".join([self.fault, *(str(value) for value in self.params.values())])


WRONG = (
    Wrong("N1", NotSent, booked=False, params={"seconds": 0}),
    Wrong("N2", NotSent, booked=False, params={"retry_after": "date", "seconds": 0}),
    Wrong("N2", NotSent, booked=False, params={"retry_after": "past"}),
    Wrong("N2", NotSent, booked=False, params={"retry_after": "negative"}),
    Wrong("N2", NotSent, booked=False, params={"retry_after": "day_ahead"}, barred=True),
    Wrong("N3", Unknown, booked=False),  # an HTML page is the edge's word, not the venue's
    Wrong("N4", NotSent, booked=False),
    Wrong("N7", Unknown, booked=False, params={"status": 500}),
    Wrong("N7", Unknown, booked=False, params={"status": 503}),
    Wrong("N8", Unknown, booked=True, params={"status": 502}),
    Wrong("N8", Unknown, booked=True, params={"status": 504}),
    Wrong("N9", Unknown, booked=False, in_process=NotSent),
    Wrong("N10", Unknown, booked=False, in_process=NotSent),
    Wrong("N11", Unknown, booked=False),
    Wrong("N12", Unknown, booked=True),
    Wrong("N13", Unknown, booked=True),
    Wrong("N14", Unknown, booked=True, params={"seconds": 1}, hasty=True),
    Wrong("N15", Unknown, booked=True, hasty=True),
    Wrong("N16", Unknown, booked=True, params={"seconds": 2}, hasty=True),
    Wrong("N17", Unknown, booked=True, params={"form": "other"}),
    Wrong("N17", Accepted, booked=True, params={"form": "duplicate"}),
    Wrong("N18", Unknown, booked=True, hasty=True),
    Wrong("N19", Unknown, booked=True, params={"bytes_per_second": 250}, hasty=True),
    Wrong("N20", Unknown, booked=True),
    Wrong("N21", Unknown, booked=True),
    Wrong("N22", Unknown, booked=True),
    Wrong("N23", Unknown, booked=True),
    Wrong("N24", Unknown, booked=False, params={"target": "same"}),
    Wrong("N24", Unknown, booked=False, params={"target": "other"}),
    Wrong("N24", Unknown, booked=False, params={"target": "loop", "status": 302}),
    Wrong("N25", Unknown, booked=False),
    Wrong("N28", Unknown, booked=True, params={"form": "broken"}),
    Wrong("N28", Unknown, booked=True, params={"form": "lying_length"}),
    Wrong("N29", Accepted, booked=True, params={"bytes": 40, "interval_ms": 1}),
    Wrong("A2", Rejected, booked=False),
    Wrong("A3", Rejected, booked=False),
    Wrong("A4", Rejected, booked=False),
    Wrong("A5", Rejected, booked=False, renewed=True),
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_I3_I4_a_create_that_went_wrong_says_no_more_than_is_true_and_is_sent_once(scene: Scene, wrong: Wrong) -> None:
    venue = scene.another_venue(HASTY if wrong.hasty else PATIENT)
    venue.product(scene.product.product_id)  # a connection is kept, and an earlier answer is there to be mixed up
    approved = scene.order()
    scene.arm(wrong.fault, wrong.params)

    outcome = venue.submit(approved, scene.gate)

    if wrong.renewed and scene.ground.sessions:
        wrong = replace(wrong, ends=Accepted, booked=True)
    expected = wrong.ends if scene.sockets or wrong.in_process is None else wrong.in_process
    assert isinstance(outcome, expected), outcome
    if wrong.booked:
        assert scene.until(lambda: scene.booked(approved) == 1, LATE)
    assert scene.booked(approved) == int(wrong.booked)
    assert scene.creates() == int(wrong.booked)
    assert scene.fired() >= 1

    # The faults end: the same client sees the truth, and is not confused by what was left on its connection.
    scene.heal()
    if wrong.barred and scene.ground.long_bars:
        with pytest.raises(RateLimited):
            venue.positions()
        venue = scene.another_venue()
    sighting = scene.search(approved, venue)
    assert sighting.contradicts == ""
    assert (sighting.order is not None) is wrong.booked
    assert {order.client_order_id for order in venue.live_orders().orders} == (
        {approved.client_order_id} if wrong.booked else set()
    )


def test_N9_a_venue_that_takes_no_connection_is_proven_not_to_have_seen_a_create_or_unknown(scene: Scene) -> None:
    approved = scene.order()
    scene.arm("N9", operation="any", count=None)
    outcome = scene.another_venue().submit(approved, scene.gate)
    assert isinstance(outcome, NotSent | Unknown)
    assert isinstance(outcome, NotSent) or scene.sockets  # in process the refusal itself is the proof
    assert (scene.creates(), scene.booked(approved)) == (0, 0)


@pytest.mark.parametrize("fault", ["N7", "N12", "N13", "N20", "N23"])
def test_an_edit_that_went_wrong_is_unknown_and_leaves_one_order(scene: Scene, fault: str) -> None:
    order = scene.placed()
    scene.arm(fault, operation="edit_order")
    assert isinstance(scene.edit(order, price="58500"), Unknown)
    assert [each["limit_price"] for each in scene.judge()["orders"]] == ["59000" if fault == "N7" else "58500"]


@pytest.mark.parametrize("fault", ["N7", "N12", "N13", "N20", "N23"])
def test_a_close_that_went_wrong_is_unknown_and_is_sent_once(scene: Scene, fault: str) -> None:
    scene.set_position("0.01")
    approved = scene.order(
        kind=OrderType.MARKET,
        tif=TimeInForce.IOC,
        price=None,
        side=Side.SELL,
        reduce_only=scene.venue.capabilities.native_reduce_only,
    )
    scene.arm(fault, operation=scene.ground.close_operation)
    assert isinstance(scene.venue.close_position(approved, scene.gate), Unknown)
    assert scene.booked(approved) == int(fault != "N7")


# --- reads ----------------------------------------------------------------------------------------------

READ_FAULTS: tuple[tuple[str, dict[str, str | int]], ...] = (
    ("N1", {"seconds": 0}),
    ("N3", {}),
    ("N7", {}),
    ("N8", {}),
    ("N9", {}),
    ("N11", {}),
    ("N12", {}),
    ("N13", {}),
    ("N20", {}),
    ("N21", {}),
    ("N23", {}),
    ("N25", {}),
    ("N28", {"form": "broken"}),
    ("N28", {"form": "lying_length"}),
)
READ_IDS = ["-".join([fault, *map(str, params.values())]) for fault, params in READ_FAULTS]
READS = ("list_positions", "list_orders", "get_balance_summary", "list_fills")


def read(scene: Scene, operation: str) -> object:
    match operation:
        case "list_positions":
            return [position.contracts for position in scene.venue.positions().positions]
        case "list_orders":
            return [order.limit_price for order in scene.venue.live_orders().orders]
        case "get_balance_summary":
            return scene.venue.account().balance
        case _:
            return [fill.size for fill in scene.venue.fills()]


def with_a_story(scene: Scene) -> None:
    """A position, a resting order and a fill: nothing of it reads as nothing."""
    scene.placed(kind=OrderType.MARKET, tif=TimeInForce.IOC, price=None, size="0.02")
    scene.placed()


@pytest.mark.parametrize(("fault", "params"), READ_FAULTS, ids=READ_IDS)
def test_L5_a_read_that_went_wrong_once_is_asked_again_or_an_error_and_never_less_than_the_truth(
    scene: Scene, fault: str, params: dict[str, str | int]
) -> None:
    with_a_story(scene)
    for operation in READS:
        truth = read(scene, operation)
        scene.arm(fault, params, operation=operation)
        try:
            assert read(scene, operation) == truth
        except VenueSpokeStrangely:
            assert fault in {"N20", "N21", "N23"}  # an unreadable answer may be told at once
        assert scene.fired() == 1
        scene.heal()


@pytest.mark.parametrize(("fault", "params"), READ_FAULTS, ids=READ_IDS)
def test_L5_a_read_that_goes_wrong_for_good_is_an_error_and_never_nothing(
    scene: Scene, fault: str, params: dict[str, str | int]
) -> None:
    with_a_story(scene)
    scene.arm(fault, params, operation="list_positions", count=None)
    with pytest.raises((VenueUnreachable, VenueSpokeStrangely)):
        scene.venue.positions()
    scene.heal()
    assert len(scene.venue.positions().positions) == 1


@pytest.mark.parametrize("fault", ["A2", "A3", "A4"])
def test_a_refused_key_is_told_as_such(scene: Scene, fault: str) -> None:
    scene.arm(fault, {"scope": "view"} if fault == "A3" else {}, operation="any", count=None)
    with pytest.raises(VenueRefusedUs):
        scene.venue.positions()


def test_A5_a_token_refused_once_is_replaced_by_a_fresh_one(scene: Scene) -> None:
    scene.arm("A5", operation="list_positions")
    assert scene.venue.positions().positions == ()
    assert scene.fired() == 1


@pytest.mark.parametrize("target", ["same", "other", "loop"])
def test_N24_a_redirected_read_is_an_error_and_is_not_followed(scene: Scene, target: str) -> None:
    scene.arm("N24", {"target": target}, operation="list_positions", count=None)
    with pytest.raises(PerpsctlError):
        scene.venue.positions()


def test_N18_a_read_that_drips_ends_at_its_deadline(scene: Scene) -> None:
    venue = scene.another_venue(HASTY)
    scene.arm("N18", operation="list_positions", count=None)
    began = scene.clock.monotonic_ns()
    with pytest.raises(VenueUnreachable):
        venue.positions()
    assert (scene.clock.monotonic_ns() - began) / 1_000_000_000 < 3 * 0.6 + 1  # three tries, each within its deadline


# --- the way out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["N1", "N3", "N5", "N7", "N8", "N9", "N11", "N12", "N13", "N20", "N21", "N23", "N25"])
def test_N5_a_cancel_that_went_wrong_is_asked_again_until_it_is_heard(scene: Scene, fault: str) -> None:
    order = scene.placed()
    params: dict[str, str | int] = {"seconds": 0} if fault == "N1" else {}
    scene.arm(fault, params, operation="cancel_orders")
    try:
        results = scene.venue.cancel([order.venue_order_id])
        assert [result.venue_order_id for result in results] == [order.venue_order_id]
    except VenueSpokeStrangely:
        assert fault in {"N20", "N21", "N23"}
        scene.venue.cancel([order.venue_order_id])
    assert [each["status"] for each in scene.judge()["orders"]] == ["CANCELLED"]
