"""Engage never fails silently (R2), reads back what is left (L5), and release is explicit (R4)."""

from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import Accepted, OrderStatus
from perpsctl.domain.reports import EngageReport, HaltState
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.latch import LatchState
from tests.builders import BTC, NOW, an_intent
from tests.unit.engine.conftest import House

PRODUCT = ProductId(BTC)


def engage(house: House, *, flatten: bool = False) -> EngageReport:
    return house.switch.engage(reason="test", by="op", flatten=flatten)


def test_engage_latches_cancels_and_attests_clean(house: House) -> None:
    house.engine.desk.place(an_intent())
    report = engage(house)
    assert report.attestation.clean
    assert report.attestation.open_orders == ()
    assert house.latch.state().state is LatchState.ENGAGED
    assert house.journal.halts == [(True, "test", "op", False)]
    assert house.venue.live() == []


def test_R1_the_latch_comes_before_anything_that_can_fail(house: House) -> None:
    house.venue.fail("*")
    house.journal.broken["*"] = 0
    report = engage(house)
    assert house.latch.state().engaged
    assert report.attestation.latch_durable
    assert not report.attestation.journal_durable
    assert set(report.attestation.unread) == {"open orders", "positions", "in doubt", "exits pending"}
    assert report.attestation.open_orders is None
    assert not report.attestation.clean


def test_engaging_twice_is_fine(house: House) -> None:
    assert engage(house).first
    again = engage(house)
    assert not again.first
    assert again.attestation.clean


def test_with_flatten_the_positions_are_zero_or_it_is_not_clean(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    report = engage(house, flatten=True)
    assert report.attestation.positions == ()
    assert report.attestation.clean


def test_without_flatten_positions_stay_and_are_shown(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    report = engage(house)
    assert report.attestation.positions is not None
    assert [position.coin for position in report.attestation.positions] == [Decimal("0.05")]
    assert report.attestation.clean
    assert house.venue.submitted == []


def test_a_position_the_venue_will_not_close_is_pending_and_not_clean(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    house.venue.endings = ["session"]
    report = engage(house, flatten=True)
    assert not report.attestation.clean
    assert [each.product_id for each in report.attestation.exit_pending] == [BTC]


def test_with_a_long_wait_a_pending_exit_is_tried_until_proven(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    house.venue.endings = ["session", "session"]
    report = house.switch.engage(reason="test", by="op", flatten=True, wait=timedelta(minutes=5))
    assert report.attestation.clean
    assert len(house.venue.submitted) == 3


def test_L5_each_failed_read_back_is_unread_and_never_zero(house: House) -> None:
    house.venue.coin[PRODUCT] = Decimal("0.05")
    house.venue.fail("positions")
    report = engage(house)
    assert report.attestation.positions is None
    assert report.attestation.unread == ("positions",)
    assert not report.attestation.clean


def test_a_read_back_that_fails_for_a_moment_is_repeated(house: House) -> None:
    house.venue.fail("positions", times=2)
    assert engage(house).attestation.clean


def test_E23_an_order_in_doubt_that_turns_up_is_adopted_and_cancelled(house: House) -> None:
    house.venue.endings = ["hidden"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    house.clock.advance(timedelta(seconds=13))
    house.venue.orders_ = dict(house.venue.orders_)
    report = engage(house)
    assert report.attestation.clean
    (order,) = house.venue.of_intent("intent-0001")
    assert order.status is OrderStatus.CANCELLED


def test_E2_an_order_found_only_by_search_is_cancelled_once_it_is_listed(house: House) -> None:
    house.venue.endings = ["hidden"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    house.clock.advance(timedelta(seconds=13))
    (order,) = house.venue.of_intent("intent-0001")
    house.venue.unlisted[order.venue_order_id] = 1
    report = engage(house)
    assert report.attestation.clean
    assert len(report.cancels) == 2
    assert house.venue.live() == []


def test_an_order_still_in_doubt_is_named_and_not_clean(house: House) -> None:
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    report = engage(house)
    assert report.attestation.in_doubt == (an_intent().id,)
    assert not report.attestation.clean


def test_a_broken_journal_stops_neither_cancel_nor_flatten(house: House) -> None:
    house.engine.desk.place(an_intent())
    house.venue.coin[PRODUCT] = Decimal("0.05")
    house.journal.broken["*"] = 0
    report = engage(house, flatten=True)
    assert house.venue.live() == []
    assert house.venue.coin[PRODUCT] == 0
    assert not report.attestation.clean
    assert any("disk is full" in problem for problem in report.problems)


def test_a_stuck_sender_is_named(house: House) -> None:
    with house.latch.gate():
        report = engage(house)
    assert report.attestation.stuck_sender is not None
    assert not report.attestation.clean


def test_without_a_venue_the_latch_holds_and_the_rest_is_said(house: House) -> None:
    alone = KillSwitch(
        latch=house.latch,
        journal=house.journal,
        halts=house.halts,
        clock=house.clock,
        diagnostics=house.talk,
        outside=None,
        why_no_venue="the key cannot be read",
    )
    report = alone.engage(reason="test", by="op", flatten=True)
    assert house.latch.state().engaged
    assert report.attestation.unread == ("open orders", "positions")
    assert any("the key cannot be read" in problem for problem in report.problems)


def test_release_needs_reason_and_name(house: House) -> None:
    engage(house)
    assert not house.switch.release(reason=" ", by="op").released
    assert not house.switch.release(reason="drill over", by="").released
    assert house.halts.facts().state is HaltState.ENGAGED


def test_release_opens_the_road_again(house: House) -> None:
    engage(house)
    report = house.switch.release(reason="drill over", by="op")
    assert report.released
    assert report.refusals == ()
    assert isinstance(house.engine.desk.place(an_intent()).outcome, Accepted)


def test_R4_release_is_refused_while_an_order_is_in_doubt(house: House) -> None:
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    engage(house)
    report = house.switch.release(reason="all good", by="op")
    assert not report.released
    assert "in doubt" in report.refusals[0]
    assert house.latch.state().engaged


@pytest.mark.parametrize("broken", ["latch", "journal"])
def test_R4_release_is_refused_when_the_state_cannot_be_read(house: House, broken: str) -> None:
    engage(house)
    if broken == "latch":
        (house.latch.folder / "killswitch.latch").write_text("garbage")
    else:
        house.journal.broken["*"] = 0
    assert not house.switch.release(reason="all good", by="op").released
    assert house.halts.facts().state is HaltState.ENGAGED
    assert [engaged for engaged, *_ in house.journal.halts] == [True]


def test_a_standing_loss_breach_needs_a_second_person(house: House) -> None:
    house.switch.engage(reason="daily loss", by="run", loss_breach=True)
    assert not house.switch.release(reason="all good", by="ann").released
    assert not house.switch.release(reason="all good", by="ann", second=" Ann ").released
    assert house.switch.release(reason="all good", by="ann", second="bob").released


def test_a_breach_proven_over_needs_no_second_person(house: House) -> None:
    switch = KillSwitch(
        latch=house.latch,
        journal=house.journal,
        halts=house.halts,
        clock=house.clock,
        diagnostics=house.talk,
        outside=house.engine.venue_side,
        breach_stands=lambda: False,
    )
    switch.engage(reason="daily loss", by="run", loss_breach=True)
    assert switch.release(reason="a new day", by="ann").released


def test_a_release_whose_record_fails_leaves_the_switch_engaged(house: House) -> None:
    engage(house)
    house.journal.broken["record_halt"] = 0
    report = house.switch.release(reason="all good", by="op")
    assert not report.released
    assert house.halts.facts().state is HaltState.ENGAGED


def test_status_tells_what_hinders_a_release(house: House) -> None:
    house.venue.endings = ["lost"]
    house.engine.desk.place(an_intent(), wait=timedelta(0))
    status = house.switch.status()
    assert status.facts.state is HaltState.RELEASED
    assert status.in_doubt == (an_intent().id,)
    house.journal.broken["*"] = 0
    assert house.switch.status().in_doubt is None


def test_a_latch_engaged_by_the_command_is_not_engaged_a_second_time(house: House) -> None:
    latched = house.latch.engage(reason="first", by="op", at=NOW)
    house.switch.engage(reason="first", by="op", latched=latched)
    assert house.latch.state().times == 1
