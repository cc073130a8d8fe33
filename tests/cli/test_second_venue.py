"""What an operator meets on the second venue by command line: funding, its calendar, a locked account, a margin model."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Ask, bid_below

pytestmark = pytest.mark.slow
GLOBAL = ("--profile", "sim-global")


def test_funding_of_the_gateway_shows_each_sides_dearer_rate_and_the_hours_it_comes_from(
    exchange: Path, ask: Ask, run: Ask
) -> None:
    told = ask("products", "funding", "BTC-PERP", "--hours", "10", *GLOBAL)
    assert told.code == 0
    data: Any = told.data
    assert (data["publishes_history"], len(data["hours"])) == (True, 10)
    sums = [None if hour["sum_8h"] is None else Decimal(hour["sum_8h"]) for hour in data["hours"]]
    assert None not in sums
    assert sums[-1] == sum(Decimal(hour["rate_1h"]) for hour in data["hours"][-8:]) == Decimal(data["last_full_8h"])
    both = (Decimal(data["last_full_8h"]), Decimal(data["running_8h"]))
    assert Decimal(data["cost_per_day"]["long"]) == 3 * max(both)
    assert Decimal(data["cost_per_day"]["short"]) == -3 * min(both)
    assert data["cost_per_day"]["bound"] == "0.001"
    table = run("products", "funding", "BTC-PERP", *GLOBAL).out
    assert "a long pays a day" in table
    assert " ago" in table


def test_the_us_venue_publishes_no_history_of_funding_and_says_so(exchange: Path, ask: Ask, run: Ask) -> None:
    data: Any = ask("products", "funding", "BTC-PERP").data
    assert (data["publishes_history"], data["hours"], data["last_full_8h"]) == (False, None, None)
    assert (data["terms"]["interval"], data["terms"]["rate_time"][-7:]) == ("3600", ":00:00Z")
    assert Decimal(data["cost_per_day"]["long"]) == 24 * Decimal(data["terms"]["rate"])
    assert "publishes no history of funding rates" in run("products", "funding", "BTC-PERP").out
    assert ask("products", "funding", "BTC-PERP", "--hours", "0").code == 2


def test_when_funding_becomes_cash_is_told_once_by_products_and_by_preflight(exchange: Path, ask: Ask) -> None:
    shown: Any = ask("products", "show", "BTC-PERP", *GLOBAL).data["product"]["funding"]["next_accrual"]
    funding: Any = ask("products", "funding", "BTC-PERP", *GLOBAL).data
    assert funding["terms"]["next_accrual"] == shown
    assert funding["cash_times"] == [shown[11:16]]
    checks: Any = ask("preflight", *GLOBAL).data["checks"]
    evidence = [check["evidence"] for check in checks if "funding" in check["id"] or "quiet" in check["id"]]
    assert any(shown[11:16] in text for text in evidence), evidence


ORDER = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--type", "market", "--again")


def test_a_locked_account_is_denied_by_that_name_with_the_venues_words(exchange: Path, ask: Ask, run: Ask) -> None:
    before = ask("sim", "book").data["orders"]
    assert ask("sim", "set", "locked", "locked=true", "message=compliance review 81").code == 0
    try:
        denied = ask(*ORDER, *GLOBAL)
        table = run(*ORDER, *GLOBAL).out
    finally:
        ask("sim", "set", "locked", "locked=false")
    assert (denied.code, denied.data["outcome"]) == (3, "denied")
    assert denied.data["denials"][0]["code"] == "account_locked"
    assert "locked" in denied.data["denials"][0]["detail"]
    assert "compliance review 81" in denied.data["denials"][0]["detail"]
    assert "compliance" in table
    assert ask("sim", "book").data["orders"] == before


def test_a_margin_model_that_is_not_known_is_named_and_nothing_is_sent(exchange: Path, ask: Ask) -> None:
    before = ask("sim", "book").data["orders"]
    assert ask("sim", "set", "margin_model", "model=experimental").code == 0
    try:
        said = ask(*ORDER, *GLOBAL)
    finally:
        ask("sim", "set", "margin_model", "model=segregated_sm")
    assert (said.data["outcome"], said.data["reason"]) == ("not_sent", "margin_model_unknown")
    assert "experimental" in said.out
    assert ask("sim", "book").data["orders"] == before
    assert ask("sim", "set", "margin_model", "model=two words").code == 2


def test_the_list_says_where_the_figures_it_lacks_are_read(exchange: Path, run: Ask) -> None:
    note = "`perpsctl products show` reads it"
    assert note in run("products", "list", *GLOBAL).out.replace("\n", " ")
    assert note not in run("products", "list").out.replace("\n", " ")


def test_a_price_off_the_grid_is_refused_in_the_products_own_currency(exchange: Path, ask: Ask) -> None:
    terms = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "50000.03")
    for profile, currency in ((GLOBAL, " USDC"), ((), " USD")):
        refused = ask(*terms, *profile)
        assert (refused.code, refused.error["code"]) == (2, "off_grid")
        assert refused.error["message"].endswith(currency)


def test_integrity_and_completeness_of_the_journal_are_told_apart(exchange: Path, run: Ask) -> None:
    told = run("journal", "check", *GLOBAL).out
    assert "integrity" in told
    assert "completeness" in told
    assert "not judged: rows cut off at the end" in " ".join(told.split())


def test_a_fault_that_has_fired_stays_listed_as_spent(exchange: Path, ask: Ask, run: Ask) -> None:
    assert ask("sim", "fault", "arm", "N12", "--operation", "create_order").code == 0
    assert "armed" in run("sim", "fault", "list").out
    price = bid_below(ask)
    terms = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price)
    assert ask(*terms, "--tif", "gtc", "--post-only", "--again").code == 0
    (fault,) = ask("sim", "fault", "list").data["faults"]
    assert (fault["fired"], fault["spent"]) == (1, True)
    assert "spent" in run("sim", "fault", "list").out
