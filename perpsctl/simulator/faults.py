"""Which armed fault fires when. Whether, never how: faces and core interpret what they are handed.

Wire-level faults are asked for once per request by a face (`wire_effects`); exchange-level ones by the core
(`exchange_fault`), those of sockets by what leaves or enters one (`strike`, `lasts`). The same seed and the same
requests fire the same faults.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.simulator.fault_catalogue import (
    AFTER,
    BY_NAME,
    CATALOGUE,
    ON_STREAMS,
    STORM_SECONDS,
    STREAM_KINDS,
    WRITES,
    CatalogueEntry,
    EffectKind,
    Value,
)
from perpsctl.simulator.seeded import bits, seed_of

__all__ = ["Effect", "EffectKind", "FaultState", "Faults", "UnknownFault", "Value"]

STANDING = frozenset({EffectKind.CLOCK_OFFSET, EffectKind.OTHER_PORTFOLIO, EffectKind.TRANSFER_RIGHT})
AT_THE_DOOR = frozenset({EffectKind.REFUSE_CONNECTION, EffectKind.DNS_FAILURE})
NOT_OF_REQUESTS = STANDING | STREAM_KINDS | {EffectKind.EXCHANGE, EffectKind.MARKET_STALE}
PROBABILITY_PARTS = 1_000_000_000


class UnknownFault(ValueError):
    """No such fault, operation or parameter can be armed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing to do to this request."""

    fault: str  # catalogue id
    kind: EffectKind
    params: dict[str, Value]

    @property
    def after(self) -> bool:
        """True when the exchange handles the request although the client may never learn it."""
        return self.kind in AFTER or self.params.get("when") in {"after", "mid_body"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What a new connection met before its first byte; `counted` are the handles that have seen it already."""

    refused: bool
    counted: frozenset[int]


UNHEARD = Knock(refused=False, counted=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultState:
    """An armed fault and what became of it."""

    handle: int
    fault: str
    name: str
    operation: str
    nth: int
    count: int | None
    probability: Decimal | None
    seen: int
    fired: int
    until: datetime | None
    params: dict[str, Value]
    spent: bool


@dataclass(slots=True)
class _Armed:
    handle: int
    entry: CatalogueEntry
    operation: str
    nth: int
    count: int | None
    probability: Decimal | None
    seed: int
    until: datetime | None
    params: dict[str, Value]
    at: datetime
    seen: int = 0
    fired: int = field(default=0)

    def matches(self, operation: str) -> bool:
        if self.operation in {"any", ON_STREAMS}:
            return True
        if self.operation in {"reads", "writes"}:
            return (operation in WRITES) == (self.operation == "writes")
        return self.operation == operation

    def spent(self, now: datetime) -> bool:
        return (self.count is not None and self.fired >= self.count) or (self.until is not None and now >= self.until)

    def fires(self, operation: str, now: datetime) -> bool:
        """Counts a matching request and says whether the fault strikes it."""
        if self.spent(now) or not self.matches(operation):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.seen - self.nth + 1) % int(self.params.get("every", 1)):
            return False
        if self.probability is not None:
            draw = bits(seed_of("fault", self.seed, self.entry.fault), self.seen) % PROBABILITY_PARTS
            if draw >= self.probability * PROBABILITY_PARTS:
                return False
        self.fired += 1
        return True


class Faults:
    """The armed faults of one exchange. Safe to call from several threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._armed: list[_Armed] = []
        self._next = 1
        self._lock = threading.Lock()

    def arm(
        self,
        name: str,
        *,
        operation: str | None = None,
        nth: int = 1,
        count: int | None = 1,
        probability: Decimal | None = None,
        seed: int = 0,
        for_seconds: int | None = None,
        **params: Value,
    ) -> int:
        """Arms a fault by catalogue id or name and returns its handle. Raises UnknownFault.

        It fires from the `nth` matching request on, `count` times (None: until disarmed), each time with
        `probability` (None: surely), for at most `for_seconds`. A lasting fault left at `count=1` holds until
        disarmed; so does one told to strike every so many messages, or connections of an age. Operations: "any",
        "reads", "writes", a face's operation such as "create_order", or for sockets "stream" and each socket's word.
        """
        entry = BY_NAME.get(name)
        if entry is None:
            raise UnknownFault(f"no fault is called {name!r}; `sim fault list` shows them")
        unknown = params.keys() - {key for key, _ in entry.defaults}
        if unknown:
            raise UnknownFault(f"{entry.fault} has no parameter {', '.join(sorted(unknown))}")
        if nth < 1 or (count is not None and count < 1) or (for_seconds is not None and for_seconds < 1):
            raise UnknownFault("nth, count and for_seconds are at least 1")
        if probability is not None and not 0 <= probability <= 1:
            raise UnknownFault("a probability lies between 0 and 1")
        for key, default in entry.defaults:
            if key in params and isinstance(params[key], int) is not isinstance(default, int):
                raise UnknownFault(f"{entry.fault} {key} is {'a number' if isinstance(default, int) else 'a word'}")
            _check_range(entry, key, params.get(key, default))
        if count == 1 and (entry.lasting or params.get("every", 1) != 1 or params.get("when") == "age"):
            count = None
        if entry.fault == "N6" and for_seconds is None:
            for_seconds = STORM_SECONDS
        with self._lock:
            armed = _Armed(
                handle=self._next,
                entry=entry,
                operation=operation or entry.operation,
                nth=nth,
                count=count,
                probability=probability,
                seed=seed,
                until=None if for_seconds is None else self._now() + timedelta(seconds=for_seconds),
                params={**dict(entry.defaults), **params},
                at=self._now(),
            )
            self._next += 1
            self._armed.append(armed)
            return armed.handle

    def disarm(self, handle: int | None = None, name: str | None = None) -> int:
        """Removes a fault by handle, all of a name or id, or all; returns how many there were."""
        with self._lock:
            before = len(self._armed)
            self._armed = [
                armed
                for armed in self._armed
                if not (
                    (handle is None or armed.handle == handle)
                    and (name is None or name in {armed.entry.fault, armed.entry.name})
                )
            ]
            return before - len(self._armed)

    def armed(self) -> tuple[FaultState, ...]:
        """Every armed fault, spent ones included, with how often each was seen and fired."""
        now = self._now()
        with self._lock:
            return tuple(
                FaultState(
                    handle=armed.handle,
                    fault=armed.entry.fault,
                    name=armed.entry.name,
                    operation=armed.operation,
                    nth=armed.nth,
                    count=armed.count,
                    probability=armed.probability,
                    seen=armed.seen,
                    fired=armed.fired,
                    until=armed.until,
                    params=dict(armed.params),
                    spent=armed.spent(now),
                )
                for armed in self._armed
            )

    def knock(self) -> Knock:
        """Whether a new connection is refused (N9, N10) by a fault armed for any operation: no other can be known yet.

        It counts; the first request on that connection hands `counted` to `wire_effects`, so that the two are one.
        """
        if not self._armed:
            return UNHEARD
        now = self._now()
        with self._lock:
            asked = {
                armed.handle: armed.fires("any", now)
                for armed in self._armed
                if armed.entry.kind in AT_THE_DOOR and armed.operation == "any"
            }
        return Knock(refused=any(asked.values()), counted=frozenset(asked))

    def wire_effects(self, operation: str, *, counted: frozenset[int] = frozenset()) -> tuple[Effect, ...]:
        """What to do to this request, in the order of arming. Call it exactly once per request: it counts.

        Faults among `counted` have seen this request's connection and are passed over.
        """
        if not self._armed:
            return ()
        now = self._now()
        with self._lock:
            return tuple(
                Effect(fault=armed.entry.fault, kind=armed.entry.kind, params=dict(armed.params))
                for armed in self._armed
                if armed.handle not in counted
                and armed.entry.kind not in NOT_OF_REQUESTS
                and armed.fires(operation, now)
            )

    def exchange_fault(self, fault: str, operation: str) -> dict[str, Value] | None:
        """The parameters of an exchange-level fault if it strikes this operation, else None. Counts it."""
        if not self._armed:
            return None
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.fault == fault and armed.fires(operation, now):
                    return dict(armed.params)
        return None

    def standing(self, fault: str, operation: str = "any") -> dict[str, Value] | None:
        """The parameters of a lasting state of the venue (A1, A6, A7) while it holds; counts as fired."""
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.fault == fault and armed.entry.kind in STANDING and armed.fires(operation, now):
                    return dict(armed.params)
        return None

    def holding(self, fault: str) -> dict[str, Value] | None:
        """The parameters of a fault while it is armed and not spent; asking counts nothing."""
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.fault == fault and not armed.spent(now):
                    return dict(armed.params)
        return None

    def strike(
        self, kind: EffectKind, socket: str, applies: Callable[[Mapping[str, Value]], bool] = lambda _: True
    ) -> Effect | None:
        """The fault of a socket that strikes here, if one does; `applies` reads its parameters before it counts."""
        if not self._armed:
            return None
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.kind is kind and applies(armed.params) and armed.fires(socket, now):
                    return Effect(fault=armed.entry.fault, kind=kind, params=dict(armed.params))
        return None

    def strikes(
        self, kind: EffectKind, socket: str, count: int, applies: Callable[[Mapping[str, Value]], bool]
    ) -> dict[int, Effect]:
        """As `strike` for `count` messages that leave at once: which of them, counted from 0, are struck."""
        struck: dict[int, Effect] = {}
        if not self._armed:
            return struck
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.kind is kind and applies(armed.params):
                    effect = Effect(fault=armed.entry.fault, kind=kind, params=dict(armed.params))
                    struck |= {each: effect for each in range(count) if each not in struck and armed.fires(socket, now)}
        return struck

    def lasts(
        self, kind: EffectKind, socket: str, applies: Callable[[Mapping[str, Value]], bool] = lambda _: True
    ) -> Effect | None:
        """A fault that is a state of a socket, while it holds. It has fired once it was met; asking counts no more."""
        if not self._armed:
            return None
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if armed.entry.kind is kind and armed.matches(socket) and applies(armed.params):
                    over = armed.until is not None and now >= armed.until
                    if not over:
                        armed.seen = armed.fired = max(1, armed.fired)
                        return Effect(fault=armed.entry.fault, kind=kind, params=dict(armed.params))
        return None

    def frozen(self, product_id: str) -> datetime | None:
        """The instant at which a product's reads and streams stand still (fault M2); None while they do not."""
        if not self._armed:
            return None
        now = self._now()
        with self._lock:
            for armed in self._armed:
                if (
                    armed.entry.kind is EffectKind.MARKET_STALE
                    and armed.params["product"] in {"any", product_id}
                    and not armed.spent(now)
                ):
                    return armed.at - timedelta(seconds=int(armed.params["age_seconds"]))
        return None

    def clock_offset_s(self) -> int:
        """By how many seconds the venue's clock is ahead of the host's (fault A1); 0 where it is right."""
        if not self._armed:
            return 0
        params = self.standing("A1")
        return int(params["seconds"]) if params is not None else 0

    @staticmethod
    def catalogue() -> tuple[tuple[str, str, str], ...]:
        """(id, name, what it does) of everything that can be armed."""
        return tuple((entry.fault, entry.name, entry.does) for entry in CATALOGUE)


def _check_range(entry: CatalogueEntry, key: str, value: Value) -> None:
    """UnknownFault for a number or a word that the fault cannot mean."""
    if key in _AT_LEAST_ONE and entry.kind in STREAM_KINDS and int(value) < 1:
        raise UnknownFault(f"{entry.fault} {key} is at least 1")
    words = _WORDS.get((entry.kind, key))
    if words is not None and value not in words:
        raise UnknownFault(f"{entry.fault} {key} is one of {', '.join(words)}")


_AT_LEAST_ONE = frozenset({"every", "per_second", "seconds", "messages", "bytes"})
_WORDS: dict[tuple[EffectKind, str], tuple[str, ...]] = {
    (EffectKind.STREAM_DISCONNECT, "when"): ("subscribe", "snapshot", "data", "age"),
    (EffectKind.SUBSCRIBE_FAULTY, "how"): ("refused", "ignored", "wrong_product"),
    (EffectKind.BAD_BOOK, "form"): ("crossed", "empty", "stale_snapshot"),
    (EffectKind.BAD_FRAME, "form"): ("oversize", "invalid_utf8", "unknown_type", "not_json", "bomb", "binary"),
}
