"""Checks of readiness: would the limits let anything through, now, at this equity and in this market.

The rules themselves are asked (`perpsctl.risk`), never told again here. No approval is made: only the rules' reasons are
read.
"""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from perpsctl.checks.context import CheckContext
from perpsctl.checks.figures import percent, plural, usd
from perpsctl.checks.grids import grid_of, last_seen
from perpsctl.checks.model import Check, Finding, Grave, failed, passed, unknown, warned
from perpsctl.checks.venue import our_products
from perpsctl.domain.accounts import Booked, Calendar, MarginLevel, PositionsRead, RiskView
from perpsctl.domain.ids import IntentId, ProductId
from perpsctl.domain.market import BookView, Mark, MarketFacts, MarkSource, true_age
from perpsctl.domain.numbers import Price, plain
from perpsctl.domain.orders import OrderIntent, OrderType, Origin, QuantizedOrder, TimeInForce
from perpsctl.domain.ports import Venue
from perpsctl.domain.products import Product
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import KeyPurpose
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import DenialCode
from perpsctl.risk import schedule
from perpsctl.risk.case import Case, order_case
from perpsctl.risk.feasibility import ProductRoom, feasibility
from perpsctl.risk.loss import read_loss
from perpsctl.risk.rules import Binds, denials

BUFFER_LOW = Decimal("0.25")  # liquidation buffer as a share of equity


# --- limits -----------------------------------------------------------------------------------------


def limits_feasible(ctx: CheckContext) -> Finding:
    """At this equity and these prices each product admits at least its smallest order, some minutes of the day."""
    venue, limits = _trading(ctx), ctx.setup.limits
    products = our_products(ctx, venue)
    mids = {each.product_id: venue.book(each.product_id, 1).mid for each in products}
    found = feasibility(
        limits,
        equity=venue.account().equity,
        products=products,
        prices={product_id: mid for product_id, mid in mids.items() if mid is not None},
        cash_times=ctx.cash_times(),
    )
    parts = [f"equity {usd(found.equity)}", *map(_room, found.products)]
    parts.append(f"open {found.minutes_open_per_day} min a day by {found.quiet_by} times")
    if found.shadows:
        parts.append(f"never bind: {', '.join(each.setting for each in found.shadows)}")
    evidence = "; ".join(parts)
    unpriced = [room.alias for room in found.products if room.admits_one is None]
    shut = [room.alias for room in found.products if room.admits_one is False]
    if unpriced:
        return unknown(f"no price for {', '.join(unpriced)}: {evidence}", fix="see book.sound")
    if len(shut) == len(found.products) or not found.minutes_open_per_day:
        return failed(evidence, fix="nothing can be entered: more equity, a smaller contract, or fewer quiet minutes")
    if shut:
        return warned(evidence, fix=f"{', '.join(shut)} admits no order at this equity")
    return passed(evidence)


def _room(room: ProductRoom) -> str:
    if room.largest_size is None or room.smallest_order is None or room.cap is None:
        return f"{room.alias}: not known"
    return (
        f"{room.alias}: up to {plain(room.largest_size)} (smallest order {usd(room.smallest_order)}, "
        f"cap {usd(room.cap)} by {room.bound_by})"
    )


def entry_verdict(ctx: CheckContext) -> Finding:
    """What every rule says to the smallest resting entry, now; what would deny it, with its numbers."""
    venue = _trading(ctx)
    product, book = _first(ctx, venue)
    if book.best_bid is None:
        return unknown(f"no bid in the book of {product.alias}", fix="see book.sound")
    view = _view(ctx, venue, product, booked=ctx.journal().booked())
    found = denials(order_case(_smallest(ctx, product, book.best_bid), view, ctx.setup.limits), Binds.ENTRY)
    order = f"1 smallest post-only buy of {product.alias} at {plain(book.best_bid)}"
    if not found:
        return passed(f"{order}: no rule objects")
    if all(each.code is DenialCode.LOSS_BASELINE_MISSING for each in found):  # the desk records one before it asks
        return passed(f"{order}: no rule objects but for the loss baseline, which the desk records before it judges")
    reasons = "; ".join(f"{each.code} (seen {each.observed}, limit {each.limit})" for each in found)
    return warned(f"{order} would be denied now: {reasons}", fix="each code has its paragraph in docs/risk.md")


def loss_headroom(ctx: CheckContext) -> Finding:
    """How much of the daily loss is used, in both windows, by the rule's own reading."""
    venue, limits = _trading(ctx), ctx.setup.limits
    booked, account, held = ctx.journal().booked(), venue.account(), venue.positions()
    reading = read_loss(booked.loss_bases, account.equity, _marks(venue, held))
    if reading.missing:
        missing = ", ".join(reading.missing)
        return warned(
            f"equity {usd(account.equity)}; no baseline yet for {missing}",
            fix="nothing: `run` and `order place` record the first mark before they judge",
        )
    told, gone = [], False
    for window in reading.windows:
        bound = limits.daily_loss_max_share * window.start_equity
        told.append(f"{window.window}: lost {usd(window.loss)} of {usd(bound)} allowed")
        gone = gone or window.loss >= bound
    evidence = "; ".join(told)
    if reading.unmarked:
        return unknown(f"{evidence}; no price for {', '.join(reading.unmarked)}", fix="see book.sound")
    return failed(evidence, fix="the loss limit is used up: entries stay denied") if gone else passed(evidence)


# --- products and market ----------------------------------------------------------------------------


def increments_unchanged(ctx: CheckContext) -> Finding:
    """Contract size, steps and smallest order are what they were when checks last ran (M5)."""
    before, products = last_seen(ctx.journal()), our_products(ctx, _trading(ctx))
    now = {product.alias: (product.product_id, grid_of(product)) for product in products}
    grids = "; ".join(f"{a}: contract {g['contract_size']}, price step {g['price_steps']}" for a, (_, g) in now.items())
    if before is None:
        return warned(f"no earlier run to compare with; {grids}", fix="this run is recorded, the next one compares")
    moved, fresh = [], []
    for alias, (product_id, grid) in now.items():
        old = before.grids.get(product_id)
        if old is None:
            fresh.append(alias)
            continue
        moved += [
            f"{alias} {key} {old.get(key, '-')} -> {value}" for key, value in grid.items() if old.get(key) != value
        ]
    since = f"since {before.at:%Y-%m-%d %H:%MZ}"
    if moved:
        return failed(
            f"changed {since}: {'; '.join(moved)}",
            fix="look at sizes and prices of strategies and scripts; the next run compares with the new values",
        )
    if fresh:
        return warned(
            f"not seen before: {', '.join(fresh)}; {grids}", fix="this run is recorded, the next one compares"
        )
    return passed(f"unchanged {since}; {grids}")


def margin_level(ctx: CheckContext) -> Finding:
    """How near liquidation the account is, by the venue's word and by its buffer."""
    venue = _trading(ctx)
    account, held = venue.account(), venue.positions()
    told = f"margin level {account.margin_level}, {plural(len(held.positions), 'position')}"
    low = False
    if account.liquidation_buffer is not None and account.equity > 0:
        buffer = account.liquidation_buffer / account.equity
        told += f", buffer {usd(account.liquidation_buffer)} ({percent(buffer, '0.01')} of equity)"
        low = bool(held.positions) and buffer < BUFFER_LOW
    match account.margin_level:
        case MarginLevel.DANGER | MarginLevel.LIQUIDATION:
            return failed(told, fix="reduce now: `perpsctl positions close`, or add funds")
        case MarginLevel.UNRECOGNISED if held.positions:
            return unknown(told, fix="the venue's word for the level is new: look at its own site")
        case MarginLevel.UNRECOGNISED | MarginLevel.WARNING:
            return warned(told, fix="keep more margin before adding to a position")
        case _:
            return warned(told, fix="keep more margin before adding to a position") if low else passed(told)


def quiet_now(ctx: CheckContext) -> Finding:
    """Whether funding, dearer margin or a break shuts entries now, and when the next funding event comes."""
    venue = _trading(ctx)
    product, book = _first(ctx, venue)
    price = book.best_ask
    if price is None:
        return unknown(f"no offer in the book of {product.alias}", fix="see book.sound")
    case = order_case(_at_once(ctx, product, price), _view(ctx, venue, product, booked=None), ctx.setup.limits)
    shut = [
        denial
        for rule in (schedule.quiet_window, schedule.margin_window, schedule.break_ahead)
        if (denial := rule(case))
    ]
    told = _next_event(ctx, case)
    if shut:
        reasons = "; ".join(f"{each.code}: {each.observed}, {each.limit}, {each.detail}" for each in shut)
        return warned(f"{reasons}; {told}", fix="entries are denied until it is over; exits are not")
    return passed(f"open; {told}")


def _next_event(ctx: CheckContext, case: Case) -> str:
    ahead = schedule.next_funding_event(case)
    minutes = ctx.setup.limits.quiet_minutes
    if ahead is None:
        return "the next funding event is not known"
    known = (
        "" if case.view.calendar.funding_cash_times else " (no cash times known: each hour shuts before its accrual)"
    )
    return f"{ahead.what} at {ahead.at:%H:%MZ}, quiet for {minutes} min before{known}"


def funding_known(ctx: CheckContext) -> Finding:
    """Each product's funding is told; what a day of it would cost each side, by the rates the rule judges by."""
    told, unknown_ones, dear = [], [], []
    bound = ctx.setup.limits.funding_max_share_per_day
    for product in our_products(ctx, _trading(ctx)):
        funding = product.funding
        long_cost = None if funding is None else funding.daily_cost(long=True)
        short_cost = None if funding is None else funding.daily_cost(long=False)
        if long_cost is None or short_cost is None:
            unknown_ones.append(product.alias)
            continue
        costs = {payer: cost for payer, cost in (("longs", long_cost), ("shorts", short_cost)) if cost > 0}
        told += [f"{product.alias}: {payer} pay {percent(cost)} a day" for payer, cost in costs.items()]
        told += [] if costs else [f"{product.alias}: nobody pays"]
        dear += [f"{payer} of {product.alias}" for payer, cost in costs.items() if cost > bound]
    evidence = "; ".join([*told, *(f"{alias}: not told" for alias in unknown_ones)])
    if unknown_ones:
        return failed(evidence, fix="entries are denied while funding is unknown; repeat, then see the venue's status")
    if dear:
        return warned(f"{evidence} (limit {percent(bound)})", fix=f"entries are denied for {', '.join(dear)}")
    return passed(f"{evidence} (limit {percent(bound)})")


def liquidity(ctx: CheckContext) -> Finding:
    """Within the band of mid there is as much as the limit asks for, on both sides."""
    venue, limits = _trading(ctx), ctx.setup.limits
    told, thin = [], []
    for product in our_products(ctx, venue):
        book = venue.book(product.product_id, product.levels_within(limits.liquidity_band_bps))
        depths = [book.depth_within(side, limits.liquidity_band_bps) for side in (Side.SELL, Side.BUY)]
        if depths[0] is None or depths[1] is None:
            return failed(f"{product.alias}: the book has no middle", fix="see book.sound")
        told.append(f"{product.alias} {usd(depths[0])} bid, {usd(depths[1])} asked")
        if min(depths[0], depths[1]) < limits.liquidity_min_usd:
            thin.append(product.alias)
    evidence = (
        f"within {plain(limits.liquidity_band_bps)} bps: {'; '.join(told)} (limit {usd(limits.liquidity_min_usd)})"
    )
    if thin:
        return warned(evidence, fix=f"{', '.join(thin)}: orders that take are denied, post-only ones are not")
    return passed(evidence)


# --- the view the rules are asked with --------------------------------------------------------------


def _trading(ctx: CheckContext) -> Venue:
    return ctx.venues.signed(KeyPurpose.TRADE)


def _first(ctx: CheckContext, venue: Venue) -> tuple[Product, BookView]:
    product = our_products(ctx, venue)[0]
    return product, venue.book(product.product_id, 1)


def _smallest(ctx: CheckContext, product: Product, price: Price) -> QuantizedOrder:
    return quantize(_intent(ctx, product, price, TimeInForce.GTC, post_only=True), product)


def _at_once(ctx: CheckContext, product: Product, price: Price) -> QuantizedOrder:
    return quantize(_intent(ctx, product, price, TimeInForce.IOC, post_only=False), product)


def _intent(ctx: CheckContext, product: Product, price: Price, tif: TimeInForce, *, post_only: bool) -> OrderIntent:
    return OrderIntent(
        id=IntentId("preflight-question"),  # asked of the rules only, never sent
        product_id=product.product_id,
        side=Side.BUY,
        size=product.min_size,
        type=OrderType.LIMIT,
        tif=tif,
        limit_price=price,
        post_only=post_only,
        origin=Origin.STRATEGY,
        reason="preflight",
        created_at=ctx.clock.now(),
    )


def _view(ctx: CheckContext, venue: Venue, product: Product, *, booked: Booked | None) -> RiskView:
    """Orders before positions, the book last, as the desk reads them."""
    server_time, window = venue.server_time(), venue.margin_window()
    orders, account, held = venue.live_orders(), venue.account(), venue.positions()
    marks = _marks(venue, held)
    fresh = venue.product(product.product_id)
    book = venue.book(product.product_id, fresh.levels_within(ctx.setup.limits.liquidity_band_bps))
    book = replace(book, as_of=true_age(book.as_of, book.venue_time, server_time.skew))
    market = MarketFacts(
        product_id=product.product_id,
        book=book,
        index_price=fresh.index_price,
        last_price=fresh.last_price,
        funding=fresh.funding,
        status=fresh.status,
        product_as_of=fresh.as_of,
        mark_price=fresh.mark_price,
        mark_as_of=true_age(fresh.as_of, fresh.mark_time, server_time.skew),
    )
    mark = market.mark()
    return RiskView(
        now=ctx.clock.now(),
        product=product,
        market=market,
        marks=marks if mark is None else {**marks, product.product_id: mark},
        account=account,
        positions=held,
        orders=orders,
        server_time=server_time,
        calendar=Calendar(funding_cash_times=ctx.cash_times(), margin_window=window),
        native_reduce_only=venue.capabilities.native_reduce_only,
        booked_part=booked,
    )


def _marks(venue: Venue, held: PositionsRead) -> dict[ProductId, Mark]:
    """The middle of each held product's book; one without a middle is left out, and rules that need it say so."""
    found = {}
    for position in held.positions:
        book = venue.book(position.product_id, 1)
        if book.mid is not None:
            found[position.product_id] = Mark(price=book.mid, as_of=book.as_of, source=MarkSource.BOOK_MID)
    return found


_MARKET = ("auth.trade", "products.perps")
_LONG = timedelta(seconds=60)
FEASIBLE = Check("limits.feasible", "The limits leave room for an order", run=limits_feasible, needs=_MARKET)
VERDICT = Check(
    "risk.verdict",
    "The rules would let the smallest entry through",
    run=entry_verdict,
    needs=(*_MARKET, "journal.integrity"),
    grave=Grave.WARN,
    deadline=_LONG,
)
LOSS = Check(
    "loss.headroom", "The loss limit is not used up", run=loss_headroom, needs=("auth.trade", "journal.integrity")
)
INCREMENTS = Check(
    "products.increments",
    "Contract sizes and steps are what they were",
    run=increments_unchanged,
    needs=(*_MARKET, "journal.integrity"),
)
MARGIN = Check("margin.level", "The account is far from liquidation", run=margin_level, needs=("auth.trade",))
QUIET = Check(
    "quiet.window", "No window shuts entries now", run=quiet_now, needs=_MARKET, grave=Grave.WARN, deadline=_LONG
)
FUNDING = Check("funding.known", "Funding is told", run=funding_known, needs=_MARKET)
LIQUIDITY = Check("book.liquidity", "The book is deep enough", run=liquidity, needs=_MARKET)
