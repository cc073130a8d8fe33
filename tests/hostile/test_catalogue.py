"""H1 to H14 by name, against both venues: every endpoint the client calls, and every recorded message of their sockets.

Each id is a way to spoil a reply; what may come of it is judged by the oracle, and for those that leave nothing to be read,
nothing may come of it. Where an id is also held elsewhere, that test is named here and looked for.
"""

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from perpsctl.domain.orders import Unknown
from perpsctl.exchange import transport
from tests.hostile import bombs, cases, frames, mutate, oracle
from tests.hostile.corpus import WRITE_PATHS, WRITES, Call, Exchange
from tests.hostile.playback import Spoilt, play

TESTS = Path(__file__).resolve().parents[1]
VENUES = ("us", "global")
Way = Callable[[Random, bytes, mutate.Anatomy], bytes]


def _some(body: bytes, spans: tuple[mutate.Span, ...], chance: Random, new: bytes) -> bytes:
    if not spans:
        return body
    span = chance.choice(spans)
    return body[: span.start] + new + body[span.end :]


def _number(chance: Random, body: bytes, parts: mutate.Anatomy, tokens: tuple[bytes, ...]) -> bytes:
    spans = parts.numbers + tuple(each for each in parts.texts if body[each.start + 1 : each.start + 2].isdigit())
    new = chance.choice(tokens)
    return _some(body, spans, chance, new if chance.random() < 0.5 else b'"' + new + b'"')


def h1(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Huge numbers and exponent bombs."""
    return _number(chance, body, parts, mutate.NUMBERS[:6])


def h2(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """NaN, infinities, a negative zero."""
    return _number(chance, body, parts, mutate.NUMBERS[6:11])


def h3(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Values of another type."""
    return _some(body, parts.scalars + parts.containers, chance, chance.choice(mutate.LITERALS))


def _text(chance: Random, body: bytes, parts: mutate.Anatomy, texts: tuple[str, ...]) -> bytes:
    return _some(body, parts.texts, chance, mutate.quoted(chance.choice(texts), chance))


def h4(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Controls, OSC, cursor moves, bidi and zero-width marks."""
    return _text(chance, body, parts, mutate.EVIL_TEXTS[:9])


def h5(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Line ends."""
    return _text(chance, body, parts, mutate.EVIL_TEXTS[9:12])


def h8(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Twenty thousand levels, thousands of keys, keys that come twice (more of each: test_guard)."""
    kind = chance.randrange(4)
    if kind == 0:
        return _some(body, parts.scalars + parts.containers, chance, b"[" * 20_000 + b"]" * 20_000)
    if kind == 1:
        return _some(body, parts.containers, chance, b"{" + b",".join(b'"k%d":1' % n for n in range(3_000)) + b"}")
    return mutate.twice_named(chance, body, parts)


def h9(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Not UTF-8, or with a byte order mark."""
    return chance.choice(
        (b"\xef\xbb\xbf" + body, body.decode().encode("utf-16"), body.replace(b'"', b'"\xff', 1), body + b"\xc3")
    )


def h10(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Another product, side, size, price or id."""
    return mutate.other_word(chance, body, parts) if chance.random() < 0.6 else mutate.other_number(chance, body, parts)


def h11(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Ids with path characters."""
    return _text(chance, body, parts, ("../../../etc/passwd", "a/b?c=d#e", "%2e%2e%2f", "a\\b", "..", "a b", "/"))


def h12(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Lists of very many rows, and the same row twice; 100,000 products are over the cap of bytes (H6)."""
    if not parts.items:
        return body
    span = chance.choice(parts.items)
    item = body[span.start : span.end]
    times = chance.choice((1, 1, max(300, 200_000 // len(item))))
    return body[: span.start] + item + (b"," + item) * times + body[span.end :]


def h14(chance: Random, body: bytes, parts: mutate.Anatomy) -> bytes:
    """Text that would like to be an instruction."""
    return _text(chance, body, parts, mutate.EVIL_TEXTS[13:14])


READ_WAYS: dict[str, Way] = {
    "H1": h1, "H2": h2, "H3": h3, "H4": h4, "H5": h5, "H8": h8, "H9": h9, "H10": h10, "H11": h11, "H12": h12, "H14": h14,
}  # fmt: skip
CLIENT_WAYS: dict[str, tuple[bombs.Bomb, ...]] = {
    "H6": (bombs.endless, bombs.too_long),
    "H7": (bombs.compressed,),
    "H13": (bombs.evil_headers, bombs.many_headers),
}
NOTHING_COMES_OF_IT = ("H6", "H7", "H9")
# What else holds an id, for either venue: a socket of our own, every number field, the terminal.
ELSEWHERE: dict[str, tuple[str, ...]] = {
    "H1": ("unit/wire/test_hostile_numbers.py", "unit/wire/global_derivatives/test_global_hostile_numbers.py"),
    "H2": ("unit/wire/test_hostile_numbers.py", "unit/wire/global_derivatives/test_global_hostile_numbers.py"),
    "H3": ("unit/wire/test_hostile_numbers.py", "unit/wire/test_guard.py"),
    "H4": ("unit/render/test_forms.py", "hostile/test_terminal.py"),
    "H5": ("unit/render/test_forms.py", "hostile/test_terminal.py"),
    "H6": ("unit/exchange/test_sockets.py", "unit/wire/test_guard.py"),
    "H7": ("unit/exchange/test_sockets.py",),
    "H8": ("unit/wire/test_guard.py", "unit/exchange/global_derivatives/test_writes.py"),
    "H9": ("unit/wire/test_guard.py",),
    "H10": ("unit/exchange/test_writes.py", "unit/exchange/global_derivatives/test_writes.py"),
    "H13": ("unit/exchange/test_sockets.py",),
    "H14": ("hostile/test_terminal.py",),
}
IDS = tuple(f"H{number}" for number in range(1, 15))


def test_every_id_of_the_catalogue_has_its_test_for_both_venues() -> None:
    assert set(READ_WAYS) | set(CLIENT_WAYS) == set(IDS)
    assert {call.venue for call in cases.calls()} == set(VENUES)
    for ident, files in ELSEWHERE.items():
        for each in files:
            assert re.search(rf"\b_?{ident}\b|_{ident}\b|_{ident}_", (TESTS / each).read_text()), (
                f"{each} names no {ident}"
            )


def _exchanges(venue: str) -> list[tuple[Call, int, Exchange]]:
    """Each reply of each call, those of the same endpoint once a call."""
    found = []
    for call in cases.calls():
        if call.venue == venue:
            seen: set[str] = set()
            for number, exchange in enumerate(call.exchanges):
                if exchange.path not in seen:
                    seen.add(exchange.path)
                    found.append((call, number, exchange))
    return found


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("ident", IDS)
def test_hostile_answers_of_every_endpoint(ident: str, venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        transport, "BODY_BYTES_MAX", 200_000
    )  # the true one is held by test_sockets, over a real socket
    paths: set[str] = set()
    for call, number, exchange in _exchanges(venue):
        if ident in CLIENT_WAYS and exchange.path in paths:
            continue  # retries make these dear: once an endpoint
        chance = Random(f"{ident}/{call.told}/{number}")
        if ident in READ_WAYS:
            body = READ_WAYS[ident](chance, exchange.body, mutate.taken_apart(exchange.body))
            struck = Spoilt(number=number, body=body)
        else:
            struck = chance.choice(CLIENT_WAYS[ident])(chance, number, exchange.body)
        played = play(call, struck, client=ident not in READ_WAYS)
        reply = oracle.reply_of(call, exchange, struck.body, exchange.status)
        assert played.script.struck, f"{call.told} never asked for {exchange.path}"
        assert list(oracle.violations(reply, played, cases.honest(call.told))) == [], f"{call.told} {exchange.path}"
        if ident in NOTHING_COMES_OF_IT:
            _nothing_came(call, exchange, played)
        paths.add(exchange.path)
    assert len(paths) > 20
    assert paths & set(WRITE_PATHS)


def _nothing_came(call: Call, exchange: Exchange, played: object) -> None:
    value, error = getattr(played, "value", None), getattr(played, "error", None)
    if call.name in WRITES and exchange.path in WRITE_PATHS:
        assert isinstance(value, Unknown), f"{call.told}: {value}"
    elif exchange.path not in oracle.CAN_DO_WITHOUT.get(call.told, ()) and call.name not in WRITES:
        assert isinstance(error, oracle.TYPED), f"{call.told} {exchange.path}: {value}"


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("ident", READ_WAYS)
def test_hostile_messages_of_every_channel(ident: str, venue: str) -> None:
    """H6, H7 and H13 have no way into a message: the line refuses what is too long or compressed (W11, test_live_faults)."""
    told = frames.recorded(venue)
    kinds: dict[bytes, list[bytes]] = {}
    for each in told.told:
        kinds.setdefault(_kind(each), []).append(each)
    assert len(kinds) >= 6, sorted(kinds)
    for kind, messages in kinds.items():
        for number, message in enumerate(messages[:3]):
            chance = Random(f"{ident}/{venue}/{kind!r}/{number}")
            body = READ_WAYS[ident](chance, message, mutate.taken_apart(message))
            assert list(frames.read(told, message, body)) == [], kind


def _kind(message: bytes) -> bytes:
    found = re.search(rb'"channel":"([a-z_0-9]+\.?[a-z]*)', message)
    return found[1] if found else re.sub(rb"[0-9]+", b"", message[:40])
