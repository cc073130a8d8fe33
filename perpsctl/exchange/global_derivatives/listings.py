"""Orders and fills read whole, as domain values: cross and isolated, resting, waiting and over.

What is over comes from `histories`, page by page. A list that could not be read whole is an error, never a shorter list
(E21, L5). Rows of instruments that are no USDC perpetuals are kept apart.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from perpsctl.domain.errors import VenueRefusedRequest, VenueSpokeStrangely
from perpsctl.domain.ids import ClientOrderId, VenueOrderId
from perpsctl.domain.orders import Fill, VenueOrder
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY, Catalogue, is_perpetual
from perpsctl.exchange.global_derivatives.histories import Histories
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import EPOCH
from perpsctl.exchange.listing import ForeignOrder, Listing, joined, merged
from perpsctl.exchange.pacing import Priority
from perpsctl.wire.global_derivatives import convert_orders, params, trading
from perpsctl.wire.global_derivatives.common import said

__all__ = ["NOT_FOUND", "Lists", "moved_on", "standing"]

MANY = 10  # orders to ask for by id; more are sought in a list first
NOT_FOUND = ("order_not_found", "not_owner_of_order")
_Orders = tuple[trading.Order, ...]
_Trades = tuple[trading.UserTrade, ...]


class Lists:
    """The listings of one key."""

    def __init__(self, link: Link, catalogue: Catalogue, clock: Clock) -> None:
        self._link = link
        self._catalogue = catalogue
        self._histories = Histories(link, clock)
        self._isolated: set[VenueOrderId] = set()  # orders that were seen to be isolated
        self._waiting: dict[VenueOrderId, VenueOrder] = {}  # trigger orders that were seen

    # --- orders ----------------------------------------------------------------------------------------------

    def open(self) -> Listing:
        """Every order that rests or waits for its trigger, cross and isolated, in one listing."""
        return self._listed("private/get_open_orders", params.OrdersParams(type="all", include_isolated=True))

    def by_label(self, label: ClientOrderId) -> Listing:
        """The orders that carry this label: the recent ones in any state, then the open ones."""
        asked = params.OrdersParams(currency=CURRENCY, label=label, include_isolated=True)
        recent = self._listed("private/get_order_state_by_label", asked)
        asked = params.OrdersParams(currency=CURRENCY, label=label)
        standing = self._listed("private/get_open_orders_by_label", asked)
        return joined([recent, standing], what="the lists by label")

    def standing_for(self, label: ClientOrderId) -> Listing:
        """As `by_label`, without waiting orders that became another: one stop-limit has two ids over its life."""
        return standing(self.by_label(label))

    def in_their_terms(self, whole: Listing, label: ClientOrderId) -> Listing:
        """The orders of this label in the terms they were sent with, whatever it takes to read these."""
        told = (self._as_sent(order) if order.client_order_id == label else order for order in whole.orders)
        return replace(whole, orders=tuple(told))

    def since(self, start: datetime) -> Listing:
        """Every order created at or after `start` that the venue still tells of, in whatever state."""
        parts = [self.open(), *map(self._page, self._histories.orders(start))]
        parts += [self._triggered(page) for page in self._histories.triggers(start)]
        whole = joined(parts, what="open orders, recent and old history, waiting orders that ended")
        kept = tuple(order for order in whole.orders if order.created is None or order.created >= start)
        return standing(replace(whole, orders=kept))

    def each(self, order_ids: Collection[VenueOrderId]) -> dict[VenueOrderId, VenueOrder]:
        """Those of these orders that the venue knows. Many at once are sought in the recent history first.

        An end that is told there is the venue's own word on the order; what is not is asked for by id.
        """
        found: dict[VenueOrderId, VenueOrder] = {}
        if len(order_ids) > MANY:
            recent = joined([*map(self._page, self._histories.recent_orders(EPOCH))], what="the recent history")
            found = {o.venue_order_id: o for o in recent.orders if o.venue_order_id in order_ids and o.status.final}
        for order_id in order_ids:
            order = None if order_id in found else self.one(order_id)
            if order is not None:
                found[order_id] = order
        return found

    def successor(self, fired: VenueOrder) -> VenueOrder | None:
        """The order that this one became when it fired; None while the venue does not tell it.

        Under the same label; in the history where the label is forgotten.
        """
        if fired.client_order_id is not None:
            found = _became(fired, self.by_label(fired.client_order_id))
            if found is not None:
                return found
        return _became(fired, self.since(fired.created or EPOCH))

    def one(self, order_id: VenueOrderId, priority: Priority = Priority.READ) -> VenueOrder | None:
        """The order, asked for as cross and as isolated; None only when the venue knows neither."""
        first = order_id in self._isolated
        for isolated in (first, not first):
            found = self._state(order_id, priority, isolated=isolated)
            if found is not None:
                return found
        return None

    def is_isolated(self, order_id: VenueOrderId) -> bool:
        """True when the order was seen to belong to an isolated position."""
        return order_id in self._isolated

    def _state(self, order_id: VenueOrderId, priority: Priority, *, isolated: bool) -> VenueOrder | None:
        asked = params.OrderIdParams(order_id=order_id, isolated=said(True if isolated else None))
        try:
            got = self._link.read("private/get_order_state", asked, trading.Order, priority=priority)
        except VenueRefusedRequest as refused:
            if refused.reason in NOT_FOUND:
                return None
            raise
        with strangeness(f"order {shown(order_id, 80)}"):
            if got.body.order_id != order_id:
                raise VenueSpokeStrangely("the venue answered with another order than was asked for")
            if not is_perpetual(got.body.instrument_name):
                raise VenueRefusedRequest(
                    f"order {shown(order_id, 80)} is no perpetual's",
                    reason="out_of_scope",
                    fix="spot orders are not touched",
                )
        sizes = self._catalogue.sizes_with((got.body.instrument_name,))
        with strangeness(f"order {shown(order_id, 80)}"):
            order = convert_orders.order_from(got.body, sizes, got.answer.asked)
            self._learn(got.body, order)
            return self._with_its_stop(order)

    def _listed(self, method: str, asked: params.OrdersParams) -> Listing:
        return self._page(self._link.read(method, asked, _Orders))

    def _page(self, got: Got[_Orders]) -> Listing:
        return self._listing(got.body, got.answer.asked)

    def _triggered(self, got: Got[trading.TriggerHistory]) -> Listing:
        entries = got.body.entries if isinstance(got.body.entries, tuple) else ()
        return self._listing([convert_orders.order_of_trigger(entry) for entry in entries], got.answer.asked)

    def _listing(self, rows: Sequence[trading.Order], asked: datetime) -> Listing:
        ours: list[VenueOrder] = []
        foreign: list[ForeignOrder] = []
        sizes = self._catalogue.sizes_with(row.instrument_name for row in rows)
        with strangeness("the list of orders"):
            for row in rows:
                if is_perpetual(row.instrument_name):
                    order = convert_orders.order_from(row, sizes, asked)
                    self._learn(row, order)
                    ours.append(order)
                else:
                    foreign.append(_foreign(row))
            told = [self._with_its_stop(order) for order in ours]
        return Listing(orders=merged(told), foreign=tuple(foreign), as_of=asked, pages=1)

    def _learn(self, row: trading.Order, order: VenueOrder) -> None:
        if row.isolated is True:
            self._isolated.add(order.venue_order_id)
        if order.stop_price is not None and order.succeeds is None:
            self._waiting[order.venue_order_id] = order

    def _with_its_stop(self, order: VenueOrder) -> VenueOrder:
        """What a trigger made, in the terms of the order that was sent: its own row may tell them as a plain limit's.

        Only by the id of the trigger that its row names and that was seen (reference section 8.2, 2026-11-22).
        """
        origin = order.succeeds
        waited = None if origin is None or order.stop_price is not None else self._waiting.get(origin)
        if waited is None or waited.client_order_id != order.client_order_id:
            return order
        return replace(order, type=waited.type, raw_type=waited.raw_type, stop_price=waited.stop_price)

    def _as_sent(self, order: VenueOrder) -> VenueOrder:
        """The same, where the trigger was not seen yet and is asked for."""
        if order.succeeds is None or order.stop_price is not None:
            return order
        if order.succeeds not in self._waiting:
            self.one(order.succeeds)
        return self._with_its_stop(order)

    # --- fills -----------------------------------------------------------------------------------------------

    def fills(self, since: datetime | None, *, label: ClientOrderId | None = None) -> tuple[Fill, ...]:
        """Fills from `since` on, all there are without it, oldest first; with `label` only those of its orders."""
        start = EPOCH if since is None else since
        rows = self._histories.trades(start, cross_only=label is not None)  # what carries our label was sent as cross
        if label is not None:
            rows = [row for row in rows if row.label == label]
        return tuple(fill for fill in self._fills_of(rows) if fill.time >= start)

    def fills_of(self, order_id: VenueOrderId) -> tuple[Fill, ...]:
        """Every fill of one order, from both windows; of an isolated one they are found with its flag alone."""
        first = order_id in self._isolated
        rows: list[trading.UserTrade] = []
        for isolated in (first, not first):
            told = self._fill_rows(order_id, isolated=isolated)
            if told is not None:
                rows = told
                break
        if any(row.order_id != order_id for row in rows):
            raise VenueSpokeStrangely(f"fills of another order than {shown(order_id, 80)} were sent")
        return self._fills_of(rows)

    def _fill_rows(self, order_id: VenueOrderId, *, isolated: bool) -> list[trading.UserTrade] | None:
        """None when the venue does not know the order in that scope."""
        rows: list[trading.UserTrade] = []
        for historical in (True, False):
            asked = params.OrderIdParams(
                order_id=order_id, sorting="asc", historical=historical, isolated=said(True if isolated else None)
            )
            try:
                rows += self._link.read("private/get_user_trades_by_order", asked, _Trades).body
            except VenueRefusedRequest as refused:
                if refused.reason not in NOT_FOUND:
                    raise
                return rows or None
        return rows

    def _fills_of(self, rows: Sequence[trading.UserTrade]) -> tuple[Fill, ...]:
        """Each fill of a perpetual once, by (fee currency, trade id), oldest first; one told in two ways is an error."""
        ours = [row for row in rows if is_perpetual(row.instrument_name)]
        sizes = self._catalogue.sizes_with(row.instrument_name for row in ours)
        with strangeness("the list of fills"):
            return convert_orders.fills_from(ours, sizes)


def standing(whole: Listing) -> Listing:
    """Without waiting orders that became another of the list: one stop-limit has two ids over its life.

    The one it became names it; where it does not, it carries the same label.
    """
    became = {order.succeeds for order in whole.orders if order.succeeds is not None}
    labels = {order.client_order_id for order in whole.orders if not moved_on(order)} - {None}
    kept = tuple(
        order
        for order in whole.orders
        if order.venue_order_id not in became and not (moved_on(order) and order.client_order_id in labels)
    )
    return whole if len(kept) == len(whole.orders) else replace(whole, orders=kept)


def _became(fired: VenueOrder, listing: Listing) -> VenueOrder | None:
    return next((order for order in listing.orders if order.succeeds == fired.venue_order_id), None)


def moved_on(order: VenueOrder) -> bool:
    """A trigger that fired is no order any more: what it became is another, listed under an id of its own."""
    return order.raw_status == "triggered"


def _foreign(row: trading.Order) -> ForeignOrder:
    def word(value: object) -> str:
        return shown(value, 80) if isinstance(value, str) else ""

    return ForeignOrder(
        venue_order_id=word(row.order_id),
        client_order_id=word(row.label),
        product_id=word(row.instrument_name),
        product_type="spot or other",
        side=word(row.direction),
        status=word(row.order_state),
    )
