"""The way out: bounded, never flipping (R7), open when the journal or the market data is not, honest when it cannot."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import PriceLimits, SessionState
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import OrderType, TimeInForce, Unknown
from perpsctl.domain.sides import Side
from tests.builders import BTC, ETH, NOW, a_product, a_session, a_status, an_intent
from tests.unit.engine.conftest import House

PRODUCT = ProductId(BTC)
WAIT = timedelta(seconds=20)


def holding(house: House, coin: str, product: str = BTC) -> None:
    house.venue.coin[ProductId(product)] = Decimal(coin)


@pytest.mark.parametrize(("coin", "side"), [("0.05", Side.SELL), ("-0.05", Side.BUY)])
def test_a_position_is_closed_by_one_bounded_ioc_of_its_size(house: House, coin: str, side: Side) -> None:
    holding(house, coin)
    report = house.engine.exits.flatten([PRODUCT])
    assert report.flat
    (sent,) = house.venue.submitted
    assert sent.order.side is side
    assert sent.order.size == Decimal("0.05")
    assert sent.order.intent.tif is TimeInForce.IOC
    assert sent.order.intent.reduce_only
    price = sent.order.limit_price
    assert price is not None
    assert price == (Price(Decimal("57000")) if side is Side.SELL else Price(Decimal("63000")))


@pytest.mark.parametrize(
    ("coin", "edge", "price"), [("0.05", "59100", "59100"), ("-0.05", "60902", "60900"), ("0.05", "56000", "57000")]
)
def test_I7_an_exit_is_bounded_by_the_venues_own_price_limit_and_says_so(
    house: House, coin: str, edge: str, price: str
) -> None:
    """The venue would move the price without a word; a limit beyond our own collar changes nothing."""
    limits = PriceLimits(lowest=Price(Decimal(edge)), highest=Price(Decimal(edge)))
    house.venue.specs[PRODUCT] = replace(a_product(), price_limits=limits)
    holding(house, coin)
    (left,) = house.engine.exits.flatten([PRODUCT]).exits
    (sent,) = house.venue.submitted
    assert sent.order.limit_price == Decimal(price)
    (placed,) = left.orders
    own = "57000" if Decimal(coin) > 0 else "63000"
    told = f"the venue's price limit bounds the exit at {edge} instead of {own}"
    assert [note for note in placed.notes if "limit" in note] == ([] if price == own else [told])
    assert left.problems == ()


def test_an_old_price_limit_does_not_keep_an_exit_from_a_market_that_moved_on(house: House) -> None:
    limits = PriceLimits(lowest=Price(Decimal("59100")), highest=None)
    house.venue.specs[PRODUCT] = replace(a_product(), price_limits=limits)
    house.engine.views.product(PRODUCT)
    house.clock.advance(timedelta(minutes=5))
    house.venue.fail("product")
    holding(house, "0.05")
    house.engine.exits.flatten([PRODUCT])
    assert house.venue.submitted[0].order.limit_price == Decimal("57000")


def test_flatten_takes_every_product_held(house: House) -> None:
    house.venue.specs[ProductId(ETH)] = a_product(product_id=ETH, alias="ETH-PERP", base="ETH", contract_size="0.1")
    holding(house, "0.05")
    holding(house, "-1", ETH)
    report = house.engine.exits.flatten()
    assert report.flat
    assert {each.product_id for each in report.exits} == {BTC, ETH}


def test_R7_partial_fills_are_repeated_with_what_is_left_and_never_flip(house: House) -> None:
    holding(house, "0.05")
    house.venue.ioc_liquidity = Decimal("0.02")
    report = house.engine.exits.flatten([PRODUCT])
    assert report.flat
    assert [s.order.size for s in house.venue.submitted] == [Decimal("0.05"), Decimal("0.03"), Decimal("0.01")]


def test_R7_a_position_that_shrinks_before_the_order_is_not_flipped(house: House) -> None:
    """Working orders of the product are cancelled and the position read again before each order."""
    resting = house.venue.rest(side=Side.SELL, limit_price="60100", size="0.05")
    holding(house, "0.05")
    house.venue.cancel_mode = "fills"
    report = house.engine.exits.flatten([PRODUCT])
    assert house.venue.orders_[resting.venue_order_id].filled == Decimal("0.05")
    assert report.flat
    assert house.venue.submitted == []


def test_R7_an_order_that_cannot_be_cancelled_counts_against_the_exit(house: House) -> None:
    house.venue.rest(side=Side.SELL, limit_price="60100", size="0.05")
    holding(house, "0.05")
    house.venue.cancel_mode = "refuse"
    report = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert not report.flat
    assert house.venue.submitted == []
    assert report.exits[0].denied is not None


def test_close_reduces_by_the_size_asked_for(house: House) -> None:
    holding(house, "0.05")
    report = house.engine.exits.close(PRODUCT, Size(Decimal("0.02")))
    assert report.done
    assert report.after == Decimal("0.03")


def test_close_of_no_size_is_refused(house: House) -> None:
    with pytest.raises(UsageError):
        house.engine.exits.close(PRODUCT, Size(Decimal(0)))


def test_exits_pass_while_the_switch_is_engaged(house: House) -> None:
    house.latch.engage(reason="test", by="op", at=NOW)
    holding(house, "0.05")
    assert house.engine.exits.flatten([PRODUCT]).flat


def test_a_closed_session_makes_the_exit_pending_with_its_opening(house: House) -> None:
    opens = NOW + timedelta(seconds=40)
    closed = a_status(session=a_session(state=SessionState.CLOSED, opens=opens))
    house.venue.specs[PRODUCT] = a_product(status=closed)
    holding(house, "0.05")
    report = house.engine.exits.flatten([PRODUCT])
    assert house.venue.submitted == []
    (pending,) = house.journal.exits_pending()
    assert pending.reason == "the session is closed"
    assert pending.retry_at == opens
    assert not report.flat


@pytest.mark.parametrize("ending", ["session", "reject"])
def test_an_exit_the_venue_refuses_is_pending_with_the_venues_word(house: House, ending: str) -> None:
    house.venue.endings = [ending]
    holding(house, "0.05")
    house.engine.exits.flatten([PRODUCT])
    (pending,) = house.journal.exits_pending()
    assert "the venue refused" in pending.reason
    assert pending.retry_at is not None
    assert len(house.venue.submitted) == 1


def test_a_pending_exit_is_tried_again_when_its_time_has_come_and_then_settled(house: House) -> None:
    house.venue.endings = ["session"]
    holding(house, "0.05")
    house.engine.exits.flatten([PRODUCT])
    assert house.engine.exits.retry_pending() == ()
    house.clock.advance(timedelta(seconds=61))
    (report,) = house.engine.exits.retry_pending()
    assert report.done
    assert house.journal.exits_pending() == ()


def test_cancel_only_makes_the_exit_pending(house: House) -> None:
    house.venue.specs[PRODUCT] = a_product(status=a_status(cancel_only=True))
    holding(house, "0.05")
    house.engine.exits.flatten([PRODUCT])
    assert [p.reason for p in house.journal.exits_pending()] == ["cancel_only"]


def test_under_post_only_the_exit_rests_at_the_touch_and_expires_by_itself(house: House) -> None:
    house.venue.specs[PRODUCT] = a_product(status=a_status(post_only=True))
    holding(house, "0.05")
    report = house.engine.exits.flatten([PRODUCT])
    (sent,) = house.venue.submitted
    assert sent.order.intent.post_only
    assert sent.order.intent.expires is not None
    assert sent.order.limit_price == Decimal("60005")
    assert report.exits[0].pending is not None


def test_a_stale_market_does_not_close_the_way_out(house: House) -> None:
    holding(house, "0.05")
    house.venue.fail("book")
    house.venue.fail("account")
    house.venue.fail("server_time")
    assert house.engine.exits.flatten([PRODUCT]).flat


def test_a_product_that_cannot_be_read_now_is_left_by_its_last_specification(house: House) -> None:
    house.engine.desk.place(an_intent())
    holding(house, "0.05")
    house.venue.fail("product")
    house.venue.fail("book")
    assert house.engine.exits.flatten([PRODUCT]).flat


def test_L5_positions_that_cannot_be_read_are_never_flat(house: House) -> None:
    holding(house, "0.05")
    house.venue.fail("positions")
    report = house.engine.exits.flatten(wait=WAIT)
    assert not report.flat
    assert report.unread == ("positions",)
    one = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert not one.flat
    assert one.exits[0].after is None
    assert house.venue.submitted == []


def test_I1_an_exit_in_doubt_is_not_followed_by_another(house: House) -> None:
    holding(house, "0.05")
    house.venue.endings = ["lost"]
    report = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert len(house.venue.submitted) == 1
    assert not report.flat
    assert isinstance(report.exits[0].orders[0].outcome, Unknown)
    assert report.exits[0].denied is None  # it stopped by itself, before risk had to say so
    again = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert len(house.venue.submitted) == 1
    assert again.exits[0].denied is not None


def test_unbounded_uses_the_venues_own_close(house: House) -> None:
    holding(house, "0.05")
    report = house.engine.exits.flatten([PRODUCT], unbounded=True)
    assert report.flat
    assert "close_position" in house.venue.calls
    assert house.venue.submitted[0].order.intent.type is OrderType.MARKET


def test_with_a_broken_journal_the_exit_goes_through_the_spool(house: House) -> None:
    holding(house, "0.05")
    house.journal.broken["*"] = 0
    report = house.engine.exits.flatten([PRODUCT])
    assert report.flat
    assert [each.id for each in house.spool.intents] == [sent.intent_id for sent in house.venue.submitted]
    assert len(house.spool.outcomes) == 1
    assert any("spool" in problem for problem in report.exits[0].problems)


def test_with_journal_and_spool_broken_nothing_is_sent_unrecorded(house: House) -> None:
    holding(house, "0.05")
    house.journal.broken["*"] = 0
    house.spool.broken = True
    report = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert not report.flat
    assert house.venue.submitted == []


def test_the_spool_intent_is_durable_before_the_send(house: House) -> None:
    holding(house, "0.05")
    house.journal.broken["*"] = 0
    spooled: list[int] = []
    house.venue.before_submit = lambda: spooled.append(len(house.spool.intents))
    house.engine.exits.flatten([PRODUCT])
    assert spooled == [1]


def test_an_outcome_that_cannot_be_recorded_stops_the_exit_and_is_told(house: House) -> None:
    holding(house, "0.05")
    house.venue.ioc_liquidity = Decimal("0.02")
    house.journal.broken["record_outcome"] = 0
    report = house.engine.exits.flatten([PRODUCT], wait=WAIT)
    assert len(house.venue.submitted) == 1
    assert any("did not record it" in problem for problem in report.exits[0].problems)


def test_products_that_will_not_close_share_the_time(house: House) -> None:
    house.venue.specs[ProductId(ETH)] = a_product(product_id=ETH, alias="ETH-PERP", base="ETH", contract_size="0.1")
    holding(house, "0.05")
    holding(house, "-1", ETH)
    house.venue.ioc_liquidity = Decimal(0)
    began = house.clock.now()
    first, second = house.engine.exits.flatten(wait=timedelta(seconds=2)).exits
    assert house.clock.now() - began <= timedelta(seconds=2)
    assert abs(len(first.orders) - len(second.orders)) <= 1
    assert len(second.orders) > 1
