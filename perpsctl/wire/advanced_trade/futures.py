"""The futures account at Coinbase Financial Markets, /cfm/* (reference 7)."""

from typing import ClassVar

from msgspec import UNSET, UnsetType

from perpsctl.wire.advanced_trade.common import Amount, Body, Money, NullableBody, Number, RequestBody


class MarginWindowMeasure(Body, frozen=True, kw_only=True):
    """Margin under one window's rates: plain text in every source but one, which has Amounts (reference 7)."""

    margin_window_type: str | UnsetType = UNSET
    margin_level: str | UnsetType = UNSET
    initial_margin: Money | UnsetType = UNSET
    maintenance_margin: Money | UnsetType = UNSET
    liquidation_buffer: Money | UnsetType = UNSET  # REST
    liquidation_buffer_percentage: Number | UnsetType = UNSET  # socket
    total_hold: Money | UnsetType = UNSET
    futures_buying_power: Money | UnsetType = UNSET


class BalanceSummary(NullableBody, frozen=True, kw_only=True):
    """Amounts by REST, flat text on the socket. `cbi` is the spot side, `cfm` the futures side."""

    nullable: ClassVar[tuple[str, ...]] = ("intraday_margin_window_measure", "overnight_margin_window_measure")
    futures_buying_power: Money | UnsetType = UNSET
    total_usd_balance: Money | UnsetType = UNSET
    cbi_usd_balance: Money | UnsetType = UNSET
    cfm_usd_balance: Money | UnsetType = UNSET
    total_open_orders_hold_amount: Money | UnsetType = UNSET
    unrealized_pnl: Money | UnsetType = UNSET
    daily_realized_pnl: Money | UnsetType = UNSET
    initial_margin: Money | UnsetType = UNSET
    available_margin: Money | UnsetType = UNSET
    liquidation_threshold: Money | UnsetType = UNSET
    liquidation_buffer_amount: Money | UnsetType = UNSET
    liquidation_buffer_percentage: Money | UnsetType = UNSET
    intraday_margin_window_measure: MarginWindowMeasure | UnsetType | None = UNSET
    overnight_margin_window_measure: MarginWindowMeasure | UnsetType | None = UNSET
    funding_pnl: Money | UnsetType = UNSET
    total_pending_transfers_amount: Money | UnsetType = UNSET


class BalanceSummaryReply(NullableBody, frozen=True, kw_only=True):
    """GET /cfm/balance_summary; absent without a futures wallet (live: null, on which the official SDK raises)."""

    nullable: ClassVar[tuple[str, ...]] = ("balance_summary",)
    balance_summary: BalanceSummary | UnsetType | None = UNSET


class FuturesPositionBody(NullableBody, frozen=True, kw_only=True):
    """A position in contracts; `side` LONG or SHORT. Flat text or Amounts, sources conflict (reference 7)."""

    nullable: ClassVar[tuple[str, ...]] = ("expiration_time",)
    product_id: str | UnsetType = UNSET
    expiration_time: str | UnsetType | None = UNSET
    side: str | UnsetType = UNSET
    number_of_contracts: Number | UnsetType = UNSET
    current_price: Money | UnsetType = UNSET
    avg_entry_price: Money | UnsetType = UNSET
    unrealized_pnl: Money | UnsetType = UNSET
    daily_realized_pnl: Money | UnsetType = UNSET
    entry_vwap: Money | UnsetType = UNSET
    liquidation_price: Money | UnsetType = UNSET
    total_fees: Money | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    im_contribution: Money | UnsetType = UNSET
    mm_contribution: Money | UnsetType = UNSET
    position_notional: Money | UnsetType = UNSET


class FuturesPositionsReply(Body, frozen=True, kw_only=True):
    """GET /cfm/positions."""

    positions: tuple[FuturesPositionBody, ...] | UnsetType = UNSET


class FuturesPositionReply(NullableBody, frozen=True, kw_only=True):
    """GET /cfm/positions/{product_id}; absent when flat (never null: the official SDK raises on it)."""

    nullable: ClassVar[tuple[str, ...]] = ("position",)
    position: FuturesPositionBody | UnsetType | None = UNSET


class SweepBody(Body, frozen=True, kw_only=True):
    """`schedule_time` is the official SDK's spelling of `scheduled_time`."""

    id: str | UnsetType = UNSET
    requested_amount: Amount | UnsetType = UNSET
    should_sweep_all: bool | UnsetType = UNSET
    status: str | UnsetType = UNSET
    scheduled_time: str | UnsetType = UNSET
    schedule_time: str | UnsetType = UNSET


class SweepsReply(Body, frozen=True, kw_only=True):
    """GET /cfm/sweeps."""

    sweeps: tuple[SweepBody, ...] | UnsetType = UNSET


class ScheduleSweepRequest(RequestBody, frozen=True, kw_only=True):
    """POST /cfm/sweeps/schedule; without an amount everything is swept."""

    usd_amount: Number | UnsetType = UNSET


class SuccessReply(Body, frozen=True, kw_only=True):
    """POST /cfm/sweeps/schedule and DELETE /cfm/sweeps."""

    success: bool | UnsetType = UNSET


class MarginSetting(Body, frozen=True, kw_only=True):
    """GET /cfm/intraday/margin_setting, and the body of its POST."""

    setting: str | UnsetType = UNSET


class MarginWindow(NullableBody, frozen=True, kw_only=True):
    nullable: ClassVar[tuple[str, ...]] = ("end_time",)
    margin_window_type: str | UnsetType = UNSET
    end_time: str | UnsetType | None = UNSET


class MarginWindowReply(Body, frozen=True, kw_only=True):
    """GET /cfm/intraday/current_margin_window."""

    margin_window: MarginWindow | UnsetType = UNSET
    is_intraday_margin_killswitch_enabled: bool | UnsetType = UNSET
    is_intraday_margin_enrollment_killswitch_enabled: bool | UnsetType = UNSET
