"""Where requests may go: one allow-list per environment, judged before a key is ever used (S2, S5).

A look-alike host, a plain-text address beyond loopback, user info or a path in the address is refused here; nothing
else in the room decides where bytes go.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.text import shown

__all__ = ["GLOBAL_HOST", "PRODUCTION_HOST", "SANDBOX_HOST", "Endpoint", "endpoint_for", "is_loopback"]

PRODUCTION_HOST = "api.coinbase.com"  # coinbase-advanced-trade.md section 1, 2026-11-22
SANDBOX_HOST = "api-sandbox.coinbase.com"
GLOBAL_HOST = "drb.coinbase.com"  # coinbase-global-derivatives.md section 2, 2026-11-22; it has no sandbox
_FIXED = {
    (VenueId.US, Environment.PRODUCTION): PRODUCTION_HOST,
    (VenueId.US, Environment.SANDBOX): SANDBOX_HOST,
    (VenueId.GLOBAL, Environment.PRODUCTION): GLOBAL_HOST,
}
_AUTHORITY = re.compile(r"[A-Za-z0-9.\-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:]+\](?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A venue's REST address that passed the allow-list; made by `endpoint_for` only.

    `verify` is True (the system's authorities) or a CA bundle of a simulator; it is never False.
    """

    environment: Environment
    origin: str  # scheme://host[:port], no slash at the end
    authority: str  # host[:port] as it stands in the Host header and in the token
    verify: bool | str

    @property
    def signs(self) -> bool:
        """False where the venue takes no keys at all (the static sandbox)."""
        return self.environment is not Environment.SANDBOX


def endpoint_for(
    environment: Environment, address: str | None = None, ca_file: Path | None = None, *, venue: VenueId = VenueId.US
) -> Endpoint:
    """The endpoint of an environment; ConfigError for any address that is not on its list.

    `address` and `ca_file` are for the simulator, on loopback; the other environments have one address each and trust
    the system's authorities only.
    """
    if address is not None and "@" in address:
        raise ConfigError("an address of a venue names no user", fix="remove everything up to the @")
    fixed = _FIXED.get((venue, environment))
    if fixed is None and environment is not Environment.SIM:
        raise ConfigError(f"the {venue.value} venue has no {environment.value}", fix="use sim or production")
    if fixed is not None:
        if ca_file is not None:
            raise ConfigError(f"{environment} trusts no CA file of its own", fix="remove the CA file from the profile")
        if address is not None and address.rstrip("/") != f"https://{fixed}":
            raise ConfigError(
                f"{shown(address)} is not the address of {environment}",
                fix=f"remove it: https://{fixed} is the only one",
            )
        return Endpoint(environment=environment, origin=f"https://{fixed}", authority=fixed, verify=True)
    if address is None:
        raise ConfigError("the simulator's address is missing", fix="start it with `perpsctl sim start`")
    return _simulator(address, ca_file)


def _simulator(address: str, ca_file: Path | None) -> Endpoint:
    fix = "the simulator listens on loopback only, e.g. http://127.0.0.1:8080"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"{shown(address)} is not an address of a host", fix=fix)
    if _AUTHORITY.fullmatch(parts.netloc) is None or not is_loopback(_host_of(parts.netloc)):
        raise ConfigError(f"{shown(address)} is not on loopback", fix=fix)
    if ca_file is not None and not ca_file.is_file():
        raise ConfigError(f"the CA file {shown(str(ca_file))} does not exist", fix="see `perpsctl sim status`")
    return Endpoint(
        environment=Environment.SIM,
        origin=f"{parts.scheme}://{parts.netloc}",
        authority=parts.netloc,
        verify=True if ca_file is None else str(ca_file),
    )


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority[1 : authority.index("]")]
    return authority.partition(":")[0]


def is_loopback(host: str) -> bool:
    """True for `localhost` and for literal addresses of the loopback network, in their usual spelling only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
