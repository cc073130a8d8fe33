"""One product's book as sockets tell it: what changed from one version to the next, made once for all subscribers.

A version is numbered, dated and kept for a while, so that a slow subscriber can catch up and a judge can ask what the
book was at a number. Prices are whole ticks here, sizes contracts; the spelling is the channels' business.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perpsctl.simulator.orders import Side
from perpsctl.simulator.state import State

VERSIONS_KEPT = 6000  # of a quarter of a second each: 25 minutes
IMAGE_EVERY = 64
LOOKED_AT_LEAST = timedelta(milliseconds=100)  # what the operator took comes back without any step of the path

Book = dict[int, int]  # ticks -> contracts
Sides = tuple[Book, Book]  # bids, asks


@dataclass(frozen=True, slots=True)
class Change:
    """One price whose size is another; `before` and `after` are 0 where nothing rests."""

    bid: bool
    ticks: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Version:
    """The book from `at` on; `changes` lead here from the version before."""

    number: int
    at: datetime
    changes: tuple[Change, ...]


def sides_of(state: State, product_id: str, depth: int | None) -> Sides:
    """The whole book now: makers and the operator's own resting orders, at most `depth` prices a side."""
    return _side(state, product_id, Side.BUY, depth), _side(state, product_id, Side.SELL, depth)


def _side(state: State, product_id: str, side: Side, depth: int | None) -> Book:
    sizes: Book = {}
    if state.markets[product_id].fixed is not None or state.touch(product_id) is not None:
        sizes = dict(state.depth(product_id, side, depth))
    for order in state.books[product_id].side(side):
        assert order.ticks is not None
        sizes[order.ticks] = sizes.get(order.ticks, 0) + int(order.left)
    if depth is not None and len(sizes) > depth:
        best = sorted(sizes, reverse=side is Side.BUY)[:depth]
        return {ticks: sizes[ticks] for ticks in best}
    return sizes


class BookFeed:
    """The versions of one book. Guarded by the exchange's lock."""

    def __init__(self, product_id: str, depth: int | None, number_of: Callable[[State], int]) -> None:
        self.product_id = product_id
        self.sides: Sides = ({}, {})
        self._depth = depth
        self._number_of = number_of
        self._versions: deque[Version] = deque(maxlen=VERSIONS_KEPT)
        self._images: deque[tuple[int, Sides]] = deque(maxlen=VERSIONS_KEPT // IMAGE_EVERY + 1)
        self._made = 0
        self._seen: tuple[object, ...] = ()
        self._looked: datetime | None = None

    @property
    def newest(self) -> Version:
        """The version in force; `refresh` was called before."""
        return self._versions[-1]

    def stale(self, told: int, by: int) -> tuple[Version, Sides]:
        """A version older than `told` by about so much, the oldest kept if there is none so old (W9)."""
        found = self.at(max(self._images[0][0], told - by))
        assert found is not None
        return found

    def held(self, told: int) -> Sides:
        """The book in version `told`."""
        found = self.at(told)
        return self.sides if found is None else found[1]

    def refresh(self, state: State) -> Version:
        """The book is that of now; what changed since the last look is a version of its own."""
        seen = (state.step, state.request_count, state.fill_count, state.rank, len(state.live))
        looked = self._looked
        if looked is not None and seen == self._seen and timedelta(0) <= state.now - looked < LOOKED_AT_LEAST:
            return self.newest
        self._seen, self._looked = seen, state.now
        before, after = self.sides, sides_of(state, self.product_id, self._depth)
        changes = (*_changed(True, before[0], after[0]), *_changed(False, before[1], after[1]))
        if changes or not self._versions:
            number = self._number_of(state)
            if self._versions:
                number = max(number, self.newest.number + 1)
            self.sides = after
            self._keep(Version(number, state.now, changes))
        return self.newest

    def _keep(self, version: Version) -> None:
        if self._made % IMAGE_EVERY == 0:
            self._images.append((version.number, (dict(self.sides[0]), dict(self.sides[1]))))
        self._made += 1
        self._versions.append(version)

    def skip_to(self, number: int) -> None:
        """The next version's number lies beyond `number`: somebody was told that many already."""
        newest = self.newest
        if number > newest.number:
            self._keep(Version(number, newest.at, ()))

    def since(self, number: int) -> list[Version] | None:
        """The versions after a number, oldest first; None where some of them are no longer kept."""
        if self._versions[0].number > number:
            return None
        found: list[Version] = []
        for version in reversed(self._versions):
            if version.number <= number:
                break
            found.append(version)
        found.reverse()
        return found

    def at(self, number: int) -> tuple[Version, Sides] | None:
        """The last version up to a number, and the book in it; None where it is no longer kept."""
        image = next((each for each in reversed(self._images) if each[0] <= number), None)
        if image is None or self._versions[0].number > image[0]:
            return None
        begun, (bids, asks) = image
        sides = (dict(bids), dict(asks))
        found: Version | None = None
        for version in self._versions:
            if version.number > number:
                break
            if version.number < begun:
                continue
            found = version
            if version.number > begun:
                apply(sides, version.changes)
        return None if found is None else (found, sides)


def apply(sides: Sides, changes: Iterable[Change]) -> None:
    """The changes are made to `sides`."""
    for change in changes:
        book = sides[0] if change.bid else sides[1]
        if change.after:
            book[change.ticks] = change.after
        else:
            book.pop(change.ticks, None)


def merged(versions: Iterable[Version]) -> list[Change]:
    """What several versions changed together; a price that is as it was is left out."""
    found: dict[tuple[bool, int], Change] = {}
    for version in versions:
        for change in version.changes:
            key = (change.bid, change.ticks)
            earlier = found.get(key)
            before = change.before if earlier is None else earlier.before
            found[key] = Change(change.bid, change.ticks, before, change.after)
    return [change for change in found.values() if change.before != change.after]


def from_nothing(sides: Sides) -> list[Change]:
    """A whole book as changes, best prices first."""
    bids, asks = sides
    told = [Change(True, ticks, 0, bids[ticks]) for ticks in sorted(bids, reverse=True)]
    return told + [Change(False, ticks, 0, asks[ticks]) for ticks in sorted(asks)]


def _changed(bid: bool, before: Book, after: Book) -> Iterable[Change]:
    for ticks, size in after.items():
        known = before.get(ticks, 0)
        if known != size:
            yield Change(bid, ticks, known, size)
    for ticks, size in before.items():
        if ticks not in after:
            yield Change(bid, ticks, size, 0)
