"""A process that dies between any two calls to journal and venue: the next one finds one order per intent, or none."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import EditIntent, OrderIntent, TimeInForce
from tests.rig import World

pytestmark = pytest.mark.scenario

FINAL = {"FILLED", "CANCELLED", "EXPIRED", "FAILED"}


class Died(BaseException):
    """The process is gone: nothing after this instant happens."""


class Mortal:
    """Passes every call on, and dies before or after the n-th one."""

    def __init__(self, real: Any, life: "Life") -> None:
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_life", life)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found) or name.startswith("_"):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._life.step(f"before {name}")
            answer = found(*arguments, **named)
            self._life.step(f"after {name}")
            return answer

        return call


class Life:
    """Counts steps; dies at one of them."""

    def __init__(self, dies_at: int) -> None:
        self.steps: list[str] = []
        self._dies_at = dies_at

    def step(self, name: str) -> None:
        self.steps.append(name)
        if len(self.steps) == self._dies_at:
            raise Died(name)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Callable[[], World]]:
    made: list[World] = []

    def make() -> World:
        made.append(World(tmp_path / str(len(made))))
        return made[-1]

    yield make
    for world in made:
        world.close()


def mortal_engine(world: World, dies_at: int) -> Life:
    """The engine over a venue and a journal that take the process with them at one step."""
    life = Life(dies_at)
    world.assemble(Mortal(world.venue, life), Mortal(world.journal, life))
    return life


def one_order_each(world: World) -> None:
    """The judge: no two orders of one intent, and every order's intent is in the journal (I1, I2)."""
    ids = [order.client_order_id for order in world.embedded.exchange.judge_view().orders]
    assert len(ids) == len(set(ids)), ids
    for client_id in ids:
        assert world.journal.intent(IntentId(client_id)) is not None, (
            f"{client_id} is at the exchange and not in the journal"
        )


def settled(world: World) -> None:
    """The next process: doubt ended by evidence, both sides equal, and a second look finds nothing (I6, L1)."""
    world.restart()
    world.engine.resolver.resolve_all(timedelta(seconds=90))
    world.engine.reconciler.run()
    again = world.engine.reconciler.run()
    assert again.matched, again
    assert world.journal.in_doubt() == ()
    live = {o.client_order_id for o in world.embedded.exchange.judge_view().orders if o.status not in FINAL}
    working = {r.intent.id for r in world.journal.working() if isinstance(r.intent, OrderIntent)}
    assert live == working
    positions = world.embedded.exchange.judge_view().positions
    product = world.product()
    held = product.coin(positions.get("BIP-20DEC30-CDE", 0))  # type: ignore[arg-type]
    assert world.journal.booked_coin().get(product.product_id, 0) == held


def die_at_every_step(
    make: Callable[[], World], prepare: Callable[[World], Any], act: Callable[[World, Any], Any]
) -> int:
    """Runs the act once for each step there is, dying at that step; answers how many there were."""
    at = 0
    while True:
        at += 1
        world = make()
        given = prepare(world)
        life = mortal_engine(world, at)
        with suppress(Died):
            act(world, given)
        died = len(life.steps) >= at
        settled(world)
        one_order_each(world)
        if not died:
            return at - 1


def test_I1_I2_a_crash_at_any_step_of_placing(worlds: Callable[[], World]) -> None:
    steps = die_at_every_step(
        worlds, lambda world: world.intent(), lambda world, intent: world.engine.desk.place(intent)
    )  # fmt: skip
    assert steps >= 20


def test_I1_I2_a_crash_at_any_step_of_placing_an_order_that_fills(worlds: Callable[[], World]) -> None:
    steps = die_at_every_step(
        worlds,
        lambda world: world.intent(below=-20, tif=TimeInForce.IOC, post_only=False),
        lambda world, intent: world.engine.desk.place(intent),
    )
    assert steps >= 20


def test_I1_a_crash_at_any_step_while_a_lost_reply_is_looked_for(worlds: Callable[[], World]) -> None:
    def prepare(world: World) -> OrderIntent:
        intent = world.intent()
        world.arm("N12")
        return intent

    assert die_at_every_step(worlds, prepare, lambda world, intent: world.engine.desk.place(intent)) >= 20


def test_I8_a_crash_at_any_step_of_cancelling(worlds: Callable[[], World]) -> None:
    def prepare(world: World) -> str:
        intent = world.intent()
        world.engine.desk.place(intent)
        return str(intent.id)

    assert die_at_every_step(worlds, prepare, lambda world, named: world.engine.canceller.cancel([named])) >= 6


def test_a_crash_at_any_step_of_editing(worlds: Callable[[], World]) -> None:
    def prepare(world: World) -> EditIntent:
        intent = world.intent()
        report = world.engine.desk.place(intent)
        assert report.order is not None
        assert intent.limit_price is not None
        return EditIntent(
            id=IntentId(world.ids.new()),
            target=intent.id,
            venue_order_id=VenueOrderId(report.order.venue_order_id),
            new_price=Price(intent.limit_price - 50),
            new_size=None,
            created_at=world.clock.now(),
        )

    assert die_at_every_step(worlds, prepare, lambda world, edit: world.engine.edits.edit(edit)) >= 15


def test_R7_a_crash_at_any_step_of_flattening(worlds: Callable[[], World]) -> None:
    def prepare(world: World) -> None:
        world.engine.desk.place(world.intent(size="0.03", below=-20, tif=TimeInForce.IOC, post_only=False))
        world.engine.desk.place(world.intent())

    def flattened(world: World, _: None) -> None:
        world.engine.exits.flatten()

    assert die_at_every_step(worlds, prepare, flattened) >= 20
