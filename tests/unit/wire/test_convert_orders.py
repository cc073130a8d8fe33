"""Orders, fills and previews become domain values in coin; unknown words keep their text, unknown numbers are None."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.orders import (
    FillKind,
    Liquidity,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from perpsctl.domain.sides import Side
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import configurations, orders
from perpsctl.wire.advanced_trade import convert_orders as trading
from perpsctl.wire.guard import WireError
from tests.unit.wire import bodies
from tests.unit.wire.bodies import NOW, SIZES, a_fill, a_limit_order

SAMPLES = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples"
recorded = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no payload samples in {SAMPLES}")


def sample(name: str, type_: Any) -> Any:
    return guard.decode((SAMPLES / f"{name}.json").read_bytes(), type_)


def test_an_order_reads_in_coin_with_its_terms() -> None:
    order = trading.order_from(a_limit_order(), SIZES, NOW)
    assert (order.size, order.filled, order.remaining) == (Decimal("0.05"), Decimal("0.02"), Decimal("0.03"))
    assert (order.type, order.tif, order.side) == (OrderType.LIMIT, TimeInForce.GTD, Side.BUY)
    assert (order.limit_price, order.stop_price, order.post_only) == (Decimal(60000), None, True)
    assert (order.average_price, order.fees) == (Decimal(59995), Decimal("0.36"))
    assert order.expires == datetime(2026, 11, 22, 12, 36, 56, tzinfo=UTC)
    assert order.created == datetime(2026, 11, 22, 12, 34, 56, 1, tzinfo=UTC)
    assert (order.status, order.raw_status, order.reason) == (OrderStatus.OPEN, "OPEN", "")
    assert order.placement_source == "RETAIL_ADVANCED"
    stop = trading.order_from(bodies.a_stop_order(), SIZES, NOW)
    assert (stop.type, stop.limit_price, stop.stop_price, stop.post_only) == (
        OrderType.STOP_LIMIT,
        Decimal(71000),
        Decimal(70900),
        False,
    )


@pytest.mark.parametrize("absent", [UNSET, None, ""])
def test_a_missing_average_price_or_fee_is_unknown_and_not_zero_E16(absent: Any) -> None:
    body = json.loads(guard.encode(a_limit_order()))
    for field in ("average_filled_price", "total_fees", "fee"):
        body[field] = None if absent is UNSET else absent
        if absent is UNSET:
            del body[field]
    order = trading.order_from(guard.decode(json.dumps(body).encode(), orders.OrderBody), SIZES, NOW)
    assert order.average_price is None
    assert order.fees is None
    fill = trading.fill_from(a_fill(commission=UNSET if absent is None else absent), SIZES)
    assert fill.fee is None
    assert trading.fill_from(a_fill(commission="0"), SIZES).fee == 0


def test_a_missing_filled_size_is_an_error_unless_no_fill_is_counted_E16_L5() -> None:
    assert trading.order_from(a_limit_order(filled_size="", number_of_fills="0"), SIZES, NOW).filled == 0
    for count in ("2", "", UNSET):
        with pytest.raises(WireError, match="filled_size is missing"):
            trading.order_from(a_limit_order(filled_size=UNSET, number_of_fills=count), SIZES, NOW)


def test_words_we_do_not_know_keep_their_raw_text_and_crash_no_read() -> None:
    strange = a_limit_order(
        status="TELEPORTED",
        order_type="ICEBERG",
        time_in_force="GOOD_UNTIL_MOON",
        order_configuration=UNSET,
        side="SELL",
    )
    order = trading.order_from(strange, SIZES, NOW)
    assert (order.status, order.raw_status) == (OrderStatus.UNRECOGNISED, "TELEPORTED")
    assert order.status.live
    assert (order.type, order.raw_type, order.tif) == (OrderType.UNRECOGNISED, "ICEBERG", TimeInForce.UNRECOGNISED)
    assert order.size is None
    assert order.post_only is None
    fill = trading.fill_from(a_fill(trade_type="MAGIC", liquidity_indicator="UNKNOWN_LIQUIDITY_INDICATOR"), SIZES)
    assert (fill.kind, fill.liquidity) == (FillKind.UNRECOGNISED, Liquidity.UNKNOWN)


@pytest.mark.parametrize("word", trading.STATUSES)
def test_every_documented_status_is_known(word: str) -> None:
    order = trading.order_from(a_limit_order(status=word), SIZES, NOW)
    assert order.status.value.upper() == word


def test_a_configuration_of_several_variants_states_no_terms() -> None:
    both = configurations.OrderConfiguration(
        limit_limit_gtc=configurations.Terms(base_size="1", limit_price="2"),
        market_market_ioc=configurations.Terms(base_size="1"),
    )
    assert trading.terms_from(both, Size(Decimal(1))) == trading.NOTHING_STATED


@recorded
def test_the_recorded_spot_order_reads_and_is_left_out_of_derivatives() -> None:
    reply = sample("orders-list", orders.OrdersReply)
    assert trading.orders_from(reply, SIZES, NOW) == ()
    order = trading.order_from(reply.orders[0], SIZES, NOW)
    assert (order.size, order.filled) == (None, Decimal("0.000297920684505"))
    assert (order.type, order.tif, order.status) == (OrderType.MARKET, TimeInForce.IOC, OrderStatus.FILLED)
    assert (order.fees, order.reason) == (Decimal("0.0379324055666004"), "Internal error")
    assert trading.more_orders(reply) is None


def test_an_order_of_an_unknown_future_is_an_error_and_not_read_in_contracts() -> None:
    with pytest.raises(WireError, match="contract size"):
        trading.order_from(a_limit_order(product_id="NEW-20DEC30-CDE"), SIZES, NOW)


def test_a_listing_without_its_list_or_its_end_is_an_error_L5_E21() -> None:
    with pytest.raises(WireError, match="orders is missing"):
        trading.orders_from(orders.OrdersReply(), SIZES, NOW)
    with pytest.raises(WireError, match="has_next is missing"):
        trading.more_orders(orders.OrdersReply(orders=()))
    with pytest.raises(WireError, match="cursor is missing"):
        trading.more_orders(orders.OrdersReply(orders=(), has_next=True, cursor=""))
    assert trading.more_orders(orders.OrdersReply(orders=(), has_next=True, cursor="c")) == "c"
    with pytest.raises(WireError, match="fills is missing"):
        trading.fills_from(orders.FillsReply(), SIZES)
    assert trading.more_fills(orders.FillsReply(fills=(), cursor="")) is None
    assert trading.more_fills(orders.FillsReply(fills=(), cursor="c")) == "c"


def test_a_fill_reads_in_coin_with_its_key() -> None:
    fill = trading.fill_from(a_fill(), SIZES)
    assert (fill.fill_id, fill.size, fill.price, fill.fee) == (
        "b88b82cc89e326a2778874795102cbaf",
        Decimal("0.02"),
        Decimal(59995),
        Decimal("0.36"),
    )
    assert (fill.kind, fill.liquidity, fill.side) == (FillKind.FILL, Liquidity.MAKER, Side.BUY)
    assert fill.time == datetime(2026, 11, 22, 12, 34, 57, 91377, tzinfo=UTC)


@recorded
def test_a_fill_sized_in_quote_currency_is_refused() -> None:
    body = sample("fills", orders.FillsReply).fills[0]
    with pytest.raises(WireError, match="sized in quote"):
        trading.fill_from(body, {ProductId("BTC-USDT"): Size(Decimal(1))})


def test_a_preview_lists_the_venues_objections_escaped() -> None:
    preview = trading.preview_from(bodies.a_preview(errs=("PREVIEW_INSUFFICIENT_FUND", "\x1b[2J"), warning=("BIG",)))
    assert preview.problems == ("PREVIEW_INSUFFICIENT_FUND", "\\x1b[2J")
    assert preview.warnings == ("BIG",)
    assert (preview.margin, preview.commission, preview.average_price) == (
        Decimal(60),
        Decimal("0.18"),
        Decimal(68925),
    )
    edit = orders.PreviewReply(errors=(orders.EditFailure(edit_failure_reason="ORDER_NOT_FOUND"),))
    assert trading.preview_from(edit).problems == ("ORDER_NOT_FOUND",)
    assert trading.preview_from(edit).order_total is None
