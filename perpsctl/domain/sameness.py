"""Whether an order seen at the venue is the one that was sent: what the record says, compared with what the venue tells.

An order under our id with other terms is somebody's mistake and is never adopted (fault H10); a part the venue does not
tell proves nothing either way and is not compared. One difference is the venue's own: the price of a way out that it drew in
towards the market. Pure.
"""

from datetime import timedelta
from typing import Final

from perpsctl.domain.numbers import Price, plain
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce, VenueOrder
from perpsctl.domain.reports import IntentRecord
from perpsctl.domain.text import shown

EXPIRY_ROUNDED: Final = timedelta(seconds=1)  # a venue may keep an expiry to the second only


def terms_apart(order: VenueOrder, record: IntentRecord) -> tuple[str, ...]:
    """Each term in which the order differs from what this intent sent, as one phrase; empty when none does.

    Nothing for an edit, whose order is another intent's. The terms of a market order, and of the venue's own close, are
    product, side and size: its price is none of ours.
    """
    intent = record.intent
    if not isinstance(intent, OrderIntent):
        return ()
    found = [
        _words("product", order.product_id, intent.product_id, order.product_id != intent.product_id),
        _words("side", order.side.value, intent.side.value, order.side is not intent.side),
    ]
    if order.size is not None and record.sent_size is not None:
        found.append(_words("size", plain(order.size), plain(record.sent_size), order.size != record.sent_size))
    if intent.type is not OrderType.MARKET:
        found += _priced(order, intent, record)
    return tuple(phrase for phrase in found if phrase)


def _priced(order: VenueOrder, intent: OrderIntent, record: IntentRecord) -> list[str]:
    limit = intent.limit_price if record.sent_price is None else record.sent_price
    stop = intent.stop_price if record.sent_stop is None else record.sent_stop
    found = [_price("stop price", order.stop_price, stop)]
    if not drawn_in(intent, order.limit_price, limit):
        found.insert(0, _price("price", order.limit_price, limit))
    if order.type is not OrderType.UNRECOGNISED:
        found.append(_words("type", order.type.value, intent.type.value, order.type is not intent.type))
    if order.tif is not TimeInForce.UNRECOGNISED:
        found.append(_words("time in force", order.tif.value, intent.tif.value, order.tif is not intent.tif))
    if order.post_only is not None:
        found.append(_words("post-only", order.post_only, intent.post_only, order.post_only is not intent.post_only))
    if order.expires is not None and intent.expires is not None:
        late = abs(order.expires - intent.expires) > EXPIRY_ROUNDED
        found.append(_words("expiry", order.expires.isoformat(), intent.expires.isoformat(), late))
    return found


def drawn_in(intent: OrderIntent, seen: Price | None, sent: Price | None) -> bool:
    """True for a way out at a price the venue drew in towards the market: it reduces, never rests, and asks for less.

    The gateway moves prices beyond its limits without a word (coinbase-global-derivatives.md section 7, 2026-11-22), and those
    limits may move between our read of them and the order's arrival.
    """
    one_shot = intent.tif in (TimeInForce.IOC, TimeInForce.FOK)
    if not (intent.reduce_only and one_shot) or seen is None or sent is None:
        return False
    return (seen - sent) * intent.side.sign < 0


def _price(name: str, seen: Price | None, sent: Price | None) -> str:
    """An order with a price where none was sent, or without one where one was, is another order."""
    told, meant = ("none" if each is None else plain(each) for each in (seen, sent))
    return _words(name, told, meant, seen != sent)


def _words(name: str, seen: object, sent: object, apart: bool) -> str:
    return f"{name} {shown(str(seen), 80)} instead of {shown(str(sent), 80)}" if apart else ""
