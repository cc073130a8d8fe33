"""Public market data: instruments, ticker, book, tape, candles, funding, time, state (reference 7, 11, 12, 14)."""

from decimal import Decimal

from msgspec import UNSET, UnsetType

from perpsctl.wire.global_derivatives.common import Body, Flag, NullableNum, Num, Text, Whole


class TickSizeStep(Body, frozen=True, kw_only=True):
    """From `above_price` on, prices are multiples of `tick_size`."""

    above_price: Num = UNSET
    tick_size: Num = UNSET


class Instrument(Body, frozen=True, kw_only=True):
    """A row of `public/get_instruments`. Sizes are in the unit of `amount`: base coin for linear perps."""

    instrument_name: Text = UNSET
    instrument_id: Whole = UNSET
    kind: Text = UNSET
    instrument_type: Text = UNSET  # linear, reversed
    future_type: Text = UNSET
    underlying_type: Text = UNSET
    product_group: Text = UNSET
    settlement_period: Text = UNSET
    settlement_currency: Text = UNSET
    base_currency: Text = UNSET
    base_currency_uuid: Text = UNSET
    counter_currency: Text = UNSET
    quote_currency: Text = UNSET
    quote_currency_uuid: Text = UNSET
    price_index: Text = UNSET
    index_id: Whole = UNSET
    state: Text = UNSET
    is_active: Flag = UNSET
    tick_size: Num = UNSET
    tick_size_steps: tuple[TickSizeStep, ...] | UnsetType = UNSET
    contract_size: Num = UNSET
    min_trade_amount: Num = UNSET
    qty_tick_size: Num = UNSET
    lot_size: Num = UNSET
    max_leverage: Num = UNSET
    max_non_default_leverage: Num = UNSET
    maker_commission: Num = UNSET
    taker_commission: Num = UNSET
    max_liquidation_commission: Num = UNSET
    block_trade_commission: Num = UNSET
    block_trade_min_trade_amount: Num = UNSET
    block_trade_tick_size: Num = UNSET
    creation_timestamp: Whole = UNSET
    expiration_timestamp: Whole = UNSET
    option_type: Text = UNSET
    strike: Num = UNSET
    rfq: Flag = UNSET


class TickerStats(Body, frozen=True, kw_only=True):
    """The last 24 hours."""

    high: NullableNum = UNSET
    low: NullableNum = UNSET
    price_change: NullableNum = UNSET
    volume: NullableNum = UNSET
    volume_usd: NullableNum = UNSET
    volume_notional: NullableNum = UNSET


class Ticker(Body, frozen=True, kw_only=True):
    """`public/ticker` and channels `ticker`, `incremental_ticker`, `quote` (its best prices only)."""

    type: Text = UNSET  # incremental_ticker: snapshot, change
    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    state: Text = UNSET
    stats: TickerStats | UnsetType = UNSET
    best_bid_price: NullableNum = UNSET
    best_bid_amount: NullableNum = UNSET
    best_ask_price: NullableNum = UNSET
    best_ask_amount: NullableNum = UNSET
    last_price: NullableNum = UNSET
    mark_price: Num = UNSET
    index_price: Num = UNSET
    settlement_price: NullableNum = UNSET
    estimated_delivery_price: Num = UNSET
    open_interest: Num = UNSET
    min_price: Num = UNSET
    max_price: Num = UNSET
    current_funding: Num = UNSET
    funding_8h: Num = UNSET
    interest_value: Num = UNSET
    anchor_min_price: Num = UNSET
    anchor_max_price: Num = UNSET
    is_anchor_breached: Flag = UNSET


Level = tuple[Decimal, Decimal]  # price, amount


class OrderBook(Ticker, frozen=True, kw_only=True):
    """`public/get_order_book`: levels best first, with the figures of the ticker."""

    bids: tuple[Level, ...] | UnsetType = UNSET
    asks: tuple[Level, ...] | UnsetType = UNSET
    change_id: Whole = UNSET


class TapeTrade(Body, frozen=True, kw_only=True):
    """A trade of the tape; `direction` is the taker's. `trade_seq` rises by one per instrument."""

    trade_id: Text = UNSET
    trade_seq: Whole = UNSET
    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    direction: Text = UNSET
    price: Num = UNSET
    amount: Num = UNSET
    contracts: Num = UNSET
    index_price: Num = UNSET
    mark_price: Num = UNSET
    tick_direction: Whole = UNSET
    liquidation: Text = UNSET


class TapeTrades(Body, frozen=True, kw_only=True):
    """`public/get_last_trades_by_instrument[_and_time]` and `..._by_currency`."""

    trades: tuple[TapeTrade, ...] | UnsetType = UNSET
    has_more: Flag = UNSET


class ChartData(Body, frozen=True, kw_only=True):
    """`public/get_tradingview_chart_data`: parallel lists, oldest first; `ticks` are the bars' first milliseconds."""

    status: Text = UNSET  # ok, no_data
    ticks: tuple[int, ...] | UnsetType = UNSET
    open: tuple[Decimal, ...] | UnsetType = UNSET
    high: tuple[Decimal, ...] | UnsetType = UNSET
    low: tuple[Decimal, ...] | UnsetType = UNSET
    close: tuple[Decimal, ...] | UnsetType = UNSET
    volume: tuple[Decimal, ...] | UnsetType = UNSET
    cost: tuple[Decimal, ...] | UnsetType = UNSET


class ChartBar(Body, frozen=True, kw_only=True):
    """Channel `chart.trades`: one bar, `tick` its first millisecond."""

    tick: Whole = UNSET
    open: Num = UNSET
    high: Num = UNSET
    low: Num = UNSET
    close: Num = UNSET
    volume: Num = UNSET
    cost: Num = UNSET


class FundingRow(Body, frozen=True, kw_only=True):
    """An hour of `public/get_funding_rate_history`; the interests are fractions for one and for eight hours."""

    timestamp: Whole = UNSET
    index_price: Num = UNSET
    prev_index_price: Num = UNSET
    interest_1h: Num = UNSET
    interest_8h: Num = UNSET


class FundingPoint(Body, frozen=True, kw_only=True):
    """A point of the funding chart, and channel `perpetual` (whose `interest` is the current rate)."""

    timestamp: Whole = UNSET
    index_price: Num = UNSET
    interest: Num = UNSET
    interest_8h: Num = UNSET


class FundingChart(Body, frozen=True, kw_only=True):
    """`public/get_funding_chart_data`."""

    current_interest: Num = UNSET
    interest_8h: Num = UNSET
    max: Num = UNSET
    data: tuple[FundingPoint, ...] | UnsetType = UNSET


class BookSummary(Body, frozen=True, kw_only=True):
    """A row of `public/get_book_summary_by_*`."""

    instrument_name: Text = UNSET
    base_currency: Text = UNSET
    quote_currency: Text = UNSET
    bid_price: NullableNum = UNSET
    ask_price: NullableNum = UNSET
    mid_price: NullableNum = UNSET
    mark_price: Num = UNSET
    last: NullableNum = UNSET
    high: NullableNum = UNSET
    low: NullableNum = UNSET
    price_change: NullableNum = UNSET
    open_interest: Num = UNSET
    volume: Num = UNSET
    volume_usd: Num = UNSET
    volume_notional: Num = UNSET
    current_funding: Num = UNSET
    funding_8h: Num = UNSET
    estimated_delivery_price: Num = UNSET
    creation_timestamp: Whole = UNSET


class IndexPrice(Body, frozen=True, kw_only=True):
    """`public/get_index_price`."""

    index_price: Num = UNSET
    estimated_delivery_price: Num = UNSET


class IndexPoint(Body, frozen=True, kw_only=True):
    """Channel `deribit_price_index.*`."""

    index_name: Text = UNSET
    price: Num = UNSET
    timestamp: Whole = UNSET


class ContractSize(Body, frozen=True, kw_only=True):
    """`public/get_contract_size`."""

    contract_size: Num = UNSET


class Currency(Body, frozen=True, kw_only=True):
    """A row of `public/get_currencies`."""

    currency: Text = UNSET
    currency_long: Text = UNSET
    coin_type: Text = UNSET
    decimals: Whole = UNSET
    fee_precision: Whole = UNSET
    min_confirmations: Whole = UNSET
    min_withdrawal_fee: Num = UNSET
    withdrawal_fee: Num = UNSET
    in_cross_collateral_pool: Flag = UNSET


class Version(Body, frozen=True, kw_only=True):
    """`public/test` and `public/hello`."""

    version: Text = UNSET


class PlatformStatus(Body, frozen=True, kw_only=True):
    """`public/status`: `locked` is "true", "partial" or "false"."""

    locked: Text = UNSET
    locked_indices: tuple[str, ...] | UnsetType = UNSET
    locked_currencies: tuple[str, ...] | UnsetType = UNSET


class PlatformState(Body, frozen=True, kw_only=True):
    """Channels `platform_state` (an index locked, or maintenance) and `platform_state.public_methods_state`."""

    price_index: Text = UNSET
    locked: Flag = UNSET
    maintenance: Flag = UNSET
    allow_unauthenticated_public_requests: Flag = UNSET


class InstrumentState(Body, frozen=True, kw_only=True):
    """Channel `instrument.state.*`."""

    instrument_name: Text = UNSET
    state: Text = UNSET
    timestamp: Whole = UNSET


class BookChange(Body, frozen=True, kw_only=True):
    """Channel `book.{i}.{interval}`: levels are (new|change|delete, price, absolute amount).

    `prev_change_id` equals the `change_id` before; a snapshot has none.
    """

    type: Text = UNSET  # snapshot, change
    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    change_id: Whole = UNSET
    prev_change_id: Whole = UNSET
    bids: tuple[tuple[str, Decimal, Decimal], ...] | UnsetType = UNSET
    asks: tuple[tuple[str, Decimal, Decimal], ...] | UnsetType = UNSET


class BookImage(Body, frozen=True, kw_only=True):
    """Channel `book.{i}.{group}.{depth}.{interval}`: the whole top of the book each time."""

    instrument_name: Text = UNSET
    timestamp: Whole = UNSET
    change_id: Whole = UNSET
    bids: tuple[Level, ...] | UnsetType = UNSET
    asks: tuple[Level, ...] | UnsetType = UNSET
