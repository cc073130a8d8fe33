"""Checks of the sockets: what came over them, not that they are open. Each opens streams of its own and closes them again.

Polling stands in for every stream, so that a profile without them can still trade: but slower to see its own fills, and
rollout counts uptime. Nothing is ordered over these sockets.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

from perpsctl.checks.context import CheckContext
from perpsctl.checks.figures import ms_of
from perpsctl.checks.model import Check, Finding, failed, passed, warned
from perpsctl.checks.venue import our_products
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import bps_between, plain
from perpsctl.domain.products import Product
from perpsctl.domain.reports import KeyPurpose
from perpsctl.domain.streams import ChannelHealth, ChannelState, StreamPart, Streams

WITHIN = timedelta(seconds=12)  # subscribing has 5 s on the venue's side (Advanced Trade reference section 4)
SLICE = timedelta(milliseconds=200)
ACCOUNT = frozenset({StreamPart.ORDERS, StreamPart.BALANCE})
MARKET = frozenset({StreamPart.BOOK})
_POLLS = "the loop polls meanwhile: it works, and sees its own fills later"
_READS = "the loop reads books meanwhile: it works, with older prices and more requests"
_ROAD = "look at the road to the venue's socket host"
_SILENT = "the venue is connected and tells nothing: repeat in a minute; if it stays, it is the venue's"
_ANSWERS = frozenset({ChannelState.STARTING, ChannelState.STALE, ChannelState.BROKEN})


def account_events(ctx: CheckContext) -> Finding:
    """The account's channels are subscribed under our key and have told something: an authenticated event, not a socket."""
    first = our_products(ctx, ctx.venues.signed(KeyPurpose.TRADE))[:1]
    with _started(ctx, first, KeyPurpose.TRADE) as (streams, took):  # the key the loop listens with
        return _account_found(_settled(streams, ctx, ACCOUNT), took())


def _account_found(channels: Sequence[ChannelHealth], took: timedelta) -> Finding:
    if not channels:
        return failed("no channel of the account was asked for", fix="name a trade key in the profile")
    told = f"{', '.join(map(_said, channels))}; settled after {ms_of(took)}"
    missing = [each for each in channels if each.state is not ChannelState.LIVE]
    if not missing:
        return passed(told)
    if all(each.part is StreamPart.BALANCE for each in missing):  # equity is read every few seconds in any case
        return warned(told, fix="nothing: money is read at least every 5 s whatever the streams tell")
    if any(each.state is ChannelState.REFUSED for each in missing):
        return failed(told, fix=f"the venue refuses our key on its socket: look at the key's rights; {_POLLS}")
    return failed(told, fix=f"{_why(missing)}; {_POLLS}")


def _why(missing: Sequence[ChannelHealth]) -> str:
    """Where to look: at the venue when it has answered, else at the road to it."""
    return _SILENT if missing and all(each.state in _ANSWERS for each in missing) else _ROAD


def books_streamed(ctx: CheckContext) -> Finding:
    """Each product's book is built from its stream, young, two-sided, and agrees with a read of it."""
    products = our_products(ctx, ctx.venues.unsigned())
    with _started(ctx, products, None) as (streams, took):
        channels = _settled(streams, ctx, MARKET)
        settled = took()
        found = [_book(ctx, streams, product, channels) for product in products]
    told = f"{'; '.join(text for text, _, _ in found)}; live after {ms_of(settled)}"
    if not all(young for _, young, _ in found):
        missing = [each for each in channels if each.state is not ChannelState.LIVE]
        if any(each.state is ChannelState.REFUSED for each in missing):
            return failed(told, fix=f"the venue will not stream this book: report this line; {_READS}")
        return failed(told, fix=f"{_why(missing)}; {_READS}")
    if not all(agrees for _, _, agrees in found):
        return warned(
            told, fix="repeat: the market moves between the two; if it stays, do not trade and report this line"
        )
    return passed(told)


def _book(
    ctx: CheckContext, streams: Streams, product: Product, channels: Sequence[ChannelHealth]
) -> tuple[str, bool, bool]:
    """What is told, whether the streamed book is there and young, and whether a read lies near it."""
    health = next((each for each in channels if each.product_id == product.product_id), None)
    streams.take()
    streamed, now = streams.book(product.product_id), ctx.clock.now()
    if health is None or health.state is not ChannelState.LIVE or streamed is None or streamed.mid is None:
        return f"{product.alias} {'not asked for' if health is None else _said(health)}", False, False
    read = ctx.venues.unsigned().book(product.product_id, 1)
    apart = _apart(streamed, read)
    age = now - streamed.as_of
    text = f"{product.alias} {_top(streamed)} {ms_of(age)} old, {_distance(apart)} from a read"
    bound = timedelta(seconds=ctx.setup.limits.book_age_max_s)
    return text, age <= bound, apart is not None and apart <= ctx.setup.limits.mark_divergence_max_bps


def _apart(streamed: BookView, read: BookView) -> Decimal | None:
    """Between the two middles, in bps; None when one has none."""
    if streamed.mid is None or read.mid is None:
        return None
    return abs(bps_between(streamed.mid, read.mid))


def _distance(apart: Decimal | None) -> str:
    return "unknown bps" if apart is None else f"{plain(apart.quantize(Decimal('0.1')))} bps"


def _top(book: BookView) -> str:
    assert book.best_bid is not None and book.best_ask is not None  # noqa: PT018 - a book with a mid has both
    return f"{plain(book.best_bid)} / {plain(book.best_ask)}"


def _said(each: ChannelHealth) -> str:
    age = "nothing heard yet" if each.age is None else f"heard {ms_of(each.age)} ago"
    why = f" ({each.reason})" if each.reason else ""
    return f"{each.part.value} {each.state.value}{why}, {age}"


@contextmanager
def _started(
    ctx: CheckContext, products: Sequence[Product], key: KeyPurpose | None
) -> Iterator[tuple[Streams, Callable[[], timedelta]]]:
    """Streams of these products under a key or none, closed again; and a stopwatch."""
    streams = ctx.streams(key)
    began = ctx.clock.monotonic_ns()
    try:
        streams.start([product.product_id for product in products])
        yield streams, lambda: timedelta(microseconds=(ctx.clock.monotonic_ns() - began) // 1000)
    finally:
        streams.stop()


def _settled(streams: Streams, ctx: CheckContext, parts: frozenset[StreamPart]) -> tuple[ChannelHealth, ...]:
    """The channels of these parts once each is live or refused, or as they stand when the time is over."""
    until = ctx.clock.monotonic_ns() + WITHIN // timedelta(microseconds=1) * 1000
    while True:
        streams.take()
        found = tuple(each for each in streams.health() if each.part in parts)
        ended = {ChannelState.LIVE, ChannelState.REFUSED}
        if (found and all(each.state in ended for each in found)) or ctx.clock.monotonic_ns() >= until:
            return found
        streams.wait(SLICE)


ACCOUNT_EVENTS = Check(
    "streams.account",
    "The account's sockets tell something",
    run=account_events,
    needs=("auth.trade", "products.perps"),
)
BOOKS = Check("streams.books", "Streamed books agree with reads", run=books_streamed, needs=("products.perps",))
