"""How much of each limit is used, as far as it can be told; for showing only, no verdict rests on it. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, Booked, OrdersRead, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import Mark
from perpsctl.domain.numbers import ZERO, Notional
from perpsctl.domain.outlook import LimitUse
from perpsctl.risk.exposure import LiveSet, exposures, merge_live
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import WindowLoss, read_loss

__all__ = ["day_change", "limit_uses"]

UTC_DAY = "utc_day"


def limit_uses(
    account: AccountView | None,
    positions: PositionsRead | None,
    orders: OrdersRead | None,
    booked: Booked | None,
    marks: Mapping[ProductId, Mark],
    limits: RiskLimits,
) -> tuple[LimitUse, ...]:
    """The limits that fill up while a profile trades, each at its worst; unread parts leave `used` None (L5)."""
    live = merge_live(orders, booked.live) if orders is not None and booked is not None else None
    return (
        *_shares(account, positions, live, marks, limits),
        _loss(account, booked, marks, limits),
        *_counts(live, booked, limits),
    )


def _shares(
    account: AccountView | None,
    positions: PositionsRead | None,
    live: LiveSet | None,
    marks: Mapping[ProductId, Mark],
    limits: RiskLimits,
) -> tuple[LimitUse, LimitUse]:
    worst: tuple[str, Decimal | None] = ("", None)
    gross: Decimal | None = None
    if account is not None and positions is not None and live is not None and account.equity > 0 and not live.unsized:
        by_product = {product: each.worst for product, each in exposures(positions, live).items() if each.worst}
        if set(by_product) <= set(marks):
            shares = {product: coin * marks[product].price / account.equity for product, coin in by_product.items()}
            gross = sum(shares.values(), ZERO)
            worst = max(
                ((str(product), used) for product, used in shares.items()), key=lambda each: each[1], default=("", ZERO)
            )
    return (
        LimitUse(limit="position_max_share", subject=worst[0], used=worst[1], bound=limits.position_max_share),
        LimitUse(limit="gross_max_share", subject="", used=gross, bound=limits.gross_max_share),
    )


def _loss(
    account: AccountView | None, booked: Booked | None, marks: Mapping[ProductId, Mark], limits: RiskLimits
) -> LimitUse:
    """The worse of the two windows; None without a baseline, or with a product that has no mark."""
    used: Decimal | None = None
    subject = ""
    reading = None if account is None or booked is None else read_loss(booked.loss_bases, account.equity, marks)
    if reading is not None and reading.windows and not reading.missing and not reading.unmarked:
        told = [each for each in reading.windows if each.start_equity > 0]
        if len(told) == len(reading.windows):
            worst = max(told, key=lambda each: each.loss / each.start_equity)
            used, subject = worst.loss / worst.start_equity, worst.window
    return LimitUse(limit="daily_loss_max_share", subject=subject, used=used, bound=limits.daily_loss_max_share)


def _counts(live: LiveSet | None, booked: Booked | None, limits: RiskLimits) -> Iterable[LimitUse]:
    def use(limit: str, used: int | None, bound: int | None) -> tuple[LimitUse, ...]:
        if bound is None:
            return ()
        told = None if used is None else Decimal(used)
        return (LimitUse(limit=limit, subject="", used=told, bound=Decimal(bound)),)

    sent = (None, None) if booked is None else (booked.sent_last_minute, booked.sent_today)
    return (
        *use("orders_per_minute_max", sent[0], limits.orders_per_minute_max),
        *use("orders_per_day_max", sent[1], limits.orders_per_day_max),
        *use("open_orders_max", None if live is None else len(live.orders), limits.open_orders_max),
    )


def day_change(booked: Booked, account: AccountView | None, marks: Mapping[ProductId, Mark]) -> Notional | None:
    """What the balance gained since the UTC day began, transfers taken out; None without account or baseline."""
    if account is None:
        return None
    windows: Iterable[WindowLoss] = read_loss(booked.loss_bases, account.equity, marks).windows
    return next((Notional(-each.by_balances) for each in windows if each.window == UTC_DAY), None)
