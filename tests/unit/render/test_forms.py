"""Each kind of answer in each form, held to golden files; hostile text in every place a stranger's word can stand.

`PERPSCTL_UPDATE_GOLDEN=1 pytest tests/unit/render` writes the golden files anew; read the difference before you commit it.
"""

import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import ExitCode, UsageError, VenueUnreachable
from perpsctl.domain.market import FundingTerms, PriceLimits
from perpsctl.domain.numbers import Notional, Price
from perpsctl.domain.orders import OrderType, Preview, Rejected
from perpsctl.domain.reports import CancelReport, PlaceReport, PreviewReport
from perpsctl.exchange.endings import impossible
from perpsctl.render import envelope, exchange, markdown, market, orders, terminal
from perpsctl.render.answer import Answer, Block, Table
from perpsctl.render.values import age, jsonable, number
from tests.builders import a_product, a_quantized, an_order, orders_read
from tests.cli.schemas import invalid
from tests.unit.render.answers import INTENT, LATER, answers

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\u202eevil\u200b\u2028\nsecond: line | `x` <b>\r\x9b31m\x00"
SCHEMAS = {
    "order-accepted": "order place", "order-rejected": "order place", "order-not-sent": "order place",
    "order-unknown": "order place", "order-denied": "order place", "order-preview": "order preview", "order-list": "order list",
    "order-list-empty": "order list", "order-show": "order show", "order-show-foreign": "order show", "order-cancel": "order cancel",
    "order-replace": "order edit", "order-replace-denied": "order edit", "order-resolve": "order resolve", "positions": "positions list",
    "positions-unbooked": "positions list", "positions-close": "positions close", "fills": "fills list", "pnl": "pnl",
    "products": "products list", "product": "products show", "book": "products book", "switch-status": "killswitch status",
    "switch-engaged": "killswitch engage", "switch-clean": "killswitch engage", "switch-kept": "killswitch release", "run": "run",
    "watch": "watch", "run-refused": "run", "reconcile": "reconcile", "reconcile-accepted": "reconcile",
    "journal-check": "journal check",
}  # fmt: skip
EXIT_CODES = {
    "order-rejected": ExitCode.REJECTED, "order-not-sent": ExitCode.UNREACHABLE, "order-unknown": ExitCode.UNKNOWN,
    "order-denied": ExitCode.DENIED, "order-replace-denied": ExitCode.DENIED, "order-preview": ExitCode.DENIED, "order-show": ExitCode.UNKNOWN,
    "order-cancel": ExitCode.PARTLY_DONE, "order-resolve": ExitCode.UNKNOWN, "positions-close": ExitCode.PARTLY_DONE,
    "switch-engaged": ExitCode.PARTLY_DONE, "switch-kept": ExitCode.DENIED, "run-refused": ExitCode.DENIED,
    "reconcile": ExitCode.PARTLY_DONE, "journal-check": ExitCode.JOURNAL,
}  # fmt: skip
NAMES = tuple(answers())


def as_table(blocks: Sequence[Block], columns: int) -> str:
    written = io.StringIO()
    on = terminal.console(written, no_color=True)
    on.width = columns
    terminal.show(blocks, on, LATER)
    return written.getvalue()


def as_json(answer: Answer, name: str) -> str:
    origin = envelope.Origin(command=SCHEMAS.get(name, name), profile="sim", venue="us", environment="sim", as_of=LATER)
    return envelope.result(answer, origin) + "\n"


def in_every_form(answer: Answer, name: str) -> str:
    parts = [
        ("table, 80 columns", as_table(answer.blocks, 80)),
        ("table, 40 columns", as_table(answer.blocks, 40)),
        ("markdown", markdown.document(answer.blocks, LATER)),
        ("json", as_json(answer, name)),
    ]
    return "".join(f"=== {title}\n{text}" for title, text in parts)


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_looks_as_it_was_last_read(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    drawn = in_every_form(answers()[name], name)
    if os.environ.get("PERPSCTL_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [80, 40, 20])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(name: str, columns: int) -> None:
    for said in ("a plain word", "x" * 300, "many words " * 40):
        for line in as_table(answers(said)[name].blocks, columns).splitlines():
            assert len(line) <= columns
            assert line == line.rstrip()


@pytest.mark.parametrize("name", NAMES)
def test_hostile_text_is_escaped_in_every_form(name: str) -> None:
    """S3, H4, H5: OSC 52, cursor moves, bidi and zero-width marks, newlines, C1, NUL."""
    answer = answers(HOSTILE)[name]
    calm = as_table(answers()[name].blocks, 200).count("\n")
    for text in (as_table(answer.blocks, 4000), markdown.document(answer.blocks, LATER), as_json(answer, name)):
        assert not set(text) & set("\x1b\x07\u202e\u200b\u2028\r\x9b\x00")
        assert "\nsecond:" not in text
    assert as_table(answer.blocks, 4000).count("\n") <= calm
    json.loads(as_json(answer, name))
    assert "<b>" not in markdown.document(answer.blocks, LATER)


@pytest.mark.parametrize("name", SCHEMAS)
def test_documents_are_as_their_schemas_say_also_with_hostile_text(name: str) -> None:
    for said in ("a plain word", HOSTILE):
        assert invalid(json.loads(as_json(answers(said)[name], name))) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_exit_code_tells_the_outcome_apart(name: str) -> None:
    wanted = EXIT_CODES.get(name)
    if name.startswith("positions") and name != "positions-close":
        wanted = ExitCode.DONE
    assert answers()[name].exit_code is (wanted or ExitCode.DONE)


def test_what_could_not_be_read_never_looks_like_zero() -> None:
    engaged = answers()["switch-engaged"]
    assert "NOT CLEAN" in as_table(engaged.blocks, 80)
    unbooked = answers()["positions-unbooked"]
    assert unbooked.warnings == ("the journal could not be read: positions are the venue's alone",)
    assert "could not be read" in as_table(answers()["switch-status"].blocks, 80)


@pytest.mark.parametrize("name", NAMES)
def test_colour_carries_nothing_that_words_do_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = answers()[name].blocks
    plain = as_table(blocks, 80)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    written = io.StringIO()
    on = terminal.console(written, no_color=False)
    on.width = 80
    terminal.show(blocks, on, LATER)
    coloured = written.getvalue()
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_prose_gives_way_before_identifiers_do() -> None:
    table = Table(
        title="", columns=("id", "note"), rows=(("63e482db-c111-4361-96a1-269fa48971b7", "some words " * 20),)
    )
    lines = as_table([table], 70).splitlines()
    assert lines[2].startswith("63e482db-c111-4361-96a1-269fa48971b7  some words")
    placed = as_table(answers()["order-accepted"].blocks, 40)
    assert "  b724c4b3-85be-4f52-b07d-0e08c5cb3b4c\n" in placed
    assert as_table([table], 50).splitlines()[0] == "63e482db-c111-4361-96a1-269fa48971b7"  # a card


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7199, "119 min ago"),
        (7200, "2 h ago"),
        (172800, "2 d ago"),
        (-3, "in 3 s"),
    ],
)
def test_ages_are_whole_and_short(seconds: int, told: str) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0", "0"),
        ("-0.50", "-0.5"),
        ("1234567.5", "1,234,567.5"),
        ("0.00000001", "0.00000001"),
        ("1E+3", "1,000"),
        ("-999", "-999"),
    ],
)
def test_numbers_keep_every_digit(value: str, told: str) -> None:
    assert number(Decimal(value)) == told
    assert number(None) == "-"


def test_what_has_no_json_form_is_refused_not_guessed() -> None:
    for value in (1.5, object(), b"x", {1.5}):
        with pytest.raises(TypeError, match="no JSON form"):
            jsonable(value)


def test_a_stop_order_shows_its_trigger() -> None:
    stop = an_order(type=OrderType.STOP_LIMIT, limit_price="60010", stop_price="60005")
    shown = as_table(orders.shown_order(stop).blocks, 80)
    assert re.search(r"^stop +60,005$", shown, re.MULTILINE), shown
    listed = as_table(orders.listed(orders_read(stop), (), everything=False).blocks, 80)
    assert "open, foreign, stop 60,005" in listed


def test_what_was_refused_here_does_not_end_as_if_the_venue_had_been_silent() -> None:
    """6 asks for the same again, which would end the same."""
    for told, code in (
        (UsageError("beyond the venue's limit", fix="use 60000"), ExitCode.USAGE),
        (VenueUnreachable("no answer"), ExitCode.UNREACHABLE),
    ):
        report = PlaceReport(intent_id=INTENT, denied=None, outcome=impossible(told), order=None, notes=())
        answer = orders.placed(report)
        assert answer.exit_code is code
        assert told.fix in as_table(answer.blocks, 80).replace("\n          ", " ")


def test_an_estimate_does_not_say_that_an_order_would_be_taken() -> None:
    preview = Preview(
        problems=(), warnings=(), order_total=Notional(Decimal("600")), commission=None, margin=None, best_bid=None,
        best_ask=None, average_price=None, slippage=None, estimate=True,
    )  # fmt: skip
    told = as_table(
        orders.previewed(PreviewReport(order=a_quantized(), preview=preview, denied=None, notes=())).blocks, 80
    )
    assert "would be taken" not in told
    assert re.search(r"^objections +none that the figures show$", told, re.MULTILINE), told


def test_every_face_of_the_embedded_exchange_is_shown() -> None:
    faces = {
        "us": {"http": "http://a:1", "user_ws": "ws://a:2"},
        "global": {"http": "http://a:3", "streams_ws": "ws://a:4"},
    }
    data = {
        "running": True, "options": {}, "faces": faces, "ca_file": "ca.pem", "key_files": {}, "portfolio": "p", "account": 1,
        "pid": 7,
    }  # fmt: skip
    told = as_table(exchange.status(data).blocks, 80)
    for row in (
        "us http +http://a:1",
        "us user ws +ws://a:2",
        "global http +http://a:3",
        "global streams ws +ws://a:4",
    ):
        assert re.search(row, told), told


def test_the_exchanges_own_book_writes_sizes_without_exponents() -> None:
    order = {
        "order_id": "o", "product_id": "BTC_USDC-PERPETUAL", "side": "BUY", "size": "1.1E+2", "filled_size": "1E+1",
        "limit_price": "60000", "status": "OPEN",
    }  # fmt: skip
    view = {"orders": [order], "positions": {"BTC_USDC-PERPETUAL": "2E+2"}, "requests": 0, "portfolio_uuid": "p",
            "account": 1, "fills": 0, "at": "now"}  # fmt: skip
    answer = exchange.judged(view)
    assert "E+" not in as_table(answer.blocks, 80)
    data = json.loads(as_json(answer, "sim book"))["data"]
    assert [data["orders"][0][name] for name in ("size", "filled_size")] == ["110", "10"]
    assert data["positions"] == {"BTC_USDC-PERPETUAL": "200"}


def test_L5_what_was_not_read_is_not_called_nothing_to_cancel() -> None:
    unread = CancelReport(requested=(), gone=(), still_live=(), unproven=(), problems=("live orders were never read",))
    none = CancelReport(requested=(), gone=(), still_live=(), unproven=(), problems=())
    assert "nothing to cancel" not in as_table(orders.cancelled(unread).blocks, 80)
    assert "nothing to cancel" in as_table(orders.cancelled(none).blocks, 80)


def test_a_venue_without_margin_windows_shows_none_and_its_own_figures_instead() -> None:
    """Funding says for how long its rate is, the venue's mark and price limits stand where it tells them."""
    funding = FundingTerms(
        rate=Decimal("0.00002"),
        interval=timedelta(hours=8),
        next_accrual=None,
        as_of=datetime(2026, 11, 22, 12, tzinfo=UTC),
    )
    limits = PriceLimits(lowest=Price(Decimal("59100")), highest=Price(Decimal("60900")))
    found = replace(
        a_product(intraday_margin=None, overnight_margin=None, funding=funding),
        mark_price=Price(Decimal("60001")), price_limits=limits,
    )  # fmt: skip
    answer = market.product(found)
    told = as_table(answer.blocks, 80)
    assert "overnight" not in told
    for row in ("funding +0.00002 for 8 h", "mark +60,001", "price limits +59,100 to 60,900"):
        assert re.search(row, told), told
    document = json.loads(as_json(answer, "product"))
    assert document["data"]["product"]["price_limits"] == {"lowest": "59100", "highest": "60900"}
    assert invalid(document) == []


def test_a_rejection_shows_the_venues_words_and_not_only_their_name() -> None:
    refused = Rejected(
        reason="scope_exceeded", message="13021: the key may not do this; use another key", evidence="reply 1"
    )
    answer = orders.placed(PlaceReport(intent_id=INTENT, denied=None, outcome=refused, order=None, notes=()))
    assert re.search(
        r"^reason +13021: the key may not do this; use another key$", as_table(answer.blocks, 80), re.MULTILINE
    )
