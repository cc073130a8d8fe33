"""Reads recorded market data from files: candles, trades, best bid/offer, level 2 (CSV or JSON lines).

A file is read whole and checked row by row; a row that cannot be read exactly is an error that names the file, the
line and the reason. Nothing is guessed, sorted or repaired. Nothing from a file is printed raw.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from perpsctl.domain.numbers import NotANumber, exact

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
COIN_MARGINED_CONTRACT_USD = 10.0  # Binance COIN-M ETHUSD_PERP: quantities are contracts of 10 USD
BOOK_EVERY_US = 100_000  # recorded books are kept at this pace
BOOK_LEVELS = 400
COINS = ("btc", "eth", "sol", "xrp")

Levels = tuple[tuple[float, float], ...]  # (price, coins), best first


class BadRecording(ValueError):
    """A recording cannot be used. `line` counts from 1; None when the whole file is meant."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        where = path.name if line is None else f"{path.name} line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Print:
    """A recorded public trade; quantity in coins."""

    at: int
    price: float
    coins: float
    taker_buys: bool


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """A recorded book at a moment."""

    at: int
    bids: Levels
    asks: Levels


@dataclass(slots=True)
class Recording:
    """What a file holds. Moments are microseconds since 1970 UTC, in order."""

    path: Path
    smooth: bool  # candles are joined by lines, events hold until the next
    moments: list[int] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    books: list[RecordedBook] = field(default_factory=list)

    def add(self, at: int, price: float, line: int) -> None:
        """Appends a price; moments never go back."""
        if self.moments and at < self.moments[-1]:
            raise BadRecording(self.path, "goes back in time", line)
        self.moments.append(at)
        self.prices.append(price)


def coin_of(path: Path) -> str:
    """The coin a file is about, from how its name begins; BadRecording if it names none we trade."""
    for coin in COINS:
        if path.name.lower().startswith(coin):
            return coin
    raise BadRecording(path, f"its name begins with none of {', '.join(COINS)}; name the product")


def read_recording(path: Path, coin: str) -> Recording:
    """The whole recording for one coin. Raises BadRecording, also when the file cannot be opened."""
    try:
        if path.suffix == ".jsonl":
            recording = _read_json_lines(path, coin)
        elif path.suffix == ".csv":
            recording = _read_csv(path, coin)
        else:
            raise BadRecording(path, "neither .csv nor .jsonl")
    except OSError as error:
        raise BadRecording(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRecording(path, "is not UTF-8 text") from error
    if not recording.moments:
        raise BadRecording(path, f"holds no price of {coin.upper()}")
    return recording


def _read_csv(path: Path, coin: str) -> Recording:
    with path.open(encoding="utf-8", newline="") as file:
        rows = _Rows(path, csv.reader(file))
        names = set(rows.header)
        if {"timestamp", "open", "high", "low", "close"} <= names:
            return _read_candles(rows, coin)
        if {"exchange_time", "price", "qty", "taker_side"} <= names:
            return _read_trades(rows)
        if {"exchange_time", "bid_price", "ask_price"} <= names:
            return _read_best(rows)
        if {"exchange_time", "side", "price", "new_qty", "last_update_id", "prev_last_update_id"} <= names:
            return _read_level2(rows)
        if {"timestamp", "close_perp"} <= names:
            return _read_closes(rows)
    raise BadRecording(path, "has no prices: its columns are none of the known kinds", 1)


class _Rows:
    """Rows of a CSV file by column name, each with its line number."""

    def __init__(self, path: Path, reader: Any) -> None:
        self.path = path
        self._reader = reader
        self.header: list[str] = next(reader, [])
        self._place = {name: place for place, name in enumerate(self.header)}
        self.line = 1

    def __iter__(self) -> Iterator["_Rows"]:
        while True:
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise BadRecording(self.path, "is not CSV", self._reader.line_num) from error
            self.line = self._reader.line_num
            if len(row) != len(self.header):
                raise BadRecording(self.path, f"has {len(row)} columns, not {len(self.header)}", self.line)
            self._row = row
            yield self

    def has(self, name: str) -> bool:
        return name in self._place

    def text(self, name: str) -> str:
        return str(self._row[self._place[name]])

    def number(self, name: str) -> float:
        return _number(self.path, self.line, name, self.text(name))

    def price(self, name: str) -> float:
        value = self.number(name)
        if value <= 0:
            raise BadRecording(self.path, f"{name} is not above zero", self.line)
        return value

    def moment(self, name: str) -> int:
        try:
            instant = datetime.fromisoformat(self.text(name))
        except ValueError as error:
            raise BadRecording(self.path, f"{name} is not an ISO 8601 time", self.line) from error
        if instant.tzinfo is None:
            raise BadRecording(self.path, f"{name} has no time zone", self.line)
        return (instant - EPOCH) // MICRO

    def sequence(self, name: str) -> int:
        text = self.text(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 20):
            raise BadRecording(self.path, f"{name} is not a sequence number", self.line)
        return int(text)


def _number(path: Path, line: int, name: str, text: object) -> float:
    try:
        return float(exact(text))  # type: ignore[arg-type]  # exact() itself refuses what is not text
    except (NotANumber, TypeError) as error:
        raise BadRecording(path, f"{name} is not a plain number", line) from error


def _read_candles(rows: _Rows, coin: str) -> Recording:
    recording = Recording(rows.path, smooth=True)
    candles: list[tuple[int, float, float, float, float, int]] = []
    venue: str | None = None
    for row in rows:
        if row.has("pair"):  # a panel of several venues and pairs: the first venue listed speaks for the coin
            if not row.text("pair").lower().startswith(coin):
                continue
            venue = venue or row.text("exchange")
            if row.text("exchange") != venue:
                continue
        first, high, low, close = (row.price(name) for name in ("open", "high", "low", "close"))
        if not low <= min(first, close) <= max(first, close) <= high:
            raise BadRecording(rows.path, "high and low do not hold open and close", row.line)
        candles.append((row.moment("timestamp"), first, high, low, close, row.line))
    if len(candles) < 2:
        raise BadRecording(rows.path, f"holds fewer than two candles of {coin.upper()}")
    length = candles[1][0] - candles[0][0]
    if length <= 0:
        raise BadRecording(rows.path, "goes back in time", candles[1][5])
    for at, first, high, low, close, line in candles:
        turns = (low, high) if close >= first else (high, low)
        recording.add(at, first, line)
        recording.add(at + length // 3, turns[0], line)
        recording.add(at + 2 * length // 3, turns[1], line)
        recording.add(at + length - 1, close, line)
    return recording


def _read_closes(rows: _Rows) -> Recording:
    recording = Recording(rows.path, smooth=True)
    for row in rows:
        recording.add(row.moment("timestamp"), row.price("close_perp"), row.line)
    return recording


def _read_trades(rows: _Rows) -> Recording:
    recording = Recording(rows.path, smooth=False)
    coin_margined = "coinm" in rows.path.name
    for row in rows:
        at, price, quantity, side = (
            row.moment("exchange_time"),
            row.price("price"),
            row.number("qty"),
            row.text("taker_side"),
        )
        if side not in {"buy", "sell"} or quantity <= 0:
            raise BadRecording(rows.path, "taker_side is neither buy nor sell, or qty is not above zero", row.line)
        recording.add(at, price, row.line)
        coins = quantity * COIN_MARGINED_CONTRACT_USD / price if coin_margined else quantity
        recording.prints.append(Print(at, price, coins, side == "buy"))
    return recording


def _read_best(rows: _Rows) -> Recording:
    recording = Recording(rows.path, smooth=False)
    for row in rows:
        bid, ask = row.price("bid_price"), row.price("ask_price")
        if bid >= ask:
            raise BadRecording(rows.path, "bid is not below ask", row.line)
        recording.add(row.moment("exchange_time"), (bid + ask) / 2, row.line)
    return recording


def _read_level2(rows: _Rows) -> Recording:
    """Updates replayed on the snapshot beside the file; their chain of update ids must not break."""
    recording = Recording(rows.path, smooth=False)
    snapshot = rows.path.with_name(rows.path.name.split("_l2_")[0] + "_l2_snapshot.json")
    known, bids, asks = _snapshot(snapshot)
    coin_margined = "coinm" in rows.path.name
    previous: tuple[int, int] | None = None  # (last_update_id of the message, its moment)
    for row in rows:
        last = row.sequence("last_update_id")
        at = row.moment("exchange_time")
        if previous is not None and last != previous[0]:
            if row.sequence("prev_last_update_id") != previous[0]:
                raise BadRecording(rows.path, "breaks the chain of update ids", row.line)
            _keep_book(recording, bids, asks, previous[1], row.line, coin_margined, force=False)
        previous = (last, at)
        if last <= known:
            continue  # already inside the snapshot
        side = bids if row.text("side") == "bid" else asks
        price, quantity = row.price("price"), row.number("new_qty")
        if quantity == 0:
            side.pop(price, None)
        else:
            side[price] = quantity
    if previous is not None:
        _keep_book(recording, bids, asks, previous[1], rows.line, coin_margined, force=True)
    return recording


def _snapshot(path: Path) -> tuple[int, dict[float, float], dict[float, float]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_float=str, parse_int=str)
        sides = [
            {_number(path, 1, "price", price): _number(path, 1, "size", size) for price, size in data[side]}
            for side in ("bids", "asks")
        ]
        return int(exact(data["lastUpdateId"])), sides[0], sides[1]
    except OSError as error:
        raise BadRecording(path, f"the snapshot beside the updates cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadRecording):
            raise
        raise BadRecording(path, "is not a book snapshot") from error


def _keep_book(
    recording: Recording,
    bids: dict[float, float],
    asks: dict[float, float],
    at: int,
    line: int,
    coin_margined: bool,
    *,
    force: bool,
) -> None:
    if not force and recording.books and at - recording.books[-1].at < BOOK_EVERY_US:
        return
    if not bids or not asks:
        raise BadRecording(recording.path, "the book has an empty side", line)
    best_bid, best_ask = max(bids), min(asks)
    if best_bid >= best_ask:
        return  # crossed for a moment inside the venue's own batch: no price is taken from it (W9)
    recording.add(at, (best_bid + best_ask) / 2, line)
    recording.books.append(
        RecordedBook(at, _levels(bids, coin_margined, best_first=True), _levels(asks, coin_margined, best_first=False))
    )


def _levels(side: dict[float, float], coin_margined: bool, *, best_first: bool) -> Levels:
    prices = sorted(side, reverse=best_first)[:BOOK_LEVELS]
    return tuple((p, side[p] * COIN_MARGINED_CONTRACT_USD / p if coin_margined else side[p]) for p in prices)


def _read_json_lines(path: Path, coin: str) -> Recording:
    """Hyperliquid's recorder format: `l2Book` and `trades` messages, stamped by the receiver."""
    recording = Recording(path, smooth=False)
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            try:
                message = json.loads(text, parse_float=str, parse_int=str)
                at = int(exact(message["recv_time_ns"])) // 1000
                data = message["data"]
                if message["channel"] == "l2Book" and data["coin"].lower() == coin:
                    _take_book(recording, data["levels"], at, line)
                elif message["channel"] == "trades":
                    _take_prints(recording, data, at, line, coin)
            except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
                if isinstance(error, BadRecording):
                    raise
                raise BadRecording(path, "is not a recorded message", line) from error
    return recording


def _take_book(recording: Recording, levels: Any, at: int, line: int) -> None:
    sides: list[Levels] = []
    for side in levels[:2]:
        sides.append(
            tuple(
                (_number(recording.path, line, "px", row["px"]), _number(recording.path, line, "sz", row["sz"]))
                for row in side
            )
        )
    bids, asks = sides
    if not bids or not asks or bids[0][0] >= asks[0][0]:
        raise BadRecording(recording.path, "the book is empty or crossed", line)
    recording.add(at, (bids[0][0] + asks[0][0]) / 2, line)
    recording.books.append(RecordedBook(at, bids, asks))


def _take_prints(recording: Recording, rows: Any, at: int, line: int, coin: str) -> None:
    """Trades are placed at their receipt: the first message replays older ones."""
    for row in rows:
        if row["coin"].lower() == coin:
            price, coins = (
                _number(recording.path, line, "px", row["px"]),
                _number(recording.path, line, "sz", row["sz"]),
            )
            recording.prints.append(Print(at, price, coins, row["side"] == "B"))
