"""A process that fills a profile's journal with a long past, then leaves real orders open at the exchange.

`python -m tests.disk.history ORDERS OPEN`: ORDERS intents that ended long ago, with the rows the desk would have written
(decision, acceptance, end, every fifth one filled), through the journal's own codec, seal, transaction and snapshots, many
orders to a transaction and without waiting for the disk: a past is not made faster by syncing it. Then, through the real desk and the
real exchange, OPEN resting orders. One JSON line at the end.
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from perpsctl import settings
from perpsctl.bootstrap import Toolkit
from perpsctl.domain.ids import ClientOrderId, FillId, IntentId, VenueOrderId
from perpsctl.domain.numbers import NO_SIZE, Notional, Price, Size
from perpsctl.domain.orders import (
    Accepted,
    Fill,
    FillKind,
    Liquidity,
    OrderIntent,
    OrderStatus,
    OrderType,
    TimeInForce,
    VenueOrder,
)
from perpsctl.domain.products import Product, find_product
from perpsctl.domain.sides import Side
from perpsctl.journal.codec import dumps
from perpsctl.journal.entries import FillEntry, IntentEntry, Kind, OrderEntry, OrderTerms, OutcomeEntry
from perpsctl.journal.opening import open_journal

PER_BATCH = 20  # orders whose rows stand in one transaction
APART = timedelta(seconds=25)
ENDED_BEFORE = timedelta(hours=26)  # the exchange of this home knows none of them: beyond every window that is compared
FILLED_EVERY = 5
TOUCH = Price(Decimal(60000))


class PastClock:
    """Stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic_ns(self) -> int:
        return 0

    def sleep(self, duration: timedelta) -> None: ...


def write_past(toolkit: Toolkit, product: Product, orders: int) -> None:
    """`orders` finished orders stand in the journal, the last of them more than a day ago."""
    clock = PastClock(datetime.now(UTC) - ENDED_BEFORE - APART * orders)
    journal = open_journal(toolkit.profile.folder, toolkit.account, clock=clock, ids=toolkit.ids)
    try:
        journal.log.database._connection.exec_driver_sql("PRAGMA synchronous=OFF")  # type: ignore[attr-defined]
        for start in range(0, orders, PER_BATCH):
            with journal.log.transaction() as batch:
                for number in range(start, min(start + PER_BATCH, orders)):
                    for kind, payload, names in _rows(toolkit, product, number, clock.at):
                        batch.add(kind, payload, **names)
            journal.log.snapshot_if_due()
            clock.at += APART * PER_BATCH
        journal.log.snapshot()
    finally:
        journal.close()


def _rows(toolkit: Toolkit, product: Product, number: int, at: datetime) -> Iterator[tuple[str, str, dict[str, Any]]]:
    intent_id, order_id = IntentId(toolkit.ids.new()), VenueOrderId(toolkit.ids.new())
    filled = number % FILLED_EVERY == 0
    side = Side.BUY if (number // FILLED_EVERY) % 2 == 0 else Side.SELL  # fills come in pairs: they leave no position
    intent = OrderIntent(
        id=intent_id,
        product_id=product.product_id,
        side=side,
        size=product.min_size,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=TOUCH,
        post_only=True,
        reason="place",
        created_at=at,
    )
    terms = OrderTerms(
        size=product.min_size,
        limit_price=TOUCH,
        stop_price=None,
        contract_size=product.contract_size,
        client_order_id=ClientOrderId(intent_id),
        judged_at=at,
    )
    entry = IntentEntry(intent=intent, sent_size=product.min_size, terms=terms, denied=None)
    yield Kind.INTENT, dumps(entry), {"intent_id": intent_id}
    resting = _order(intent, order_id, at, OrderStatus.OPEN, NO_SIZE)
    accepted = Accepted(venue_order_id=order_id, order=resting, evidence="reply", latency_us=4000)
    yield Kind.OUTCOME, dumps(OutcomeEntry(outcome=accepted)), {"intent_id": intent_id, "venue_order_id": order_id}
    end = OrderStatus.FILLED if filled else OrderStatus.CANCELLED
    over = _order(intent, order_id, at, end, product.min_size if filled else NO_SIZE)
    yield Kind.ORDER, dumps(OrderEntry(order=over)), {"intent_id": intent_id, "venue_order_id": order_id}
    if filled:
        fill = Fill(
            fill_id=FillId(toolkit.ids.new()),
            trade_id=toolkit.ids.new(),
            venue_order_id=order_id,
            product_id=product.product_id,
            side=side,
            price=TOUCH,
            size=product.min_size,
            fee=Notional(Decimal("0.12")),
            kind=FillKind.FILL,
            liquidity=Liquidity.MAKER,
            time=at,
        )
        names: dict[str, Any] = {"intent_id": intent_id, "venue_order_id": order_id, "ref": fill.fill_id}
        yield Kind.FILL, dumps(FillEntry(fill=fill)), {**names, "occurred": at}


def _order(intent: OrderIntent, order_id: VenueOrderId, at: datetime, status: OrderStatus, filled: Size) -> VenueOrder:
    return VenueOrder(
        venue_order_id=order_id,
        client_order_id=ClientOrderId(intent.id),
        product_id=intent.product_id,
        side=intent.side,
        size=intent.size,
        filled=filled,
        status=status,
        raw_status=status.value.upper(),
        type=intent.type,
        raw_type="LIMIT",
        tif=intent.tif,
        limit_price=intent.limit_price,
        stop_price=None,
        post_only=True,
        average_price=TOUCH if filled else None,
        fees=None,
        created=at,
        expires=None,
        placement_source="RETAIL_ADVANCED",
        reason="",
        is_liquidation=False,
        read_at=at,
    )


def place(toolkit: Toolkit, product: Product, count: int, first_price: int) -> list[str]:
    """`count` resting buys through the desk; answers what became of each."""
    told = []
    for number in range(count):
        step = product.price_step(TOUCH)
        price = Decimal(first_price) - step * (number + 1)
        intent = OrderIntent(
            id=IntentId(toolkit.ids.new()),
            product_id=product.product_id,
            side=Side.BUY,
            size=product.min_size,
            type=OrderType.LIMIT,
            tif=TimeInForce.GTC,
            limit_price=Price(price - price % step),
            post_only=True,
            again=True,
            created_at=toolkit.clock.now(),
        )
        report = toolkit.engine.desk.place(intent)
        told.append("denied" if report.denied is not None else type(report.outcome).__name__.lower())
        if report.denied is not None:
            raise SystemExit(f"denied: {report.denied}")
    return told


def main() -> None:
    orders, left_open = (int(word) for word in sys.argv[1:3])
    toolkit = Toolkit(settings.load())
    product = find_product(toolkit.venue.products(), "BTC-PERP")
    write_past(toolkit, product, orders)
    told = place(toolkit, product, left_open, 58000)
    print(json.dumps({"product": product.product_id, "open": told.count("accepted"), "rows": rows_of(toolkit)}))
    toolkit.close()


def rows_of(toolkit: Toolkit) -> int:
    """How many rows the journal has."""
    return toolkit.journal.check(full=False).rows


if __name__ == "__main__":
    main()
