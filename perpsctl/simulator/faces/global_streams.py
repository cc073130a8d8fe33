"""The public channels of the gateway's streams host: which there are, and what each has to tell.

Books begin with a snapshot; every change names the `change_id` before it, so that a gap shows (Global Derivatives reference
section 12, 2026-11-22). `raw` needs a login and is therefore dropped without a word, like everything that does not exist.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.faces.global_market import book_row, change_id, tape_row, ticker_row
from perpsctl.simulator.faces.global_rows import Row, fine
from perpsctl.simulator.gateway.funding import EIGHT_HOURS_US
from perpsctl.simulator.gateway.refusal import RpcError
from perpsctl.simulator.gateway.state import GatewayState
from perpsctl.simulator.tape import micros

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
# Channels the gateway has and this exchange does not serve: a named error, never a silent gap that is ours.
_NOT_SERVED = re.compile(
    r"(?:incremental_ticker|chart\.trades|instrument\.(?:state|creation)|platform_state|announcements"
    r"|deribit_price_index|deribit_price_ranking|markprice)(?:\..+)?"
    r"|book\.[^.]+\.[0-9]+\.(?:1|10|20)\.(?:100ms|agg2)|trades\.(?:any|future|option|spot)\.[^.]+\.(?:100ms|agg2)",
    re.ASCII,
)
_QUOTED = ("best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount")
Levels = dict[Decimal, Decimal]


@dataclass(slots=True)
class Image:
    """A channel whose every message is a whole image, sent when it differs from the last one."""

    name: str
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
    _change_id: int | None = None
    _bids: Levels = field(default_factory=dict)
    _asks: Levels = field(default_factory=dict)

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        if now < self.due:
            return []
        row = book_row(state, self.product_id, BOOK_LEVELS)
        bids, asks = _levels(row["bids"]), _levels(row["asks"])
        first = self._change_id is None
        told: Row = {"bids": _moved(self._bids, bids), "asks": _moved(self._asks, asks)}
        if not first and not told["bids"] and not told["asks"]:
            return []
        previous, self._change_id = self._change_id, max(change_id(state), (self._change_id or 0) + 1)
        self._bids, self._asks, self.due = bids, asks, now + self.interval
        head: Row = {
            "type": "snapshot" if first else "change",
            "timestamp": micros(now) // 1000,
            "instrument_name": self.product_id,
            "change_id": self._change_id,
        }
        return [head | ({} if first else {"prev_change_id": previous}) | told]


@dataclass(slots=True)
class TradesChannel:
    """Public trades since the last message, oldest first; always a list."""

    name: str
    product_id: str
    interval: timedelta
    due: datetime
    seen: datetime

    def messages(self, state: GatewayState, now: datetime) -> list[object]:
        if now < self.due:
            return []
        newest = state.tapes[self.product_id].trades(TRADES_AT_ONCE, state.step)
        fresh = sorted((trade for trade in newest if trade.time > self.seen), key=lambda trade: trade.time)
        if not fresh:
            return []
        self.seen, self.due = fresh[-1].time, now + self.interval
        return [[tape_row(state, trade) for trade in fresh]]


Stream = Image | BookChannel | TradesChannel


class Streams:
    """The channels by name."""

    @staticmethod
    def channel(name: str, state: GatewayState, now: datetime) -> Stream | None:
        """The subscription behind a name; None for what is silently dropped. RpcError 10033 for what is not served."""
        if _NOT_SERVED.fullmatch(name):
            raise RpcError(10033, None, {"reason": "this exchange does not serve the channel"})
        for pattern, make in _MAKERS:
            found = pattern.fullmatch(name)
            if found is not None:
                return make(name, found, now) if found["product"] in state.products else None
        return None


def _book(name: str, found: re.Match[str], now: datetime) -> Stream:
    return BookChannel(name=name, product_id=found["product"], interval=INTERVALS[found["interval"]], due=now)


def _top(name: str, found: re.Match[str], now: datetime) -> Stream:
    product_id, depth = found["product"], int(found["depth"])

    def image(state: GatewayState) -> Row:
        row = book_row(state, product_id, depth)
        kept = ("timestamp", "instrument_name", "change_id", "bids", "asks")
        return {key: row[key] for key in kept}

    return Image(name=name, interval=INTERVALS[found["interval"]], due=now, make=image)


def _ticker(name: str, found: re.Match[str], now: datetime) -> Stream:
    product_id = found["product"]
    return Image(
        name=name, interval=INTERVALS[found["interval"]], due=now, make=lambda state: ticker_row(state, product_id)
    )


def _quote(name: str, found: re.Match[str], now: datetime) -> Stream:
    product_id = found["product"]

    def image(state: GatewayState) -> Row:
        row = ticker_row(state, product_id)
        return {key: row[key] for key in ("timestamp", "instrument_name", *_QUOTED)}

    return Image(name=name, interval=INTERVALS["100ms"], due=now, make=image)


def _trades(name: str, found: re.Match[str], now: datetime) -> Stream:
    return TradesChannel(
        name=name, product_id=found["product"], interval=INTERVALS[found["interval"]], due=now, seen=now
    )


def _perpetual(name: str, found: re.Match[str], now: datetime) -> Stream:
    product_id = found["product"]

    def image(state: GatewayState) -> Row:
        at = state.host_us
        rate = state.rates[product_id]
        interest = fine(rate.interest(at - EIGHT_HOURS_US, at))
        return {"timestamp": at // 1000, "index_price": rate.index(at), "interest": interest}

    return Image(name=name, interval=INTERVALS[found["interval"]], due=now, make=image)


_MAKERS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str], datetime], Stream]], ...] = (
    (_BOOK, _book),
    (_TOP, _top),
    (_TICKER, _ticker),
    (_QUOTE, _quote),
    (_TRADES, _trades),
    (_PERPETUAL, _perpetual),
)


def _levels(rows: object) -> Levels:
    assert isinstance(rows, list)
    return dict(rows)


def _moved(before: Levels, after: Levels) -> list[list[object]]:
    """What changed, amounts absolute; a snapshot is a change from nothing."""
    told: list[list[object]] = [
        ["change" if price in before else "new", price, amount]
        for price, amount in after.items()
        if before.get(price) != amount
    ]
    return told + [["delete", price, Decimal(0)] for price in before if price not in after]
