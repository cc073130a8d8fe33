"""Account reads: money, positions, fees, keys, margin windows."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import AccountView, Fees, MarginLevel, MarginWindow, Position, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional, Size
from perpsctl.domain.reports import KeyFacts
from perpsctl.domain.text import shown
from perpsctl.wire.advanced_trade import accounts, futures, reading
from perpsctl.wire.advanced_trade.reading import figure, notional_or_none
from perpsctl.wire.guard import WireError


class NoFuturesWallet(WireError):
    """The venue answered that there is no futures account: `balance_summary` null or absent (reference 7)."""


_LEVEL: Final = {
    "MARGIN_LEVEL_TYPE_BASE": MarginLevel.BASE,
    "MARGIN_LEVEL_TYPE_WARNING": MarginLevel.WARNING,
    "MARGIN_LEVEL_TYPE_DANGER": MarginLevel.DANGER,
    "MARGIN_LEVEL_TYPE_LIQUIDATION": MarginLevel.LIQUIDATION,
}
_GRAVITY: Final = (
    MarginLevel.BASE,
    MarginLevel.WARNING,
    MarginLevel.DANGER,
    MarginLevel.UNRECOGNISED,
    MarginLevel.LIQUIDATION,
)
_NOT_TOLD: Final = ("", "MARGIN_LEVEL_TYPE_UNSPECIFIED")


def account_from(reply: futures.BalanceSummaryReply, as_of: datetime) -> AccountView:
    """The futures account's money, dated. NoFuturesWallet when there is none; WireError without balance or PnL."""
    if not isinstance(reply.balance_summary, futures.BalanceSummary):
        raise NoFuturesWallet("the account has no futures wallet")
    return account_view(reply.balance_summary, as_of)


def account_view(summary: futures.BalanceSummary, as_of: datetime) -> AccountView:
    """The same from the summary itself, as REST and socket send it."""
    balance = figure(summary.total_usd_balance, "total_usd_balance")
    unrealised = figure(summary.unrealized_pnl, "unrealized_pnl")
    return AccountView(
        equity=Notional(_equity(summary, balance, unrealised)),
        balance=Notional(balance),
        unrealised=Notional(unrealised),
        daily_realised=notional_or_none(summary.daily_realized_pnl, "daily_realized_pnl"),
        funding_pnl=notional_or_none(summary.funding_pnl, "funding_pnl"),
        buying_power=notional_or_none(summary.futures_buying_power, "futures_buying_power"),
        initial_margin=notional_or_none(summary.initial_margin, "initial_margin"),
        available_margin=notional_or_none(summary.available_margin, "available_margin"),
        liquidation_threshold=notional_or_none(summary.liquidation_threshold, "liquidation_threshold"),
        liquidation_buffer=notional_or_none(summary.liquidation_buffer_amount, "liquidation_buffer_amount"),
        margin_level=_margin_level(summary),
        as_of=as_of,
    )


def _equity(summary: futures.BalanceSummary, balance: Decimal, unrealised: Decimal) -> Decimal:
    """Balance plus unrealised PnL where the balance does not hold it already; no source says whether it does.

    The parts tell: spot plus futures side equal to the total leave the PnL to be added. Where they do not add up either
    way only a loss is counted, since equity too high would loosen every limit.
    """
    spot = reading.figure_or_none(summary.cbi_usd_balance, "cbi_usd_balance")
    future = reading.figure_or_none(summary.cfm_usd_balance, "cfm_usd_balance")
    if spot is not None and future is not None:
        if balance == spot + future:
            return balance + unrealised
        if balance == spot + future + unrealised:
            return balance
    return balance + min(unrealised, Decimal(0))


def _margin_level(summary: futures.BalanceSummary) -> MarginLevel:
    """The graver of the two windows' levels, since the summary does not say which window runs."""
    measures = (summary.intraday_margin_window_measure, summary.overnight_margin_window_measure)
    words = [reading.text(m.margin_level) for m in measures if isinstance(m, futures.MarginWindowMeasure)]
    levels = [reading.word(w, _LEVEL, MarginLevel.UNRECOGNISED) for w in words if w not in _NOT_TOLD]
    return max(levels, key=_GRAVITY.index, default=MarginLevel.UNRECOGNISED)


def positions_from(
    reply: futures.FuturesPositionsReply, contract_sizes: Mapping[ProductId, Size], as_of: datetime
) -> PositionsRead:
    """Every position in signed coin; flat rows are left out. WireError without the list: that is not "flat" (L5)."""
    found = reading.each(reply.positions, "positions", lambda row: position_from(row, contract_sizes))
    reading.no_two_alike((position.product_id for position in found), "position")
    return PositionsRead(positions=tuple(p for p in found if p.contracts != 0), as_of=as_of)


def position_from(body: futures.FuturesPositionBody, contract_sizes: Mapping[ProductId, Size]) -> Position:
    """One position; WireError when its side or its product's contract size is unknown."""
    product = reading.product_id(body.product_id)
    contracts = reading.not_below_zero(body.number_of_contracts, "number_of_contracts")
    if product not in contract_sizes:
        raise WireError(f"the contract size of {product} is unknown")
    short = _direction(body, contracts) < 0
    signed = contracts.copy_negate() if short and contracts else contracts  # `-` would round to 28 digits
    return Position(
        product_id=product,
        coin=reading.coin(signed, contract_sizes[product]),
        contracts=signed,
        average_entry=reading.price_or_none(body.avg_entry_price, "avg_entry_price"),
        current_price=reading.price_or_none(body.current_price, "current_price"),
        unrealised=notional_or_none(body.unrealized_pnl, "unrealized_pnl"),
        daily_realised=notional_or_none(body.daily_realized_pnl, "daily_realized_pnl"),
    )


def _direction(body: futures.FuturesPositionBody, contracts: Decimal) -> int:
    """LONG, `Long` or FUTURES_POSITION_SIDE_LONG, by endpoint; an unknown side is only bearable when flat."""
    side = reading.text(body.side).upper().removeprefix("FUTURES_POSITION_SIDE_")
    if side in ("LONG", "SHORT"):
        return 1 if side == "LONG" else -1
    if contracts == 0:
        return 1
    raise WireError(f"the side of a position is neither LONG nor SHORT: {side}")


def fees_from(body: accounts.TransactionSummary) -> Fees:
    """What the account pays, as fractions. Ask with product_type=FUTURE; the default tier is that of spot."""
    tier = reading.required(body.fee_tier, "fee_tier")
    return Fees(
        maker=figure(tier.maker_fee_rate, "maker_fee_rate"),
        taker=figure(tier.taker_fee_rate, "taker_fee_rate"),
        tier=shown(reading.text(tier.pricing_tier), 80),
    )


def key_facts_from(body: accounts.KeyPermissions) -> KeyFacts:
    """What a key may do and which portfolio it is bound to. A permission that is not told is an error, not a "no"."""
    return KeyFacts(
        can_view=reading.flag(body.can_view, "can_view"),
        can_trade=reading.flag(body.can_trade, "can_trade"),
        can_transfer=reading.flag(body.can_transfer, "can_transfer"),
        portfolio_id=reading.venue_id(body.portfolio_uuid, "portfolio_uuid"),
        portfolio_type=shown(reading.text(body.portfolio_type), 80),
    )


def margin_window_from(reply: futures.MarginWindowReply, setting: futures.MarginSetting | None) -> MarginWindow:
    """Which rates hold and until when; `setting` says whether the account asked for intraday rates, None: not read."""
    window = reading.required(reply.margin_window, "margin_window")
    kind = reading.required(window.margin_window_type, "margin_window_type")
    enrolled = {"INTRADAY_MARGIN_SETTING_INTRADAY": True, "INTRADAY_MARGIN_SETTING_STANDARD": False}
    return MarginWindow(
        kind=shown(kind.removeprefix("FCM_").removeprefix("MARGIN_WINDOW_TYPE_"), 80),
        ends=reading.moment_or_none(window.end_time, "end_time"),
        intraday_enrolled=None if setting is None else enrolled.get(reading.text(setting.setting)),
    )
