"""When an armed fault fires, and what the exchange-level ones do."""

from decimal import Decimal

import pytest

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange, NotFound
from perpsctl.simulator.fault_catalogue import CATALOGUE
from perpsctl.simulator.faults import EffectKind, Faults, UnknownFault, Value
from perpsctl.simulator.orders import EditRequest, OrderFilter, OrderStatus, RejectReason
from tests.unit.simulator.core.asking import BIP, START, D, a_request, placed, refused, still_market


@pytest.fixture
def faults(clock: ManualClock) -> Faults:
    return Faults(clock.now)


def fired(faults: Faults, operation: str = "create_order", times: int = 10) -> list[int]:
    """Which of `times` requests were struck, counted from 1."""
    return [n for n in range(1, times + 1) if faults.wire_effects(operation)]


def test_a_fault_fires_on_the_nth_matching_request_as_often_as_told(faults: Faults) -> None:
    faults.arm("N8", nth=2, count=3)
    assert fired(faults, "list_orders") == []
    assert fired(faults) == [2, 3, 4]
    state = faults.armed()[0]
    assert (state.seen, state.fired, state.spent) == (4, 3, True)


def test_a_fault_can_be_armed_by_its_name_for_one_operation_or_a_class_of_them(faults: Faults) -> None:
    faults.arm("reset_after_accept", operation="cancel_orders", count=None)
    faults.arm("N18", operation="reads", count=None)
    faults.arm("N19", operation="writes", count=None)
    kinds = {op: {e.kind for e in faults.wire_effects(op)} for op in ("cancel_orders", "list_orders", "create_order")}
    assert kinds == {
        "cancel_orders": {EffectKind.RESET, EffectKind.SLOW_READ},
        "list_orders": {EffectKind.SLOW_BODY},
        "create_order": {EffectKind.SLOW_READ},
    }


def test_a_timed_fault_ends_by_itself(faults: Faults, clock: ManualClock) -> None:
    faults.arm("N6")
    clock.advance(299)
    assert fired(faults, "time", 2) == [1, 2]
    clock.advance(1)
    assert fired(faults, "time", 2) == []


def test_a_probable_fault_is_repeatable_and_about_as_frequent_as_told(clock: ManualClock) -> None:
    runs = []
    for seed in (1, 1, 2):
        faults = Faults(clock.now)
        faults.arm("N7", probability=Decimal("0.3"), count=None, seed=seed)
        runs.append(fired(faults, times=1000))
    assert runs[0] == runs[1] != runs[2]
    assert 240 < len(runs[0]) < 360


def test_disarming_works_by_handle_by_name_and_for_all(faults: Faults) -> None:
    first, _ = faults.arm("N7"), faults.arm("N7")
    faults.arm("N12")
    assert faults.disarm(handle=first) == 1
    assert faults.disarm(name="error_before_accept") == 1
    assert faults.disarm() == 1
    assert fired(faults) == []


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("N99", {}),
        ("N7", {"colour": "red"}),
        ("N7", {"status": "503"}),
        ("N7", {"nth": 0}),
        ("N7", {"count": 0}),
        ("N7", {"probability": Decimal(2)}),
    ],
)
def test_what_cannot_be_armed_is_refused(faults: Faults, name: str, terms: dict[str, object]) -> None:
    with pytest.raises(UnknownFault):
        faults.arm(name, **terms)  # type: ignore[arg-type]
    assert faults.armed() == ()


def test_every_catalogue_row_can_be_armed_by_id_and_name_and_is_unique() -> None:
    faults = Faults(lambda: START)
    for entry in CATALOGUE:
        faults.arm(entry.fault)
        faults.arm(entry.name)
    keys = [key for entry in CATALOGUE for key in (entry.fault, entry.name)]
    assert len(keys) == len(set(keys)) == len(faults.armed())
    wanted = {f"N{n}" for n in range(1, 26)} | {f"E{n}" for n in range(1, 13)} | {f"A{n}" for n in range(1, 8)}
    assert wanted <= {entry.fault for entry in CATALOGUE}


@pytest.mark.parametrize(
    ("name", "params", "after"),
    [("N7", {}, False), ("N8", {}, True), ("N12", {}, True), ("N13", {}, True), ("N11", {}, False), ("N15", {}, True), ("N21", {}, True), ("N24", {}, False)],
)  # fmt: skip
def test_an_effect_says_whether_the_exchange_handles_the_request(
    faults: Faults, name: str, params: dict[str, Value], after: bool
) -> None:
    faults.arm(name, operation="any", **params)  # type: ignore[arg-type]
    assert faults.wire_effects("create_order")[0].after is after


def test_a_clock_fault_moves_the_venues_now_until_disarmed(exchange: Exchange, clock: ManualClock) -> None:
    exchange.faults.arm("A1", seconds=-30)
    assert (clock.now() - exchange.now()).total_seconds() == 30
    assert exchange.faults.wire_effects("time") == ()
    exchange.faults.disarm(name="A1")
    assert exchange.now() == clock.now()


def test_key_faults_show_in_the_permissions(exchange: Exchange) -> None:
    own = exchange.key_permissions(can_trade=True)
    assert (own.can_transfer, own.portfolio_uuid) == (False, exchange.portfolio_uuid)
    exchange.faults.arm("A7")
    exchange.faults.arm("A6")
    exchange.faults.arm("A3", scope="trade")
    bad = exchange.key_permissions(can_trade=True)
    assert (bad.can_trade, bad.can_view, bad.can_transfer) == (False, True, True)
    assert bad.portfolio_uuid != exchange.portfolio_uuid


def test_a6_shows_another_portfolio_also_for_a_key_that_is_bound_to_one(exchange: Exchange) -> None:
    assert exchange.key_permissions(can_trade=True, bound_to="theirs").portfolio_uuid == "theirs"
    exchange.faults.arm("A6")
    shown = exchange.key_permissions(can_trade=True, bound_to="theirs").portfolio_uuid
    assert shown not in {"theirs", exchange.portfolio_uuid}


def test_n9_counts_a_connection_and_its_first_request_once(faults: Faults) -> None:
    faults.arm("N9", nth=2)
    first = faults.knock()
    assert first.refused is False
    assert faults.wire_effects("time", counted=first.counted) == ()
    assert faults.knock().refused is True
    assert (faults.armed()[0].seen, faults.armed()[0].fired) == (2, 1)


def test_n9_on_a_kept_connection_counts_each_further_request(faults: Faults) -> None:
    faults.arm("N9", nth=2)
    faults.wire_effects("time", counted=faults.knock().counted)
    assert [effect.fault for effect in faults.wire_effects("time")] == ["N9"]


@pytest.mark.parametrize("operation", ["reads", "writes", "create_order"])
def test_n9_for_some_operations_refuses_no_connection_before_the_operation_is_known(
    faults: Faults, operation: str
) -> None:
    faults.arm("N9", operation=operation)
    assert faults.knock().refused is False
    assert faults.armed()[0].seen == 0


# -- exchange level ------------------------------------------------------------------------------------


def working(exchange: Exchange, size: int = 10) -> str:
    """A resting order far from the market."""
    return placed(exchange.create(a_request(price=50000, size=size))).order_id


def listed(exchange: Exchange) -> set[str]:
    return {order.order_id for order in exchange.orders(OrderFilter()).items}


def test_e1_an_order_stays_invisible_for_a_while_though_the_judge_sees_it(
    exchange: Exchange, clock: ManualClock
) -> None:
    exchange.faults.arm("E1", seconds=10)
    order_id = working(exchange)
    assert listed(exchange) == set()
    with pytest.raises(NotFound):
        exchange.order(order_id)
    assert exchange.cancel([order_id])[0].failure_reason == "UNKNOWN_CANCEL_ORDER"
    assert [order.order_id for order in exchange.judge_view().orders] == [order_id]
    clock.advance(10)
    assert listed(exchange) == {order_id}
    assert exchange.order(order_id).status is OrderStatus.OPEN


@pytest.mark.parametrize("missing", ["list", "id"])
def test_e2_an_order_is_missing_from_one_of_list_and_lookup(exchange: Exchange, missing: str) -> None:
    exchange.faults.arm("E2", missing=missing)
    order_id = working(exchange)
    assert (listed(exchange) == set()) is (missing == "list")
    if missing == "id":
        with pytest.raises(NotFound):
            exchange.order(order_id)
    else:
        assert exchange.order(order_id).order_id == order_id


def test_e3_a_refusal_places_nothing_and_e4_a_reason_beside_success_places_one(exchange: Exchange) -> None:
    exchange.faults.arm("E3", reason="COMMANDER_REJECTED_NEW_ORDER")
    exchange.faults.arm("E4")
    assert refused(exchange.create(a_request(price=50000))).reason == "COMMANDER_REJECTED_NEW_ORDER"
    assert exchange.judge_view().orders == ()
    assert placed(exchange.create(a_request(price=50000))).failure_reason == "UNKNOWN_FAILURE_REASON"
    assert placed(exchange.create(a_request(price=50000))).failure_reason is None
    assert len(exchange.judge_view().orders) == 2


def test_e5_a_repeat_can_be_refused_as_duplicate(exchange: Exchange) -> None:
    exchange.faults.arm("E5")
    exchange.create(a_request(client_order_id="x", price=50000))
    assert refused(exchange.create(a_request(client_order_id="x", price=50000))).reason == "DUPLICATE_CLIENT_ORDER_ID"


def test_e6_a_forgetful_exchange_places_a_repeat_twice(exchange: Exchange, clock: ManualClock) -> None:
    exchange.faults.arm("E6", seconds=30)
    request = a_request(client_order_id="x", price=50000)
    exchange.create(request)
    clock.advance(29)
    exchange.create(request)
    assert len(exchange.judge_view().orders) == 1
    clock.advance(1)
    exchange.create(request)
    assert len(exchange.judge_view().orders) == 2


def test_e7_an_accepted_order_is_rejected_later_and_never_filled(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    exchange.faults.arm("E7", seconds=2, reason="HOLD_FAILURE")
    order_id = placed(exchange.create(a_request(price=60100))).order_id
    assert exchange.order(order_id).status is OrderStatus.PENDING
    clock.advance(2)
    order = exchange.order(order_id)
    assert (order.status, order.reject_reason, order.filled_size) == (
        OrderStatus.FAILED,
        RejectReason.HOLD_FAILURE,
        D(0),
    )
    assert exchange.balance_summary().total_open_orders_hold_amount == 0


def test_e8_a_part_fills_as_the_cancel_arrives(exchange: Exchange) -> None:
    order_id = working(exchange)
    exchange.faults.arm("E8")
    assert exchange.cancel([order_id])[0].success
    order = exchange.order(order_id)
    assert (order.status, order.filled_size) == (OrderStatus.CANCELLED, D(5))
    assert exchange.position(BIP).number_of_contracts == 5


@pytest.mark.parametrize(
    ("per_cent", "status", "filled"), [(100, OrderStatus.FILLED, 10), (30, OrderStatus.CANCELLED, 3)]
)
def test_e9_an_acknowledged_cancel_is_followed_by_a_fill(
    exchange: Exchange, clock: ManualClock, per_cent: int, status: OrderStatus, filled: int
) -> None:
    order_id = working(exchange)
    exchange.faults.arm("E9", per_cent=per_cent)
    assert exchange.cancel([order_id])[0].success
    assert exchange.order(order_id).pending_cancel
    clock.advance(2)
    order = exchange.order(order_id)
    assert (order.status, order.filled_size) == (status, D(filled))


def test_e10_a_cancel_comes_too_late(exchange: Exchange) -> None:
    order_id = working(exchange)
    exchange.faults.arm("E10")
    assert exchange.cancel([order_id])[0].failure_reason == "ORDER_IS_FULLY_FILLED"
    assert exchange.order(order_id).status is OrderStatus.FILLED


def test_e11_a_slow_cancel_still_fills_until_it_is_done(exchange: Exchange, clock: ManualClock) -> None:
    first, second = working(exchange), working(exchange)
    exchange.faults.arm("E11", count=2)
    assert all(result.success for result in exchange.cancel([first, second]))
    clock.advance(59)
    assert exchange.order(first).status is OrderStatus.CANCEL_QUEUED
    assert exchange.cancel([first])[0].failure_reason == "DUPLICATE_CANCEL_REQUEST"
    exchange.control.external_fill(second, D(10))
    clock.advance(1)
    assert exchange.order(first).status is OrderStatus.CANCELLED
    assert exchange.order(second).status is OrderStatus.FILLED


def test_e12_the_exchange_cancels_by_itself_and_says_why(exchange: Exchange, clock: ManualClock) -> None:
    exchange.faults.arm("E12", message="market maker protection")
    order_id = working(exchange)
    clock.advance(2)
    order = exchange.order(order_id)
    assert (order.status, order.cancel_message) == (OrderStatus.CANCELLED, "market maker protection")


def test_e24_a_slow_edit_keeps_the_old_terms_until_it_is_done(exchange: Exchange, clock: ManualClock) -> None:
    order_id = working(exchange)
    exchange.faults.arm("E24")
    assert exchange.edit(EditRequest(order_id=order_id, size=D(4))).success
    assert (exchange.order(order_id).status, exchange.order(order_id).size) == (OrderStatus.EDIT_QUEUED, D(10))
    assert exchange.cancel([order_id])[0].failure_reason == "ORDER_IS_BEING_REPLACED"
    clock.advance(5)
    assert (exchange.order(order_id).status, exchange.order(order_id).size) == (OrderStatus.OPEN, D(4))


def test_n14_a_deferred_order_is_accepted_after_the_client_has_gone(exchange: Exchange, clock: ManualClock) -> None:
    exchange.create_later(a_request(client_order_id="late", price=50000), 5)
    clock.advance(4)
    assert exchange.judge_view().orders == ()
    clock.advance(4)
    order = exchange.judge_view().orders[0]
    assert (order.client_order_id, (order.accepted_at - START).total_seconds()) == ("late", 5)
