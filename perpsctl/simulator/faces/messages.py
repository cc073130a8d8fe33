"""What passes between a shell and a face: a request as it arrived, a reply as it should leave, and what to do to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl

from perpsctl.simulator.faults import Effect, EffectKind

JSON = "application/json"
PLAIN = "text/plain"
HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request. `connected_host` is the host, port included, the client opened the connection to.

    `headers` have lower-case names; `query` is raw. `received_at` is the venue's time at arrival.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    received_at: datetime
    connected_host: str
    client_ip: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer, and `effects`: what the shell does to the connection while answering, in order."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    effects: tuple[Effect, ...] = ()

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Every header but Content-Length; names in lower case, as the official SDK looks them up on a plain dict."""
        return (("content-type", self.content_type), *self.headers)


class Query:
    """A query string read as the venue's clients write it: repeated keys, capitalised booleans (SDK, 2026-11-22)."""

    __slots__ = ("_values",)

    def __init__(self, raw: str) -> None:
        self._values: dict[str, list[str]] = {}
        if raw:
            for key, value in parse_qsl(raw, keep_blank_values=True):
                self._values.setdefault(key, []).append(value)

    def one(self, name: str) -> str | None:
        """The first value that is not empty, or None."""
        return next((value for value in self._values.get(name, ()) if value), None)

    def many(self, *names: str) -> tuple[str, ...]:
        """Every value under any of the names: ccxt sends singular `product_id` for `product_ids`."""
        return tuple(value for name in names for value in self._values.get(name, ()) if value)

    def flag(self, name: str) -> bool:
        """True for `true` in any spelling."""
        return (self.one(name) or "").lower() == "true"


def first_of(effects: tuple[Effect, ...], kind: EffectKind) -> Effect | None:
    """The first effect of a kind."""
    return next((effect for effect in effects if effect.kind is kind), None)


def whole(effect: Effect, name: str, default: int) -> int:
    """A whole-number parameter of an effect."""
    return int(effect.params.get(name, default))


def word(effect: Effect, name: str, default: str) -> str:
    """A text parameter of an effect."""
    return str(effect.params.get(name, default))
