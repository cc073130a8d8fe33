"""Looks at everything a profile does, again and again, and changes nothing: no order, no lease, not a row in the journal.

What cannot be read is absent with its reason, and the next look tries again: the journal may be broken and the venue down.
Prices come from the streams while they are young; what the account holds is read when news asks for it, and every few
seconds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from perpsctl.domain.accounts import AccountView, OrdersRead, PositionsRead
from perpsctl.domain.errors import PerpsctlError, UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView, Mark
from perpsctl.domain.outlook import BookTop, Happening, Outlook
from perpsctl.domain.ports import Clock, EventKind, Halts, Journal, JournalEvent, Lease, Venue
from perpsctl.domain.products import Product
from perpsctl.domain.streams import NewsKind
from perpsctl.engine.headroom import day_change, limit_uses
from perpsctl.engine.live import LiveData
from perpsctl.engine.reading import Reads
from perpsctl.risk.limits import RiskLimits

__all__ = ["Lookout", "WatchOptions"]

SLICE: Final = timedelta(milliseconds=200)  # the longest time before a request to stop is noticed
SPACING: Final = timedelta(milliseconds=250)  # between two looks, whatever happens
READ_EVERY: Final = timedelta(seconds=5)  # while the order stream is live
TOP: Final = 1
EVENTS_SHOWN: Final = 5
EVENTS_READ: Final = 60  # rows looked through for these
NOISE: Final = frozenset({EventKind.HEARTBEAT.value, EventKind.STREAMS.value, "mark", "lease"})
TELLING: Final = (
    "is",
    "what",
    "status",
    "state",
    "outcome",
    "reason",
    "code",
    "side",
    "size",
    "price",
    "product_id",
    "because",
)
ENDINGS: Final = frozenset({"Accepted", "Rejected", "NotSent", "Unknown"})  # what "is" tells of an outcome
WORDS_MAX: Final = 60

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """How long and how often; None: until told to stop."""

    duration: timedelta | None = None
    looks: int | None = None
    interval: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    product: Product | None
    orders: OrdersRead | None
    account: AccountView | None
    positions: PositionsRead | None
    problems: tuple[str, ...]
    read_ns: int


class Lookout:
    """One profile's view from outside the loop."""

    def __init__(
        self,
        *,
        venue: Venue,
        journal: Journal,
        halts: Halts,
        lease: Callable[[], Lease],
        clock: Clock,
        limits: RiskLimits,
        live: LiveData,
        find: Callable[[], Product],
    ) -> None:
        """`find` names the watched product, asking the venue; it may fail for as long as the venue is down."""
        self._venue = venue
        self._journal = journal
        self._halts = halts
        self._lease = lease
        self._clock = clock
        self._limits = limits
        self._live = live
        self._find = find
        self._product_id: ProductId | None = None
        self._held: _Account | None = None
        self._stopping = False

    def request_stop(self) -> None:
        """The look under way is the last. Safe from a signal handler."""
        self._stopping = True

    def run(self, options: WatchOptions, show: Callable[[Outlook], bool]) -> None:
        """A look at each interval, and sooner at news of orders, until time or looks are over or `show` says no more."""
        began, looks = self._clock.monotonic_ns(), 0
        try:
            while not self._stopping:
                looked = self._clock.monotonic_ns()
                looks += 1
                if not show(self.look()) or (options.looks is not None and looks >= options.looks):
                    return
                until = looked + _ns(options.interval)
                if options.duration is not None:
                    until = min(until, began + _ns(options.duration))
                self._listen(until, looked + _ns(SPACING))
                if options.duration is not None and self._clock.monotonic_ns() >= began + _ns(options.duration):
                    return
        finally:
            self._live.stop()

    def _listen(self, until_ns: int, not_before_ns: int) -> None:
        woken = False
        while not self._stopping:
            now_ns = self._clock.monotonic_ns()
            left_ns = (min(until_ns, not_before_ns) if woken else until_ns) - now_ns
            if left_ns <= 0:
                return
            within = min(timedelta(microseconds=max(left_ns // 1000, 1)), SLICE)
            if woken:
                self._clock.sleep(within)
            elif self._live.wait(within):
                woken = self._heard()
                self._clock.sleep(min(within, timedelta(milliseconds=20)))

    def _heard(self) -> bool:
        """True when something of the account happened: then it is read anew."""
        moved = [news for news in self._live.take() if news.kind is not NewsKind.MARKET]
        if moved:
            self._held = None
        return any(news.kind is not NewsKind.BALANCE for news in moved)

    # --- one look -------------------------------------------------------------------------------------------------

    def look(self) -> Outlook:
        """Everything as it stands now. Never raises for the venue or the journal."""
        reads = _Tries()
        self._heard()
        self._resolve(reads)
        account = self._account()
        reads.problems.update(dict.fromkeys(account.problems))
        booked = reads.attempt("journal", self._journal.booked)
        book = self._book(reads)
        marks = self._marks(account, book, reads)
        pending = reads.attempt("journal", self._journal.exits_pending)
        working = reads.attempt("journal", self._journal.working)
        beats = reads.attempt("journal", lambda: self._journal.events(kind=EventKind.HEARTBEAT.value, limit=1))
        return Outlook(
            at=self._clock.now(),
            product_id=self._product_id,
            takes_orders=None if account.product is None else account.product.status.takes_orders,
            switch=self._halts.facts(),
            states=None if booked is None else booked.states,
            run_holder=reads.attempt("lease", lambda: self._lease().holder()),
            heartbeat=beats[0].at if beats else None,
            in_doubt=None if booked is None else len(booked.in_doubt),
            working=None if working is None else len(working),
            exits_pending=None if pending is None else len(pending),
            open_orders=None if account.orders is None else len(account.orders.orders),
            account=account.account,
            positions=None if account.positions is None else account.positions.positions,
            marks=marks,
            day_change=None if booked is None else day_change(booked, account.account, marks),
            limits=limit_uses(account.account, account.positions, account.orders, booked, marks, self._limits),
            book=None if book is None else _top(book),
            channels=self._live.health(),
            figures=self._live.figures(),
            events=self._events(reads),
            problems=tuple(reads.problems),
        )

    def _resolve(self, reads: "_Tries") -> None:
        if self._product_id is not None:
            return
        product = reads.attempt("products", self._find)
        if product is not None:
            self._product_id = product.product_id
            self._live.start((product.product_id,))

    def _account(self) -> _Account:
        """What the venue tells of the account: held for a few seconds while every change is sure to be told."""
        now_ns, held = self._clock.monotonic_ns(), self._held
        if held is not None and self._live.covers_orders and now_ns - held.read_ns < _ns(READ_EVERY):
            return held
        reads = Reads()
        product_id = self._product_id
        found = _Account(
            product=None if product_id is None else reads.attempt("product", lambda: self._venue.product(product_id)),
            orders=reads.attempt("live orders", self._venue.live_orders),
            account=reads.attempt("account", self._venue.account),
            positions=reads.attempt("positions", self._venue.positions),
            problems=tuple(dict.fromkeys(reads.notes)),
            read_ns=now_ns,
        )
        self._held = None if found.problems else found
        return found

    def _book(self, reads: "_Tries") -> BookView | None:
        product_id = self._product_id
        if product_id is None:
            return None
        inner = Reads()
        book = self._live.book(product_id, lambda: self._venue.book(product_id, TOP), inner, "book")
        reads.problems.update(dict.fromkeys(inner.notes))
        return book

    def _marks(self, account: _Account, book: BookView | None, reads: "_Tries") -> dict[ProductId, Mark]:
        """The watched product's by the streams or its own book, those of other products held by a read of theirs."""
        marks: dict[ProductId, Mark] = {}
        held = () if account.positions is None else account.positions.positions
        for product_id in {*(each.product_id for each in held if each.coin), *filter(None, [self._product_id])}:
            streamed = self._live.price(product_id)
            middle = book.middle_mark() if book is not None and product_id == self._product_id else None
            mark = streamed or middle or self._read_mark(product_id, reads)
            if mark is not None:
                marks[product_id] = mark
        return marks

    def _read_mark(self, product_id: ProductId, reads: "_Tries") -> Mark | None:
        if product_id == self._product_id:
            return None  # its book was just asked for
        book = reads.attempt(f"book of {product_id}", lambda: self._venue.book(product_id, TOP))
        return None if book is None else book.middle_mark()

    def _events(self, reads: "_Tries") -> tuple[Happening, ...] | None:
        rows = reads.attempt("journal", lambda: self._journal.events(limit=EVENTS_READ))
        if rows is None:
            return None
        return tuple(_happening(row) for row in rows if row.kind not in NOISE)[:EVENTS_SHOWN]


class _Tries:
    """Reads of journal and venue alike; each problem once."""

    def __init__(self) -> None:
        self.problems: dict[str, None] = {}

    def attempt(self, part: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except UsageError:
            raise  # a product nobody offers: to be told to the operator, not tried again
        except PerpsctlError as error:
            self.problems[f"{part}: {error.message}"] = None
            return None


def _top(book: BookView) -> BookTop:
    bid, ask = book.bids[:1], book.asks[:1]
    return BookTop(
        product_id=book.product_id,
        bid=book.best_bid,
        bid_size=bid[0].size if bid else None,
        ask=book.best_ask,
        ask_size=ask[0].size if ask else None,
        sound=book.sound,
        as_of=book.as_of,
        source=book.source,
    )


def _happening(row: JournalEvent) -> Happening:
    return Happening(at=row.at, kind=row.kind, intent_id=row.intent_id, words=_words(row.payload))


def _words(payload: str) -> str:
    """The telling values of a row, wherever in it they stand; each key once, outermost first."""
    found: dict[str, str] = {}
    told = json.loads(payload)
    denied = _denied(told)
    level: list[object] = [told]
    while level:
        inner: list[object] = []
        for value in level:
            if not isinstance(value, Mapping):
                continue
            for key, item in value.items():
                if isinstance(item, Mapping):
                    inner.append(item)
                elif isinstance(item, str) and (item in ENDINGS if key == "is" else key in TELLING and item):
                    found.setdefault(key, item)
        level = inner
    return " ".join((*denied, *(found[key] for key in TELLING if key in found)))[:WORDS_MAX]


def _denied(told: object) -> tuple[str, ...]:
    """That an intent was denied, and the first reason, before its terms: what was denied never went anywhere."""
    verdict = told.get("denied") if isinstance(told, Mapping) else None
    denials = verdict.get("denials") if isinstance(verdict, Mapping) else None
    first = denials[0] if isinstance(denials, list) and denials else None
    code = first.get("code") if isinstance(first, Mapping) else None
    return () if verdict is None else ("denied", *([code] if isinstance(code, str) else []))


def _ns(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000
