"""`watch` looks and changes nothing; what it cannot read is absent with its reason (L5), and the next look tries again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from perpsctl.domain.errors import UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import DataSource
from perpsctl.domain.numbers import Size
from perpsctl.domain.outlook import LimitUse, Outlook
from perpsctl.domain.ports import JournalEvent
from perpsctl.domain.products import Product
from perpsctl.domain.reports import HaltState
from perpsctl.domain.streams import ChannelState, NewsKind
from perpsctl.domain.verdicts import Denial, DenialCode, Denied
from perpsctl.engine.lookout import Lookout, WatchOptions
from perpsctl.journal.codec import dumps
from perpsctl.journal.entries import IntentEntry
from tests.builders import BTC, NOW, a_product, an_intent
from tests.unit.engine.conftest import House, build
from tests.unit.engine.fake_streams import FakeStreams
from tests.unit.engine.fakes import ManualClock

PRODUCT = ProductId(BTC)
SECOND = timedelta(seconds=1)
ACCOUNT_READS = ("live_orders", "account", "positions")


@dataclass(frozen=True, slots=True)
class Scene:
    house: House
    streams: FakeStreams
    lookout: Lookout
    looks: list[Outlook] = field(default_factory=list)

    def run(self, **options: object) -> list[Outlook]:
        def show(look: Outlook) -> bool:
            self.looks.append(look)
            return True

        self.lookout.run(WatchOptions(**options), show)  # type: ignore[arg-type]
        return self.looks


def scene_of(tmp_path: Path, find: Callable[[House], Product] | None = None) -> Scene:
    made: list[FakeStreams] = []

    def streams(clock: ManualClock) -> FakeStreams:
        made.append(FakeStreams(clock))
        return made[0]

    house = build(tmp_path, streams=streams)
    made[0].live()
    made[0].tell_book()

    def found() -> Product:
        house.venue.products()
        return a_product() if find is None else find(house)

    lookout = Lookout(
        venue=house.venue,
        journal=house.journal,
        halts=house.halts,
        lease=lambda: house.lease,
        clock=house.clock,
        limits=house.engine.limits,
        live=house.engine.live,
        find=found,
    )
    return Scene(house, made[0], lookout)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_of(tmp_path)


def use(look: Outlook, limit: str) -> LimitUse:
    return next(each for each in look.limits if each.limit == limit)


def test_a_look_tells_everything_and_changes_nothing(scene: Scene) -> None:
    scene.house.venue.coin[PRODUCT] = Decimal("0.1")
    scene.house.lease.held_by = "process 7 on host"
    (look,) = scene.run(looks=1)
    assert look.problems == ()
    assert look.switch.state is HaltState.RELEASED
    assert (look.product_id, look.takes_orders, look.run_holder) == (PRODUCT, True, "process 7 on host")
    assert look.positions is not None
    assert [each.coin for each in look.positions] == [Decimal("0.1")]
    assert look.book is not None
    assert (look.book.source, look.book.bid, look.book.ask) == (DataSource.STREAM, Decimal(59995), Decimal(60005))
    assert [each.state for each in look.channels] == [ChannelState.LIVE, ChannelState.LIVE]
    assert look.figures is not None
    assert scene.house.venue.submitted == []
    assert "cancel" not in scene.house.venue.calls
    assert (scene.house.journal.marks, scene.house.journal.events_, scene.house.journal.halts) == ([], [], [])
    assert scene.streams.stopped


def test_limits_show_how_much_of_them_is_used_at_the_worst(scene: Scene) -> None:
    scene.house.venue.coin[PRODUCT] = Decimal("0.1")
    scene.house.venue.rest(size="0.05")
    (look,) = scene.run(looks=1)
    assert use(look, "position_max_share").subject == BTC
    assert use(look, "position_max_share").used == Decimal("0.009")  # (0.1 + 0.05) x 60,000 of a million
    assert use(look, "gross_max_share").used == Decimal("0.009")
    assert use(look, "orders_per_minute_max").used == 0


def test_L5_a_use_that_cannot_be_told_is_none_and_not_zero(scene: Scene) -> None:
    scene.house.venue.coin[ProductId("ETP-20DEC30-CDE")] = Decimal(5)
    scene.house.venue.fail("book")
    (look,) = scene.run(looks=1)
    assert use(look, "position_max_share").used is None
    assert use(look, "daily_loss_max_share").used is None
    assert any("book of ETP-20DEC30-CDE" in problem for problem in look.problems)


@pytest.mark.parametrize("part", ACCOUNT_READS)
def test_L5_what_the_venue_does_not_tell_is_absent_with_its_reason(scene: Scene, part: str) -> None:
    scene.house.venue.fail(part)
    (look,) = scene.run(looks=1)
    absent = {"live_orders": look.open_orders, "account": look.account, "positions": look.positions}
    assert absent[part] is None
    assert any("did not answer" in problem for problem in look.problems)


def test_a_broken_journal_is_said_and_the_rest_is_shown(scene: Scene) -> None:
    scene.house.journal.broken["*"] = 0
    (look,) = scene.run(looks=1)
    assert (look.in_doubt, look.working, look.states, look.events) == (None, None, None, None)
    assert look.switch.state is HaltState.ENGAGED, "unreadable means engaged"
    assert look.account is not None
    assert any("the disk is full" in problem for problem in look.problems)


def test_a_venue_that_is_down_at_first_is_found_when_it_is_back(scene: Scene) -> None:
    scene.house.venue.fail("*")
    scene.house.clock.at_sleep.append(
        lambda: scene.house.venue.heal() if scene.house.clock.now() - NOW > 3 * SECOND else None
    )
    looks = scene.run(looks=6)
    assert looks[0].product_id is None
    assert looks[0].account is None
    assert looks[0].problems
    assert looks[-1].product_id == PRODUCT
    assert looks[-1].problems == ()
    assert scene.streams.products == (PRODUCT,)


def test_a_product_nobody_offers_is_told_and_not_waited_for(tmp_path: Path) -> None:
    def nothing(house: House) -> Product:
        raise UsageError("no such product")

    scene = scene_of(tmp_path, nothing)
    with pytest.raises(UsageError, match="no such product"):
        scene.run()
    assert scene.looks == []


def test_the_account_is_read_every_five_seconds_while_every_change_is_sure_to_be_told(scene: Scene) -> None:
    looks = scene.run(duration=20 * SECOND)
    assert len(looks) >= 19
    assert 4 <= scene.house.venue.calls.count("account") <= 6


def test_W4_without_a_live_order_stream_every_look_reads(scene: Scene) -> None:
    scene.streams.fail(ChannelState.STALE)
    looks = scene.run(looks=8)
    assert scene.house.venue.calls.count("account") == len(looks)


def test_news_of_an_order_is_looked_at_at_once(scene: Scene) -> None:
    told: list[timedelta] = []

    def order() -> None:
        if scene.house.clock.now() - NOW > 3 * SECOND and not told:
            told.append(scene.house.clock.now() - NOW)
            scene.house.venue.rest(size="0.01")
            scene.streams.news(NewsKind.ORDER)

    scene.house.clock.at_sleep.append(order)
    looks = scene.run(interval=60 * SECOND, duration=10 * SECOND)
    assert [look.open_orders for look in looks] == [0, 1]
    assert looks[1].at - NOW - told[0] <= timedelta(milliseconds=300)


def test_W10_a_flood_costs_no_more_looks_than_the_interval_asks_for(scene: Scene) -> None:
    scene.streams.at_wait.append(scene.streams.tell_book)
    assert len(scene.run(duration=10 * SECOND)) <= 11
    scene.streams.at_wait.append(lambda: scene.streams.news(NewsKind.ORDER))
    scene.looks.clear()
    assert len(scene_again(scene)) <= 42


def scene_again(scene: Scene) -> list[Outlook]:
    return scene.run(duration=10 * SECOND)


def test_L4_a_request_to_stop_is_noticed_within_a_slice(scene: Scene) -> None:
    asked: list[timedelta] = []

    def stop() -> None:
        if scene.house.clock.now() - NOW > 2 * SECOND and not asked:
            asked.append(scene.house.clock.now() - NOW)
            scene.lookout.request_stop()

    scene.house.clock.at_sleep.append(stop)
    scene.run(interval=60 * SECOND)
    assert scene.house.clock.now() - NOW - asked[0] <= timedelta(milliseconds=200)
    assert scene.streams.stopped


def test_P5_a_reader_that_went_away_ends_the_view(scene: Scene) -> None:
    scene.lookout.run(WatchOptions(), lambda look: False)
    assert scene.streams.stopped


def decided(denied: Denied | None) -> object:
    """A decision as the journal writes it."""
    entry = IntentEntry(intent=an_intent(), sent_size=Size(Decimal("0.01")), terms=None, denied=denied)
    return json.loads(dumps(entry))


def test_happenings_are_told_in_a_few_words_and_heartbeats_are_not(scene: Scene) -> None:
    def row(seq: int, kind: str, payload: object) -> JournalEvent:
        return JournalEvent(seq=seq, kind=kind, at=NOW, intent_id=None, payload=json.dumps(payload))

    scene.house.journal.events_ = [
        row(1, "outcome", {"is": "OutcomeEntry", "outcome": {"is": "Accepted", "evidence": "HTTP 200"}}),
        row(2, "fill", {"fill": {"side": "buy", "size": "0.01", "price": "60000", "product_id": BTC}}),
        row(3, "heartbeat", {"ticks": "4"}),
        row(4, "alarm", {"what": "x" * 500}),
        row(
            5, "intent", decided(Denied(denials=(Denial(code=DenialCode.POSITION_ABOVE_MAX, observed="2", limit="1"),)))
        ),
        row(6, "intent", decided(None)),
    ]
    (look,) = scene.run(looks=1)
    assert look.heartbeat == NOW
    assert look.events is not None
    assert [(each.kind, each.words) for each in look.events] == [
        ("intent", f"place buy 0.01 {BTC}"),
        ("intent", f"denied position_above_max place buy 0.01 {BTC}"[:60]),
        ("alarm", "x" * 60),
        ("fill", f"buy 0.01 60000 {BTC}"),
        ("outcome", "Accepted"),
    ]
