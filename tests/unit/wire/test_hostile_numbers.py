"""No hostile number gets through any conversion, in any field, as text or as a JSON number (H1, H2, H3, J7, M1)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest
from msgspec import UNSET

from perpsctl.domain.market import FundingTerms
from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import convert_accounts as money
from perpsctl.wire.advanced_trade import convert_market as public
from perpsctl.wire.advanced_trade import convert_orders as trading
from perpsctl.wire.advanced_trade import futures, market, orders
from perpsctl.wire.advanced_trade.common import Amount
from perpsctl.wire.guard import WireError
from tests.unit.wire import bodies

HOSTILE_TEXTS = (
    "1e999999999",
    "1e-999999999",
    "1e400",
    "NaN",
    "nan",
    "sNaN",
    "Infinity",
    "-inf",
    "9" * 5_000,
    "1" + "0" * 40,
    "0." + "1" * 41,
    "1_000",
    "١٢٣",  # Arabic-Indic digits
    "１２",  # full-width digits
    "-0",
    "-0.00",
    "-0e5",
    "0x10",
    "1,5",
    "+1",
    ".5",
    "1.",
    " 1",
    "1\n",
    "true",
    "--1",
    "\u200b1",
)
HOSTILE_TOKENS = (
    "1e999999999",
    "-1e999999999",
    "1e-999999999",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 5_000,
    "-0",
    "-0.0",
    "0." + "1" * 41,
    "true",
    "false",
    "1_000",
    "١٢",
    "[1]",
)

PRODUCT = public.product_from(bodies.a_product(), bodies.NOW)
CONVERSIONS: dict[str, tuple[msgspec.Struct, Callable[[Any], object]]] = {
    "product": (bodies.a_product(), lambda body: public.product_from(body, bodies.NOW)),
    "perps": (market.ProductsReply(products=(bodies.a_product(),)), lambda body: public.perps_from(body, bodies.NOW)),
    "contract sizes": (market.ProductsReply(products=(bodies.a_product(),)), public.contract_sizes_from),
    "server time": (market.ServerTime(epoch_millis="1795350896123"), public.server_time_from),
    "server time in seconds": (market.ServerTime(epoch_seconds="1795350896"), public.server_time_from),
    "book": (bodies.a_book(), lambda body: public.book_from(body, PRODUCT, bodies.NOW)),
    "best bid and ask": (
        market.BestBidAskReply(pricebooks=(bodies.a_book().pricebook,)),  # type: ignore[arg-type]
        lambda body: public.best_bid_ask_from(body, PRODUCT, bodies.NOW),
    ),
    "candles": (market.CandlesReply(candles=(bodies.a_candle(),)), lambda body: public.candles_from(body, PRODUCT)),
    "trades": (market.TickerTradesReply(trades=(bodies.a_trade(),)), lambda body: public.trades_from(body, PRODUCT)),
    "account": (
        futures.BalanceSummaryReply(balance_summary=bodies.a_summary()),
        lambda body: money.account_from(body, bodies.NOW),
    ),
    "account of the socket": (bodies.a_summary(flat=True), lambda body: money.account_view(body, bodies.NOW)),
    "positions": (
        futures.FuturesPositionsReply(positions=(bodies.a_position(),)),
        lambda body: money.positions_from(body, bodies.SIZES, bodies.NOW),
    ),
    "position with amounts": (
        bodies.a_position(
            current_price=Amount(value="68920", currency="USD"),
            avg_entry_price=Amount(value="69000", currency="USD"),
        ),
        lambda body: money.position_from(body, bodies.SIZES),
    ),
    "fees": (bodies.fees(), money.fees_from),
    "orders": (
        orders.OrdersReply(orders=(bodies.a_limit_order(), bodies.a_stop_order())),
        lambda body: trading.orders_from(body, bodies.SIZES, bodies.NOW),
    ),
    "order with the old fee field": (
        bodies.a_limit_order(total_fees=UNSET, fee="0.36"),
        lambda body: trading.order_from(body, bodies.SIZES, bodies.NOW),
    ),
    "order without a filled size": (
        bodies.a_limit_order(filled_size="", number_of_fills="0"),
        lambda body: trading.order_from(body, bodies.SIZES, bodies.NOW),
    ),
    "single order": (
        orders.OrderReply(order=bodies.a_limit_order()),
        lambda body: trading.single_order_from(body, bodies.SIZES, bodies.NOW),
    ),
    "fills": (orders.FillsReply(fills=(bodies.a_fill(),)), lambda body: trading.fills_from(body, bodies.SIZES)),
    "preview": (bodies.a_preview(), trading.preview_from),
    "edit preview": (
        bodies.a_preview(est_average_filled_price=UNSET, average_filled_price="68925"),
        trading.preview_from,
    ),
}

# How many number fields each conversion reads, of those its body sets: a reader that stops reading shows here.
FIELDS_READ = {
    "product": 12,
    "perps": 12,
    "contract sizes": 1,
    "server time": 1,
    "server time in seconds": 1,
    "book": 9,
    "best bid and ask": 8,
    "candles": 6,
    "trades": 2,
    "account": 11,
    "account of the socket": 11,
    "positions": 5,
    "position with amounts": 5,
    "fees": 2,
    "orders": 11,
    "order with the old fee field": 5,
    "order without a filled size": 5,
    "single order": 5,
    "fills": 3,
    "preview": 7,
    "edit preview": 7,
}

Path = tuple[str | int, ...]


def number_paths(body: msgspec.Struct) -> Iterator[Path]:
    """Every field of a payload that is set and declared to hold a number."""
    for field in msgspec.structs.fields(body):
        value = getattr(body, field.name)
        if isinstance(value, msgspec.Struct):
            yield from ((field.name, *rest) for rest in number_paths(value))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, msgspec.Struct):
                    yield from ((field.name, index, *rest) for rest in number_paths(item))
        elif isinstance(value, str) and value and _holds_number(field.type):
            yield (field.name,)


def _holds_number(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        return any(getattr(note, "extra", None) == {"holds": "number"} for note in get_args(kind))
    return any(_holds_number(choice) for choice in get_args(kind))


def with_value(body: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        return (*body[:head], with_value(body[head], rest, value), *body[head + 1 :])
    return msgspec.structs.replace(body, **{head: with_value(getattr(body, head), rest, value)})


def as_json(body: msgspec.Struct, path: Path, token: str) -> bytes:
    marked = with_value(body, path, "@@here@@")
    return guard.encode(marked).replace(b'"@@here@@"', token.encode())


@dataclass(frozen=True)
class Case:
    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name}: {'.'.join(map(str, self.path))}"


CASES = [Case(name, path) for name, (body, _) in CONVERSIONS.items() for path in number_paths(body)]


def reads(case: Case) -> bool:
    """True when the conversion looks at the field: some sane change of it changes or refuses the result."""
    body, convert = CONVERSIONS[case.name]
    expected = convert(body)
    for sane in ("7", "-3", "123456.789"):
        try:
            if convert(with_value(body, case.path, sane)) != expected:
                return True
        except WireError:
            return True
    return False


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_hostile_text_passes_for_a_number_H1_H2(case: Case) -> None:
    body, convert = CONVERSIONS[case.name]
    expected, is_read = convert(body), reads(case)
    for hostile in HOSTILE_TEXTS:
        dirty = with_value(body, case.path, hostile)
        if is_read:
            with pytest.raises(WireError):
                convert(dirty)
        else:
            assert convert(dirty) == expected  # it never enters


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_hostile_json_token_passes_for_a_number_H1_H2_H3(case: Case) -> None:
    body, convert = CONVERSIONS[case.name]
    for token in HOSTILE_TOKENS:
        with pytest.raises(WireError):
            convert(guard.decode(as_json(body, case.path, token), type(body)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_plain_json_number_reads_like_its_text_H3(case: Case) -> None:
    body, convert = CONVERSIONS[case.name]
    value: Any = body
    for step in case.path:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    assert convert(guard.decode(as_json(body, case.path, value), type(body))) == convert(body)


@pytest.mark.parametrize("name", CONVERSIONS)
def test_every_conversion_reads_as_many_numbers_as_listed(name: str) -> None:
    assert sum(reads(case) for case in CASES if case.name == name) == FIELDS_READ[name]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_no_hostile_text_is_a_number(text: str) -> None:
    with pytest.raises(WireError):
        guard.number(text)


@pytest.mark.parametrize("value", [True, False, 1, 1.5, None, b"1", ["1"]])
def test_only_text_is_read_as_a_number_J7(value: object) -> None:
    with pytest.raises(WireError):
        guard.number(value)


@pytest.mark.parametrize("token", [t for t in HOSTILE_TOKENS if t not in ("true", "false", "[1]")])
def test_no_hostile_number_passes_the_plain_reader(token: str) -> None:
    with pytest.raises(WireError):
        guard.plain_values(f'{{"deep":[{{"n":{token}}}]}}'.encode())


@pytest.mark.parametrize("token", ["9" * 5_000, "1e999999999", "1.5", "true", '"1_0"', '"' + "9" * 5_000 + '"'])
def test_no_hostile_number_passes_for_a_counter(token: str) -> None:
    with pytest.raises(WireError):
        guard.decode(f'{{"products":[],"num_products":{token}}}'.encode(), market.ProductsReply)


def test_a_number_of_forty_digits_is_kept_to_the_last_one() -> None:
    digits = "1234567890123456789012345678901234567890"
    assert str(guard.number(digits)) == digits
    assert str(guard.number(f"0.{digits[:38]}")) == f"0.{digits[:38]}"


def test_multiplying_by_the_contract_size_loses_no_digit() -> None:
    thirty = "123456789012345678901234567890"
    for side, sign in (("LONG", ""), ("SHORT", "-")):
        held = money.position_from(bodies.a_position(number_of_contracts=thirty, side=side), bodies.SIZES)
        assert f"{held.coin:f}" == f"{sign}1234567890123456789012345678.90"


def test_funding_of_a_product_is_none_when_it_is_not_told() -> None:
    product = public.product_from(bodies.a_future(funding_rate="", funding_time=UNSET), bodies.NOW)
    assert isinstance(product.funding, FundingTerms)
    assert product.funding.rate is None
    assert product.funding.daily_rate() is None


def test_the_json_of_a_case_holds_the_token_it_is_about() -> None:
    body, _ = CONVERSIONS["product"]
    assert json.loads(as_json(body, ("price",), "41"))["price"] == 41
