"""One order or edit with everything it is judged by, worked out once: the rules then only compare.

A rule is a function of a `Case`, not of order, view and limits apart: an order and an edit meet the same rules, and the
merged exposure they share is computed once per verdict. What could not be read stays None here; each such part has one
rule that denies for it, and rules that need the part stay silent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import Booked, RiskView
from perpsctl.domain.ids import IntentId, ProductId
from perpsctl.domain.market import Mark, MarkSource
from perpsctl.domain.numbers import NO_SIZE, ZERO, Notional, Price, Size
from perpsctl.domain.orders import OrderType, Origin, QuantizedEdit, QuantizedOrder, Road
from perpsctl.domain.products import Product
from perpsctl.domain.sides import Side
from perpsctl.risk.exposure import (
    FLAT,
    NOTHING_LIVE,
    UNSEEN_ALLOWANCE,
    Exposure,
    LiveSet,
    exposures,
    merge_live,
    seen_since,
    unseen_orders,
    with_order,
    without,
)
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import LossReading, read_loss

# An exit counts only what was committed after its reads began: flattening reads again between its own orders, and an
# allowance would make each of them stand in the way of the next.
_STRICTLY_LATER = timedelta(microseconds=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is judged (`size` is what the order or edit could still fill) and what it is judged by."""

    view: RiskView
    limits: RiskLimits
    booked: Booked | None
    now: datetime  # the later of the view's moment and the journal's: waiting for the journal ages the view

    intent_id: IntentId
    product: Product
    side: Side
    size: Size
    limit_price: Price | None
    stop_price: Price | None
    road: Road
    origin: Origin
    reason: str
    is_edit: bool
    market: bool
    takes: bool
    one_shot: bool
    reduce_only: bool
    again: bool
    rest_through: bool
    expires: datetime | None

    mark: Mark | None  # of the product judged; never a last known price
    mid: Price | None  # of the book of the product judged; None unless that is sound
    equity: Notional | None
    live: LiveSet  # without the order judged
    by_product: Mapping[ProductId, Exposure] | None  # with it; None when positions could not be read
    exposure: Exposure | None  # of the product judged, with it
    before: Exposure | None  # of the product judged, without it
    exposed: tuple[ProductId, ...]  # the product judged, and every other whose worst case is not nothing
    gross: Decimal | None  # worst cases of all products at their marks, with it; None when a part is not known
    loss: LossReading | None  # None when the journal or the balances could not be read
    reduces: bool  # provably, against the smallest position any live order can leave

    @property
    def product_id(self) -> ProductId:
        return self.product.product_id

    def mark_of(self, product_id: ProductId) -> Mark | None:
        """A mark to value that product with; None when there is only a last known price, or nothing."""
        return self.mark if product_id == self.product.product_id else _usable(self.view.marks.get(product_id))


def order_case(order: QuantizedOrder, view: RiskView, limits: RiskLimits) -> Case:
    """The case of a new order."""
    intent = order.intent
    exit_road = intent.road is not Road.ENTRY
    live = _live(view, intent.id, allowance=_STRICTLY_LATER if exit_road else UNSEEN_ALLOWANCE)
    by_product, before, after = _exposed(view, live, order.product_id, order.side, order.size)
    mark = _mark(view)
    exposed, gross = _valued(view, mark, by_product)
    return Case(
        view=view,
        limits=limits,
        booked=view.booked_part,
        now=_moment(view),
        intent_id=intent.id,
        product=order.product,
        side=intent.side,
        size=order.size,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        road=intent.road,
        origin=intent.origin,
        reason=intent.reason,
        is_edit=False,
        market=intent.type is OrderType.MARKET,
        takes=order.takes,
        one_shot=order.one_shot,
        reduce_only=intent.reduce_only,
        again=intent.again,
        rest_through=intent.rest_through,
        expires=intent.expires,
        mark=mark,
        mid=_mid(view, mark),
        equity=None if view.account is None else view.account.equity,
        live=live,
        by_product=by_product,
        exposure=after,
        before=before,
        exposed=exposed,
        gross=gross,
        loss=_loss(view, mark),
        reduces=_reduces(before, live, order.product_id, order.side, order.size),
    )


def edit_case(edit: QuantizedEdit, view: RiskView, limits: RiskLimits) -> Case:
    """The case of an edit: its exposure is the larger of what remains under the old and the new terms (fault E24)."""
    others, listed = without(_live(view, edit.intent.id), edit.intent.venue_order_id, edit.intent.target)
    size = Size(max(edit.old_size - edit.filled, edit.new_size - edit.filled, listed, NO_SIZE))
    by_product, before, after = _exposed(view, others, edit.product_id, edit.side, size)
    mark = _mark(view)
    exposed, gross = _valued(view, mark, by_product)
    return Case(
        view=view,
        limits=limits,
        booked=view.booked_part,
        now=_moment(view),
        intent_id=edit.intent.id,
        product=edit.product,
        side=edit.side,
        size=size,
        limit_price=edit.new_price,
        stop_price=None,
        road=Road.ENTRY,
        origin=edit.intent.origin,
        reason=edit.intent.reason,
        is_edit=True,
        market=False,
        takes=not edit.post_only,
        one_shot=False,
        reduce_only=edit.reduce_only,
        again=True,
        rest_through=False,
        expires=None,
        mark=mark,
        mid=_mid(view, mark),
        equity=None if view.account is None else view.account.equity,
        live=others,
        by_product=by_product,
        exposure=after,
        before=before,
        exposed=exposed,
        gross=gross,
        loss=_loss(view, mark),
        reduces=_reduces(before, others, edit.product_id, edit.side, size),
    )


def _moment(view: RiskView) -> datetime:
    return view.now if view.booked_part is None else max(view.now, view.booked_part.as_of)


def _live(view: RiskView, itself: IntentId, allowance: timedelta = UNSEEN_ALLOWANCE) -> LiveSet:
    booked = view.booked_part
    if booked is None:
        return merge_live(view.orders, ())
    since = seen_since(view.orders, view.positions)
    unseen = unseen_orders(booked.recent, since=since - allowance, itself=itself) if since and booked.recent else ()
    if not booked.live and not unseen and (view.orders is None or not view.orders.orders):
        return NOTHING_LIVE
    return merge_live(view.orders, (each for each in booked.live if each.intent_id != itself), unseen)


def _exposed(
    view: RiskView, live: LiveSet, product_id: ProductId, side: Side, size: Decimal
) -> tuple[Mapping[ProductId, Exposure] | None, Exposure | None, Exposure | None]:
    if view.positions is None:
        return None, None, None
    by_product = exposures(view.positions, live)
    before = by_product.get(product_id, FLAT)
    after = by_product[product_id] = with_order(before, side, size)
    return by_product, before, after


def _reduces(before: Exposure | None, live: LiveSet, product_id: ProductId, side: Side, size: Decimal) -> bool:
    if before is None or any(product == product_id for product, _ in live.unsized):
        return False
    return size <= before.least_left(side)


def _usable(mark: Mark | None) -> Mark | None:
    return None if mark is None or mark.source is MarkSource.LAST_KNOWN else mark


def _valued(
    view: RiskView, own: Mark | None, by_product: Mapping[ProductId, Exposure] | None
) -> tuple[tuple[ProductId, ...], Decimal | None]:
    """Which products are exposed, and what their worst cases are worth together; None when a part is not known."""
    judged = view.product.product_id
    if by_product is None:
        return (judged,), None
    exposed: list[ProductId] = []
    total: Decimal | None = ZERO
    for product_id, exposure in by_product.items():
        worst = exposure.worst
        if worst or product_id == judged:
            exposed.append(product_id)
        if not worst or total is None:
            continue
        mark = own if product_id == judged else _usable(view.marks.get(product_id))
        total = None if mark is None else total + worst * mark.price
    return tuple(exposed), total


def _mid(view: RiskView, mark: Mark | None) -> Price | None:
    """The middle of the book: the mark's own price where the mark was taken from that book just now."""
    book = view.market.book
    if book is None:
        return None
    same = mark is not None and mark.source is MarkSource.BOOK_MID and mark.as_of == book.as_of
    return mark.price if mark is not None and same else book.mid


def _mark(view: RiskView) -> Mark | None:
    """The venue's own mark where it publishes one, else the middle of a sound book; never a last known price."""
    given = view.marks.get(view.product.product_id)
    if given is not None and given.source is MarkSource.VENUE:
        return given
    return view.market.mark()


def _loss(view: RiskView, mark: Mark | None) -> LossReading | None:
    if view.booked_part is None or view.account is None:
        return None
    marks = view.marks if mark is None else {**view.marks, view.product.product_id: mark}
    return read_loss(view.booked_part.loss_bases, view.account.equity, marks)
