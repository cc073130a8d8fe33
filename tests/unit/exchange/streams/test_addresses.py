"""Where a socket may connect: nowhere else, whatever a profile says (S2, S5)."""

from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment
from perpsctl.exchange.streams.addresses import (
    STREAMS_URL,
    TRADING_URL,
    US_MARKET_URL,
    US_USER_URL,
    streams_address,
    trading_address,
    us_market_address,
    us_user_address,
)

US_OTHER = {US_MARKET_URL: US_USER_URL, US_USER_URL: US_MARKET_URL}

LOCAL = "ws://127.0.0.1:8080/ws/api/v2"


def test_production_has_one_address_for_orders_and_one_for_streams() -> None:
    orders, streams = trading_address(Environment.PRODUCTION), streams_address(Environment.PRODUCTION)
    assert (orders.url, orders.host, orders.port, orders.secure) == (TRADING_URL, "drb.coinbase.com", 443, True)
    assert (streams.url, streams.host, streams.verify) == (STREAMS_URL, "streams.drb.coinbase.com", True)


@pytest.mark.parametrize(
    "url",
    [
        LOCAL,
        STREAMS_URL,  # of the other host
        "wss://drb.coinbase.com.evil.example/ws/api/v2",
        "wss://drb-coinbase.com/ws/api/v2",
        "ws://drb.coinbase.com/ws/api/v2",
        "wss://user@drb.coinbase.com/ws/api/v2",
        "wss://test.deribit.com/ws/api/v2",
    ],
)
def test_production_takes_no_other_address(url: str) -> None:
    with pytest.raises(ConfigError):
        trading_address(Environment.PRODUCTION, url)


def test_production_trusts_the_systems_authorities_only(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    with pytest.raises(ConfigError):
        trading_address(Environment.PRODUCTION, None, bundle)


@pytest.mark.parametrize(
    "url",
    [
        TRADING_URL,
        "ws://10.0.0.1/ws/api/v2",
        "ws://0.0.0.0/ws/api/v2",
        "ws://localhost.example/ws/api/v2",
        "ws://127.0.0.1:8080/elsewhere",
        "ws://127.0.0.1:8080/ws/api/v2?x=1",
        "ws://127.0.0.1:8080/ws/api/v2#x",
        "ws://127.0.0.1:99999/ws/api/v2",
        "ws://user:secret@127.0.0.1/ws/api/v2",
        "http://127.0.0.1:8080/ws/api/v2",
        "ws://127.0.0.1:8080/ws/api/v2\nHost: elsewhere",
        "ws://[::1/ws/api/v2",
        "ws:///ws/api/v2",
        "",
    ],
)
def test_the_simulator_is_on_loopback_at_its_own_path(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        trading_address(Environment.SIM, url)
    assert "secret" not in refused.value.message + refused.value.fix
    assert "\n" not in refused.value.message


def test_a_simulators_address_and_its_authority_are_kept(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("x")
    plain = trading_address(Environment.SIM, LOCAL)
    secure = streams_address(Environment.SIM, LOCAL.replace("ws:", "wss:"), bundle)
    assert (plain.host, plain.port, plain.secure) == ("127.0.0.1", 8080, False)
    assert (secure.secure, secure.verify) == (True, str(bundle))


def test_a_missing_address_or_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        trading_address(Environment.SIM)
    with pytest.raises(ConfigError, match="does not exist"):
        trading_address(Environment.SIM, LOCAL, tmp_path / "none.pem")


def test_the_static_sandbox_has_no_socket() -> None:
    with pytest.raises(ConfigError):
        trading_address(Environment.SANDBOX)


@pytest.mark.parametrize(("made", "fixed"), [(us_market_address, US_MARKET_URL), (us_user_address, US_USER_URL)])
def test_the_us_hosts_are_two_fixed_ones_in_production_s2(made: Any, fixed: str) -> None:
    assert made(Environment.PRODUCTION).url == fixed
    assert made(Environment.PRODUCTION).secure
    for other in (fixed.replace("advanced", "advanced-"), fixed.replace("wss", "ws"), fixed + "/x", US_OTHER[fixed]):
        with pytest.raises(ConfigError):
            made(Environment.PRODUCTION, other)


@pytest.mark.parametrize("made", [us_market_address, us_user_address])
@pytest.mark.parametrize(
    "url",
    [
        "ws://example.com:8080",
        "ws://127.0.0.1:8080?jwt=x",
        "ws://me@127.0.0.1:8080",
        "ws://127.0.0.1:8080/../x",
        "http://127.0.0.1:8080",
        "ws://",
    ],
)
def test_in_the_simulator_only_plain_loopback_addresses_pass_s5(made: Any, url: str) -> None:
    with pytest.raises(ConfigError):
        made(Environment.SIM, url)
    assert made(Environment.SIM, "ws://127.0.0.1:8080").port == 8080
    with pytest.raises(ConfigError):
        made(Environment.SANDBOX)
