from pathlib import Path

import pytest

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment
from perpsctl.exchange.hosts import endpoint_for, is_loopback


def test_S2_production_and_sandbox_have_one_address_each_and_trust_the_system_only() -> None:
    live = endpoint_for(Environment.PRODUCTION)
    assert (live.origin, live.authority, live.verify, live.signs) == (
        "https://api.coinbase.com",
        "api.coinbase.com",
        True,
        True,
    )
    assert endpoint_for(Environment.SANDBOX).authority == "api-sandbox.coinbase.com"
    assert not endpoint_for(Environment.SANDBOX).signs
    assert endpoint_for(Environment.PRODUCTION, "https://api.coinbase.com/") == live


@pytest.mark.parametrize(
    "address",
    [
        "https://api.coinbase.com.evil.example",
        "https://api.coinbase.co",
        "https://api-coinbase.com",
        "http://api.coinbase.com",
        "https://api.coinbase.com:8443",
        "https://api.coinbase.com@evil.example",
        "https://evil.example/api.coinbase.com",
        "https://аpi.coinbase.com",  # a Cyrillic letter
        "https://api.coinbase.com.",
        "https://api.coinbase.com/v2",
        "//api.coinbase.com",
        "http://127.0.0.1:8080",
        "",
    ],
)
def test_S2_no_other_address_is_production(address: str) -> None:
    with pytest.raises(ConfigError):
        endpoint_for(Environment.PRODUCTION, address)


def test_S2_production_takes_no_ca_file(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    with pytest.raises(ConfigError, match="CA file"):
        endpoint_for(Environment.PRODUCTION, ca_file=ca)


@pytest.mark.parametrize(
    ("address", "authority"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("https://localhost:8443/", "localhost:8443"),
        ("http://[::1]:80", "[::1]:80"),
        ("http://127.9.9.9:1", "127.9.9.9:1"),
    ],
)
def test_the_simulator_is_anywhere_on_loopback(address: str, authority: str) -> None:
    assert endpoint_for(Environment.SIM, address).authority == authority


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1:80",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://127.1:80",
        "http://2130706433",
        "http://0.0.0.0:80",
        "http://user:password@127.0.0.1",
        "http://127.0.0.1:80/path",
        "http://127.0.0.1:80?x=1",
        "ftp://127.0.0.1",
        "https://api.coinbase.com",
        "127.0.0.1:80",
    ],
)
def test_S5_the_simulator_is_nowhere_else(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        endpoint_for(Environment.SIM, address)
    assert "password" not in caught.value.message


def test_a_missing_address_or_ca_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        endpoint_for(Environment.SIM)
    with pytest.raises(ConfigError, match="does not exist"):
        endpoint_for(Environment.SIM, "https://127.0.0.1:1", tmp_path / "none.pem")


def test_loopback_is_told_by_value_not_by_prefix() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("127.0.0.1.example")
    assert not is_loopback("::ffff:10.0.0.1")
