"""What the gateway's client added to the shared mechanisms: its host, a JWT that names no request, buckets with a burst."""

import base64
import json
from datetime import timedelta

import pytest

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment, VenueId
from perpsctl.exchange.hosts import endpoint_for
from perpsctl.exchange.pacing import Budget, Priority
from perpsctl.exchange.signing import Signer
from tests.unit.exchange.parts import NOW, FakeClock, credentials


def test_S2_production_of_the_global_venue_is_one_host_and_no_other() -> None:
    assert endpoint_for(Environment.PRODUCTION, venue=VenueId.GLOBAL).origin == "https://drb.coinbase.com"
    assert endpoint_for(Environment.PRODUCTION).origin == "https://api.coinbase.com"
    for address in ("https://api.coinbase.com", "https://drb.coinbase.com.evil.example", "http://drb.coinbase.com"):
        with pytest.raises(ConfigError):
            endpoint_for(Environment.PRODUCTION, address, venue=VenueId.GLOBAL)


def test_the_global_venue_has_no_sandbox() -> None:
    with pytest.raises(ConfigError, match="sandbox"):
        endpoint_for(Environment.SANDBOX, venue=VenueId.GLOBAL)


def test_a_grant_is_a_token_without_a_uri_and_a_request_token_still_has_one() -> None:
    signer = Signer(credentials(), "drb.coinbase.com")

    def claims(token: str) -> dict[str, object]:
        part = token.split(".")[1]
        found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return found

    ttl = timedelta(seconds=120)
    assert "uri" not in claims(signer.grant(now=NOW, ttl=ttl, nonce="00"))
    assert claims(signer.token("GET", "/x", now=NOW, ttl=ttl, nonce="00"))["uri"] == "GET drb.coinbase.com/x"


def test_a_bucket_holds_its_burst_and_fills_at_its_rate() -> None:
    clock = FakeClock()
    budget = Budget(5, clock, burst=20)
    taken = 0
    while budget.wait_ns(clock.monotonic_ns(), Priority.CANCEL) == 0:
        taken += 1
    assert taken == 20
    clock.advance(timedelta(seconds=1))
    assert [budget.wait_ns(clock.monotonic_ns(), Priority.CANCEL) == 0 for _ in range(6)] == [True] * 5 + [False]


def test_a_drained_bucket_lets_orders_and_reads_wait_until_it_is_full() -> None:
    clock = FakeClock()
    budget = Budget(5, clock, burst=20)
    budget.drain(clock.monotonic_ns())
    assert budget.refill_ns == 4_000_000_000
    assert budget.wait_ns(clock.monotonic_ns(), Priority.WRITE) == 4_000_000_000
    assert budget.wait_ns(clock.monotonic_ns(), Priority.CANCEL) <= 2_000_000_000
    clock.advance(timedelta(seconds=1))
    assert budget.wait_ns(clock.monotonic_ns(), Priority.CANCEL) == 0
    assert budget.wait_ns(clock.monotonic_ns(), Priority.READ) == 3_000_000_000
