"""The commands that are killed, each with what has to stand before it; and one kill from its beginning to the verdict.

A story prepares with real commands of its own, dies in the last one, and goes on as an operator would: look, perhaps repeat
the command word for word, resolve, reconcile, reconcile once more.
"""

import random
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perpsctl.simulator.gateway.listing import GLOBAL_LISTED
from perpsctl.simulator.products import LISTED
from tests.crash.judge import Crash, Found, Heard, found, judge
from tests.crash.lab import PRODUCTS, Ended, Instant, Lab
from tests.crash.marks import At

UNITS = {product.product_id: product.unit_size for product in (*LISTED, *GLOBAL_LISTED)}
ANSWER_LOST = At(name="create: after the last byte")  # where a process dies that leaves a doubt behind
BUY = ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--wait", "5s")
RESTING = (*BUY, "--size", "0.01", "--post-only")
TAKING = (*BUY, "--size", "0.02", "--price", "60200", "--tif", "ioc")
CANARY = ("run", "--strategy", "canary", "--product", "BTC-PERP", "--interval", "200ms")

Moment = At | Instant


class Scene:
    """One account of a lab, and every process that ran on it with what stood when it had ended."""

    def __init__(self, lab: Lab, venue: str, chance: random.Random, kept: Path) -> None:
        self.lab = lab
        self.venue = venue
        self.heard: list[tuple[Heard, Found]] = []
        self._chance = chance
        self._kept = kept
        self._looks = 0
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir()

    def name(self) -> str:
        """An id for an intent, drawn by the seed."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def price(self) -> str:
        """Somewhere below the market, so that no order is a duplicate of another."""
        return str(58_000 + 5 * self._chance.randrange(300))

    def do(self, *argv: str, **how: Any) -> Ended:
        """A command that lives."""
        how = {"virtual": True, **how}
        return self.note(self.lab.run(self.venue, *argv, **how))

    def dies(self, moment: Moment | None, argv: tuple[str, ...], *, cold: bool = False) -> Ended:
        """The command that is killed; with the lab's planted bug, if it has one."""
        if isinstance(moment, Instant):
            return self.note(self.lab.kill_at(self.venue, *argv, moment=moment, cold=cold, sabotaged=True))
        return self.note(self.lab.run(self.venue, *argv, at=moment, cold=cold, sabotaged=True))

    def note(self, ended: Ended) -> Ended:
        """Taken down, with a copy of what stands now."""
        self.heard.append((_heard(ended), self.look()))
        return ended

    def look(self) -> Found:
        """What stands now, copied so that the judge's look changes nothing for the next process."""
        self._looks += 1
        folder = self._kept / str(self._looks)
        if self.lab.folder(self.venue).exists():
            shutil.copytree(self.lab.folder(self.venue), folder)
        else:
            folder.mkdir()
        return found(folder, self.lab.judge())

    def placed(self, argv: tuple[str, ...]) -> str:
        """The venue's id of an order placed to prepare."""
        done = self.do(*argv, "--price", self.price())
        if done.code != 0 or done.data is None:
            raise Unprepared(done)
        return str(done.data["order"]["venue_order_id"])

    def must(self, *argv: str) -> None:
        """A command without which the story has no ground."""
        done = self.do(*argv)
        if done.code != 0:
            raise Unprepared(done)


class Unprepared(Exception):
    """A story could not be prepared: nothing was tried, which is told and never counted as well."""

    def __init__(self, done: Ended) -> None:
        super().__init__(f"{' '.join(done.argv)} ended with {done.code}: {done.out[-400:]} {done.err[-400:]}")


def _heard(ended: Ended) -> Heard:
    return Heard(
        argv=ended.argv, code=ended.code, killed=ended.killed, document=ended.document, err=ended.err, told=ended.told
    )


# --- the stories ---------------------------------------------------------------------------------------------------


def _place(scene: Scene) -> tuple[str, ...]:
    return (*RESTING, "--price", scene.price(), "--client-order-id", scene.name())


def _take(scene: Scene) -> tuple[str, ...]:
    scene.placed(RESTING)
    return (*TAKING, "--client-order-id", scene.name())


def _edit(scene: Scene) -> tuple[str, ...]:
    order = scene.placed(RESTING)
    return ("order", "edit", order, "--price", scene.price(), "--wait", "5s", "--client-order-id", scene.name())


def _replace(scene: Scene) -> tuple[str, ...]:
    order = scene.placed(RESTING)
    return ("order", "edit", order, "--price", scene.price(), "--replace", "--wait", "5s")


def _cancel(scene: Scene) -> tuple[str, ...]:
    return ("order", "cancel", scene.placed(RESTING))


def _cancel_all(scene: Scene) -> tuple[str, ...]:
    scene.placed(RESTING)
    _somebody_elses(scene)
    return ("order", "cancel-all")


def _flatten(scene: Scene) -> tuple[str, ...]:
    scene.must(*TAKING)
    scene.placed(RESTING)
    return ("positions", "flatten")


def _close(scene: Scene) -> tuple[str, ...]:
    scene.must(*TAKING)
    return ("order", "close", "--product", "BTC-PERP")


def _engage(scene: Scene) -> tuple[str, ...]:
    scene.must(*TAKING)
    scene.placed(RESTING)
    return ("killswitch", "engage", "--flatten", "--reason", "a test")


def _release(scene: Scene) -> tuple[str, ...]:
    scene.placed(RESTING)
    scene.must("killswitch", "engage", "--reason", "a test")
    return ("killswitch", "release", "--ack", "a test")


def _reconcile(scene: Scene) -> tuple[str, ...]:
    order = scene.placed(RESTING)
    scene.lab.control("POST", "/fills", {"order_id": order, "contracts": "1"})
    scene.dies(ANSWER_LOST, (*RESTING, "--price", scene.price()))
    _somebody_elses(scene)
    return ("reconcile",)


def _resolve(scene: Scene) -> tuple[str, ...]:
    scene.dies(ANSWER_LOST, (*RESTING, "--price", scene.price()))
    return ("order", "resolve", "--wait", "5s")


def _run(scene: Scene) -> tuple[str, ...]:
    return (*CANARY, "--ticks", "6")


def _somebody_elses(scene: Scene) -> None:
    """An order on this portfolio that no journal of ours knows."""
    body: dict[str, Any] = {
        "product_id": PRODUCTS[scene.venue],
        "side": "BUY",
        "client_order_id": scene.name(),
        "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "55000", "post_only": False}},
    }
    scene.lab.control("POST", "/orders", body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is prepared, which command dies, and whether repeating it word for word must then end with 0."""

    name: str
    prepare: Callable[[Scene], tuple[str, ...]]
    weight: int = 2
    repeated: bool = True
    proves: bool = False


STORIES = {
    story.name: story
    for story in (
        Story(name="place", prepare=_place, weight=4),
        Story(name="take", prepare=_take, weight=3),
        Story(name="edit", prepare=_edit, weight=3),
        Story(name="replace", prepare=_replace, repeated=False),
        Story(name="cancel", prepare=_cancel, proves=True),
        Story(name="cancel-all", prepare=_cancel_all, proves=True),
        Story(name="flatten", prepare=_flatten, weight=3, proves=True),
        Story(name="close", prepare=_close, proves=True),
        Story(name="engage", prepare=_engage, weight=3, proves=True),
        Story(name="release", prepare=_release, weight=1, proves=True),
        Story(name="reconcile", prepare=_reconcile),
        Story(name="resolve", prepare=_resolve),
        Story(name="run", prepare=_run, weight=3),
    )
}


# --- one kill --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One case, complete in itself: the same words do the same again, as far as two processes and a clock can."""

    venue: str
    story: str
    moment: Moment | None  # None: nothing is killed, and the steps are counted
    seed: int
    cold: bool = False

    @property
    def told(self) -> str:
        """For the command line: `venue/story/seed/moment`."""
        moment = "-" if self.moment is None else self.moment.told
        return "/".join((self.venue, self.story, str(self.seed), *(("cold",) if self.cold else ()), moment))

    @classmethod
    def read(cls, text: str) -> "Kill":
        """As `told` writes it."""
        venue, story, seed, moment = text.split("/", 3)
        cold = moment.startswith("cold/")
        moment = moment.removeprefix("cold/")
        chosen: Moment | None = None if moment == "-" else At.read(moment) if "#" in moment else Instant.read(moment)
        return cls(venue=venue, story=story, seed=int(seed), moment=chosen, cold=cold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one case."""

    kill: Kill
    struck: bool
    violations: tuple[str, ...]
    steps: tuple[At, ...]  # reached by the command that dies
    writes_at_us: tuple[int, ...]  # since its beginning
    took_us: int
    unprepared: str = ""  # why there was nothing to kill


def carried_out(lab: Lab, kill: Kill, kept: Path) -> Outcome:
    """Prepared, killed, restarted, judged. Unprepared when there was no ground for it."""
    chance = random.Random(kill.seed)
    lab.fresh(kill.venue)
    scene = Scene(lab, kill.venue, chance, kept)
    story = STORIES[kill.story]
    argv = story.prepare(scene)
    before = scene.look()
    ended = scene.dies(kill.moment, argv, cold=kill.cold)
    lines = [f"L1 `{' '.join(argv[:2])}` hung for a minute and was killed"] if ended.hung else []
    killed = scene.heard[-1][1]
    repeat_first = story.repeated and chance.random() < 0.5
    if repeat_first and not story.proves:
        scene.do(*_repeated(argv))
    scene.do("order", "resolve", "--wait", "150s")
    if story.repeated and not (repeat_first and not story.proves):
        again = scene.do(*_repeated(argv))
        if (story.proves and again.code != 0) or (story.name == "run" and again.code not in (0, 3)):
            lines.append(f"L1 repeated, `{' '.join(argv[:2])}` ended with {again.code}: {again.out[-300:]}")
    scene.do("reconcile")
    rows = len(scene.heard[-1][1].rows)
    last = scene.do("reconcile")
    if last.code != 0:
        lines.append(f"I6 the second reconcile ended with {last.code}: {(last.out + last.err)[-300:]}")
    after = scene.look()
    lines += judge(
        Crash(
            venue=kill.venue,
            unit=UNITS,
            before=before,
            killed=killed,
            after=after,
            heard=scene.heard,
            breaks=[str(each) for each in (last.data or {}).get("breaks", ())],
            rows_between=len(after.rows) - rows,
        )
    )
    began = next((each["ns"] for each in ended.told if each.get("step") == "begin"), 0)
    return Outcome(
        kill=kill,
        struck=ended.killed,
        violations=tuple(lines),
        steps=tuple(ended.steps),
        writes_at_us=tuple((each["ns"] - began) // 1000 for each in ended.lefts),
        took_us=(ended.told[-1]["ns"] - began) // 1000 if ended.told else 0,
    )


def _repeated(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Word for word; a loop is given fewer ticks."""
    return (*CANARY, "--ticks", "2") if argv[0] == "run" else argv
