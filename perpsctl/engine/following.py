"""What the loop knows of its account between full reads: news says what to read again, reads say what is so (L5).

While the order stream is live, orders that were named are read one by one and the rest is kept, with its age, for a few
seconds. Whatever unsettles that picture, fails, or is not understood ends it: then everything is read. A message is
never taken for an order's state, a fill or a position.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from perpsctl.domain.accounts import AccountView, OrdersRead, PositionsRead
from perpsctl.domain.ids import ProductId, VenueOrderId
from perpsctl.domain.orders import VenueOrder
from perpsctl.domain.ports import Clock, Journal
from perpsctl.domain.streams import News, NewsKind
from perpsctl.engine.live import LiveData
from perpsctl.engine.tracking import Tracked, Tracker
from perpsctl.engine.views import Seen, Views
from perpsctl.risk.limits import RiskLimits

__all__ = ["Follower"]

FULL_EVERY: Final = timedelta(seconds=5)  # at the latest; half of `account_age_max_s` where that is less
HINTS_MAX: Final = 20  # more orders than this are cheaper read as one listing
WAKES: Final = frozenset(set(NewsKind) - {NewsKind.MARKET, NewsKind.BALANCE})  # equity moves with every price
MOVES_MONEY: Final = frozenset({NewsKind.FILL, NewsKind.POSITION, NewsKind.BALANCE})
BY_ORDER: Final = frozenset({NewsKind.ORDER, NewsKind.FILL})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The last whole picture, each part with its own age."""

    orders: OrdersRead
    account: AccountView
    positions: PositionsRead
    read_ns: int


class Follower:
    """Keeps one product's loop informed with as few reads as are safe."""

    def __init__(
        self,
        *,
        live: LiveData,
        views: Views,
        tracker: Tracker,
        journal: Journal,
        clock: Clock,
        limits: RiskLimits,
        product_id: ProductId,
    ) -> None:
        self._live = live
        self._views = views
        self._tracker = tracker
        self._journal = journal
        self._clock = clock
        self._product_id = product_id
        self._full_every = min(FULL_EVERY, timedelta(seconds=limits.account_age_max_s) / 2)
        self._held: _Held | None = None
        self._named: set[VenueOrderId] = set()
        self._money_moved = False
        self._unsettled = False

    # --- hearing --------------------------------------------------------------------------------------------------

    def hear(self) -> bool:
        """Take what the streams told; True when something happened that the loop should look at now."""
        reasons = [each for each in self._live.take() if self._heed(each)]
        return bool(reasons)

    def _heed(self, news: News) -> bool:
        self._unsettled = self._unsettled or news.unsettles
        self._money_moved = self._money_moved or news.kind in MOVES_MONEY
        if news.kind in BY_ORDER and news.venue_order_id is not None:
            self._named.add(news.venue_order_id)
        elif news.kind in WAKES and news.kind is not NewsKind.POSITION:
            self.touched()
        return news.kind in WAKES

    def touched(self) -> None:
        """Something changed that no single read tells whole: the next look reads everything."""
        self._held = None

    @property
    def unsettled(self) -> bool:
        """True while news may be missing: a reconcile is due."""
        return self._unsettled

    def settled(self) -> None:
        """A reconcile was whole; the streams are told so, and everything is read once more."""
        if self._unsettled:
            self._unsettled = False
            self._live.settled()
        self.touched()

    @property
    def covered(self) -> bool:
        """True while the kept picture may stand in: the order stream is live and nothing unsettled it."""
        held = self._held
        if held is None or self._unsettled or not self._live.covers_orders or len(self._named) > HINTS_MAX:
            return False
        age_ns = self._clock.monotonic_ns() - held.read_ns
        return 0 <= age_ns < self._full_every // timedelta(microseconds=1) * 1000

    # --- reading --------------------------------------------------------------------------------------------------

    def look(self, *, whole: bool = False) -> tuple[Tracked, Seen]:
        """Orders and the view; `whole` reads everything, the market too. Raises what `Views.fresh` and the journal raise."""
        held = None if whole or not self.covered else self._held
        named, money_moved = sorted(self._named), self._money_moved
        self._held, self._named, self._money_moved = None, set(), False  # until the reads prove whole
        if held is not None and not self._ours(named):
            held = None
        if held is None:
            began_ns = self._clock.monotonic_ns()
            tracked = self._tracker.update(all_fills=True)
            seen = self._views.fresh(self._product_id, orders=tracked.orders, streamed=not whole)
            self._keep(tracked, seen, began_ns)
            return tracked, seen
        return self._look_again(held, named, money_moved)

    def _look_again(self, held: _Held, named: Sequence[VenueOrderId], money_moved: bool) -> tuple[Tracked, Seen]:
        tracked = self._tracker.look(named)
        orders = merged(held.orders, tracked.read)
        tracked = replace(tracked, orders=orders)
        again = money_moved or bool(tracked.fills) or any(order.filled for order in tracked.moved)
        seen = self._views.fresh(
            self._product_id,
            orders=orders,
            account=None if again else held.account,
            positions=None if again else held.positions,
        )
        self._keep(tracked, seen, held.read_ns)
        return tracked, seen

    def _ours(self, named: Sequence[VenueOrderId]) -> bool:
        """True when each named order is a working one of the journal: of any other the listing has to tell."""
        if not named:
            return True
        known = {record.venue_order_id for record in self._journal.working()}
        return known.issuperset(named)

    def _keep(self, tracked: Tracked, seen: Seen, read_ns: int) -> None:
        view = seen.view
        whole = not tracked.problems and not seen.problems
        if whole and tracked.orders is not None and view.account is not None and view.positions is not None:
            self._held = _Held(orders=tracked.orders, account=view.account, positions=view.positions, read_ns=read_ns)


def merged(listing: OrdersRead, read: Sequence[VenueOrder]) -> OrdersRead:
    """The listing with these orders as they were read since; it keeps the age of its oldest part."""
    newer = {order.venue_order_id: order for order in read}
    kept = tuple(order for order in listing.orders if order.venue_order_id not in newer)
    return replace(listing, orders=kept + tuple(order for order in read if order.status.live))
