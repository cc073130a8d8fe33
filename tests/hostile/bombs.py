"""Replies that are hostile outside of their bytes of JSON: headers, encodings, lengths, statuses, endless bodies."""

import gzip
import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from random import Random

from perpsctl.domain.orders import Accepted, Rejected
from perpsctl.exchange.transport import BODY_BYTES_MAX
from tests.hostile.corpus import WRITE_PATHS, WRITES, Call, Exchange
from tests.hostile.mutate import EVIL_TEXTS, spoilt
from tests.hostile.playback import Played, Spoilt

RETRIES_END = timedelta(seconds=200)  # of virtual time: every call of a conversation may use its own bound


class Endless(io.RawIOBase):
    """A body without an end; it counts what was taken of it."""

    def __init__(self, piece: bytes) -> None:
        super().__init__()
        self._piece = piece
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = len(self._piece) if size < 0 else size
        self.taken += wanted
        return (self._piece * (wanted // len(self._piece) + 1))[:wanted]


class Breaks(io.RawIOBase):
    """Half a body, then the connection is gone."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._half = io.BytesIO(body[: len(body) // 2])

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._half.read(size)
        if not piece:
            raise ConnectionResetError(104, "Connection reset by peer")
        return piece


@cache
def _bomb(kind: str) -> bytes:
    whole = b" " * 50_000_000
    if kind == "gzip":
        return gzip.compress(whole)
    if kind == "nested":
        return gzip.compress(gzip.compress(whole))
    return zlib.compress(whole)


def compressed(chance: Random, number: int, body: bytes) -> Spoilt:
    """H7: an encoding nobody asked for, small or a bomb of 50 MB."""
    kind = chance.choice(("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-unknown"))
    packed = {"gzip": lambda: _bomb("gzip"), "gzip, gzip": lambda: _bomb("nested"), "deflate": lambda: _bomb("deflate")}
    told = packed.get(kind, lambda: body)() if chance.random() < 0.7 else gzip.compress(body)
    return Spoilt(number=number, body=told, headers={"content-encoding": kind})


def endless(chance: Random, number: int, body: bytes) -> Spoilt:
    """H6: it never ends."""
    piece = chance.choice((b" ", body or b" ", b"[", b'{"a":', b"\x00"))
    return Spoilt(number=number, body=b"", stream=lambda _: Endless(piece))


def too_long(chance: Random, number: int, body: bytes) -> Spoilt:
    """H6: over the cap by a byte."""
    return Spoilt(number=number, body=b"", stream=lambda _: io.BytesIO(body + b" " * (BODY_BYTES_MAX + 1 - len(body))))


def breaks_off(chance: Random, number: int, body: bytes) -> Spoilt:
    """N13: a reset in the middle of the body."""
    return Spoilt(number=number, body=b"", stream=lambda _: Breaks(body + b" " * 10))


def other_status(chance: Random, number: int, body: bytes) -> Spoilt:
    """N4, N7, N24, A2, A3: any status with the honest body or a spoiled one, evil headers beside it."""
    status = chance.choice(
        (100, 201, 204, 206, 301, 302, 307, 308, 400, 401, 403, 404, 407, 409, 418, 429, 500, 502, 503, 504, 599)
    )
    told = body if chance.random() < 0.4 else spoilt(chance, body)[0]
    headers = (
        {"location": chance.choice(("https://evil.example/", "/", "file:///etc/passwd", "\x1b[2J"))}
        if status < 400
        else {}
    )
    retry = {
        "retry-after": chance.choice(("1", "-1", "99999999", "soon", "Wed, 21 Oct 2037 07:28:00 GMT", "1e9", "\u0661"))
    }
    return Spoilt(number=number, body=told, status=status, headers=headers | (retry if status in (429, 503) else {}))


def other_kind(chance: Random, number: int, body: bytes) -> Spoilt:
    """N22, N23: something that says it is no JSON."""
    kind = chance.choice(
        ("text/html", "text/plain; charset=utf-8", "application/octet-stream", "\x1b[31mapplication/json", "json")
    )
    told = body if chance.random() < 0.5 else b"<html>\x1b]0;portal\x07Sign in</html>"
    return Spoilt(number=number, body=told, headers={"content-type": kind})


def evil_headers(chance: Random, number: int, body: bytes) -> Spoilt:
    """H13: ids, dates and limits with anything in them; the body is spoiled so that they are told."""
    evil = chance.choice(EVIL_TEXTS[:16])
    named = ("x-request-id", "trace-id", "cf-ray", "date", "retry-after", "x-ratelimit-remaining", "x-ratelimit-reset")
    told = spoilt(chance, body)[0] if chance.random() < 0.8 else body
    return Spoilt(number=number, body=told, headers={name: evil for name in named if chance.random() < 0.6})


def many_headers(chance: Random, number: int, body: bytes) -> Spoilt:
    """H13: a flood of them, as far as a library lets it in."""
    return Spoilt(number=number, body=body, headers={f"x-flood-{each}": "a" * 200 for each in range(500)})


def mutated(chance: Random, number: int, body: bytes) -> Spoilt:
    """The bytes of the wire level, through the whole client with its retries."""
    return Spoilt(number=number, body=spoilt(chance, body)[0])


Bomb = Callable[[Random, int, bytes], Spoilt]
BOMBS: tuple[Bomb, ...] = (
    compressed, endless, too_long, breaks_off, other_status, other_status, other_kind, evil_headers, many_headers, mutated,
    mutated,
)  # fmt: skip
NEVER_READ = (compressed, endless, too_long, breaks_off, other_kind)


def judged(bomb: Bomb, call: Call, exchange: Exchange, struck: Spoilt, played: Played) -> tuple[str, ...]:
    """What is wrong besides what every spoilt reply is judged by."""
    found: list[str] = []
    if played.clock.slept > RETRIES_END:
        found.append(f"{played.clock.slept} were slept")
    if call.name in WRITES and exchange.path in WRITE_PATHS and played.script.struck:
        if bomb in NEVER_READ and isinstance(played.value, (Accepted, Rejected)):
            found.append(f"{type(played.value).__name__} by a reply that cannot be believed")
    return tuple(found)


def whole(struck: Spoilt) -> Spoilt:
    """The same, given once: the next time the same is asked the honest reply comes."""
    return replace(struck, others=False)
