"""Running sums of fills and transfers, and from which equity mark a loss is counted. Pure, exact, bounded in memory.

Sums are kept beside each equity mark, so that "what happened since that mark" is one subtraction however many fills there
were. A fill booked late changes the marks after it, never those before.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal

from perpsctl.domain.accounts import EquityMark, Flow, LossBasis
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional
from perpsctl.domain.orders import Fill, FillKind

DAY = timedelta(hours=24)
MARKS_KEPT = 2 * DAY  # a baseline may be a day older than a window's start, which is a day ago at most
LATE_MARK = timedelta(minutes=10)  # a mark describes a moment at most this long before it is booked
BUCKET = timedelta(minutes=1)  # of marks that come faster, the first and the last of each minute are kept
ZERO = Decimal(0)

_EXACT = Context(prec=400)  # wider than any product of two numbers that `numbers.exact` lets in
_EPOCH = datetime.fromisoformat("2020-01-01T00:00:00+00:00")

Sums = dict[ProductId, tuple[Decimal, Decimal]]  # product -> signed coin, cash with fees inside


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptMark:
    """An equity mark with the sums of everything that happened up to it."""

    mark: EquityMark
    sums: Sums
    transfers: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One flow with its moment: a fill, or a transfer (no product)."""

    at: datetime
    product_id: ProductId | None
    coin: Decimal
    cash: Decimal


def flow_of(fill: Fill) -> Happened:
    """What a fill did to coin and cash; a reversal does the opposite of what its side says (E14).

    A fee the venue did not tell counts as nothing here; equity, which knows it, counts beside these sums (E16).
    """
    sign = -fill.side.sign if fill.kind is FillKind.REVERSAL else fill.side.sign
    coin = fill.size * sign
    fee = fill.fee if fill.fee is not None else ZERO
    if fill.kind is FillKind.REVERSAL:
        fee = -fee
    cash = _EXACT.subtract(_EXACT.multiply(-coin, fill.price), fee)
    return Happened(at=fill.time, product_id=fill.product_id, coin=coin, cash=cash)


class Ledger:
    """Sums so far and the marks of the last two days, oldest first."""

    def __init__(self) -> None:
        self.sums: Sums = {}
        self.transfers = ZERO
        self.marks: list[KeptMark] = []
        self.latest: list[Happened] = []  # of the last minutes, for marks that are booked after younger fills

    def book(self, flow: Happened, *, booked_at: datetime) -> None:
        """The flow counts from its own moment on, in the sums and in marks that were taken after it."""
        self.sums, self.transfers = _with(self.sums, self.transfers, flow, 1)
        changed: dict[int, Sums] = {}  # marks between two fills share one mapping; keep it so
        for index in range(len(self.marks) - 1, -1, -1):
            kept = self.marks[index]
            if kept.mark.at < flow.at:
                break
            sums, transfers = _with(kept.sums, kept.transfers, flow, 1)
            sums = changed.setdefault(id(kept.sums), sums)
            self.marks[index] = KeptMark(mark=kept.mark, sums=sums, transfers=transfers)
        self.latest = [each for each in self.latest if each.at >= booked_at - LATE_MARK]
        self.latest.append(flow)

    def mark(self, mark: EquityMark) -> None:
        """A mark taken at `mark.at`; flows after that moment are not in it."""
        sums, transfers = self.sums, self.transfers
        for flow in self.latest:
            if flow.at > mark.at:
                sums, transfers = _with(sums, transfers, flow, -1)
        place = bisect_right(self.marks, mark.at, key=lambda kept: kept.mark.at)
        self.marks.insert(place, KeptMark(mark=mark, sums=sums, transfers=transfers))
        self._thin(place)
        oldest = self.marks[-1].mark.at - MARKS_KEPT
        drop = 0
        while drop + 1 < len(self.marks) and self.marks[drop + 1].mark.at <= oldest:
            drop += 1
        del self.marks[:drop]

    def bases(self, now: datetime) -> tuple[LossBasis, ...]:
        """Where the losses of the UTC day and of the last 24 hours are counted from; whoever judges takes the worse.

        First one for each window. Where that mark is older than its window, a second with the first mark inside: what was
        gained between the old mark and the window's start must not hide what was lost since.
        """
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        windows = (("utc_day", midnight), ("rolling_24h", now - DAY))
        first = [(window, start, self._baseline(start)) for window, start in windows]
        inside = [
            (window, start, self._first_inside(start))
            for window, start, kept in first
            if kept is not None and kept.mark.at < start
        ]
        more = [each for each in inside if each[2] is not None]
        return tuple(self._basis(window, start, kept) for window, start, kept in (*first, *more))

    def _basis(self, window: str, start: datetime, kept: KeptMark | None) -> LossBasis:
        if kept is None:
            return LossBasis(window=window, start=start, baseline=None, flows=(), transfers=Notional(ZERO))
        return LossBasis(
            window=window,
            start=start,
            baseline=kept.mark,
            flows=tuple(_since(self.sums, kept.sums)),
            transfers=Notional(_EXACT.subtract(self.transfers, kept.transfers)),
        )

    def _baseline(self, start: datetime) -> KeptMark | None:
        """The last mark at or before `start`, if not a day older; else the first one after."""
        after = bisect_right(self.marks, start, key=lambda kept: kept.mark.at)
        if after > 0 and self.marks[after - 1].mark.at >= start - DAY:
            return self.marks[after - 1]
        return self._first_inside(start)

    def _first_inside(self, start: datetime) -> KeptMark | None:
        after = bisect_right(self.marks, start, key=lambda kept: kept.mark.at)
        return self.marks[after] if after < len(self.marks) else None

    def _thin(self, place: int) -> None:
        """Between the first and the last mark of a minute none is needed."""
        for middle in (place, place - 1):
            if 0 < middle < len(self.marks) - 1:
                buckets = {(each.mark.at - _EPOCH) // BUCKET for each in self.marks[middle - 1 : middle + 2]}
                if len(buckets) == 1:
                    del self.marks[middle]
                    return


def _with(sums: Sums, transfers: Decimal, flow: Happened, sign: int) -> tuple[Sums, Decimal]:
    """The sums with one flow more (or less): a new mapping, since marks hold the old one."""
    cash = flow.cash * sign
    if flow.product_id is None:
        return sums, _EXACT.add(transfers, cash)
    coin, paid = sums.get(flow.product_id, (ZERO, ZERO))
    moved = (_EXACT.add(coin, flow.coin * sign), _EXACT.add(paid, cash))
    return {**sums, flow.product_id: moved}, transfers


def _since(now: Sums, then: Sums) -> Iterable[Flow]:
    for product_id in sorted(now):
        coin, cash = now[product_id]
        before_coin, before_cash = then.get(product_id, (ZERO, ZERO))
        flow = Flow(
            product_id=product_id, coin=_EXACT.subtract(coin, before_coin), cash=_EXACT.subtract(cash, before_cash)
        )
        if flow.coin != 0 or flow.cash != 0:
            yield flow
