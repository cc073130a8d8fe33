"""Order book streams for tests and benchmarks, made from a seed, and the plainest book there is to compare with."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView, DataSource, Level
from perpsctl.domain.numbers import Price, Size

BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Rows = list[tuple[str, str, str]]  # side ("bid" or "offer"), price, absolute size in the wire's unit


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a made market looks like. `drift` is by how many ticks a message may move it."""

    tick: str
    mid: int  # ticks
    spread: int = 60  # how far from the middle levels stand, in ticks: a scale, not a bound
    size_places: int = 0
    drift: int = 1
    depth: int = 400  # levels a side of the snapshot


class MadeMarket:
    """A market that never crosses: whatever the price walks over is removed level by level, as venues do."""

    def __init__(self, seed: int, shape: Shape) -> None:
        self._random = random.Random(seed)
        self._shape = shape
        self._mid = shape.mid
        self._levels: dict[str, dict[int, str]] = {"bid": {}, "offer": {}}

    def snapshot(self) -> Rows:
        """The whole book; the first one is filled level by level."""
        if not self._levels["bid"]:
            for away in range(self._shape.depth):
                self._put("bid", self._mid - 1 - away, self._size())
                self._put("offer", self._mid + 1 + away, self._size())
        return [(side, self._price(at), size) for side, levels in self._levels.items() for at, size in levels.items()]

    def messages(self, updates: int, most: int = 10) -> Iterator[Rows]:
        """Messages until at least so many levels were told."""
        told = 0
        while told < updates:
            rows = self._moved() + [self._one() for _ in range(self._random.randint(1, most))]
            told += len(rows)
            yield rows

    def _moved(self) -> Rows:
        self._mid += self._random.randint(-self._shape.drift, self._shape.drift)
        walked_over = (
            [("bid", at) for at in self._levels["bid"] if at >= self._mid] if self._bid_best() >= self._mid else []
        )
        if self._ask_best() <= self._mid:
            walked_over += [("offer", at) for at in self._levels["offer"] if at <= self._mid]
        return [self._put(side, at, "0") for side, at in walked_over]

    def _one(self) -> tuple[str, str, str]:
        side = self._random.choice(("bid", "offer"))
        away = 1 + int(self._random.expovariate(1) * self._shape.spread)
        at = max(1, self._mid - away) if side == "bid" else self._mid + away
        gone = at in self._levels[side] and self._random.random() < 0.4
        return self._put(side, at, "0" if gone else self._size())

    def _put(self, side: str, at: int, size: str) -> tuple[str, str, str]:
        if size == "0":
            self._levels[side].pop(at, None)
        else:
            self._levels[side][at] = size
        return side, self._price(at), size

    def _price(self, at: int) -> str:
        return str(at * Decimal(self._shape.tick))

    def _size(self) -> str:
        whole = self._random.randint(1, 500 * 10**self._shape.size_places)
        return str(Decimal(whole).scaleb(-self._shape.size_places))

    def _bid_best(self) -> int:
        return max(self._levels["bid"], default=0)

    def _ask_best(self) -> int:
        return min(self._levels["offer"], default=2**60)


class PlainBook:
    """Two dicts of Decimals; slow, and right by looking at it."""

    def __init__(self, product_id: str, coin_per_wire: str) -> None:
        self._product_id = ProductId(product_id)
        self._coin = Decimal(coin_per_wire)
        self.sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}

    def load(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self.sides = {"bid": {}, "offer": {}}
        self.apply(rows)

    def apply(self, rows: Iterable[tuple[str, str, str]]) -> None:
        for side, price, size in rows:
            if Decimal(size) == 0:
                self.sides[side].pop(Decimal(price), None)
            else:
                self.sides[side][Decimal(price)] = Decimal(size) * self._coin

    def view(self, as_of: datetime, venue_time: datetime | None) -> BookView:
        """As a `BookView` that a stream told."""
        bids = sorted(self.sides["bid"].items(), reverse=True)
        asks = sorted(self.sides["offer"].items())
        return BookView(
            product_id=self._product_id,
            bids=tuple(Level(price=Price(price), size=Size(size)) for price, size in bids),
            asks=tuple(Level(price=Price(price), size=Size(size)) for price, size in asks),
            as_of=as_of,
            venue_time=venue_time,
            source=DataSource.STREAM,
        )


# --- the same as the venues write it -------------------------------------------------------------------


def at_message(number: int) -> datetime:
    """When message `number` was sent, in the venue's clock."""
    return BEGAN + timedelta(milliseconds=50 * number)


def us_frame(product_id: str, rows: Rows, number: int, kind: str = "update") -> bytes:
    """One `l2_data` message as recorded ones look (coinbase-advanced-trade.md 11.2)."""
    at = at_message(number).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    levels = ",".join(
        f'{{"side":"{side}","event_time":"{at}","price_level":"{price}","new_quantity":"{size}"}}'
        for side, price, size in rows
    )
    return (
        f'{{"channel":"l2_data","client_id":"","timestamp":"{at}","sequence_num":{number},"events":'
        f'[{{"type":"{kind}","product_id":"{product_id}","updates":[{levels}]}}]}}'
    ).encode()


def global_frame(product_id: str, rows: Rows, number: int, change_id: int, previous: int | None) -> bytes:
    """One `book` notification (coinbase-global-derivatives.md 12); without `previous` it is a snapshot."""
    sides: dict[str, list[str]] = {"bid": [], "offer": []}
    for side, price, size in rows:
        action = "new" if previous is None else "delete" if size == "0" else "change"
        sides[side].append(f'["{action}",{price},{size}]')
    link = "" if previous is None else f'"prev_change_id":{previous},'
    kind = "snapshot" if previous is None else "change"
    millis = int(at_message(number).timestamp() * 1000)
    return (
        f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.{product_id}.100ms","data":'
        f'{{"type":"{kind}","timestamp":{millis},"instrument_name":"{product_id}",{link}"change_id":{change_id},'
        f'"bids":[{",".join(sides["bid"])}],"asks":[{",".join(sides["offer"])}]}}}}}}'
    ).encode()
