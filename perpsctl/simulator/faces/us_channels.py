"""The channels of the US venue's sockets: which there are, and what each has to tell since it was last asked.

Advanced Trade reference section 11 (2026-11-22): a snapshot first, then updates; book quantities are absolute, a snapshot's
event times are the Unix epoch; candles are of five minutes; trades come in batches of 250 ms. What all subscribers hear is
made once (`us_feeds`). Numbers, envelopes and faults of the connection are not known here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from perpsctl.simulator.bookfeed import BookFeed, Change, Version, from_nothing
from perpsctl.simulator.core import Core
from perpsctl.simulator.faces.us_feeds import EPOCH, UsFeeds
from perpsctl.simulator.outlet import Outlet
from perpsctl.simulator.views import MarketTrade
from perpsctl.wire.advanced_trade import socket as wire

SNAPSHOT_ORDERS = 50  # a batch of fewer ends the snapshot
TRADES_PACE = timedelta(milliseconds=250)
BATCH_PACE = timedelta(seconds=5)
SECOND = timedelta(seconds=1)
STALE_VERSIONS = 40  # how old a snapshot "older than the updates" is (W9)
_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message but for its envelope: `events` is a JSON array."""

    channel: str
    product_id: str
    events: bytes
    snapshot: bool = False
    book: tuple[BookFeed, int] | None = None  # whoever has this message holds that version
    dated: datetime | None = None  # an older time in the envelope than now (W8, W9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a channel may look at when it is asked."""

    core: Core
    feeds: UsFeeds
    now: datetime
    outlet: Outlet
    number: int  # the next message's


class Channel:
    """One subscription of one connection; `ids` is what an acknowledgement lists."""

    word = ""

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self.ids: list[str] = list(ids)

    def add(self, ids: Sequence[str]) -> None:
        """These products too."""
        self.ids += [each for each in ids if each not in self.ids]

    def drop(self, ids: Sequence[str]) -> None:
        """These products no more."""
        self.ids = [each for each in self.ids if each not in ids]

    def messages(self, asked: Asking) -> list[Told]:
        """What is due, in order."""
        raise NotImplementedError


class Heartbeats(Channel):
    """Once a second, whatever the markets do; the counter counts messages."""

    word = "heartbeats"

    def __init__(self, counter: int) -> None:
        super().__init__(["heartbeats"])
        self._counter = counter
        self._due: datetime | None = None

    def messages(self, asked: Asking) -> list[Told]:
        if asked.outlet.mute(self.word, "") or (self._due is not None and asked.now < self._due):
            return []
        late = self._due is None or asked.now >= self._due + SECOND
        self._due = asked.now + SECOND if late or self._due is None else self._due + SECOND
        self._counter += 1
        event = wire.HeartbeatEvent(current_time=asked.feeds.go_time(asked.now), heartbeat_counter=self._counter)
        return [Told(channel=self.word, product_id="", events=_ENCODER.encode([event]))]


@dataclass(slots=True)
class _Shelf:
    """One product's book on one connection."""

    feed: BookFeed | None = None
    told: int = -1
    heals_at: datetime | None = None  # W9: until then nothing more of the book comes


class Level2(Channel):
    """Whole books, then each change of them."""

    word = "level2"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self._shelves: dict[str, _Shelf] = {}

    def drop(self, ids: Sequence[str]) -> None:
        super().drop(ids)
        self._shelves = {each: shelf for each, shelf in self._shelves.items() if each in self.ids}

    def messages(self, asked: Asking) -> list[Told]:
        told: list[Told] = []
        for product_id in self.ids:
            if not asked.outlet.mute(self.word, product_id):
                told += self._product(product_id, asked)
        return told

    def _product(self, product_id: str, asked: Asking) -> list[Told]:
        feed = asked.feeds.book(asked.core, product_id)
        shelf = self._shelves.setdefault(product_id, _Shelf())
        if shelf.heals_at is not None:
            if asked.now < shelf.heals_at:
                return []
            shelf.feed = shelf.heals_at = None
        versions = feed.since(shelf.told) if shelf.feed is feed else None
        if versions is None:
            shelf.feed, shelf.told = feed, feed.newest.number
            return [self._snapshot(feed, feed.newest, asked)]
        told: list[Told] = []
        for version in versions:
            bad = asked.outlet.bad_book(product_id, asked.now, asked.number + len(told))
            if bad is not None:
                shelf.heals_at = asked.now + timedelta(seconds=int(bad.params["seconds"]))
                return [*told, self._bad(feed, version, str(bad.params["form"]), asked)]
            told.append(self._update(feed, version, asked))
            shelf.told = version.number
        return told

    def _snapshot(self, feed: BookFeed, version: Version, asked: Asking) -> Told:
        events = asked.feeds.spelled(
            feed,
            version.number,
            "snapshot",
            lambda: _book_event(asked, feed, "snapshot", from_nothing(feed.sides), EPOCH),
        )
        return Told(
            channel="l2_data",
            product_id=feed.product_id,
            events=events,
            snapshot=True,
            book=(feed, version.number),
        )

    def _update(self, feed: BookFeed, version: Version, asked: Asking) -> Told:
        events = asked.feeds.spelled(
            feed, version.number, "update", lambda: _book_event(asked, feed, "update", version.changes, version.at)
        )
        return Told(channel="l2_data", product_id=feed.product_id, events=events, book=(feed, version.number))

    def _bad(self, feed: BookFeed, version: Version, form: str, asked: Asking) -> Told:
        """A message that is no truth (W9)."""
        told = self._shelves[feed.product_id].told
        bids, asks = held = feed.held(told)
        kind, at, dated = "update", version.at, None
        if form == "stale_snapshot":
            old, sides = feed.stale(told, STALE_VERSIONS)
            kind, at, dated, lies = "snapshot", EPOCH, old.at, from_nothing(sides)
        elif form == "crossed" and bids and asks:
            lies = [Change(True, min(asks) + 2, 0, 1)]
        else:
            lies = [Change(each.bid, each.ticks, each.after, 0) for each in from_nothing(held)]
        return Told(
            channel="l2_data",
            product_id=feed.product_id,
            events=_book_event(asked, feed, kind, lies, at),
            snapshot=kind == "snapshot",
            dated=dated,
        )

    def flood_event(self, asked: Asking) -> bytes | None:
        """An update that tells what is known already: absolute quantities make it true; None without a book."""
        for product_id, shelf in self._shelves.items():
            feed = shelf.feed
            if feed is not None and shelf.heals_at is None and shelf.told == feed.newest.number:
                bids, asks = feed.sides
                known = [Change(True, t, 0, bids[t]) for t in [max(bids)]] if bids else []
                known += [Change(False, t, 0, asks[t]) for t in [min(asks)]] if asks else []
                if known and product_id in self.ids:
                    return _book_event(asked, feed, "update", known, asked.now)
        return None


def _book_event(asked: Asking, feed: BookFeed, kind: str, changes: Sequence[Change], at: datetime) -> bytes:
    price = asked.core.state.markets[feed.product_id].price_of
    when = asked.feeds.stamp(at)
    event = wire.BookEvent(
        type=kind,
        product_id=feed.product_id,
        updates=tuple(
            wire.BookUpdate(
                side="bid" if change.bid else "offer",
                event_time=when,
                price_level=str(price(change.ticks)),
                new_quantity=str(change.after),
            )
            for change in changes
        ),
    )
    return _ENCODER.encode([event])


class MarketTrades(Channel):
    """Recent trades, then batches of new ones."""

    word = "market_trades"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self._due: dict[str, datetime] = {}
        self._seen: dict[str, tuple[datetime, frozenset[str]]] = {}

    def messages(self, asked: Asking) -> list[Told]:
        told: list[Told] = []
        for product_id in self.ids:
            if asked.now < self._due.get(product_id, asked.now) or asked.outlet.mute(self.word, product_id):
                continue
            rows = asked.feeds.trades(asked.core, product_id)
            first = product_id not in self._seen
            fresh = rows if first else self._fresh(product_id, rows)
            if not fresh and not first:
                continue
            newest = fresh[0].time if fresh else asked.now
            self._seen[product_id] = (newest, frozenset(row.trade_id for row in rows if row.time == newest))
            self._due[product_id] = asked.now + TRADES_PACE
            event = wire.TradesEvent(
                type="snapshot" if first else "update", trades=tuple(asked.feeds.trade_row(row) for row in fresh)
            )
            told.append(Told(channel=self.word, product_id=product_id, events=_ENCODER.encode([event]), snapshot=first))
        return told

    def _fresh(self, product_id: str, rows: Sequence[MarketTrade]) -> list[MarketTrade]:
        since, known = self._seen[product_id]
        return [row for row in rows if row.time >= since and row.trade_id not in known]


class Ticker(Channel):
    """The ticker at each match."""

    word = "ticker"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self._last: dict[str, str] = {}

    def messages(self, asked: Asking) -> list[Told]:
        told: list[Told] = []
        for product_id in self.ids:
            if asked.outlet.mute(self.word, product_id):
                continue
            rows = asked.feeds.trades(asked.core, product_id)
            newest = rows[0].trade_id if rows else ""
            first = product_id not in self._last
            if not first and self._last[product_id] == newest:
                continue
            self._last[product_id] = newest
            row = asked.feeds.ticker(asked.core, product_id)
            event = wire.TickerEvent(type="snapshot" if first else "update", tickers=(row,))
            told.append(Told(channel=self.word, product_id=product_id, events=_ENCODER.encode([event]), snapshot=first))
        return told


class TickerBatch(Channel):
    """Every five seconds, without the best prices."""

    word = "ticker_batch"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self._due: dict[str, datetime] = {}

    def messages(self, asked: Asking) -> list[Told]:
        told: list[Told] = []
        for product_id in self.ids:
            first = product_id not in self._due
            if (not first and asked.now < self._due[product_id]) or asked.outlet.mute(self.word, product_id):
                continue
            self._due[product_id] = asked.now + BATCH_PACE
            row = asked.feeds.ticker(asked.core, product_id, best=False)
            event = wire.TickerEvent(type="snapshot" if first else "update", tickers=(row,))
            told.append(Told(channel=self.word, product_id=product_id, events=_ENCODER.encode([event]), snapshot=first))
        return told


class Candles(Channel):
    """Five-minute buckets, the running one once a second."""

    word = "candles"

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids)
        self._due: dict[str, datetime] = {}

    def messages(self, asked: Asking) -> list[Told]:
        told: list[Told] = []
        for product_id in self.ids:
            first = product_id not in self._due
            if (not first and asked.now < self._due[product_id]) or asked.outlet.mute(self.word, product_id):
                continue
            self._due[product_id] = asked.now + SECOND
            rows = asked.feeds.candles(asked.core, product_id)
            event = wire.CandlesEvent(type="snapshot" if first else "update", candles=rows if first else rows[:1])
            told.append(Told(channel=self.word, product_id=product_id, events=_ENCODER.encode([event]), snapshot=first))
        return told


class OnChange(Channel):
    """A channel whose every message is a whole image, told when it differs; looked at once a second at most."""

    def __init__(self, word: str, ids: Sequence[str], image: Callable[[Asking, "OnChange"], bytes]) -> None:
        super().__init__(ids)
        self.word = word
        self._image = image
        self._last: bytes | None = None
        self._due: datetime | None = None

    def messages(self, asked: Asking) -> list[Told]:
        if (self._due is not None and asked.now < self._due) or asked.outlet.mute(self.word, ""):
            return []
        self._due = asked.now + SECOND
        image, first = self._image(asked, self), self._last is None
        if image == self._last:
            return []
        self._last = image
        kind = b"snapshot" if first else b"update"
        return [Told(channel=self.word, product_id="", events=b'[{"type":"' + kind + b'",' + image, snapshot=first)]


def status_channel(ids: Sequence[str]) -> Channel:
    """What is listed, and whenever that changes."""

    def image(asked: Asking, channel: OnChange) -> bytes:
        rows = asked.feeds.status_rows(asked.core, channel.ids)
        return b'"products":' + _ENCODER.encode(rows) + b"}]"

    return OnChange("status", ids, image)


def balance_channel(user_id: str, *, elsewhere: bool = False) -> Channel:
    """Money and margin; of another portfolio (A6) there is none."""

    def image(asked: Asking, _: OnChange) -> bytes:
        if elsewhere:
            return b'"fcm_balance_summary":null}]'
        return b'"fcm_balance_summary":' + _ENCODER.encode(asked.feeds.balance(asked.core)) + b"}]"

    return OnChange("futures_balance_summary", [user_id], image)


@dataclass
class User(Channel):
    """The operator's orders: all live ones in batches, then the cumulative state of each that changes."""

    user_id: str
    products: tuple[str, ...] = ()  # none: all
    elsewhere: bool = False  # the key belongs to another portfolio (A6): nothing of this one is told
    _told: int | None = field(default=None)

    word = "user"

    def __post_init__(self) -> None:
        super().__init__([self.user_id])

    def messages(self, asked: Asking) -> list[Told]:
        log = asked.feeds.orders(asked.core)
        if asked.outlet.mute(self.word, ""):
            return []
        if self._told is None:
            self._told = log.count
            return self._snapshot(asked)
        fresh = [row for row in log.since(self._told) if self._wants(str(row.product_id))]
        self._told = log.count
        return [self._message("update", (row,), asked) for row in fresh]

    def _snapshot(self, asked: Asking) -> list[Told]:
        rows = [row for row in asked.feeds.live_orders(asked.core) if self._wants(str(row.product_id))]
        batches = [rows[start : start + SNAPSHOT_ORDERS] for start in range(0, len(rows) + 1, SNAPSHOT_ORDERS)]
        return [self._message("snapshot", tuple(batch), asked) for batch in batches]

    def _wants(self, product_id: str) -> bool:
        return not self.elsewhere and (not self.products or product_id in self.products)

    def _message(self, kind: str, rows: tuple[wire.UserOrder, ...], asked: Asking) -> Told:
        positions = wire.UserPositions(
            perpetual_futures_positions=(),
            expiring_futures_positions=() if self.elsewhere else asked.feeds.positions(asked.core),
        )
        event = wire.UserEvent(type=kind, orders=rows, positions=positions)
        return Told(
            channel=self.word,
            product_id=str(rows[0].product_id) if len(rows) == 1 else "",
            events=_ENCODER.encode([event]),
            snapshot=kind == "snapshot",
        )
