"""Cash, positions, margin, funding, liquidation: the identities that must hold to the last decimal."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange, InvalidArgument
from perpsctl.simulator.ledger import Ledger, Position
from perpsctl.simulator.listings import ANY_SOURCE
from perpsctl.simulator.margin import Exposure, liquidation_price, measure
from perpsctl.simulator.options import Options, ReplaySpec
from perpsctl.simulator.orders import FillFilter, OrderFilter, OrderStatus, OrderType, Side
from perpsctl.simulator.products import BIP as BIP_TERMS
from perpsctl.simulator.views import JudgeView
from tests.unit.simulator.core.asking import BIP, ETP, START, D, a_request, placed, refused, still_market


def sums_to_balances(view: JudgeView) -> bool:
    """The judge's own addition of the ledger, wallet by wallet."""
    sums: dict[str, Decimal] = {}
    for row in view.ledger:
        sums[row.wallet] = sums.get(row.wallet, D(0)) + row.amount
    return sums.get("cbi", D(0)) == view.cbi_usd and sums.get("cfm", D(0)) == view.cfm_usd


@given(
    trades=st.lists(st.tuples(st.integers(-30, 30).filter(bool), st.integers(1, 20_000)), max_size=30),
)
def test_a_position_realises_exactly_its_cash_flows_by_the_time_it_is_flat(trades: list[tuple[int, int]]) -> None:
    position, unit, cash, realized = Position(), D("0.01"), D(0), D(0)
    for contracts, ticks in trades:
        price = D(ticks) * 5
        cash -= contracts * unit * price
        realized += position.trade(D(contracts), price, unit)
        assert realized + position.unrealized(price, unit) == cash + position.contracts * unit * price
    if position.contracts:
        cash += position.contracts * unit * 100
        realized += position.trade(-position.contracts, D(100), unit)
    assert position.cost == 0
    assert realized == cash


def test_the_average_entry_moves_on_adding_and_stays_on_reducing() -> None:
    position, unit = Position(), D("0.1")
    position.trade(D(2), D(100), unit)
    position.trade(D(2), D(110), unit)
    assert position.average_entry(unit) == 105
    assert position.trade(D(-1), D(125), unit) == 2
    assert position.average_entry(unit) == 105
    assert position.trade(D(-5), D(95), unit) == -3
    assert (position.contracts, position.average_entry(unit)) == (D(-2), D(95))


def test_folding_old_rows_keeps_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpsctl.simulator.ledger.ROWS_KEPT", 3)
    ledger = Ledger()
    for n in range(1, 11):
        ledger.post(at=START, kind="fee", wallet="cfm", amount=D(n) / 8)
    assert len(ledger.rows()) == 4
    assert sum(row.amount for row in ledger.rows()) == ledger.balance("cfm") == D(55) / 8


@settings(max_examples=40, deadline=None)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(("buy", "sell", "rest", "cancel", "close", "price", "wait", "sweep")), st.integers(1, 60)
        ),
        max_size=25,
    ),
    seed=st.integers(0, 5),
)
def test_the_ledger_sums_to_the_balances_and_positions_to_the_fills_whatever_happens(
    acts: list[tuple[str, int]], seed: int
) -> None:
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(seed=seed, cfm_usd=D(2000), cbi_usd=D(40_000)))
    exchange.control.set_fees(maker=D("-0.0001"), taker=D("0.00055"))
    for act, n in acts:
        book = exchange.book(BIP, 1)
        match act:
            case "buy" | "sell":
                exchange.create(a_request(side=Side.BUY if act == "buy" else Side.SELL, size=n))
            case "rest":
                exchange.create(a_request(side=Side.BUY, size=n, price=book.bids[0].price))
            case "cancel":
                exchange.cancel([order.order_id for order in exchange.orders(OrderFilter(statuses=("OPEN",))).items])
            case "close":
                exchange.close_position(client_order_id=f"close-{clock.now()}", product_id=BIP)
            case "price":
                exchange.control.set_price(BIP, book.bids[0].price + 5 * (n - 30) * 10)
            case "wait":
                clock.advance(n * 600)
            case "sweep":
                exchange.schedule_sweep(D(n))
        clock.advance(milliseconds=130)
    view = exchange.judge_view()
    assert sums_to_balances(view)
    fills = exchange.fills(FillFilter(limit=10_000)).items
    held = sum((fill.size * fill.side.sign for fill in fills), D(0))
    assert view.positions.get(BIP, D(0)) == held
    traded = sum((-fill.size * fill.side.sign * fill.price * D("0.01") - fill.commission for fill in fills), D(0))
    other = sum((row.amount for row in view.ledger if row.kind in {"opening", "funding"}), D(0))
    position = next(iter(exchange.positions()), None)
    open_cost = D(0) if position is None else held * D("0.01") * position.current_price - position.unrealized_pnl
    assert view.cbi_usd + view.cfm_usd == other + traded + open_cost, "cash is what fills, fees and funding made it"
    for order in exchange.orders(OrderFilter(sources=ANY_SOURCE)).items:
        assert 0 <= order.filled_size <= order.size
        assert order.filled_size == sum(fill.size for fill in fills if fill.order_id == order.order_id)
        assert order.total_fees == sum(fill.commission for fill in fills if fill.order_id == order.order_id)


def test_fees_follow_the_tier_and_their_parts_sum_to_the_whole(exchange: Exchange) -> None:
    still_market(exchange)
    exchange.control.set_fees(maker=D("0.0002"), taker=D("0.0005"))
    exchange.create(a_request(size=10))
    fill = exchange.fills(FillFilter()).items[0]
    parts = fill.commission_detail
    assert fill.commission == D(10) * D("0.01") * 60005 * D("0.0005")
    assert parts.client + parts.venue + parts.regulatory + parts.clearing == parts.total == fill.commission
    assert exchange.fee_summary().total_fees == fill.commission


def test_the_simulated_account_starts_with_a_million(exchange: Exchange) -> None:
    summary = exchange.balance_summary()
    assert summary.total_usd_balance == summary.cbi_usd_balance + summary.cfm_usd_balance == 1_000_000
    assert summary.available_margin == summary.futures_buying_power == 1_000_000


def test_margin_takes_the_worse_side_of_working_orders_never_netted(exchange: Exchange) -> None:
    still_market(exchange)
    exchange.control.set_position(BIP, D(10))
    base = exchange.balance_summary()
    notional = D("0.01") * D("60002.5")
    assert base.initial_margin == 10 * notional * D("0.245625")
    exchange.create(a_request(size=4, price=59000))
    assert exchange.balance_summary().total_open_orders_hold_amount == 4 * notional * D("0.245625")
    exchange.create(a_request(size=30, price=61000, side=Side.SELL))
    short_side = 20 * notional * D("0.306375")
    assert exchange.balance_summary().total_open_orders_hold_amount == short_side - base.initial_margin


def test_an_order_that_only_reduces_passes_however_thin_the_margin(exchange: Exchange) -> None:
    still_market(exchange)
    exchange.control.set_position(BIP, D(10))
    exchange.control.set_balance(cbi_usd=D(0), cfm_usd=D(1400))
    assert refused(exchange.create(a_request(size=1, price=59000))).reason == "INSUFFICIENT_FUND"
    placed(exchange.create(a_request(size=10, side=Side.SELL, price=60100)))


def test_intraday_rates_apply_only_when_opted_in_and_only_in_the_window(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    exchange.control.set_position(BIP, D(10))
    standard = exchange.balance_summary()
    assert standard.initial_margin == standard.overnight.initial_margin > standard.intraday.initial_margin
    assert exchange.margin_window().margin_window_type == "MARGIN_WINDOW_TYPE_OVERNIGHT"
    exchange.set_margin_setting("INTRADAY_MARGIN_SETTING_INTRADAY")
    assert exchange.balance_summary().initial_margin == standard.intraday.initial_margin
    window = exchange.margin_window()
    assert window.margin_window_type == "MARGIN_WINDOW_TYPE_INTRADAY"
    assert window.end_time - clock.now() >= timedelta(hours=6)
    clock.set(window.end_time)
    assert exchange.balance_summary().initial_margin == standard.initial_margin
    with pytest.raises(InvalidArgument):
        exchange.set_margin_setting("INTRADAY_MARGIN_SETTING_UNSPECIFIED")


def test_spot_cash_follows_automatically_when_a_position_needs_it(exchange: Exchange) -> None:
    still_market(exchange)
    exchange.control.set_balance(cfm_usd=D(100))
    exchange.create(a_request(size=10))
    view = exchange.judge_view()
    moved = [row for row in view.ledger if row.kind == "transfer"]
    assert [row.wallet for row in moved] == ["cbi", "cfm"]
    assert sum(row.amount for row in moved) == 0
    assert exchange.balance_summary().cfm_usd_balance >= exchange.balance_summary().initial_margin
    assert sums_to_balances(view)


@given(contracts=st.integers(-50, 50).filter(bool), cash=st.integers(1000, 100_000))
def test_the_liquidation_price_is_where_equity_meets_the_threshold(contracts: int, cash: int) -> None:
    def exposure(mark: Decimal) -> Exposure:
        unrealized = contracts * D("0.01") * (mark - 60000)
        return Exposure(
            product=BIP_TERMS, contracts=D(contracts), buys=D(0), sells=D(0), mark=mark, unrealized=unrealized
        )

    price = liquidation_price(D(cash), [exposure(D(60000))], BIP_TERMS.product_id, intraday=False)
    if price is None:
        assert contracts > 0
        return
    at = measure(D(cash), [exposure(price)], intraday=False)
    assert abs(at.available - at.threshold) < D("0.01") * abs(contracts)


def test_below_the_threshold_working_orders_go_first_and_then_the_position(
    exchange: Exchange, clock: ManualClock
) -> None:
    still_market(exchange)
    exchange.control.set_position(BIP, D(10))
    resting = placed(exchange.create(a_request(size=1, price=50000))).order_id
    exchange.control.set_balance(cbi_usd=D(0), cfm_usd=D(1400))
    assert exchange.order(resting).status is OrderStatus.CANCELLED, "holds count against available margin"
    assert exchange.position(BIP).number_of_contracts == 10, "without the hold the margin is enough"
    exchange.control.set_balance(cfm_usd=D(1300))
    assert exchange.positions() == ()
    liquidation = exchange.orders(OrderFilter(sources=ANY_SOURCE)).items[0]
    assert (liquidation.order_type, liquidation.is_liquidation) == (OrderType.LIQUIDATION, True)
    assert exchange.orders(OrderFilter()).items[0].order_id == resting, "a plain list does not show it"
    assert sums_to_balances(exchange.judge_view())


def test_a_falling_market_liquidates_while_nobody_looks(tmp_path: Path) -> None:
    fall = tmp_path / "btc_fall.csv"
    rows = [f"2022-01-01T00:0{n}:00Z,{p},{p},{p - 1000},{p - 1000}" for n, p in enumerate(range(60_000, 52_000, -1000))]
    fall.write_text("\n".join(["timestamp,open,high,low,close", *rows]) + "\n")
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=fall), cbi_usd=D(0), cfm_usd=D(1600)))
    exchange.create(a_request(size=10))
    clock.advance(7200)
    assert exchange.positions() == ()
    bought, sold = exchange.orders(OrderFilter(sources=ANY_SOURCE)).items[::-1]
    assert [bought.is_liquidation, sold.is_liquidation] == [False, True]
    assert START + timedelta(minutes=1) < sold.created_time < START + timedelta(minutes=9)
    assert exchange.balance_summary().total_usd_balance > 0, "it was closed before the money was gone"


def test_margin_levels_walk_down_to_liquidation(exchange: Exchange) -> None:
    still_market(exchange)
    exchange.control.set_position(BIP, D(10))
    threshold = exchange.balance_summary().liquidation_threshold
    levels = []
    for share in (D("1.6"), D("1.4"), D("1.1")):
        exchange.control.set_balance(cbi_usd=D(0), cfm_usd=(threshold * share).quantize(D("0.01")) + 1)
        exchange.control.set_position(BIP, D(10))
        levels.append(exchange.balance_summary().overnight.margin_level.removeprefix("MARGIN_LEVEL_TYPE_"))
    assert levels == ["BASE", "WARNING", "DANGER"]


def test_funding_accrues_each_hour_and_becomes_cash_at_the_event_only(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    exchange.control.set_index(BIP, D(60000))
    exchange.control.set_funding(BIP, D("0.00002"))
    exchange.control.set_position(BIP, D(10))
    exchange.control.set_position(ETP, D(-3))
    exchange.control.set_funding(ETP, D(0))
    event = exchange.control.next_cash_event()
    assert event is not None
    assert event - clock.now() >= timedelta(hours=6)
    hourly = -(10 * D("0.01") * 60000 * D("0.00002"))
    clock.set(clock.now().replace(hour=13, minute=0, second=0))
    assert exchange.balance_summary().funding_pnl == 3 * hourly
    assert not [row for row in exchange.ledger() if row.kind == "funding"]
    clock.set(event)
    paid = [row for row in exchange.ledger() if row.kind == "funding"]
    assert [(row.amount, row.at, row.product_id) for row in paid] == [(6 * hourly, event, BIP)]
    clock.advance(12 * 3600)
    exchange.advance()
    assert sum(row.amount for row in exchange.ledger() if row.kind == "funding") == 18 * hourly


def test_shorts_receive_what_longs_pay(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    exchange.control.set_funding(BIP, D("0.00002"))
    exchange.control.set_position(BIP, D(-10))
    clock.advance(3600)
    assert exchange.balance_summary().funding_pnl > 0


def test_cash_times_can_be_moved_and_taken_away(exchange: Exchange, clock: ManualClock) -> None:
    exchange.control.set_position(BIP, D(10))
    exchange.control.set_cash_times(("11:30",))
    assert exchange.control.next_cash_event() == clock.now().replace(hour=11, minute=30, second=0)
    clock.advance(2 * 3600)
    assert [row.at.hour for row in exchange.ledger() if row.kind == "funding"] == [11]
    exchange.control.set_cash_times(())
    clock.advance(72 * 3600)
    assert len([row for row in exchange.ledger() if row.kind == "funding"]) == 1
    with pytest.raises(ValueError, match="HH:MM"):
        exchange.control.set_cash_times(("25",))


def test_generated_funding_stays_below_the_operators_default_cap(exchange: Exchange, clock: ManualClock) -> None:
    for _ in range(48):
        clock.advance(3600)
        for product in exchange.products(product_type="FUTURE"):
            assert product.future is not None
            if product.future.funding_rate is not None:
                assert abs(product.future.funding_rate) * 24 < D("0.001")


def test_daily_figures_start_again_with_the_session_day(exchange: Exchange, clock: ManualClock) -> None:
    still_market(exchange)
    exchange.create(a_request(size=2))
    exchange.create(a_request(size=1, side=Side.SELL))
    assert exchange.balance_summary().daily_realized_pnl != 0
    session = exchange.product(BIP).session
    assert session is not None
    clock.set(session.close_time)
    assert exchange.balance_summary().daily_realized_pnl == 0
    assert exchange.position(BIP).number_of_contracts == 1


def test_a_sweep_moves_free_cash_to_spot_at_the_end_of_the_session_day(exchange: Exchange, clock: ManualClock) -> None:
    assert exchange.schedule_sweep(D(500))
    assert not exchange.schedule_sweep(None), "one pending at a time"
    clock.set(exchange.sweeps()[0].scheduled_time)
    assert exchange.sweeps() == ()
    assert exchange.balance_summary().cbi_usd_balance == 900_500
    assert exchange.schedule_sweep(None)
    assert exchange.cancel_sweep()
    assert not exchange.cancel_sweep()


def test_funds_move_between_portfolios_and_never_out_of_nothing(exchange: Exchange) -> None:
    other = exchange.create_portfolio("Vault")
    exchange.move_funds(source=exchange.portfolio_uuid, target=other.uuid, amount=D(1000), currency="USD")
    assert exchange.portfolio(other.uuid).cash == 1000
    assert exchange.portfolio(exchange.portfolio_uuid).cash == 899_000
    with pytest.raises(InvalidArgument, match="insufficient"):
        exchange.move_funds(source=other.uuid, target=exchange.portfolio_uuid, amount=D(1001), currency="USD")
    with pytest.raises(InvalidArgument, match="empty"):
        exchange.delete_portfolio(other.uuid)
    assert sums_to_balances(exchange.judge_view())
