from decimal import Decimal
from typing import Any

import pytest
import requests

from perpsctl.domain.errors import RateLimited, UsageError, VenueRefusedRequest, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.exchange.advanced_trade.operations import Operations
from tests.unit.exchange.parts import BIP, Answer, Canned, a_venue, product_body, reply


def operations() -> tuple[Operations, Canned]:
    canned = Canned()
    canned.on("GET", f"/products/{BIP}", reply(product_body()))
    return Operations(a_venue(canned)), canned


def wallet(uuid: str, **changes: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": "USD Wallet",
        "currency": "USD",
        "available_balance": {"value": "5", "currency": "USD"},
    } | changes


def test_wallets_are_read_to_the_last_page_each_once() -> None:
    ops, canned = operations()
    first = {"accounts": [wallet("a"), wallet("b")], "has_next": True, "cursor": "c"}
    canned.on("GET", "/accounts", [reply(first), reply({"accounts": [wallet("b"), wallet("d")], "has_next": False})])
    assert [each.wallet_id for each in ops.wallets()] == ["a", "b", "d"]


def test_E21_wallets_in_a_circle_are_an_error() -> None:
    ops, canned = operations()
    canned.on("GET", "/accounts", reply({"accounts": [wallet("a")], "has_next": True, "cursor": "c"}))
    with pytest.raises(VenueSpokeStrangely, match="circle"):
        ops.wallets()


def test_a_wallet_a_breakdown_and_the_portfolios_are_values_of_ours() -> None:
    ops, canned = operations()
    canned.on("GET", "/accounts/a", reply({"account": wallet("a", hold={"value": "1", "currency": "USD"})}))
    portfolio = {"name": "Main", "uuid": "p", "type": "DEFAULT", "deleted": False}
    canned.on("GET", "/portfolios", reply({"portfolios": [portfolio]}))
    sums = {
        "total_balance": {"value": "10", "currency": "USD"},
        "futures_unrealized_pnl": {"value": "-1", "currency": "USD"},
    }
    canned.on("GET", "/portfolios/p", reply({"breakdown": {"portfolio": portfolio, "portfolio_balances": sums}}))
    assert ops.wallet("a").held == Decimal(1)
    assert [each.kind for each in ops.portfolios()] == ["DEFAULT"]
    found = ops.breakdown("p")
    assert (found.total, found.futures_unrealised, found.cash) == (Decimal(10), Decimal(-1), None)


def test_moving_funds_is_sent_once_and_a_lost_answer_says_that_nobody_knows() -> None:
    ops, canned = operations()
    canned.on("POST", "/portfolios/move_funds", requests.exceptions.ReadTimeout("x"))
    with pytest.raises(VenueUnreachable, match="not known to be done") as caught:
        ops.move_funds(Decimal("1.50"), "USD", source="a", target="b")
    assert "sent once" in caught.value.fix
    (call,) = canned.calls
    assert call.body["funds"] == {"value": "1.5", "currency": "USD"}


@pytest.mark.parametrize(
    ("body", "raises"), [({}, True), ({"source_portfolio_uuid": "a", "target_portfolio_uuid": "b"}, False)]
)
def test_moving_funds_is_done_when_the_answer_names_both_portfolios(body: dict[str, Any], raises: bool) -> None:
    ops, canned = operations()
    canned.on("POST", "/portfolios/move_funds", reply(body))
    if raises:
        with pytest.raises(VenueSpokeStrangely):
            ops.move_funds(Decimal(1), "USD", source="a", target="b")
    else:
        ops.move_funds(Decimal(1), "USD", source="a", target="b")


def test_a_rate_limit_on_moving_funds_is_a_rate_limit() -> None:
    ops, canned = operations()
    canned.on("POST", "/portfolios/move_funds", reply({}, 429))
    with pytest.raises(RateLimited):
        ops.move_funds(Decimal(1), "USD", source="a", target="b")
    assert len(canned.calls) == 1


@pytest.mark.parametrize(("amount", "target"), [(Decimal(0), "b"), (Decimal(-1), "b"), (Decimal(1), "a")])
def test_a_move_of_nothing_or_to_itself_is_refused_before_asking(amount: Decimal, target: str) -> None:
    ops, canned = operations()
    with pytest.raises(UsageError):
        ops.move_funds(amount, "USD", source="a", target=target)
    assert canned.calls == []


def test_one_position_is_signed_and_absence_is_none() -> None:
    ops, canned = operations()
    row = {"product_id": BIP, "side": "LONG", "number_of_contracts": "2"}
    canned.on("GET", f"/cfm/positions/{BIP}", [reply({"position": row}), reply({})])
    found = ops.position(ProductId(BIP))
    assert found is not None
    assert found.coin == Decimal("0.02")
    assert ops.position(ProductId(BIP)) is None


def test_sweeps_are_listed_with_either_spelling_of_their_time() -> None:
    ops, canned = operations()
    rows = [
        {
            "id": "1",
            "requested_amount": {"value": "7", "currency": "USD"},
            "status": "PENDING",
            "scheduled_time": "2026-11-23T00:00:00Z",
        },
        {"id": "2", "should_sweep_all": True, "status": "PROCESSING", "schedule_time": "2026-11-24T00:00:00Z"},
    ]
    canned.on("GET", "/cfm/sweeps", reply({"sweeps": rows}))
    one, two = ops.sweeps()
    assert (one.amount, one.all, two.amount, two.all) == (Decimal(7), False, None, True)
    assert one.scheduled is not None
    assert two.scheduled is not None


@pytest.mark.parametrize(("usd", "body"), [(None, {}), (Decimal("7.50"), {"usd_amount": "7.5"})])
def test_a_sweep_is_asked_for_once(usd: Decimal | None, body: dict[str, str]) -> None:
    ops, canned = operations()
    canned.on("POST", "/cfm/sweeps/schedule", reply({"success": True}))
    ops.schedule_sweep(usd)
    assert [call.body for call in canned.calls] == [body]


@pytest.mark.parametrize("answer", [reply({"success": False}), reply({})])
def test_a_sweep_without_a_yes_is_an_error(answer: Answer) -> None:
    ops, canned = operations()
    canned.on("POST", "/cfm/sweeps/schedule", answer)
    canned.on("DELETE", "/cfm/sweeps", answer)
    with pytest.raises(VenueRefusedRequest):
        ops.schedule_sweep(None)
    with pytest.raises(VenueRefusedRequest):
        ops.cancel_sweeps()


def test_cancelling_sweeps_repeats() -> None:
    ops, canned = operations()
    canned.on("DELETE", "/cfm/sweeps", [reply({}, 503), reply({"success": True})])
    ops.cancel_sweeps()
    assert len(canned.calls) == 2


def test_the_margin_setting_is_set_and_read_back() -> None:
    ops, canned = operations()
    canned.on("POST", "/cfm/intraday/margin_setting", reply({}))
    canned.on("GET", "/cfm/intraday/margin_setting", reply({"setting": "INTRADAY_MARGIN_SETTING_INTRADAY"}))
    ops.set_margin_setting("intraday")
    assert ops.margin_setting() == "intraday"
    with pytest.raises(VenueSpokeStrangely, match="reads back as intraday"):
        ops.set_margin_setting("standard")
    with pytest.raises(UsageError):
        ops.set_margin_setting("both")
