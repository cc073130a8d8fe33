"""Reads of the gateway answer whole or raise: products, funding, money, positions, orders, fills, cancels, search."""

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from perpsctl.domain.errors import (
    UsageError,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.market import MarkSource, PriceLimits
from perpsctl.domain.numbers import NO_SIZE, Price
from perpsctl.domain.orders import OrderStatus, OrderType, TimeInForce
from perpsctl.domain.ports import Sought
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import IntentRecord, IntentStage
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode, Denied
from perpsctl.exchange.global_derivatives import GLOBAL_CAPABILITIES, GlobalDerivativesVenue
from perpsctl.exchange.global_derivatives.funding import HISTORY_MAX_AGE
from perpsctl.exchange.global_derivatives.operations import Operations
from perpsctl.exchange.retrying import RetryPolicy
from perpsctl.risk.judge import evaluate
from perpsctl.risk.limits import RiskLimits
from tests.builders import a_product, a_view, an_intent, some_facts
from tests.unit.exchange.global_derivatives.parts import (
    BTC,
    LABEL,
    NOW_MS,
    Call,
    Gateway,
    Refusal,
    a_gateway,
    approved,
    instrument_body,
    order_body,
    summary_body,
    ticker_body,
    trade_body,
)
from tests.unit.exchange.parts import NOW, FakeClock

PERP = ProductId(BTC)
ONE = VenueOrderId("USDC-1")
STATE = "private/get_order_state"
OPEN = "private/get_open_orders"
HISTORY = "private/get_order_history_by_currency"
TRADES = "private/get_user_trades_by_currency_and_time"
BY_LABEL = "private/get_order_state_by_label"
OPEN_BY_LABEL = "private/get_open_orders_by_label"
TRIGGERS = "private/get_trigger_order_history"
SUBACCOUNTS = "private/get_subaccounts"
SUMMARIES = "private/get_account_summaries"
HOUR_MS = 3_600_000


def ready(clock: FakeClock | None = None, **more: Any) -> tuple[GlobalDerivativesVenue, Gateway]:
    venue, gateway = a_gateway(clock, **more)
    gateway.on(
        "public/get_instruments", [[instrument_body(), instrument_body(instrument_name="BTC_USDC", kind="spot")]]
    )
    gateway.on("public/get_instrument", lambda call: instrument_body(instrument_name=call.params["instrument_name"]))
    gateway.on("public/ticker", lambda call: ticker_body(instrument_name=call.params["instrument_name"]))
    gateway.on("public/get_funding_rate_history", [hours("0.00001")])
    for method in (OPEN, HISTORY, BY_LABEL, OPEN_BY_LABEL):
        gateway.on(method, [[]])
    gateway.on(TRADES, {"trades": [], "has_more": False})
    gateway.on(TRIGGERS, {"entries": [], "continuation": None})
    gateway.on(SUBACCOUNTS, [[{"id": 7, "type": "main", "isolated": None}]])
    gateway.on("private/get_user_trades_by_order", [[]])
    return venue, gateway


def hours(rate: str, count: int = 9) -> list[dict[str, Any]]:
    return [
        {"timestamp": NOW_MS - back * HOUR_MS, "index_price": 60000, "interest_1h": float(rate), "interest_8h": 0}
        for back in range(count, 0, -1)
    ]


# --- products and market ------------------------------------------------------------------------------


def test_perpetuals_are_found_by_structure() -> None:
    venue, gateway = ready()
    (product,) = venue.products()
    assert (product.product_id, product.alias, product.contract_size) == (BTC, "BTC-PERP", Decimal("0.0001"))
    assert gateway.to("public/get_instruments")[0].params == {"currency": "USDC", "kind": "future", "expired": False}


def test_a_product_is_read_with_its_ticker_and_its_funding() -> None:
    venue, _ = ready()
    product = venue.product(PERP)
    assert (product.index_price, product.last_price) == (Decimal(60001), Decimal(60000))
    assert product.funding is not None
    assert product.funding.interval == timedelta(hours=8)
    assert product.funding.next_accrual == datetime(2026, 11, 23, 8, tzinfo=NOW.tzinfo)


@pytest.mark.parametrize(
    ("hourly", "funding_8h", "daily", "long_cost", "short_cost"),
    [
        ("0.00001", "0.0001", "0.0003", "0.0003", "-0.00024"),  # 8 h of history cost 0.00008: what accrues is dearer
        ("0.0001", "0.0001", "0.0024", "0.0024", "-0.0003"),  # the history is dearer: 3 x 0.0008
        ("-0.0001", "0.0005", "-0.0024", "0.0015", "0.0024"),  # they differ in sign: dear for both sides
        ("-0.0001", "-0.0001", "-0.0024", "-0.0003", "0.0024"),  # a long receives by either
    ],
)
def test_funding_is_for_each_side_the_dearer_of_three_last_eight_hours_and_three_running_ones(
    hourly: str, funding_8h: str, daily: str, long_cost: str, short_cost: str
) -> None:
    venue, gateway = ready()
    gateway.on("public/get_funding_rate_history", [hours(hourly)])
    gateway.on("public/ticker", lambda call: ticker_body(funding_8h=float(funding_8h)))
    funding = venue.product(PERP).funding
    assert funding is not None
    assert funding.daily_rate() == Decimal(daily)
    assert funding.daily_cost(long=True) == Decimal(long_cost)
    assert funding.daily_cost(long=False) == Decimal(short_cost)


@pytest.mark.parametrize(
    ("side", "hourly", "funding_8h", "denied"),
    [
        (Side.BUY, "-0.0001", "0.0005", True),  # 0.15 % a day by what accrues, though the history paid longs
        (Side.SELL, "-0.0001", "0.0005", True),  # 0.24 % a day by the history, though shorts receive now
        (Side.BUY, "-0.0001", "-0.0005", False),  # received by both
        (Side.SELL, "0.0001", "0.0005", False),
        (Side.BUY, "0.00001", "0.0003", False),
        (Side.BUY, "0.00005", "0.0003", True),  # 0.12 % by the history alone
    ],
)
def test_the_funding_rule_judges_each_side_by_its_own_dearer_rate(
    side: Side, hourly: str, funding_8h: str, denied: bool
) -> None:
    venue, gateway = ready()
    gateway.on("public/get_funding_rate_history", [hours(hourly)])
    gateway.on("public/ticker", lambda call: ticker_body(funding_8h=float(funding_8h)))
    verdict = evaluate(
        quantize(an_intent(side=side), a_product()),
        a_view(market=some_facts(funding=venue.product(PERP).funding)),
        RiskLimits(),
    )
    codes = {denial.code for denial in verdict.denials} if isinstance(verdict, Denied) else set()
    assert codes == ({DenialCode.FUNDING_ABOVE_MAX} if denied else set())


def a_hole() -> list[dict[str, Any]]:
    return [row for row in hours("0.00001", count=9) if row["timestamp"] != NOW_MS - 4 * HOUR_MS]


@pytest.mark.parametrize(
    "history",
    [
        hours("0.00001", count=7),
        a_hole(),
        [row | {"timestamp": row["timestamp"] - 3 * HOUR_MS} for row in hours("0.00001")],
        Refusal(code=13503, message="unavailable"),
    ],
)
def test_funding_without_eight_hours_in_a_row_is_not_known_and_the_product_all_the_same(history: Any) -> None:
    """Not known denies entries; an exit gets its product."""
    venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
    gateway.on("public/get_funding_rate_history", [history])
    product = venue.product(PERP)
    assert product.mark_price == Decimal("60000.5")
    assert product.funding is not None
    assert [product.funding.daily_cost(long=long) for long in (True, False)] == [None, None]


def test_the_funding_report_tells_the_hours_asked_for_and_judges_by_the_same_rates_as_the_product() -> None:
    venue, gateway = ready()
    gateway.on("public/get_funding_rate_history", [hours("0.00001", count=13)])
    report = venue.funding(PERP, 12)
    assert report.hours is not None
    assert (len(report.hours), report.last_full, report.accruing) == (12, Decimal("0.00008"), Decimal("0.0001"))
    assert report.terms == venue.product(PERP).funding
    (asked,) = {call.params["start_timestamp"] for call in gateway.to("public/get_funding_rate_history")}
    assert asked == NOW_MS - 20 * HOUR_MS  # seven more than are shown, for the sum of the first
    assert report.sums == (None,) * 6 + (Decimal("0.00008"),) * 6
    with pytest.raises(UsageError):
        venue.funding(PERP, 721)


def test_a_funding_history_with_a_hole_is_shown_and_judges_nothing() -> None:
    venue, gateway = ready()
    gateway.on("public/get_funding_rate_history", [a_hole()])
    report = venue.funding(PERP, 8)
    assert (report.hours is not None, report.last_full, report.terms.daily_cost(long=True)) == (True, None, None)


def test_the_settlement_is_when_the_profile_says_and_asked_for_once_in_a_while() -> None:
    told: list[int] = []

    def cash_times() -> tuple[time, ...]:
        told.append(1)
        return (time(13, 46), time(1, 46))

    venue, _ = ready(cash_times=cash_times)
    for _ in range(3):
        funding = venue.product(PERP).funding
        assert funding is not None
        assert funding.next_accrual == datetime(2026, 11, 22, 13, 46, tzinfo=NOW.tzinfo)
    assert len(told) == 1


def test_a_settlement_nobody_tells_closes_the_way_in_and_leaves_the_product() -> None:
    def gone() -> tuple[time, ...]:
        raise VenueUnreachable("the calendar cannot be read")

    venue, _ = ready(cash_times=gone)
    product = venue.product(PERP)
    assert product.funding is not None
    assert (product.funding.next_accrual, product.mark_price) == (None, Decimal("60000.5"))


def test_the_account_tells_of_a_lock_in_the_venues_words_and_is_told_without_them_where_locks_cannot_be_read() -> None:
    venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
    gateway.on(SUMMARIES, {"summaries": [summary_body()]})
    assert venue.account().locked is None
    for answer, told in (
        ([{"currency": "USDC", "locked": True, "message": "compliance"}], "the account is locked in USDC: compliance"),
        (Refusal(code=11098, message="account_locked"), None),
    ):
        venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
        gateway.on(SUMMARIES, {"summaries": [summary_body()]})
        gateway.on("private/get_user_locks", [answer])
        assert venue.account().locked == told


def test_a_key_the_venue_refuses_is_told_and_not_taken_for_missing_funding() -> None:
    venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
    gateway.on("public/get_funding_rate_history", [Refusal(code=13021, message="forbidden")])
    with pytest.raises(VenueRefusedUs):
        venue.product(PERP)


def test_the_history_of_funding_is_kept_for_minutes_and_never_past_the_full_hour() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)

    def reads_after(waited: timedelta) -> int:
        clock.sleep(waited)
        gateway.on("public/get_funding_rate_history", [hours_until(clock.now())])
        assert (known := venue.product(PERP).funding) is not None
        assert known.rate is not None
        return len(gateway.to("public/get_funding_rate_history"))

    assert NOW.minute == 0
    assert reads_after(timedelta(0)) == 1
    assert reads_after(HISTORY_MAX_AGE) == 1
    assert reads_after(timedelta(seconds=1)) == 2
    assert reads_after(timedelta(minutes=52)) == 3
    assert reads_after(timedelta(minutes=3)) == 4, "another hour is full"


def hours_until(now: datetime) -> list[dict[str, Any]]:
    whole = int(now.timestamp()) // 3600 * HOUR_MS
    return [
        row | {"timestamp": whole - back * HOUR_MS}
        for back, row in zip(range(8, -1, -1), hours("0.00001"), strict=True)
    ]


def test_a_product_tells_the_price_limits_of_the_moment() -> None:
    venue, _ = ready()
    limits = venue.product(PERP).price_limits
    assert limits == PriceLimits(lowest=Price(Decimal(59100)), highest=Price(Decimal(60900)))
    assert limits.drawn_in(Side.BUY, Price(Decimal(61000))) == 60900
    assert limits.drawn_in(Side.SELL, Price(Decimal(61000))) == 61000, "a sell above the highest only rests"


def test_a_retired_id_names_its_successor_and_asks_nobody() -> None:
    venue, gateway = ready()
    with pytest.raises(UsageError, match="retired"):
        venue.product(ProductId("BTC-PERP-INTX"))
    assert gateway.calls == []


def test_H10_another_instrument_than_was_asked_for_is_refused() -> None:
    venue, gateway = ready()
    gateway.on("public/get_instrument", instrument_body(instrument_name="ETH_USDC-PERPETUAL"))
    with pytest.raises(VenueSpokeStrangely):
        venue.product(PERP)


def test_the_mark_is_the_venues_own() -> None:
    venue, _ = ready()
    mark = venue.mark(PERP)
    assert (mark.price, mark.source, mark.as_of) == (Decimal("60000.5"), MarkSource.VENUE, NOW)


def test_candles_of_a_long_range_are_read_in_several_requests() -> None:
    venue, gateway = ready()

    def chart(call: Call) -> dict[str, Any]:
        ticks = list(range(call.params["start_timestamp"], call.params["end_timestamp"] + 1, 60_000))
        column = [60000] * len(ticks)
        names = ("open", "high", "low", "close", "volume")
        return {"status": "ok", "ticks": ticks} | dict.fromkeys(names, column)

    gateway.on("public/get_tradingview_chart_data", chart)
    found = venue.candles(PERP, start=NOW - timedelta(minutes=2500), end=NOW, granularity=timedelta(minutes=1))
    assert len(found) == 2500
    assert len(gateway.to("public/get_tradingview_chart_data")) == 3
    with pytest.raises(UsageError):
        venue.candles(PERP, start=NOW - timedelta(hours=1), end=NOW, granularity=timedelta(minutes=2))


def test_the_venues_clock_counts_half_the_flight_as_doubt() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)

    def slow(call: Call) -> int:
        clock.advance(timedelta(milliseconds=200))
        return NOW_MS + 5_100

    gateway.on("public/get_time", slow)
    told = venue.server_time()
    assert told.skew == timedelta(seconds=5, microseconds=500)
    assert told.uncertainty == timedelta(milliseconds=100, microseconds=500)


# --- account --------------------------------------------------------------------------------------------


def test_equity_is_usdc_cross_and_isolated_together() -> None:
    venue, gateway = ready()
    rows = [summary_body(currency="BTC", equity=5), summary_body()]
    slot = summary_body(equity=50, balance=49, session_upl=1, initial_margin=5, maintenance_margin=2, limits=...)
    isolated = [{"id": 8, "summaries": [summary_body(currency="BTC", equity=3, limits=...), slot]}]
    gateway.on(SUMMARIES, {"id": 7, "summaries": rows, "isolated_account_summaries": isolated})
    account = venue.account()
    assert [account.equity, account.balance, account.unrealised] == [Decimal(1050), Decimal(1039), Decimal(11)]
    assert [account.initial_margin, account.available_margin] == [Decimal(105), Decimal(900)]
    assert gateway.to("private/get_account_summaries")[0].params == {"extended": True, "include_isolated": True}


@pytest.mark.parametrize(
    "isolated",
    [
        [{"id": 8, "summaries": [summary_body()]}, {"id": 8, "summaries": [summary_body()]}],
        [{"id": 8, "summaries": []}],
        [{"id": 8, "summaries": [summary_body(), summary_body()]}],
    ],
)
def test_a_slot_told_twice_or_without_its_money_makes_no_equity(isolated: list[dict[str, Any]]) -> None:
    venue, gateway = ready()
    gateway.on(SUMMARIES, {"id": 7, "summaries": [summary_body()], "isolated_account_summaries": isolated})
    with pytest.raises(VenueSpokeStrangely):
        venue.account()


@pytest.mark.parametrize("rows", [[], [summary_body(currency="BTC")], [summary_body(isolated=True)]])
def test_an_account_without_usdc_is_refused_by_name_and_never_zero(rows: list[dict[str, Any]]) -> None:
    venue, gateway = ready()
    gateway.on("private/get_account_summaries", {"id": 7, "summaries": rows})
    with pytest.raises(VenueRefusedRequest):
        venue.account()


@pytest.mark.parametrize("missing", ["equity", "balance"])
def test_E16_an_account_without_its_figures_is_strange_and_never_zero(missing: str) -> None:
    venue, gateway = ready()
    gateway.on("private/get_account_summaries", {"id": 7, "summaries": [summary_body(**{missing: ...})]})
    with pytest.raises(VenueSpokeStrangely):
        venue.account()


def position(**changes: Any) -> dict[str, Any]:
    body = {"instrument_name": BTC, "direction": "buy", "size": 600, "size_currency": 0.01, "average_price": 60000}
    return body | changes


def test_positions_are_signed_coin_from_size_currency_cross_and_isolated_added() -> None:
    venue, gateway = ready()
    rows = [position(), position(direction="sell", size=-1800, size_currency=-0.03, isolated=True, user_id=2)]
    gateway.on("private/get_positions", [rows])
    assert venue.positions().coin(PERP) == Decimal("-0.02")
    assert gateway.to("private/get_positions")[0].params["include_isolated"] is True


def test_the_key_is_what_the_session_was_granted_and_unknown_words_grant_nothing() -> None:
    venue, gateway = ready()
    gateway.on("private/get_account_summaries", {"id": 7, "type": "main", "summaries": [summary_body()]})
    facts = venue.key_facts()
    assert (facts.can_view, facts.can_trade, facts.can_transfer, facts.portfolio_id) == (True, True, False, "7")
    other, gateway = ready()
    gateway.on("public/auth", {"access_token": "x", "expires_in": 900, "scope": "rat#everything"})
    gateway.on("private/get_account_summaries", {"id": 7, "summaries": [summary_body()]})
    facts = other.key_facts()
    assert (facts.can_view, facts.can_trade, facts.can_transfer) == (False, False, False)


def test_there_are_no_margin_windows_and_nothing_is_asked() -> None:
    venue, gateway = ready()
    window = venue.margin_window()
    assert (window.kind, window.ends, window.intraday_enrolled) == ("NONE", None, False)
    assert gateway.calls == []


def test_a_preview_is_an_estimate_with_the_room_the_account_has() -> None:
    venue, gateway = ready()
    gateway.on("private/get_margins", {"buy": 24.5, "sell": 25.5, "min_price": 59100, "max_price": 60900})
    gateway.on("private/get_max_order_size", {"max_tradable_amount": 0.01, "max_tradable_amount_reduce_only": 0})
    preview = venue.preview(approved().order)
    assert (preview.estimate, preview.margin) == (True, Decimal("24.5"))
    assert "0.01" in preview.problems[0]
    assert gateway.to("private/get_margins")[0].params == {
        "instrument_name": BTC,
        "amount": Decimal("0.02"),
        "price": Decimal("59900.5"),
    }


# --- orders ------------------------------------------------------------------------------------------------


def test_live_orders_are_resting_waiting_and_isolated_and_spot_is_kept_apart() -> None:
    venue, gateway = ready()
    gateway.on(
        OPEN,
        [
            [
                order_body(),
                order_body(
                    order_id="SLTS-2",
                    order_type="stop_limit",
                    order_state="untriggered",
                    trigger_price=61000,
                    filled_amount=...,
                ),
                order_body(order_id="USDC-3", isolated=True),
                order_body(order_id="SPOT-4", instrument_name="BTC_USDC"),
            ]
        ],
    )
    assert {order.venue_order_id for order in venue.live_orders().orders} == {"USDC-1", "SLTS-2", "USDC-3"}
    assert [order.venue_order_id for order in venue.foreign_orders()] == ["SPOT-4"]


def test_E2_an_order_that_was_live_and_is_not_listed_is_asked_for_by_its_id() -> None:
    venue, gateway = ready()
    gateway.on(OPEN, [[order_body()], []])
    gateway.on(STATE, [order_body(), order_body(order_state="filled", filled_amount=0.02)])
    venue.live_orders()
    assert len(venue.live_orders().orders) == 1
    assert venue.live_orders().orders == ()


def test_an_order_not_found_as_cross_is_asked_for_as_isolated_before_it_is_none() -> None:
    venue, gateway = ready()
    gateway.on(STATE, lambda call: order_body(isolated=True) if call.params.get("isolated") else Refusal(code=10004))
    assert venue.order(ONE) is not None
    gateway.on(STATE, Refusal(code=10004))
    assert venue.order(ONE) is None
    gateway.on(STATE, Refusal(code=11042))
    with pytest.raises(Exception, match="permission"):
        venue.order(ONE)


def test_H10_another_order_than_was_asked_for_is_refused() -> None:
    venue, gateway = ready()
    gateway.on(STATE, order_body(order_id="USDC-2"))
    with pytest.raises(VenueSpokeStrangely):
        venue.order(ONE)


def test_orders_since_join_open_recent_and_old_and_read_every_page() -> None:
    venue, gateway = ready()

    def history(call: Call) -> list[dict[str, Any]]:
        if call.params["historical"]:
            return [
                order_body(order_id="OLD-1", order_state="cancelled"),
                order_body(order_id="OLD-0", order_state="filled", creation_timestamp=NOW_MS - 10 * HOUR_MS),
            ]
        first = call.params["offset"]
        last = min(first + 1000, 1500)
        return [
            order_body(order_id=f"REC-{n}", order_state="filled", creation_timestamp=NOW_MS - n)
            for n in range(first, last)
        ]

    gateway.on(HISTORY, history)
    gateway.on(OPEN, [[order_body()]])
    found = venue.orders_since(NOW - timedelta(hours=1))
    assert len(found.orders) == 1 + 1500 + 1
    assert found.pages == 5


SLOTS = [
    {"id": 7, "type": "main", "isolated": None, "isolated_margin_instrument": None},
    {"id": 8, "type": "subaccount", "isolated": True, "isolated_margin_instrument": BTC},
    {"id": 9, "type": "subaccount", "isolated": True, "isolated_margin_instrument": None},
    {"id": 10, "type": "subaccount", "isolated": False, "isolated_margin_instrument": None},
]


def test_orders_and_fills_of_every_isolated_slot_are_read_by_its_id_given_back_or_not() -> None:
    """No flag gathers histories (guide on isolated positions, 2026-09-24); an ordinary subaccount is not ours."""
    venue, gateway = ready()
    gateway.on(SUBACCOUNTS, [SLOTS])

    def of_slot(call: Call) -> list[dict[str, Any]]:
        slot = call.params.get("subaccount_id", 0)
        return [] if call.params["historical"] else [order_body(order_id=f"USDC-{slot}", order_state="filled")]

    gateway.on(HISTORY, of_slot)
    gateway.on(
        TRADES,
        lambda call: {
            "trades": [trade_body(str(call.params.get("subaccount_id", 0)), order_id="x")],
            "has_more": False,
        },
    )
    assert {order.venue_order_id for order in venue.orders_since(NOW).orders} == {"USDC-0", "USDC-8", "USDC-9"}
    assert [fill.trade_id for fill in venue.fills(since=NOW)] == ["0", "8", "9"]
    assert {call.params.get("subaccount_id") for call in gateway.to(HISTORY)} == {None, 8, 9}


@pytest.mark.parametrize("method", [SUBACCOUNTS, TRIGGERS, HISTORY])
def test_L5_orders_since_are_never_a_shorter_list_when_a_part_cannot_be_read(method: str) -> None:
    venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
    gateway.on(method, [Refusal(code=13028, message="temporarily_unavailable")])
    with pytest.raises(VenueUnreachable):
        venue.orders_since(NOW - timedelta(hours=1))


def test_L5_fills_are_never_a_shorter_list_when_the_slots_are_not_known() -> None:
    venue, gateway = ready(reads=RetryPolicy(attempts=1, total=timedelta(seconds=5)))
    gateway.on(SUBACCOUNTS, [Refusal(code=13028, message="temporarily_unavailable")])
    with pytest.raises(VenueUnreachable):
        venue.fills(since=NOW)


def entry(**changes: Any) -> dict[str, Any]:
    """A row of the trigger history."""
    body: dict[str, Any] = {
        "trigger_order_id": "USDC-SLTS-1",
        "order_id": "USDC-2",
        "instrument_name": BTC,
        "direction": "sell",
        "order_type": "stop_limit",
        "order_state": "rejected:reduce_direction",
        "request": "trigger:order",
        "price": 58900,
        "amount": 0.02,
        "label": LABEL,
        "trigger": "mark_price",
        "trigger_price": 59000,
        "reduce_only": True,
        "timestamp": NOW_MS,
        "last_update_timestamp": NOW_MS,
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("rejected:reduce_direction", OrderStatus.FAILED, "reduce_direction"),
        ("cancelled", OrderStatus.CANCELLED, ""),
        ("triggered", OrderStatus.OPEN, ""),
    ],
)
def test_a_waiting_order_that_ended_is_told_with_its_own_id_and_its_reason(
    state: str, status: OrderStatus, reason: str
) -> None:
    venue, gateway = ready()
    gateway.on(TRIGGERS, {"entries": [entry(order_state=state)], "continuation": None})
    (order,) = venue.orders_since(NOW - timedelta(hours=1)).orders
    assert (order.venue_order_id, order.status, order.reason) == ("USDC-SLTS-1", status, reason)
    assert (order.stop_price, order.limit_price, order.filled) == (
        Price(Decimal(59000)),
        Price(Decimal(58900)),
        NO_SIZE,
    )
    assert (order.succeeds, order.type) == (None, OrderType.STOP_LIMIT)


def test_E21_the_trigger_history_is_read_to_its_last_page_or_is_an_error() -> None:
    venue, gateway = ready()
    pages = {None: ("USDC-SLTS-1", "a"), "a": ("USDC-SLTS-2", "b"), "b": ("USDC-SLTS-3", None)}

    def page(call: Call) -> dict[str, Any]:
        order_id, more = pages[call.params.get("continuation")]
        return {"entries": [entry(trigger_order_id=order_id)], "continuation": more}

    gateway.on(TRIGGERS, page)
    assert len(venue.orders_since(NOW - timedelta(hours=1)).orders) == 3
    pages["b"] = ("USDC-SLTS-3", "a")
    with pytest.raises(VenueSpokeStrangely, match="incomplete"):
        venue.orders_since(NOW - timedelta(hours=1))


def test_the_fills_of_an_order_not_found_as_cross_are_asked_for_as_isolated() -> None:
    venue, gateway = ready()
    gateway.on(
        "private/get_user_trades_by_order",
        lambda call: [trade_body()] if call.params.get("isolated") else Refusal(code=10004),
    )
    assert [fill.trade_id for fill in venue.fills(venue_order_id=ONE)] == ["1"]


def test_orders_since_end_early_only_where_rows_run_newest_first() -> None:
    venue, gateway = ready()

    def history(call: Call) -> list[dict[str, Any]]:
        if call.params["historical"]:
            return []
        first = call.params["offset"]
        return [
            order_body(order_id=f"R-{n}", order_state="filled", creation_timestamp=NOW_MS - n * 60_000)
            for n in range(first, first + 1000)
        ]

    gateway.on(HISTORY, history)
    assert len(venue.orders_since(NOW - timedelta(hours=1)).orders) == 61
    assert len(gateway.to(HISTORY)) == 2


def test_fills_join_both_windows_once_by_currency_and_trade() -> None:
    venue, gateway = ready()
    old, shared = trade_body("1", timestamp=NOW_MS - HOUR_MS), trade_body("2")
    other = trade_body("2", fee_currency="BTC", fee=0.00001)
    gateway.on(
        TRADES,
        lambda call: {"trades": [old, shared] if call.params["historical"] else [shared, other], "has_more": False},
    )
    assert [fill.fill_id for fill in venue.fills()] == ["USDC:1", "BTC:2", "USDC:2"]
    assert [fill.fill_id for fill in venue.fills(since=NOW)] == ["BTC:2", "USDC:2"]


def test_E21_fills_are_read_to_the_last_page_and_a_list_that_stands_still_is_an_error() -> None:
    venue, gateway = ready()

    def pages(call: Call) -> dict[str, Any]:
        at = max(call.params["start_timestamp"], NOW_MS)
        rows = [trade_body(str(n), timestamp=n) for n in range(at, min(at + 3, NOW_MS + 6))]
        return {"trades": rows, "has_more": at + 3 < NOW_MS + 6}

    gateway.on(TRADES, pages)
    assert len(venue.fills(since=NOW)) == 6
    gateway.on(TRADES, {"trades": [trade_body("1")], "has_more": True})
    with pytest.raises(VenueSpokeStrangely, match="incomplete"):
        venue.fills()
    gateway.on(TRADES, {"trades": [], "has_more": True})
    with pytest.raises(VenueSpokeStrangely, match="incomplete"):
        venue.fills()


def test_a_trade_told_in_two_ways_is_an_error() -> None:
    venue, gateway = ready()
    gateway.on(
        TRADES,
        lambda call: {
            "trades": [trade_body("1", amount=0.01 if call.params["historical"] else 0.02)],
            "has_more": False,
        },
    )
    with pytest.raises(VenueSpokeStrangely):
        venue.fills()


def test_fills_of_one_order_come_from_both_windows_and_of_no_other() -> None:
    venue, gateway = ready()
    gateway.on("private/get_user_trades_by_order", lambda call: [trade_body("1" if call.params["historical"] else "2")])
    assert len(venue.fills(venue_order_id=ONE)) == 2
    gateway.on("private/get_user_trades_by_order", [[trade_body(order_id="USDC-2")]])
    with pytest.raises(VenueSpokeStrangely):
        venue.fills(venue_order_id=ONE)


# --- cancels -------------------------------------------------------------------------------------------------


def test_I8_a_cancel_is_accepted_by_the_venues_word_and_refused_in_its_own() -> None:
    venue, gateway = ready()
    answers = {
        "USDC-1": order_body(order_state="cancelled"),
        "USDC-2": Refusal(code=11044),
        "USDC-3": Refusal(code=10004),
    }
    gateway.on("private/cancel", lambda call: answers[call.params["order_id"]])
    results = venue.cancel([ONE, VenueOrderId("USDC-2"), VenueOrderId("USDC-3")])
    assert [(result.accepted, result.reason) for result in results] == [
        (True, ""),
        (False, "not_open_order"),
        (False, "order_not_found"),
    ]


def test_a_cancel_not_found_as_cross_is_asked_as_isolated() -> None:
    venue, gateway = ready()
    gateway.on(
        "private/cancel",
        lambda call: order_body(order_state="cancelled") if call.params.get("isolated") else Refusal(code=10029),
    )
    (result,) = venue.cancel([ONE])
    assert result.accepted


def test_an_unanswered_cancel_does_not_stop_the_others_and_none_answered_raises() -> None:
    policy = RetryPolicy(attempts=2, total=timedelta(seconds=600), waits=False)
    venue, gateway = ready(cancels=policy)
    gateway.on(
        "private/cancel",
        lambda call: (
            requests.ReadTimeout("x")
            if call.params["order_id"] == "USDC-1"
            else order_body(order_id="USDC-2", order_state="cancelled")
        ),
    )
    first, second = venue.cancel([ONE, VenueOrderId("USDC-2")])
    assert (first.accepted, second.accepted) == (False, True)
    gateway.on("private/cancel", requests.ReadTimeout("x"))
    with pytest.raises(VenueUnreachable):
        venue.cancel([VenueOrderId(f"USDC-{n}") for n in range(20)])
    assert len(gateway.to("private/cancel")) < 20


def test_every_mass_cancel_says_that_isolated_orders_are_meant_too_and_names_what_is_no_spot() -> None:
    venue, gateway = ready()
    for method in ("private/cancel_all_by_instrument", "private/cancel_all_by_currency"):
        gateway.on(method, 3)
    assert (venue.cancel_all(PERP), venue.cancel_all(None)) == (3, 3)
    one, every = (call.params for call in gateway.calls if "cancel" in call.method)
    assert (one["instrument_name"], one["include_isolated"]) == (PERP, True)
    assert (every["currency"], every["kind"], every["include_isolated"]) == ("USDC", "future", True)


# --- search --------------------------------------------------------------------------------------------------


def sought(clock: FakeClock, **changes: Any) -> Sought:
    order = approved(**changes).order
    record = IntentRecord(
        intent=order.intent,
        stage=IntentStage.COMMITTED,
        committed_at=clock.now(),
        sent_size=order.size,
        denied=None,
        outcome=None,
        venue_order_id=None,
        order=None,
        sent_price=order.limit_price,
        sent_stop=order.stop_price,
    )
    return Sought(record=record, sent_after=clock.now())


def test_an_order_in_doubt_is_found_by_its_label() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    gateway.on(BY_LABEL, [[order_body()]])
    sighting = venue.search(sought(clock))
    assert sighting.order is not None
    assert sighting.order.status is OrderStatus.OPEN
    assert gateway.to(BY_LABEL)[0].params == {"currency": "USDC", "label": LABEL, "include_isolated": True}
    assert gateway.to(OPEN_BY_LABEL)


def test_an_order_in_doubt_that_only_its_trades_tell_of_is_found() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    gateway.on(
        TRADES, {"trades": [trade_body("1"), trade_body("2", label="other", order_id="USDC-7")], "has_more": False}
    )
    gateway.on(STATE, order_body(order_state="filled", filled_amount=0.02))
    assert venue.search(sought(clock)).order is not None
    assert [call.params["order_id"] for call in gateway.to(STATE)] == ["USDC-1"]


def test_absence_is_by_every_list_and_a_list_that_fails_is_no_absence() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock, reads=RetryPolicy(attempts=1, total=timedelta(seconds=60)))
    sighting = venue.search(sought(clock))
    assert (sighting.order, sighting.contradicts, sighting.listed_at) == (None, "", NOW)
    for method in (BY_LABEL, OPEN_BY_LABEL, TRADES):
        broken, gateway = ready(clock, reads=RetryPolicy(attempts=1, total=timedelta(seconds=60)))
        gateway.on(method, requests.ReadTimeout("late"))
        with pytest.raises(VenueUnreachable):
            broken.search(sought(clock))


def test_two_orders_under_one_label_are_a_contradiction() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    gateway.on(BY_LABEL, [[order_body(), order_body(order_id="USDC-2")]])
    sighting = venue.search(sought(clock))
    assert sighting.order is None
    assert "USDC-1, USDC-2" in sighting.contradicts


def test_H10_a_clamped_price_is_a_contradiction_in_the_search_too() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    gateway.on(BY_LABEL, [[order_body(price=59900.4)]])
    assert "price" in venue.search(sought(clock)).contradicts


@pytest.mark.parametrize(
    ("price", "changes", "found"),
    [
        (59900.4, {}, True),  # a buy at 59900.5, drawn in towards the market
        (60100.4, {}, False),  # asks for more than was meant: another order (H10)
        (59900.4, {"reduce_only": False}, False),
        (59900.4, {"tif": TimeInForce.GTC}, False),
    ],
)
def test_L1_a_way_out_in_doubt_whose_price_the_venue_drew_in_is_found(
    price: float, changes: dict[str, Any], found: bool
) -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    terms: dict[str, Any] = {"reduce_only": True, "tif": TimeInForce.IOC, "post_only": False} | changes
    shown = {"reduce_only": terms["reduce_only"], "post_only": False}
    shown["time_in_force"] = "immediate_or_cancel" if terms["tif"] is TimeInForce.IOC else "good_til_cancelled"
    gateway.on(BY_LABEL, [[order_body(price=price, **shown)]])
    sighting = venue.search(sought(clock, **terms))
    assert (sighting.order is not None, sighting.contradicts == "") == (found, found), sighting.contradicts


def test_a_stop_that_fired_is_one_order_with_two_ids_and_no_duplicate() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    fired = {"original_order_type": "stop_limit", "trigger_price": 60100}
    gateway.on(
        BY_LABEL,
        [
            [
                order_body(
                    order_id="SLTS-1",
                    order_type="stop_limit",
                    order_state="triggered",
                    trigger_price=60100,
                    filled_amount=...,
                ),
                order_body(order_id="USDC-9", trigger_order_id="SLTS-1", **fired),
            ]
        ],
    )
    sighting = venue.search(sought(clock, type=OrderType.STOP_LIMIT, stop_price="60100"))
    assert sighting.contradicts == ""
    assert sighting.order is not None
    assert sighting.order.venue_order_id == "USDC-9"


def test_H10_a_stop_that_fired_and_is_told_as_a_plain_limit_has_the_terms_of_the_stop_its_row_names() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    stop = {"order_type": "stop_limit", "order_state": "triggered", "trigger_price": 60100, "filled_amount": ...}
    gateway.on(
        BY_LABEL, [[order_body(order_id="USDC-9", trigger_order_id="SLTS-1"), order_body(order_id="SLTS-1", **stop)]]
    )
    wanted = sought(clock, type=OrderType.STOP_LIMIT, stop_price="60100")
    found = venue.search(wanted).order
    assert found is not None
    assert (found.venue_order_id, found.type, found.stop_price) == ("USDC-9", OrderType.STOP_LIMIT, Decimal(60100))
    assert venue.search(sought(clock)).contradicts  # no plain limit of ours
    gateway.on(STATE, Refusal(code=10004, message="order_not_found"))
    gateway.on(
        BY_LABEL, [[order_body(order_id="USDC-9", trigger_order_id="SLTS-2"), order_body(order_id="SLTS-1", **stop)]]
    )
    assert venue.search(wanted).contradicts  # another trigger's


def test_once_a_label_may_be_forgotten_the_whole_history_is_read_as_well() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    old = sought(clock)
    venue.search(old)
    assert gateway.to(HISTORY) == []
    clock.advance(timedelta(minutes=21))
    gateway.on(HISTORY, lambda call: [order_body(order_state="cancelled")] if call.params["historical"] else [])
    assert venue.search(old).order is not None
    assert len(gateway.to(HISTORY)) == 2


def test_the_bound_on_doubt_is_the_end_every_write_carries() -> None:
    assert GLOBAL_CAPABILITIES.doubt.write_ttl == timedelta(seconds=5)
    assert not GLOBAL_CAPABILITIES.dedupes_client_id
    assert GLOBAL_CAPABILITIES.has_server_expiry


@pytest.mark.parametrize("state", ["open", "filled", "untriggered"])
def test_I8_a_cancel_answered_with_an_order_that_is_not_cancelled_is_not_accepted(state: str) -> None:
    venue, gateway = ready()
    gateway.on("private/cancel", order_body(order_state=state, filled_amount=0.02))
    (result,) = venue.cancel([ONE])
    assert (result.accepted, result.reason) == (False, state)


def test_a_trigger_that_fired_is_no_live_order_of_its_own() -> None:
    venue, gateway = ready()
    waiting = {"order_id": "SLTS-1", "order_type": "stop_limit", "trigger_price": 61000, "filled_amount": ...}
    gateway.on(OPEN, [[order_body(order_state="untriggered", **waiting)], [order_body(trigger_order_id="SLTS-1")]])
    gateway.on(STATE, order_body(order_state="triggered", **waiting))
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["SLTS-1"]
    assert [order.venue_order_id for order in venue.live_orders().orders] == ["USDC-1"]


def test_the_books_are_read_to_the_last_page_and_a_jump_in_them_is_an_error() -> None:
    venue, gateway = ready()

    def row(seq: int) -> dict[str, Any]:
        return {
            "user_seq": seq,
            "type": "trade",
            "timestamp": NOW_MS + seq,
            "change": -1,
            "interest_pl": 0.5,
            "instrument_name": BTC,
        }

    pages = {None: {"logs": [row(4), row(3)], "continuation": "2"}, "2": {"logs": [row(2)], "continuation": None}}
    gateway.on("private/get_transaction_log", lambda call: pages[call.params.get("continuation")])
    found = Operations(venue).transaction_log(NOW)
    assert [(booking.seq, booking.funding) for booking in found] == [
        (2, Decimal("0.5")),
        (3, Decimal("0.5")),
        (4, Decimal("0.5")),
    ]
    pages["2"] = {"logs": [row(1)], "continuation": None}
    with pytest.raises(VenueSpokeStrangely, match="row"):
        Operations(venue).transaction_log(NOW)


def test_leverage_is_set_once_and_read_back() -> None:
    venue, gateway = ready()
    gateway.on("private/set_leverage", 5)
    gateway.on("private/get_leverage", [{"instrument_name": BTC, "leverage": 5, "max_leverage": 50}])
    assert Operations(venue).set_leverage(PERP, Decimal(5)) == Decimal(5)
    gateway.on("private/get_leverage", [{"instrument_name": BTC, "leverage": 7, "max_leverage": 50}])
    with pytest.raises(VenueSpokeStrangely, match="reads back"):
        Operations(venue).set_leverage(PERP, Decimal(5))
    with pytest.raises(UsageError):
        Operations(venue).set_leverage(PERP, Decimal(0))
