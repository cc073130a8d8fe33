"""A stop has two ids over its life, and the books tell what came and went without a trade."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.ids import VenueOrderId
from perpsctl.domain.orders import OrderType
from tests.unit.exchange.global_derivatives.parts import NOW_MS, Gateway, Refusal, order_body
from tests.unit.exchange.global_derivatives.test_reads import (
    BY_LABEL,
    HISTORY,
    OPEN,
    OPEN_BY_LABEL,
    STATE,
    SUBACCOUNTS,
    ready,
    sought,
)
from tests.unit.exchange.parts import NOW, FakeClock

FIRST = VenueOrderId("SLTS-1")
STOP = {"order_type": "stop_limit", "trigger_price": 60100, "filled_amount": ...}
LOG = "private/get_transaction_log"


def fired(**changes: Any) -> dict[str, Any]:
    return order_body(order_id="SLTS-1", order_state="triggered", **STOP, **changes)


def child(**changes: Any) -> dict[str, Any]:
    return order_body(**{"order_id": "USDC-9", "trigger_order_id": "SLTS-1"} | changes)


def wakes(gateway: Gateway) -> None:
    """The trigger under its id; what it became under its label."""
    gateway.on(STATE, lambda call: fired() if call.params["order_id"] == FIRST else child())


# --- two ids ----------------------------------------------------------------------------------------------------


def test_a_stop_that_fired_is_told_under_its_first_id_as_what_it_became() -> None:
    venue, gateway = ready()
    wakes(gateway)
    gateway.on(BY_LABEL, [[fired(), child()]])
    found = venue.order(FIRST)
    assert found is not None
    assert (found.venue_order_id, found.succeeds, found.type) == ("USDC-9", FIRST, OrderType.STOP_LIMIT)


def test_what_it_became_is_sought_in_the_history_where_its_label_is_forgotten() -> None:
    venue, gateway = ready()
    wakes(gateway)
    gateway.on(
        HISTORY, lambda call: [child(order_state="filled", filled_amount=0.02)] if call.params["historical"] else []
    )
    found = venue.order(FIRST)
    assert found is not None
    assert found.venue_order_id == "USDC-9"


def test_while_the_venue_does_not_tell_what_it_became_it_stands_as_it_is() -> None:
    venue, gateway = ready()
    wakes(gateway)
    found = venue.order(FIRST)
    assert found is not None
    assert (found.venue_order_id, found.status.live) == (FIRST, True)


@pytest.mark.parametrize("minutes", [1, 21])
@pytest.mark.parametrize("told_by_label", [[fired()], [fired(), child()], []])
def test_I1_the_two_ids_of_a_stop_are_never_a_duplicate(minutes: int, told_by_label: list[Any]) -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    wanted = sought(clock, type=OrderType.STOP_LIMIT, stop_price="60100")
    clock.advance(timedelta(minutes=minutes))
    wakes(gateway)
    gateway.on(BY_LABEL, [told_by_label])
    gateway.on(OPEN_BY_LABEL, [[child()]])
    gateway.on(OPEN, [[child()]])
    gateway.on(HISTORY, [[fired()]])
    sighting = venue.search(wanted)
    assert sighting.contradicts == ""
    assert sighting.order is not None
    assert (sighting.order.venue_order_id, sighting.order.stop_price) == ("USDC-9", Decimal(60100))


def test_I1_a_stop_under_its_label_and_what_it_became_in_the_history_are_no_duplicate() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    wanted = sought(clock, type=OrderType.STOP_LIMIT, stop_price="60100")
    clock.advance(timedelta(minutes=21))
    wakes(gateway)
    gateway.on(BY_LABEL, [[fired()]])
    gateway.on(HISTORY, [[child(order_state="filled", filled_amount=0.02)]])
    sighting = venue.search(wanted)
    assert sighting.contradicts == ""
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "USDC-9"


def test_two_orders_of_one_label_beside_a_stop_that_fired_are_a_duplicate_all_the_same() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    gateway.on(STATE, Refusal(code=10004, message="order_not_found"))
    gateway.on(BY_LABEL, [[fired(), child(), child(order_id="USDC-10", trigger_order_id="SLTS-2")]])
    assert "more than one order" in venue.search(sought(clock)).contradicts


def test_many_orders_that_left_the_list_are_sought_in_one_list_and_the_rest_by_id() -> None:
    venue, gateway = ready()
    names = [f"USDC-{n}" for n in range(100)]
    gateway.on(OPEN, [[order_body(order_id=name) for name in names], []])
    gateway.on(
        HISTORY,
        lambda call: (
            [] if call.params["historical"] else [order_body(order_id=n, order_state="cancelled") for n in names[:99]]
        ),
    )
    gateway.on(STATE, lambda call: order_body(order_id=call.params["order_id"]))
    assert len(venue.live_orders().orders) == 100
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["USDC-99"]
    assert [call.params["order_id"] for call in gateway.to(STATE)] == ["USDC-99"]


# --- the books --------------------------------------------------------------------------------------------------


def row(seq: int, kind: str, change: float, **more: Any) -> dict[str, Any]:
    return {"user_seq": seq, "type": kind, "timestamp": NOW_MS + seq, "change": change, "instrument_name": None} | more


def moved(gateway: Gateway, *rows: dict[str, Any]) -> None:
    gateway.on(LOG, [{"logs": list(reversed(rows)), "continuation": None}])


def between(account: int | None) -> dict[str, Any]:
    return {} if account is None else {"info": {"transfer_type": "subaccount", "other_user_id": account}}


def test_transfers_are_what_came_and_went_without_a_trade() -> None:
    venue, gateway = ready()
    gateway.on(SUBACCOUNTS, [[{"id": 7, "type": "main"}]])
    moved(
        gateway,
        row(1, "deposit", 100),
        row(2, "trade", -3),
        row(3, "withdrawal", -40.5),
        row(4, "settlement", 7),
        row(5, "correction", -1),
        row(6, "transfer", -5, **between(27)),
        row(7, "transfer", 0, **between(27)),
        row(8, "liquidation", -9),
        row(9, "something new", -9),
    )
    told = venue.transfers(NOW)
    assert told is not None
    assert [(each.id, each.kind, str(each.amount)) for each in told] == [
        ("USDC:1", "deposit", "100"),
        ("USDC:3", "withdrawal", "-40.5"),
        ("USDC:5", "correction", "-1"),
        ("USDC:6", "transfer", "-5"),
    ]


@pytest.mark.parametrize("other", [28, None])
def test_R5_collateral_of_an_isolated_slot_of_ours_never_counts_as_money_that_left(other: int | None) -> None:
    """Equity counts the slot too: a withdrawal that was none would hide a loss of its size. Also once it is given back."""
    venue, gateway = ready()
    gateway.on(
        SUBACCOUNTS, [[{"id": 7, "isolated": None}, {"id": 28, "isolated": True, "isolated_margin_instrument": None}]]
    )
    moved(gateway, row(1, "transfer", -500, **between(other)), row(2, "transfer", 480, **between(other)))
    assert venue.transfers(NOW) == ()


def test_L5_books_with_a_row_missing_tell_no_transfers() -> None:
    venue, gateway = ready()
    moved(gateway, row(1, "deposit", 100), row(3, "withdrawal", -40))
    with pytest.raises(VenueSpokeStrangely, match="row 2 is missing"):
        venue.transfers(NOW)
