"""Explains the cash of a venue that tells a balance and no rows. Pure.

What trades earned is our fills and the cost the venue gives each position, so the sum does not depend on any price. Funding
has no row and no history there (Advanced Trade reference sections 7 and 12, 2026-11-22): it is what the balance shows
besides, and it is called funding only where the published hourly rates, seen hour by hour, make that much of the positions.
A deposit or withdrawal is told by no known endpoint: it stays a difference until an operator accepts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import PositionsRead
from perpsctl.domain.cash import EXACT
from perpsctl.domain.ids import FillId, ProductId
from perpsctl.domain.orders import Fill
from perpsctl.domain.products import Product
from perpsctl.engine.breaks import fill_cash
from perpsctl.engine.cash_rows import total

HOUR: Final = timedelta(hours=1)
WATCHED: Final = Decimal("0.05")  # the index may have moved so much between the hour and our look
UNWATCHED: Final = Decimal(3)  # an hour nobody looked at may have cost so many times its neighbour more
RATE_STEP: Final = Decimal("0.00002")  # ... and so much of the notional besides
GRAIN: Final = Decimal("0.00000001")
SETTLING: Final = timedelta(minutes=5)  # a payment may take so long to show
FUNDING_LIKE: Final = 20  # times what is expected: more is no funding gone wrong
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourSeen:
    """What the venue published for an hour that had ended, and the index when we looked."""

    product_id: ProductId
    hour: datetime
    rate: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """From where cash is counted: fills that are `known`, or older than `through` by far, are inside the balance."""

    at: datetime
    through: datetime
    balance: Decimal
    costs: Mapping[ProductId, Decimal]
    held: Mapping[ProductId, tuple[tuple[datetime, Decimal], ...]]  # (from when, signed coin), from `funded_to` on
    known: frozenset[FillId]
    funded_to: datetime  # funding of hours up to this moment is inside the balance
    hours: tuple[HourSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What funding should have moved, and by how much that may be off."""

    amount: Decimal
    slack: Decimal
    unwatched: int
    to: datetime

    def admits(self, paid: Decimal) -> bool:
        """True when `paid` is what is expected, as near as anybody can know it."""
        return abs(paid - self.amount) <= self.slack


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Parts of the balance's change besides funding; `rest` is what they leave unexplained."""

    realised: Decimal
    fees: Decimal
    fills: int
    rest: Decimal


def costs_of(positions: PositionsRead) -> dict[ProductId, Decimal] | None:
    """Signed money paid for each position, by the venue; None when it does not tell enough to know."""
    found: dict[ProductId, Decimal] = {}
    for held in positions.positions:
        if held.current_price is not None and held.unrealised is not None:
            cost = EXACT.subtract(EXACT.multiply(held.coin, held.current_price), held.unrealised)
        elif held.average_entry is not None:
            cost = EXACT.multiply(held.coin, held.average_entry)
        else:
            return None
        found[held.product_id] = cost
    return found


def counted(opening: Opening, fills: Iterable[Fill], costs: Mapping[ProductId, Decimal], balance: Decimal) -> Counted:
    """What our fills since the opening did to the balance, exact. `fills` are those after it."""
    gross = fees = ZERO
    count = 0
    for fill in fills:
        _, cash, fee = fill_cash(fill)
        gross = EXACT.add(gross, cash)
        fees = fees if fee is None else EXACT.subtract(fees, fee)
        count += 1
    change = EXACT.subtract(total(costs.values()), total(opening.costs.values()))
    realised = EXACT.add(gross, change)
    rest = EXACT.subtract(EXACT.subtract(EXACT.subtract(balance, opening.balance), realised), fees)
    return Counted(realised=realised, fees=fees, fills=count, rest=rest)


def after(opening: Opening, fills: Iterable[Fill], margin: timedelta) -> tuple[Fill, ...]:
    """Fills that are not inside the opening balance."""
    return tuple(fill for fill in fills if fill.fill_id not in opening.known and fill.time > opening.through - margin)


def expectations(
    opening: Opening,
    fills: Sequence[Fill],
    products: Sequence[Product],
    cash_times: Sequence[time],
    now: datetime,
) -> tuple[Expected, ...]:
    """What funding may have become cash by now: by the cash times, or by any hour where nobody knows those."""
    if not cash_times:
        cuts = [opening.funded_to, *_hours_between(opening.funded_to, now)]
    else:
        last = _last_cash(cash_times, now)
        grain = timedelta(microseconds=1)
        cuts = [last, last - grain]
        if now - last <= SETTLING:
            before = _last_cash(cash_times, last - grain)
            cuts += [before, before - grain]
    return tuple(_expected(opening, fills, products, max(cut, opening.funded_to)) for cut in cuts)


def charged(opening: Opening, fills: Sequence[Fill], products: Sequence[Product], now: datetime) -> Decimal:
    """How much funding moved in either direction since the opening, hours that are no cash yet included."""
    found = ZERO
    for hour in _hours_between(opening.funded_to, now):
        piece = replace(opening, funded_to=hour - HOUR)
        found = EXACT.add(found, abs(_expected(piece, fills, products, hour).amount))
    return found


def turns(
    coin: Mapping[ProductId, Decimal], fills: Iterable[Fill], begin: datetime
) -> dict[ProductId, tuple[tuple[datetime, Decimal], ...]]:
    """What was held from `begin` on, by what is held now and the fills since."""
    found: dict[ProductId, list[tuple[datetime, Decimal]]] = {product: [] for product in coin}
    now = dict(coin)
    for fill in sorted(fills, key=lambda each: each.time, reverse=True):
        held = now.get(fill.product_id, ZERO)
        found.setdefault(fill.product_id, []).append((fill.time, held))
        now[fill.product_id] = EXACT.subtract(held, fill_cash(fill)[0])
    return {product: ((begin, now[product]), *reversed(later)) for product, later in found.items()}


def paid_to(cash_times: Sequence[time], now: datetime) -> datetime:
    """Up to when funding has become cash; where nobody knows, up to now."""
    return _last_cash(cash_times, now) if cash_times else now


def seen_now(
    opening: Opening, fills: Sequence[Fill], products: Sequence[Product], now: datetime
) -> tuple[HourSeen, ...]:
    """Hours published now that a position is charged for and that were not seen before."""
    held = {(each.product_id, each.hour) for each in opening.hours}
    found = []
    for product in products:
        terms = product.funding
        price = product.index_price or product.last_price
        if terms is None or terms.rate is None or terms.rate_time is None or price is None:
            continue
        hour = terms.rate_time
        if hour <= opening.funded_to or hour > now or (product.product_id, hour) in held:
            continue
        if _coin_at(opening, fills, product.product_id, hour) != 0:
            found.append(HourSeen(product_id=product.product_id, hour=hour, rate=terms.rate, price=price))
    return tuple(found)


def _expected(opening: Opening, fills: Sequence[Fill], products: Sequence[Product], to: datetime) -> Expected:
    amount = slack = ZERO
    unwatched = 0
    traded = {fill.product_id for fill in fills} | set(opening.held)
    for product in products:
        if product.product_id not in traded:
            continue
        seen = {each.hour: each for each in opening.hours if each.product_id == product.product_id}
        for hour in _hours_between(opening.funded_to, to):
            coin = _coin_at(opening, fills, product.product_id, hour)
            if coin == 0:
                continue
            known = seen.get(hour)
            near = known or _nearest(seen, hour) or _published(product, hour)
            if near is None:
                unwatched += 1
                continue
            notional = EXACT.multiply(coin, near.price)
            paid = EXACT.multiply(-notional, near.rate)
            amount = EXACT.add(amount, paid)
            slack = EXACT.add(slack, EXACT.add(abs(paid) * (WATCHED if known else UNWATCHED), GRAIN))
            if known is None:
                unwatched += 1
                slack = EXACT.add(slack, abs(notional) * RATE_STEP)
    return Expected(amount=amount.quantize(GRAIN), slack=slack, unwatched=unwatched, to=to)


def _nearest(seen: Mapping[datetime, HourSeen], hour: datetime) -> HourSeen | None:
    return min(seen.values(), key=lambda each: (abs(each.hour - hour), each.hour), default=None)


def _published(product: Product, hour: datetime) -> HourSeen | None:
    price, terms = product.index_price or product.last_price, product.funding
    if terms is None or terms.rate is None or price is None:
        return None
    return HourSeen(product_id=product.product_id, hour=hour, rate=terms.rate, price=price)


def _coin_at(opening: Opening, fills: Iterable[Fill], product_id: ProductId, at: datetime) -> Decimal:
    """Signed coin held just before a moment: as it stood when the ledger opened, and our fills since."""
    coin = ZERO
    for since, held in opening.held.get(product_id, ()):
        if since < at or since <= opening.funded_to:
            coin = held
    for fill in fills:
        if fill.product_id == product_id and fill.time < at:
            coin = EXACT.add(coin, fill_cash(fill)[0])
    return coin


def _hours_between(begin: datetime, end: datetime) -> list[datetime]:
    """Full hours later than `begin`, up to `end`."""
    hour = begin.replace(minute=0, second=0, microsecond=0) + HOUR
    found = []
    while hour <= end:
        found.append(hour)
        hour += HOUR
    return found


def _last_cash(times: Sequence[time], at: datetime) -> datetime:
    """The last of these times of day, UTC, at or before a moment."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = (
        midnight + timedelta(days=day, hours=each.hour, minutes=each.minute) for each in times for day in (-1, 0)
    )
    return max(moment for moment in moments if moment <= at)
