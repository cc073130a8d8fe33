"""Keys, accounts, portfolios and fees (reference 5)."""

from typing import ClassVar

from msgspec import UNSET, UnsetType, field

from perpsctl.wire.advanced_trade.common import Amount, Body, Money, NullableBody, Number, RequestBody


class KeyPermissions(Body, frozen=True, kw_only=True):
    """GET /key_permissions."""

    can_view: bool | UnsetType = UNSET
    can_trade: bool | UnsetType = UNSET
    can_transfer: bool | UnsetType = UNSET
    can_receive: bool | UnsetType = UNSET  # in no source consulted (2026-11-22)
    portfolio_uuid: str | UnsetType = UNSET
    portfolio_type: str | UnsetType = UNSET


class AccountBody(NullableBody, frozen=True, kw_only=True):
    """One wallet."""

    nullable: ClassVar[tuple[str, ...]] = ("available_balance", "deleted_at", "hold")
    uuid: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    available_balance: Amount | UnsetType | None = UNSET
    default: bool | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    created_at: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET
    deleted_at: str | UnsetType | None = UNSET
    type: str | UnsetType = UNSET
    ready: bool | UnsetType = UNSET
    hold: Amount | UnsetType | None = UNSET
    retail_portfolio_id: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET


class AccountsReply(Body, frozen=True, kw_only=True):
    """GET /accounts."""

    accounts: tuple[AccountBody, ...] | UnsetType = UNSET
    has_next: bool | UnsetType = UNSET
    cursor: str | UnsetType = UNSET
    size: int | UnsetType = UNSET


class AccountReply(Body, frozen=True, kw_only=True):
    """GET /accounts/{uuid}."""

    account: AccountBody | UnsetType = UNSET


class PortfolioBody(Body, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    uuid: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET


class PortfoliosReply(Body, frozen=True, kw_only=True):
    """GET /portfolios."""

    portfolios: tuple[PortfolioBody, ...] | UnsetType = UNSET


class PortfolioReply(Body, frozen=True, kw_only=True):
    """POST /portfolios and PUT /portfolios/{uuid}."""

    portfolio: PortfolioBody | UnsetType = UNSET


class PortfolioRequest(RequestBody, frozen=True, kw_only=True):
    """POST /portfolios and PUT /portfolios/{uuid}."""

    name: str | UnsetType = UNSET


class PortfolioBalances(Body, frozen=True, kw_only=True):
    total_balance: Money | UnsetType = UNSET
    total_futures_balance: Money | UnsetType = UNSET
    total_cash_equivalent_balance: Money | UnsetType = UNSET
    total_crypto_balance: Money | UnsetType = UNSET
    futures_unrealized_pnl: Money | UnsetType = UNSET
    perp_unrealized_pnl: Money | UnsetType = UNSET


class SpotHolding(Body, frozen=True, kw_only=True):
    """A coin or currency in the portfolio; its figures come as numbers live and as text in the documentation."""

    asset: str | UnsetType = UNSET
    account_uuid: str | UnsetType = UNSET
    total_balance_fiat: Number | UnsetType = UNSET
    total_balance_crypto: Number | UnsetType = UNSET
    available_to_trade_fiat: Number | UnsetType = UNSET
    allocation: Number | UnsetType = UNSET
    one_day_change: Number | UnsetType = UNSET
    cost_basis: Money | UnsetType = UNSET
    asset_img_url: str | UnsetType = UNSET
    is_cash: bool | UnsetType = UNSET


class TwoCurrencies(Body, frozen=True, kw_only=True):
    """One sum in the user's currency and in its own."""

    user_native_currency: Amount | UnsetType = field(default=UNSET, name="userNativeCurrency")
    raw_currency: Amount | UnsetType = field(default=UNSET, name="rawCurrency")


class IntxHolding(Body, frozen=True, kw_only=True):
    """A position of the retired INTX family, still part of the breakdown's shape."""

    product_id: str | UnsetType = UNSET
    product_uuid: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    asset_image_url: str | UnsetType = UNSET
    vwap: TwoCurrencies | UnsetType = UNSET
    position_side: str | UnsetType = UNSET
    net_size: Number | UnsetType = UNSET
    buy_order_size: Number | UnsetType = UNSET
    sell_order_size: Number | UnsetType = UNSET
    im_contribution: Number | UnsetType = UNSET
    unrealized_pnl: TwoCurrencies | UnsetType = UNSET
    mark_price: TwoCurrencies | UnsetType = UNSET
    liquidation_price: TwoCurrencies | UnsetType = UNSET
    leverage: Number | UnsetType = UNSET
    im_notional: TwoCurrencies | UnsetType = UNSET
    mm_notional: TwoCurrencies | UnsetType = UNSET
    position_notional: TwoCurrencies | UnsetType = UNSET
    margin_type: str | UnsetType = UNSET
    liquidation_buffer: Number | UnsetType = UNSET
    liquidation_percentage: Number | UnsetType = UNSET


class FuturesHolding(Body, frozen=True, kw_only=True):
    """A US futures position as the portfolio shows it; the positions endpoint is the one to trust."""

    product_id: str | UnsetType = UNSET
    contract_size: Number | UnsetType = UNSET
    side: str | UnsetType = UNSET
    amount: Number | UnsetType = UNSET
    avg_entry_price: Number | UnsetType = UNSET
    current_price: Number | UnsetType = UNSET
    unrealized_pnl: Number | UnsetType = UNSET
    expiry: str | UnsetType = UNSET
    underlying_asset: str | UnsetType = UNSET
    asset_img_url: str | UnsetType = UNSET
    product_name: str | UnsetType = UNSET
    venue: str | UnsetType = UNSET
    notional_value: Number | UnsetType = UNSET


class Breakdown(NullableBody, frozen=True, kw_only=True):
    nullable: ClassVar[tuple[str, ...]] = ("spot_positions", "perp_positions", "futures_positions")
    portfolio: PortfolioBody | UnsetType = UNSET
    portfolio_balances: PortfolioBalances | UnsetType = UNSET
    spot_positions: tuple[SpotHolding, ...] | UnsetType | None = UNSET
    perp_positions: tuple[IntxHolding, ...] | UnsetType | None = UNSET
    futures_positions: tuple[FuturesHolding, ...] | UnsetType | None = UNSET


class PortfolioBreakdownReply(Body, frozen=True, kw_only=True):
    """GET /portfolios/{uuid}."""

    breakdown: Breakdown | UnsetType = UNSET


class MoveFundsRequest(RequestBody, frozen=True, kw_only=True):
    """POST /portfolios/move_funds: sent once by `exchange.advanced_trade.operations` and by no command; needs transfer right."""

    funds: Amount | UnsetType = UNSET
    source_portfolio_uuid: str | UnsetType = UNSET
    target_portfolio_uuid: str | UnsetType = UNSET


class MoveFundsReply(Body, frozen=True, kw_only=True):
    source_portfolio_uuid: str | UnsetType = UNSET
    target_portfolio_uuid: str | UnsetType = UNSET


class VolumeRange(Body, frozen=True, kw_only=True):
    volume_types: tuple[str, ...] | UnsetType = UNSET
    vol_from: Number | UnsetType = UNSET
    vol_to: Number | UnsetType = UNSET


class FeeTier(Body, frozen=True, kw_only=True):
    """Rates are fractions of notional. Futures have their own tier: ask with product_type=FUTURE."""

    pricing_tier: str | UnsetType = UNSET
    usd_from: Number | UnsetType = UNSET
    usd_to: Number | UnsetType = UNSET
    taker_fee_rate: Number | UnsetType = UNSET
    maker_fee_rate: Number | UnsetType = UNSET
    aop_from: Number | UnsetType = UNSET
    aop_to: Number | UnsetType = UNSET
    perps_vol_from: Number | UnsetType = UNSET
    perps_vol_to: Number | UnsetType = UNSET
    futures_vol_from: Number | UnsetType = UNSET
    futures_vol_to: Number | UnsetType = UNSET
    volume_types_and_range: tuple[VolumeRange, ...] | UnsetType = UNSET


class MarginRate(Body, frozen=True, kw_only=True):
    value: Number | UnsetType = UNSET


class SalesTax(Body, frozen=True, kw_only=True):
    rate: Number | UnsetType = UNSET
    type: str | UnsetType = UNSET


class VolumeShare(Body, frozen=True, kw_only=True):
    volume_type: str | UnsetType = UNSET
    volume: Number | UnsetType = UNSET


class TransactionSummary(NullableBody, frozen=True, kw_only=True):
    """GET /transaction_summary; volumes and fees come as numbers since about 2025, as text before."""

    nullable: ClassVar[tuple[str, ...]] = ("margin_rate", "goods_and_services_tax", "fee_tier_without_promotion")
    total_volume: Number | UnsetType = UNSET
    total_fees: Number | UnsetType = UNSET
    fee_tier: FeeTier | UnsetType = UNSET
    margin_rate: MarginRate | UnsetType | None = UNSET
    goods_and_services_tax: SalesTax | UnsetType | None = UNSET
    advanced_trade_only_volume: Number | UnsetType = UNSET
    advanced_trade_only_fees: Number | UnsetType = UNSET
    coinbase_pro_volume: Number | UnsetType = UNSET
    coinbase_pro_fees: Number | UnsetType = UNSET
    total_balance: Number | UnsetType = UNSET
    has_promo_fee: bool | UnsetType = UNSET
    volume_breakdown: tuple[VolumeShare, ...] | UnsetType = UNSET
    has_cost_plus_commission: bool | UnsetType = UNSET
    fee_tier_without_promotion: FeeTier | UnsetType | None = UNSET
