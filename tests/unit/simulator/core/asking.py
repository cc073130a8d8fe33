"""Short ways to ask the exchange: name only what the test is about."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.orders import ConfigKind, Configuration, CreateAnswer, OrderRequest, Placed, Refused, Side

BIP = "BIP-20DEC30-CDE"
ETP = "ETP-20DEC30-CDE"
START = datetime(2026, 11, 22, 10, 17, 3, tzinfo=UTC)
DATA = Path(__file__).resolve().parents[4] / "../shared/data"
D = Decimal

_count = iter(range(1, 10**9))


def a_request(
    *,
    client_order_id: str | None = None,
    product: str = BIP,
    side: Side = Side.BUY,
    size: str | int = 1,
    price: Decimal | str | int | None = None,
    kind: ConfigKind | None = None,
    **terms: Any,
) -> OrderRequest:
    """A GTC limit order with a price, else a market order."""
    if kind is None:
        kind = ConfigKind.MARKET_IOC if price is None else ConfigKind.LIMIT_GTC
    request_terms = {name: terms.pop(name) for name in ("attached", "source") if name in terms}
    return OrderRequest(
        product_id=product,
        side=side,
        client_order_id=f"test-{next(_count)}" if client_order_id is None else client_order_id,
        configuration=Configuration(
            kind=kind, base_size=D(size), limit_price=None if price is None else D(price), **terms
        ),
        **request_terms,
    )


def placed(answer: CreateAnswer) -> Placed:
    """The answer, which must be an acceptance."""
    assert isinstance(answer, Placed), answer
    return answer


def refused(answer: CreateAnswer) -> Refused:
    """The answer, which must be a refusal."""
    assert isinstance(answer, Refused), answer
    return answer


def still_market(exchange: Exchange, bid: int = 60000, size: int = 100, levels: int = 5, product: str = BIP) -> None:
    """A fixed book around `bid`: `levels` prices of `size` contracts a side, one step apart."""
    step = exchange.product(product).price_increment
    exchange.control.set_price(product, D(bid), hold=True)
    exchange.control.set_book(
        product,
        tuple((bid - step * n, D(size)) for n in range(levels)),
        tuple((bid + step * (n + 1), D(size)) for n in range(levels)),
    )
