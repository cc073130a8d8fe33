"""Each command's document on a living exchange: the names scripts rely on, held to the published schemas."""

from pathlib import Path

import pytest
import typer

from perpsctl.commands.tree import tree
from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.cli.conftest import Ask, bid_below
from tests.cli.schemas import FOLDER, invalid, schema

pytestmark = pytest.mark.slow
POST_ONLY = ("--type", "limit", "--tif", "gtc", "--post-only", "--again")


def command_paths() -> list[str]:
    """Every command there is, as `order place`."""
    found: list[str] = []

    def walk(node: object, path: tuple[str, ...]) -> None:
        below = getattr(node, "commands", None)
        if below is None:
            found.append(" ".join(path))
        else:
            for name, child in below.items():
                walk(child, (*path, name))

    walk(typer.main.get_command(tree()), ())
    return found


def test_every_command_has_its_schema_and_every_schema_its_command() -> None:
    named = {path.replace(" ", ".") for path in command_paths()}
    assert {path.stem for path in FOLDER.glob("*.json")} == named | {"common", "error", "version"}


def test_a_schema_sees_what_is_wrong() -> None:
    whole: dict[str, object] = {
        "schema": "perpsctl.config.init/1", "command": "config init", "profile": None, "venue": None, "environment": None,
        "as_of": "2026-11-22T10:00:00Z", "data": {"file": "x"}, "warnings": [],
    }  # fmt: skip
    assert invalid(whole) == []
    assert invalid(whole | {"as_of": "yesterday"}) != []
    assert invalid(whole | {"data": {"file": 3}}) != []
    assert invalid(whole | {"data": {"file": "x", "more": 1}}) != []
    assert invalid({key: value for key, value in whole.items() if key != "warnings"}) != []
    assert schema("common")["$defs"]["decimal"]["type"] == "string"


def test_a_backup_is_a_proven_file_and_is_never_written_over(exchange: Path, ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    said = ask("journal", "backup", str(file))
    assert (said.code, said.data["file"]) == (0, str(file))
    assert said.data["head"] == ask("journal", "info").data["head"]
    again = ask("journal", "backup", str(file))
    assert (again.code, again.error["code"]) == (2, "usage")
    assert file.stat().st_size == said.data["size_bytes"]


def test_place_list_show_edit_and_cancel_agree_with_the_exchanges_book(exchange: Path, ask: Ask) -> None:
    price = bid_below(ask)
    terms = ("--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price, *POST_ONLY)
    placed = ask("order", "place", *terms)
    assert placed.code == 0
    assert placed.document["profile"] == "sim"
    assert (placed.data["outcome"], placed.data["denials"]) == ("accepted", [])
    order_id = placed.data["order"]["venue_order_id"]
    assert placed.data["order"]["status"] == "open"

    listed = ask("order", "list")
    assert [order["venue_order_id"] for order in listed.data["orders"]] == [order_id]
    assert listed.data["orders"][0]["intent_id"] == placed.data["intent_id"]
    assert ask("order", "list", "--all").data["intents"][0]["intent_id"] == placed.data["intent_id"]
    assert ask("order", "show", order_id).data["order"]["venue_order_id"] == order_id
    assert ask("order", "show", placed.data["intent_id"]).data["stage"] == "working"
    live = [order for order in ask("sim", "book").data["orders"] if order["live"]]
    assert [order["order_id"] for order in live] == [order_id]

    edited = ask("order", "edit", order_id, "--price", str(int(price) - 5))
    assert (edited.code, edited.data["outcome"]) == (0, "accepted")
    assert ask("order", "list").data["orders"][0]["limit_price"] == str(int(price) - 5)

    gone = ask("order", "cancel", order_id)
    assert (gone.code, gone.data["gone"]) == (0, [order_id])
    assert ask("order", "list").data["orders"] == []
    assert [order for order in ask("sim", "book").data["orders"] if order["live"]] == []


def test_the_id_that_order_list_shows_to_a_person_is_the_one_cancel_takes(exchange: Path, ask: Ask, run: Ask) -> None:
    price = bid_below(ask)
    terms = ("--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price, *POST_ONLY)
    order_id = ask("order", "place", *terms).data["order"]["venue_order_id"]
    row = next(line for line in run("order", "list").out.splitlines() if order_id in line)
    assert run("order", "cancel", row.split()[0]).code == 0


def test_a_market_order_gives_a_position_that_close_brings_to_zero(exchange: Path, ask: Ask) -> None:
    bought = ask(
        "order", "place", "--product", "BTC-PERP", "--side", "buy", "--contracts", "2", "--type", "market", "--again"
    )
    assert (bought.code, bought.data["order"]["status"]) == (0, "filled")
    positions = ask("positions", "list")
    assert [(p["coin"], p["side"], p["agrees"]) for p in positions.data["positions"]] == [("0.02", "long", True)]
    assert ask("positions", "show", "BTC-PERP").data["positions"][0]["coin"] == "0.02"
    assert ask("fills", "list").data["fills"][0]["product_id"] == "BIP-20DEC30-CDE"
    assert ask("fills", "list", "--venue").data["source"] == "venue"
    assert ask("pnl").data["account"]["equity"]
    closed = ask("positions", "close", "--product", "BTC-PERP")
    assert (closed.code, closed.data["flat"], closed.data["exits"][0]["after"]) == (0, True, "0")
    assert ask("positions", "list").data["positions"] == []
    assert ask("positions", "flatten").data["flat"] is True
    assert ask("order", "close", "--product", "BTC-PERP").code == 0


def test_an_order_above_the_limit_is_denied_with_both_numbers_and_never_sent(exchange: Path, ask: Ask) -> None:
    before = ask("sim", "book").data["orders"]
    denied = ask("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "5", "--type", "market")
    assert (denied.code, denied.data["outcome"], denied.data["order"]) == (3, "denied", None)
    codes = {each["code"]: each for each in denied.data["denials"]}
    assert codes["position_above_max"]["limit"] == "0.01"
    assert codes["position_above_max"]["observed"].startswith("0.")
    assert ask("sim", "book").data["orders"] == before
    assert ask("order", "show", denied.data["intent_id"]).data["outcome"] == "denied"


def test_a_preview_places_nothing_and_says_what_both_sides_would(exchange: Path, ask: Ask) -> None:
    before = ask("sim", "book").data["orders"]
    terms = ("--product", "ETH-PERP", "--side", "buy", "--size", "0.1", "--type", "market")
    seen = ask("order", "preview", *terms)
    assert seen.code == 0
    assert seen.data["preview"]["problems"] == []
    assert ask("sim", "book").data["orders"] == before


def test_the_kill_switch_attests_and_refuses_entries_until_it_is_released(exchange: Path, ask: Ask) -> None:
    price = bid_below(ask)
    terms = ("--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price, *POST_ONLY)
    assert ask("order", "place", *terms).code == 0
    engaged = ask("killswitch", "engage")
    assert (engaged.code, engaged.data["state"]) == (0, "engaged")
    attestation = engaged.data["attestation"]
    assert attestation["open_orders"] == []
    assert (attestation["positions"], attestation["in_doubt"]) == ([], [])
    assert (attestation["unread"], attestation["exit_pending"]) == ([], [])
    before = ask("sim", "book").data["orders"]
    refused = ask("order", "place", *terms)
    assert (refused.code, refused.data["outcome"]) == (3, "denied")
    assert refused.data["denials"][0]["code"] == "kill_switch_engaged"
    assert ask("sim", "book").data["orders"] == before
    assert ask("killswitch", "status").data["state"] == "engaged"
    released = ask("killswitch", "release", "--ack", "the rehearsal is over", "--by", "someone")
    assert (released.code, released.data["released"], released.data["state"]) == (0, True, "released")


def test_a_run_ends_with_its_summary(exchange: Path, ask: Ask) -> None:
    ran = ask("run", "--ticks", "3", "--interval", "100ms")
    assert ran.code == 0
    summary = ran.data["summary"]
    assert (summary["ticks"], summary["halted"], summary["unknown"]) == (3, False, 0)
    assert {"intents", "accepted", "rejected", "denied", "fills", "acceptance_rate"} <= set(summary)
    assert {"p50", "p95", "p99"} <= set(summary["latency_ms"])
    assert ask("reconcile").data["breaks"] == []


def test_an_order_that_is_not_ours_is_listed_as_foreign_and_is_a_break(exchange: Path, ask: Ask, run: Ask) -> None:
    body = {
        "client_order_id": "placed-by-hand-1", "product_id": "BIP-20DEC30-CDE", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": {"base_size": "1", "limit_price": bid_below(ask), "post_only": True}},
    }  # fmt: skip
    launcher.control(exchange_folder(), "POST", "/orders", body)
    [order] = ask("order", "list").data["orders"]
    assert (order["ours"], order["intent_id"], order["client_order_id"]) == (False, None, "placed-by-hand-1")
    assert "open, foreign" in run("order", "list").out
    assert ask("order", "show", order["venue_order_id"]).data["ours"] is False
    reconciled = ask("reconcile")
    assert reconciled.code == 1
    assert [(each["kind"], each["class"]) for each in reconciled.data["breaks"]] == [("order", "foreign")]
    assert ask("order", "cancel", order["venue_order_id"]).data["gone"] == [order["venue_order_id"]]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("products", "list"), {"products"}),
        (("products", "show", "ETH-PERP"), {"product"}),
        (("products", "book", "SOL-PERP"), {"bids", "asks"}),
        (("products", "candles", "BTC-PERP", "--limit", "3"), {"candles"}),
        (("products", "funding", "BTC-PERP"), {"terms", "cost_per_day", "hours", "as_of"}),
        (("order", "resolve"), {"resolved", "in_doubt"}),
        (("order", "cancel-all"), {"gone", "requested"}),
        (("limits", "show"), {"limits"}),
        (("config", "show"), {"values"}),
        (("journal", "info"), {"path", "rows", "head"}),
        (("journal", "check"), {"integrity"}),
        (("journal", "migrate"), {"found", "schema", "kept"}),
        (("sim", "status"), {"faces", "ca_file", "key_files", "control", "pid"}),
        (("sim", "fault", "catalogue"), {"catalogue"}),
        (("sim", "fault", "list"), {"faults"}),
        (("sim", "fault", "disarm"), {"disarmed"}),
        (("sim", "fault", "arm", "N1", "--operation", "create_order"), {"fault", "handle"}),
        (("sim", "set", "price", "product_id=XPP-20DEC30-CDE", "price=1.35"), {"set"}),
    ],
)
def test_each_other_command_answers_one_document_of_its_schema(
    exchange: Path, ask: Ask, words: tuple[str, ...], keys: set[str]
) -> None:
    said = ask(*words)
    assert said.code == 0
    assert keys <= set(said.data)
    assert said.err == ""


def test_a_lost_reply_is_told_while_it_is_looked_into_and_ends_as_one_order(exchange: Path, ask: Ask, run: Ask) -> None:
    """N12: the reply of an accepted create is lost; the order is found, and stderr says why it took a while."""
    price = bid_below(ask)
    ask("sim", "fault", "arm", "reset_after_accept", "--operation", "create_order", "--count", "1")
    terms = ("--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price, *POST_ONLY)
    said = ask("order", "place", *terms)
    assert (said.code, said.data["outcome"]) == (0, "accepted")
    assert "looking whether the order exists" in said.err
    assert len([order for order in ask("sim", "book").data["orders"] if order["live"]]) == 1


def test_a_known_id_returns_the_stored_outcome_and_sends_nothing(exchange: Path, ask: Ask) -> None:
    price = bid_below(ask)
    terms = ["--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", price, *POST_ONLY]
    first = ask("order", "place", *terms, "--client-order-id", "my-own-id-1")
    again = ask("order", "place", *terms, "--client-order-id", "my-own-id-1")
    assert (first.code, again.code) == (0, 0)
    assert (again.data["replayed"], again.data["intent_id"]) == (True, "my-own-id-1")
    assert again.data["order"]["venue_order_id"] == first.data["order"]["venue_order_id"]
    assert len([order for order in ask("sim", "book").data["orders"] if order["live"]]) == 1
    terms[5] = "0.02"
    other = ask("order", "place", *terms, "--client-order-id", "my-own-id-1")
    assert (other.code, other.error["code"]) == (2, "usage")
    assert len([order for order in ask("sim", "book").data["orders"] if order["live"]]) == 1


def test_other_forms_of_the_same_answer(exchange: Path, ask: Ask, run: Ask) -> None:
    lines = run("products", "list", "--format", "jsonl").out.splitlines()
    assert len(lines) == len(ask("products", "list").data["products"])
    assert run("order", "list", "--format", "jsonl").out == ""
    assert run("products", "list", "--format", "markdown").out.startswith("### Perpetuals\n\n| product |")
    assert "BIP-20DEC30-CDE" in run("products", "list").out


def test_stopping_and_starting_are_documents_too(home: Path, ask: Ask) -> None:
    assert ask("sim", "start").data["running"] is True
    assert ask("sim", "reset").data["account"] >= 2
    assert ask("sim", "stop").data == {"running": False, "stopped": True}
    assert ask("sim", "stop").data["stopped"] is False
    assert ask("sim", "status").data == {"running": False}
    assert ask("config", "init").data["file"].endswith("perpsctl.toml")
    assert ask("config", "init").error["exit_code"] == 2
