"""What the limits mean for this equity and these products: what they admit, how long they are open, which never bind.

Figures to read before trading, computed from the same settings the rules use. Nothing here approves or denies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import ZERO, Notional, Price, Size, notional_of, plain, step_down
from perpsctl.domain.products import Product
from perpsctl.risk.limits import QuietBasis, RiskLimits

_MINUTES_A_DAY = 24 * 60
_HOURS_A_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRoom:
    """What the limits leave for one product from flat. `bound_by` names the setting that gives the smallest cap."""

    product_id: ProductId
    alias: str
    price: Price | None  # None: no price known, nothing can be said
    smallest_order: Notional | None
    cap: Notional | None
    bound_by: str
    largest_size: Size | None  # on the product's grid; zero when not even the smallest order fits
    hourly_funding: Decimal | None
    long_pays_too_much: bool | None
    short_pays_too_much: bool | None

    @property
    def admits_one(self) -> bool | None:
        """True when the smallest legal order fits; None without a price."""
        return None if self.largest_size is None else self.largest_size > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A limit that cannot bind because another always binds first: a warning, not an error."""

    setting: str
    shadowed_by: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasibility:
    """The limits read against one equity. `minutes_open_per_day` counts minutes outside quiet windows."""

    equity: Notional
    position_cap: Notional
    gross_cap: Notional
    daily_loss_cap: Notional
    funding_cap_per_hour: Decimal  # share of notional
    minutes_open_per_day: int
    quiet_by: str  # "cash" | "accrual"
    products: tuple[ProductRoom, ...]
    shadows: tuple[Shadow, ...]
    warnings: tuple[str, ...]


def feasibility(
    limits: RiskLimits,
    *,
    equity: Notional,
    products: Sequence[Product],
    prices: Mapping[ProductId, Price],
    cash_times: Iterable[time],
) -> Feasibility:
    """The figures at these prices; a product without a price shows as unknown, never as admitted."""
    times = tuple(cash_times)
    quiet_by = QuietBasis.CASH if times and limits.quiet_basis is QuietBasis.CASH else QuietBasis.ACCRUAL
    minutes_open = _MINUTES_A_DAY - quiet_minutes_per_day(limits, times, products)
    rooms = tuple(_room(limits, equity, product, prices.get(product.product_id)) for product in products)
    return Feasibility(
        equity=equity,
        position_cap=Notional(limits.position_max_share * equity),
        gross_cap=Notional(limits.gross_max_share * equity),
        daily_loss_cap=Notional(limits.daily_loss_max_share * equity),
        funding_cap_per_hour=limits.funding_max_share_per_day / _HOURS_A_DAY,
        minutes_open_per_day=minutes_open,
        quiet_by=quiet_by.value,
        products=rooms,
        shadows=tuple(_shadows(limits, equity, products)),
        warnings=tuple(_warnings(limits, rooms, minutes_open, quiet_by)),
    )


def quiet_minutes_per_day(limits: RiskLimits, cash_times: tuple[time, ...], products: Sequence[Product]) -> int:
    """Minutes of a day inside some quiet window; overlapping windows count once."""
    if cash_times and limits.quiet_basis is QuietBasis.CASH:
        events = [each.hour * 60 + each.minute for each in cash_times]
    else:
        intervals = [each.funding.interval for each in products if each.funding is not None and each.funding.interval]
        step = max(min(intervals, default=timedelta(hours=1)) // timedelta(minutes=1), 1)
        events = list(range(0, _MINUTES_A_DAY, step))
    shut = {(event - back) % _MINUTES_A_DAY for event in events for back in range(1, limits.quiet_minutes + 1)}
    return len(shut)


def _room(limits: RiskLimits, equity: Notional, product: Product, price: Price | None) -> ProductRoom:
    hourly = None if product.funding is None else product.funding.rate
    caps = _caps(limits, equity)
    bound_by = min(caps, key=lambda name: caps[name])
    largest = None if price is None else _largest(product, price, caps[bound_by])
    return ProductRoom(
        product_id=product.product_id,
        alias=product.alias,
        price=price,
        smallest_order=None if price is None else notional_of(price, product.min_size),
        cap=Notional(caps[bound_by]),
        bound_by=bound_by,
        largest_size=largest,
        hourly_funding=hourly,
        long_pays_too_much=_pays_too_much(limits, product, long=True),
        short_pays_too_much=_pays_too_much(limits, product, long=False),
    )


def _pays_too_much(limits: RiskLimits, product: Product, *, long: bool) -> bool | None:
    cost = None if product.funding is None else product.funding.daily_cost(long=long)
    return None if cost is None else cost > limits.funding_max_share_per_day


def _caps(limits: RiskLimits, equity: Notional) -> dict[str, Decimal]:
    caps = {
        "position_max_share": limits.position_max_share * equity,
        "gross_max_share": limits.gross_max_share * equity,
    }
    if limits.order_notional_max is not None:
        caps["order_notional_max"] = limits.order_notional_max
    if limits.leverage_max is not None:
        caps["leverage_max"] = limits.leverage_max * equity
    return caps


def _largest(product: Product, price: Price, cap: Decimal) -> Size:
    size = step_down(max(cap, ZERO) / price, product.size_step)
    if size < product.min_size:
        return Size(ZERO)
    return Size(size if product.max_size is None else min(size, product.max_size))


def _shadows(limits: RiskLimits, equity: Notional, products: Sequence[Product]) -> Iterable[Shadow]:
    position, gross = limits.position_max_share, limits.gross_max_share
    if gross < position:
        yield Shadow(
            setting="position_max_share",
            shadowed_by="gross_max_share",
            why=f"one position reaches the gross bound {plain(gross)} before its own {plain(position)}",
        )
    tradable = len(limits.products_allowed) or len(products)
    if tradable and gross >= position * tradable:
        yield Shadow(
            setting="gross_max_share",
            shadowed_by="position_max_share",
            why=f"{tradable} products of at most {plain(position)} each never add up to more than {plain(gross)}",
        )
    if limits.order_notional_max is not None and limits.order_notional_max >= position * equity:
        yield Shadow(
            setting="order_notional_max",
            shadowed_by="position_max_share",
            why=f"a position may be {plain(position * equity)}, one order {plain(limits.order_notional_max)}",
        )
    if limits.leverage_max is not None and limits.leverage_max >= gross:
        yield Shadow(
            setting="leverage_max",
            shadowed_by="gross_max_share",
            why=f"gross over equity stops at {plain(gross)}, leverage at {plain(limits.leverage_max)}",
        )
    if limits.orders_per_day_max is not None and limits.orders_per_day_max >= (
        limits.orders_per_minute_max * _MINUTES_A_DAY
    ):
        yield Shadow(
            setting="orders_per_day_max",
            shadowed_by="orders_per_minute_max",
            why=f"{limits.orders_per_minute_max} a minute are never {limits.orders_per_day_max} a day",
        )
    rate = _dearest_margin(products)
    if rate is not None and 1 / gross - rate >= limits.liquidation_distance_min_share:
        yield Shadow(
            setting="liquidation_distance_min_share",
            shadowed_by="gross_max_share",
            why=f"at the gross bound liquidation is still {plain(_rounded(1 / gross - rate))} of the mark away",
        )


def _dearest_margin(products: Sequence[Product]) -> Decimal | None:
    rates = [
        rate
        for product in products
        for each in (product.intraday_margin, product.overnight_margin)
        if each is not None
        for rate in (each.long, each.short)
    ]
    return max(rates, default=None)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))


def _warnings(
    limits: RiskLimits, rooms: Sequence[ProductRoom], minutes_open: int, quiet_by: QuietBasis
) -> Iterable[str]:
    for room in rooms:
        if room.price is None:
            yield f"{room.alias}: no price is known, so what the limits admit is not known"
        elif not room.admits_one:
            assert room.smallest_order is not None
            assert room.cap is not None
            yield (
                f"{room.alias}: {room.bound_by} admits {plain(_rounded(room.cap))}, "
                f"the smallest order is {plain(_rounded(room.smallest_order))}: nothing can be entered"
            )
    if rooms and all(room.admits_one is False for room in rooms):
        yield "no product can be entered with this equity: raise the equity, or the limits by approval"
    if quiet_by is QuietBasis.ACCRUAL:
        yield (
            f"cash times of funding are not known or not used: the hourly accrual shuts entries "
            f"{_MINUTES_A_DAY - minutes_open} of {_MINUTES_A_DAY} minutes a day"
        )
    if minutes_open == 0:
        yield f"quiet_minutes {limits.quiet_minutes} leaves no minute of the day open"
