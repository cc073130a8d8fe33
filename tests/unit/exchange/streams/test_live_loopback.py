"""Both venues' streams with their readers, over real sockets, against the simulator in a process of its own."""

import resource

import pytest

from perpsctl.domain.products import VenueId
from perpsctl.domain.streams import NewsKind
from perpsctl.exchange.streams.live import LiveStreams
from perpsctl.simulator import launcher
from tests.unit.exchange.streams.loopback import Side
from tests.unit.exchange.streams.world import MS, SECOND

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("venue", [VenueId.US, VenueId.GLOBAL])


@BOTH
def test_the_book_is_the_venues_through_disconnects_and_gaps(side: Side, venue: VenueId) -> None:
    side.until_live()
    assert side.agrees()
    side.arm("W1", channel="level2", every=7)
    side.arm("W6", when="age", seconds=3)
    told = side.follow(10 * SECOND)
    launcher.control(side.folder, "DELETE", "/faults")
    side.until_live()
    side.streams.settled()
    assert side.agrees()
    assert NewsKind.GAP in told
    figures = side.streams.figures()
    assert figures.gaps >= 1
    assert figures.reconnects >= 1
    assert max(figures.recoveries) < 30 * SECOND
    assert figures.uptime is not None
    assert 0 < figures.uptime < 1


@BOTH
def test_a_flood_leaves_it_responsive_bounded_and_right_w10(side: Side, venue: VenueId) -> None:
    side.until_live()
    hosts = side.streams.hosts if isinstance(side.streams, LiveStreams) else []
    side.arm("W10", per_second=50_000, seconds=3, after_seconds=0)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    until_ns = side.clock.monotonic_ns() + 5_000_000_000
    longest_ns, most = 0, 0
    while side.clock.monotonic_ns() < until_ns:
        began_ns = side.clock.monotonic_ns()
        side.streams.take()
        side.streams.book(side.product_id)
        longest_ns = max(longest_ns, side.clock.monotonic_ns() - began_ns)
        most = max(most, *(host.source.mailbox.held[0] for host in hosts))
        side.streams.wait(50 * MS)
    assert most <= 1_000
    assert longest_ns < 1_500_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000
    side.until_live()
    assert side.agrees()
    assert side.streams.figures().messages > 2_000
