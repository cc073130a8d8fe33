"""Where sockets may connect: two addresses a venue in production, loopback in the sim, judged before a key is used (S2, S5).

Plain text beyond loopback, user info, other hosts, paths or queries are refused here; no redirect is ever followed.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment
from perpsctl.domain.text import shown
from perpsctl.exchange.hosts import is_loopback

__all__ = [
    "STREAMS_URL",
    "TRADING_URL",
    "US_MARKET_URL",
    "US_USER_URL",
    "SocketAddress",
    "streams_address",
    "trading_address",
    "us_market_address",
    "us_user_address",
]

# coinbase-global-derivatives.md section 2, 2026-11-22: private calls and streams on one host, public streams on another.
TRADING_URL = "wss://drb.coinbase.com/ws/api/v2"
STREAMS_URL = "wss://streams.drb.coinbase.com/ws/api/v2"
_PATH = "/ws/api/v2"
# coinbase-advanced-trade.md section 1, 2026-11-22: market data on one host, orders and balances on another; no path.
US_MARKET_URL = "wss://advanced-trade-ws.coinbase.com"
US_USER_URL = "wss://advanced-trade-ws-user.coinbase.com"
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)*/?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketAddress:
    """A socket's address that passed the allow-list. `verify` is True (the system's authorities) or a CA bundle."""

    url: str
    host: str
    port: int
    secure: bool
    verify: bool | str


def trading_address(environment: Environment, url: str | None = None, ca_file: Path | None = None) -> SocketAddress:
    """Where orders go; ConfigError for any address that is not on the environment's list."""
    return _address(environment, TRADING_URL, url, ca_file)


def streams_address(environment: Environment, url: str | None = None, ca_file: Path | None = None) -> SocketAddress:
    """Where public streams come from; ConfigError for any address that is not on the environment's list."""
    return _address(environment, STREAMS_URL, url, ca_file)


def us_market_address(environment: Environment, url: str | None = None, ca_file: Path | None = None) -> SocketAddress:
    """Where US market data comes from; ConfigError for any address that is not on the environment's list."""
    return _address(environment, US_MARKET_URL, url, ca_file)


def us_user_address(environment: Environment, url: str | None = None, ca_file: Path | None = None) -> SocketAddress:
    """Where US orders and balances are told; ConfigError for any address that is not on the environment's list."""
    return _address(environment, US_USER_URL, url, ca_file)


def _address(environment: Environment, fixed: str, url: str | None, ca_file: Path | None) -> SocketAddress:
    if url is not None and "@" in url:  # not echoed: what stands before the @ may be a secret
        raise ConfigError("an address of a venue names no user", fix="remove everything up to the @")
    if environment is Environment.PRODUCTION:
        if ca_file is not None:
            raise ConfigError("production trusts no CA file of its own", fix="remove the CA file from the profile")
        if url is not None and url != fixed:
            raise ConfigError(
                f"{shown(url)} is not the socket of production", fix=f"remove it: {fixed} is the only one"
            )
        return _parsed(fixed, True, fixed)
    if environment is not Environment.SIM:
        raise ConfigError(f"{environment} has no sockets", fix="use `sim` or `production`")
    if url is None:
        raise ConfigError("the simulator's socket address is missing", fix="start it with `perpsctl sim start`")
    if ca_file is not None and not ca_file.is_file():
        raise ConfigError(f"the CA file {shown(str(ca_file))} does not exist", fix="see `perpsctl sim status`")
    address = _parsed(url, True if ca_file is None else str(ca_file), fixed)
    if not is_loopback(address.host):
        raise ConfigError(f"{shown(url)} is not on loopback", fix="the simulator listens on loopback only")
    return address


def _parsed(url: str, verify: bool | str, fixed: str) -> SocketAddress:
    """The path is the fixed address's own: a venue that has none is met at the simulator with any that is plain."""
    path = urlsplit(fixed).path
    fix = f"an address looks like ws://127.0.0.1:8080{path}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{shown(url)} is not the address of a socket", fix=fix) from None
    known = parts.path == path if path else _PLAIN_PATH.fullmatch(parts.path) is not None
    if parts.scheme not in {"ws", "wss"} or not known or parts.query or parts.fragment or not host:
        raise ConfigError(f"{shown(url)} is not the address of a socket", fix=fix)
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{shown(url)} is not the address of a socket", fix=fix)
    secure = parts.scheme == "wss"
    return SocketAddress(
        url=url, host=host, port=(443 if secure else 80) if port is None else port, secure=secure, verify=verify
    )
