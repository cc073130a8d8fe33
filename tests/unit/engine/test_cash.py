"""The cash ledger as pure sums: rows of the venue's books against our fills, a balance against published funding."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.cash import CashRow
from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.domain.funding import FundingHour
from perpsctl.domain.ids import FillId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import Fill, FillKind, OrderStatus
from perpsctl.domain.reports import BreakClass
from perpsctl.domain.sides import Side
from perpsctl.engine import cash_balance, cash_rows, expected_funding
from perpsctl.engine.breaks import order_fee_breaks
from tests.builders import BTC, a_fill, an_order
from tests.unit.engine.conftest import House

PRODUCT = ProductId(BTC)
AT = datetime(2026, 11, 21, 8, tzinfo=UTC)
EIGHT = (time(8),)
ZERO = Decimal(0)


def a_trade(name: str, side: Side, size: str, price: str, fee: str | None, *, at: datetime = AT) -> Fill:
    return replace(
        a_fill(),
        fill_id=FillId(name),
        trade_id=name,
        product_id=PRODUCT,
        side=side,
        size=Size(Decimal(size)),
        price=Price(Decimal(price)),
        fee=None if fee is None else Notional(Decimal(fee)),
        kind=FillKind.FILL,
        time=at,
    )


def row(seq: int, kind: str, change: str, **told: object) -> CashRow:
    plain = {"scope": "account", "at": AT, "product_id": PRODUCT, "balance": None} | told
    return CashRow(seq=seq, kind=kind, change=Notional(Decimal(change)), **plain)  # type: ignore[arg-type]


def settled(seq: int, change: str, price: str, *, accrued: str = "0", funding: str = "0", **told: object) -> CashRow:
    return row(
        seq, "settlement", change, price=Price(Decimal(price)), accrued=Notional(Decimal(accrued)),
        funding=Notional(Decimal(funding)), **told,
    )  # fmt: skip


def at_start(balance: str = "1000") -> cash_rows.RowsState:
    return cash_rows.RowsState(at=AT, balance=Decimal(balance), seq={"account": 0}, running={})


def explained(
    *rows: CashRow, fills: tuple[Fill, ...] = (), state: cash_rows.RowsState | None = None
) -> cash_rows.Explained:
    return cash_rows.explain(state or at_start(), rows, {fill.trade_id: fill for fill in fills}, EIGHT)


def traded(seq: int, name: str, fee: str, accrued: str = "0") -> CashRow:
    return row(seq, "trade", f"-{fee}", trade_id=name, fee=Notional(Decimal(fee)), accrued=Notional(Decimal(accrued)))


def test_a_round_trip_becomes_cash_at_the_settlement_with_its_fees_and_funding() -> None:
    fills = (a_trade("t1", Side.BUY, "0.02", "60000", "0.6"), a_trade("t2", Side.SELL, "0.01", "61000", "0.3"))
    told = explained(
        traded(1, "t1", "0.6"), traded(2, "t2", "0.3", accrued="-0.1"),
        settled(3, "19.75", "61000", accrued="-0.15", funding="-0.25"), fills=fills,
    )  # fmt: skip
    assert (told.realised, told.fees, told.funding, told.breaks) == (Decimal(20), Decimal("-0.9"), Decimal("-0.25"), [])


def test_a_trade_in_two_rows_is_one_trade_with_both_commissions() -> None:
    fill = a_trade("t1", Side.BUY, "0.02", "60000", "0.6")
    told = explained(traded(1, "t1", "0.4"), traded(2, "t1", "0.2"), fills=(fill,))
    assert (told.fills, told.fees, told.breaks) == (1, Decimal("-0.6"), [])


def test_a_fee_that_the_books_tell_otherwise_is_a_fee_break() -> None:
    told = explained(traded(1, "t1", "0.7"), fills=(a_trade("t1", Side.BUY, "0.02", "60000", "0.6"),))
    (found,) = told.breaks
    assert (found.kind, found.cls, found.ours, found.theirs) == ("fee", BreakClass.FEE, "0.6", "0.7")


def test_a_trade_of_the_books_without_a_fill_is_missed_and_never_invented() -> None:
    told = explained(traded(1, "t1", "0.7"))
    (found,) = told.breaks
    assert (found.kind, found.cls, told.fills, told.fees) == ("cash", BreakClass.MISSED, 0, ZERO)


def test_a_row_of_an_unknown_kind_is_unknown_and_explains_nothing() -> None:
    told = explained(row(1, "socialized loss", "-3", product_id=None))
    (found,) = told.breaks
    assert (found.cls, found.theirs, told.transfers) == (BreakClass.UNKNOWN, "socialized loss -3", ZERO)


def test_money_that_moved_between_scopes_cancels_out_and_what_came_from_outside_does_not() -> None:
    there = row(1, "transfer", "-50", product_id=None, moved=True)
    here = row(1, "transfer", "50", product_id=None, moved=True, scope="slot 7")
    assert explained(there, here).transfers == 0
    assert explained(row(1, "deposit", "12.5", product_id=None, moved=True)).transfers == Decimal("12.5")


@pytest.mark.parametrize(("paid", "accrued"), [("-0.5", "-0.25"), ("0", "-0.25"), ("0.25", "-0.25"), ("-2", "-0.25")])
def test_E19_what_is_settled_otherwise_than_it_accrued_is_a_funding_break(paid: str, accrued: str) -> None:
    told = explained(settled(1, paid, "60000", accrued=accrued, funding=paid))
    (found,) = told.breaks
    assert (found.kind, found.cls, found.ours, found.theirs) == ("funding", BreakClass.FUNDING, accrued, paid)
    assert told.funding == Decimal(paid), "the ledger goes by what the venue did"


def test_E19_funding_that_becomes_cash_at_another_time_is_a_funding_break() -> None:
    told = explained(settled(1, "-1", "60000", accrued="-1", funding="-1", at=AT + timedelta(hours=3)))
    (found,) = told.breaks
    assert (found.cls, found.ours, found.theirs) == (BreakClass.FUNDING, "due at 08:00Z", "11:00Z")


def test_a_row_that_is_missing_is_never_passed_over() -> None:
    with pytest.raises(cash_rows.BooksCutOff):
        explained(row(2, "deposit", "1", product_id=None, moved=True))


def test_the_books_are_anchored_at_the_last_settlement() -> None:
    rows = (
        settled(5, "1", "60000", position=Decimal("0.02")),
        row(6, "trade", "0", trade_id="t1", sign=-1, coin=Decimal("0.01"), price=Price(Decimal(61000))),
    )
    state = cash_rows.anchored(rows, Decimal(1000), AT)
    held = state.running["account", PRODUCT]
    assert (held.coin, held.value, state.seq) == (Decimal("0.01"), Decimal(-590), {"account": 6})


def test_books_that_begin_within_a_position_cannot_open_a_ledger() -> None:
    late = row(
        6, "trade", "0", trade_id="t1", sign=-1, coin=Decimal("0.01"), price=Price(Decimal(61000)),
        position=Decimal("0.01"),
    )  # fmt: skip
    with pytest.raises(cash_rows.BooksCutOff):
        cash_rows.anchored((late,), Decimal(1000), AT)


# --- published rates -------------------------------------------------------------------------------------------


def payment(amount: str, coin: str = "0.1") -> cash_rows.PaidFunding:
    return cash_rows.PaidFunding(
        product_id=PRODUCT, begin=AT, end=AT + timedelta(hours=8), turns=((AT, Decimal(coin)),), amount=Decimal(amount),
        price=Price(Decimal(60000)),
    )  # fmt: skip


def published(house: House, rate: str = "0.00001") -> None:
    house.venue.hours_ = tuple(
        FundingHour(
            at=AT + timedelta(hours=n), rate_1h=Decimal(rate), rate_8h=Decimal(rate) * 8, index_price=Price(Decimal(60000))
        )
        for n in range(1, 9)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("paid", "fits"),
    [("-0.48", True), ("-0.47", True), ("-0.96", False), ("0", False), ("0.48", False), ("-3.84", False)],
)
def test_E19_what_was_paid_is_held_against_the_published_rates(house: House, paid: str, fits: bool) -> None:
    published(house)
    expected, breaks = expected_funding.held_against([payment(paid)], house.venue, AT + timedelta(hours=9))
    assert expected == Decimal("-0.48")
    assert (breaks == ()) is fits
    assert all(each.cls is BreakClass.FUNDING for each in breaks)


def test_an_hour_that_is_not_published_expects_nothing(house: House) -> None:
    house.venue.hours_ = ()
    assert expected_funding.held_against([payment("-0.48")], house.venue, AT) == (None, ())


# --- fees ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "fee", "found"), [("0.6", "0.6", 0), ("0.7", "0.6", 1), ("0.6", None, 1)])
def test_E16_fees_of_an_order_are_those_of_its_fills_or_a_fee_break(told: str, fee: str | None, found: int) -> None:
    fill = a_trade("t1", Side.BUY, "0.01", "60000", fee)
    order = replace(
        an_order(status=OrderStatus.FILLED, filled="0.01", size="0.01"),
        venue_order_id=VenueOrderId(str(fill.venue_order_id)),
        fees=Notional(Decimal(told)),
    )
    breaks = order_fee_breaks([order], [fill])
    assert [each.cls for each in breaks] == [BreakClass.FEE] * found
    assert order_fee_breaks([order], []) == (), "an order whose fills are not all known is not judged"


# --- a balance without rows ------------------------------------------------------------------------------------


def an_opening(**terms: object) -> cash_balance.Opening:
    plain = {
        "at": AT, "through": AT, "balance": Decimal(1000), "costs": {}, "held": {}, "known": frozenset(),
        "funded_to": AT, "hours": (),
    } | terms  # fmt: skip
    return cash_balance.Opening(**plain)  # type: ignore[arg-type]


def test_what_trades_earned_is_fills_and_the_venues_cost_whatever_the_price() -> None:
    fills = (a_trade("t1", Side.BUY, "0.02", "60000", "0.6"), a_trade("t2", Side.SELL, "0.01", "61000", "0.3"))
    told = cash_balance.counted(an_opening(), fills, {PRODUCT: Decimal(600)}, Decimal("1009.1"))
    assert (told.realised, told.fees, told.rest) == (Decimal(10), Decimal("-0.9"), ZERO)


def test_a_reversal_takes_back_what_its_fill_did() -> None:
    fill = a_trade("t1", Side.BUY, "0.02", "60000", "0.6")
    told = cash_balance.counted(an_opening(), (fill, replace(fill, kind=FillKind.REVERSAL)), {}, Decimal(1000))
    assert (told.realised, told.fees, told.rest) == (ZERO, ZERO, ZERO)


def test_what_was_held_since_the_last_payment_is_known_backwards_from_the_fills() -> None:
    later = AT + timedelta(hours=1)
    fill = a_trade("t1", Side.SELL, "0.01", "60000", "0", at=later)
    held = cash_balance.turns({PRODUCT: Decimal("0.02")}, (fill,), AT)
    assert held == {PRODUCT: ((AT, Decimal("0.03")), (later, Decimal("0.02")))}


def test_no_position_and_no_hours_means_that_nothing_but_nothing_is_funding() -> None:
    (only, *_) = cash_balance.expectations(an_opening(), (), (), EIGHT, AT + timedelta(hours=30))
    assert only.admits(ZERO)
    assert not only.admits(Decimal("0.00000001"))


def test_a_ledger_that_does_not_find_where_positions_began_is_unread(house: House) -> None:
    house.venue.rows_ = []
    house.venue.coin[PRODUCT] = Decimal("0.02")
    with pytest.raises(VenueSpokeStrangely):
        house.engine.reconciler.cash.accept(by="ann", reason="why")
    report = house.engine.reconciler.run(ledger=True)
    assert report.ledger is None
    assert any("cannot open" in note for note in report.unread)
