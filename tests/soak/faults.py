"""What goes wrong during a soak, by seed, and the exchange's own account of how often it did.

Each request meets a fault of the wire with the probability asked for, shared out over the catalogue by the parts below;
what the exchange does to orders and to sockets comes on top and is counted apart.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from tests.scenarios.homes import Home

Step = dict[str, Any]
# Fault, its parameters, its part of all faults of the wire.
WIRE: Final[tuple[tuple[str, dict[str, Any], int], ...]] = (
    ("N8", {"status": 502}, 12),  # ran, and a 5xx is told
    ("N7", {"status": 503}, 12),
    ("N12", {}, 12),  # ran, and the reply is lost
    ("N11", {}, 6),
    ("N13", {}, 6),
    ("N16", {"seconds": 2}, 3),
    ("N15", {"seconds": 30}, 1),
    ("N14", {"seconds": 4}, 2),
    ("N17", {"form": "other"}, 4),
    ("N17", {"form": "duplicate"}, 2),
    ("N1", {"seconds": 1}, 8),
    ("N3", {}, 4),
    ("N18", {"interval_ms": 300}, 1),
    ("N19", {}, 2),
    ("N20", {}, 5),
    ("N21", {}, 4),
    ("N22", {}, 4),
    ("N23", {}, 4),
    ("N24", {}, 3),
    ("N25", {}, 5),
    ("N28", {}, 3),
    ("N29", {}, 4),
    ("N9", {}, 2),
    ("A5", {}, 1),
)
SLOW: Final = frozenset({"N14", "N15", "N16", "N18"})  # seconds each: left out where a soak lasts seconds itself
# What the exchange does to orders of its own accord: fault, parameters, share of the creates or cancels.
EXCHANGE: Final[tuple[tuple[str, dict[str, Any], str], ...]] = (
    ("E1", {"seconds": 6}, "0.02"),
    ("E2", {"missing": "list", "seconds": 8}, "0.01"),
    ("E3", {}, "0.005"),
    ("E4", {}, "0.005"),
    ("E7", {"seconds": 1}, "0.005"),
    ("E12", {"seconds": 1}, "0.01"),
    ("E8", {}, "0.01"),
    ("E9", {"seconds": 1}, "0.01"),
    ("E10", {}, "0.01"),
    ("E11", {"seconds": 5}, "0.005"),
)
STREAMS: Final[tuple[Step, ...]] = (
    {"name": "W6", "params": {"when": "age", "seconds": 75}},
    {"name": "W1", "params": {"every": 400}},
    {"name": "W2", "params": {"every": 900}},
    {"name": "W3", "params": {"every": 250}},
    {"name": "W4", "params": {"every": 2000, "seconds": 8}},
    {"name": "W11", "params": {"form": "not_json", "every": 1700}},
    {"name": "W8", "count": None, "probability": "0.2"},
)
LATE: Final = ("N14", "N19")  # what arrives after its sender was done with it
COUNTER: Final = "N2"  # armed for every request with no probability at all: it counts them


@dataclass(slots=True)
class Struck:
    """How often what happened, over every arming so far."""

    requests: int = 0
    wire: dict[str, int] = field(default_factory=dict)
    exchange: dict[str, int] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)

    @property
    def faulted(self) -> int:
        return sum(self.wire.values())

    @property
    def share(self) -> Decimal:
        """Per cent of the requests that met a fault of the wire."""
        return Decimal(100) * self.faulted / max(1, self.requests)


def plan(per_cent: Decimal, seed: int, strikes: str = "any") -> tuple[Step, ...]:
    """Everything to arm; `strikes`: any request, or reads only and briefly, which leaves no order in doubt."""

    def steps() -> Iterator[Step]:
        yield {"name": COUNTER, "operation": "any", "count": None, "probability": "0", "seed": seed}
        wire = [each for each in WIRE if strikes == "any" or each[0] not in SLOW]
        parts = sum(part for _, _, part in wire)
        for number, (name, params, part) in enumerate(wire):
            chance = (per_cent / 100 * part / parts).quantize(Decimal("1e-9"))
            yield {
                "name": name, "operation": strikes, "count": None, "probability": str(chance),
                "seed": seed * 1000 + number, "params": params,
            }  # fmt: skip
        for number, (name, params, chance_) in enumerate(EXCHANGE if strikes == "any" else (), 500):
            yield {"name": name, "count": None, "probability": chance_, "seed": seed * 1000 + number, "params": params}
        yield from STREAMS

    return tuple(steps()) if per_cent else (next(steps()),)


class Weather:
    """The faults of one exchange: armed, paused, and told from its own record."""

    def __init__(self, home: Home, steps: tuple[Step, ...]) -> None:
        self._home = home
        self._plan = steps
        self._before = Struck()

    def begin(self) -> None:
        """Everything of the plan is armed."""
        self._home.control("POST", "/scenario", {"faults": list(self._plan)})

    def without_late(self) -> None:
        """Nothing sent from now on arrives late; how often it happened is kept."""
        for name in LATE:
            self._keep(self._armed(name))
            self._home.control("DELETE", f"/faults?name={name}")

    def late_again(self) -> None:
        """As before `without_late`."""
        steps = [step for step in self._plan if step["name"] in LATE]
        if steps:
            self._home.control("POST", "/scenario", {"faults": steps})

    def end(self) -> None:
        """The exchange is well from now on; what happened is kept."""
        self._keep(self._armed())
        self._home.control("DELETE", "/faults")

    def struck(self) -> Struck:
        """The account so far."""
        told = Struck(
            requests=self._before.requests,
            wire=dict(self._before.wire),
            exchange=dict(self._before.exchange),
            streams=dict(self._before.streams),
        )
        _add(told, self._armed())
        return told

    def _armed(self, name: str | None = None) -> list[Mapping[str, Any]]:
        rows = self._home.control("GET", "/faults")["faults"]
        return [row for row in rows if name is None or row["fault"] == name]

    def _keep(self, rows: list[Mapping[str, Any]]) -> None:
        _add(self._before, rows)


def _add(told: Struck, rows: list[Mapping[str, Any]]) -> None:
    for row in rows:
        fault, fired = str(row["fault"]), int(row["fired"])
        if fault == COUNTER:
            told.requests += int(row["seen"])
            continue
        where = told.exchange if fault[0] == "E" else told.streams if fault[0] == "W" else told.wire
        if fired:
            where[fault] = where.get(fault, 0) + fired
