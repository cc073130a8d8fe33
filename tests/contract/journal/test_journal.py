"""What every Journal must do, whatever it is stored in: a file (SQLite), or a database that hosts share (PostgreSQL)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from perpsctl.domain.accounts import Booked, LiveOrder, TradingState
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import AccountKey, IntentId, VenueOrderId
from perpsctl.domain.orders import EditIntent, FillKind, NotSent, OrderStatus, Rejected, Road, Unknown
from perpsctl.domain.ports import EventKind, Journal, Known
from perpsctl.domain.reports import HaltState, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, Denied
from perpsctl.journal import log as rows_log
from perpsctl.journal.audit import GENESIS
from perpsctl.journal.database import Database
from perpsctl.journal.fold import State
from perpsctl.journal.history import rows_since
from perpsctl.journal.opening import open_backend
from perpsctl.journal.snapshots import state_of, state_text
from perpsctl.journal.store import SqlJournal
from tests.postgres import Server
from tests.unit.journal.fakes import (
    ACCOUNT,
    BTC,
    DENIED,
    ETH,
    START,
    FakeClock,
    a_fill,
    a_journal,
    a_mark,
    accepted,
    an_edit,
    an_intent,
    an_order,
    edit_yes,
    no,
    yes,
)

UNKNOWN = Unknown(reason="timeout", evidence="no reply")
NOT_SENT = NotSent(reason="refused", evidence="connection refused")
REJECTED = Rejected(reason="INSUFFICIENT_FUND", message="no", evidence="http 200")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgres"])
def new_place(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """Where a journal nobody has used may lie, each time another: None for its folder, else a database of its own."""
    if request.param == "sqlite":
        return lambda: None
    server: Server = request.getfixturevalue("postgres_server")
    return lambda: server.url(server.new_database())


@pytest.fixture
def opened(
    tmp_path: Path, clock: FakeClock, new_place: Callable[[], str | None]
) -> Iterator[Callable[..., SqlJournal]]:
    """Opens the same journal again and again, as processes would, and closes what was opened."""
    made: list[SqlJournal] = []
    url = new_place()

    def open_one(account: AccountKey = ACCOUNT) -> SqlJournal:
        made.append(a_journal(tmp_path / "sim", clock=clock, account=account, url=url))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


@pytest.fixture
def journal(opened: Callable[..., SqlJournal]) -> SqlJournal:
    return opened()


def place(journal: SqlJournal, id_: str = "intent-0001", *, size: str = "0.1", price: str | None = "60000") -> None:
    intent = an_intent(id_, size=size, price=price)
    assert isinstance(journal.decide(intent, intent.size, yes(intent)), Approved)


def only(live: tuple[LiveOrder, ...]) -> LiveOrder:
    (one,) = live
    return one


def alarms(journal: SqlJournal) -> list[str]:
    return [json.loads(each.payload)["what"] for each in journal.events(kind=EventKind.ALARM)]


def test_it_is_a_journal(journal: SqlJournal) -> None:
    port: Journal = journal
    assert port.account == ACCOUNT
    booked = port.booked()
    assert (booked.live, booked.in_doubt, booked.recent, booked.sent_today, booked.halted) == ((), (), (), 0, False)
    assert [basis.baseline for basis in booked.loss_bases] == [None, None]


# --- deciding ---------------------------------------------------------------------------------------


def test_an_approved_intent_is_committed_before_it_is_answered_and_counts_whole_I2_R5(
    journal: SqlJournal, opened: Callable[..., SqlJournal]
) -> None:
    place(journal)
    other = opened()  # another process sees it at once
    (record,) = other.in_doubt()
    assert (record.stage, record.sent_size, record.outcome) == (IntentStage.COMMITTED, Decimal("0.1"), None)
    assert (record.sent_price, record.sent_stop) == (Decimal(60000), None)
    order = only(other.booked().live)
    assert (order.intent_id, order.remaining, order.price, order.in_doubt) == (
        "intent-0001",
        Decimal("0.1"),
        Decimal(60000),
        True,
    )
    assert order.client_order_id == "intent-0001"
    assert other.booked().sent_last_minute == other.booked().sent_today == 1


def test_the_judge_sees_what_is_booked_and_runs_before_anything_is_written(journal: SqlJournal) -> None:
    place(journal, "intent-0001")
    seen: list[Booked] = []
    second = an_intent("intent-0002")

    def look(booked: Booked) -> Denied:
        seen.append(booked)
        return DENIED

    journal.decide(second, second.size, look)
    (booked,) = seen
    assert [order.intent_id for order in booked.live] == ["intent-0001"]
    assert booked.sent_last_minute == 1


def test_a_denial_is_on_record_with_its_reasons_and_uses_no_budget(journal: SqlJournal) -> None:
    intent = an_intent()
    assert journal.decide(intent, intent.size, no) == DENIED
    (record,) = journal.intents()
    assert (record.stage, record.denied, record.intent) == (IntentStage.DENIED, DENIED, intent)
    booked = journal.booked()
    assert (booked.live, booked.in_doubt, booked.recent, booked.sent_today, booked.sent_last_minute) == (
        (),
        (),
        (),
        0,
        0,
    )


def test_a_known_intent_is_answered_from_the_record_and_judged_by_nobody_I1(journal: SqlJournal) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())

    def never(booked: Booked) -> Denied:
        raise AssertionError("judged again")

    same = journal.decide(an_intent(reason="once more"), an_intent().size, never)
    assert isinstance(same, Known)
    assert same.same_terms
    assert same.record.stage is IntentStage.WORKING
    other = journal.decide(an_intent(size="0.2"), an_intent().size, never)
    assert isinstance(other, Known)
    assert not other.same_terms
    assert journal.check(full=True).rows == 2


def test_an_intent_known_long_ago_is_still_known(journal: SqlJournal, clock: FakeClock) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), REJECTED)
    clock.pass_(days=40)
    place(journal, "intent-0002")
    assert isinstance(journal.decide(an_intent(), an_intent().size, no), Known)
    record = journal.intent(IntentId("intent-0001"))
    assert record is not None
    assert (record.stage, record.outcome) == (IntentStage.REJECTED, REJECTED)


def test_a_judge_that_fails_leaves_nothing_behind_and_the_journal_well(journal: SqlJournal) -> None:
    def fails(booked: Booked) -> Denied:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.decide(an_intent(), an_intent().size, fails)
    assert journal.intents() == ()
    place(journal)


def test_counts_fall_out_of_the_minute_and_the_day_and_survive_a_restart_R8(
    journal: SqlJournal, opened: Callable[..., SqlJournal], clock: FakeClock
) -> None:
    for number in range(3):
        place(journal, f"intent-{number:04d}")
        clock.pass_(seconds=25)
    for each in (journal, opened()):
        assert (each.booked().sent_last_minute, each.booked().sent_today) == (2, 3)
    clock.pass_(hours=15)  # past midnight
    assert (journal.booked().sent_last_minute, journal.booked().sent_today) == (0, 0)
    clock.time -= timedelta(hours=16)  # a clock that steps back frees no budget (T1)
    assert (journal.booked().sent_last_minute, journal.booked().sent_today) == (3, 3)


def test_recent_intents_are_there_for_the_duplicate_guard(journal: SqlJournal, clock: FakeClock) -> None:
    place(journal, "intent-0001")
    place(journal, "intent-0002", size="0.2")
    journal.record_outcome(IntentId("intent-0002"), REJECTED)
    recent = {each.intent_id: each for each in journal.booked().recent}
    assert recent[IntentId("intent-0001")].ended_empty is False
    assert recent[IntentId("intent-0002")].ended_empty is True
    assert (recent[IntentId("intent-0001")].size, recent[IntentId("intent-0001")].reason) == (Decimal("0.1"), "place")
    clock.pass_(minutes=3)
    assert journal.booked().recent == ()


# --- outcomes and orders ----------------------------------------------------------------------------


def test_doubt_lasts_until_proof_and_time_does_not_end_it_I4(journal: SqlJournal, clock: FakeClock) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), UNKNOWN)
    clock.pass_(days=400)
    place(journal, "intent-0002")
    journal.record_outcome(IntentId("intent-0002"), NOT_SENT)
    assert journal.booked().in_doubt == ("intent-0001",)
    assert only(journal.booked().live).in_doubt
    journal.record_outcome(IntentId("intent-0001"), NOT_SENT)
    assert (journal.in_doubt(), journal.booked().live) == ((), ())
    assert alarms(journal) == []


def test_an_accepted_order_counts_what_remains_until_it_ends(journal: SqlJournal) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted(seen=an_order()))
    assert not only(journal.booked().live).in_doubt
    assert journal.record_order(an_order(filled="0.04", status=OrderStatus.OPEN), None)
    assert only(journal.booked().live).remaining == Decimal("0.06")
    assert not journal.record_order(an_order(filled="0.03", read_at=START + timedelta(seconds=1)), None)
    assert only(journal.booked().live).remaining == Decimal("0.06")
    assert [record.intent.id for record in journal.working()] == ["intent-0001"]
    assert journal.record_order(an_order(filled="0.1", status=OrderStatus.FILLED), None)
    assert (journal.booked().live, journal.working()) == ((), ())
    record = journal.intent_by_order(VenueOrderId("order-1"))
    assert record is not None
    assert (record.stage, record.intent.id) == (IntentStage.DONE, "intent-0001")
    rows = journal.check(full=True).rows
    assert not journal.record_order(an_order(filled="0.1", status=OrderStatus.FILLED), None)
    assert journal.check(full=True).rows == rows  # nothing new writes nothing (I6)


def test_a_late_acceptance_is_adopted_under_its_intent_counts_again_and_is_alarmed_N14(
    journal: SqlJournal, opened: Callable[..., SqlJournal], clock: FakeClock
) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), NOT_SENT)
    clock.pass_(hours=2)  # long out of memory
    place(journal, "intent-0002")
    journal.record_outcome(IntentId("intent-0002"), NOT_SENT)
    journal.record_outcome(IntentId("intent-0001"), accepted(seen=an_order(filled="0.02")))
    for each in (journal, opened()):
        assert only(each.booked().live).remaining == Decimal("0.08")
        assert alarms(each) == ["order_appeared_after_all"]
        record = each.intent(IntentId("intent-0001"))
        assert record is not None
        assert record.stage is IntentStage.WORKING
    assert journal.check(full=True).sound


def test_a_refusal_after_an_acceptance_changes_nothing_and_is_alarmed(journal: SqlJournal) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())
    for outcome in (NOT_SENT, REJECTED, UNKNOWN):
        journal.record_outcome(IntentId("intent-0001"), outcome)
    assert only(journal.booked().live).remaining == Decimal("0.1")
    assert alarms(journal) == ["outcome_contradicts", "outcome_contradicts"]


def test_a_second_order_of_one_intent_counts_besides_the_first_and_is_alarmed_I1(
    journal: SqlJournal, opened: Callable[..., SqlJournal]
) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted("order-1", an_order("order-1")))
    journal.record_outcome(IntentId("intent-0001"), accepted("order-2"))
    for each in (journal, opened()):
        assert sorted((order.venue_order_id, order.remaining) for order in each.booked().live) == [
            ("order-1", Decimal("0.1")),
            ("order-2", Decimal("0.1")),
        ]
        assert alarms(each) == ["second_order_of_intent"]
    journal.record_order(an_order("order-2", status=OrderStatus.CANCELLED), IntentId("intent-0001"))
    assert only(journal.booked().live).venue_order_id == "order-1"
    record = journal.intent(IntentId("intent-0001"))
    assert record is not None
    assert record.venue_ids == ("order-1", "order-2")
    assert journal.check(full=True).sound


def test_an_outcome_for_nobody_or_for_a_denied_intent_is_our_bug(journal: SqlJournal) -> None:
    with pytest.raises(InvariantBroken):
        journal.record_outcome(IntentId("intent-0001"), NOT_SENT)
    journal.decide(an_intent(), an_intent().size, no)
    with pytest.raises(InvariantBroken, match="denied"):
        journal.record_outcome(IntentId("intent-0001"), accepted())
    assert alarms(journal) == ["outcome_of_denied"]
    with pytest.raises(InvariantBroken):
        journal.record_order(an_order(), IntentId("intent-9999"))


def test_an_order_that_is_not_ours_counts_while_it_lives_I6(journal: SqlJournal) -> None:
    assert journal.record_order(an_order("foreign", intent=None), None)
    order = only(journal.booked().live)
    assert (order.intent_id, order.remaining) == (None, Decimal("0.1"))
    assert journal.intent_by_order(VenueOrderId("foreign")) is None
    assert journal.record_order(an_order("foreign", intent=None, status=OrderStatus.CANCELLED), None)
    assert journal.booked().live == ()
    assert not journal.record_order(an_order("foreign", intent=None, status=OrderStatus.OPEN), None)


def test_a_foreign_order_of_untold_size_has_no_remaining_size_R5(journal: SqlJournal) -> None:
    assert journal.record_order(replace(an_order("foreign", intent=None), size=None), None)
    assert only(journal.booked().live).remaining is None


def test_an_order_seen_while_its_intent_is_in_doubt_is_kept_and_ends_no_doubt_I4(journal: SqlJournal) -> None:
    place(journal)
    assert journal.record_order(an_order(filled="0.02"), IntentId("intent-0001"))
    assert journal.booked().in_doubt == ("intent-0001",)
    assert only(journal.booked().live).remaining == Decimal("0.1")
    journal.record_outcome(IntentId("intent-0001"), accepted())
    assert only(journal.booked().live).remaining == Decimal("0.08")


def test_more_filled_than_ordered_is_alarmed_I5(journal: SqlJournal) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())
    journal.record_order(an_order(filled="0.2", status=OrderStatus.FILLED), None)
    assert alarms(journal) == ["filled_above_size"]


# --- edits ------------------------------------------------------------------------------------------


def working_and_edited(journal: SqlJournal, edit: EditIntent) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted(seen=an_order()))
    journal.decide_edit(edit, edit.new_size or an_intent().size, edit_yes(edit))


def worst(journal: SqlJournal) -> tuple[Decimal, set[Decimal | None]]:
    """What may fill of the one order there is, and every price it may stand at: an edit shares its order's id."""
    live = journal.booked().live
    assert len({order.venue_order_id for order in live}) == 1
    return max(order.remaining for order in live if order.remaining is not None), {order.price for order in live}


@pytest.mark.parametrize(("size", "total"), [("0.3", "0.3"), ("0.05", "0.1"), (None, "0.1")])
def test_an_edit_in_doubt_counts_old_and_new_at_the_larger_E24(
    journal: SqlJournal, size: str | None, total: str
) -> None:
    working_and_edited(journal, an_edit(price="61000", size=size))
    assert worst(journal) == (Decimal(total), {Decimal(60000), Decimal(61000)})
    assert journal.booked().in_doubt == ("edit-00001",)
    assert journal.booked().sent_last_minute == 2
    journal.record_outcome(IntentId("edit-00001"), UNKNOWN)
    assert worst(journal)[0] == Decimal(total)
    journal.record_outcome(IntentId("edit-00001"), REJECTED)
    assert worst(journal) == (Decimal("0.1"), {Decimal(60000)})


def test_an_accepted_edit_counts_both_until_the_order_shows_it(
    journal: SqlJournal, opened: Callable[..., SqlJournal], clock: FakeClock
) -> None:
    working_and_edited(journal, an_edit(price="61000", size="0.3"))
    journal.record_outcome(IntentId("edit-00001"), accepted())
    assert worst(journal)[0] == Decimal("0.3")
    assert [record.intent.id for record in journal.working()] == ["intent-0001", "edit-00001"]
    assert journal.booked().in_doubt == ()
    journal.record_order(an_order(filled="0.01", read_at=clock.now()), None)  # old terms still
    assert worst(journal)[0] == Decimal("0.29")
    journal.record_order(an_order(size="0.3", price="61000", filled="0.01", read_at=clock.now()), None)
    for each in (journal, opened()):
        assert worst(each) == (Decimal("0.29"), {Decimal(61000)})
        record = each.intent(IntentId("edit-00001"))
        assert record is not None
        assert record.stage is IntentStage.DONE
    clock.pass_(hours=1)
    place(journal, "intent-0002")
    (edit,) = [each for each in journal.intents() if each.intent.id == "edit-00001"]
    assert edit.stage is IntentStage.DONE  # read from the rows, the same


def test_an_edit_of_an_order_that_ended_adds_nothing(journal: SqlJournal) -> None:
    working_and_edited(journal, an_edit(size="0.3"))
    journal.record_order(an_order(filled="0.1", status=OrderStatus.FILLED), None)
    assert journal.booked().live == ()
    assert journal.booked().in_doubt == ("edit-00001",)  # and stays in doubt until evidence


# --- fills ------------------------------------------------------------------------------------------


def test_a_fill_counts_once_however_often_it_is_told_E13(
    journal: SqlJournal, opened: Callable[..., SqlJournal]
) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())
    first, second = a_fill("f1", size="0.04"), a_fill("f2", size="0.06", at=START + timedelta(seconds=1))
    assert journal.record_fills([second, first]) == (first, second)
    assert journal.record_fills([first, second]) == ()
    assert opened().record_fills([second]) == ()
    assert journal.booked_coin() == {BTC: Decimal("0.1")}
    assert journal.fills() == (second, first)
    assert journal.fills(limit=1) == (second,)
    assert journal.fills(since=START + timedelta(seconds=1)) == (second,)
    assert alarms(journal) == []


def test_one_trade_under_two_row_keys_is_booked_and_alarmed_E13(journal: SqlJournal) -> None:
    journal.record_fills([a_fill("f1", trade="t")])
    journal.record_fills([a_fill("f2", trade="t")])
    assert alarms(journal) == ["trade_filled_twice"]


def test_a_reversal_takes_back_and_a_correction_adds_E14(journal: SqlJournal) -> None:
    journal.record_fills([a_fill("f1")])
    journal.record_fills([a_fill("f2", trade="trade-of-f1", kind=FillKind.REVERSAL)])
    assert journal.booked_coin() == {BTC: Decimal(0)}
    journal.record_fills([a_fill("f3", kind=FillKind.CORRECTION, size="0.07")])
    assert journal.booked_coin() == {BTC: Decimal("0.07")}
    assert alarms(journal) == ["fill_is_no_plain_fill", "fill_is_no_plain_fill"]


def test_a_fill_before_its_order_is_known_is_booked_E15(journal: SqlJournal) -> None:
    assert len(journal.record_fills([a_fill(order="later")])) == 1
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted("later"))
    assert journal.booked_coin() == {BTC: Decimal("0.1")}


def test_a_fill_after_the_end_and_fills_above_the_size_are_alarmed_E9_I5(journal: SqlJournal) -> None:
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())
    journal.record_order(an_order(status=OrderStatus.CANCELLED, filled="0.02"), None)
    journal.record_fills([a_fill("f1", size="0.02")])
    assert alarms(journal) == []
    journal.record_fills([a_fill("f2", size="0.05")])
    assert alarms(journal) == ["fill_after_end"]
    journal.record_fills([a_fill("f3", size="0.05")])
    assert sorted(alarms(journal)) == ["fill_after_end", "fill_after_end", "fills_above_size"]


# --- the rest ---------------------------------------------------------------------------------------


def test_losses_count_from_a_mark_with_flows_and_transfers_since(journal: SqlJournal, clock: FakeClock) -> None:
    journal.record_mark(a_mark("1000", at=START))
    journal.record_fills([a_fill(at=START + timedelta(seconds=1), side=Side.SELL)])
    journal.record_event(EventKind.TRANSFER, {"amount": Decimal("-250.5")})
    clock.pass_(minutes=1)
    for basis in journal.booked().loss_bases:
        assert basis.baseline == a_mark("1000", at=START)
        assert [(flow.coin, flow.cash) for flow in basis.flows] == [(Decimal("-0.1"), Decimal("5998.5"))]
        assert basis.transfers == Decimal("-250.5")


def test_a_halt_stands_until_released_keeps_its_first_reason_and_binds_every_account_R2(
    journal: SqlJournal, opened: Callable[..., SqlJournal]
) -> None:
    assert journal.halt().state is HaltState.RELEASED
    journal.record_halt(engaged=True, reason="first", by="ops")
    journal.record_halt(engaged=True, reason="loss", by="sentinel", loss_breach=True)
    for each in (journal, opened(), opened(AccountKey("us:sim:another"))):
        facts = each.halt()
        assert (facts.state, facts.reason, facts.by, facts.loss_breach) == (HaltState.ENGAGED, "first", "ops", True)
        assert each.booked().halted
    journal.record_halt(engaged=False, reason="fine", by="ada")
    assert not journal.booked().halted
    assert not journal.halt().loss_breach


def test_product_states_exits_and_openings_are_folded(journal: SqlJournal) -> None:
    journal.record_state(BTC, TradingState.REDUCING, "drift")
    rows = journal.check(full=True).rows
    journal.record_state(BTC, TradingState.REDUCING, "drift")
    assert journal.check(full=True).rows == rows
    journal.record_event(EventKind.STATE_CHANGED, {"product_id": ETH, "state": "halted", "reason": "status"})
    assert journal.booked().states == {BTC: TradingState.REDUCING, ETH: TradingState.HALTED}
    pending = {"product_id": BTC, "size": Decimal("0.1"), "reason": "session closed", "retry_at": START}
    journal.record_event(EventKind.EXIT_PENDING, pending)
    (exit_,) = journal.exits_pending()
    assert (exit_.product_id, exit_.size, exit_.retry_at) == (BTC, Decimal("0.1"), START)
    journal.record_event(EventKind.EXIT_SETTLED, {"product_id": BTC})
    assert journal.exits_pending() == ()
    journal.record_event(EventKind.RECONCILED, {"adopted": [{"product_id": BTC, "coin": Decimal("-0.3")}]})
    journal.record_fills([a_fill()])
    assert journal.booked_coin() == {BTC: Decimal("-0.2")}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (EventKind.TRANSFER, {}),
        (EventKind.TRANSFER, {"amount": "NaN"}),
        (EventKind.TRANSFER, {"amount": 5}),
        (EventKind.EXIT_PENDING, {"product_id": BTC}),
        (EventKind.EXIT_SETTLED, {}),
        (EventKind.STATE_CHANGED, {"product_id": BTC, "state": "sideways", "reason": ""}),
        (EventKind.RECONCILED, {"adopted": "all"}),
        (EventKind.HEARTBEAT, {"at": 0.5}),
    ],
)
def test_an_event_the_views_could_not_read_is_refused_before_it_is_written(
    journal: SqlJournal, kind: EventKind, payload: dict[str, object]
) -> None:
    with pytest.raises(InvariantBroken):
        journal.record_event(kind, payload)
    assert journal.events() == ()
    place(journal)


def test_events_are_read_back_newest_first_with_their_order_kept_by_number_J8(
    journal: SqlJournal, clock: FakeClock
) -> None:
    journal.record_event(EventKind.RUN_STARTED, {"strategy": "canary", "ticks": 3})
    clock.time -= timedelta(hours=1)
    journal.record_event(EventKind.HEARTBEAT, {"tick": 1}, IntentId("intent-0001"))
    newest, oldest = journal.events()
    assert (newest.kind, oldest.kind) == ("heartbeat", "run_started")
    assert newest.seq > oldest.seq
    assert newest.at < oldest.at
    assert newest.intent_id == "intent-0001"
    assert journal.events(kind="run_started", limit=5) == (oldest,)


def test_a_new_account_starts_empty_and_the_old_rows_stay(
    journal: SqlJournal, opened: Callable[..., SqlJournal]
) -> None:
    place(journal)
    journal.record_fills([a_fill()])
    fresh = opened(AccountKey("us:sim:restarted"))
    assert (fresh.in_doubt(), fresh.intents(), fresh.fills(), fresh.events()) == ((), (), (), ())
    assert fresh.booked().sent_today == 0
    place(fresh)  # the same id, another account
    assert len(fresh.record_fills([a_fill()])) == 1
    assert len(journal.in_doubt()) == 1
    assert fresh.check(full=True).sound
    assert journal.check(full=True).rows == 4


def test_lists_are_newest_first_and_bounded(journal: SqlJournal, clock: FakeClock) -> None:
    for number in range(5):
        place(journal, f"intent-{number:04d}")
    middle = clock.now()
    clock.pass_(hours=1)
    place(journal, "intent-0005")
    assert [each.intent.id for each in journal.intents(limit=2)] == ["intent-0005", "intent-0004"]
    assert [each.intent.id for each in journal.intents(since=middle)] == ["intent-0005"]
    assert len(journal.intents()) == 6
    assert next(each.intent.id for each in journal.in_doubt()) == "intent-0000"


# PostgreSQL's planner weighs costs and rightly walks a table of a few rows; that its indexes are there is checked on opening.
@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True)
def test_every_read_is_carried_by_an_index(journal: SqlJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand orders later a read must not walk the whole journal."""
    place(journal)
    journal.record_outcome(IntentId("intent-0001"), accepted())
    journal.record_fills([a_fill()])
    asked: list[tuple[str, object]] = []
    database = journal.log.database
    assert isinstance(database, Database)
    connection = database._connection

    def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
        asked.append((statement, values))

    event.listen(connection, "before_cursor_execute", note)
    journal.intents(limit=5)
    journal.intents(since=START, limit=5)
    journal.fills(limit=5)
    journal.fills(since=START)
    journal.events(limit=5)
    journal.events(kind="alarm", limit=5)
    journal.intent(IntentId("intent-9999"))
    journal.intent_by_order(VenueOrderId("order-9"))
    journal.record_order(an_order("order-9", intent=None), None)
    journal.record_fills([a_fill("other")])
    event.remove(connection, "before_cursor_execute", note)
    selects = [(statement, values) for statement, values in asked if statement.lstrip().startswith("SELECT")]
    assert len(selects) > 12
    for statement, values in selects:
        plan = " ".join(
            str(step[3])
            for step in database._driver.execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
        )
        assert "SEARCH" in plan, (statement, plan)
        assert "TEMP B-TREE" not in plan or " IN (" in statement, (statement, plan)


# --- replay -----------------------------------------------------------------------------------------


def replayed(journal: SqlJournal) -> State:
    state = State(journal.account, seq=0, head=GENESIS)
    for row in rows_since(journal.log.database, 1):
        state.apply(row)
    return state


steps = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("place", "deny", "unknown", "accept", "reject", "not_sent", "late", "second", "fill", "reverse"),
                *("order", "cancel", "foreign", "edit", "edit_ok", "mark", "halt", "release", "snapshot", "wait"),
                *("opening", "state", "exit", "exit_ok", "transfer"),
            ]
        ),
        st.integers(0, 3),
    ),
    max_size=40,
)


def hold_to_a_replay(folder: Path, url: str | None, story: list[tuple[str, int]]) -> str:
    """Tells the story, and holds every view of it to a replay; the state it ends in."""
    clock = FakeClock()
    journal = a_journal(folder, clock=clock, url=url)
    watcher = a_journal(folder, clock=clock, url=url)  # a second process, taking in what the first writes
    try:
        for number, (what, which) in enumerate(story):
            tell(journal, clock, what, number, which)
            if number % 7 == 0:
                watcher.booked()
        expected = state_text(replayed(journal))
        assert state_text(journal.log.fresh()) == expected
        assert state_text(watcher.log.fresh()) == expected
        assert state_text(state_of(expected)) == expected
        reopened = a_journal(folder, clock=clock, url=url)
        assert state_text(reopened.log.fresh()) == expected
        reopened.close()
        found = journal.check(full=True)
        assert (found.sound, found.problem, found.first_bad) == (True, "", None)
        return expected
    finally:
        journal.close()
        watcher.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_a_replay_from_nothing_gives_the_same_state_bit_for_bit_J3(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, int]]
) -> None:
    hold_to_a_replay(tmp_path_factory.mktemp("j"), None, story)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(story=steps)
def test_the_same_story_gives_the_same_rows_and_state_on_both_back_ends_bit_for_bit_J3(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Server, story: list[tuple[str, int]]
) -> None:
    """Rows, hashes and views: what one back end keeps, the other would verify."""
    folder = tmp_path_factory.mktemp("file")
    url = postgres_server.url(postgres_server.new_database())
    beside = tmp_path_factory.mktemp("shared")
    assert hold_to_a_replay(folder, None, story) == hold_to_a_replay(beside, url, story)
    kept = [open_backend(folder, None, clock=FakeClock()), open_backend(beside, url, clock=FakeClock())]
    try:
        in_file, in_database = (list(rows_since(each, 1)) for each in kept)
        assert in_file == in_database
    finally:
        for each in kept:
            each.close()


def tell(journal: SqlJournal, clock: FakeClock, what: str, number: int, which: int) -> None:  # noqa: PLR0912 - one branch a word
    """One step of a story over four intents; what makes no sense yet is left out."""
    id_, order = IntentId(f"intent-{which:04d}"), f"order-{which}"
    known = journal.intent(id_)
    sent = known is not None and known.denied is None
    intent = an_intent(id_)
    match what:
        case "place":
            journal.decide(intent, intent.size, yes(intent))
        case "deny":
            journal.decide(intent, intent.size, no)
        case "unknown" if sent:
            journal.record_outcome(id_, UNKNOWN)
        case "accept" | "late" if sent:
            journal.record_outcome(id_, accepted(order, an_order(order, intent=id_) if what == "late" else None))
        case "second" if sent:
            journal.record_outcome(id_, accepted(f"second-{which}"))
        case "reject" if sent:
            journal.record_outcome(id_, REJECTED)
        case "not_sent" if sent:
            journal.record_outcome(id_, NOT_SENT)
        case "fill" | "reverse":
            kind = FillKind.REVERSAL if what == "reverse" else FillKind.FILL
            journal.record_fills([a_fill(f"f{number}", order=order, size="0.01", kind=kind, at=clock.time)])
        case "order" if sent:
            journal.record_order(an_order(order, intent=id_, filled=f"0.0{which + 1}", read_at=clock.now()), None)
        case "cancel" if sent:
            journal.record_order(
                an_order(order, intent=id_, status=OrderStatus.CANCELLED, read_at=clock.now()),
                id_ if which % 2 else None,
            )
        case "foreign":
            journal.record_order(an_order(f"foreign-{which}", intent=None, filled=f"0.0{which}"), None)
        case "edit" if sent:
            edit = an_edit(f"edit-{number:05d}", target=id_, order=order, size="0.2")
            journal.decide_edit(edit, an_intent().size, edit_yes(edit))
        case "edit_ok":
            for record in journal.in_doubt():
                if isinstance(record.intent, EditIntent):
                    journal.record_outcome(record.intent.id, accepted(record.intent.venue_order_id))
        case "mark":
            journal.record_mark(a_mark(at=clock.now() - timedelta(seconds=which)))
        case "halt" | "release":
            journal.record_halt(engaged=what == "halt", reason=what, by="story", loss_breach=which == 1)
        case "snapshot":
            journal.log.snapshot()
        case "opening":
            journal.record_event(EventKind.RECONCILED, {"adopted": [{"product_id": ETH, "coin": Decimal(which + 1)}]})
        case "state":
            journal.record_state(BTC, list(TradingState)[which % 3], "story")
        case "exit":
            pending = {"product_id": BTC, "size": Decimal(which), "reason": "closed", "retry_at": None}
            journal.record_event(EventKind.EXIT_PENDING, pending)
        case "exit_ok":
            journal.record_event(EventKind.EXIT_SETTLED, {"product_id": BTC})
        case "transfer":
            journal.record_event(EventKind.TRANSFER, {"amount": Decimal(which) - 2, "at": clock.time})
        case "wait":
            clock.pass_(minutes=1 + 60 * which)


def test_a_snapshot_holds_everything_a_replay_gives_J3(journal: SqlJournal, clock: FakeClock) -> None:
    words = (
        "place",
        "accept",
        "fill",
        "second",
        "foreign",
        "edit",
        "opening",
        "state",
        "exit",
        "transfer",
        "mark",
        "halt",
    )
    for number, what in enumerate(words):
        tell(journal, clock, what, number, 1)
    text = state_text(journal.log.fresh())
    assert state_text(state_of(text)) == text == state_text(replayed(journal))
    empty = json.loads(state_text(State(ACCOUNT, seq=0, head=GENESIS)))
    told = json.loads(text)
    same = {name for name, value in told.items() if value == empty[name]}
    assert same <= {"account", "ended", "form"}  # each part was really there to be lost
    assert {name for name in told["ledger"] if told["ledger"][name] == empty["ledger"][name]} == set()


def test_an_exit_decision_is_on_the_same_record(journal: SqlJournal) -> None:
    intent = an_intent(road=Road.SWITCH)
    journal.decide(intent, intent.size, yes(intent))
    record = journal.intent(intent.id)
    assert record is not None
    assert record.intent == intent


def test_a_snapshot_of_another_versions_form_is_passed_over_and_the_rows_folded_again_J3_J6(
    journal: SqlJournal, opened: Callable[..., SqlJournal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a version folds differently must not look like damage to the next one: snapshots can be thrown away."""
    place(journal)
    monkeypatch.setattr(rows_log, "state_text", lambda state: '{"form":"of another version","tracked":[]}')
    journal.log.snapshot()
    monkeypatch.undo()
    again = opened()
    assert [record.intent.id for record in again.in_doubt()] == ["intent-0001"]
    assert again.check(full=True).sound
    again.log.snapshot()
    assert opened().check(full=True).sound
