"""Small real implementations of the ports, and builders that name only what a test is about."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

from perpsctl.domain.accounts import Booked, EquityMark, HeldMark
from perpsctl.domain.ids import AccountKey, ClientOrderId, FillId, IntentId, ProductId, VenueOrderId, client_order_id
from perpsctl.domain.market import TradingStatus
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import (
    Accepted,
    ApprovedEdit,
    ApprovedOrder,
    EditIntent,
    Fill,
    FillKind,
    Liquidity,
    OrderIntent,
    OrderStatus,
    OrderType,
    QuantizedEdit,
    QuantizedOrder,
    Road,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.ports import Clock
from perpsctl.domain.products import PriceStep, Product
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denial, DenialCode, Denied
from perpsctl.journal.backend import Step, no_step
from perpsctl.journal.opening import open_journal
from perpsctl.journal.store import SqlJournal

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ACCOUNT = AccountKey("us:sim:portfolio-1")
BTC = ProductId("BIP-20DEC30-CDE")
ETH = ProductId("ETP-20DEC30-CDE")


class FakeClock:
    """Time that moves when told, and by a millisecond at each look, so that no two rows share a moment."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start
        self.slept = timedelta(0)

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def monotonic_ns(self) -> int:
        return (self.time - START) // timedelta(microseconds=1) * 1000

    def sleep(self, duration: timedelta) -> None:
        self.slept += duration
        self.time += duration

    def pass_(self, **amount: int) -> None:
        self.time += timedelta(**amount)


class FakeIds:
    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._serial = count(1)

    def new(self) -> str:
        return f"{self._prefix}{next(self._serial):08d}-0000-4000-8000-000000000000"

    def nonce(self) -> str:
        return f"{next(self._serial):064x}"

    def jitter(self) -> int:
        return 0


def a_product(product_id: ProductId = BTC) -> Product:
    return Product(
        product_id=product_id,
        alias="BTC-PERP",
        base="BTC",
        quote="USD",
        contract_size=Size(Decimal("0.01")),
        size_step=Size(Decimal("0.01")),
        min_size=Size(Decimal("0.01")),
        max_size=None,
        price_steps=(PriceStep(above=Decimal(0), step=Decimal(5)),),
        status=TradingStatus(
            disabled=False,
            cancel_only=False,
            limit_only=False,
            post_only=False,
            auction=False,
            view_only=False,
            session=None,
        ),
        funding=None,
        index_price=None,
        last_price=None,
        intraday_margin=None,
        overnight_margin=None,
        expiry=None,
        display_name="BTC PERP",
        as_of=START,
    )


def an_intent(
    id_: str = "intent-0001",
    *,
    size: str = "0.1",
    price: str | None = "60000",
    side: Side = Side.BUY,
    product_id: ProductId = BTC,
    road: Road = Road.ENTRY,
    tif: TimeInForce = TimeInForce.GTC,
    at: datetime = START,
    reason: str = "place",
) -> OrderIntent:
    return OrderIntent(
        id=IntentId(id_),
        product_id=product_id,
        side=side,
        size=Size(Decimal(size)),
        type=OrderType.LIMIT if price is not None else OrderType.MARKET,
        tif=tif,
        limit_price=None if price is None else Price(Decimal(price)),
        road=road,
        reason=reason,
        created_at=at,
    )


def approved(intent: OrderIntent) -> Approved:
    order = QuantizedOrder(
        intent=intent,
        product=a_product(intent.product_id),
        size=intent.size,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
    )
    made = ApprovedOrder(order=order, client_order_id=client_order_id(intent.id), judged_at=intent.created_at)
    return Approved(order=made, notes=("a note",))


def yes(intent: OrderIntent) -> Callable[[Booked], Approved | Denied]:
    return lambda booked: approved(intent)


DENIED = Denied(
    denials=(Denial(code=DenialCode.POSITION_ABOVE_MAX, observed="0.02", limit="0.01", detail="of equity"),)
)


def no(booked: Booked) -> Denied:
    return DENIED


def an_edit(
    id_: str = "edit-00001",
    *,
    target: str = "intent-0001",
    order: str = "order-1",
    price: str | None = None,
    size: str | None = None,
) -> EditIntent:
    return EditIntent(
        id=IntentId(id_),
        target=IntentId(target),
        venue_order_id=VenueOrderId(order),
        new_price=None if price is None else Price(Decimal(price)),
        new_size=None if size is None else Size(Decimal(size)),
        created_at=START,
    )


def edit_yes(edit: EditIntent, *, old: str = "0.1", filled: str = "0") -> Callable[[Booked], ApprovedChange | Denied]:
    change = QuantizedEdit(
        intent=edit,
        product=a_product(),
        side=Side.BUY,
        old_size=Size(Decimal(old)),
        old_price=Price(Decimal(60000)),
        filled=Size(Decimal(filled)),
        new_size=edit.new_size if edit.new_size is not None else Size(Decimal(old)),
        new_price=edit.new_price if edit.new_price is not None else Price(Decimal(60000)),
        post_only=False,
        reduce_only=False,
    )
    return lambda booked: ApprovedChange(edit=ApprovedEdit(edit=change, judged_at=START))


def an_order(
    id_: str = "order-1",
    *,
    intent: str | None = "intent-0001",
    size: str | None = "0.1",
    filled: str = "0",
    status: OrderStatus = OrderStatus.OPEN,
    price: str | None = "60000",
    read_at: datetime = START,
    average: str | None = None,
    reason: str = "",
) -> VenueOrder:
    return VenueOrder(
        venue_order_id=VenueOrderId(id_),
        client_order_id=None if intent is None else ClientOrderId(intent),
        product_id=BTC,
        side=Side.BUY,
        size=None if size is None else Size(Decimal(size)),
        filled=Size(Decimal(filled)),
        status=status,
        raw_status=status.value.upper(),
        type=OrderType.LIMIT,
        raw_type="LIMIT",
        tif=TimeInForce.GTC,
        limit_price=None if price is None else Price(Decimal(price)),
        stop_price=None,
        post_only=True,
        average_price=None if average is None else Price(Decimal(average)),
        fees=None,
        created=START,
        expires=None,
        placement_source="RETAIL_ADVANCED",
        reason=reason,
        is_liquidation=False,
        read_at=read_at,
    )


def accepted(order: str = "order-1", seen: VenueOrder | None = None) -> Accepted:
    return Accepted(venue_order_id=VenueOrderId(order), order=seen, evidence="http 200", latency_us=1200)


def a_fill(
    id_: str = "fill-1",
    *,
    trade: str | None = None,
    order: str = "order-1",
    size: str = "0.1",
    price: str = "60000",
    fee: str | None = "1.5",
    side: Side = Side.BUY,
    kind: FillKind = FillKind.FILL,
    at: datetime = START,
    product_id: ProductId = BTC,
) -> Fill:
    return Fill(
        fill_id=FillId(id_),
        trade_id=trade if trade is not None else f"trade-of-{id_}",
        venue_order_id=VenueOrderId(order),
        product_id=product_id,
        side=side,
        price=Price(Decimal(price)),
        size=Size(Decimal(size)),
        fee=None if fee is None else Notional(Decimal(fee)),
        kind=kind,
        liquidity=Liquidity.MAKER,
        time=at,
    )


def a_mark(equity: str = "1000000", *, at: datetime = START, coin: str = "0") -> EquityMark:
    held = (HeldMark(product_id=BTC, coin=Decimal(coin), price=Price(Decimal(60000))),)
    return EquityMark(at=at, equity=Notional(Decimal(equity)), held=held)


def a_journal(
    folder: Path,
    *,
    clock: Clock | None = None,
    account: AccountKey = ACCOUNT,
    step: Step = no_step,
    url: str | None = None,
) -> SqlJournal:
    return open_journal(
        folder,
        account,
        clock=clock if clock is not None else FakeClock(),
        ids=FakeIds(),
        busy_timeout=timedelta(milliseconds=200),
        step=step,
        url=url,
    )
