"""One product's public market: the touch, the makers' ladder around it, taker flow and the public tape.

Everything but what the operator took and what control set is a pure function of (seed, product, path step), so a
market that nobody looks at costs nothing and history needs no memory. Prices are whole ticks in here. Own orders are
not in here: they rest in `book.py`.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from perpsctl.simulator.generator import Path, Wobble
from perpsctl.simulator.orders import Side
from perpsctl.simulator.products import Product
from perpsctl.simulator.recordings import RecordedBook
from perpsctl.simulator.replay import ReplayedPath
from perpsctl.simulator.seeded import bits, seed_of, unit

STEP_US = 250_000  # the path moves four times a second of path time
STEPS_PER_SECOND = 1_000_000 // STEP_US
BAND_SHARE = 0.0025
LADDER_SHARE = 0.02
LEVELS_MAX = 250
LADDER_STEPS = 5 * STEPS_PER_SECOND  # makers change a price's size every 5 s of path, a few prices at each step
RECOVERY_US = 5_000_000  # what the operator took comes back over 5 s of host time
PREMIUM_SHARE = 0.0004
TRADE_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Touch:
    """The makers' best prices at a step, in ticks."""

    bid: int
    ask: int

    @property
    def mid(self) -> float:
        """Between the two, in ticks."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class Flow:
    """A taker order that met the market at a step; `ticks` is where it was recorded, or None: at the touch."""

    step: int
    taker: Side
    contracts: int
    ticks: int | None
    number: int


@dataclass(frozen=True, slots=True)
class Shift:
    """From `step` on the path is scaled by `factor`, or stands at `held`."""

    step: int
    factor: float
    held: float | None


Book = dict[int, int]  # ticks -> contracts


class Market:
    """The public side of one product."""

    def __init__(self, product: Product, path: Path, *, seed: int, depth_usd: Decimal, ratio: float = 1.0) -> None:
        self.product = product
        self.path = path
        self._ratio = ratio  # of a derived product's price to the path's
        self._depth = float(depth_usd)
        self._spread_seed = seed_of(seed, product.product_id, "spread")
        self._size_seeds = {side: seed_of(seed, product.product_id, "size", side) for side in Side}
        self._flow_seed = seed_of(seed, product.product_id, "flow")
        self.volume_seed = seed_of(seed, product.product_id, "volume")
        self._premium = Wobble(seed=seed, name=f"{product.coin} premium", period_s=3600)
        self.shifts: list[Shift] = []
        self.index_set: list[Decimal | None] = []  # at most one: what control put in place of the index
        self.fixed: tuple[Book, Book] | None = None
        self.levels_max = LEVELS_MAX  # a harness that never walks the whole ladder sets fewer
        self._taken: dict[tuple[Side, int], tuple[int, int]] = {}  # -> (contracts, host microsecond)
        self._tick = float(product.price_increment)
        self._touches: dict[int, Touch] = {}

    def replace_product(self, product: Product) -> None:
        """New increments; ticks mean something else from here on, so what hangs on them is forgotten."""
        self.product = product
        self._tick = float(product.price_increment)
        self._touches.clear()
        self._taken.clear()

    # -- the path ------------------------------------------------------------------------------------

    def price_at(self, at: int) -> float:
        """The path's price at a microsecond of path time, control's shifts included."""
        if self.shifts:
            step = at // STEP_US
            for shift in reversed(self.shifts):
                if shift.step <= step:
                    return shift.held if shift.held is not None else self.path.price(at) * self._ratio * shift.factor
        return self.path.price(at) * self._ratio

    def knots(self, begin: int, end: int) -> tuple[float, ...]:
        """Prices that a stretch of path must be seen at, the last one at its end."""
        last = end // STEP_US
        shift = next((known for known in reversed(self.shifts) if known.step <= last), None)
        if shift is None:
            return tuple(price * self._ratio for price in self.path.knots(begin, end))
        if shift.step >= begin // STEP_US:  # the stretch holds a jump: sample on either side of it
            return tuple(self.price_at(begin + (end - begin) * part // 16) for part in range(1, 17))
        if shift.held is not None:
            return (shift.held,)
        return tuple(price * self._ratio * shift.factor for price in self.path.knots(begin, end))

    def shift_to(self, step: int, price: Decimal, *, hold: bool) -> None:
        """The path passes through `price` at `step`; with `hold` it stays there."""
        raw = self.path.price(step * STEP_US) * self._ratio
        self.shifts.append(Shift(step, float(price) / raw, float(price) if hold else None))
        self._touches.clear()
        self._taken.clear()

    def release(self, step: int) -> None:
        """A held price moves again, from where it stands."""
        if self.shifts and self.shifts[-1].held is not None:
            self.shifts.append(Shift(step, self.shifts[-1].factor, None))
            self._touches.clear()

    # -- the touch -----------------------------------------------------------------------------------

    def touch(self, step: int) -> Touch | None:
        """The makers' best bid and ask at a step; None when control left a side of the book empty."""
        if self.fixed is not None:
            bids, asks = self.fixed
            return Touch(max(bids), min(asks)) if bids and asks else None
        known = self._touches.get(step)
        if known is None:
            known = self._recorded_touch(step) or self.touch_of(self.price_at(step * STEP_US), step)
            if len(self._touches) > 512:
                self._touches.clear()
            self._touches[step] = known
        return known

    def touch_of(self, price: float, step: int) -> Touch:
        """The makers' quotes around a path price: one or two ticks apart."""
        ticks = price / self._tick
        if bits(self._spread_seed, step // 12) & 3:
            bid = math.floor(ticks)
            return Touch(max(1, bid), max(2, bid + 1))
        bid = math.floor(ticks - 0.5)
        return Touch(max(1, bid), max(1, bid) + 2)

    def _recorded(self, step: int) -> RecordedBook | None:
        if isinstance(self.path, ReplayedPath) and not self.shifts and self._ratio == 1.0:
            return self.path.book(step * STEP_US)
        return None

    def _recorded_touch(self, step: int) -> Touch | None:
        book = self._recorded(step)
        if book is None:
            return None
        bid = math.floor(book.bids[0][0] / self._tick + 1e-9)
        return Touch(bid, max(bid + 1, math.ceil(book.asks[0][0] / self._tick - 1e-9)))

    # -- the ladder ----------------------------------------------------------------------------------

    def level_size(self, touch: Touch) -> float:
        """The average contracts of one ladder level: `depth_usd` spread over 25 bps."""
        price = touch.mid * self._tick
        levels = max(1.0, price * BAND_SHARE / self._tick)
        return self._depth / levels / (price * float(self.product.unit_size))

    def levels(self, touch: Touch) -> int:
        """How many prices a side of the ladder has: 2 % of the price, at most `levels_max` (250)."""
        return max(20, min(self.levels_max, int(touch.mid * LADDER_SHARE)))

    def ladder(self, side: Side, step: int, host_us: int, depth: int | None = None) -> list[tuple[int, int]]:
        """The makers' (ticks, contracts) on one side, best first, less what the operator took from them."""
        rows: list[tuple[int, int]] = []
        if self.fixed is not None:
            book = self.fixed[0 if side is Side.BUY else 1]
            source = sorted(book.items(), reverse=side is Side.BUY)
        else:
            touch = self.touch(step)
            assert touch is not None
            source = self._maker_rows(side, touch, step, None if depth is None else depth + len(self._taken))
        for ticks, contracts in source:
            left = contracts - self._still_taken(side, ticks, host_us)
            if left > 0:
                rows.append((ticks, left))
                if depth is not None and len(rows) >= depth:
                    break
        return rows

    def _maker_rows(self, side: Side, touch: Touch, step: int, depth: int | None) -> list[tuple[int, int]]:
        best = touch.bid if side is Side.BUY else touch.ask
        count = self.levels(touch) if depth is None else min(depth, self.levels(touch))
        base, seed = self.level_size(touch), self._size_seeds[side]
        recorded = self._recorded(step)
        if recorded is not None:
            return self._recorded_rows(side, recorded, best, count, base, step, seed)
        return [
            (ticks, self._maker_size(seed, ticks, step, base))
            for ticks in range(best, best - side.sign * count, -side.sign)
            if ticks > 0
        ]

    @staticmethod
    def _maker_size(seed: int, ticks: int, step: int, base: float) -> int:
        # Each price at its own moment: a few change at every step, and a book is never silent for long.
        epoch = (step + ticks * 7 % LADDER_STEPS) // LADDER_STEPS
        return max(1, int(base * (0.75 + 0.5 * unit(seed, ticks * 1_000_003 + epoch))))

    def _recorded_rows(
        self, side: Side, book: RecordedBook, best: int, count: int, base: float, step: int, seed: int
    ) -> list[tuple[int, int]]:
        """The recorded depth on our grid (rounded away from the mid), the synthetic ladder beyond it."""
        whole: dict[int, float] = {}
        for price, coins in book.bids if side is Side.BUY else book.asks:
            exact = price / self._tick
            ticks = math.floor(exact + 1e-9) if side is Side.BUY else max(best, math.ceil(exact - 1e-9))
            whole[ticks] = whole.get(ticks, 0.0) + coins / float(self.product.unit_size)
        edge = min(whole) if side is Side.BUY else max(whole)
        rows: list[tuple[int, int]] = []
        for ticks in range(best, best - side.sign * count, -side.sign):
            if ticks <= 0:
                break
            inside = ticks >= edge if side is Side.BUY else ticks <= edge
            size = int(whole.get(ticks, 0.0)) if inside else self._maker_size(seed, ticks, step, base)
            if size > 0:
                rows.append((ticks, size))
        return rows

    def maker_size(self, side: Side, ticks: int, step: int, host_us: int) -> int:
        """The makers' contracts at one price now; 0 where they do not quote."""
        if self.fixed is not None:
            whole = self.fixed[0 if side is Side.BUY else 1].get(ticks, 0)
        else:
            touch = self.touch(step)
            assert touch is not None
            best = touch.bid if side is Side.BUY else touch.ask
            behind = (best - ticks) * side.sign
            if not 0 <= behind < self.levels(touch):
                return 0
            if self._recorded(step) is not None:
                whole = dict(self._maker_rows(side, touch, step, behind + 1)).get(ticks, 0)
            else:
                whole = self._maker_size(self._size_seeds[side], ticks, step, self.level_size(touch))
        return max(0, whole - self._still_taken(side, ticks, host_us))

    def _still_taken(self, side: Side, ticks: int, host_us: int) -> int:
        taken = self._taken.get((side, ticks))
        if taken is None:
            return 0
        contracts, since = taken
        age = max(0, host_us - since)
        if age >= RECOVERY_US:
            del self._taken[side, ticks]
            return 0
        return contracts - contracts * age // RECOVERY_US

    def take(self, side: Side, ticks: int, contracts: int, host_us: int) -> None:
        """The operator took `contracts` from the makers at a price; they come back over five seconds."""
        if self.fixed is not None:
            book = self.fixed[0 if side is Side.BUY else 1]
            book[ticks] = book[ticks] - contracts
            if book[ticks] <= 0:
                del book[ticks]
            return
        self._taken[side, ticks] = (self._still_taken(side, ticks, host_us) + contracts, host_us)

    # -- flow and index ------------------------------------------------------------------------------

    def flow(self, step: int) -> tuple[Flow, ...]:
        """The taker orders of one step: recorded trades where a recording has them, else seeded ones."""
        if isinstance(self.path, ReplayedPath) and self._ratio == 1.0:
            prints = self.path.prints((step - 1) * STEP_US, step * STEP_US)
            if prints is not None:
                scale = self.shifts[-1].factor if self.shifts else 1.0
                unit_size = float(self.product.unit_size)
                return tuple(
                    Flow(
                        step,
                        Side.BUY if row.taker_buys else Side.SELL,
                        max(1, round(row.coins / unit_size)),
                        max(1, round(row.price * scale / self._tick)),
                        number,
                    )
                    for number, row in enumerate(prints)
                )
        roll = bits(self._flow_seed, step)
        if (roll & 0xFFFF) / 65536 >= TRADE_CHANCE:
            return ()
        touch = self.touch(step)
        if touch is None:
            return ()
        share = ((roll >> 17) & 0xFFFF) / 65536
        contracts = 1 + int(self.level_size(touch) * 0.25 * share * share)
        return (Flow(step, Side.BUY if roll & 0x10000 else Side.SELL, contracts, None, 0),)

    def flow_count(self, first: int, last: int) -> int:
        """How many taker orders `flow` has in the steps from `first` to `last`, both counted."""
        if self.fixed is not None or isinstance(self.path, ReplayedPath):
            return sum(len(self.flow(step)) for step in range(first, last + 1))
        chance = int(TRADE_CHANCE * 65536)
        return sum((bits(self._flow_seed, step) & 0xFFFF) < chance for step in range(first, last + 1))

    def index_price(self, step: int) -> Decimal | None:
        """The underlying's price to six digits: within 4 bps of the path unless control set it."""
        if self.index_set:
            return self.index_set[0]
        at = step * STEP_US
        value = self.price_at(at) / (1.0 + PREMIUM_SHARE * self._premium.at(at))
        return Decimal(round(value * 1_000_000)).scaleb(-6)

    def premium(self, at: int) -> Decimal:
        """How far the contract stands above its index, as a share, to eight digits."""
        return Decimal(round(PREMIUM_SHARE * self._premium.at(at) * 100_000_000)).scaleb(-8)

    def price_of(self, ticks: int) -> Decimal:
        """Ticks as a price."""
        return ticks * self.product.price_increment
