"""What an operator types, turned into values; everything is checked here, before anything is read or sent."""

import getpass
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId, intent_id, product_id
from perpsctl.domain.numbers import NotANumber, Price, Size, exact
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce
from perpsctl.domain.products import RETIRED_SUFFIX, find_product
from perpsctl.domain.quantize import check_shape
from perpsctl.domain.sides import Side
from perpsctl.domain.text import shown


class TypeWord(StrEnum):
    """What an operator can ask for: the types that exist, without the word for one we do not know."""

    MARKET = OrderType.MARKET.value
    LIMIT = OrderType.LIMIT.value
    STOP_LIMIT = OrderType.STOP_LIMIT.value


class TifWord(StrEnum):
    """How long an order may live, as typed."""

    GTC = TimeInForce.GTC.value
    GTD = TimeInForce.GTD.value
    IOC = TimeInForce.IOC.value
    FOK = TimeInForce.FOK.value


ProductOption = Annotated[
    str, typer.Option("--product", metavar="ID", help="Product id or alias, e.g. BTC-PERP.", show_default=False)
]
ProductArgument = Annotated[str, typer.Argument(metavar="PRODUCT", help="Product id or alias, e.g. BTC-PERP.")]
MaybeProduct = Annotated[
    str | None, typer.Option("--product", metavar="ID", help="Only this product.", show_default=False)
]
SideOption = Annotated[Side, typer.Option("--side", help="Direction.", show_default=False)]
SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="COIN", help="Size in coin, e.g. 0.01.", show_default=False)
]
ContractsOption = Annotated[
    str | None,
    typer.Option("--contracts", metavar="N", help="Size in whole contracts, instead of --size.", show_default=False),
]
TypeOption = Annotated[TypeWord, typer.Option("--type", help="Kind of order.")]
PriceOption = Annotated[str | None, typer.Option("--price", metavar="PRICE", help="Limit price.", show_default=False)]
StopOption = Annotated[
    str | None, typer.Option("--stop-price", metavar="PRICE", help="Trigger of a stop-limit.", show_default=False)
]
TifOption = Annotated[
    TifWord | None,
    typer.Option(
        "--tif", help="Time in force; without it ioc for market, gtd with --expires, else gtc.", show_default=False
    ),
]
PostOnlyOption = Annotated[bool, typer.Option("--post-only", help="Rest or be rejected; never take.")]
ReduceOnlyOption = Annotated[bool, typer.Option("--reduce-only", help="Only ever reduce the position.")]
ExpiresOption = Annotated[
    str | None,
    typer.Option("--expires", metavar="ISO", help="End of a gtd order, e.g. 2026-11-22T18:00:00Z.", show_default=False),
]
ClientIdOption = Annotated[
    str | None,
    typer.Option(
        "--client-order-id", metavar="ID", help="Your id for it; the same id never places twice.", show_default=False
    ),
]
WaitOption = Annotated[str, typer.Option("--wait", metavar="DURATION", help="How long to look for an unknown outcome.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Place although an equal order was placed just now.")]
RestThroughOption = Annotated[
    bool, typer.Option("--rest-through", help="May rest through a quiet window, margin step or break.")
]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="Order ids or intent ids.", show_default=False)]

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", re.ASCII)
MAX_DURATION = timedelta(days=3650)


def a_number(text: str, what: str) -> Decimal:
    """A plain decimal number, else UsageError."""
    try:
        return exact(text)
    except NotANumber as error:
        raise UsageError(f"{what} {shown(text, 60)!r} is {error}", fix="write digits with a point, e.g. 0.01") from None


def a_price(text: str | None, what: str = "price") -> Price | None:
    """A price above zero."""
    if text is None:
        return None
    value = a_number(text, what)
    if value <= 0:
        raise UsageError(f"{what} must be above zero")
    return Price(value)


def a_size(text: str) -> Size:
    """A size in coin above zero."""
    value = a_number(text, "size")
    if value <= 0:
        raise UsageError("size must be above zero")
    return Size(value)


def some_contracts(text: str) -> Decimal:
    """A whole number of contracts above zero."""
    value = a_number(text, "contracts")
    if value <= 0 or value != value.to_integral_value():
        raise UsageError("contracts must be a whole number above zero")
    return value


def a_product(text: str) -> ProductId:
    """A product id or alias as typed; a retired id is answered with its successor before anything is asked."""
    if text.upper().endswith(RETIRED_SUFFIX) and len(text) <= 40:
        find_product((), product_id(text))
    return product_id(text)


def an_intent_id(text: str | None) -> IntentId | None:
    """An operator's own id for an intent."""
    return None if text is None else intent_id(text)


def an_order_id(text: str) -> VenueOrderId:
    """An order's or an intent's id as typed; what could not be one is refused (H11)."""
    if _ORDER_ID.fullmatch(text) is None:
        raise UsageError(f"{shown(text, 60)!r} is not an order id", fix="see `perpsctl order list`")
    return VenueOrderId(text)


def a_duration(text: str, what: str = "duration") -> timedelta:
    """`250ms`, `20s`, `5m`, `2h`, `1d`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"{what} {shown(text, 60)!r} is not a duration", fix="write e.g. 250ms, 20s, 5m, 2h")
    value = int(found.group(1)) * _UNITS[found.group(2)]
    if value > MAX_DURATION:
        raise UsageError(f"{what} is longer than ten years")
    return value


def a_moment(text: str | None, what: str) -> datetime | None:
    """A moment in RFC 3339; without an offset it is UTC."""
    if text is None:
        return None
    try:
        if not text.isascii() or len(text) > 40:
            raise ValueError
        value = datetime.fromisoformat(text)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{what} {shown(text, 60)!r} is not a time", fix="write 2026-11-22T18:00:00Z") from None


MAX_REASON = 500


def a_reason(text: str, what: str) -> str:
    """A reason or a name for the record: said, and at most 500 characters."""
    if not text.strip() or len(text) > MAX_REASON:
        raise UsageError(f"{what} is 1 to {MAX_REASON} characters", fix="say it in a sentence")
    return text


def os_user() -> str:
    """The user this process runs as, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def who(by: str | None) -> str:
    """The name typed, else the user this process runs as."""
    return os_user() if by is None else a_reason(by, "--by")


def default_tif(kind: OrderType, tif: TifWord | None, expires: str | None) -> TimeInForce:
    """The time in force meant when none was typed."""
    if tif is not None:
        return TimeInForce(tif.value)
    if kind is OrderType.MARKET:
        return TimeInForce.IOC
    return TimeInForce.GTD if expires is not None else TimeInForce.GTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """An order as typed, checked as far as that is possible without the product's specification."""

    product: ProductId
    side: Side
    size: Size | None
    contracts: Decimal | None
    kind: OrderType
    limit_price: Price | None
    stop_price: Price | None
    tif: TimeInForce
    post_only: bool
    reduce_only: bool
    expires: datetime | None
    intent_id: IntentId | None
    again: bool
    rest_through: bool


def terms(
    *,
    product: str,
    side: Side,
    size: str | None,
    contracts: str | None,
    kind: TypeWord,
    price: str | None,
    stop_price: str | None,
    tif: TifWord | None,
    post_only: bool,
    reduce_only: bool,
    expires: str | None,
    client_order_id: str | None = None,
    again: bool = False,
    rest_through: bool = False,
) -> Terms:
    """The options of one order as values; UsageError for whatever cannot be one."""
    if (size is None) == (contracts is None):
        raise UsageError("give either --size in coin or --contracts, not both and not neither")
    type_ = OrderType(kind.value)
    found = Terms(
        product=a_product(product),
        side=side,
        size=None if size is None else a_size(size),
        contracts=None if contracts is None else some_contracts(contracts),
        kind=type_,
        limit_price=a_price(price),
        stop_price=a_price(stop_price, "stop price"),
        tif=default_tif(type_, tif, expires),
        post_only=post_only,
        reduce_only=reduce_only,
        expires=a_moment(expires, "--expires"),
        intent_id=an_intent_id(client_order_id),
        again=again,
        rest_through=rest_through,
    )
    _check_together(found)
    return found


def _check_together(found: Terms) -> None:
    """The options make one legal order, by the domain's own rule, before the product is looked up or a process started."""
    size = found.contracts if found.size is None else found.size
    from perpsctl.systemports import SystemClock

    assert size is not None
    check_shape(
        OrderIntent(
            id=IntentId("not-minted-yet"),
            product_id=found.product,
            side=found.side,
            size=Size(size),
            type=found.kind,
            tif=found.tif,
            limit_price=found.limit_price,
            stop_price=found.stop_price,
            post_only=found.post_only,
            reduce_only=found.reduce_only,
            expires=found.expires,
            created_at=SystemClock().now(),
        )
    )
