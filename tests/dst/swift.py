"""What makes a schedule cheap and changes nothing it does: work that would come out the same is done once.

Imported by the harness alone. Nothing here may decide anything: a statement is rendered once for all journals of the
process, a signature that this process itself has just made is known to be good, and a market that nobody walks to its end
has a shorter ladder.
"""

from functools import cache, lru_cache
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from perpsctl.exchange.credentials import Credentials
from perpsctl.journal import database, sqlite
from perpsctl.journal.rendered import Rendered
from perpsctl.simulator import auth
from perpsctl.simulator.core import Core
from perpsctl.simulator.gateway.funding import HOUR_US

# Of 250, on the first venue: its steps are wide, and these still hold several times the liquidity that an entry asks for.
# The gateway's ladder stays whole: with fewer of its fine steps every taking entry would be denied for want of liquidity.
PRICES_A_SIDE = 60
SIGNATURES_KEPT = 4096

_first: list[Engine] = []
_made: dict[bytes, tuple[bytes, Credentials]] = {}  # signature -> what was signed, and with which key


def quicken() -> None:
    """From here on this process does the work below once. Calling it again changes nothing."""
    if vars(sqlite)["create_engine"] is create_engine:
        vars(sqlite)["create_engine"] = _engine
        Credentials.sign = _signed(Credentials.sign)  # type: ignore[method-assign]
        auth._signed_by = _known(auth._signed_by)
        vars(database)["Rendered"] = cache(Rendered)


def _engine(*arguments: Any, **named: Any) -> Engine:
    """An engine that shares dialect and rendered statements with the first: each process of a schedule opens a journal
    anew, and rendering the same SQL again was a fifteenth of its time."""
    made = create_engine(*arguments, **named)
    if not _first:
        _first.append(made)
    made.dialect, made._compiled_cache = _first[0].dialect, _first[0]._compiled_cache
    return made


def _signed(sign: Any) -> Any:
    def signed(self: Credentials, message: bytes) -> bytes:
        told: bytes = sign(self, message)
        if len(_made) > SIGNATURES_KEPT:
            _made.clear()
        _made[told] = message, self
        return told

    return signed


def _known(signed_by: Any) -> Any:
    """The exchange's own check, but for what this process signed with this very key: that verifies."""

    def known(public: Any, algorithm: object, signature: bytes, signed: bytes) -> bool:
        message, by = _made.get(signature, (None, None))
        ours = by is not None and message == signed and algorithm == by.algorithm and _public_of(by) == public
        return ours or bool(signed_by(public, algorithm, signature, signed))

    return known


@lru_cache(maxsize=64)
def _public_of(credentials: Credentials) -> Any:
    return load_pem_public_key(credentials.public_pem())


def shorten(core: Core) -> None:
    """The first venue's ladders are short, and the day before the account began is as quiet as its first moment."""
    gateway = core.gateway.state
    for market in core.state.markets.values():
        market.levels_max = PRICES_A_SIDE
    begun = gateway.host_us // HOUR_US
    for product_id, market in gateway.markets.items():
        price = market.price_at(0)
        for hour in range(begun - 24, begun):
            gateway._hours[product_id, hour] = (price, price)
    for tape in gateway.numbered.values():  # trades are numbered from the account's begin on
        tape._counted = max(tape._counted, 0)
