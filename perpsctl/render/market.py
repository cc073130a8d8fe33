"""Products, books and candles."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.market import BookView, Candle, FundingTerms, Level, SessionState, TradingStatus
from perpsctl.domain.numbers import bps_between
from perpsctl.domain.products import Product
from perpsctl.render.answer import Ago, Answer, Block, Cell, Facts, Lines, Table, bad, good, quiet, warn
from perpsctl.render.values import NOTHING, clock_time, number, share


def products(found: Sequence[Product]) -> Answer:
    """Every perpetual the venue offers, as discovered now."""
    table = Table(
        title="Perpetuals",
        columns=("product", "alias", "contract", "step", "last", "funding/h", "status"),
        rows=tuple(
            (
                product.product_id,
                product.alias,
                f"{number(product.contract_size)} {product.base}",
                number(product.price_steps[0].step),
                number(product.last_price),
                number(None if product.funding is None else product.funding.rate),
                status_word(product.status),
            )
            for product in found
        ),
        right=frozenset({"contract", "step", "last", "funding/h"}),
        empty="the venue offers no perpetual",
    )
    blocks: list[Block] = [table]
    if any(product.last_price is None or product.funding is None for product in found):
        blocks.append(Lines(lines=(quiet(f"{NOTHING}: not in this venue's list; `perpsctl products show` reads it"),)))
    return Answer(data={"products": [product_data(p) for p in found]}, blocks=blocks, rows_key="products")


def product(found: Product) -> Answer:
    """One product's specification."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("product", f"{found.product_id} ({found.alias})"),
        ("contract", f"{number(found.contract_size)} {found.base}"),
        ("size step", f"{number(found.size_step)} {found.base}"),
        ("smallest / largest", f"{number(found.min_size)} / {number(found.max_size)} {found.base}"),
        ("price step", " ".join(f"{number(s.step)} from {number(s.above)}" for s in found.price_steps)),
        ("last / index", f"{number(found.last_price)} / {number(found.index_price)}"),
        *_told_by_some(found),
        ("funding", _funding(found.funding)),
        ("next funding", clock_time(None if found.funding is None else found.funding.next_accrual)),
        ("status", status_word(found.status)),
        ("read", Ago(found.as_of)),
    )
    return Answer(data={"product": product_data(found)}, blocks=[Facts(title="", rows=rows)])


def _told_by_some(found: Product) -> Iterator[tuple[str, Cell]]:
    """What only one venue or the other tells, where it was told."""
    if found.mark_price is not None:
        yield "mark", number(found.mark_price)
    if found.price_limits is not None:
        yield "price limits", f"{number(found.price_limits.lowest)} to {number(found.price_limits.highest)}"
    if found.overnight_margin is not None:
        yield "overnight margin", f"{share(found.overnight_margin.long)} / {share(found.overnight_margin.short)}"


def _funding(terms: FundingTerms | None) -> str:
    if terms is None or terms.rate is None or terms.interval is None:
        return NOTHING
    return f"{number(terms.rate)} for {number(Decimal(terms.interval // timedelta(minutes=1)) / 60)} h"


def book(view: BookView, depth: int) -> Answer:
    """The book's best levels, sizes in coin."""
    bids, asks = view.bids[:depth], view.asks[:depth]
    rows = tuple(
        (
            number(bids[i].size) if i < len(bids) else "",
            number(bids[i].price) if i < len(bids) else "",
            number(asks[i].price) if i < len(asks) else "",
            number(asks[i].size) if i < len(asks) else "",
        )
        for i in range(max(len(bids), len(asks)))
    )
    columns = ("bid size", "bid", "ask", "ask size")
    table = Table(
        title=view.product_id, columns=columns, rows=rows, right=frozenset(columns), empty="the book is empty"
    )
    mid = view.mid
    spread = None
    if mid is not None and view.best_bid is not None and view.best_ask is not None:
        spread = bps_between(view.best_ask, mid) - bps_between(view.best_bid, mid)
    state: Cell = good("sound") if view.sound else bad("crossed or one-sided: no price is taken from it")
    facts = Facts(
        title="",
        rows=(
            ("mid", number(mid)),
            ("spread bps", number(spread, 2)),
            ("book", state),
            ("read", Ago(view.as_of)),
        ),
    )
    data = {
        "product_id": view.product_id,
        "bids": [_level(level) for level in bids],
        "asks": [_level(level) for level in asks],
        "mid": mid,
        "spread_bps": spread,
        "sound": view.sound,
        "as_of": view.as_of,
        "venue_time": view.venue_time,
    }
    return Answer(data=data, blocks=[table, facts])


def candles(product_id: str, found: Sequence[Candle]) -> Answer:
    """Bars, oldest first."""
    columns = ("start", "open", "high", "low", "close", "volume")
    table = Table(
        title=product_id,
        columns=columns,
        rows=tuple(
            (clock_time(c.start), number(c.open), number(c.high), number(c.low), number(c.close), number(c.volume, 2))
            for c in found
        ),
        right=frozenset(columns[1:]),
        empty="no bar in that range",
    )
    return Answer(data={"product_id": product_id, "candles": list(found)}, blocks=[table], rows_key="candles")


def status_word(status: TradingStatus) -> Cell:
    """One word for what a product takes now."""
    if status.session is not None and status.session.state is not SessionState.OPEN:
        return warn(f"session {status.session.state.value}")
    flags = [
        name
        for name, on in (
            ("disabled", status.disabled),
            ("cancel only", status.cancel_only),
            ("view only", status.view_only),
            ("auction", status.auction),
            ("post only", status.post_only),
            ("limit only", status.limit_only),
        )
        if on
    ]
    return warn(", ".join(flags)) if flags else good("open")


def product_data(found: Product) -> dict[str, object]:
    """One product as data."""
    return {
        "product_id": found.product_id,
        "alias": found.alias,
        "base": found.base,
        "quote": found.quote,
        "contract_size": found.contract_size,
        "size_step": found.size_step,
        "min_size": found.min_size,
        "max_size": found.max_size,
        "price_steps": found.price_steps,
        "status": found.status,
        "takes_orders": found.status.takes_orders,
        "funding": found.funding,
        "index_price": found.index_price,
        "last_price": found.last_price,
        "intraday_margin": found.intraday_margin,
        "overnight_margin": found.overnight_margin,
        "expiry": found.expiry,
        "display_name": found.display_name,
        "mark_price": found.mark_price,
        "price_limits": found.price_limits,
        "as_of": found.as_of,
    }


def _level(level: Level) -> dict[str, object]:
    return {"price": level.price, "size": level.size}
