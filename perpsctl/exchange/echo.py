"""Whether the order a venue answered with is the one that was just sent. Pure; for both venues."""

from perpsctl.domain.ids import ClientOrderId
from perpsctl.domain.orders import OrderType, QuantizedOrder, VenueOrder

__all__ = ["terms_apart"]


def terms_apart(
    found: VenueOrder, order: QuantizedOrder, client_id: ClientOrderId, *, priced: bool = True
) -> tuple[str, ...]:
    """In what an order at the venue differs from the one we sent; empty when it is that one. Sizes in coin."""
    apart = {
        "client order id": found.client_order_id != client_id,
        "product": found.product_id != order.product_id,
        "side": found.side is not order.side,
        "size": found.size != order.size,
        "price": priced and found.limit_price != (None if order.intent.type is OrderType.MARKET else order.limit_price),
        "stop price": priced and found.stop_price != order.stop_price,
        "type": priced and found.type is not order.intent.type,
        "time in force": priced and found.tif is not order.intent.tif,
        "post-only": priced and found.post_only is not None and found.post_only is not order.intent.post_only,
    }
    return tuple(name for name, differs in apart.items() if differs)
