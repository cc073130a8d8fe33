"""Values of the trade for tests: name only what the test is about, the rest is a quiet, healthy market.

The default scene: noon UTC on a Sunday, BTC-PERP in contracts of 0.01 at a mid of 60,000, a book deep enough for every
default limit, 1,000,000 of equity, no position, no order, everything read this second.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from perpsctl.domain.accounts import (
    AccountView,
    Booked,
    Calendar,
    EquityMark,
    Flow,
    HeldMark,
    LiveOrder,
    LossBasis,
    MarginLevel,
    MarginWindow,
    OrdersRead,
    Position,
    PositionsRead,
    RecentIntent,
    RiskView,
    ServerTime,
    TradingState,
)
from perpsctl.domain.ids import ClientOrderId, FillId, IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import (
    BookView,
    FundingTerms,
    Level,
    Mark,
    MarketFacts,
    MarkSource,
    SessionState,
    TradingSession,
    TradingStatus,
)
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import (
    EditIntent,
    Fill,
    FillKind,
    Liquidity,
    OrderIntent,
    OrderStatus,
    OrderType,
    Origin,
    QuantizedEdit,
    QuantizedOrder,
    Road,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.products import MarginRates, PriceStep, Product
from perpsctl.domain.quantize import quantize
from perpsctl.domain.sides import Side

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BTC = "BIP-20DEC30-CDE"
ETH = "ETP-20DEC30-CDE"

_UNSET: Any = object()  # where None itself means something: "could not be read"


# --- market -----------------------------------------------------------------------------------------


def a_session(
    *,
    state: SessionState = SessionState.OPEN,
    opens: datetime | None = None,
    closes: datetime | None = None,
    maintenance: tuple[datetime, datetime] | None = None,
    after_hours_entry_disabled: bool = False,
) -> TradingSession:
    return TradingSession(
        state=state,
        opens=opens,
        closes=closes,
        maintenance=maintenance,
        after_hours_entry_disabled=after_hours_entry_disabled,
    )


def a_status(
    *,
    disabled: bool = False,
    cancel_only: bool = False,
    limit_only: bool = False,
    post_only: bool = False,
    auction: bool = False,
    view_only: bool = False,
    session: TradingSession | None = None,
) -> TradingStatus:
    return TradingStatus(
        disabled=disabled,
        cancel_only=cancel_only,
        limit_only=limit_only,
        post_only=post_only,
        auction=auction,
        view_only=view_only,
        session=session,
    )


def a_funding(
    *,
    rate: str | None = "0.000013",
    interval: timedelta | None = timedelta(hours=1),
    next_accrual: datetime | None = NOW + timedelta(hours=1),
    as_of: datetime = NOW,
) -> FundingTerms:
    return FundingTerms(
        rate=None if rate is None else Decimal(rate), interval=interval, next_accrual=next_accrual, as_of=as_of
    )


def a_product(
    *,
    product_id: str = BTC,
    alias: str = "BTC-PERP",
    base: str = "BTC",
    contract_size: str = "0.01",
    min_contracts: str = "1",
    max_contracts: str | None = "5000",
    price_step: str = "5",
    price_steps: tuple[PriceStep, ...] | None = None,
    status: TradingStatus | None = None,
    funding: FundingTerms | None = _UNSET,
    index_price: str | None = "60000",
    last_price: str | None = "60000",
    intraday_margin: tuple[str, str] | None = ("0.10", "0.10"),
    overnight_margin: tuple[str, str] | None = ("0.25", "0.31"),
    as_of: datetime = NOW,
) -> Product:
    contract = Decimal(contract_size)
    return Product(
        product_id=ProductId(product_id),
        alias=alias,
        base=base,
        quote="USD",
        contract_size=Size(contract),
        size_step=Size(contract),
        min_size=Size(contract * Decimal(min_contracts)),
        max_size=None if max_contracts is None else Size(contract * Decimal(max_contracts)),
        price_steps=price_steps or (PriceStep(above=Decimal(0), step=Decimal(price_step)),),
        status=status or a_status(),
        funding=a_funding() if funding is _UNSET else funding,
        index_price=_price(index_price),
        last_price=_price(last_price),
        intraday_margin=_rates(intraday_margin),
        overnight_margin=_rates(overnight_margin),
        expiry=datetime(2030, 12, 20, 16, 0, tzinfo=UTC),
        display_name=f"{base} PERP",
        as_of=as_of,
    )


def a_book(
    *,
    product_id: str = BTC,
    mid: str = "60000",
    half_spread: str = "5",
    step: str = "5",
    levels: int = 20,
    size: str = "5",
    bids: Iterable[tuple[str, str]] | None = None,
    asks: Iterable[tuple[str, str]] | None = None,
    as_of: datetime = NOW,
    last: str | None = None,
) -> BookView:
    """A ladder of `levels` of `size` coin each around `mid`, or the rungs given as (price, size)."""
    centre, gap, rung = Decimal(mid), Decimal(half_spread), Decimal(step)
    if bids is None:
        bids = [(str(centre - gap - rung * n), size) for n in range(levels)]
    if asks is None:
        asks = [(str(centre + gap + rung * n), size) for n in range(levels)]
    return BookView(
        product_id=ProductId(product_id), bids=_levels(bids), asks=_levels(asks), as_of=as_of, last=_price(last)
    )


def some_facts(
    *,
    product: Product | None = None,
    book: BookView | None = _UNSET,
    index_price: str | None = _UNSET,
    last_price: str | None = _UNSET,
    funding: FundingTerms | None = _UNSET,
    status: TradingStatus | None = _UNSET,
    product_as_of: datetime | None = _UNSET,
    last_known_price: str | None = None,
) -> MarketFacts:
    """Market facts of `product`; what is not named comes from the product itself."""
    product = product or a_product()
    return MarketFacts(
        product_id=product.product_id,
        book=a_book(product_id=product.product_id) if book is _UNSET else book,
        index_price=product.index_price if index_price is _UNSET else _price(index_price),
        last_price=product.last_price if last_price is _UNSET else _price(last_price),
        funding=product.funding if funding is _UNSET else funding,
        status=product.status if status is _UNSET else status,
        product_as_of=product.as_of if product_as_of is _UNSET else product_as_of,
        last_known_price=_price(last_known_price),
    )


def a_mark(*, price: str = "60000", as_of: datetime = NOW, source: MarkSource = MarkSource.BOOK_MID) -> Mark:
    return Mark(price=Price(Decimal(price)), as_of=as_of, source=source)


# --- account ----------------------------------------------------------------------------------------


def an_account(
    *,
    equity: str = "1000000",
    unrealised: str = "0",
    daily_realised: str | None = "0",
    funding_pnl: str | None = "0",
    buying_power: str | None = "1000000",
    initial_margin: str | None = "0",
    available_margin: str | None = "1000000",
    liquidation_threshold: str | None = "0",
    liquidation_buffer: str | None = "1000000",
    margin_level: MarginLevel = MarginLevel.BASE,
    as_of: datetime = NOW,
) -> AccountView:
    return AccountView(
        equity=Notional(Decimal(equity)),
        balance=Notional(Decimal(equity) - Decimal(unrealised)),
        unrealised=Notional(Decimal(unrealised)),
        daily_realised=_notional(daily_realised),
        funding_pnl=_notional(funding_pnl),
        buying_power=_notional(buying_power),
        initial_margin=_notional(initial_margin),
        available_margin=_notional(available_margin),
        liquidation_threshold=_notional(liquidation_threshold),
        liquidation_buffer=_notional(liquidation_buffer),
        margin_level=margin_level,
        as_of=as_of,
    )


def a_position(
    *,
    coin: str = "0.1",
    product_id: str = BTC,
    contract_size: str = "0.01",
    average_entry: str | None = "60000",
    current_price: str | None = "60000",
    unrealised: str | None = "0",
) -> Position:
    return Position(
        product_id=ProductId(product_id),
        coin=Decimal(coin),
        contracts=Decimal(coin) / Decimal(contract_size),
        average_entry=_price(average_entry),
        current_price=_price(current_price),
        unrealised=_notional(unrealised),
        daily_realised=None,
    )


def positions_read(*positions: Position, as_of: datetime = NOW) -> PositionsRead:
    return PositionsRead(positions=positions, as_of=as_of)


def orders_read(*orders: VenueOrder, as_of: datetime = NOW) -> OrdersRead:
    return OrdersRead(orders=orders, as_of=as_of, pages=1)


def a_server_time(
    *, skew: timedelta = timedelta(0), uncertainty: timedelta = timedelta(milliseconds=5), as_of: datetime = NOW
) -> ServerTime:
    return ServerTime(venue_time=as_of + skew, skew=skew, uncertainty=uncertainty, as_of=as_of)


def a_margin_window(
    *, kind: str = "OVERNIGHT", ends: datetime | None = None, intraday_enrolled: bool | None = False
) -> MarginWindow:
    return MarginWindow(kind=kind, ends=ends, intraday_enrolled=intraday_enrolled)


def a_calendar(
    *, funding_cash_times: tuple[time, ...] = (time(20, 0),), margin_window: MarginWindow | None = _UNSET
) -> Calendar:
    return Calendar(
        funding_cash_times=funding_cash_times,
        margin_window=a_margin_window() if margin_window is _UNSET else margin_window,
    )


# --- journal ----------------------------------------------------------------------------------------


def a_live_order(
    *,
    intent_id: str | None = "intent-live-1",
    client_order_id: str | None = _UNSET,
    venue_order_id: str | None = None,
    product_id: str = BTC,
    side: Side = Side.BUY,
    remaining: str | None = "0.01",
    price: str | None = "59000",
    in_doubt: bool = False,
    one_shot: bool = False,
    reduce_only: bool = False,
) -> LiveOrder:
    client = intent_id if client_order_id is _UNSET else client_order_id
    return LiveOrder(
        intent_id=None if intent_id is None else IntentId(intent_id),
        client_order_id=None if client is None else ClientOrderId(str(client)),
        venue_order_id=None if venue_order_id is None else VenueOrderId(venue_order_id),
        product_id=ProductId(product_id),
        side=side,
        remaining=None if remaining is None else Size(Decimal(remaining)),
        price=_price(price),
        in_doubt=in_doubt,
        one_shot=one_shot,
        reduce_only=reduce_only,
    )


def a_recent_intent(
    *,
    intent_id: str = "intent-recent-1",
    product_id: str = BTC,
    side: Side = Side.BUY,
    size: str = "0.01",
    price: str | None = "59000",
    reason: str = "place",
    at: datetime = NOW,
    ended_empty: bool = False,
) -> RecentIntent:
    return RecentIntent(
        intent_id=IntentId(intent_id),
        product_id=ProductId(product_id),
        side=side,
        size=Size(Decimal(size)),
        price=_price(price),
        reason=reason,
        at=at,
        ended_empty=ended_empty,
    )


def an_equity_mark(
    *, equity: str = "1000000", at: datetime = NOW - timedelta(hours=12), held: tuple[HeldMark, ...] = ()
) -> EquityMark:
    return EquityMark(at=at, equity=Notional(Decimal(equity)), held=held)


def held(*, coin: str, price: str, product_id: str = BTC) -> HeldMark:
    return HeldMark(product_id=ProductId(product_id), coin=Decimal(coin), price=Price(Decimal(price)))


def a_flow(*, coin: str, cash: str, product_id: str = BTC) -> Flow:
    return Flow(product_id=ProductId(product_id), coin=Decimal(coin), cash=Decimal(cash))


def a_loss_basis(
    *,
    window: str = "utc_day",
    start: datetime = NOW - timedelta(hours=12),
    baseline: EquityMark | None = _UNSET,
    flows: tuple[Flow, ...] = (),
    transfers: str = "0",
) -> LossBasis:
    return LossBasis(
        window=window,
        start=start,
        baseline=an_equity_mark() if baseline is _UNSET else baseline,
        flows=flows,
        transfers=Notional(Decimal(transfers)),
    )


def both_loss_bases(
    *, baseline: EquityMark | None = _UNSET, flows: tuple[Flow, ...] = (), transfers: str = "0"
) -> tuple[LossBasis, ...]:
    """The two windows a loss is counted over, with the same baseline and flows."""
    return tuple(
        a_loss_basis(window=window, baseline=baseline, flows=flows, transfers=transfers)
        for window in ("utc_day", "rolling_24h")
    )


def a_booked(
    *,
    live: tuple[LiveOrder, ...] = (),
    in_doubt: tuple[str, ...] = (),
    recent: tuple[RecentIntent, ...] = (),
    sent_last_minute: int = 0,
    sent_today: int = 0,
    loss_bases: tuple[LossBasis, ...] | None = None,
    halted: bool = False,
    states: Mapping[ProductId, TradingState] | None = None,
    as_of: datetime = NOW,
) -> Booked:
    return Booked(
        as_of=as_of,
        live=live,
        in_doubt=tuple(IntentId(each) for each in in_doubt),
        recent=recent,
        sent_last_minute=sent_last_minute,
        sent_today=sent_today,
        loss_bases=both_loss_bases() if loss_bases is None else loss_bases,
        halted=halted,
        states=states or {},
    )


# --- the view risk judges ---------------------------------------------------------------------------


def a_view(
    *,
    now: datetime = NOW,
    product: Product | None = None,
    market: MarketFacts | None = None,
    marks: Mapping[ProductId, Mark] | None = None,
    account: AccountView | None = _UNSET,
    positions: PositionsRead | None = _UNSET,
    orders: OrdersRead | None = _UNSET,
    server_time: ServerTime | None = _UNSET,
    calendar: Calendar | None = None,
    native_reduce_only: bool = False,
    booked: Booked | None = _UNSET,
) -> RiskView:
    """A view in which every default limit passes. None for a part means that it could not be read."""
    product = product or (a_product() if market is None else a_product(product_id=market.product_id))
    market = market or some_facts(product=product)
    if marks is None:
        mark = market.mark()
        marks = {} if mark is None else {product.product_id: mark}
    return RiskView(
        now=now,
        product=product,
        market=market,
        marks=marks,
        account=an_account() if account is _UNSET else account,
        positions=positions_read() if positions is _UNSET else positions,
        orders=orders_read() if orders is _UNSET else orders,
        server_time=a_server_time() if server_time is _UNSET else server_time,
        calendar=calendar or a_calendar(),
        native_reduce_only=native_reduce_only,
        booked_part=a_booked() if booked is _UNSET else booked,
    )


# --- orders -----------------------------------------------------------------------------------------


def an_intent(
    *,
    id: str = "intent-0001",  # noqa: A002 - the field's own name
    product_id: str = BTC,
    side: Side = Side.BUY,
    size: str = "0.01",
    type: OrderType = OrderType.LIMIT,  # noqa: A002 - the field's own name
    tif: TimeInForce | None = None,
    limit_price: str | None = _UNSET,
    stop_price: str | None = None,
    post_only: bool = False,
    reduce_only: bool = False,
    expires: datetime | None = None,
    origin: Origin = Origin.OPERATOR,
    road: Road = Road.ENTRY,
    reason: str = "place",
    again: bool = False,
    rest_through: bool = False,
    created_at: datetime = NOW,
) -> OrderIntent:
    """A plain resting buy of one contract a little below the market; a market order is IOC without a price."""
    market = type is OrderType.MARKET
    if limit_price is _UNSET:
        limit_price = None if market else ("59900" if side is Side.BUY else "60100")
    return OrderIntent(
        id=IntentId(id),
        product_id=ProductId(product_id),
        side=side,
        size=Size(Decimal(size)),
        type=type,
        tif=tif or (TimeInForce.IOC if market else TimeInForce.GTC),
        limit_price=_price(limit_price),
        stop_price=_price(stop_price),
        post_only=post_only,
        reduce_only=reduce_only,
        expires=expires,
        origin=origin,
        road=road,
        reason=reason,
        again=again,
        rest_through=rest_through,
        created_at=created_at,
    )


def a_quantized(intent: OrderIntent | None = None, *, product: Product | None = None) -> QuantizedOrder:
    """The intent on the grid of `product`."""
    intent = intent or an_intent()
    return quantize(intent, product or a_product(product_id=intent.product_id))


def an_edit_intent(
    *,
    id: str = "intent-edit-1",  # noqa: A002 - the field's own name
    target: str = "intent-0001",
    venue_order_id: str = "venue-0001",
    new_price: str | None = "59800",
    new_size: str | None = None,
    origin: Origin = Origin.OPERATOR,
    created_at: datetime = NOW,
) -> EditIntent:
    return EditIntent(
        id=IntentId(id),
        target=IntentId(target),
        venue_order_id=VenueOrderId(venue_order_id),
        new_price=_price(new_price),
        new_size=None if new_size is None else Size(Decimal(new_size)),
        origin=origin,
        created_at=created_at,
    )


def an_edit(
    *,
    intent: EditIntent | None = None,
    product: Product | None = None,
    side: Side = Side.BUY,
    old_size: str = "0.01",
    old_price: str | None = "59900",
    filled: str = "0",
    new_size: str = "0.01",
    new_price: str | None = "59800",
    post_only: bool = False,
    reduce_only: bool = False,
) -> QuantizedEdit:
    return QuantizedEdit(
        intent=intent or an_edit_intent(),
        product=product or a_product(),
        side=side,
        old_size=Size(Decimal(old_size)),
        old_price=_price(old_price),
        filled=Size(Decimal(filled)),
        new_size=Size(Decimal(new_size)),
        new_price=_price(new_price),
        post_only=post_only,
        reduce_only=reduce_only,
    )


def an_order(
    *,
    venue_order_id: str = "venue-0001",
    client_order_id: str | None = "intent-0001",
    product_id: str = BTC,
    side: Side = Side.BUY,
    size: str | None = "0.01",
    filled: str = "0",
    status: OrderStatus = OrderStatus.OPEN,
    type: OrderType = OrderType.LIMIT,  # noqa: A002 - the field's own name
    tif: TimeInForce = TimeInForce.GTC,
    limit_price: str | None = "59900",
    stop_price: str | None = None,
    post_only: bool | None = False,
    average_price: str | None = None,
    created: datetime | None = NOW,
    expires: datetime | None = None,
    placement_source: str = "RETAIL_ADVANCED",
    reason: str = "",
    is_liquidation: bool = False,
    read_at: datetime = NOW,
) -> VenueOrder:
    """An order as the venue tells it."""
    return VenueOrder(
        venue_order_id=VenueOrderId(venue_order_id),
        client_order_id=None if client_order_id is None else ClientOrderId(client_order_id),
        product_id=ProductId(product_id),
        side=side,
        size=None if size is None else Size(Decimal(size)),
        filled=Size(Decimal(filled)),
        status=status,
        raw_status=status.value.upper(),
        type=type,
        raw_type=type.value.upper(),
        tif=tif,
        limit_price=_price(limit_price),
        stop_price=_price(stop_price),
        post_only=post_only,
        average_price=_price(average_price),
        fees=None,
        created=created,
        expires=expires,
        placement_source=placement_source,
        reason=reason,
        is_liquidation=is_liquidation,
        read_at=read_at,
    )


def a_fill(
    *,
    fill_id: str = "fill-0001",
    trade_id: str = "trade-0001",
    venue_order_id: str = "venue-0001",
    product_id: str = BTC,
    side: Side = Side.BUY,
    price: str = "60000",
    size: str = "0.01",
    fee: str | None = "0.18",
    kind: FillKind = FillKind.FILL,
    liquidity: Liquidity = Liquidity.TAKER,
    at: datetime = NOW,
) -> Fill:
    return Fill(
        fill_id=FillId(fill_id),
        trade_id=trade_id,
        venue_order_id=VenueOrderId(venue_order_id),
        product_id=ProductId(product_id),
        side=side,
        price=Price(Decimal(price)),
        size=Size(Decimal(size)),
        fee=_notional(fee),
        kind=kind,
        liquidity=liquidity,
        time=at,
    )


def _price(text: str | None) -> Price | None:
    return None if text is None else Price(Decimal(text))


def _notional(text: str | None) -> Notional | None:
    return None if text is None else Notional(Decimal(text))


def _rates(pair: tuple[str, str] | None) -> MarginRates | None:
    return None if pair is None else MarginRates(long=Decimal(pair[0]), short=Decimal(pair[1]))


def _levels(rungs: Iterable[tuple[str, str]]) -> tuple[Level, ...]:
    return tuple(Level(price=Price(Decimal(price)), size=Size(Decimal(size))) for price, size in rungs)
