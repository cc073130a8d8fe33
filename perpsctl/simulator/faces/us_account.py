"""The account side of the US face: keys, wallets, portfolios, fees and the futures account (reference 5 and 7)."""

import base64
import binascii
from decimal import Decimal

from msgspec import UNSET

from perpsctl.simulator.exchange import Exchange, NotFound
from perpsctl.simulator.faces.errors import Forbidden, Malformed
from perpsctl.simulator.faces.messages import Query
from perpsctl.simulator.faces.spelling import plain, stamp, usd
from perpsctl.simulator.faces.us_market import count
from perpsctl.simulator.identity import KeyRecord
from perpsctl.simulator.views import AccountView, PortfolioView, PositionView, SweepView, WindowMeasure
from perpsctl.wire.advanced_trade import accounts as wire
from perpsctl.wire.advanced_trade import futures
from perpsctl.wire.advanced_trade.common import Amount
from perpsctl.wire.guard import WireError, number

DEFAULT_PAGE = 49  # older docs; unverified (reference 5.2)
MAX_PAGE = 250
_FUTURES_CLASSES = frozenset({"FUTURE", "FUTURES"})
_SPOT_TIER = ("Intro 1", "0.006", "0.012")  # recorded 2025/26: what an account without volume pays on spot


def key_permissions(exchange: Exchange, key: KeyRecord) -> wire.KeyPermissions:
    """GET /key_permissions. Faults A3, A6 and A7 show here as they would at the venue."""
    rights = exchange.key_permissions(
        can_trade=key.can_trade, can_transfer=key.can_transfer, can_view=key.can_view, bound_to=key.portfolio_uuid
    )
    return wire.KeyPermissions(
        can_view=rights.can_view,
        can_trade=rights.can_trade,
        can_transfer=rights.can_transfer,
        portfolio_uuid=rights.portfolio_uuid,
        portfolio_type=rights.portfolio_type,
    )


def list_accounts(exchange: Exchange, query: Query) -> wire.AccountsReply:
    """GET /accounts: real pages behind an opaque cursor."""
    limit = count(query, "limit", DEFAULT_PAGE) or DEFAULT_PAGE
    if limit > MAX_PAGE:
        raise Malformed(f"limit is at most {MAX_PAGE}")
    found = exchange.accounts()
    start = _after(query.one("cursor"), tuple(account.uuid for account in found))
    page = found[start : start + limit]
    more = start + len(page) < len(found)
    return wire.AccountsReply(
        accounts=tuple(_account(each) for each in page),
        has_next=more,
        cursor=_cursor(page[-1].uuid) if more else "",
        size=len(page),
    )


def get_account(exchange: Exchange, uuid: str) -> wire.AccountReply:
    """GET /accounts/{uuid}."""
    return wire.AccountReply(account=_account(exchange.account(uuid)))


def _account(view: AccountView) -> wire.AccountBody:
    return wire.AccountBody(
        uuid=view.uuid,
        name=view.name,
        currency=view.currency,
        available_balance=Amount(value=plain(view.available), currency=view.currency),
        default=view.default,
        active=view.active,
        created_at=stamp(view.created_at),
        updated_at=stamp(view.updated_at),
        type=view.type,
        ready=view.ready,
        hold=Amount(value=plain(view.hold), currency=view.currency),
        retail_portfolio_id=view.portfolio_uuid,
        platform=view.platform,
    )


def _cursor(last: str) -> str:
    return base64.urlsafe_b64encode(f"after:{last}".encode()).decode("ascii")


def _after(cursor: str | None, ids: tuple[str, ...]) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Malformed("invalid cursor") from None
    last = text.removeprefix("after:")
    if not text.startswith("after:") or last not in ids:
        raise Malformed("invalid cursor")
    return ids.index(last) + 1


# --- portfolios ---------------------------------------------------------------------------------------


def list_portfolios(exchange: Exchange, query: Query) -> wire.PortfoliosReply:
    """GET /portfolios."""
    wanted = query.one("portfolio_type")
    found = (each for each in exchange.portfolios() if wanted in (None, "UNDEFINED", each.type))
    return wire.PortfoliosReply(portfolios=tuple(_portfolio(each) for each in found))


def create_portfolio(exchange: Exchange, body: wire.PortfolioRequest) -> wire.PortfolioReply:
    """POST /portfolios."""
    return wire.PortfolioReply(portfolio=_portfolio(exchange.create_portfolio(_name(body))))


def rename_portfolio(exchange: Exchange, uuid: str, body: wire.PortfolioRequest) -> wire.PortfolioReply:
    """PUT /portfolios/{uuid}."""
    return wire.PortfolioReply(portfolio=_portfolio(exchange.rename_portfolio(uuid, _name(body))))


def _name(body: wire.PortfolioRequest) -> str:
    if body.name is UNSET or not body.name:
        raise Malformed("name is required")
    return body.name


def move_funds(exchange: Exchange, body: wire.MoveFundsRequest) -> wire.MoveFundsReply:
    """POST /portfolios/move_funds."""
    source, target = body.source_portfolio_uuid, body.target_portfolio_uuid
    if source is UNSET or target is UNSET or body.funds is UNSET:
        raise Malformed("funds, source_portfolio_uuid and target_portfolio_uuid are required")
    value, currency = body.funds.value, body.funds.currency
    if value is UNSET or currency is UNSET:
        raise Malformed("funds need value and currency")
    exchange.move_funds(source=source, target=target, amount=exact(value, "funds.value"), currency=currency)
    return wire.MoveFundsReply(source_portfolio_uuid=source, target_portfolio_uuid=target)


def portfolio_breakdown(exchange: Exchange, uuid: str, key: KeyRecord) -> wire.PortfolioBreakdownReply:
    """GET /portfolios/{uuid}: 403 where the key is bound to another one (coinbase/coinbase-advanced-py#89)."""
    if key.portfolio_uuid is not None and key.portfolio_uuid != uuid:
        raise Forbidden("User does not have access to portfolio")
    view = exchange.portfolio(uuid)
    total = view.cash + view.futures_cash + view.futures_unrealized_pnl
    return wire.PortfolioBreakdownReply(
        breakdown=wire.Breakdown(
            portfolio=_portfolio(view.portfolio),
            portfolio_balances=wire.PortfolioBalances(
                total_balance=usd(total),
                total_futures_balance=usd(view.futures_cash),
                total_cash_equivalent_balance=usd(view.cash),
                total_crypto_balance=usd(Decimal(0)),
                futures_unrealized_pnl=usd(view.futures_unrealized_pnl),
                perp_unrealized_pnl=usd(Decimal(0)),
            ),
            spot_positions=tuple(_cash(each, total) for each in exchange.accounts() if each.currency == "USD"),
            perp_positions=(),
            futures_positions=tuple(_holding(each) for each in view.positions),
        )
    )


def _portfolio(view: PortfolioView) -> wire.PortfolioBody:
    return wire.PortfolioBody(name=view.name, uuid=view.uuid, type=view.type, deleted=view.deleted)


def _cash(view: AccountView, total: Decimal) -> wire.SpotHolding:
    balance = view.available + view.hold
    return wire.SpotHolding(
        asset=view.currency,
        account_uuid=view.uuid,
        total_balance_fiat=plain(balance),
        total_balance_crypto=plain(balance),
        available_to_trade_fiat=plain(view.available),
        allocation=plain(balance / total) if total else "0",
        cost_basis=usd(balance),
        asset_img_url="",
        is_cash=True,
    )


def _holding(view: PositionView) -> wire.FuturesHolding:
    return wire.FuturesHolding(
        product_id=view.product_id,
        contract_size=plain(view.contract_size),
        side=f"FUTURES_POSITION_SIDE_{view.side}",
        amount=plain(view.number_of_contracts),
        avg_entry_price=plain(view.avg_entry_price),
        current_price=plain(view.current_price),
        unrealized_pnl=plain(view.unrealized_pnl),
        expiry=stamp(view.expiration_time),
        underlying_asset="",
        asset_img_url="",
        product_name="",
        venue="FCM",
        notional_value=plain(view.notional),
    )


def transaction_summary(exchange: Exchange, query: Query) -> wire.TransactionSummary:
    """GET /transaction_summary: the futures tier for `product_type=FUTURE`, else the tier of spot."""
    fees = exchange.fee_summary()
    tier, maker, taker = _SPOT_TIER
    if (query.one("product_type") or "").upper() in _FUTURES_CLASSES:
        tier, maker, taker = fees.pricing_tier, plain(fees.maker_fee_rate), plain(fees.taker_fee_rate)
    volume, paid = plain(fees.total_volume), plain(fees.total_fees)
    return wire.TransactionSummary(
        total_volume=volume,
        total_fees=paid,
        fee_tier=wire.FeeTier(
            pricing_tier=tier,
            usd_from="0",
            usd_to="",
            taker_fee_rate=taker,
            maker_fee_rate=maker,
            aop_from="0",
            aop_to="1000000",
            perps_vol_from="",
            perps_vol_to="",
            futures_vol_from="",
            futures_vol_to="",
            volume_types_and_range=(
                wire.VolumeRange(
                    volume_types=("VOLUME_TYPE_SPOT", "VOLUME_TYPE_US_DERIVATIVES"), vol_from="0", vol_to="10000"
                ),
            ),
        ),
        advanced_trade_only_volume=volume,
        advanced_trade_only_fees=paid,
        coinbase_pro_volume="0",
        coinbase_pro_fees="0",
        total_balance=plain(fees.total_balance),
        has_promo_fee=False,
        volume_breakdown=(
            wire.VolumeShare(volume_type="VOLUME_TYPE_SPOT", volume="0"),
            wire.VolumeShare(volume_type="VOLUME_TYPE_US_DERIVATIVES", volume=volume),
        ),
        has_cost_plus_commission=False,
    )


# --- futures ------------------------------------------------------------------------------------------


def balance_summary(exchange: Exchange) -> futures.BalanceSummaryReply:
    """GET /cfm/balance_summary."""
    view = exchange.balance_summary()
    return futures.BalanceSummaryReply(
        balance_summary=futures.BalanceSummary(
            futures_buying_power=usd(view.futures_buying_power),
            total_usd_balance=usd(view.total_usd_balance),
            cbi_usd_balance=usd(view.cbi_usd_balance),
            cfm_usd_balance=usd(view.cfm_usd_balance),
            total_open_orders_hold_amount=usd(view.total_open_orders_hold_amount),
            unrealized_pnl=usd(view.unrealized_pnl),
            daily_realized_pnl=usd(view.daily_realized_pnl),
            initial_margin=usd(view.initial_margin),
            available_margin=usd(view.available_margin),
            liquidation_threshold=usd(view.liquidation_threshold),
            liquidation_buffer_amount=usd(view.liquidation_buffer_amount),
            liquidation_buffer_percentage=plain(view.liquidation_buffer_percentage),
            intraday_margin_window_measure=_measure(view.intraday),
            overnight_margin_window_measure=_measure(view.overnight),
            funding_pnl=usd(view.funding_pnl),
            total_pending_transfers_amount=usd(view.total_pending_transfers_amount),
        )
    )


def _measure(view: WindowMeasure) -> futures.MarginWindowMeasure:
    return futures.MarginWindowMeasure(
        margin_window_type=view.margin_window_type,
        margin_level=view.margin_level,
        initial_margin=plain(view.initial_margin),
        maintenance_margin=plain(view.maintenance_margin),
        liquidation_buffer=plain(view.liquidation_buffer),
        total_hold=plain(view.total_hold),
        futures_buying_power=plain(view.futures_buying_power),
    )


def list_positions(exchange: Exchange) -> futures.FuturesPositionsReply:
    """GET /cfm/positions."""
    return futures.FuturesPositionsReply(positions=tuple(_position(each) for each in exchange.positions()))


def get_position(exchange: Exchange, product_id: str) -> futures.FuturesPositionReply:
    """GET /cfm/positions/{product_id}: an empty object when flat, never null (the SDK raises on null)."""
    exchange.product(product_id)
    try:
        return futures.FuturesPositionReply(position=_position(exchange.position(product_id)))
    except NotFound:
        return futures.FuturesPositionReply()


def _position(view: PositionView) -> futures.FuturesPositionBody:
    """Flat text: what every source but one says (reference 7)."""
    return futures.FuturesPositionBody(
        product_id=view.product_id,
        expiration_time=stamp(view.expiration_time),
        side=view.side,
        number_of_contracts=plain(view.number_of_contracts),
        current_price=plain(view.current_price),
        avg_entry_price=plain(view.avg_entry_price),
        unrealized_pnl=plain(view.unrealized_pnl),
        daily_realized_pnl=plain(view.daily_realized_pnl),
    )


def margin_window(exchange: Exchange, query: Query) -> futures.MarginWindowReply:
    """GET /cfm/intraday/current_margin_window."""
    view = exchange.margin_window(query.one("margin_profile_type"))
    return futures.MarginWindowReply(
        margin_window=futures.MarginWindow(margin_window_type=view.margin_window_type, end_time=stamp(view.end_time)),
        is_intraday_margin_killswitch_enabled=view.is_intraday_margin_killswitch_enabled,
        is_intraday_margin_enrollment_killswitch_enabled=view.is_intraday_margin_enrollment_killswitch_enabled,
    )


def set_margin_setting(exchange: Exchange, body: futures.MarginSetting) -> None:
    """POST /cfm/intraday/margin_setting."""
    if body.setting is UNSET:
        raise Malformed("setting is required")
    exchange.set_margin_setting(body.setting)


def list_sweeps(exchange: Exchange) -> futures.SweepsReply:
    """GET /cfm/sweeps."""
    return futures.SweepsReply(sweeps=tuple(_sweep(each) for each in exchange.sweeps()))


def schedule_sweep(exchange: Exchange, body: futures.ScheduleSweepRequest) -> futures.SuccessReply:
    """POST /cfm/sweeps/schedule."""
    amount = None if body.usd_amount is UNSET else exact(body.usd_amount, "usd_amount")
    return futures.SuccessReply(success=exchange.schedule_sweep(amount))


def _sweep(view: SweepView) -> futures.SweepBody:
    when = stamp(view.scheduled_time)
    return futures.SweepBody(
        id=view.sweep_id,
        requested_amount=usd(view.requested_amount),
        should_sweep_all=view.should_sweep_all,
        status=view.status,
        scheduled_time=when,
        schedule_time=when,  # the SDK's spelling
    )


def exact(text: str, name: str) -> Decimal:
    """A number from a request; Malformed for whatever is not a plain one."""
    try:
        return number(text)
    except WireError:
        raise Malformed(f"{name} is not a number") from None
