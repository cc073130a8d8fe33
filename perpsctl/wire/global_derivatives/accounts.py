"""Login, money, positions, limits, locks and the books (reference 3, 10, 11)."""

from decimal import Decimal

from msgspec import UNSET, UnsetType

from perpsctl.wire.global_derivatives.common import Body, Flag, NullableNum, Num, Text, Whole


class Login(Body, frozen=True, kw_only=True):
    """`public/auth`. Over HTTP with a token; over a socket without one, for the socket is the credential."""

    access_token: Text = UNSET
    refresh_token: Text = UNSET
    expires_in: Whole = UNSET  # seconds
    scope: Text = UNSET
    token_type: Text = UNSET
    state: Text = UNSET
    sid: Text = UNSET

    def __repr__(self) -> str:
        """Without the tokens (S1)."""
        return f"Login(expires_in={self.expires_in!r}, token_type={self.token_type!r})"


class Position(Body, frozen=True, kw_only=True):
    """A position: `size` in quote currency, `size_currency` in coin; arithmetic uses the latter (reference 7)."""

    instrument_name: Text = UNSET
    kind: Text = UNSET
    direction: Text = UNSET  # buy, sell, zero
    size: Num = UNSET
    size_currency: Num = UNSET
    average_price: Num = UNSET
    average_price_usd: Num = UNSET
    mark_price: Num = UNSET
    index_price: Num = UNSET
    settlement_price: Num = UNSET
    floating_profit_loss: Num = UNSET
    floating_profit_loss_usd: Num = UNSET
    realized_profit_loss: Num = UNSET
    total_profit_loss: Num = UNSET
    realized_funding: Num = UNSET
    interest_value: Num = UNSET
    initial_margin: Num = UNSET
    maintenance_margin: Num = UNSET
    open_orders_margin: Num = UNSET
    estimated_liquidation_price: NullableNum = UNSET  # deprecated, always null
    leverage: Num = UNSET
    delta: Num = UNSET
    gamma: Num = UNSET
    theta: Num = UNSET
    vega: Num = UNSET
    user_id: Whole = UNSET
    main_uid: Whole = UNSET
    isolated: Flag = UNSET


class RateLimit(Body, frozen=True, kw_only=True):
    """Requests per second and in a burst."""

    rate: Num = UNSET
    burst: Num = UNSET


class TradingLimits(Body, frozen=True, kw_only=True):
    total: RateLimit | UnsetType = UNSET


class MatchingLimits(Body, frozen=True, kw_only=True):
    trading: TradingLimits | UnsetType = UNSET
    spot: RateLimit | UnsetType = UNSET
    quotes: RateLimit | UnsetType = UNSET
    max_quotes: RateLimit | UnsetType = UNSET
    guaranteed_quotes: RateLimit | UnsetType = UNSET
    cancel_all: RateLimit | UnsetType = UNSET


class Limits(Body, frozen=True, kw_only=True):
    """The account's own request limits; read them at start (reference 6)."""

    limits_per_currency: Flag = UNSET
    matching_engine: MatchingLimits | UnsetType = UNSET
    non_matching_engine: RateLimit | UnsetType = UNSET


class FeeRates(Body, frozen=True, kw_only=True):
    """`type` fixed: fractions of notional; relative: shares of the instrument's commission."""

    type: Text = UNSET
    maker: Num = UNSET
    taker: Num = UNSET


class KindFees(Body, frozen=True, kw_only=True):
    default: FeeRates | UnsetType = UNSET
    block_trade: Num = UNSET


class IndexFees(Body, frozen=True, kw_only=True):
    future: KindFees | UnsetType = UNSET
    perpetual: KindFees | UnsetType = UNSET
    option: KindFees | UnsetType = UNSET
    spot: KindFees | UnsetType = UNSET


Figures = dict[str, Decimal]  # by index


class AccountSummary(Body, frozen=True, kw_only=True):
    """`private/get_account_summary`, an element of the plural, and channel `user.portfolio`."""

    currency: Text = UNSET
    id: Whole = UNSET
    type: Text = UNSET
    username: Text = UNSET
    system_name: Text = UNSET
    email: Text = UNSET
    creation_timestamp: Whole = UNSET
    login_enabled: Flag = UNSET
    mmp_enabled: Flag = UNSET
    security_keys_enabled: Flag = UNSET
    interuser_transfers_enabled: Flag = UNSET
    block_rfq_self_match_prevention: Flag = UNSET
    self_trading_extended_to_subaccounts: Flag = UNSET
    self_trading_reject_mode: Text = UNSET
    portfolio_margining_enabled: Flag = UNSET
    referrer_id: Text = UNSET
    margin_model: Text = UNSET
    cross_collateral_enabled: Flag = UNSET
    isolated: Flag = UNSET
    subaccount_id: Whole = UNSET
    equity: Num = UNSET
    balance: Num = UNSET
    margin_balance: Num = UNSET
    available_funds: Num = UNSET
    available_withdrawal_funds: Num = UNSET
    available_subaccount_transfer_funds: Num = UNSET
    initial_margin: Num = UNSET
    maintenance_margin: Num = UNSET
    projected_initial_margin: Num = UNSET
    projected_maintenance_margin: Num = UNSET
    session_upl: Num = UNSET
    session_rpl: Num = UNSET
    session_funding: Num = UNSET
    total_pl: Num = UNSET
    futures_pl: Num = UNSET
    futures_session_upl: Num = UNSET
    futures_session_rpl: Num = UNSET
    options_pl: Num = UNSET
    options_session_upl: Num = UNSET
    options_session_rpl: Num = UNSET
    options_value: Num = UNSET
    options_delta: Num = UNSET
    options_gamma: Num = UNSET
    options_theta: Num = UNSET
    options_vega: Num = UNSET
    options_gamma_map: Figures | UnsetType = UNSET
    options_theta_map: Figures | UnsetType = UNSET
    options_vega_map: Figures | UnsetType = UNSET
    delta_total: Num = UNSET
    delta_total_map: Figures | UnsetType = UNSET
    projected_delta_total: Num = UNSET
    estimated_liquidation_ratio: Num = UNSET
    estimated_liquidation_ratio_map: Figures | UnsetType = UNSET
    total_equity_usd: Num = UNSET
    total_margin_balance_usd: Num = UNSET
    total_initial_margin_usd: Num = UNSET
    total_maintenance_margin_usd: Num = UNSET
    total_delta_total_usd: Num = UNSET
    fee_balance: Num = UNSET
    locked_balance: Num = UNSET
    spot_reserve: Num = UNSET
    additional_reserve: Num = UNSET
    limits: Limits | UnsetType = UNSET
    fees: dict[str, IndexFees] | UnsetType = UNSET


class SlotSummaries(Body, frozen=True, kw_only=True):
    """One isolated slot that is bound now; `id` is its account, the figures stand in its rows by currency."""

    id: Whole = UNSET
    summaries: tuple[AccountSummary, ...] | UnsetType = UNSET


class AccountSummaries(Body, frozen=True, kw_only=True):
    """`private/get_account_summaries`; isolated slots stand apart (guide on isolated positions, 2026-09-24)."""

    id: Whole = UNSET
    type: Text = UNSET
    username: Text = UNSET
    system_name: Text = UNSET
    email: Text = UNSET
    creation_timestamp: Whole = UNSET
    login_enabled: Flag = UNSET
    mmp_enabled: Flag = UNSET
    security_keys_enabled: Flag = UNSET
    interuser_transfers_enabled: Flag = UNSET
    block_rfq_self_match_prevention: Flag = UNSET
    self_trading_extended_to_subaccounts: Flag = UNSET
    self_trading_reject_mode: Text = UNSET
    referrer_id: Text = UNSET
    summaries: tuple[AccountSummary, ...] | UnsetType = UNSET
    isolated_account_summaries: tuple[SlotSummaries, ...] | UnsetType = UNSET


class Subaccount(Body, frozen=True, kw_only=True):
    """A row of `private/get_subaccounts`. With `include_isolated` also each slot of isolated margin there ever was."""

    id: Whole = UNSET
    type: Text = UNSET
    isolated: bool | UnsetType | None = UNSET
    isolated_margin_instrument: str | UnsetType | None = UNSET


class Leverage(Body, frozen=True, kw_only=True):
    """`private/get_leverage`."""

    instrument_name: Text = UNSET
    leverage: Num = UNSET
    max_leverage: Num = UNSET


class UserLock(Body, frozen=True, kw_only=True):
    """A row of `private/get_user_locks`, and channels `user.lock`, `user.position_lock`."""

    currency: Text = UNSET
    locked: Flag = UNSET
    message: Text = UNSET


class CancelOnDisconnect(Body, frozen=True, kw_only=True):
    """`private/get_cancel_on_disconnect`: `scope` is connection or account."""

    enabled: Flag = UNSET
    scope: Text = UNSET


class LogInfo(Body, frozen=True, kw_only=True):
    """What a transaction log row adds, by type."""

    transfer_type: Text = UNSET
    other_user: Text = UNSET
    other_user_id: Whole = UNSET
    settlement_price: Num = UNSET
    floating_pl: Num = UNSET
    transaction: Text = UNSET
    deposit_type: Text = UNSET
    addr: Text = UNSET


class LogRow(Body, frozen=True, kw_only=True):
    """A row of the books. `interest_pl` is the funding since the previous row of that perpetual (reference 11)."""

    id: Whole = UNSET
    user_seq: Whole = UNSET
    user_id: Whole = UNSET
    username: Text = UNSET
    user_role: Text = UNSET
    type: Text = UNSET
    timestamp: Whole = UNSET
    currency: Text = UNSET
    instrument_name: str | UnsetType | None = UNSET
    side: Text = UNSET
    amount: NullableNum = UNSET
    contracts: NullableNum = UNSET
    price: NullableNum = UNSET
    price_currency: Text = UNSET
    mark_price: NullableNum = UNSET
    index_price: NullableNum = UNSET
    position: NullableNum = UNSET
    change: Num = UNSET
    cashflow: Num = UNSET
    balance: Num = UNSET
    equity: Num = UNSET
    commission: NullableNum = UNSET
    fee_balance: NullableNum = UNSET
    fee_role: Text = UNSET
    interest_pl: NullableNum = UNSET
    total_interest_pl: NullableNum = UNSET
    session_rpl: NullableNum = UNSET
    session_upl: NullableNum = UNSET
    profit_as_cashflow: Flag = UNSET
    order_id: str | UnsetType | None = UNSET
    trade_id: str | UnsetType | None = UNSET
    block_rfq_id: Whole = UNSET
    ip: Text = UNSET
    info: LogInfo | str | UnsetType = UNSET


class TransactionLog(Body, frozen=True, kw_only=True):
    """`private/get_transaction_log`, newest first; `continuation` is absent (null) at the end."""

    logs: tuple[LogRow, ...] | UnsetType = UNSET
    continuation: int | str | UnsetType | None = UNSET


class Settlement(Body, frozen=True, kw_only=True):
    """A row of `private/get_settlement_history_by_*`."""

    type: Text = UNSET
    timestamp: Whole = UNSET
    instrument_name: Text = UNSET
    index_price: Num = UNSET
    mark_price: Num = UNSET
    position: Num = UNSET
    profit_loss: Num = UNSET
    session_profit_loss: Num = UNSET
    funding: Num = UNSET
    funded: Num = UNSET
    session_bankruptcy: Num = UNSET
    session_tax: Num = UNSET
    session_tax_rate: Num = UNSET
    socialized: Num = UNSET


class Settlements(Body, frozen=True, kw_only=True):
    settlements: tuple[Settlement, ...] | UnsetType = UNSET
    continuation: Text = UNSET


class MarginModelState(Body, frozen=True, kw_only=True):
    """Margins under one model."""

    margin_model: Text = UNSET
    initial_margin_rate: Num = UNSET
    maintenance_margin_rate: Num = UNSET
    available_balance: Num = UNSET


class MarginModelChange(Body, frozen=True, kw_only=True):
    """A row of `private/change_margin_model`, one per currency."""

    currency: Text = UNSET
    old_state: MarginModelState | UnsetType = UNSET
    new_state: MarginModelState | UnsetType = UNSET
