"""The public channels of the gateway's streams host: which there are, and what each has to tell.

Books begin with a snapshot; every change names the `change_id` before it, so that a gap shows (Global Derivatives reference
section 12, 2026-11-22). `raw` needs a login and is therefore dropped without a word, like everything that does not exist.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.bookfeed import BookFeed, Change, from_nothing, merged
from perpsctl.simulator.faces.global_candles import CandleChannel
from perpsctl.simulator.faces.global_market import RESOLUTIONS, book_row, change_id, tape_row, ticker_row
from perpsctl.simulator.faces.global_rows import Row, fine
from perpsctl.simulator.gateway.funding import EIGHT_HOURS_US
from perpsctl.simulator.gateway.numbered import NumberedTape
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.outlet import Outlet
from perpsctl.simulator.state import State
from perpsctl.simulator.tape import micros
from perpsctl.wire.global_derivatives import rpc

BOOK_LEVELS = 200
TRADES_AT_ONCE = 200
INTERVALS = {"100ms": timedelta(milliseconds=100), "agg2": timedelta(seconds=1)}
_PRODUCT = r"(?P<product>[A-Z0-9]+_[A-Z0-9]+-[A-Z0-9]+)"
_INTERVAL = r"(?P<interval>100ms|agg2)"
_BOOK = re.compile(rf"book\.{_PRODUCT}\.{_INTERVAL}", re.ASCII)
_TOP = re.compile(rf"book\.{_PRODUCT}\.none\.(?P<depth>1|10|20)\.{_INTERVAL}", re.ASCII)
_TICKER = re.compile(rf"ticker\.{_PRODUCT}\.{_INTERVAL}", re.ASCII)
_QUOTE = re.compile(rf"quote\.{_PRODUCT}", re.ASCII)
_TRADES = re.compile(rf"trades\.{_PRODUCT}\.{_INTERVAL}", re.ASCII)
_PERPETUAL = re.compile(rf"perpetual\.{_PRODUCT}\.{_INTERVAL}", re.ASCII)
_CHART = re.compile(rf"chart\.trades\.{_PRODUCT}\.(?P<resolution>{'|'.join(RESOLUTIONS)})", re.ASCII)
# Channels the gateway has and this exchange does not serve: a named error, never a silent gap that is ours.
_NOT_SERVED = re.compile(
    r"(?:incremental_ticker|instrument\.(?:state|creation)|platform_state|announcements"
    r"|deribit_price_index|deribit_price_ranking|markprice)(?:\..+)?"
    r"|book\.[^.]+\.[0-9]+\.(?:1|10|20)\.(?:100ms|agg2)|trades\.(?:any|future|option|spot)\.[^.]+\.(?:100ms|agg2)",
    re.ASCII,
)
_QUOTED = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
STALE_BY = 10_000  # change ids: ten steps of the path
NUMBER_HERE, PREVIOUS_HERE = 911_111_111_111_117, 922_222_222_222_227  # places in a frame built beforehand
_MOMENT_US = 20_000


@dataclass(slots=True)
class Image:
    """A channel whose every message is a whole image, sent when it differs from the last one."""

    name: str
    kind: str
    product_id: str
    interval: timedelta
    due: datetime
    make: Callable[[GatewayState], Row]
    _last: Row | None = None

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        if now < self.due:
            return []
        image = self.make(state)
        bare = {key: value for key, value in image.items() if key not in {"timestamp", "change_id"}}
        if bare == self._last:
            return []
        self._last, self.due = bare, now + self.interval
        return [image]


@dataclass(slots=True)
class BookChannel:
    """A snapshot, then changes that name their predecessor."""

    name: str
    product_id: str
    interval: timedelta
    due: datetime
    feeds: "BookFeeds"
    outlet: Outlet
    kind: str = "book"
    _feed: BookFeed | None = None
    _version: int = -1
    _change_id: int | None = None
    _heals_at: datetime | None = None  # W9: until then nothing more of the book comes

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        if now < self.due or (self._heals_at is not None and now < self._heals_at):
            return []
        feed = self.feeds.of(state, self.product_id)
        known = feed is self._feed and self._heals_at is None
        versions = feed.since(self._version) if known else None
        newest = feed.newest.number
        if versions is None:
            self._feed, self._heals_at = feed, None
            return [self._told(state, feed, "snapshot", from_nothing(feed.sides), newest)]
        changes = merged(versions)
        if not changes:
            self._version = newest
            return []
        bad = self.outlet.bad_book(self.product_id, now, newest)
        if bad is not None:
            self._heals_at = now + timedelta(seconds=int(bad.params["seconds"]))
            return [self._bad(state, feed, str(bad.params["form"]), newest)]
        return [self._told(state, feed, "change", changes, newest)]

    def _told(self, state: GatewayState, feed: BookFeed, kind: str, changes: Sequence[Change], version: int) -> Row:
        """A message of the truth; the judge is told what version it leads to."""
        previous, self._change_id = self._change_id, max(version, (self._change_id or 0) + 1)
        self._version, self.due = version, self.feeds.now + self.interval
        self.outlet.record.mark(feed, self._change_id, version)
        return self._row(state, kind, changes, self._change_id, previous)

    def _row(self, state: GatewayState, kind: str, changes: Sequence[Change], number: int, previous: int | None) -> Row:
        chain: Row = {} if kind == "snapshot" else {"prev_change_id": previous}
        head: Row = {
            "type": kind,
            "timestamp": micros(state.now) // 1000,
            "instrument_name": self.product_id,
            "change_id": number,
        }
        return head | chain | self._sides(state, changes)

    def _sides(self, state: GatewayState, changes: Sequence[Change]) -> Row:
        price, unit = state.markets[self.product_id].price_of, state.products[self.product_id].unit_size
        sides: tuple[list[object], list[object]] = ([], [])
        for change in changes:
            word = "delete" if not change.after else "change" if change.before else "new"
            sides[0 if change.bid else 1].append([word, price(change.ticks), change.after * unit])
        return {"bids": sides[0], "asks": sides[1]}

    def _bad(self, state: GatewayState, feed: BookFeed, form: str, newest: int) -> Row:
        """A message that is no truth (W9); the chain holds, but for a snapshot older than the changes."""
        bids, asks = held = feed.held(self._version)
        previous = self._change_id or 0
        if form == "stale_snapshot":
            old, sides = feed.stale(self._version, STALE_BY)
            row = self._row(state, "snapshot", from_nothing(sides), min(old.number, previous - 1), None)
            return row | {"timestamp": micros(old.at) // 1000}
        self._change_id = max(newest, previous + 1)
        if form == "crossed" and bids and asks:
            return self._row(state, "change", [Change(True, min(asks) + 2, 0, 1)], self._change_id, previous)
        gone = [Change(each.bid, each.ticks, each.after, 0) for each in from_nothing(held)]
        return self._row(state, "change", gone, self._change_id, previous)

    def flood_row(self, state: GatewayState) -> Row | None:
        """A change that tells what is known already, its numbers to be filled in; None without a whole book."""
        feed = self._feed
        if feed is None or self._heals_at is not None or self._version != feed.newest.number:
            return None
        bids, asks = feed.sides
        known = [Change(True, ticks, bids[ticks], bids[ticks]) for ticks in ([max(bids)] if bids else [])]
        known += [Change(False, ticks, asks[ticks], asks[ticks]) for ticks in ([min(asks)] if asks else [])]
        return self._row(state, "change", known, NUMBER_HERE, PREVIOUS_HERE) if known else None

    def number(self, count: int) -> range:
        """The next `count` change ids of this channel are given away; each message's predecessor is one below."""
        first = (self._change_id or 0) + 1
        self._change_id = first + count - 1
        return range(first, first + count)


@dataclass(slots=True)
class TradesChannel:
    """Every public trade since the last message, oldest first; always a list."""

    name: str
    product_id: str
    interval: timedelta
    due: datetime
    seen: datetime  # what happened up to here is told, or was before the subscription
    kind: str = "trades"
    _tape: NumberedTape | None = None
    _last: int = 0

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        if now < self.due:
            return []
        tape = state.numbered[self.product_id]
        if tape is not self._tape:  # a new subscription, or a new account
            known = [each.number for each in tape.numbered(state.step) if each.trade.time <= self.seen]
            self._tape, self._last = tape, max(known, default=0)
        fresh = tape.numbered(state.step, self._last)
        if not fresh:
            return []
        self.seen, self._last, self.due = fresh[-1].trade.time, fresh[-1].number, now + self.interval
        rows = [tape_row(state, each) for each in fresh]
        return [rows[at : at + TRADES_AT_ONCE] for at in range(0, len(rows), TRADES_AT_ONCE)]


Stream = Image | BookChannel | TradesChannel | CandleChannel


class BookFeeds:
    """The books of one account, made once for all subscribers. Guarded by the exchange's lock."""

    def __init__(self) -> None:
        self.now = datetime.fromtimestamp(0, UTC)
        self._state: GatewayState | None = None
        self._feeds: dict[str, tuple[Decimal, BookFeed]] = {}
        self._rows: dict[tuple[str, str], tuple[tuple[int, int], Row]] = {}
        self._frames: dict[str, tuple[object, bytes]] = {}

    def enter(self, state: GatewayState, now: datetime) -> None:
        """These are the account and the time; after a reset everything is made anew."""
        self.now = now
        if state is not self._state:
            self._state = state
            self._feeds.clear()
            self._rows.clear()
            self._frames.clear()

    def frame(self, name: str, row: object) -> bytes:
        """A notification, spelled once for all who are told the very same row."""
        known = self._frames.get(name)
        if known is None or known[0] is not row:
            known = self._frames[name] = (row, rpc.encode_notification(name, row))
        return known[1]

    def of(self, state: GatewayState, product_id: str) -> BookFeed:
        """The versions up to now; another feed after the price grid changed."""
        step = state.products[product_id].price_increment
        known = self._feeds.get(product_id)
        if known is None or known[0] != step:
            feed = BookFeed(product_id, BOOK_LEVELS, lambda at: max(1, change_id(_gateway(at))))
            known = self._feeds[product_id] = (step, feed)
        known[1].refresh(state)
        return known[1]

    def row(self, what: str, state: GatewayState, product_id: str, make: Callable[[], Row]) -> Row:
        """A row made at most once in a moment, whoever asks for it."""
        key = (state.host_us // _MOMENT_US, state.event_count)
        known = self._rows.get((what, product_id))
        if known is None or known[0] != key:
            known = self._rows[what, product_id] = (key, make())
        return known[1]


def _gateway(state: State) -> GatewayState:
    assert isinstance(state, GatewayState)
    return state


class Streams:
    """The channels by name, and what their subscribers share."""

    def __init__(self) -> None:
        self.feeds = BookFeeds()

    def channel(self, name: str, state: GatewayState, now: datetime, outlet: Outlet) -> Stream | None:
        """The subscription behind a name; None for what is silently dropped. RpcError 10033 for what is not served."""
        if _NOT_SERVED.fullmatch(name):
            raise RpcError(10033, None, {"reason": "this exchange does not serve the channel"})
        for pattern, make in _MAKERS:
            found = pattern.fullmatch(name)
            if found is not None:
                asked = _Asked(name, found, now, self.feeds, outlet)
                return make(asked) if found["product"] in state.products else None
        return None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One name that was understood."""

    name: str
    found: re.Match[str]
    now: datetime
    feeds: BookFeeds
    outlet: Outlet

    @property
    def product_id(self) -> str:
        return self.found["product"]

    def image(self, kind: str, interval: str, make: Callable[[GatewayState], Row]) -> Image:
        return Image(self.name, kind, self.product_id, INTERVALS[interval], self.now, make)


def _book(asked: _Asked) -> Stream:
    interval = INTERVALS[asked.found["interval"]]
    return BookChannel(asked.name, asked.product_id, interval, asked.now, asked.feeds, asked.outlet)


def _top(asked: _Asked) -> Stream:
    product_id, depth = asked.product_id, int(asked.found["depth"])

    def image(state: GatewayState) -> Row:
        row = asked.feeds.row(f"top {depth}", state, product_id, lambda: book_row(state, product_id, depth))
        kept = ("timestamp", "instrument_name", "change_id", "bids", "asks")
        return {key: row[key] for key in kept}

    return asked.image("book", asked.found["interval"], image)


def _ticker(asked: _Asked) -> Stream:
    product_id = asked.product_id

    def image(state: GatewayState) -> Row:
        return asked.feeds.row("ticker", state, product_id, lambda: ticker_row(state, product_id))

    return asked.image("ticker", asked.found["interval"], image)


def _quote(asked: _Asked) -> Stream:
    product_id = asked.product_id

    def image(state: GatewayState) -> Row:
        row = asked.feeds.row("ticker", state, product_id, lambda: ticker_row(state, product_id))
        return {key: row[key] for key in ("timestamp", "instrument_name", *_QUOTED)}

    return asked.image("quote", "100ms", image)


def _trades(asked: _Asked) -> Stream:
    interval = INTERVALS[asked.found["interval"]]
    return TradesChannel(name=asked.name, product_id=asked.product_id, interval=interval, due=asked.now, seen=asked.now)


def _perpetual(asked: _Asked) -> Stream:
    product_id = asked.product_id

    def image(state: GatewayState) -> Row:
        at = state.host_us
        rate = state.rates[product_id]
        interest = fine(rate.interest(at - EIGHT_HOURS_US, at))
        return {"timestamp": at // 1000, "index_price": rate.index(at), "interest": interest}

    return asked.image("perpetual", asked.found["interval"], image)


def _chart(asked: _Asked) -> Stream:
    minutes = RESOLUTIONS[asked.found["resolution"]]
    return CandleChannel(name=asked.name, product_id=asked.product_id, minutes=minutes, due=asked.now)


_MAKERS: tuple[tuple[re.Pattern[str], Callable[[_Asked], Stream]], ...] = (
    (_BOOK, _book),
    (_TOP, _top),
    (_TICKER, _ticker),
    (_QUOTE, _quote),
    (_TRADES, _trades),
    (_PERPETUAL, _perpetual),
    (_CHART, _chart),
)
