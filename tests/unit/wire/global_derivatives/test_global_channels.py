"""Channels and methods as data: what arrives is the struct its name says (reference 12, 13)."""

from typing import Any

import msgspec
import pytest

from perpsctl.wire.global_derivatives import accounts, channels, market, methods, params, rpc, trading
from perpsctl.wire.guard import WireError


@pytest.mark.parametrize(
    ("channel", "kind"),
    [
        ("book.BTC_USDC-PERPETUAL.100ms", market.BookChange),
        ("book.BTC_USDC-PERPETUAL.raw", market.BookChange),
        ("book.BTC_USDC-PERPETUAL.none.10.100ms", market.BookImage),
        ("ticker.BTC_USDC-PERPETUAL.100ms", market.Ticker),
        ("incremental_ticker.BTC_USDC-PERPETUAL", market.Ticker),
        ("quote.BTC_USDC-PERPETUAL", market.Ticker),
        ("trades.BTC_USDC-PERPETUAL.100ms", tuple[market.TapeTrade, ...]),
        ("trades.future.USDC.100ms", tuple[market.TapeTrade, ...]),
        ("perpetual.BTC_USDC-PERPETUAL.100ms", market.FundingPoint),
        ("chart.trades.BTC_USDC-PERPETUAL.1", market.ChartBar),
        ("instrument.state.future.USDC", market.InstrumentState),
        ("platform_state", market.PlatformState),
        ("platform_state.public_methods_state", market.PlatformState),
        ("deribit_price_index.btc_usdc", market.IndexPoint),
        ("user.orders.any.any.raw", tuple[trading.Order, ...]),
        ("user.trades.BTC_USDC-PERPETUAL.100ms", tuple[trading.UserTrade, ...]),
        ("user.changes.any.any.raw", channels.UserChanges),
        ("user.isolated.changes.any.USDC.100ms", channels.UserChanges),
        ("user.isolated.orders.any.USDC.100ms", tuple[trading.Order, ...]),
        ("user.portfolio.USDC", accounts.AccountSummary),
        ("user.lock", accounts.UserLock),
        ("announcements", None),
        ("user.access_log", None),
        ("", None),
        ("user", None),
    ],
)
def test_a_channels_name_says_what_it_carries(channel: str, kind: Any) -> None:
    assert channels.data_type(channel) == kind


def notification(channel: str, data: str) -> rpc.Notification:
    body = f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'
    frame = rpc.decode_frame(body.encode())
    assert isinstance(frame, rpc.Notification)
    return frame


def test_one_raw_order_and_a_list_of_orders_are_read_alike() -> None:
    one = channels.read_data(notification("user.orders.any.any.raw", '{"order_id":"USDC-1"}'))
    many = channels.read_data(notification("user.orders.any.any.100ms", '[{"order_id":"USDC-1"}]'))
    assert one == many == (trading.Order(order_id="USDC-1"),)


def test_a_book_change_holds_its_chain_and_its_levels() -> None:
    change = channels.read_data(
        notification(
            "book.BTC_USDC-PERPETUAL.100ms",
            '{"type":"change","prev_change_id":100,"change_id":104,"bids":[["change",79912.2,0.02]],'
            '"asks":[["delete",79912.3,0]]}',
        )
    )
    assert (change.prev_change_id, change.change_id) == (100, 104)
    assert [str(part) for part in change.bids[0]] == ["change", "79912.2", "0.02"]
    first = channels.read_data(notification("book.X.raw", '{"type":"snapshot","change_id":1,"prev_change_id":null}'))
    assert first.prev_change_id is msgspec.UNSET


@pytest.mark.parametrize(
    "data",
    ['{"bids":[["new",1]]}', '{"bids":[["new",true,1]]}', '{"bids":[[1,2,3,4]]}', '{"bids":[["new","x",1]]}', "7"],
)
def test_a_book_of_another_shape_is_refused(data: str) -> None:
    with pytest.raises(WireError):
        channels.read_data(notification("book.X.raw", data))


def test_a_channel_nobody_reads_and_a_message_without_data_are_refused_W11() -> None:
    with pytest.raises(WireError):
        channels.read_data(notification("brand.new", "{}"))
    with pytest.raises(WireError):
        channels.read_data(notification("quote.X", "null"))


def test_the_methods_know_what_they_are() -> None:
    buy, book = methods.METHODS["private/buy"], methods.METHODS["public/get_order_book"]
    assert (buy.private, buy.write, buy.purse, buy.params) == (True, True, methods.Purse.MATCHING, params.OrderParams)
    assert (book.private, book.write, book.purse) == (False, False, methods.Purse.PLAIN)
    assert methods.METHODS["private/cancel_all"].purse is methods.Purse.CANCEL_ALL
    writes = {name for name, fact in methods.METHODS.items() if fact.write}
    assert all(name.startswith("private/") for name in writes)
    assert {"private/edit", "private/cancel", "private/close_position", "private/set_leverage"} <= writes


# What ccxt 4.5.90 `coinbaseinternational` and the official client's sockets send for perps.
CALLED = """
public/auth public/test public/hello public/get_time public/get_instruments public/get_currencies public/ticker
public/get_order_book public/get_tradingview_chart_data public/get_funding_rate_history public/set_heartbeat
public/disable_heartbeat public/subscribe public/unsubscribe public/unsubscribe_all private/subscribe
private/unsubscribe private/unsubscribe_all private/logout private/get_account_summary private/get_account_summaries
private/get_transaction_log private/get_position private/get_positions private/buy private/sell private/edit
private/cancel private/cancel_all private/cancel_all_by_instrument private/get_order_state private/get_leverage
private/get_open_orders_by_instrument private/get_order_history_by_instrument private/get_user_trades_by_instrument
private/get_user_trades_by_instrument_and_time private/set_leverage private/enable_cancel_on_disconnect
private/disable_cancel_on_disconnect private/get_cancel_on_disconnect private/get_order_state_by_label
"""


@pytest.mark.parametrize("name", CALLED.split())
def test_every_method_the_known_clients_call_is_here(name: str) -> None:
    assert methods.METHODS[name].name == name


@pytest.mark.parametrize("name", sorted(methods.METHODS))
def test_no_struct_has_a_field_a_float_could_come_in_through_J7(name: str) -> None:
    fact = methods.METHODS[name]
    for described in (msgspec.inspect.type_info(fact.params), msgspec.inspect.type_info(fact.result)):
        assert _open_fields(described, set()) == []


def _open_fields(kind: msgspec.inspect.Type, seen: set[type]) -> list[str]:
    if isinstance(kind, msgspec.inspect.AnyType | msgspec.inspect.FloatType):
        return [repr(kind)]
    if isinstance(kind, msgspec.inspect.StructType):
        if kind.cls in seen:
            return []
        seen.add(kind.cls)
        return [f"{kind.cls.__name__}.{f.name}: {bad}" for f in kind.fields for bad in _open_fields(f.type, seen)]
    inner = [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]
    inner += [getattr(kind, name) for name in ("item_type", "key_type", "value_type") if hasattr(kind, name)]
    return [bad for each in inner for bad in _open_fields(each, seen)]
