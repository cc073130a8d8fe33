"""Run inside the official SDK's environment, unmodified `coinbase-advanced-py` 1.8.4: `WSClient` and `WSUserClient`, what they heard.

Argument: a JSON object with `host` (host:port of the TLS face), the addresses `ws`, `wss`, `user_ws` and `user_wss`, the key
files `trade` and `monitor`, and `control` and `token`: the simulator's control face, for what an exchange does by itself (a
part of a resting order fills, a connection breaks). All clients take their address as an argument (`base_url=`).
"""

import importlib.metadata
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from multiprocessing import AuthenticationError
from typing import Any

from coinbase.rest import RESTClient  # type: ignore[import-not-found]  # lives in an environment of its own
from coinbase.websocket import (  # type: ignore[import-not-found]
    WebsocketResponse,
    WSClient,
    WSUserClient,
)
from coinbase.websocket.types import misc_types  # type: ignore[import-not-found]
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

BIP, ETP = "BIP-20DEC30-CDE", "ETP-20DEC30-CDE"
HEARD_WITHIN_S = 20
QUIET_S = 1.2  # longer than any channel but ticker_batch pauses
ROWS = {
    "candles": ("candles", misc_types.WSCandle),
    "market_trades": ("trades", misc_types.WSHistoricalMarketTrade),
    "status": ("products", misc_types.WSProduct),
    "ticker": ("tickers", misc_types.WSTicker),
    "ticker_batch": ("tickers", misc_types.WSTicker),
    "l2_data": ("updates", misc_types.L2Update),
    "user": ("orders", misc_types.UserOrders),
}
Facts = dict[str, Any]
facts: Facts = {}


class Ear:
    """What one client heard, in order, as the SDK's own types; whoever waits is woken."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.errors: list[str] = []
        self._news = threading.Condition()

    def __call__(self, text: str) -> None:
        message = json.loads(text)
        with self._news:
            if message.get("type") == "error":
                self.errors.append(message["message"])
            else:
                self.heard.append(WebsocketResponse(message))
            self._news.notify_all()

    def until(self, is_so: Callable[[list[Any]], Any]) -> Any:
        """What `is_so` found in all that was heard, once it found something; the story ends where it never does."""
        with self._news:
            found = self._news.wait_for(lambda: is_so(self.heard), HEARD_WITHIN_S)
        if not found:
            raise SystemExit(f"not heard within {HEARD_WITHIN_S} s; {len(self.heard)} messages, errors {self.errors}")
        return found

    def of(self, channel: str) -> list[Any]:
        return [each for each in self.heard if each.channel == channel]

    def numbers(self) -> list[int]:
        return [each.sequence_num for each in self.heard]


def rebuilt(heard: list[Any], product_id: str) -> tuple[dict[str, dict[Decimal, Decimal]], int]:
    """The book that the messages of a connection make, and the number of the last one that told of it."""
    sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "offer": {}}
    last = -1
    for message in heard:
        for event in message.events if message.channel == "l2_data" else ():
            if event.product_id != product_id:
                continue
            last = message.sequence_num
            if event.type == "snapshot":
                sides = {"bid": {}, "offer": {}}
            for update in event.updates:
                price, quantity = Decimal(update.price_level), Decimal(update.new_quantity)
                if quantity:
                    sides[update.side][price] = quantity
                else:
                    sides[update.side].pop(price, None)
    return sides, last


def told_book(heard: list[Any], product_id: str) -> Facts:
    sides, number = rebuilt(heard, product_id)
    shown = {side: [[str(price), str(rows[price])] for price in sorted(rows)] for side, rows in sides.items()}
    return {"product_id": product_id, "number": number, "bids": shown["bid"][::-1], "asks": shown["offer"]}


def misread(heard: list[Any]) -> list[str]:
    """Where the SDK's types and the messages differ: a field they do not know, or one that did not come."""
    found: set[str] = set()
    for message in heard:
        extra = vars(message).keys() - {"channel", "client_id", "timestamp", "sequence_num", "events"}
        found |= {f"{message.channel}: {name}" for name in extra}
        for event in message.events if message.channel in ROWS else ():
            name, kind = ROWS[message.channel]
            for row in getattr(event, name) or ():
                known = vars(kind())
                found |= {f"{message.channel}: unknown {field}" for field in vars(row).keys() - known.keys()}
                found |= {f"{message.channel}: without {field}" for field in known if getattr(row, field) is None}
    return sorted(found)


def subscribed(heard: list[Any]) -> Facts:
    """What the newest acknowledgement lists."""
    newest = [each for each in heard if each.channel == "subscriptions"][-1]
    listed: Facts = newest.events[0].subscriptions
    return listed


def acknowledged(ear: Ear, count: int) -> Facts:
    ear.until(lambda heard: sum(each.channel == "subscriptions" for each in heard) >= count)
    return subscribed(ear.heard)


def control(places: Facts, target: str, body: Facts) -> None:
    request = urllib.request.Request(
        places["control"] + target,
        data=json.dumps(body).encode("ascii"),
        headers={"Authorization": f"Bearer {places['token']}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


# --- the market host ----------------------------------------------------------------------------------------


def market(url: str, key_file: str) -> Facts:
    """Every channel the client offers, on one connection."""
    ear, told = Ear(), Facts()
    client = WSClient(key_file=key_file, base_url=url, timeout=10, on_message=ear)
    client.open()
    client.heartbeats()
    client.ticker([BIP, ETP])
    client.ticker_batch([BIP])
    client.market_trades([ETP])
    client.status([BIP, ETP])
    client.level2([ETP])
    client.candles([BIP])
    client.user([BIP])
    client.futures_balance_summary()
    told["subscribed"] = acknowledged(ear, 9)
    wanted = {*ROWS, "heartbeats", "futures_balance_summary", "subscriptions"}
    ear.until(lambda heard: wanted <= {each.channel for each in heard})
    ear.until(lambda heard: sum(each.channel == "heartbeats" for each in heard) >= 3)
    ear.until(lambda heard: sum(each.channel == "l2_data" for each in heard) > 20)
    beats = [each.events[0].heartbeat_counter for each in ear.of("heartbeats")]
    told["heartbeats"] = [type(beats[0]).__name__, beats == list(range(beats[0], beats[0] + len(beats)))]
    told["firsts"] = {word: ear.of(word)[0].events[0].type for word in sorted(ROWS)}
    told["tickers"] = sorted({row.product_id for each in ear.of("ticker") for row in each.events[0].tickers})
    told["status"] = [[row.id, row.status] for row in ear.of("status")[0].events[0].products]
    starts = [int(row.start) for row in ear.of("candles")[0].events[0].candles]
    told["candle_seconds"] = sorted({later - start for start, later in zip(starts[1:], starts, strict=False)})
    summary = ear.of("futures_balance_summary")[0].events[0].fcm_balance_summary
    told["summary"] = [summary.cfm_usd_balance, summary.intraday_margin_window_measure.margin_window_type]
    client.ticker_unsubscribe([ETP])
    told["one_less"] = acknowledged(ear, 10)["ticker"]
    told["book"] = told_book(ear.heard, ETP)
    client.unsubscribe_all()  # not the channels without products: the SDK passes them over
    told["left"] = sorted(acknowledged(ear, 17))
    ended = len(ear.heard)
    time.sleep(QUIET_S)
    told["still_told"] = sorted({each.channel for each in ear.heard[ended:]})
    client.heartbeats_unsubscribe()
    client.futures_balance_summary_unsubscribe()
    told["nothing_left"] = acknowledged(ear, 19)
    client.close()
    told["numbers"] = ear.numbers() == list(range(len(ear.heard)))
    told["misread"] = [each for each in misread(ear.heard) if not each.startswith("ticker_batch: without best_")]
    told["batch_has_best"] = any(
        row.best_bid or row.best_ask for each in ear.of("ticker_batch") for row in each.events[0].tickers
    )
    return told


def without_key(url: str) -> Facts:
    """Market channels need no token; the client itself refuses the others."""
    ear = Ear()
    client = WSClient(base_url=url, timeout=10, on_message=ear)
    client.open()
    client.subscribe([BIP, ETP], ["level2", "market_trades"])
    ear.until(lambda heard: {"l2_data", "market_trades"} <= {each.channel for each in heard})
    told: Facts = {"subscribed": acknowledged(ear, 2), "book": told_book(ear.heard, BIP)}
    try:
        client.user([BIP])
    except AuthenticationError as refused:
        told["user"] = str(refused)
    client.close()
    return told


def cut(places: Facts, url: str) -> Facts:
    """The connection is reset in the middle of the data; the SDK comes back by itself."""
    ear, opened = Ear(), []
    client = WSClient(
        key_file=places["trade"],
        base_url=url,
        timeout=10,
        on_message=ear,
        on_open=lambda: opened.append(len(ear.heard)),
    )
    client.open()
    client.level2([BIP, ETP])
    client.heartbeats()
    ear.until(lambda heard: sum(each.channel == "heartbeats" for each in heard) >= 2)
    fault = {"name": "stream_disconnect", "operation": "us_market", "params": {"when": "data", "channel": "level2"}}
    control(places, "/faults", fault)
    ear.until(lambda heard: len(opened) == 2 and len(heard) - opened[1] >= 8)
    before, after = ear.heard[: opened[1]], ear.heard[opened[1] :]
    time.sleep(QUIET_S)
    after = ear.heard[opened[1] :]
    client.raise_background_exception()
    client.close()
    return {
        "numbers": [[each.sequence_num for each in part] == list(range(len(part))) for part in (before, after)],
        "again": subscribed(after),
        "snapshots": sorted(
            event.product_id
            for each in after
            if each.channel == "l2_data"
            for event in each.events
            if event.type == "snapshot"
        ),
        "heartbeats": [sum(each.channel == "heartbeats" for each in part) > 0 for part in (before, after)],
        "book": told_book(after, ETP),
    }


def sent_away(places: Facts, url: str) -> Facts:
    """The connection is closed in order, with 1001."""
    ear, opened = Ear(), []
    client = WSClient(base_url=url, timeout=10, on_message=ear, on_open=lambda: opened.append(len(ear.heard)))
    client.open()
    client.level2([BIP, ETP])
    ear.until(lambda heard: "l2_data" in {each.channel for each in heard})
    away = {"when": "data", "channel": "level2", "code": 1001}
    control(places, "/faults", {"name": "stream_disconnect", "operation": "us_market", "params": away})
    deadline = time.monotonic() + HEARD_WITHIN_S
    while client.websocket.open and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(QUIET_S)
    client.raise_background_exception()  # there is none
    return {"open": client.websocket.open, "opened": len(opened), "code": client.websocket.close_code}


# --- the user host ------------------------------------------------------------------------------------------


def states(ear: Ear, name: str) -> list[list[str]]:
    """What was told of an order, repetitions left out."""
    rows = [
        [row.status, row.cumulative_quantity, row.leaves_quantity]
        for each in ear.of("user")
        for row in each.events[0].orders or ()
        if row.client_order_id == name
    ]
    return [row for number, row in enumerate(rows) if not number or row != rows[number - 1]]


def until_state(ear: Ear, name: str, status: str, cumulative: str) -> Any:
    def it(heard: list[Any]) -> Any:
        rows = [row for each in heard if each.channel == "user" for row in each.events[0].orders or ()]
        own = [row for row in rows if row.client_order_id == name]
        return own[-1] if own and [own[-1].status, own[-1].cumulative_quantity] == [status, cumulative] else None

    return ear.until(it)


def orders(places: Facts, url: str, rest: Any, word: str) -> Facts:
    """Orders of the SDK's REST client, told on `user`; `word` keeps their names apart."""
    bid = Decimal(rest.get_product_book(BIP, limit=1).pricebook.bids[0].price)
    far = str(bid * Decimal("0.99") // 5 * 5)
    high = str(bid * Decimal("1.01") // 5 * 5)
    resting, taken, asked, missed = (f"{word}-{name}" for name in ("resting", "taken", "asked", "missed"))
    rest.limit_order_gtc_buy(f"{word}-there", BIP, base_size="2", limit_price=far)
    ear, told = Ear(), Facts()
    client = WSUserClient(key_file=places["trade"], base_url=url, timeout=10, on_message=ear)
    client.open()
    client.heartbeats()
    client.user([BIP])
    client.futures_balance_summary()
    told["subscribed"] = acknowledged(ear, 3)
    ear.until(lambda heard: {"user", "futures_balance_summary"} <= {each.channel for each in heard})
    first = ear.of("user")[0].events[0]
    told["snapshot"] = [first.type, sorted(row.client_order_id for row in first.orders)]

    placed = rest.limit_order_gtc_buy(resting, BIP, base_size="3", limit_price=far).success_response["order_id"]
    row = until_state(ear, resting, "OPEN", "0")
    told["row"] = [row.order_id == placed, row.order_side, row.order_type, row.limit_price == far, row.post_only]
    control(places, "/fills", {"order_id": placed, "contracts": "1"})
    until_state(ear, resting, "OPEN", "1")
    rest.cancel_orders([placed])
    until_state(ear, resting, "CANCELLED", "1")
    rest.limit_order_gtc_buy(taken, BIP, base_size="3", limit_price=high)
    until_state(ear, taken, "FILLED", "3")
    rest.market_order_sell(asked, BIP, base_size="4")
    filled = until_state(ear, asked, "FILLED", "4")
    told["filled"] = [Decimal(filled.avg_price) > 0, Decimal(filled.total_fees) > 0, filled.completion_percentage]
    rest.limit_order_fok_buy(missed, BIP, base_size="1", limit_price=far)
    ear.until(lambda heard: states(ear, missed))
    told["states"] = {name: states(ear, name) for name in (resting, taken, asked, missed)}
    told["orders"] = {
        name: [order.status, order.filled_size]
        for order in rest.list_orders(product_ids=[BIP]).orders
        if (name := order.client_order_id) in told["states"]
    }
    told["positions"] = sorted(
        {
            (position.side, position.number_of_contracts)
            for each in ear.of("user")
            for position in each.events[0].positions.expiring_futures_positions
        }
    )
    last = ear.of("user")[-1].events[0].positions
    told["flat"] = [len(last.expiring_futures_positions), len(last.perpetual_futures_positions)]
    ear.until(lambda _: len(ear.of("futures_balance_summary")) >= 2)
    client.user_unsubscribe([BIP])
    told["left"] = sorted(acknowledged(ear, 4))
    ended = len(ear.heard)
    rest.cancel_orders([row.order_id for row in first.orders])
    time.sleep(QUIET_S)
    told["deaf"] = "user" not in {each.channel for each in ear.heard[ended:]}
    client.close()
    told["numbers"] = ear.numbers() == list(range(len(ear.heard)))
    told["misread"] = misread(ear.heard)
    return told


def cut_off(places: Facts, url: str, rest: Any) -> Facts:
    """The connection breaks at the very message that tells of a new order; the snapshot after it does."""
    bid = Decimal(rest.get_product_book(BIP, limit=1).pricebook.bids[0].price)
    ear, opened = Ear(), []
    client = WSUserClient(
        key_file=places["trade"],
        base_url=url,
        timeout=10,
        on_message=ear,
        on_open=lambda: opened.append(len(ear.heard)),
    )
    client.open()
    client.user([BIP])
    ear.until(lambda heard: "user" in {each.channel for each in heard})
    control(
        places,
        "/faults",
        {"name": "stream_disconnect", "operation": "us_user", "params": {"when": "data", "channel": "user"}},
    )
    far = str(bid * Decimal("0.99") // 5 * 5)
    placed = rest.limit_order_gtc_buy("cut-off", BIP, base_size="1", limit_price=far).success_response["order_id"]
    ear.until(lambda heard: len(opened) == 2 and "user" in {each.channel for each in heard[opened[1] :]})
    before, after = ear.heard[: opened[1]], ear.heard[opened[1] :]
    snapshot = next(each.events[0] for each in after if each.channel == "user")
    rest.cancel_orders([placed])
    until_state(ear, "cut-off", "CANCELLED", "0")
    client.close()
    return {
        "before": [row.client_order_id for each in before if each.channel == "user" for row in each.events[0].orders],
        "snapshot": [snapshot.type, [[row.order_id == placed, row.status] for row in snapshot.orders]],
        "again": [each.sequence_num for each in after] == list(range(len(after))),
    }


def strangers(places: Facts, url: str) -> Facts:
    """A key that is not what it says it is, and one that may only look."""
    ear, told = Ear(), Facts()
    with open(places["trade"], encoding="ascii") as file:
        name = json.load(file)["name"]
    forged = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    client = WSUserClient(api_key=name, api_secret=forged.decode("ascii"), base_url=url, timeout=10, on_message=ear)
    client.open()
    client.user([BIP])
    client.futures_balance_summary()
    ear.until(lambda _: len(ear.errors) >= 2)
    told["forged"] = [ear.errors, len(ear.heard)]
    client.close()  # raises where the socket is closed already: an error leaves it open
    looker = Ear()
    client = WSUserClient(key_file=places["monitor"], base_url=url, timeout=10, on_message=looker)
    client.open()
    client.user([BIP])
    looker.until(lambda heard: "user" in {each.channel for each in heard})
    told["monitor"] = [sorted(subscribed(looker.heard)), looker.errors]
    client.close()
    return told


def main(places: Facts) -> None:
    facts["version"] = importlib.metadata.version("coinbase-advanced-py")
    rest = RESTClient(key_file=places["trade"], base_url=places["host"], timeout=10)
    facts["cfm_usd_balance"] = rest.get_futures_balance_summary().balance_summary.cfm_usd_balance["value"]
    facts["market"] = [market(places[word], places["trade"]) for word in ("ws", "wss")]
    facts["without_key"] = without_key(places["wss"])
    facts["cut"] = cut(places, places["wss"])
    facts["sent_away"] = sent_away(places, places["wss"])
    facts["orders"] = [orders(places, places[word], rest, word) for word in ("user_ws", "user_wss")]
    facts["cut_off"] = cut_off(places, places["user_wss"], rest)
    facts["strangers"] = strangers(places, places["user_wss"])
    print(json.dumps(facts))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
