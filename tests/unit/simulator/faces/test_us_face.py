"""What the US face answers, unpleasant parts included (Advanced Trade reference sections 3 to 10)."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from perpsctl.simulator.faces.routes import ROUTES, Needs
from perpsctl.simulator.faces.strict_json import read_body
from perpsctl.simulator.faces.us_orders import order_request
from perpsctl.simulator.identity import Role
from perpsctl.simulator.orders import PlacementSource
from perpsctl.wire.advanced_trade.orders import CreateOrderRequest
from tests.unit.simulator.faces.trader import BIP, START, Trader

NOW = int(START.timestamp())


@pytest.fixture
def trader() -> Trader:
    return Trader()


def error(reply: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(reply.body)
    return found


# --- orders -------------------------------------------------------------------------------------------


def test_a_success_has_neither_an_error_key_nor_a_null(trader: Trader) -> None:
    text = trader.ask("POST", "/orders", body=trader.limit("a")).body
    reply = json.loads(text)
    assert reply["success"] is True
    assert reply["success_response"]["client_order_id"] == "a"
    assert reply["order_configuration"]["limit_limit_gtc"] == {
        "base_size": "1",
        "limit_price": "60000",
        "post_only": True,
    }
    assert not {"error", "error_response", "failure_reason"} & reply.keys()
    assert b"null" not in text


def test_e3_a_business_refusal_is_http_200_with_its_reason_in_three_places(trader: Trader) -> None:
    reply = trader.post("/orders", trader.limit("a", size="9999999"))
    assert reply["success"] is False
    reason = reply["error_response"]["new_order_failure_reason"]
    assert reason == reply["error_response"]["error"]
    assert reply["error_response"]["preview_failure_reason"].startswith("PREVIEW_")
    assert (reply["failure_reason"], reply["order_id"]) == ("UNKNOWN_FAILURE_REASON", "")
    assert trader.booked() == ()


def test_an_unknown_top_level_key_is_400_and_places_nothing(trader: Trader) -> None:
    reply = trader.ask("POST", "/orders", body={**trader.limit("a"), "reduceOnly": True})
    assert reply.status == 400
    assert error(reply)["error"] == "unknown"
    assert error(reply)["error_details"] == error(reply)["message"]
    assert trader.booked() == ()


@pytest.mark.parametrize("missing", ["client_order_id", "product_id", "side", "order_configuration"])
def test_a_create_without_a_required_part_is_400(trader: Trader, missing: str) -> None:
    body = trader.limit("a")
    del body[missing]
    assert trader.ask("POST", "/orders", body=body).status == 400
    assert trader.booked() == ()


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"market_market_ioc": {"base_size": "1"}, "limit_limit_gtc": {"base_size": "1", "limit_price": "5"}},
        {"limit_limit_gtc": {"base_size": "1e999999999", "limit_price": "5"}},
        {"limit_limit_gtc": {"base_size": "NaN", "limit_price": "5"}},
        {"limit_limit_gtc": {"base_size": "١", "limit_price": "5"}},
        {"limit_limit_gtd": {"base_size": "1", "limit_price": "60000", "end_time": "tomorrow"}},
        {
            "stop_limit_stop_limit_gtc": {
                "base_size": "1",
                "limit_price": "5",
                "stop_price": "5",
                "stop_direction": "UP",
            }
        },
    ],
)
def test_h1_a_configuration_that_cannot_be_read_is_400(trader: Trader, configuration: dict[str, Any]) -> None:
    body = {**trader.limit("a"), "order_configuration": configuration}
    assert trader.ask("POST", "/orders", body=body).status == 400
    assert trader.booked() == ()


def test_e5_a_repeat_answers_success_with_the_first_orders_id_and_places_nothing(trader: Trader) -> None:
    first = trader.post("/orders", trader.limit("a"))
    again = trader.post("/orders", trader.limit("a", side="SELL", price="90000"))
    assert again["success_response"]["order_id"] == first["success_response"]["order_id"]
    assert again["success_response"]["side"] == "SELL"
    assert trader.booked() == ("a",)


def test_an_order_is_read_back_with_its_configuration_and_text_counters(trader: Trader) -> None:
    order_id = trader.post("/orders", trader.limit("a"))["success_response"]["order_id"]
    order = trader.get(f"/orders/historical/{order_id}")["order"]
    assert order["order_configuration"]["limit_limit_gtc"]["base_size"] == "1"
    assert (order["number_of_fills"], order["average_filled_price"], order["edit_history"]) == ("0", "0", [])
    assert (order["status"], order["retail_portfolio_id"]) == ("OPEN", trader.embedded.exchange.portfolio_uuid)
    assert trader.ask("GET", "/orders/historical/nothing").status == 404


def test_orders_page_by_an_opaque_cursor_without_loss_or_repeat(trader: Trader) -> None:
    names = [f"order-{number}" for number in range(7)]
    for name in names:
        trader.post("/orders", trader.limit(name))
        trader.pass_time(1)
    seen: list[str] = []
    query = "limit=3"
    while True:
        page = trader.get("/orders/historical/batch", query)
        seen += [order["client_order_id"] for order in page["orders"]]
        if not page["has_next"]:
            assert page["cursor"] == ""
            break
        query = f"limit=3&cursor={page['cursor']}"
    assert seen == names[::-1]
    assert trader.ask("GET", "/orders/historical/batch", "cursor=made-up").status == 400


def test_only_retail_advanced_orders_are_listed_unless_another_source_is_named(trader: Trader) -> None:
    trader.post("/orders", trader.limit("mine"))
    outside = order_request(read_body(json.dumps(trader.limit("theirs")).encode(), CreateOrderRequest))
    trader.embedded.exchange.control.inject_order(replace(outside, source=PlacementSource.RETAIL_SIMPLE))
    listed = trader.get("/orders/historical/batch")["orders"]
    assert [order["client_order_id"] for order in listed] == ["mine"]
    simple = trader.get("/orders/historical/batch", "order_placement_source=RETAIL_SIMPLE")["orders"]
    assert [order["client_order_id"] for order in simple] == ["theirs"]


def test_open_is_not_combined_with_other_statuses_unless_switched(trader: Trader) -> None:
    query = "order_status=OPEN&order_status=FILLED"
    assert trader.ask("GET", "/orders/historical/batch", query).status == 400
    trader.embedded.us.switches.open_with_other_statuses = True
    assert trader.ask("GET", "/orders/historical/batch", query).status == 200


def test_singular_product_id_and_repeated_keys_filter_alike(trader: Trader) -> None:
    trader.post("/orders", trader.limit("a"))
    for query in (f"product_id={BIP}", f"product_ids={BIP}", f"product_ids=X&product_ids={BIP}"):
        assert len(trader.get("/orders/historical/batch", query)["orders"]) == 1
    assert trader.get("/orders/historical/batch", "product_id=ETP-20DEC30-CDE")["orders"] == []


def test_fills_end_their_pages_with_an_empty_cursor_and_take_order_ids_alone(trader: Trader) -> None:
    market = {**trader.limit("a"), "order_configuration": {"market_market_ioc": {"base_size": "3"}}}
    order_id = trader.post("/orders", market)["success_response"]["order_id"]
    fills = trader.get("/orders/historical/fills", f"order_ids={order_id}")
    assert fills["cursor"] == ""
    assert sum(int(fill["size"]) for fill in fills["fills"]) == 3
    assert all(fill["fillSource"] == "FILL_SOURCE_CLOB" for fill in fills["fills"])
    for other in (f"product_id={BIP}", "product_types=FUTURE"):
        refused = trader.ask("GET", "/orders/historical/fills", f"order_ids={order_id}&{other}")
        assert refused.status == 400
        assert error(refused)["error_details"] == "cannot pass order_ids with other filters"


def test_edit_and_cancel_answer_per_order_with_http_200(trader: Trader) -> None:
    order_id = trader.post("/orders", trader.limit("a", size="2"))["success_response"]["order_id"]
    edited = trader.post("/orders/edit", {"order_id": order_id, "price": "61000", "size": "3"})
    assert (edited["success"], edited["errors"]) == (True, [])
    refused = trader.post("/orders/edit", {"order_id": "nothing", "price": "61000"})
    assert refused["success"] is False
    assert refused["errors"][0]["edit_failure_reason"] == "ORDER_NOT_FOUND"
    rows = trader.post("/orders/batch_cancel", {"order_ids": [order_id, "nothing"]})["results"]
    assert [(row["success"], row["failure_reason"]) for row in rows] == [
        (True, "UNKNOWN_CANCEL_FAILURE_REASON"),
        (False, "UNKNOWN_CANCEL_ORDER"),
    ]
    assert trader.ask("POST", "/orders/batch_cancel", body={"order_ids": []}).status == 400


def test_a_bad_preview_is_http_200_with_errs(trader: Trader) -> None:
    body = trader.limit("a", size="0.5")
    del body["client_order_id"]
    assert trader.post("/orders/preview", body)["errs"]
    assert trader.booked() == ()


def test_ccxts_close_by_amount_is_400_and_closes_everything_where_it_is_ignored(trader: Trader) -> None:
    trader.embedded.exchange.control.set_position(BIP, Decimal(5))
    body = {"product_id": BIP, "client_order_id": "close", "amount": 1}
    assert trader.ask("POST", "/orders/close_position", body=body).status == 400
    assert trader.get("/cfm/positions")["positions"][0]["number_of_contracts"] == "5"
    trader.embedded.us.switches.close_amount_ignored = True
    assert trader.post("/orders/close_position", body)["success"] is True
    assert trader.get("/cfm/positions")["positions"] == []


# --- market -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/products", f"/products/{BIP}", "/product_book", f"/products/{BIP}/ticker"])
def test_a_public_twin_answers_without_a_token_what_the_signed_path_does(trader: Trader, path: str) -> None:
    query = f"product_id={BIP}&limit=3"
    signed = trader.ask("GET", path, query)
    public = trader.ask("GET", f"/market{path}", query, token="")
    assert (public.status, public.body) == (200, signed.body)
    assert trader.ask("GET", path, query, token="").status == 401


def test_a_us_perp_says_expiring_and_keeps_its_funding_on_the_future_itself(trader: Trader) -> None:
    product = trader.get(f"/products/{BIP}")
    details = product["future_product_details"]
    assert (product["product_type"], product["product_venue"], product["status"]) == ("FUTURE", "FCM", "")
    assert details["contract_expiry_type"] == "EXPIRING"
    assert details["funding_interval"] == "3600s"
    assert details["funding_rate"]
    assert details["perpetual_details"]["funding_rate"] == ""
    assert trader.get("/products", "product_type=FUTURE&contract_expiry_type=PERPETUAL")["products"] == []
    assert trader.get("/products", "product_type=FUTURE&contract_expiry_type=EXPIRING")["num_products"] > 0


def test_products_are_paged_by_limit_and_offset(trader: Trader) -> None:
    every = [each["product_id"] for each in trader.get("/products", "get_all_products=False")["products"]]
    first = trader.get("/products", "limit=2")
    rest = trader.get("/products", "offset=2")
    assert [each["product_id"] for each in first["products"] + rest["products"]] == every
    assert (first["pagination"]["has_next"], rest["pagination"]["has_next"]) == (True, False)


def test_candles_come_newest_first_and_a_long_range_gives_the_newest_350(trader: Trader) -> None:
    query = f"start={NOW - 600 * 60}&end={NOW}&granularity=ONE_MINUTE"
    starts = [int(candle["start"]) for candle in trader.get(f"/products/{BIP}/candles", query)["candles"]]
    assert len(starts) == 350
    assert starts == sorted(starts, reverse=True)
    assert starts[0] > NOW - 180
    for bad in ("start=1&end=2", f"start=x&end={NOW}&granularity=ONE_MINUTE", query.replace("ONE_MINUTE", "MINUTE")):
        assert trader.ask("GET", f"/products/{BIP}/candles", bad).status == 400


def test_the_ticker_does_without_the_limit_that_ccxt_leaves_out(trader: Trader) -> None:
    assert len(trader.get(f"/products/{BIP}/ticker")["trades"]) > 1
    assert len(trader.get(f"/products/{BIP}/ticker", "limit=1")["trades"]) == 1


def test_an_unknown_product_is_404_and_an_intx_family_call_403(trader: Trader) -> None:
    assert trader.ask("GET", "/products/BTC-PERP-INTX").status == 404
    assert trader.ask("GET", "/intx/positions/some/where").status == 403
    assert trader.ask("POST", "/convert/quote", body={}).status == 403
    assert trader.ask("GET", "/payment_methods").status == 403
    assert trader.ask("GET", "/made/up").status == 404


# --- account ------------------------------------------------------------------------------------------


def test_accounts_page_by_cursor(trader: Trader) -> None:
    every = [account["uuid"] for account in trader.get("/accounts")["accounts"]]
    first = trader.get("/accounts", "limit=1")
    assert [account["uuid"] for account in first["accounts"]] == every[:1]
    assert first["size"] == 1
    if len(every) > 1:
        second = trader.get("/accounts", f"limit=1&cursor={first['cursor']}")
        assert second["accounts"][0]["uuid"] == every[1]
    assert trader.ask("GET", "/accounts", "limit=251").status == 400
    assert trader.ask("GET", "/accounts", "cursor=AAAA").status == 400


def test_a_flat_position_is_an_empty_object_never_null(trader: Trader) -> None:
    assert trader.get(f"/cfm/positions/{BIP}") == {}
    assert trader.ask("GET", "/cfm/positions/NOTHING").status == 404


def test_the_futures_tier_needs_the_futures_query(trader: Trader) -> None:
    assert trader.get("/transaction_summary", "product_type=FUTURE")["fee_tier"]["taker_fee_rate"] == "0.0003"
    assert trader.get("/transaction_summary")["fee_tier"]["taker_fee_rate"] == "0.012"


def test_sweeps_are_scheduled_listed_and_cancelled(trader: Trader) -> None:
    assert trader.post("/cfm/sweeps/schedule", {"usd_amount": "7"})["success"] is True
    assert trader.get("/cfm/sweeps")["sweeps"][0]["requested_amount"] == {"value": "7", "currency": "USD"}
    assert json.loads(trader.ask("DELETE", "/cfm/sweeps", body={}).body)["success"] is True
    assert trader.get("/cfm/sweeps")["sweeps"] == []


def test_v2_reads_of_ccxt_are_served_on_the_same_port(trader: Trader) -> None:
    for path in ("/v2/time", "/v2/currencies", "/v2/currencies/crypto", "/v2/exchange-rates"):
        reply = trader.embedded.us.handle(trader.request("GET", path, token=""))
        assert (reply.status, "data" in json.loads(reply.body)) == (200, True)
    assert trader.embedded.us.handle(trader.request("GET", "/v2/accounts", "limit=250")).status == 200
    assert trader.embedded.us.handle(trader.request("GET", "/v2/accounts", token="")).status == 401


# --- rights -------------------------------------------------------------------------------------------


def test_every_signed_path_refuses_a_caller_without_a_token(trader: Trader) -> None:
    for route in ROUTES:
        path = route.path.replace("{}", "x")
        status = trader.embedded.us.handle(trader.request(route.method, path, token="")).status
        assert (status == 401) is (route.needs is not Needs.NOTHING), route.path


def test_a_view_key_changes_nothing_and_is_told_the_scope_literally(trader: Trader) -> None:
    trader.use("monitor")
    for route in ROUTES:
        if route.needs in (Needs.TRADE, Needs.TRANSFER):
            trader.embedded.us.budgets.clear()
            reply = trader.embedded.us.handle(trader.request(route.method, route.path.replace("{}", "x"), body={}))
            assert reply.status == 403
            assert b'"error_details":"Missing required scopes"' in reply.body
    assert trader.embedded.exchange.judge_view().requests == ()


def test_a7_moving_funds_needs_the_transfer_right_no_key_has_by_default(trader: Trader) -> None:
    body = {"funds": {"value": "1", "currency": "USD"}, "source_portfolio_uuid": "a", "target_portfolio_uuid": "b"}
    assert trader.ask("POST", "/portfolios/move_funds", body=body).status == 403
    assert trader.get("/key_permissions")["can_transfer"] is False
    trader.embedded.keys.change(Role.TRADE, can_transfer=True)
    assert trader.get("/key_permissions")["can_transfer"] is True
    assert trader.ask("POST", "/portfolios/move_funds", body=body).status == 404


def test_a6_a_key_bound_elsewhere_names_its_portfolio_and_may_not_see_ours(trader: Trader) -> None:
    ours = trader.embedded.exchange.portfolio_uuid
    trader.embedded.keys.change(Role.TRADE, portfolio_uuid="11111111-2222-3333-4444-555555555555")
    assert trader.get("/key_permissions")["portfolio_uuid"] != ours
    assert trader.ask("GET", f"/portfolios/{ours}").status == 403


def test_a6_wins_over_the_portfolio_a_key_is_bound_to(trader: Trader) -> None:
    trader.embedded.keys.change(Role.TRADE, portfolio_uuid="bound-to-this")
    assert trader.get("/key_permissions")["portfolio_uuid"] == "bound-to-this"
    trader.embedded.exchange.faults.arm("A6")
    assert trader.get("/key_permissions")["portfolio_uuid"] != "bound-to-this"


def test_a4_an_address_off_the_allowlist_is_refused_on_signed_paths_only(trader: Trader) -> None:
    trader.embedded.us.switches.allowlist = ("10.0.0.0/8",)
    assert trader.ask("GET", "/accounts").status == 403
    assert trader.ask("GET", "/accounts", ip="10.1.2.3").status == 200
    assert trader.ask("GET", "/time", token="").status == 200


# --- budgets ------------------------------------------------------------------------------------------


def test_the_private_budget_is_30_a_second_per_user_whatever_the_key(trader: Trader) -> None:
    statuses = [trader.ask("GET", "/key_permissions").status for _ in range(20)]
    trader.use("monitor")
    statuses += [trader.ask("GET", "/key_permissions").status for _ in range(11)]
    assert statuses == [200] * 30 + [429]
    trader.pass_time(1)
    assert trader.ask("GET", "/key_permissions").status == 200


def test_the_public_budget_is_10_a_second_per_address(trader: Trader) -> None:
    statuses = [trader.ask("GET", "/time", token="").status for _ in range(11)]
    assert statuses == [200] * 10 + [429]
    assert trader.ask("GET", "/time", token="", ip="127.0.0.9").status == 200


def test_budget_headers_are_lower_case_and_count_down(trader: Trader) -> None:
    first = dict(trader.ask("GET", "/accounts").headers)
    second = dict(trader.ask("GET", "/accounts").headers)
    assert first["x-ratelimit-limit"] == "30"
    assert int(first["x-ratelimit-remaining"]) == int(second["x-ratelimit-remaining"]) + 1
    assert "x-ratelimit-reset" in first


def test_every_answer_carries_an_id_of_its_own_and_the_venues_time(trader: Trader) -> None:
    first, second = (dict(trader.ask("GET", "/accounts").headers) for _ in range(2))
    assert first["trace-id"] != second["trace-id"]
    assert first["date"] == "Sun, 22 Nov 2026 10:00:00 GMT"


def test_a_429_is_json_or_by_switch_the_html_page_production_has_sent(trader: Trader) -> None:
    for _ in range(30):
        trader.ask("GET", "/accounts")
    assert error(trader.ask("GET", "/accounts"))["errors"][0]["id"] == "rate_limit_exceeded"  # type: ignore[index]
    trader.embedded.us.switches.html_429 = True
    assert trader.ask("GET", "/accounts").content_type.startswith("text/html")
    assert trader.booked() == ()


def test_a_body_on_get_is_tolerated(trader: Trader) -> None:
    assert trader.ask("GET", "/accounts", body=b"{}").status == 200
