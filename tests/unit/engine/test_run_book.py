"""Figures of a run: measured, exact, and None where nothing was measured."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.errors import JournalCorrupt, JournalUnavailable, UsageError
from perpsctl.domain.ids import AccountKey, IntentId, ProductId, VenueOrderId
from perpsctl.domain.orders import Accepted, Fill, FillKind, Rejected, Unknown
from perpsctl.domain.reports import PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.engine.broken_journal import BrokenJournal
from perpsctl.engine.run_book import RunBook, latency, realised
from perpsctl.engine.strategies import load, names
from tests.builders import BTC, NOW, a_fill, an_intent


def trade(number: int, side: Side, size: str, price: str, fee: str | None = "0") -> Fill:
    return a_fill(
        fill_id=f"fill-{number}", side=side, size=size, price=price, fee=fee, at=NOW + timedelta(seconds=number)
    )


def test_percentiles_are_nearest_ranks_in_milliseconds() -> None:
    told = latency([*range(1000, 101_000, 1000)])
    assert [told.p50, told.p95, told.p99] == [Decimal(50), Decimal(95), Decimal(99)]
    assert told.samples == 100


def test_without_a_sample_there_is_no_percentile() -> None:
    assert latency([]).p50 is None


def test_one_sample_is_every_percentile() -> None:
    assert latency([1234]).p99 == Decimal("1.234")


@pytest.mark.parametrize(
    ("fills", "profit"),
    [
        ([], "0"),
        ([("buy", "1", "100"), ("sell", "1", "110")], "10"),
        ([("sell", "1", "100"), ("buy", "1", "110")], "-10"),
        ([("buy", "1", "100"), ("buy", "1", "120"), ("sell", "1", "130")], "20"),
        ([("buy", "1", "100"), ("sell", "2", "110"), ("buy", "1", "105")], "15"),
        ([("buy", "1", "100")], "0"),
    ],
)
def test_profit_is_at_average_cost(fills: list[tuple[str, str, str]], profit: str) -> None:
    trades = [trade(n, Side(side), size, price) for n, (side, size, price) in enumerate(fills)]
    assert realised(trades) == Decimal(profit)
    assert realised(reversed(trades)) == Decimal(profit)


def test_fees_come_off_and_an_untold_fee_leaves_the_profit_untold() -> None:
    assert realised([trade(1, Side.BUY, "1", "100", "0.5"), trade(2, Side.SELL, "1", "110", "0.5")]) == 9
    assert realised([trade(1, Side.BUY, "1", "100", None)]) is None


def test_acceptance_counts_doubts_as_submitted() -> None:
    book = RunBook(started=NOW)
    intent = an_intent()
    accepted = Accepted(venue_order_id=VenueOrderId("v"), order=None, evidence="", latency_us=5)
    rejected = Rejected(reason="no", message="", evidence="")
    for outcome in (Unknown(reason="timeout", evidence=""), rejected, accepted, accepted):
        report = PlaceReport(intent_id=intent.id, denied=None, outcome=outcome, order=None)
        book.take(intent, report)
    told = book.summary(ended=NOW, stopped_because="test", fills=(), positions=None, open_orders=None)
    assert told.acceptance_rate == Decimal("0.5")
    assert (told.unknown, told.rejected) == (1, 1)


def test_a_reversal_is_no_fill() -> None:
    book = RunBook(started=NOW)
    fills = (trade(1, Side.BUY, "1", "100"), a_fill(fill_id="fill-9", kind=FillKind.REVERSAL))
    told = book.summary(ended=NOW, stopped_because="test", fills=fills, positions=(), open_orders=0)
    assert told.fills == 1
    assert told.acceptance_rate is None


def test_S7_only_installed_strategies_load() -> None:
    with pytest.raises(UsageError, match="no strategy os"):
        load("os", ProductId(BTC))
    with pytest.raises(UsageError):
        load("perpsctl.engine.strategies.canary:Canary", ProductId(BTC))


def test_the_canary_is_installed_with_the_package() -> None:
    assert "canary" in names()
    assert load("canary", ProductId(BTC)).name == "canary"


def test_a_broken_journal_pretends_nothing() -> None:
    journal = BrokenJournal(AccountKey("us:sim:x"), JournalCorrupt("row 7 was changed", fix="restore it"))
    reads: list[Callable[[], object]] = [
        journal.booked,
        journal.in_doubt,
        journal.working,
        journal.intents,
        journal.fills,
        journal.booked_coin,
        journal.halt,
        journal.exits_pending,
        journal.events,
        lambda: journal.intent(IntentId("x")),
        lambda: journal.intent_by_order(VenueOrderId("x")),
        lambda: journal.record_halt(engaged=True, reason="", by=""),
        lambda: journal.check(full=True),
    ]
    for read in reads:
        with pytest.raises(JournalUnavailable, match="row 7"):
            read()
