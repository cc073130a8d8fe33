"""Run inside the official SDK's environment, unmodified `coinbase-advanced-py` 1.8.4: every call, its typed answer printed.

Arguments: host:port of the simulator's TLS face, a key file of the trade key, one of the monitor key.
"""

import json
import sys
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from coinbase.rest import RESTClient  # type: ignore[import-not-found]  # lives in an environment of its own
from requests.exceptions import HTTPError

BIP = "BIP-20DEC30-CDE"
facts: dict[str, Any] = {}


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> dict[str, Any]:
    try:
        call(*arguments, **named)
    except HTTPError as error:
        return {"status": error.response.status_code, "text": str(error)}
    raise SystemExit(f"{call.__name__} was not refused")


def main(base_url: str, key_file: str, monitor_file: str) -> None:
    client = RESTClient(key_file=key_file, base_url=base_url, timeout=10, rate_limit_headers=True)
    public = RESTClient(base_url=base_url, timeout=10)

    # public and signed market data
    facts["unix_time"] = int(public.get_unix_time().epoch_seconds)
    facts["public_products"] = [each.product_id for each in public.get_public_products().products]
    futures = client.get_products(product_type="FUTURE", get_all_products=False)
    facts["futures"] = [each.product_id for each in futures.products]
    product = client.get_product(BIP, get_tradability_status=True)
    facts["product"] = {
        "price_increment": product.price_increment,
        "contract_size": product["future_product_details"]["contract_size"],
        "funding_interval": product["future_product_details"]["funding_interval"],
    }
    facts["public_product"] = public.get_public_product(BIP).product_id
    book = client.get_product_book(BIP, limit=5)
    facts["book"] = [len(book.pricebook.bids), len(book.pricebook.asks)]
    facts["public_book"] = len(public.get_public_product_book(BIP, limit=2).pricebook.bids)
    facts["best"] = [
        each.product_id for each in client.get_best_bid_ask(product_ids=[BIP, "ETP-20DEC30-CDE"]).pricebooks
    ]
    now = int(time.time())
    candles = client.get_candles(BIP, start=str(now - 7200), end=str(now), granularity="ONE_MINUTE")
    starts = [int(each.start) for each in candles.candles]
    facts["candles"] = {"many": len(starts) > 60, "newest_first": starts == sorted(starts, reverse=True)}
    long = public.get_public_candles(BIP, start=str(now - 600 * 60), end=str(now), granularity="ONE_MINUTE")
    facts["long_candles"] = len(long.candles)
    facts["trades"] = len(client.get_market_trades(BIP, limit=3).trades)
    facts["public_trades"] = len(public.get_public_market_trades(BIP, limit=3).trades)

    # the account
    rights = client.get_api_key_permissions()
    facts["rights"] = [rights.can_view, rights.can_trade, rights.can_transfer]
    facts["portfolio_uuid"] = rights.portfolio_uuid
    facts["rate_headers"] = sorted(
        name for name, value in vars(rights).items() if name.startswith("rate_limit") and value
    )
    accounts = client.get_accounts(limit=1)
    facts["accounts"] = [accounts.accounts[0].currency, accounts.has_next]
    facts["account"] = client.get_account(accounts.accounts[0].uuid).account.uuid == accounts.accounts[0].uuid
    facts["portfolios"] = [each.uuid for each in client.get_portfolios().portfolios]
    facts["breakdown"] = client.get_portfolio_breakdown(rights.portfolio_uuid).breakdown.portfolio.uuid
    facts["fees"] = client.get_transaction_summary(product_type="FUTURE").fee_tier["taker_fee_rate"]
    window = client.get_current_margin_window("MARGIN_PROFILE_TYPE_RETAIL_REGULAR")
    facts["margin_window"] = window.margin_window["margin_window_type"]
    facts["margin_setting"] = client.get_intraday_margin_setting().setting
    client.set_intraday_margin_setting("INTRADAY_MARGIN_SETTING_INTRADAY")
    facts["margin_setting_after"] = client.get_intraday_margin_setting().setting

    # orders: previews
    tick = Decimal(product.price_increment)
    bid = Decimal(book.pricebook.bids[0].price)
    far = str((bid * Decimal("0.9")) // tick * tick)
    preview = client.preview_limit_order_gtc_buy(BIP, base_size="2", limit_price=far, post_only=True)
    facts["preview"] = {"errs": preview.errs, "margin": Decimal(preview.order_margin_total) > 0}
    facts["bad_preview"] = client.preview_limit_order_gtc_buy(BIP, base_size="0.5", limit_price=far).errs
    facts["preview_market"] = client.preview_market_order_sell(BIP, base_size="1").errs

    # orders: resting, edited, cancelled
    buy = client.limit_order_gtc_buy("sdk-buy", BIP, base_size="3", limit_price=far, post_only=True)
    facts["buy"] = {"success": buy.success, "order_id": buy.success_response["order_id"]}
    high = str((bid * Decimal("1.1")) // tick * tick)
    sell = client.limit_order_gtc_sell("sdk-sell", BIP, base_size="1", limit_price=high)
    facts["sell"] = sell.success_response["order_id"]
    stop = client.stop_limit_order_gtc_buy(
        "sdk-stop", BIP, base_size="1", limit_price=high, stop_price=high, stop_direction="STOP_DIRECTION_STOP_UP"
    )
    facts["stop"] = stop.success
    facts["again"] = client.limit_order_gtc_buy("sdk-buy", BIP, base_size="3", limit_price=far).success_response[
        "order_id"
    ]
    facts["off_grid"] = client.limit_order_gtc_buy(
        str(uuid.uuid4()), BIP, base_size="1", limit_price="1.01"
    ).error_response["error"]
    order = client.get_order(facts["buy"]["order_id"]).order
    facts["order"] = [order.status, order.client_order_id, order.order_configuration.limit_limit_gtc["base_size"]]
    facts["open"] = sorted(each.client_order_id for each in client.list_orders(order_status=["OPEN"]).orders)
    page = client.list_orders(limit=1)
    facts["page"] = [len(page.orders), page.has_next]
    facts["second_page"] = client.list_orders(limit=1, cursor=page.cursor).orders[0].order_id != page.orders[0].order_id
    facts["edit_preview"] = client.preview_edit_order(facts["buy"]["order_id"], size="2", price=far).errors
    facts["edit"] = client.edit_order(facts["buy"]["order_id"], size="2", price=far).success
    facts["bad_edit"] = client.edit_order(str(uuid.uuid4()), size="1", price=far).errors[0].edit_failure_reason
    ids = [each.order_id for each in client.list_orders(order_status=["OPEN"]).orders]
    facts["cancel"] = [each.success for each in client.cancel_orders(ids).results]
    facts["bad_cancel"] = client.cancel_orders([str(uuid.uuid4())]).results[0].failure_reason
    facts["still_open"] = len(client.list_orders(order_status=["OPEN"]).orders)

    # orders: filled, position, closed
    for side in (client.market_order_buy, client.limit_order_ioc_buy, client.limit_order_fok_buy):
        extra = {} if side == client.market_order_buy else {"limit_price": high}
        answer = side(f"sdk-{side.__name__}", BIP, base_size="2", **extra)
        assert answer.success, answer.to_dict()
    position = client.get_futures_position(BIP).position
    facts["position"] = [position.side, position.number_of_contracts]
    facts["positions"] = [each.product_id for each in client.list_futures_positions().positions]
    fills = client.get_fills(product_ids=[BIP])
    facts["filled"] = str(sum(Decimal(each.size) for each in fills.fills))
    summary = client.get_futures_balance_summary().balance_summary
    facts["initial_margin"] = Decimal(summary.initial_margin["value"]) > 0
    facts["window_measure"] = summary.intraday_margin_window_measure["margin_window_type"]
    facts["partly_closed"] = client.close_position("sdk-close-1", BIP, size="1").success
    facts["closed"] = client.close_position("sdk-close-2", BIP).success
    facts["nothing_to_close"] = client.close_position("sdk-close-3", BIP).error_response["error"]
    facts["flat"] = "position" in client.get_futures_position(BIP).to_dict()
    facts["sweep"] = client.schedule_futures_sweep("7").success
    facts["sweeps"] = len(client.list_futures_sweeps().sweeps)
    facts["sweep_cancelled"] = client.cancel_pending_futures_sweep().success

    # refusals
    monitor = RESTClient(key_file=monitor_file, base_url=base_url, timeout=10)
    facts["monitor_view"] = monitor.get_api_key_permissions().can_trade
    facts["monitor_order"] = refused(monitor.market_order_buy, "sdk-monitor", BIP, base_size="1")
    facts["unknown_order"] = refused(client.get_order, str(uuid.uuid4()))["status"]
    facts["intx"] = refused(client.list_perps_positions, "some-portfolio")["status"]
    facts["payments"] = refused(client.list_payment_methods)["status"]
    facts["unknown_key"] = refused(
        client.create_order, "sdk-bad", BIP, "BUY", {"market_market_ioc": {"base_size": "1"}}, reduceOnly=True
    )["text"]
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
