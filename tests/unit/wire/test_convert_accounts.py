"""Money, positions, fees, keys and margin windows become domain values; nothing untold reads as zero or flat."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import accounts, futures
from perpsctl.wire.advanced_trade import convert_accounts as money
from perpsctl.wire.advanced_trade.common import Amount
from perpsctl.wire.guard import WireError
from tests.unit.wire import bodies
from tests.unit.wire.bodies import NOW, SIZES, a_summary, changed

SAMPLES = Path(__file__).parents[3] / ".." / "shared" / "api" / "samples"
recorded = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no payload samples in {SAMPLES}")


def sample(name: str, type_: Any) -> Any:
    return guard.decode((SAMPLES / f"{name}.json").read_bytes(), type_)


@pytest.mark.parametrize("flat", [False, True])
def test_the_account_reads_the_same_flat_and_in_amounts(flat: bool) -> None:
    view = money.account_view(a_summary(flat=flat), NOW)
    assert (view.balance, view.unrealised, view.equity) == (Decimal(1_000_000), Decimal("12.5"), Decimal("1000012.5"))
    assert (view.daily_realised, view.funding_pnl) == (Decimal(-3), Decimal("-0.4"))
    assert view.available_margin == Decimal(999_900)
    assert view.margin_level is MarginLevel.BASE
    assert view.as_of == NOW


@pytest.mark.parametrize(
    ("spot", "future", "total", "pnl", "equity"),
    [
        ("400", "600", "1000", "-50", "950"),  # the parts hold no PnL: add it
        ("400", "600", "1000", "50", "1050"),
        ("400", "600", "950", "-50", "950"),  # the total holds it already
        ("400", "600", "1050", "50", "1050"),
        ("400", "600", "2000", "50", "2000"),  # the parts do not tell: only a loss counts
        ("400", "600", "2000", "-50", "1950"),
        ("", "", "1000", "50", "1000"),
        ("", "", "1000", "-50", "950"),
    ],
)
def test_equity_counts_unrealised_pnl_once_and_never_too_high(
    spot: str, future: str, total: str, pnl: str, equity: str
) -> None:
    summary = a_summary(cbi_usd_balance=spot, cfm_usd_balance=future, total_usd_balance=total, unrealized_pnl=pnl)
    assert money.account_view(summary, NOW).equity == Decimal(equity)


def test_an_account_that_is_not_told_is_never_zero_L5() -> None:
    with pytest.raises(money.NoFuturesWallet):
        money.account_from(guard.decode(b'{"balance_summary":null}', futures.BalanceSummaryReply), NOW)
    for field in ("total_usd_balance", "unrealized_pnl"):
        for absent in (UNSET, "", Amount(), Amount(value="", currency="USD")):
            with pytest.raises(WireError, match=f"{field} is missing"):
                money.account_view(changed(a_summary(), **{field: absent}), NOW)
    assert money.account_view(a_summary(funding_pnl=UNSET), NOW).funding_pnl is None
    assert money.account_view(a_summary(funding_pnl="0"), NOW).funding_pnl == 0


@pytest.mark.parametrize(
    ("words", "level"),
    [
        (("BASE", "BASE"), MarginLevel.BASE),
        (("BASE", "DANGER"), MarginLevel.DANGER),
        (("WARNING", "UNSPECIFIED"), MarginLevel.WARNING),
        (("LIQUIDATION", "NEW_WORD"), MarginLevel.LIQUIDATION),
        (("DANGER", "NEW_WORD"), MarginLevel.UNRECOGNISED),
        (("UNSPECIFIED", "UNSPECIFIED"), MarginLevel.UNRECOGNISED),
    ],
)
def test_the_graver_margin_level_counts_and_an_unknown_word_is_no_calm(
    words: tuple[str, str], level: MarginLevel
) -> None:
    intraday, overnight = (futures.MarginWindowMeasure(margin_level=f"MARGIN_LEVEL_TYPE_{word}") for word in words)
    summary = a_summary(intraday_margin_window_measure=intraday, overnight_margin_window_measure=overnight)
    assert money.account_view(summary, NOW).margin_level is level


@pytest.mark.parametrize(
    ("word", "coin"),
    [("LONG", "0.07"), ("SHORT", "-0.07"), ("Long", "0.07"), ("FUTURES_POSITION_SIDE_SHORT", "-0.07")],
)
def test_a_position_is_signed_coin(word: str, coin: str) -> None:
    position = money.position_from(bodies.a_position(side=word), SIZES)
    assert position.coin == Decimal(coin)
    assert position.contracts == Decimal(coin) * 100
    assert position.average_entry == Decimal(69_000)


@recorded
def test_the_published_position_reads_with_its_contract_size() -> None:
    reply = sample("cfm-positions", futures.FuturesPositionsReply)
    read = money.positions_from(reply, {ProductId("BIT-26APR24-CDE"): Size(Decimal("0.01"))}, NOW)
    assert [(p.coin, p.average_entry, p.unrealised) for p in read.positions] == [
        (Decimal("0.02"), Decimal(70980), Decimal(33))
    ]


def test_positions_that_cannot_be_read_are_never_flat_L5() -> None:
    def read(*rows: futures.FuturesPositionBody) -> Any:
        return money.positions_from(futures.FuturesPositionsReply(positions=rows), SIZES, NOW)

    assert read().positions == ()
    assert read(bodies.a_position(number_of_contracts="0", side="UNKNOWN")).positions == ()
    for broken in (
        bodies.a_position(side="UNKNOWN"),
        bodies.a_position(side=UNSET),
        bodies.a_position(number_of_contracts=""),
        bodies.a_position(number_of_contracts="-1"),
        bodies.a_position(product_id="NEW-20DEC30-CDE"),
    ):
        with pytest.raises(WireError):
            read(broken)
    with pytest.raises(WireError, match="listed twice"):
        read(bodies.a_position(), bodies.a_position())
    with pytest.raises(WireError, match="positions is missing"):
        money.positions_from(futures.FuturesPositionsReply(), SIZES, NOW)


@recorded
def test_the_recorded_fees_and_permissions_read() -> None:
    fees = money.fees_from(sample("transaction-summary", accounts.TransactionSummary))
    assert (fees.maker, fees.taker, fees.tier) == (Decimal("0.006"), Decimal("0.012"), "Intro 1")
    older = money.fees_from(sample("transaction-summary-futures", accounts.TransactionSummary))
    assert (older.maker, older.taker) == (Decimal("0.006"), Decimal("0.008"))
    facts = money.key_facts_from(sample("key-permissions", accounts.KeyPermissions))
    assert (facts.can_view, facts.can_trade, facts.can_transfer) == (True, True, True)


@pytest.mark.parametrize("field", ["can_view", "can_trade", "can_transfer", "portfolio_uuid"])
def test_a_permission_that_is_not_told_is_no_answer_A7(field: str) -> None:
    body = accounts.KeyPermissions(can_view=True, can_trade=True, can_transfer=False, portfolio_uuid="p-1")
    assert money.key_facts_from(body).can_transfer is False
    with pytest.raises(WireError):
        money.key_facts_from(changed(body, **{field: UNSET}))


def test_the_margin_window_says_which_rates_hold_and_until_when() -> None:
    reply = futures.MarginWindowReply(
        margin_window=futures.MarginWindow(
            margin_window_type="FCM_MARGIN_WINDOW_TYPE_OVERNIGHT", end_time="2026-11-23T13:00:00Z"
        )
    )
    window = money.margin_window_from(reply, futures.MarginSetting(setting="INTRADAY_MARGIN_SETTING_INTRADAY"))
    assert (window.kind, window.ends, window.intraday_enrolled) == (
        "OVERNIGHT",
        datetime(2026, 11, 23, 13, tzinfo=UTC),
        True,
    )
    assert money.margin_window_from(reply, None).intraday_enrolled is None
    with pytest.raises(WireError):
        money.margin_window_from(futures.MarginWindowReply(), None)
