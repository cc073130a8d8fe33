"""Where prices come from: the seeded generator and recorded files."""

import csv
import math
import statistics
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perpsctl.simulator.clock import ManualClock
from perpsctl.simulator.exchange import Exchange
from perpsctl.simulator.generator import SECONDS_PER_YEAR, GeneratedPath
from perpsctl.simulator.options import Options, ReplaySpec
from perpsctl.simulator.recordings import BadRecording, coin_of, read_recording
from perpsctl.simulator.views import Candle, Granularity
from tests.unit.simulator.core.asking import BIP, DATA, ETP, START, D, a_request, placed

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded market data beside the repository is absent")
PERP_OF = {"btc": BIP, "eth": ETP, "sol": "SLP-20DEC30-CDE", "xrp": "XPP-20DEC30-CDE"}


def a_path(seed: int = 1) -> GeneratedPath:
    return GeneratedPath(seed=seed, name="BTC", base=68930.0, volatility=0.6)


@settings(max_examples=30, deadline=None)
@given(moments=st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=20), seed=st.integers(0, 2**40))
def test_a_generated_path_answers_the_same_in_any_order_and_never_reaches_zero(moments: list[int], seed: int) -> None:
    forth = {at: a_path(seed).price(at) for at in moments}
    again = a_path(seed)
    assert {at: again.price(at) for at in reversed(moments)} == forth
    assert all(68930 * math.exp(-0.6) < price < 68930 * math.exp(0.6) for price in forth.values())


@pytest.mark.parametrize("lag_s", [1, 10, 60, 600])
def test_a_generated_path_moves_about_as_much_as_its_volatility_says(lag_s: int) -> None:
    moves = []
    for seed in range(6):
        path = a_path(seed)
        prices = [path.price(n * lag_s * 1_000_000) for n in range(400)]
        moves += [math.log(b / a) for a, b in pairwise(prices)]
    expected = 0.6 / math.sqrt(SECONDS_PER_YEAR) * math.sqrt(lag_s)
    assert 0.6 < statistics.pstdev(moves) / expected < 1.4


def test_another_seed_gives_another_path() -> None:
    assert a_path(1).price(10**9) != a_path(2).price(10**9)


def test_every_product_is_liquid_enough_for_the_default_limit(exchange: Exchange, clock: ManualClock) -> None:
    for _ in range(20):
        clock.advance(977)
        for product in exchange.products(product_type="FUTURE"):
            assert product.future is not None
            book = exchange.book(product.product_id)
            assert book.mid_market is not None
            assert book.spread_absolute is not None
            assert 1 <= book.spread_absolute / product.price_increment <= 2
            for side in (book.bids, book.asks):
                near = [row for row in side if abs(row.price - book.mid_market) <= book.mid_market * D("0.0025")]
                assert sum(row.price * row.size for row in near) * product.future.contract_size >= 1_000_000
                assert all(row.price % product.price_increment == 0 for row in side)


def test_speed_accelerates_the_path_alone() -> None:
    clocks = (ManualClock(START), ManualClock(START))
    slow, fast = (Exchange(clock, Options(speed=D(speed))) for clock, speed in zip(clocks, (1, 60), strict=True))
    clocks[0].advance(600)
    clocks[1].advance(10)
    assert slow.book(BIP).bids[0].price == fast.book(BIP).bids[0].price
    assert (slow.book(BIP).time, fast.book(BIP).time) == (START + timedelta(seconds=600), START + timedelta(seconds=10))


# -- candles and trades --------------------------------------------------------------------------------


def minutes(exchange: Exchange, start: datetime, end: datetime, granularity: Granularity) -> tuple[Candle, ...]:
    return exchange.candles(BIP, start=start, end=end, granularity=granularity)


def test_candles_reach_back_before_the_start_newest_first_without_a_hole(exchange: Exchange) -> None:
    found = minutes(exchange, START - timedelta(hours=5), START, Granularity.ONE_MINUTE)
    assert len(found) == 300
    assert found[0].start == START.replace(second=0)
    assert {a.start - b.start for a, b in pairwise(found)} == {timedelta(minutes=1)}
    assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in found)
    assert all(c.volume > 0 for c in found[1:])


def test_a_range_of_more_than_350_buckets_answers_the_newest_350(exchange: Exchange) -> None:
    found = exchange.candles(
        BIP, start=START - timedelta(hours=40), end=START, granularity=Granularity.ONE_MINUTE, limit=1000
    )
    assert len(found) == 350
    assert found[0].start == START.replace(second=0)


def test_longer_candles_are_made_of_the_minutes_in_them(exchange: Exchange) -> None:
    hour = START.replace(hour=8, minute=0, second=0)
    whole = minutes(exchange, hour, hour, Granularity.ONE_HOUR)[0]
    parts = minutes(exchange, hour, hour + timedelta(minutes=59), Granularity.ONE_MINUTE)
    assert len(parts) == 60
    assert (whole.open, whole.close) == (parts[-1].open, parts[0].close)
    assert whole.high == max(c.high for c in parts)
    assert whole.low == min(c.low for c in parts)
    assert whole.volume == sum(c.volume for c in parts)


def test_a_closed_candle_does_not_change(exchange: Exchange, clock: ManualClock) -> None:
    clock.advance(120)
    before = minutes(exchange, START, START + timedelta(seconds=60), Granularity.ONE_MINUTE)
    clock.advance(7200)
    assert minutes(exchange, START, START + timedelta(seconds=60), Granularity.ONE_MINUTE) == before


def test_a_price_set_by_control_changes_no_closed_candle_and_shows_in_the_open_one(
    exchange: Exchange, clock: ManualClock
) -> None:
    clock.advance(300)
    ask = (START, START + timedelta(seconds=120), Granularity.ONE_MINUTE)
    before = minutes(exchange, *ask)
    exchange.control.set_price(BIP, D(50000))
    assert minutes(exchange, *ask) == before
    assert minutes(exchange, START, clock.now(), Granularity.ONE_MINUTE)[0].low < 50010


def test_recent_trades_are_dated_newest_first_and_hold_our_own(exchange: Exchange, clock: ManualClock) -> None:
    clock.advance(30)
    view = exchange.trades(BIP, 100)
    assert len(view.trades) == 100
    assert all(a.time >= b.time for a, b in pairwise(view.trades))
    assert view.trades[0].time <= clock.now()
    assert len({trade.trade_id for trade in view.trades}) == 100
    assert exchange.product(BIP).price == view.trades[0].price


def test_the_last_price_follows_a_price_set_by_control_at_once(exchange: Exchange) -> None:
    exchange.control.set_price(BIP, D(50000))
    view = exchange.product(BIP)
    assert view.mid_market_price is not None
    assert abs(view.price - view.mid_market_price) <= 5


# -- recordings ----------------------------------------------------------------------------------------

PRICED = [
    "btc-perp_1m_2022-01-12_2022-01-26.csv",
    "btc-eth-usdt-perp_8h_with_funding_2023.csv",
    "btc-hyperliquid-perp_2025-01-26_l2_and_trades.jsonl",
    "btc_perp_spot_basis_1h_2026-05-14.csv",
    "btcusdt-perp_2024-08-08T2354_bbo_100ms.csv",
    "btcusdt-perp_2024-08-08T2354_l2_updates_20s.csv",
    "btcusdt-perp_2024-08-08T2354_trades.csv",
    "ethusd-coinm-perp_2024-08-08T2354_bbo_100ms.csv",
    "ethusd-coinm-perp_2024-08-08T2354_l2_updates_15s.csv",
    "ethusd-coinm-perp_2024-08-08T2354_trades.csv",
    "ethusdt-spot_1h_2024-01-13_2024-02-24.csv",
    "solusdt-spot_1h_2024-01-14_2024-02-24.csv",
    "xrpusdt-perp_5m_2021-11-15_2021-11-21.csv",
    "xrpusdt-perp_8h_2021-11-18_2021-12-18.csv",
]


@needs_data
@pytest.mark.parametrize("name", PRICED)
def test_every_priced_recording_drives_its_product_from_its_first_row(name: str) -> None:
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=DATA / name)))
    recording = read_recording(DATA / name, coin_of(DATA / name))
    product = exchange.product(PERP_OF[coin_of(DATA / name)])
    book = exchange.book(product.product_id)
    step, mid = product.price_increment, book.mid_market
    assert mid is not None
    assert abs(mid - D(str(recording.prices[0]))) <= step
    clock.advance(4 * 10**7)
    ended = exchange.book(product.product_id).mid_market
    assert ended is not None
    assert abs(ended - D(str(recording.prices[-1]))) <= step, "after the end the last price holds"


@needs_data
@pytest.mark.parametrize("path", sorted(DATA.glob("*funding_8h*")) + sorted(DATA.glob("*open_interest*")))
def test_a_file_without_prices_is_refused_by_name(path: Path) -> None:
    with pytest.raises(BadRecording, match=r"line 1: has no prices"):
        Exchange(ManualClock(START), Options(replay=ReplaySpec(path=path)))


@needs_data
def test_a_replay_from_an_instant_shows_the_real_crash_rebased_to_now_and_accelerated() -> None:
    clock = ManualClock(START)
    crash = datetime.fromisoformat("2022-01-21T21:30:00Z")
    spec = ReplaySpec(path=DATA / "btc-perp_1m_2022-01-12_2022-01-26.csv", start=crash)
    exchange = Exchange(clock, Options(replay=spec, speed=D(60)))
    first = exchange.book(BIP).mid_market
    lowest = first
    assert first is not None
    for _ in range(60):  # a minute: an hour of the recording
        clock.advance(1)
        mid = exchange.book(BIP).mid_market
        assert mid is not None
        assert lowest is not None
        lowest = min(lowest, mid)
    assert lowest is not None
    assert lowest / first < D("0.965")
    before = minutes(exchange, START - timedelta(minutes=3), START - timedelta(minutes=1), Granularity.ONE_MINUTE)
    assert all(abs(c.close / first - 1) < D("0.02") for c in before), "its own past is its history"


def test_a_recording_has_a_past_even_before_its_first_row(tmp_path: Path) -> None:
    (tmp_path / "btc.csv").write_text(
        GOOD.replace(",10,12,9,11,", ",60000,60010,59990,60000,").replace(",11,12,10,12,", ",60000,60010,59990,60000,")
    )
    exchange = Exchange(ManualClock(START), Options(replay=ReplaySpec(path=tmp_path / "btc.csv")))
    past = minutes(exchange, START - timedelta(hours=2), START - timedelta(minutes=1), Granularity.ONE_MINUTE)
    assert abs(past[0].close - 60000) < 300, "it joins the first row"
    assert len({c.close for c in past}) > 20, "and moves"
    assert exchange.product(BIP).price_percentage_change_24h != 0


@needs_data
def test_recorded_trades_are_the_public_tape(exchange: Exchange) -> None:
    clock = ManualClock(START)
    path = DATA / "btcusdt-perp_2024-08-08T2354_trades.csv"
    replaying = Exchange(clock, Options(replay=ReplaySpec(path=path)))
    clock.advance(20)
    rows = replaying.trades(BIP, 50).trades
    recording = read_recording(path, "btc")
    prices = {round(row.price / 5) * 5 for row in recording.prints}
    assert len(rows) == 50
    assert all(int(row.price) in prices for row in rows)


@needs_data
def test_a_recorded_book_stands_on_our_grid_with_its_recorded_depth() -> None:
    path = DATA / "btcusdt-perp_2024-08-08T2354_l2_updates_20s.csv"
    exchange = Exchange(ManualClock(START), Options(replay=ReplaySpec(path=path)))
    recorded = read_recording(path, "btc").books[0]
    book = exchange.book(BIP)
    best = int(recorded.bids[0][0] // 5 * 5)
    assert book.bids[0].price == best
    assert book.bids[0].size == int(sum(coins for price, coins in recorded.bids if price >= best) / 0.01)


GOOD = "timestamp,open,high,low,close,volume\n2022-01-01T00:00:00Z,10,12,9,11,5\n2022-01-01T00:01:00Z,11,12,10,12,5\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2022-01-01T00:02:00Z,nan,12,9,11,5", "open is not a plain number"),
        ("2022-01-01T00:02:00Z,1_0,12,9,11,5", "open is not a plain number"),
        ("2022-01-01T00:02:00Z,0,12,0,11,5", "open is not above zero"),
        ("2022-01-01T00:02:00Z,10,12,9,13,5", "high and low do not hold open and close"),
        ("2022-01-01T00:02:00Z,10,12,9,11", "has 5 columns, not 6"),
        ("yesterday,10,12,9,11,5", "timestamp is not an ISO 8601 time"),
        ("2022-01-01T00:02:00,10,12,9,11,5", "timestamp has no time zone"),
        ("2021-01-01T00:02:00Z,10,12,9,11,5", "goes back in time"),
    ],
)
def test_a_malformed_row_is_named_by_file_line_and_reason(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "btc_bad.csv"
    path.write_text(GOOD + row + "\n")
    with pytest.raises(BadRecording, match=f"btc_bad.csv line 4: {reason}"):
        read_recording(path, "btc")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("btc.csv", "", "line 1: has no prices"),
        ("btc.csv", GOOD.splitlines()[0] + "\n", "fewer than two candles"),
        ("btc.txt", "x", "neither .csv nor .jsonl"),
        ("doge.csv", GOOD, "name the product"),
        ("btc.jsonl", '{"channel": "l2Book"}\n', "line 1: is not a recorded message"),
        ("btc.jsonl", "[" * 100_000, "line 1: is not a recorded message"),
        ("btc_l2_updates.csv", "exchange_time,side,price,new_qty,last_update_id,prev_last_update_id\n", "snapshot"),
    ],
)
def test_an_unusable_file_says_why(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadRecording, match=reason):
        Exchange(ManualClock(START), Options(replay=ReplaySpec(path=tmp_path / name)))


def test_a_missing_file_and_a_start_after_its_end_say_so(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match="cannot be read"):
        read_recording(tmp_path / "btc.csv", "btc")
    (tmp_path / "btc.csv").write_text(GOOD)
    spec = ReplaySpec(path=tmp_path / "btc.csv", start=START)
    with pytest.raises(BadRecording, match="ends before the start"):
        Exchange(ManualClock(START), Options(replay=spec))
    early = ReplaySpec(path=tmp_path / "btc.csv", start=datetime.fromisoformat("2021-12-31T23:59:59Z"))
    with pytest.raises(BadRecording, match="begins after the start"):
        Exchange(ManualClock(START), Options(replay=early))
    first = ReplaySpec(path=tmp_path / "btc.csv", start=datetime.fromisoformat("2022-01-01T00:00:00Z"))
    assert Exchange(ManualClock(START), Options(replay=first)).options.replay == first


@needs_data
def test_candles_of_a_replayed_product_are_the_files_own_to_the_grid() -> None:
    path = DATA / "btc-perp_1m_2022-01-12_2022-01-26.csv"
    begins = datetime.fromisoformat("2022-01-21T21:30:00Z")
    now = START.replace(second=0, microsecond=0)
    clock = ManualClock(now)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=path, start=begins)))
    clock.advance(1800)
    shown = exchange.candles(
        BIP, start=now - timedelta(minutes=30), end=now + timedelta(minutes=29), granularity=Granularity.ONE_MINUTE
    )
    with path.open(encoding="utf-8", newline="") as file:
        rows = {datetime.fromisoformat(row["timestamp"]): row for row in csv.DictReader(file)}
    assert len(shown) == 60
    for candle in shown:
        row = rows[begins + (candle.start - now)]
        for name in ("open", "high", "low", "close"):
            assert abs(getattr(candle, name) - D(row[name])) <= 10, (candle.start, name)  # quotes on a grid of 5


@needs_data
def test_a_recorded_book_moves_as_recorded_and_its_best_is_never_the_generators() -> None:
    path = DATA / "btcusdt-perp_2024-08-08T2354_l2_updates_20s.csv"
    recording = read_recording(path, "btc")
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=path)))
    seen = set()
    for _ in range(18):
        clock.advance(1)
        moment = recording.moments[0] + (clock.now() - START) // timedelta(microseconds=1)
        recorded = [book for book in recording.books if book.at <= moment][-1]
        book = exchange.book(BIP, 5)
        assert book.bids[0].price == int(recorded.bids[0][0] // 5 * 5)
        assert 0 < book.asks[0].price - book.bids[0].price <= 10
        seen.add((book.bids[0].price, book.bids[0].size))
    assert len(seen) > 5


@needs_data
def test_recorded_trades_fill_a_resting_order_where_they_traded() -> None:
    path = DATA / "btcusdt-perp_2024-08-08T2354_trades.csv"
    recording = read_recording(path, "btc")
    clock = ManualClock(START)
    exchange = Exchange(clock, Options(replay=ReplaySpec(path=path)))
    until = recording.moments[0] + 20_000_000
    lowest = min(row.price for row in recording.prints if row.at <= until)
    touched, below = int(lowest // 5 * 5) + 5, int(lowest // 5 * 5) - 20
    resting = [
        placed(exchange.create(a_request(price=price, client_order_id=str(price)))) for price in (touched, below)
    ]
    clock.advance(20)
    assert [exchange.order(order.order_id).status.value for order in resting] == ["FILLED", "OPEN"]


@needs_data
def test_a_gap_in_the_chain_of_updates_is_found(tmp_path: Path) -> None:
    source = DATA / "btcusdt-perp_2024-08-08T2354_l2_updates_20s.csv"
    lines = source.read_text().splitlines(keepends=True)
    ids = [line.split(",")[3] for line in lines]
    hole = ids[2000]
    (tmp_path / source.name).write_text("".join(line for line, own in zip(lines, ids, strict=True) if own != hole))
    snapshot = source.name.replace("_l2_updates_20s.csv", "_l2_snapshot.json")
    (tmp_path / snapshot).write_text((DATA / snapshot).read_text())
    with pytest.raises(BadRecording, match="breaks the chain of update ids"):
        read_recording(tmp_path / source.name, "btc")


def test_prices_of_a_tiny_market_stay_on_the_grid(exchange: Exchange) -> None:
    exchange.control.set_price("XPP-20DEC30-CDE", Decimal("0.0005"), hold=True)
    book = exchange.book("XPP-20DEC30-CDE")
    assert all(row.price > 0 and row.price % Decimal("0.0001") == 0 for row in (*book.bids, *book.asks))


def test_a_book_is_never_silent_for_long(exchange: Exchange, clock: ManualClock) -> None:
    """A live book that stood still for seconds would make every stream of it look stale (W5)."""
    for product in (BIP, ETP):
        silent = longest = 0
        before = exchange.book(product)
        for _ in range(240):
            clock.advance(milliseconds=250)
            after = exchange.book(product)
            silent = silent + 1 if (after.bids, after.asks) == (before.bids, before.asks) else 0
            longest, before = max(longest, silent), after
        assert longest < 4, f"{product} stood still for {longest} quarters of a second"
