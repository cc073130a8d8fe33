"""News in order and bounded; when nobody takes it for too long, that is said instead of forgotten."""

from perpsctl.domain.streams import News, NewsKind, StreamPart
from perpsctl.exchange.streams.newsbox import NewsBox
from tests.unit.exchange.parts import NOW
from tests.unit.exchange.streams.world import BIP, BTC


def an_order(number: int = 0) -> News:
    return News(kind=NewsKind.ORDER, at=NOW, part=StreamPart.ORDERS, detail=str(number))


def test_market_news_is_one_a_product_and_comes_after_the_orders() -> None:
    box = NewsBox()
    for _ in range(100):
        box.moved(BIP, StreamPart.BOOK, NOW)
        box.moved(BTC, StreamPart.TICKER, NOW)
    box.add(an_order())
    taken = box.take()
    assert [(each.kind, each.product_id) for each in taken] == [
        (NewsKind.ORDER, None),
        (NewsKind.MARKET, BIP),
        (NewsKind.MARKET, BTC),
    ]
    assert not box
    assert box.take() == ()


def test_orders_come_in_order() -> None:
    box = NewsBox()
    for n in range(50):
        box.add(an_order(n))
    assert [each.detail for each in box.take()] == [str(n) for n in range(50)]


def test_news_nobody_takes_becomes_an_overflow_that_unsettles_w10() -> None:
    box = NewsBox(10)
    for n in range(25):
        box.add(an_order(n))
    taken = box.take()
    assert len(taken) <= 11
    assert taken[0].kind is NewsKind.OVERFLOW
    assert taken[0].unsettles
