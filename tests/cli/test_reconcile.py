"""`reconcile` as an operator and as cron meet it: the ledger in the document, silence when all agrees, mail on a break."""

from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.cli.conftest import Ask, bid_below

PARTS = ("opening", "realised", "fees", "funding", "transfers")


@pytest.mark.parametrize("profile", ["sim", "sim-global"])
def test_the_ledger_of_the_document_adds_up_to_the_venues_balance(exchange: Path, ask: Ask, profile: str) -> None:
    said = ask("reconcile", "--profile", profile)
    told = said.data["ledger"]
    assert sum(Decimal(told[part]) for part in PARTS) == Decimal(told["closing"]) == Decimal(told["balance"])
    assert (told["difference"], told["explained"]) == ("0", True)
    assert told["currency"] == ("USD" if profile == "sim" else "USDC")


def test_cron_hears_nothing_while_all_agrees_and_a_machine_always_gets_its_document(
    exchange: Path, run: Ask, ask: Ask
) -> None:
    ask("reconcile")
    said = run("reconcile", "--quiet")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert ask("reconcile", "--quiet").data["breaks"] == []


def test_cron_gets_mail_on_a_break_with_its_class_owner_age_and_next_step(exchange: Path, run: Ask, ask: Ask) -> None:
    body = {
        "client_order_id": "placed-by-hand-9", "product_id": "BIP-20DEC30-CDE", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": bid_below(ask), "post_only": True}},
    }  # fmt: skip
    launcher.control(exchange_folder(), "POST", "/orders", body)
    [order] = ask("order", "list").data["orders"]
    said = run("reconcile", "--quiet")
    assert said.code == 1
    for word in ("foreign", "operator", order["venue_order_id"], "order cancel", "difference"):
        assert word in said.out
    assert max(len(line) for line in said.out.splitlines()) <= 80
    ask("order", "cancel", order["venue_order_id"])
    ask("reconcile")


def test_money_that_nobody_explains_is_a_break_with_an_age_until_somebody_accepts_it(exchange: Path, ask: Ask) -> None:
    ask("reconcile")
    assert ask("sim", "set", "balance", "cbi_usd=899000.5").code == 0
    first = ask("reconcile")
    assert first.code == 1
    [found] = first.data["breaks"]
    assert (found["kind"], found["class"], found["owner"], found["settled"]) == ("cash", "unknown", "operator", False)
    assert Decimal(found["age_s"]) >= 0
    rows = ask("journal", "info").data["rows"]
    again = ask("reconcile").data["breaks"]
    assert ask("journal", "info").data["rows"] == rows, "a second pass writes nothing (I6)"
    assert [each["since"] for each in again] == [found["since"]]
    assert ask("reconcile", "--by", "ann").code == 2
    accepted = ask("reconcile", "--accept-cash", "moved to the bank", "--by", "ann")
    assert (accepted.code, accepted.data["by"]) == (0, "ann")
    assert Decimal(accepted.data["accepted"]) == Decimal(first.data["ledger"]["difference"])
    assert ask("reconcile").data["breaks"] == []
    assert ask("reconcile", "--accept-cash", "again", "--by", "ann").code == 2
