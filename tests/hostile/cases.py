"""Which case is which: cases come in batches, a batch plays one call, and a number names a case on every machine."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from tests.hostile import bombs, frames
from tests.hostile.corpus import WRITES, Call, corpus
from tests.hostile.mutate import spoilt
from tests.hostile.oracle import reply_of, violations
from tests.hostile.playback import Client, Played, Spoilt, play

BATCH = 50
timer: Callable[[], float] = time.perf_counter  # a second look at a slow case counts what the processor did for it
RAINS_EVERY = 60  # one batch of so many is whole streams in the rain, which count as one case each message
_NOBODY = Spoilt(number=-2, body=b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How one case ended."""

    number: int
    what: str
    ended: str
    took: float
    broken: tuple[str, ...]
    how: str = ""
    count: int = 1


@cache
def calls() -> tuple[Call, ...]:
    """Every call that asks anything."""
    return tuple(call for call in corpus() if call.exchanges)


@cache
def honest(told: str) -> Played:
    """The call with nothing spoilt. It must not fail: a fuzzer of conversations that fail anyway would find nothing."""
    call = next(each for each in calls() if each.told == told)
    played = play(call, _NOBODY)
    if played.error is not None:
        raise AssertionError(f"{told} fails on honest replies") from played.error
    return played


def cpu_of(seed: int, case: int, level: str) -> float:
    """Seconds of processor time of one case: what is waiting for a busy machine is no fault of ours."""
    global timer  # noqa: PLW0603 - one clock for the whole process, put back below
    timer = time.process_time
    try:
        return next((each.took for each in batch(seed, case // BATCH, level=level) if each.number == case), 0.0)
    finally:
        timer = time.perf_counter


def batch(seed: int, number: int, *, level: str = "both") -> Iterator[Done]:
    """The cases of one batch."""
    chance = Random(f"{seed}/batch/{number}")
    first = number * BATCH
    roll = chance.random()
    if level != "wire" and roll < 1 / RAINS_EVERY:
        yield _rain(chance.choice(("us", "global")), f"{seed}/{number}", first)
    elif roll < 0.14:
        venue = chance.choice(("us", "global"))
        for case in range(first, first + BATCH):
            yield _frame(venue, Random(f"{seed}/{case}"), case)
    elif level != "wire" and roll < 0.22:
        for case in range(first, first + BATCH):
            yield bombs_case(Random(f"{seed}/{case}"), case)
    else:
        yield from _wire(seed, first, chance.choice(calls()))


def _rain(venue: str, seed: str, number: int) -> Done:
    began = timer()
    struck, broken = frames.rain(venue, seed)
    took = (timer() - began) / max(1, struck)
    return Done(
        number=number, what=f"{venue}.streams", ended="came back", took=took, broken=tuple(broken), count=max(1, struck)
    )


def _frame(venue: str, chance: Random, number: int) -> Done:
    told = frames.recorded(venue)
    body = chance.choice(told.told)
    spoiled, how = spoilt(chance, body)
    began = timer()
    try:
        broken = tuple(frames.read(told, body, spoiled))
    except Exception as error:  # whatever it is, it is a finding
        broken = (f"reading raised {type(error).__name__}: {str(error)[:200]!r}",)
    took = timer() - began
    return Done(number=number, what=f"{venue}.frames", ended="read", took=took, broken=broken, how=how)


def _wire(seed: int, first: int, call: Call) -> Iterator[Done]:
    """One call fifty times. A client serves on while what it remembers is honest; orders have a new one each."""
    client: Client | None = None
    again: list[int] = []
    for case in range(first, first + BATCH):
        chance = Random(f"{seed}/{case}")
        anew = call.name in WRITES or chance.random() < 0.3
        if not anew and client is None:
            client = Client(call)
            client.play(_NOBODY)
            again = [number for number in client.play(_NOBODY).script.numbers if number >= 0]
        number = chance.choice(again) if again and not anew else chance.randrange(len(call.exchanges))
        exchange = call.exchanges[number]
        body, how = spoilt(chance, exchange.body)
        struck = Spoilt(number=number, body=body)
        began = timer()
        played = play(call, struck) if anew or client is None else client.play(struck)
        took = timer() - began
        broken = _judged(call, number, body, played)
        if broken and not anew:  # what it remembered may be of an earlier reply: a client that knows nothing decides
            client = None
            played = play(call, struck)
            broken = _judged(call, number, body, played)
        elif played.error is None and not anew:
            client = None  # it believed something
        yield Done(
            number=case, what=call.told, ended=_ending(played), took=took, broken=broken, how=f"{exchange.path} {how}"
        )


def _judged(call: Call, number: int, body: bytes, played: Played) -> tuple[str, ...]:
    exchange = call.exchanges[number]
    return tuple(violations(reply_of(call, exchange, body, exchange.status), played, honest(call.told)))


def _ending(played: Played) -> str:
    return type(played.value).__name__ if played.error is None else type(played.error).__name__


def bombs_case(chance: Random, number: int) -> Done:
    """One call through the real transport, its reply spoiled in headers, encoding, length or status."""
    call = chance.choice(calls())
    at = chance.randrange(len(call.exchanges))
    exchange = call.exchanges[at]
    chosen: Callable[[Random, int, bytes], Spoilt] = chance.choice(bombs.BOMBS)
    struck = chosen(chance, at, exchange.body)
    began = timer()
    played = play(call, struck, client=True)
    took = timer() - began
    status = exchange.status if struck.status is None else struck.status
    reply = reply_of(call, exchange, struck.body, status)
    broken = tuple(violations(reply, played, honest(call.told))) + bombs.judged(chosen, call, exchange, struck, played)
    return Done(
        number=number, what=f"client {call.told}", ended=_ending(played), took=took, broken=broken,
        how=f"{exchange.path} {chosen.__name__}",
    )  # fmt: skip
