"""What a soak of one venue proved or broke: the exchange's own book against the journal's file, once all is over.

Order invariants are the independent judge's of the schedules (`tests/dst/judge.py`, standard library only); here is what
only real time adds: the switch by the exchange's own clock, doubts that outlive the faults, and how the run itself ended.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.dst.judge import Book, BookOrder, Case, Told, judge
from tests.soak.commands import Log, Shut, say
from tests.soak.record import Tally
from tests.soak.venue import Venue

ADDS = frozenset({"create_order", "edit_order", "close_position"})


@dataclass(slots=True)
class Over:
    """What is known of a venue when its run has ended."""

    code: int
    told: Any  # the run's own document
    log: Log
    healed_at: datetime
    certain_at: datetime | None
    breaks: list[str] = field(default_factory=list)
    rows_between: int = 0


def violations(venue: Venue, over: Over) -> list[str]:
    """One line per broken rule; the exchange must still be running, the run must not."""
    last_row = venue.record.follow().seq
    say(venue, over.log, "order", "cancel-all")  # what the operator left behind
    say(venue, over.log, "reconcile")
    before = venue.record.follow().seq
    second = say(venue, over.log, "reconcile")
    over.rows_between = venue.record.follow().seq - before
    found = [*over.log.wrong]
    if second is None:
        found.append("the second reconcile told nothing")
    else:
        over.breaks += [f"{each['kind']} {each['subject']}" for each in second["breaks"]]
        over.breaks += [f"unread: {each}" for each in second["unread"]]
    truth = venue.home.judge()
    found += judge(_case(venue, over, truth, last_row))
    found += switch_passed(truth["requests"], over.log.shut, venue.record.tally.roads)
    found += [f"a traceback stands in {name}" for name in venue.tracebacks()]
    if over.code != 0:
        found.append(f"L3 run ended with {over.code}: {_stopped(over.told)}")
    if venue.home.live():
        found.append(f"{len(venue.home.live())} orders are live after the end")
    return [f"{venue.name}: {each}" for each in found]


def switch_passed(requests: Any, shut: list[Shut], roads: Mapping[str, str]) -> Iterator[str]:
    """R1 by the exchange's clock: what adds exposure arrived while the switch was engaged, the switch's own exits aside."""
    for each in requests:
        at = datetime.fromisoformat(str(each["received_at"]).replace("Z", "+00:00"))
        if each["operation"] in ADDS and any(span.since <= at <= span.until for span in shut):
            if roads.get(each["client_order_id"]) != "switch":
                yield f"R1 {each['operation']} {each['client_order_id']} arrived at {at:%H:%M:%S.%f}, engaged"


def open_of(tally: Tally) -> frozenset[str]:
    """Intents whose end is not certain."""
    return frozenset(tally.open)


def _case(venue: Venue, over: Over, truth: Mapping[str, Any], last_row: int) -> Case:
    """What the judge of the schedules is handed: the last book, how the run ended, and that all healed."""
    told = []
    if over.code == 0:
        told.append(Told(step=0, what="run", ident="", word="DONE", book=0, sent=0, seq=last_row))
    return Case(
        venue=venue.name,
        folder=venue.record.folder,
        limits={},
        unit=venue.unit,
        alias={},
        books=[book_of(truth, venue.name)],
        told=told,
        healed_at=over.healed_at,
        certain_at=over.certain_at,
        breaks=over.breaks,
        rows_between=over.rows_between,
    )


def book_of(truth: Mapping[str, Any], venue: str) -> Book:
    """The exchange's book as its control face tells it."""
    cash = Decimal(truth["cbi_usd"]) + Decimal(truth["cfm_usd"]) if venue == "us" else Decimal(truth["usdc"])
    return Book(
        at=datetime.fromisoformat(str(truth["at"]).replace("Z", "+00:00")),
        orders=tuple(
            BookOrder(
                order_id=each["order_id"],
                client_id=each["client_order_id"],
                product=each["product_id"],
                side=each["side"],
                size=Decimal(each["size"]),
                filled=Decimal(each["filled_size"]),
                price=None if each["limit_price"] is None else Decimal(each["limit_price"]),
                status=each["status"],
                kind=each["kind"],
                outside=each["sequence"] == 0,
            )
            for each in truth["orders"]
        ),
        positions={product: Decimal(held) for product, held in truth["positions"].items()},
        cash=cash,
        disturbed=False,
    )


def _stopped(told: Any) -> str:
    data = told.get("data") or told.get("error") or {}
    summary = data.get("summary") or data
    return f"{summary.get('stopped_because') or summary.get('message')}; {(data.get('problems') or [])[-3:]}"
