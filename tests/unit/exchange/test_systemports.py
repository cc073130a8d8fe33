import re
from datetime import UTC, timedelta

from perpsctl.systemports import SystemClock, SystemIds


def test_the_wall_clock_is_aware_and_utc_and_the_count_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    counts = [clock.monotonic_ns() for _ in range(1000)]
    assert counts == sorted(counts)


def test_sleeping_takes_as_long_as_said_and_nothing_for_nothing() -> None:
    clock = SystemClock()
    start = clock.monotonic_ns()
    for none in (timedelta(0), timedelta(seconds=-5)):
        clock.sleep(none)
    assert clock.monotonic_ns() - start < 50_000_000
    clock.sleep(timedelta(milliseconds=20))
    assert clock.monotonic_ns() - start >= 20_000_000


def test_names_and_nonces_are_of_the_promised_shape_and_never_twice() -> None:
    ids = SystemIds()
    names = {ids.new() for _ in range(1000)}
    nonces = {ids.nonce() for _ in range(1000)}
    assert (len(names), len(nonces)) == (1000, 1000)
    assert all(re.fullmatch(r"[0-9a-f-]{36}", name) for name in names)
    assert all(re.fullmatch(r"[0-9a-f]{64}", nonce) for nonce in nonces)


def test_jitter_covers_its_range_and_stays_in_it() -> None:
    ids = SystemIds()
    drawn = [ids.jitter() for _ in range(2000)]
    assert min(drawn) >= 0
    assert max(drawn) <= 999_999
    assert max(drawn) - min(drawn) > 900_000
