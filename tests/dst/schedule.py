"""What one schedule does, drawn from its seed: a small operator's script, faults of the exchange, faults of the process.

Everything here is plain data that survives a round trip through one line of JSON, so that a shrunk schedule can be replayed
by what was printed. The exchange's faults are drawn from a stream of their own and know nothing of the process's.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

VENUES = ("us", "global")
MODES = ("forever", "60s", "never")
FAULTS_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeFault:
    """Armed right before step `before`; `name` is a catalogue id, or one of the states that control sets."""

    before: int
    name: str
    operation: str | None = None
    nth: int = 1
    count: int | None = 1
    for_seconds: int | None = None
    params: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFault:
    """Strikes in step `step` at its `nth` yield point of those whose name starts with `at` ("" counts every one)."""

    step: int
    kind: str  # crash, disk, engage, other_place, outside, price, pause, fill, clock
    at: str = ""
    nth: int = 1
    size: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the operator does."""

    do: str
    args: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One run from the first command to the last read-back."""

    seed: int
    venue: str
    socket: bool  # the second venue's order socket, armed, as `run` uses it
    mode: str
    latency_ms: int
    limits: dict[str, str]
    steps: tuple[Step, ...]
    exchange: tuple[ExchangeFault, ...]
    process: tuple[ProcessFault, ...]

    def as_json(self) -> str:
        """One line that `of_json` reads back."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


def of_json(text: str) -> Schedule:
    """The schedule that `as_json` told."""
    told: dict[str, Any] = json.loads(text)
    return Schedule(
        **{
            **told,
            "steps": tuple(Step(**each) for each in told["steps"]),
            "exchange": tuple(ExchangeFault(**each) for each in told["exchange"]),
            "process": tuple(ProcessFault(**each) for each in told["process"]),
        }
    )


def draw(seed: int, *, venue: str | None = None, mode: str | None = None) -> Schedule:
    """The schedule of a seed; `venue` and `mode` fix what else the seed decides."""
    chance = Random(f"{seed}/setting")
    drawn_venue, drawn_mode = chance.choice(VENUES), chance.choice(MODES)
    socket = chance.random() < 0.5
    latency = chance.choice((0, 5, 20, 60))
    limits = _limits(chance)
    venue = venue or drawn_venue
    steps = _script(Random(f"{seed}/script"), us=venue == "us", runs=venue == "us" or socket)
    total = Random(f"{seed}/total").choice((0, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, FAULTS_MAX))
    share = Random(f"{seed}/share")
    process = sum(share.random() < 0.4 for _ in range(total))
    drawn = Schedule(
        seed=seed,
        venue=venue,
        socket=socket and venue == "global",
        mode=mode or drawn_mode,
        latency_ms=latency,
        limits=limits,
        steps=steps,
        exchange=_exchange_faults(Random(f"{seed}/exchange"), steps, total - process, venue),
        process=_process_faults(Random(f"{seed}/process"), steps, process),
    )
    return _with_scene(Random(f"{seed}/scene"), drawn)


def _limits(chance: Random) -> dict[str, str]:
    limits = {"duplicate_guard_s": "1", "funding_cash_times": "20:00"}
    roll = chance.random()
    if roll < 0.25:
        limits["orders_per_minute_max"] = str(chance.choice((2, 3, 4)))
    elif roll < 0.4:
        limits["open_orders_max"] = "2"
    return limits


# --- the script ---------------------------------------------------------------------------------------------


def _script(chance: Random, *, us: bool, runs: bool) -> tuple[Step, ...]:
    steps = [_place(chance)]
    if chance.random() < 0.2:
        steps = [_resting(chance), _edit(chance)]
    for _ in range(chance.choice((0, 1, 2, 2, 3, 3, 4, 5))):
        steps.append(_next_step(chance, runs=runs))
    return tuple(steps if us else map(_without_gtd, steps))


def _without_gtd(step: Step) -> Step:
    """The second venue has none that a single command could use."""
    return replace(step, args={**step.args, "tif": "gtc"}) if step.args.get("tif") == "gtd" else step


def _next_step(chance: Random, *, runs: bool) -> Step:
    roll = chance.random()
    if roll < 0.34:
        return _place(chance)
    for below, make in _OTHERS:
        if roll < below:
            if make is _run and not runs:
                return _place(chance)
            return make(chance)
    return Step(do="wait", args={"ms": chance.choice((200, 2000, 15000, 61000))})


def _place(chance: Random) -> Step:
    takes = chance.random() < 0.45
    args: dict[str, str | int] = {
        "side": chance.choice(("buy", "buy", "buy", "sell")),
        "lots": chance.choice((1, 1, 2, 3, 5, 8, 13)),
        "below": chance.choice((-30, -10)) if takes else chance.choice((2, 40, 300)),
        "tif": chance.choice(("ioc", "ioc", "gtc")) if takes else chance.choice(("gtc", "gtc", "gtd")),
        "post_only": int(not takes),
        "wait": chance.choice((0, 1, 20, 20)),
    }
    if chance.random() < 0.12:
        args["product"] = "ETH-PERP"
    if takes and chance.random() < 0.12:
        args["reduce_only"] = 1
    return Step(do="place", args=args)


def _resting(chance: Random) -> Step:
    step = _place(chance)
    return replace(step, args={**step.args, "tif": "gtc", "post_only": 1, "below": 300})


def _edit(chance: Random) -> Step:
    return Step(
        do="edit",
        args={
            "which": chance.choice((0, 0, 0, 1, 2)),
            "move": chance.choice((0, 5, 20, -3, -60)),
            "lots": chance.choice((0, 0, 1, 2, 6, 11, 14, 16)),
        },
    )


def _replace(chance: Random) -> Step:
    return Step(do="replace", args={"which": chance.randrange(3), "move": chance.choice((5, 20, -3))})


def _cancel(chance: Random) -> Step:
    return Step(do="cancel", args={"which": chance.randrange(3)})


def _cancel_all(chance: Random) -> Step:
    return Step(do="cancel_all", args={})


def _close(chance: Random) -> Step:
    return Step(do="close", args={"lots": chance.choice((0, 0, 1, 2))})


def _flatten(chance: Random) -> Step:
    return Step(do="flatten", args={})


def _run(chance: Random) -> Step:
    return Step(do="run", args={"ticks": chance.choice((1, 2, 4)), "interval_ms": chance.choice((200, 1000))})


def _engage(chance: Random) -> Step:
    return Step(do="engage", args={"flatten": int(chance.random() < 0.4)})


def _release(chance: Random) -> Step:
    return Step(do="release", args={})


def _outside(chance: Random) -> Step:
    takes = chance.random() < 0.5
    return Step(
        do="outside",
        args={
            "side": chance.choice(("buy", "sell")),
            "lots": chance.choice((1, 3, 9)),
            "below": -30 if takes else 60,
        },
    )


def _fill(chance: Random) -> Step:
    return Step(do="fill", args={"which": chance.randrange(3), "part": chance.choice((1, 2))})


def _price(chance: Random) -> Step:
    return Step(do="price", args={"bps": chance.choice((-150, -40, 40, 150))})


def _reconcile(chance: Random) -> Step:
    return Step(do="reconcile", args={})


def _resolve(chance: Random) -> Step:
    return Step(do="resolve", args={"seconds": chance.choice((0, 5, 60))})


def _replay(chance: Random) -> Step:
    return Step(do="replay", args={"which": chance.randrange(3)})


_OTHERS = (
    (0.42, _edit),
    (0.45, _replace),
    (0.53, _cancel),
    (0.56, _cancel_all),
    (0.61, _close),
    (0.63, _flatten),
    (0.69, _run),
    (0.73, _engage),
    (0.76, _release),
    (0.81, _outside),
    (0.85, _fill),
    (0.89, _price),
    (0.91, _reconcile),
    (0.93, _resolve),
    (0.97, _replay),
)


# --- scenes: situations that chance alone meets too rarely, played after the drawn steps --------------------------


def _with_scene(chance: Random, drawn: Schedule) -> Schedule:
    """One schedule in six ends with a scene; what comes before it is what the seed always was."""
    if chance.random() >= SCENE_SHARE or len(drawn.exchange) + len(drawn.process) > FAULTS_MAX - 2:
        return drawn
    scene = chance.choice(_SCENES)
    return scene(chance, drawn)


def _then(drawn: Schedule, *steps: Step) -> tuple[Step, ...]:
    kept = steps if drawn.venue == "us" else tuple(map(_without_gtd, steps))
    return (*drawn.steps, *kept)


def _everything_goes(chance: Random) -> Step:
    return chance.choice((_cancel_all(chance), _engage(chance), Step(do="engage", args={"flatten": 0})))


def _stranger_on_a_closed_venue(chance: Random, drawn: Schedule) -> Schedule:
    """Somebody else's order waits for the session to open, and is asked to go: neither OPEN nor gone."""
    resting = Step(do="outside", args={"side": "buy", "lots": chance.choice((1, 3)), "below": 60})
    closed = ExchangeFault(before=len(drawn.steps), name="closed")
    return replace(drawn, steps=_then(drawn, resting, _everything_goes(chance)), exchange=(*drawn.exchange, closed))


def _stranger_behind_a_list_that_fails(chance: Random, drawn: Schedule) -> Schedule:
    """Somebody else's order rests, and the lists cannot be read while everything is to go."""
    resting = Step(do="outside", args={"side": "buy", "lots": chance.choice((1, 3)), "below": 60})
    unread = ExchangeFault(
        before=len(drawn.steps) + 1,
        name=chance.choice(("N7", "N12", "N20", "N3")),
        operation="reads",
        nth=chance.choice((1, 1, 2, 6)),
        count=chance.choice((25, 80, 400)),
    )
    return replace(drawn, steps=_then(drawn, resting, _everything_goes(chance)), exchange=(*drawn.exchange, unread))


def _exit_over_a_broken_journal(chance: Random, drawn: Schedule) -> Schedule:
    """A position is held, and the disk fails as it is closed: the way out goes over the spool (D1, R2)."""
    held = Step(
        do="place",
        args={"side": "buy", "lots": chance.choice((1, 3)), "below": -30, "tif": "ioc", "post_only": 0, "wait": 20},
    )
    leave = chance.choice(
        (Step(do="close", args={"lots": 0}), _flatten(chance), Step(do="engage", args={"flatten": 1}))
    )
    fails = ProcessFault(step=len(drawn.steps) + 1, kind="disk", at="step.", nth=chance.choice((1, 1, 2, 3, 5)))
    return replace(drawn, steps=_then(drawn, held, leave), process=(*drawn.process, fails))


def _clock_is_stepped(chance: Random, drawn: Schedule) -> Schedule:
    """The host's time of day jumps between two commands or inside one, and mostly back again later (T1, J8)."""
    seconds = chance.choice(CLOCK_STEPS)
    acts = [
        _place(chance),
        chance.choice((_place, _resting, _cancel, _cancel_all, _close, _engage, _resolve, _reconcile))(chance),
    ]
    at = len(drawn.steps)
    if chance.random() < 0.5:
        between = chance.choice(BETWEEN)
        nth = chance.randrange(1, 12) if between == "before venue." else 1
        steps = _then(drawn, *acts)
        fault = ProcessFault(step=at, kind="clock", at=between, nth=nth, size=str(seconds))
        drawn = replace(drawn, process=(*drawn.process, fault))
    else:
        steps = _then(drawn, Step(do="clock", args={"s": seconds}), *acts)
    if chance.random() < 0.7:
        steps = (*steps, Step(do="clock", args={"s": 0}), _without_gtd(_place(chance)), _cancel_all(chance))
    return replace(drawn, steps=steps)


def _storm_over_a_cancel(chance: Random, drawn: Schedule) -> Schedule:
    """The venue answers everything with its rate limit for some seconds, while everything is to go (N5, N6, L2)."""
    at = len(drawn.steps) + 1
    storm = ExchangeFault(before=at, name="N6", count=None, for_seconds=chance.choice((3, 8, 20)))
    refused = ExchangeFault(before=at, name="N5", operation="cancel_orders", count=chance.choice((1, 3, 6)))
    if chance.random() < 0.6:  # nothing but the storm: then what is told has to be that all is gone
        drawn = replace(drawn, exchange=(), process=(), steps=tuple(s for s in drawn.steps if s.do in CALM)[:2])
        storm, refused = replace(storm, before=len(drawn.steps) + 1), replace(refused, before=len(drawn.steps) + 1)
    kept = (storm,) if chance.random() < 0.6 else (refused,)
    steps = _then(drawn, _resting(chance), chance.choice((_cancel_all(chance), Step(do="engage", args={"flatten": 0}))))
    return replace(drawn, steps=steps, exchange=(*drawn.exchange, *kept))


SCENE_SHARE = 1 / 6
CALM = frozenset({"place", "cancel", "wait", "reconcile"})
CLOCK_STEPS = (-3600, -3600, 86_400, 86_400, -40, 45, 7200)
_SCENES = (
    _stranger_on_a_closed_venue,
    _stranger_behind_a_list_that_fails,
    _exit_over_a_broken_journal,
    _clock_is_stepped,
    _storm_over_a_cancel,
)


# --- faults of the exchange ------------------------------------------------------------------------------------

CREATE_LOST = ("N7", "N8", "N11", "N12", "N13", "N14", "N15", "N16", "N17", "N20", "N21", "N22", "N23", "N28")
AT_CREATE = ("N4", "N24", "N25", "E1", "E2", "E3", "E4", "E7", "E12", "N9", "A5", "crossed", "crossed")
AT_CANCEL = ("E8", "E9", "E10", "E11", "N5")
OF_READS = ("N1", "N7", "N9", "N12", "N13", "N20", "N21", "N22", "N23", "N3", "N28", "N17")
OF_SOCKETS = ("W4", "W6")
LASTING = ("N6", "A1", "A2", "A3", "M2", "E5", "E6", "cancel_only", "post_only", "limit_only", "closed")
PARAMETERS: dict[str, dict[str, tuple[str | int, ...]]] = {
    "N1": {"seconds": (1, 5)},
    "N14": {"seconds": (1, 4, 9, 18, 45, 70)},
    "N16": {"seconds": (2, 9, 30)},
    "N17": {"form": ("other", "duplicate")},
    "N24": {"target": ("same", "other", "loop")},
    "E1": {"seconds": (1, 8, 18)},
    "E2": {"missing": ("list", "id"), "seconds": (5, 18)},
    "E9": {"seconds": (1, 3, 8), "per_cent": (50, 100)},
    "E11": {"seconds": (2, 20, 60)},
    "E24": {"seconds": (2, 8, 25)},
    "A1": {"seconds": (-40, 3, 40, 130)},
    "W4": {"seconds": (4, 30)},
    "W6": {"when": ("age",), "seconds": (1, 4, 12)},
}
LASTS: dict[str, tuple[int, ...]] = {"N6": (3, 20, 90), "A2": (5, 30), "A3": (5, 30), "M2": (5, 30), "W6": (5, 30)}
WRITES_OF = {"place": "create_order", "edit": "edit_order", "cancel": "cancel_orders", "run": "create_order"}
CLOSE_OF = {"replace": "create_order", "close": "create_order", "flatten": "create_order", "engage": "cancel_orders"}


def _exchange_faults(chance: Random, steps: tuple[Step, ...], many: int, venue: str) -> tuple[ExchangeFault, ...]:
    """Two in three gather around the writes of one step; the rest are anywhere."""
    writing = [number for number, step in enumerate(steps) if step.do in WRITES_OF or step.do in CLOSE_OF]
    centre = chance.choice(writing)
    found = []
    for number in range(many):
        near = number < 2 or chance.random() < 0.5
        before = centre if near else chance.randrange(len(steps))
        found.append(_near(chance, steps[before].do, before) if near else _anywhere(chance, before, venue))
    return tuple(found)


def _near(chance: Random, do: str, before: int) -> ExchangeFault:
    writes = WRITES_OF.get(do) or CLOSE_OF.get(do, "create_order")
    roll = chance.random()
    if roll < 0.45:
        name = chance.choice(CREATE_LOST)
        return _armed(chance, before, name, writes)
    if roll < 0.68 and writes == "create_order":
        return _armed(chance, before, chance.choice(AT_CREATE), "create_order")
    if roll < 0.68 and writes == "edit_order":
        return _armed(chance, before, chance.choice(("E24", "N4", "N9", "E8")), None)
    if roll < 0.8:
        return _armed(chance, before, chance.choice(AT_CANCEL), "cancel_orders")
    many = chance.choice((1, 1, 5, 25))
    return _armed(chance, before, chance.choice(OF_READS), "reads", nth=chance.randrange(1, 30), count=many)


def _anywhere(chance: Random, before: int, venue: str) -> ExchangeFault:
    roll = chance.random()
    if roll < 0.12 and venue == "global":
        return _armed(chance, before, chance.choice(OF_SOCKETS), "global_trading")
    if roll < 0.35:
        return _armed(chance, before, chance.choice(LASTING), None)
    if roll < 0.5:
        return _armed(chance, before, chance.choice(AT_CANCEL), "cancel_orders")
    if roll < 0.8:
        many = chance.choice((1, 1, 2, 5))
        return _armed(chance, before, chance.choice(OF_READS), "reads", nth=chance.randrange(1, 20), count=many)
    return _armed(chance, before, chance.choice(CREATE_LOST + AT_CREATE), "create_order")


def _armed(
    chance: Random, before: int, name: str, operation: str | None, *, nth: int = 1, count: int | None = 1
) -> ExchangeFault:
    params = {key: chance.choice(values) for key, values in PARAMETERS.get(name, {}).items()}
    lasts = LASTS.get(name)
    for_seconds = None if lasts is None else chance.choice(lasts)
    if name == "E8":
        operation = "cancel_orders"
    return ExchangeFault(
        before=before,
        name=name,
        operation=operation,
        nth=nth,
        count=count,
        for_seconds=for_seconds,
        params=params,
    )


# --- faults of the process -----------------------------------------------------------------------------------

AT = ("", "", "wire.write", "wire.write", "journal.decide", "journal.record", "venue.submit", "venue.", "step.")
SIZES = {"pause": ("3", "6", "35"), "price": ("-120", "120"), "other_place": ("4", "12", "12")}
BETWEEN = (
    "before journal.decide",
    "after journal.decide",
    "before venue.submit",
    "after venue.submit",
    "before venue.",
)


def _process_faults(chance: Random, steps: tuple[Step, ...], many: int) -> tuple[ProcessFault, ...]:
    found = []
    for _ in range(many):
        writing = [number for number, step in enumerate(steps) if step.do in WRITES_OF or step.do in CLOSE_OF]
        step = chance.choice(writing) if chance.random() < 0.8 else chance.randrange(len(steps))
        roll = chance.random()
        if roll < 0.5:
            at = chance.choice(AT)
            found.append(ProcessFault(step=step, kind="crash", at=at, nth=chance.randrange(1, 70 if at == "" else 7)))
        elif roll < 0.58:
            found.append(ProcessFault(step=step, kind="disk", at="step.", nth=chance.randrange(1, 10)))
        else:
            kind = chance.choice(
                ("engage", "engage", "other_place", "other_place", "outside", "price", "pause", "fill")
            )
            at = chance.choice(BETWEEN)
            sizes = SIZES.get(kind, ("1", "4", "12"))
            nth = chance.randrange(1, 20) if at == "before venue." else 1
            found.append(ProcessFault(step=step, kind=kind, at=at, nth=nth, size=chance.choice(sizes)))
    return tuple(found)
