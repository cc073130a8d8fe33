from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from perpsctl.domain.streams import Streams
from perpsctl.engine.killswitch import KillSwitch
from perpsctl.engine.parts import Engine, assemble
from perpsctl.latch import Latch
from perpsctl.risk.limits import RiskLimits
from tests.unit.engine.fakes import (
    CountingIds,
    FakeJournal,
    FakeLease,
    FakeVenue,
    LatchHalts,
    ManualClock,
    MemorySpool,
    Talk,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The engine over its fakes, with each fake at hand."""

    clock: ManualClock
    venue: FakeVenue
    journal: FakeJournal
    halts: LatchHalts
    latch: Latch
    spool: MemorySpool
    talk: Talk
    lease: FakeLease
    engine: Engine
    switch: KillSwitch


def build(
    tmp_path: Path, limits: RiskLimits | None = None, streams: Callable[[ManualClock], Streams] | None = None
) -> House:
    clock = ManualClock()
    venue, journal, talk = FakeVenue(clock), FakeJournal(clock), Talk()
    latch = Latch("test", tmp_path / "state")
    (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
    halts = LatchHalts(latch, journal)
    spool = MemorySpool()
    engine = assemble(
        venue=venue,
        journal=journal,
        halts=halts,
        clock=clock,
        ids=CountingIds(),
        limits=limits or RiskLimits.from_mapping({"funding_cash_times": ["20:00"]}),
        diagnostics=talk,
        spool=spool,
        streams=None if streams is None else streams(clock),
    )
    switch = KillSwitch(
        latch=latch, journal=journal, halts=halts, clock=clock, diagnostics=talk, outside=engine.venue_side
    )
    return House(
        clock=clock,
        venue=venue,
        journal=journal,
        halts=halts,
        latch=latch,
        spool=spool,
        talk=talk,
        lease=FakeLease(),
        engine=engine,
        switch=switch,
    )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return build(tmp_path)
