"""Checks of the venue: is it one, does it answer, what does it offer, and would it take an order.

Everything here is a read or a preview. What only a live order can show is left to the canary's first order.
"""

from datetime import timedelta
from decimal import Decimal

from perpsctl.checks.context import CheckContext
from perpsctl.checks.figures import age, ms, ms_of, percent, percentile, plural, usd
from perpsctl.checks.model import Check, Finding, Grave, failed, passed, unknown, warned
from perpsctl.domain.accounts import ServerTime
from perpsctl.domain.errors import RateLimited, UsageError, VenueUnreachable
from perpsctl.domain.ids import IntentId
from perpsctl.domain.market import BookView
from perpsctl.domain.numbers import Price, Size, plain, step_down
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce
from perpsctl.domain.ports import Venue
from perpsctl.domain.products import Environment, Product, find_product
from perpsctl.domain.quantize import quantize
from perpsctl.domain.reports import KeyPurpose
from perpsctl.domain.sides import Side

PERPS = ("BTC-PERP", "ETH-PERP", "SOL-PERP", "XRP-PERP")
CLOCK_SAMPLES = 3
LATENCY_SAMPLES = 30
LATENCY_P50_GOAL = timedelta(milliseconds=200)  # design 10
FAR_BELOW = Decimal("0.9")  # of the best bid: within the far-price bound, and nowhere near a fill
FEE_MAX = Decimal("0.01")
_MICROSECOND = timedelta(microseconds=1)
_NO_TRADING = "orders will not be taken; wait, or look at the venue's status page"


# --- is it one, and does it answer ------------------------------------------------------------------


def environment(ctx: CheckContext) -> Finding:
    """The profile talks to a venue: the static sandbox is none."""
    setup = ctx.setup
    told = f"profile {setup.profile}: {setup.venue} venue, {setup.environment}, live = {str(setup.live).lower()}"
    if setup.environment is Environment.SANDBOX:
        return failed(
            f"{told}: canned answers, not a venue",
            fix='use environment = "sim" to rehearse, or "production"',
        )
    return passed(told)


def reachable(ctx: CheckContext) -> Finding:
    """The venue's clock was read without a key."""
    before = len(ctx.venues.seen())
    try:
        time = ctx.venues.unsigned().server_time()
    except RateLimited as error:
        return failed(
            error.message,
            fix="the venue answers and says that we ask too often: wait a minute, then look what else asks from here",
        )
    except VenueUnreachable as error:
        return failed(error.message, fix="look at network, DNS, TLS and the venue's status page")
    last = next((each for each in reversed(ctx.venues.seen()[before:]) if each.status == 200), None)
    if last is None or last.latency_us is None:
        return unknown("an answer that was not seen on the wire", fix="a bug in perpsctl: report this line")
    told = f"{last.method} {last.path}: HTTP {last.status} in {ms(last.latency_us)}"
    return passed(
        f"{told}, venue time {time.venue_time:%Y-%m-%d %H:%M:%SZ}, request id {last.request_id or 'none sent'}"
    )


def clock_skew(ctx: CheckContext) -> Finding:
    """Our clock agrees with the venue's own, by the least uncertain of a few readings (A1, T4)."""
    venue = ctx.venues.unsigned()
    readings = [venue.server_time() for _ in range(CLOCK_SAMPLES)]
    best = min(readings, key=lambda each: each.uncertainty)
    bound = timedelta(milliseconds=ctx.setup.limits.clock_skew_max_ms)
    told = f"{_skew(best)} (limit {ms_of(bound)}, best of {plural(CLOCK_SAMPLES, 'reading')})"
    if abs(best.skew) + best.uncertainty <= bound:
        return passed(told)
    if abs(best.skew) <= best.uncertainty:
        return failed(f"too uncertain to tell: {told}", fix="the road to the venue is slow: look at the network")
    return failed(told, fix="start or mend the host's time service; tokens and age limits depend on it")


def _skew(time: ServerTime) -> str:
    side = "behind" if time.skew > timedelta(0) else "ahead of"
    return f"our clock is {ms_of(abs(time.skew))} {side} the venue's, +/- {ms_of(time.uncertainty)}"


# --- what it offers ---------------------------------------------------------------------------------


def products_discovered(ctx: CheckContext) -> Finding:
    """The venue lists perpetuals, found by structure; each has a contract size and price steps."""
    products = ctx.venues.unsigned().products()
    if not products:
        return failed("0 perpetuals in the venue's list", fix="is this the right venue? see `perpsctl products list`")
    odd = [p.alias for p in products if p.contract_size <= 0 or any(step.step <= 0 for step in p.price_steps)]
    told = f"{plural(len(products), 'perpetual')}: {', '.join(sorted(p.alias for p in products))}"
    if odd:
        return failed(f"{told}; without a usable grid: {', '.join(odd)}", fix="do not trade these; report this line")
    return passed(told)


def perps_resolved(ctx: CheckContext) -> Finding:
    """The common names, and what the profile trades, resolve by discovery, each to one product."""
    products = ctx.venues.unsigned().products()
    aliases = [product.alias for product in products]
    twice = sorted({alias for alias in aliases if aliases.count(alias) > 1})
    if twice:
        return failed(f"two products answer to {', '.join(twice)}", fix="name products by id, and report this line")
    found, missing = [], []
    for wanted in dict.fromkeys((*PERPS, *ctx.setup.products)):
        try:
            found.append(f"{wanted} = {find_product(products, wanted).product_id}")
        except UsageError:
            missing.append(wanted)
    told = ", ".join(found) or "none resolved"
    ours = [wanted for wanted in missing if wanted in ctx.setup.products]
    if ours or not found:
        return failed(f"{told}; no product for {', '.join(ours or missing)}", fix="see `perpsctl products list`")
    if missing:
        return warned(f"{told}; not offered: {', '.join(missing)}", fix="nothing, unless you mean to trade them")
    return passed(told)


def book_sound(ctx: CheckContext) -> Finding:
    """Each product's book has two sides that do not cross; how deep it is, is told."""
    venue = ctx.venues.unsigned()
    told, unsound = [], []
    for product in our_products(ctx, venue):
        book = venue.book(product.product_id, product.levels_within(ctx.setup.limits.liquidity_band_bps))
        if not book.sound:
            unsound.append(product.alias)
        told.append(f"{product.alias} {_depth(book, ctx.setup.limits.liquidity_band_bps)}")
    if unsound:
        return failed("; ".join(told), fix=f"no price can be taken from {', '.join(unsound)}: {_NO_TRADING}")
    return passed("; ".join(told))


def _depth(book: BookView, band_bps: Decimal) -> str:
    if book.best_bid is None or book.best_ask is None:
        return f"bid {'-' if book.best_bid is None else plain(book.best_bid)}, " + (
            f"ask {'-' if book.best_ask is None else plain(book.best_ask)}"
        )
    top = f"{plain(book.best_bid)} / {plain(book.best_ask)}"
    asks, bids = book.depth_within(Side.BUY, band_bps), book.depth_within(Side.SELL, band_bps)
    if asks is None or bids is None:
        return f"{top}, crossed"
    return f"{top}, within {plain(band_bps)} bps: {usd(bids)} bid, {usd(asks)} asked"


def our_products(ctx: CheckContext, venue: Venue) -> tuple[Product, ...]:
    """The products the profile means to trade, as the venue lists them now; UsageError for one it does not list."""
    products = venue.products()
    wanted = dict.fromkeys(find_product(products, each).product_id for each in ctx.setup.products)
    return tuple(venue.product(product_id) for product_id in wanted)  # a list need not tell funding, index and mark


# --- what it tells of the account -------------------------------------------------------------------


def account_readable(ctx: CheckContext) -> Finding:
    """Equity and margin can be read, and there is some of it."""
    account = _trading(ctx).account()
    told = f"equity {usd(account.equity)}, of it unrealised {usd(account.unrealised)}"
    if account.available_margin is not None:
        told += f", margin available {usd(account.available_margin)}"
    if account.equity <= 0:
        return failed(told, fix="every limit is a share of equity: fund the portfolio")
    return passed(told)


def positions_readable(ctx: CheckContext) -> Finding:
    """Positions can be read to the end."""
    read = _trading(ctx).positions()
    held = ", ".join(f"{p.product_id} {plain(p.coin)}" for p in read.positions)
    return passed(f"{plural(len(read.positions), 'position')}{f': {held}' if held else ''}")


def orders_readable(ctx: CheckContext) -> Finding:
    """Live orders and those of the last day can be read to the last page."""
    venue = _trading(ctx)
    live, day = venue.live_orders(), venue.orders_since(ctx.clock.now() - timedelta(days=1))
    return passed(
        f"{plural(len(live.orders), 'live order')} on {plural(live.pages, 'page')}; "
        f"{plural(len(day.orders), 'order')} of the last day on {plural(day.pages, 'page')}"
    )


def order_preview(ctx: CheckContext) -> Finding:
    """The venue would take a small resting order: it says so without one being placed."""
    venue = _trading(ctx)
    product = our_products(ctx, venue)[0]
    book = venue.book(product.product_id, 1)
    if book.best_bid is None:
        return unknown(f"no bid in the book of {product.alias} to stay below", fix="repeat when there is a market")
    order = quantize(_far_below(product, book.best_bid, ctx), product)
    preview = venue.preview(order)
    kind = "an estimate of " if preview.estimate else ""
    told = f"{kind}1 post-only contract of {product.alias} at {plain(order.limit_price or Decimal(0))}"
    if preview.problems:
        return failed(f"{told}: the venue says {', '.join(preview.problems)}", fix="see the venue's words")
    figures = [f"total {usd(preview.order_total)}"] if preview.order_total is not None else []
    figures += [f"fee {usd(preview.commission)}"] if preview.commission is not None else []
    figures += [f"margin {usd(preview.margin)}"] if preview.margin is not None else []
    estimate = " (an estimate of ours)" if preview.estimate else ""
    return passed(
        f"{told}: no objection{estimate}, {', '.join(figures) or 'no figures'}; "
        "acceptance itself is deferred to the canary's first order"
    )


def _far_below(product: Product, bid: Price, ctx: CheckContext) -> OrderIntent:
    target = bid * FAR_BELOW
    return OrderIntent(
        id=IntentId("probe-preview"),  # a preview carries no id and is never an order
        product_id=product.product_id,
        side=Side.BUY,
        size=Size(max(product.min_size, product.contract_size)),
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Price(step_down(target, product.price_step(target))),
        post_only=True,
        reason="probe",
        created_at=ctx.clock.now(),
    )


def fees_known(ctx: CheckContext) -> Finding:
    """The fees of futures can be read and are fees."""
    fees = _trading(ctx).fees()
    told = f"maker {percent(fees.maker)}, taker {percent(fees.taker)}, tier {fees.tier or 'not named'}"
    if abs(fees.maker) > FEE_MAX or not 0 <= fees.taker <= FEE_MAX:
        return failed(told, fix=f"outside 0 to {percent(FEE_MAX)}: compare with the venue's fee page")
    return passed(told)


def margin_window(ctx: CheckContext) -> Finding:
    """Which margin rates hold now, and until when."""
    if not _trading(ctx).capabilities.margin_windows:
        return passed("this venue has no margin windows: one set of rates holds at all times")
    window, now = _trading(ctx).margin_window(), ctx.clock.now()
    enrolled = {True: "enrolled in intraday rates", False: "not enrolled in intraday rates", None: "enrolment unknown"}
    ends = "no end told" if window.ends is None else f"until {window.ends:%Y-%m-%d %H:%MZ}"
    told = f"{window.kind or 'no window'}, {ends}, {enrolled[window.intraday_enrolled]}"
    if window.ends is not None and window.ends < now:
        return failed(f"{told}: ended {age(now - window.ends)} ago", fix="the venue's answer is stale: repeat")
    if not window.kind or "UNSPECIFIED" in window.kind.upper():
        return warned(told, fix="rules take the dearer rates where the window is not told")
    return passed(told)


# --- how it answers ---------------------------------------------------------------------------------


def rate_headers(ctx: CheckContext) -> Finding:
    """The venue tells how much of its rate limit is left."""
    venue, before = _trading(ctx), len(ctx.venues.seen())
    if not venue.capabilities.limits_in_headers:
        return _told_limits(ctx)
    venue.key_facts()
    seen = [each for each in ctx.venues.seen()[before:] if each.signed_as is KeyPurpose.TRADE]
    told = next((each.rate_headers for each in reversed(seen) if each.rate_headers), None)
    own = venue.capabilities.requests_per_second_private
    if told is None:
        return warned(
            f"no x-ratelimit header on {plural(len(seen), 'signed answer')}",
            fix=f"nothing: we keep to {own} requests a second and back off on 429",
        )
    figures = ", ".join(f"{name.removeprefix('x-ratelimit-')} {value}" for name, value in sorted(told.items()))
    if told.get("x-ratelimit-remaining") == "0":
        return warned(f"used up: {figures}", fix="something else spends this key's requests; give it a key of its own")
    return passed(f"{figures}; we keep to {own} a second")


def _told_limits(ctx: CheckContext) -> Finding:
    """Where there are no headers: credits, told with the account; past them comes 10028, and the line is closed."""
    limits = ctx.venues.request_limits()
    past = "past them the venue answers 10028 and closes the connection"
    if not limits:
        return warned(
            f"the account's summary tells no request limits; {past}",
            fix="nothing: we keep to the lowest known figures and wait for a full refill after a 10028",
        )
    figures = ", ".join(
        f"{each.name} {plain(each.per_second)} a second ({plain(each.burst)} at once)" for each in limits
    )
    return passed(f"the account's own limits: {figures}; {past}")


def latency(ctx: CheckContext) -> Finding:
    """How long signed reads take, over enough of them to say."""
    venue, before = _trading(ctx), len(ctx.venues.seen())
    for _ in range(LATENCY_SAMPLES):
        venue.key_facts()
    made = [each for each in ctx.venues.seen()[before:] if each.signed_as is KeyPurpose.TRADE]
    times = sorted(each.latency_us for each in made if each.status == 200 and each.latency_us is not None)
    if not times:
        return unknown("no answer was seen on the wire", fix="a bug in perpsctl: report this line")
    p50, p95, p99 = (percentile(times, percent_) for percent_ in (50, 95, 99))
    told = f"signed reads: p50 {ms(p50)}, p95 {ms(p95)}, p99 {ms(p99)}, worst {ms(times[-1])}, n {len(times)}"
    failures = sum(1 for each in made if each.status != 200)
    told += f", {plural(failures, 'failed try')}" if failures else ""
    if p50 > LATENCY_P50_GOAL // _MICROSECOND or failures:
        return warned(told, fix=f"the goal is p50 below {ms_of(LATENCY_P50_GOAL)} and none lost: look at the network")
    return passed(told)


def retired_refused(ctx: CheckContext) -> Finding:
    """What was retired on 1 October 2026 is refused by the venue itself."""
    answer = ctx.venues.retired()
    if answer.served:
        return failed(f"{answer.asked} was served: {answer.said}", fix="not the venue this build knows: do not trade")
    return passed(f"{answer.asked} was refused: {answer.said}")


def products_status(ctx: CheckContext) -> Finding:
    """Each product takes orders now."""
    told, shut = [], []
    for product in our_products(ctx, ctx.venues.signed(KeyPurpose.TRADE)):
        status = product.status
        flags = ("disabled", "cancel_only", "limit_only", "post_only", "auction", "view_only")
        words = [flag for flag in flags if getattr(status, flag)]
        if status.session is not None:
            closes = status.session.closes
            words.append(f"session {status.session.state}{f' until {closes:%H:%MZ}' if closes else ''}")
        told.append(f"{product.alias}: {', '.join(words) or 'open, no restriction'}")
        if not status.takes_orders:
            shut.append(product.alias)
    if shut:
        return failed("; ".join(told), fix=f"{', '.join(shut)}: {_NO_TRADING}")
    return passed("; ".join(told))


def _trading(ctx: CheckContext) -> Venue:
    return ctx.venues.signed(KeyPurpose.TRADE)


_AUTH = ("auth.trade",)
_PERPS = ("products.perps",)
ENVIRONMENT = Check("profile.environment", "The profile talks to a venue", run=environment)
REACHABLE = Check("venue.reachable", "The venue answers", run=reachable, needs=("profile.environment",))
SKEW = Check("clock.skew", "Our clock agrees with the venue's", run=clock_skew, needs=("venue.reachable",))
DISCOVERED = Check(
    "products.discovered", "The venue offers perpetuals", run=products_discovered, needs=("venue.reachable",)
)
RESOLVED = Check("products.perps", "The names we trade by resolve", run=perps_resolved, needs=("products.discovered",))
BOOK = Check("book.sound", "The book has two sides", run=book_sound, needs=_PERPS)
ACCOUNT = Check("account.readable", "Equity can be read", run=account_readable, needs=_AUTH)
POSITIONS = Check("positions.readable", "Positions can be read to the end", run=positions_readable, needs=_AUTH)
ORDERS = Check("orders.readable", "Orders can be read to the last page", run=orders_readable, needs=_AUTH)
PREVIEW = Check(
    "order.preview",
    "The venue would take a small order",
    run=order_preview,
    needs=(*_AUTH, *_PERPS, "account.readable"),
)
FEES = Check("fees.known", "Fees can be read", run=fees_known, needs=_AUTH)
MARGIN_WINDOW = Check("margin.window", "The margin window is known", run=margin_window, needs=_AUTH)
RATE = Check("rate.headers", "The venue tells its rate limit", run=rate_headers, needs=_AUTH, grave=Grave.WARN)
LATENCY = Check("latency.reads", "Reads are quick", run=latency, needs=_AUTH, grave=Grave.WARN)
RETIRED = Check("retired.refused", "What was retired is refused", run=retired_refused, needs=("venue.reachable",))
STATUS = Check("products.status", "The products take orders", run=products_status, needs=(*_AUTH, *_PERPS))
