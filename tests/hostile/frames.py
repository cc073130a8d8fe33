"""Messages of the sockets: recorded from both venues, spoiled, and read as the streams read them; and whole streams under
a rain of spoiled messages, which must come back by themselves once it stops.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from perpsctl.domain.products import Product, VenueId
from perpsctl.domain.streams import ChannelState, StreamPart
from perpsctl.exchange.streams.book import BookState
from perpsctl.exchange.streams.global_books import GlobalBooks
from perpsctl.exchange.streams.us_books import UsBooks
from perpsctl.wire.advanced_trade.socket import LeanBookMessage, read_frame, read_message
from perpsctl.wire.global_derivatives.channels import BookNotification, read_book_frame, read_data
from perpsctl.wire.global_derivatives.convert_market import mark_from
from perpsctl.wire.global_derivatives.market import Ticker
from perpsctl.wire.global_derivatives.rpc import Notification, decode_frame
from perpsctl.wire.guard import WireError, decode
from tests.hostile.corpus import order_of
from tests.hostile.mutate import spoilt
from tests.hostile.oracle import clean, leaves
from tests.rig import START
from tests.unit.exchange.parts import OpenGate
from tests.unit.exchange.streams.world import MS, SECOND, World

RAIN = timedelta(seconds=4)
BACK_WITHIN = timedelta(seconds=120)
_CHANCE = 0.15


@dataclass(frozen=True, slots=True)
class Frames:
    """What one venue said on its sockets."""

    venue: str
    product: Product
    told: tuple[bytes, ...]
    snapshots: tuple[bytes, ...]  # the first message of the book


class _Heard(World):
    """Keeps every message, or spoils some."""

    chance: Random | None = None
    kept: list[bytes]
    struck = 0

    def open(self, address: Any) -> Any:
        return _Line(super().open(address), self)


class _Line:
    def __init__(self, real: Any, world: _Heard) -> None:
        self._real = real
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def receive(self, within: timedelta) -> bytes | None:
        found: bytes | None = self._real.receive(within)
        world = self._world
        if found is None:
            return None
        if world.chance is None:
            world.kept.append(found)
        elif world.chance.random() < _CHANCE:
            world.struck += 1
            found, _ = spoilt(world.chance, found)
        return found


@cache
def recorded(venue: str) -> Frames:
    """Messages of a minute with orders placed, cancelled and filled in it."""
    world = _Heard(VenueId(venue))
    world.kept = []
    world.started()
    product = world.product(world.product_id)
    book = world.read(1)
    assert book.best_bid is not None
    assert book.best_ask is not None
    step = product.price_step(book.best_bid)
    for number, price in enumerate((book.best_bid - 50 * step, book.best_ask + 20 * step)):
        order = order_of(product, world.clock.now(), ident=f"hostile-frame-{number}", price=price // step * step)
        world.venue.submit(order, OpenGate())
        world.pass_time(2 * SECOND)
    world.pass_time(6 * SECOND, step=200 * MS)
    world.streams.stop()
    world.venue.close()
    kept = tuple(dict.fromkeys(world.kept))
    books = tuple(each for each in kept if b'"l2_data"' in each or b'"book.' in each)
    return Frames(venue, product, kept, tuple(each for each in books if b'"snapshot"' in each)[:1])


def read(frames: Frames, honest: bytes, body: bytes) -> Iterator[str]:
    """What is wrong with how this message is read; nothing where it is refused or read as what it says."""
    try:
        value = _read_us(frames, honest, body) if frames.venue == "us" else _read_global(frames, honest, body)
    except WireError as refused:
        if not clean(str(refused)):
            yield f"a refusal carries text from outside raw: {str(refused)[:200]!r}"
        return
    for name, leaf in leaves(value):
        if isinstance(leaf, float):
            yield f"{name} is a binary float"
        if isinstance(leaf, Decimal) and (not leaf.is_finite() or abs(leaf.adjusted()) > 90):
            yield f"{name} is {str(leaf)[:60]}"


def _read_us(frames: Frames, honest: bytes, body: bytes) -> Any:
    message = read_frame(body)
    read_message(body)
    if not isinstance(message, LeanBookMessage):
        return None
    door = UsBooks([frames.product])
    if honest not in frames.snapshots:
        for each in frames.snapshots:
            first = read_frame(each)
            assert isinstance(first, LeanBookMessage)
            door.take(first, START)
    door.take(message, START)
    return _sound(door)


def _read_global(frames: Frames, honest: bytes, body: bytes) -> Any:
    if b'"book.' in honest:
        door = GlobalBooks([frames.product])
        if honest not in frames.snapshots:
            for each in frames.snapshots:
                door.take(read_book_frame(each) or decode(each, BookNotification), START)
        door.take(read_book_frame(body) or decode(body, BookNotification), START)
        return _sound(door)
    frame = decode_frame(body)
    if not isinstance(frame, Notification):
        return None
    data = read_data(frame)
    return mark_from(data, frames.product.product_id, START) if isinstance(data, Ticker) else None


def _sound(door: UsBooks | GlobalBooks) -> Any:
    """Books after a message: each is broken, empty, or has finite prices above zero in order."""
    for book in door.books.values():
        if book.state is BookState.LIVE:
            view = book.view(50)
            if view is None:  # not sound: nobody gets it
                continue
            prices = [level.price for level in view.bids], [level.price for level in view.asks]
            if prices[0] != sorted(set(prices[0]), reverse=True) or prices[1] != sorted(set(prices[1])):
                raise AssertionError("a live book is out of order")
            if any(level.price <= 0 or level.size <= 0 for level in (*view.bids, *view.asks)):
                raise AssertionError("a live book has a level that is not above zero")
    return None


def rain(venue: str, seed: str) -> tuple[int, list[str]]:
    """How many messages were spoiled, and what is wrong after streams lived through them."""
    world = _Heard(VenueId(venue))
    world.kept = []
    found: list[str] = []
    try:
        world.started()
        world.chance = Random(f"{seed}/rain")
        until = world.clock.now() + RAIN
        while world.clock.now() < until:
            world.pass_time(100 * MS, take=True)
            found += _looked_at(world)
        world.chance = None
        world.until(lambda: _all_live(world), BACK_WITHIN)
        for _ in range(20):
            if world.agrees(10):
                break
            world.pass_time(100 * MS, take=True)
        else:
            found.append("the streamed book does not agree with a read after the rain")
    except Exception as error:  # whatever it is, it is a finding
        found.append(f"streams raised {type(error).__name__}: {str(error)[:300]!r}")
    finally:
        world.streams.stop()
        world.venue.close()
    return world.struck, found


def _all_live(world: World) -> bool:
    parts = {StreamPart.BOOK, StreamPart.ORDERS}
    return all(each.state is ChannelState.LIVE for each in world.streams.health() if each.part in parts)


def _looked_at(world: World) -> Iterator[str]:
    for each in world.streams.health():
        for name, leaf in leaves(each):
            if isinstance(leaf, str) and name in ("reason", "detail") and not clean(leaf):
                yield f"{name} carries text from outside raw: {leaf[:200]!r}"
    book = world.streams.book(world.product_id)
    if book is not None:
        if not book.sound:
            yield "a book that is not sound is handed out"
        if any(not each.price.is_finite() or each.price <= 0 for each in (*book.bids, *book.asks)):
            yield "a book with a price that is not above zero is handed out"
