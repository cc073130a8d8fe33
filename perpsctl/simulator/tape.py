"""What a market leaves behind: candles, recent public trades, daily figures. Read from the path, hardly remembered.

Candles before the start are the path's own past: a generated path is walked backwards, a recording shows its earlier
rows. They reach 48 hours back from the start; nothing older is listed.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.market import STEP_US, STEPS_PER_SECOND, Market
from perpsctl.simulator.orders import Side
from perpsctl.simulator.recordings import EPOCH, MICRO
from perpsctl.simulator.seeded import identifier, unit
from perpsctl.simulator.views import Candle, Granularity, MarketTrade

HISTORY = timedelta(hours=48)
CANDLES_MAX = 350
MINUTE_US = 60_000_000
MINUTES_KEPT = 6000
OWN_TRADES_KEPT = 500
TRADES_MAX = 1000
LOOK_BACK_STEPS = 4 * TRADES_MAX
LAST_TRADE_STEPS = 240


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute in ticks; volume in contracts."""

    open: int
    high: int
    low: int
    close: int
    volume: int


class Timeline:
    """Turns host time into path time and back. The path alone is accelerated, and only from the start on."""

    def __init__(self, start: datetime, speed: Decimal) -> None:
        if speed <= 0 or not speed.is_finite():
            raise ValueError("speed is a finite number above zero")
        self.start = start
        self.start_us = (start - EPOCH) // MICRO
        self._over, self._under = speed.as_integer_ratio()

    def path_us(self, host_us: int) -> int:
        """Path microseconds at a host moment (microseconds since 1970)."""
        passed = host_us - self.start_us
        return passed * self._over // self._under if passed > 0 else passed

    def host_us(self, path_us: int) -> int:
        """The host moment at which the path reaches a microsecond, rounded up."""
        passed = -(-path_us * self._under // self._over) if path_us > 0 else path_us
        return self.start_us + passed

    def step(self, host_us: int) -> int:
        """The path step in force at a host moment."""
        return self.path_us(host_us) // STEP_US


def instant(host_us: int) -> datetime:
    """Microseconds since 1970 as UTC."""
    return EPOCH + host_us * MICRO


def micros(at: datetime) -> int:
    """UTC as microseconds since 1970."""
    return (at - EPOCH) // MICRO


class Tape:
    """Candles and trades of one market."""

    def __init__(self, market: Market, timeline: Timeline) -> None:
        self._market = market
        self._timeline = timeline
        self._minutes: dict[int, Bar] = {}
        self._own: deque[MarketTrade] = deque(maxlen=OWN_TRADES_KEPT)

    def print_own(self, trade: MarketTrade) -> int:
        """A trade with the operator joins the public tape; its number, 0 on a tape that has none."""
        self._own.append(trade)
        return 0

    # -- candles -------------------------------------------------------------------------------------

    def candles(
        self, *, start: datetime, end: datetime, granularity: Granularity, now: datetime, limit: int
    ) -> tuple[Candle, ...]:
        """Buckets that begin within [start, end], newest first; of too many, the newest."""
        return self.buckets(start=start, end=end, minutes=granularity.minutes, now=now, limit=min(limit, CANDLES_MAX))

    def buckets(self, *, start: datetime, end: datetime, minutes: int, now: datetime, limit: int) -> tuple[Candle, ...]:
        """The same for buckets of any number of minutes, at most `limit` of them."""
        length = minutes * MINUTE_US
        now_us = micros(now)
        oldest = (self._timeline.start_us - HISTORY // MICRO) // length * length
        first = max(-(-micros(start) // length) * length, oldest)
        last = min(micros(end), now_us) // length * length
        found: list[Candle] = []
        bucket = last
        while bucket >= first and len(found) < limit:
            found.append(self._candle(bucket, length, now_us))
            bucket -= length
        return tuple(found)

    def _candle(self, begin: int, length: int, now_us: int) -> Candle:
        bars = [self._bar(minute, now_us) for minute in range(begin, min(begin + length, now_us + 1), MINUTE_US)]
        price = self._market.price_of
        return Candle(
            start=instant(begin),
            open=price(bars[0].open),
            high=price(max(bar.high for bar in bars)),
            low=price(min(bar.low for bar in bars)),
            close=price(bars[-1].close),
            volume=Decimal(sum(bar.volume for bar in bars)),
        )

    def _bar(self, minute: int, now_us: int) -> Bar:
        known = self._minutes.get(minute)
        if known is not None:
            return known
        end = min(minute + MINUTE_US, now_us)
        bar = self._read_bar(minute, end)
        if end == minute + MINUTE_US and end <= now_us:
            if len(self._minutes) >= MINUTES_KEPT:
                self._minutes.clear()
            self._minutes[minute] = bar
        return bar

    def _read_bar(self, begin: int, end: int) -> Bar:
        market, timeline = self._market, self._timeline
        path_begin, path_end = timeline.path_us(begin), timeline.path_us(end)
        if end == begin + MINUTE_US:
            path_end -= 1  # the instant at which a minute ends is the next one's first
        step = path_begin // STEP_US
        first = market.touch_of(market.price_at(path_begin), step)
        touches = [first, *(market.touch_of(price, step) for price in market.knots(path_begin, path_end))]
        share = (end - begin) / MINUTE_US
        average = market.level_size(first) * 0.083 * 2 * 60 * share
        return Bar(
            open=first.bid,
            high=max(touch.ask for touch in touches),
            low=min(touch.bid for touch in touches),
            close=touches[-1].bid,
            volume=int(average * (0.5 + unit(market.volume_seed, begin // MINUTE_US))),
        )

    def keep(self) -> None:
        """What was counted and not made yet is made; nothing on a tape without numbers."""

    def forget(self) -> None:
        """Closed minutes are read again: control changed what they are made of."""
        self._minutes.clear()

    # -- trades --------------------------------------------------------------------------------------

    def trades(self, limit: int, step: int) -> tuple[MarketTrade, ...]:
        """Recent public trades, newest first: the flow of past steps and the operator's own."""
        wanted = max(0, min(limit, TRADES_MAX))
        found: list[MarketTrade] = []
        back = step
        while len(found) < wanted and back > step - LOOK_BACK_STEPS:
            found.extend(reversed(self.step_trades(back)))
            back -= 1
        found.extend(self._own_until(step))
        found.sort(key=_newest, reverse=True)
        return tuple(found[:wanted])

    def _own_until(self, step: int) -> list[MarketTrade]:
        """The operator's trades up to the end of a step, oldest first: one who looks back sees no later ones."""
        end = instant(self._timeline.host_us((step + 1) * STEP_US))
        return [trade for trade in self._own if trade.time < end]

    def step_trades(self, step: int) -> list[MarketTrade]:
        """What the flow of one step leaves on the tape, oldest first."""
        market = self._market
        flows = market.flow(step)
        if not flows:
            return []
        touch = market.touch(step)
        if touch is None:
            return []
        at = self._timeline.host_us(step * STEP_US)
        rows = []
        for flow in flows:
            ticks = flow.ticks if flow.ticks is not None else (touch.ask if flow.taker is Side.BUY else touch.bid)
            rows.append(
                MarketTrade(
                    trade_id=identifier(market.volume_seed, "trade", step, flow.number),
                    product_id=market.product.product_id,
                    price=market.price_of(ticks),
                    size=Decimal(flow.contracts),
                    time=instant(at),
                    side=flow.taker.other.value,
                )
            )
        return rows

    def last(self, step: int) -> Decimal:
        """The price of the last public trade; the bid where a minute of path saw none."""
        own = next(reversed(self._own_until(step)), None)
        for back in range(step, step - LAST_TRADE_STEPS, -1):
            rows = self.step_trades(back)
            if rows:
                newest = rows[-1]
                return own.price if own is not None and own.time >= newest.time else newest.price
            if own is not None and own.time >= instant(self._timeline.host_us(back * STEP_US)):
                return own.price
        touch = self._market.touch(step)
        return self._market.price_of(touch.bid) if touch is not None else self._market.product.start_price

    def volume_24h(self, step: int) -> Decimal:
        """Contracts traded in a day: the average flow, moving by the hour."""
        touch = self._market.touch(step)
        if touch is None:
            return Decimal(0)
        hour = step // (3600 * STEPS_PER_SECOND)
        daily = self._market.level_size(touch) * 0.083 * 2 * 86_400
        return Decimal(int(daily * (0.9 + 0.2 * unit(self._market.volume_seed, hour))))

    def change_24h(self, step: int, host_us: int) -> Decimal:
        """Per cent since a day ago."""
        before = self._market.price_at(self._timeline.path_us(host_us - 24 * 60 * MINUTE_US))
        now = self._market.price_at(step * STEP_US)
        return Decimal(round((now / before - 1.0) * 100_000_000)).scaleb(-6)


def _newest(trade: MarketTrade) -> tuple[datetime, str]:
    return trade.time, trade.trade_id
