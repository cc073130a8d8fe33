"""Account reads in domain values: money, positions, fees, request limits, the books."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import AccountView, Fees, MarginLevel, Position, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import WIDE, Notional, Price, Size
from perpsctl.domain.text import shown
from perpsctl.wire.global_derivatives import accounts, market, reading
from perpsctl.wire.global_derivatives.convert_market import QUOTE, is_perp
from perpsctl.wire.guard import WireError
from perpsctl.wire.reading import is_absent, product_id, required, text

_SIGN: Final = {"buy": 1, "sell": -1}


def account_from(body: accounts.AccountSummary, as_of: datetime) -> AccountView:
    """The account's money in USDC, dated. WireError for another currency's summary or without equity and balance.

    `session_rpl` is realised since 08:00 UTC with funding inside. The venue tells no margin level: it is derived from
    its own rule that liquidation begins when the margin balance falls below maintenance (reference 11).
    """
    if body.currency != QUOTE:
        raise WireError(f"an account summary in {text(body.currency)} was sent for {QUOTE}")
    equity = reading.figure(body.equity, "equity")
    margin, maintenance = (
        reading.figure_or_none(body.margin_balance),
        reading.figure_or_none(body.maintenance_margin),
    )
    known = margin is not None and maintenance is not None
    return AccountView(
        equity=Notional(equity),
        balance=Notional(reading.figure(body.balance, "balance")),
        unrealised=Notional(reading.figure(body.session_upl, "session_upl")),
        daily_realised=reading.notional_or_none(body.session_rpl),
        funding_pnl=reading.notional_or_none(body.session_funding),
        buying_power=reading.notional_or_none(body.available_funds),
        initial_margin=reading.notional_or_none(body.initial_margin),
        available_margin=reading.notional_or_none(body.available_funds),
        liquidation_threshold=reading.notional_or_none(body.maintenance_margin),
        liquidation_buffer=Notional(WIDE.subtract(margin, maintenance)) if known else None,  # type: ignore[arg-type]
        margin_level=_level(margin, reading.figure_or_none(body.initial_margin), maintenance),
        as_of=as_of,
    )


def _level(margin: Decimal | None, initial: Decimal | None, maintenance: Decimal | None) -> MarginLevel:
    """Without one of the figures nothing is concluded; an account that may not open anything more is in danger."""
    if margin is None or initial is None or maintenance is None:
        return MarginLevel.UNRECOGNISED
    if maintenance > 0 and margin <= maintenance:
        return MarginLevel.LIQUIDATION
    return MarginLevel.DANGER if initial > 0 and margin <= initial else MarginLevel.BASE


def positions_from(
    bodies: Sequence[accounts.Position], contract_sizes: Mapping[ProductId, Size], as_of: datetime
) -> PositionsRead:
    """Every position in signed coin, cross and isolated of one instrument added; flat rows are left out.

    WireError when an instrument that is held is unknown, or one margin scope names it twice (H12).
    """
    found: dict[ProductId, Position] = {}
    scopes: set[tuple[object, ...]] = set()
    for body in bodies:
        scope = (body.instrument_name, body.isolated is True, body.user_id)
        if scope in scopes:
            raise WireError(f"position is listed twice: {text(body.instrument_name)}")
        scopes.add(scope)
        if is_flat(body):
            continue
        each = position_from(body, contract_sizes)
        found[each.product_id] = _added(found[each.product_id], each) if each.product_id in found else each
    return PositionsRead(positions=tuple(each for each in found.values() if each.coin != 0), as_of=as_of)


def is_flat(body: accounts.Position) -> bool:
    """True when the row says that nothing is held; WireError when only one of its two sizes says so."""
    size, coin = reading.figure_or_none(body.size), reading.figure(body.size_currency, "size_currency")
    if size is not None and (size == 0) != (coin == 0):
        raise WireError(f"a position of {text(body.instrument_name)} is flat in one size and not in the other")
    return coin == 0


def position_from(body: accounts.Position, contract_sizes: Mapping[ProductId, Size]) -> Position:
    """One position, from `size_currency` (coin); its sign, where it has one, must agree with `direction`."""
    product = product_id(body.instrument_name, "instrument_name")
    if product not in contract_sizes:
        raise WireError(f"{product} is held and no USDC perpetual that is known")
    coin = reading.figure(body.size_currency, "size_currency")
    sign = _SIGN.get(text(body.direction))
    if coin != 0 and sign is None:
        raise WireError(f"the direction of a position is neither buy nor sell: {text(body.direction)}")
    if coin < 0 and sign == 1:
        raise WireError(f"a position of {product} is bought and below zero")
    signed = WIDE.multiply(coin.copy_abs(), Decimal(sign or 1))
    return Position(
        product_id=product,
        coin=signed,
        contracts=WIDE.divide(signed, contract_sizes[product]),
        average_entry=reading.price_or_none(body.average_price, "average_price"),
        current_price=reading.price_or_none(body.mark_price, "mark_price"),
        unrealised=reading.notional_or_none(body.floating_profit_loss),
        daily_realised=reading.notional_or_none(body.realized_profit_loss),
    )


def _added(one: Position, other: Position) -> Position:
    """Two margin scopes of one instrument as one exposure; an average entry exists only where both go one way."""
    total = WIDE.add(one.coin, other.coin)
    entry = None
    if one.average_entry is not None and other.average_entry is not None and (one.coin > 0) == (other.coin > 0):
        paid = WIDE.add(WIDE.multiply(one.average_entry, one.coin), WIDE.multiply(other.average_entry, other.coin))
        entry = Price(WIDE.divide(paid, total))
    return replace(
        one,
        coin=total,
        contracts=WIDE.add(one.contracts, other.contracts),
        average_entry=entry,
        unrealised=_sum(one.unrealised, other.unrealised),
        daily_realised=_sum(one.daily_realised, other.daily_realised),
    )


def _sum(one: Notional | None, other: Notional | None) -> Notional | None:
    return None if one is None or other is None else Notional(WIDE.add(one, other))


def fees_from(summary: accounts.AccountSummary | None, instruments: Sequence[market.Instrument]) -> Fees:
    """The highest maker and taker fractions over the USDC perpetuals: the account's own where told, else the listed.

    WireError when no perpetual tells a fee.
    """
    told = summary.fees if summary is not None and isinstance(summary.fees, dict) else {}
    pairs = [_pair(body, told.get(text(body.price_index))) for body in instruments if is_perp(body)]
    if not pairs:
        raise WireError("no perpetual tells its fees")
    own = any(text(body.price_index) in told for body in instruments if is_perp(body))
    return Fees(
        maker=max(maker for maker, _ in pairs),
        taker=max(taker for _, taker in pairs),
        tier="account" if own else "listed",
    )


def _pair(body: market.Instrument, own: accounts.IndexFees | None) -> tuple[Decimal, Decimal]:
    """Maker and taker fraction of one instrument; "relative" account fees are shares of the listed ones."""
    maker = reading.figure(body.maker_commission, "maker_commission")
    taker = reading.figure(body.taker_commission, "taker_commission")
    kind = own.perpetual if own is not None and isinstance(own.perpetual, accounts.KindFees) else None
    rates = kind.default if kind is not None and isinstance(kind.default, accounts.FeeRates) else None
    if rates is None:
        return maker, taker
    own_maker, own_taker = reading.figure(rates.maker, "fees.maker"), reading.figure(rates.taker, "fees.taker")
    if rates.type == "relative":
        return WIDE.multiply(maker, own_maker), WIDE.multiply(taker, own_taker)
    return own_maker, own_taker


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Requests per second and in a burst."""

    rate: Decimal
    burst: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The account's own request budgets; None for one the venue did not tell."""

    matching: Budget | None
    cancel_all: Budget | None
    plain: Budget | None


def budgets_from(summary: accounts.AccountSummary) -> Budgets:
    """From `limits` of the extended summary; WireError for a rate or burst that is not above zero."""
    limits = summary.limits if isinstance(summary.limits, accounts.Limits) else accounts.Limits()
    engine = limits.matching_engine if isinstance(limits.matching_engine, accounts.MatchingLimits) else None
    trading = engine.trading if engine is not None and isinstance(engine.trading, accounts.TradingLimits) else None
    return Budgets(
        matching=None if trading is None else _budget(trading.total),
        cancel_all=None if engine is None else _budget(engine.cancel_all),
        plain=_budget(limits.non_matching_engine),
    )


def _budget(body: object) -> Budget | None:
    if not isinstance(body, accounts.RateLimit):
        return None
    return Budget(rate=reading.above_zero(body.rate, "rate"), burst=reading.above_zero(body.burst, "burst"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """A row of the books. `funding` is what funding did since the previous row of that perpetual; inside `change`."""

    seq: int
    kind: str
    at: datetime
    product_id: ProductId | None
    change: Notional
    funding: Notional | None
    fee: Notional | None
    balance: Notional | None
    counterpart: int | None = None  # of a transfer: the account on its other side, where it is told
    trade_id: str | None = None
    sign: int | None = None  # of a trade: 1 bought, -1 sold
    coin: Decimal | None = None
    price: Price | None = None
    position: Decimal | None = None  # signed coin after the row
    settled_funding: Notional | None = None  # of a settlement: the session's funding, inside `change`


def bookings_from(log: accounts.TransactionLog) -> tuple[Booking, ...]:
    """The rows, oldest first, by `user_seq`, which rises by one (a jump is a row that was not read)."""
    found = [_booking(row) for row in required(log.logs, "logs")]
    return tuple(sorted(found, key=lambda booking: booking.seq))


def _booking(row: accounts.LogRow) -> Booking:
    named = not is_absent(row.instrument_name)
    return Booking(
        seq=required(row.user_seq, "user_seq"),
        kind=shown(text(row.type), 80),
        at=reading.unix_millis(row.timestamp, "timestamp"),
        product_id=product_id(row.instrument_name, "instrument_name") if named else None,
        change=Notional(reading.figure(row.change, "change")),
        funding=reading.notional_or_none(row.interest_pl),
        fee=reading.notional_or_none(row.commission),
        balance=reading.notional_or_none(row.balance),
        counterpart=_counterpart(row),
        trade_id=shown(row.trade_id, 80) if isinstance(row.trade_id, str) and row.trade_id else None,
        sign=_trade_sign(row),
        coin=reading.figure_or_none(row.amount),
        price=reading.price_or_none(row.price, "price"),
        position=reading.figure_or_none(row.position),
        settled_funding=reading.notional_or_none(row.total_interest_pl),
    )


def _trade_sign(row: accounts.LogRow) -> int | None:
    """From `open buy`, `close sell` and the like; the side of a settlement says what is held, not what was done."""
    return _SIGN.get(text(row.side).rpartition(" ")[2])


def _counterpart(row: accounts.LogRow) -> int | None:
    told = row.info.other_user_id if isinstance(row.info, accounts.LogInfo) else None
    return told if isinstance(told, int) else None


def locks_from(rows: Sequence[accounts.UserLock]) -> tuple[str, ...]:
    """Currencies that are locked, with the venue's words; empty when trading is open. Untold is an error, not "open"."""
    return tuple(shown(f"{text(row.currency)}: {text(row.message)}") for row in rows if required(row.locked, "locked"))
