"""At the end of a run: is the book that was kept from the stream the book a read tells? Level by level, exactly.

A market moves while a read is under way. So a read is held against every state of the live book from just before it was
asked for to shortly after it came, and several reads are tried before a difference is called one. Nothing is repaired
here and nothing is ordered; what could not be compared is never called equal.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import BookView
from perpsctl.domain.ports import Clock, Venue
from perpsctl.domain.reports import BookProof
from perpsctl.engine.live import LiveData
from perpsctl.engine.reading import Reads

__all__ = ["prove_book"]

LEVELS: Final = 20  # a side: past what any order of ours would take, and one page at both venues
READS_MAX: Final = 10
READS_APART: Final = timedelta(milliseconds=250)
LOOKS_AFTER: Final = 10  # at the live book after a read: what it saw may still be under way
LOOK_EVERY: Final = timedelta(milliseconds=20)


def prove_book(
    live: LiveData,
    venue: Venue,
    clock: Clock,
    product_id: ProductId,
    *,
    within: timedelta,
    stopping: Callable[[], bool],
) -> BookProof | None:
    """What reads of the book said of the live one; None without streams. A stream that is away is waited for `within`.

    Never raises for the venue; ends at once when `stopping` turns true.
    """
    if not live.streamed:
        return None
    until_ns = clock.monotonic_ns() + within // timedelta(microseconds=1) * 1000
    reads, detail = 0, "the run was ended at once"
    agreed: bool | None = None
    while not stopping():
        live.take()
        before = live.streamed_book(product_id)
        if before is None:
            detail = "the stream had no live book" if agreed is None else detail
        else:
            tries = Reads()
            read = tries.attempt("book", lambda: venue.book(product_id, LEVELS))
            if read is None:
                return BookProof(agreed=agreed, levels=0, reads=reads, detail=tries.notes[0])
            reads += 1
            for state in _states(live, clock, product_id, before):
                if levels := _equal_levels(state, read):
                    return BookProof(agreed=True, levels=levels, reads=reads, detail="")
            agreed, detail = False, f"{_top(before)} streamed, {_top(read)} read"
        if reads >= READS_MAX or clock.monotonic_ns() >= until_ns:
            break
        clock.sleep(READS_APART)
    return BookProof(agreed=agreed, levels=0, reads=reads, detail=detail)


def _states(live: LiveData, clock: Clock, product_id: ProductId, before: BookView) -> Iterator[BookView]:
    """The live book as it was, and as it became since."""
    yield before
    for look in range(LOOKS_AFTER):
        if look:
            clock.sleep(LOOK_EVERY)
        live.take()
        after = live.streamed_book(product_id)
        if after is not None and after is not before:
            yield after


def _equal_levels(streamed: BookView, read: BookView) -> int:
    """How many levels were compared when all of the read's are the stream's, best first; 0 when one differs."""
    bids, asks = read.bids[:LEVELS], read.asks[:LEVELS]
    if not bids or not asks:
        return 0
    same = (streamed.bids[: len(bids)], streamed.asks[: len(asks)]) == (bids, asks)
    return len(bids) + len(asks) if same else 0


def _top(book: BookView) -> str:
    return f"{book.best_bid} / {book.best_ask}"
