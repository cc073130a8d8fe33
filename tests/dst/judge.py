"""The independent judge: the exchange's own book and the journal's file, read by code that shares nothing with the product.

Standard library only; nothing of the product may be imported here (a test holds it). It is handed plain facts: what the
exchange's book says, what left the client and in which state the journal's file was at that moment, and what the operator was
told. It answers with one line per broken invariant.
"""

import hmac
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

FINAL = frozenset({"FILLED", "CANCELLED", "EXPIRED", "FAILED"})
OUR_FINAL = frozenset({"filled", "cancelled", "expired", "failed"})
ADDS = frozenset({"create", "edit", "close"})  # what R1 forbids once the switch is engaged
RESOLVED_WITHIN = timedelta(seconds=60)  # reliability 4: unknown outcomes after the faults ended
MARK_WINDOW = timedelta(seconds=20)  # a verdict is at most 5 s old at the send, its mark 5 s older; requests take time
ROUNDING = Decimal("1.002")  # equity is told by cash alone here: unrealised profit of 1 % of it moves less
VERDICT_KEEPS = timedelta(seconds=6)  # five, and what a slow request takes on its way
ABSENCE_AFTER = {"us": timedelta(seconds=40), "global": timedelta(seconds=5)}  # until then a request may still arrive
TURNED_AWAY = frozenset({13004, 13009, 10000})  # the gateway's words for a session it does not take (reference 9)
# L2: a command's time is bounded, whatever the venue or the host's clock do, and so are its requests. The longest of all,
# `engage --flatten`, may ask for 60 s while the venue answers with its rate limit, close for 30 s and read back for 5 s.
LASTS_AT_MOST = timedelta(seconds=120)
READS_AT_MOST = (120, 12)  # so many at once, and so many more for each second it lasts
WRITES_AT_MOST = (20, 4)  # a cancel is tried ten times with full jitter, and asked again while the order stands
BEFORE_SEND = frozenset({"kill_switch_engaged", "approval_expired"})


# --- what the judge is handed ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOrder:
    """An order as the exchange holds it; sizes in contracts."""

    order_id: str
    client_id: str
    product: str
    side: str  # BUY or SELL
    size: Decimal
    filled: Decimal
    price: Decimal | None
    status: str
    kind: str
    outside: bool  # placed by somebody else, by hand or by the exchange

    @property
    def left(self) -> Decimal:
        return Decimal(0) if self.status in FINAL else self.size - self.filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The exchange's book at one moment."""

    at: datetime
    orders: tuple[BookOrder, ...]
    positions: Mapping[str, Decimal]  # contracts
    cash: Decimal
    disturbed: bool  # somebody without our journal placed an order in the middle of the step this was read in


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A write that left the client, and how journal and switch stood on disk at that moment."""

    at: datetime
    process: str
    op: str  # create, edit, close, cancel, cancel_all
    ident: str  # client id of a create, order id of an edit
    body: Mapping[str, Any]
    committed: bool
    latched: bool
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the operator was told by one command, and what the exchange's book was then."""

    step: int
    what: str
    ident: str
    word: str
    book: int  # number of the book
    sent: int  # how many writes had left by then
    seq: int  # the journal's last row then
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one command took: time that passed, and requests of its own process."""

    step: int
    what: str
    took: timedelta
    reads: int
    writes: int
    held_up: timedelta  # by the schedule: it was stopped, or meant to wait


@dataclass(slots=True, kw_only=True)
class Case:
    """Everything one schedule left behind."""

    venue: str
    folder: Path
    limits: Mapping[str, str]
    unit: Mapping[str, Decimal]  # coin of one contract
    alias: Mapping[str, str]
    books: list[Book] = field(default_factory=list)
    sends: list[Left] = field(default_factory=list)
    marks: list[tuple[datetime, str, Decimal]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)  # ident of each write whose session the exchange did not take
    bugs: list[str] = field(default_factory=list)
    spent: list[Spent] = field(default_factory=list)
    clock_steps: list[tuple[int, timedelta]] = field(default_factory=list)  # after this row the host was so far ahead
    healed_at: datetime | None = None
    certain_at: datetime | None = None  # when no doubt was left
    breaks: list[str] = field(default_factory=list)  # what the second reconcile still said
    rows_between: int = 0  # journal rows the second reconcile wrote


# --- the journal, read by ourselves -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the journal's file."""

    seq: int
    account: str
    kind: str
    at: str
    intent_id: str | None
    venue_order_id: str | None
    ref: str | None
    occurred: str | None
    payload: str
    prev: str
    hash: str

    @property
    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.payload)
        return found

    @property
    def when(self) -> datetime:
        return moment(self.at)


_COLUMNS = "seq, account, kind, at, intent_id, venue_order_id, ref, occurred, payload, prev, hash"


class JournalEye:
    """Reads a journal's file through a connection of its own, as it is committed at that moment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: sqlite3.Connection | None = None

    def committed(self, ident: str) -> bool:
        """True when a row decides this intent, or a spooled exit does."""
        found = self._ask("SELECT 1 FROM events WHERE intent_id = ? AND kind IN ('intent','edit') LIMIT 1", ident)
        if found:
            return True
        spool = self._folder / "spool"
        return spool.is_dir() and any(ident in each.read_text() for each in sorted(spool.iterdir()) if each.is_file())

    def edit_of(self, order_id: str) -> bool:
        """True when an undecided or accepted edit row names this order, and has no outcome yet."""
        rows = self._ask(
            "SELECT e.payload FROM events e WHERE e.kind = 'edit' AND NOT EXISTS "
            "(SELECT 1 FROM events o WHERE o.kind = 'outcome' AND o.intent_id = e.intent_id) AND e.payload LIKE ?",
            f'%"venue_order_id":"{order_id}"%',
        )
        return any(json.loads(row[0])["denied"] is None for row in rows)

    def last(self) -> int:
        """The number of the last committed row."""
        found = self._ask("SELECT max(seq) FROM events")
        return int(found[0][0] or 0)

    def latched(self) -> bool:
        """True when the switch's latch stands on disk."""
        return os.path.lexists(self._folder / "killswitch.latch")

    def rows(self) -> tuple[Row, ...]:
        """Every row."""
        return tuple(Row(*row) for row in self._ask(f"SELECT {_COLUMNS} FROM events ORDER BY seq"))

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _ask(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        if self._held is None:
            self._held = sqlite3.connect(f"file:{self._folder / 'journal.db'}?mode=ro", uri=True, isolation_level=None)
        return list(self._held.execute(statement, values).fetchall())


def moment(text: str) -> datetime:
    """A time as the journal writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def number(text: object) -> Decimal | None:
    """A number as the journal writes it."""
    return None if text is None else Decimal(str(text))


# --- the verdict -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """An intent or an edit as its own row tells it."""

    ident: str
    at: datetime
    seq: int
    edit: bool
    denied: bool
    intent: Mapping[str, Any]
    terms: Mapping[str, Any] | None
    sent_size: Decimal


def judge(case: Case) -> list[str]:
    """One line per broken invariant, its id first."""
    eye = JournalEye(case.folder)
    try:
        rows = eye.rows()
    finally:
        eye.close()
    found = [f"BUG {bug}" for bug in case.bugs]
    found += _chain(rows, case.folder)
    rows = tuple(_truly(row, case) for row in rows)
    decided = {each.ident: each for each in _decided(rows)}
    found += _one_order_each(case, decided)
    found += _intent_first(case, decided)
    found += _sent_is_meant(case, decided)
    found += _switch(case, decided)
    found += _young(case, decided)
    found += _doubts(case, rows, decided)
    found += _endings(case, rows, decided)
    found += _graph(rows)
    found += _exposure(case, decided)
    found += _reduces(case, decided)
    found += _pace(case, decided)
    found += _told(case, decided)
    found += _agree(case, rows, decided)
    found += _live_again(case)
    found += _bounded(case)
    return found


def _truly(row: Row, case: Case) -> Row:
    """The row with its true time: the host's clock was stepped away from it now and then (T1)."""
    ahead = next((by for seq, by in reversed(case.clock_steps) if row.seq > seq), timedelta(0))
    return replace(row, at=(row.when - ahead).isoformat()) if ahead else row


def _decided(rows: Iterable[Row]) -> Iterable[Decided]:
    for row in rows:
        if row.kind in ("intent", "edit"):
            told = row.told
            yield Decided(
                ident=str(row.intent_id),
                at=row.when,
                seq=row.seq,
                edit=row.kind == "edit",
                denied=told["denied"] is not None,
                intent=told["intent"],
                terms=told["terms"],
                sent_size=Decimal(told["sent_size"]),
            )


def _chain(rows: tuple[Row, ...], folder: Path) -> list[str]:
    """J4: every row is sealed onto the one before, with the profile's own key."""
    key = bytes.fromhex((folder / "audit.key").read_text().strip())
    held, found = "0" * 64, []
    for number_, row in enumerate(rows, 1):
        parts = (str(row.seq), row.account, row.kind, row.at, row.intent_id, row.venue_order_id, row.ref)
        told = "".join(
            "-" if part is None else f"{len(part)}:{part}" for part in (*parts, row.occurred, row.payload, row.prev)
        )
        sealed = hmac.new(key, told.encode(), "sha256").hexdigest()
        if row.seq != number_ or row.prev != held or sealed != row.hash:
            found.append(f"J4 row {row.seq} is not sealed onto the one before")
            break
        held = row.hash
    return found


def _one_order_each(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """I1: no intent has two orders; I3: no create leaves twice, whatever the exchange made of it."""
    found = []
    orders: dict[str, int] = {}
    for order in case.books[-1].orders:
        if not order.outside:
            orders[order.client_id] = orders.get(order.client_id, 0) + 1
    found += [f"I1 {count} orders of intent {ident}" for ident, count in orders.items() if count > 1]
    created: dict[str, int] = {}
    for left in case.sends:
        if left.op in ("create", "close"):
            created[left.ident] = created.get(left.ident, 0) + 1
    for ident, count in created.items():
        if count > 1 + case.turned_away.count(ident):  # a request refused for its session was proven not to have acted
            found.append(f"I3 create {ident} left {count} times")
    edits = sum(1 for left in case.sends if left.op == "edit")
    edits -= sum(case.turned_away.count(name) for name in {left.ident for left in case.sends if left.op == "edit"})
    meant = sum(1 for each in decided.values() if each.edit and not each.denied)
    if edits > meant:
        found.append(f"I3 {edits} edits left for {meant} decided ones")
    return found


def _intent_first(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """I2: the intent is committed before the first byte; every order of ours at the exchange has its row."""
    found = [
        f"I2 {left.op} {left.ident} left before its intent was durable"
        for left in case.sends
        if left.op in ADDS and not left.committed
    ]
    for order in case.books[-1].orders:
        if not order.outside and order.client_id not in decided:
            found.append(f"I2 order {order.order_id} ({order.client_id}) has no intent in the journal")
    for left in case.sends:
        if left.op in ("create", "close") and left.ident in decided and decided[left.ident].denied:
            found.append(f"I2 {left.ident} was denied and left all the same")
    return found


def _sent_is_meant(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """I7: the body says what the journal's terms say, and the terms never say more than was asked."""
    found = []
    for left in case.sends:
        meant = decided.get(left.ident)
        if left.op != "create" or meant is None or meant.terms is None:
            continue
        sent = _us_terms(left.body) if case.venue == "us" else _global_terms(left.body)
        terms, intent = meant.terms, meant.intent
        size = Decimal(terms["size"])
        if case.venue == "us":
            sent["size"] = sent["size"] * Decimal(terms["contract_size"])
        expected = {
            "product": intent["product_id"],
            "side": intent["side"],
            "size": size,
            "price": number(terms["limit_price"]),
            "post_only": intent["post_only"],
            "reduce_only": intent["reduce_only"] if case.venue == "global" else False,
        }
        apart = [f"{name} {sent[name]} for {want}" for name, want in expected.items() if sent[name] != want]
        if size > Decimal(intent["size"]) and intent["origin"] == "operator":
            apart.append(f"size {size} for {intent['size']} asked")
        asked = number(intent["limit_price"])
        if asked is not None and expected["price"] is not None:
            sign = 1 if intent["side"] == "buy" else -1
            if (expected["price"] - asked) * sign > 0:
                apart.append(f"price {expected['price']} for {asked} asked")
        if apart:
            found.append(f"I7 {left.ident}: {', '.join(apart)}")
    return found


def _us_terms(body: Mapping[str, Any]) -> dict[str, Any]:
    ((_, terms),) = body["order_configuration"].items()
    return {
        "product": body["product_id"],
        "side": body["side"].lower(),
        "size": Decimal(terms["base_size"]),
        "price": number(terms.get("limit_price")),
        "post_only": bool(terms.get("post_only", False)),
        "reduce_only": False,
    }


def _global_terms(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "product": body["instrument_name"],
        "side": body["side"],
        "size": Decimal(str(body["amount"])),
        "price": number(body.get("price")),
        "post_only": bool(body.get("post_only", False)),
        "reduce_only": bool(body.get("reduce_only", False)),
    }


def _switch(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """R1: from the latch, or the word that it is engaged, to the release no create or edit began but the switch's exits."""
    shut: list[range] = []
    since: int | None = None
    for told in case.told:
        if told.what == "engage":
            since = told.sent if since is None else since
        elif told.what == "release" and told.word == "released" and since is not None:
            shut.append(range(since, told.sent))
            since = None
    if since is not None:
        shut.append(range(since, len(case.sends)))
    found = []
    for number_, left in enumerate(case.sends):
        if left.op not in ADDS or not (left.latched or any(number_ in span for span in shut)):
            continue
        meant = decided.get(left.ident)
        if left.op != "edit" and meant is not None and meant.intent["road"] == "switch":
            continue
        found.append(f"R1 {left.op} {left.ident} left while the switch was engaged")
    return found


def _young(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """P3, P11: a verdict that is older than its few seconds sends nothing."""
    found = []
    for left in case.sends:
        meant = decided.get(left.ident)
        if left.op in ("create", "close") and meant is not None and left.at - meant.at > VERDICT_KEEPS:
            found.append(f"P3 {left.ident} left {left.at - meant.at} after its verdict")
    return found


def _open_doubts(rows: tuple[Row, ...], decided: Mapping[str, Decided], seq: int) -> list[str]:
    """Intents whose outcome was missing or unknown when row `seq` was the last."""
    last = {str(row.intent_id): row.told["outcome"]["is"] for row in rows if row.kind == "outcome" and row.seq <= seq}
    return [
        ident
        for ident, each in decided.items()
        if each.seq <= seq and not each.denied and last.get(ident, "Unknown") == "Unknown"
    ]


def _doubts(case: Case, rows: tuple[Row, ...], decided: Mapping[str, Decided]) -> list[str]:
    """R4: nothing is released over a doubt; L3: no run is done, and no switch clean, that leaves one behind."""
    words = {("release", "released"): "R4", ("run", "DONE"): "L3", ("engage", "clean"): "L3"}
    found = []
    for told in case.told:
        name = words.get((told.what, told.word))
        doubts = _open_doubts(rows, decided, told.seq) if name is not None else []
        if doubts:
            found.append(f"{name} step {told.step}: {told.what} told {told.word} with {doubts[0]} in doubt")
    return found


def _endings(case: Case, rows: tuple[Row, ...], decided: Mapping[str, Decided]) -> list[str]:
    """I4: no proven end without evidence, none by time alone, none that the book denies."""
    found = []
    truth = {order.client_id: order for order in case.books[-1].orders if not order.outside}
    began = {left.ident: left.at for left in case.sends if left.op in ("create", "close")}
    last: dict[str, str] = {}
    for row in rows:
        if row.kind != "outcome":
            continue
        outcome = row.told["outcome"]
        ident, word = str(row.intent_id), str(outcome["is"])
        last[ident] = word
        if word != "Unknown" and not str(outcome["evidence"]).strip():
            found.append(f"I4 {ident} ended as {word} without evidence")
        if ident not in decided:
            found.append(f"I4 an outcome of {ident}, which was never decided")
            continue
        if decided[ident].edit:
            continue
        held = truth.get(ident)
        if word in ("NotSent", "Rejected") and held is not None and held.status != "FAILED":
            found.append(f"I4 {ident} was told as {word}; the exchange holds order {held.order_id}")
        sent = began.get(ident)
        if word == "NotSent" and sent is not None:
            if outcome["reason"] in BEFORE_SEND:
                found.append(f"I4 {ident} left and is told as held back here ({outcome['reason']})")
            elif outcome["reason"] == "absent_at_venue" and row.when - sent < ABSENCE_AFTER[case.venue]:
                found.append(f"I4 {ident} is called absent {row.when - sent} after it left")
    for ident, word in last.items():
        if decided[ident].edit if ident in decided else True:
            continue
        if word == "Accepted" and ident not in truth:
            found.append(f"I4 {ident} ended as Accepted; the exchange holds no such order")
    return found


def _graph(rows: tuple[Row, ...]) -> list[str]:
    """I5: what is filled never falls nor exceeds the size; final states stay, but a fill beats a cancel."""
    found: list[str] = []
    held: dict[str, tuple[Decimal, str]] = {}
    fills: set[str] = set()
    for row in rows:
        if row.kind == "fill":
            if row.ref in fills:
                found.append(f"I5 fill {row.ref} is booked twice")
            fills.add(str(row.ref))
        if row.kind != "order":
            continue
        order = row.told["order"]
        name, filled, status = order["venue_order_id"], Decimal(order["filled"]), order["status"]
        before, stood = held.get(name, (Decimal(0), ""))
        if filled < before:
            found.append(f"I5 order {name}: filled fell from {before} to {filled}")
        if stood in OUR_FINAL and status not in (stood, "filled"):
            found.append(f"I5 order {name}: {stood} became {status}")
        size = number(order["size"])
        if size is not None and filled > size:
            found.append(f"I5 order {name}: filled {filled} of {size}")
        held[name] = (filled, status)
    return found


# --- risk ---------------------------------------------------------------------------------------------------------


def _worst(book: Book, product: str, unseen: frozenset[str] = frozenset()) -> Decimal:
    """Contracts held at worst, either way, if everything that can fill does, but for orders `unseen`; never netted."""
    held = book.positions.get(product, Decimal(0))
    rest = [o for o in book.orders if o.product == product and o.order_id not in unseen]
    buys = sum((o.left for o in rest if o.side == "BUY"), Decimal(0))
    sells = sum((o.left for o in rest if o.side == "SELL"), Decimal(0))
    return max(held + buys, sells - held, Decimal(0))


def _exposure(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """R5: whenever an order or edit of ours was accepted and made the worst case larger, it was within the limits.

    With the view at its send: what others placed while a late order was on its way (N14) is no fault of it.
    """
    found = []
    share = Decimal(case.limits.get("position_max_share", "0.01"))
    gross_share = Decimal(case.limits.get("gross_max_share", "0.05"))
    for before, after in zip(case.books, case.books[1:], strict=False):
        if after.disturbed or not _ours_came(before, after):
            continue
        total, unseen = Decimal(0), _placed_meanwhile(case, before, after)
        for product, unit in case.unit.items():
            worst = _worst(after, product, unseen)
            mark = _lowest_mark(case, product, after.at)
            if not worst or mark is None:
                continue
            notional = worst * unit * mark
            total += notional
            if worst > _worst(before, product, unseen) and notional > share * after.cash * ROUNDING:
                found.append(f"R5 {product}: worst case {notional:.2f} at {after.at:%H:%M:%S.%f} of {after.cash}")
        if total > gross_share * after.cash * ROUNDING:
            found.append(f"R5 gross worst case {total:.2f} of {after.cash}")
    return found


def _reduces(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """R7: what is sent to reduce is no larger than a position that was held while it was decided."""
    found = []
    for left in case.sends:
        meant = decided.get(left.ident)
        if left.op != "create" or meant is None or meant.terms is None:
            continue
        intent = meant.intent
        if intent["road"] == "entry" and not intent["reduce_only"]:
            continue
        product, sign = intent["product_id"], -1 if intent["side"] == "buy" else 1
        before = [book for book in case.books if book.at <= left.at]
        near = [book for book in before if book.at >= left.at - MARK_WINDOW] or before[-1:]
        held = max(sign * book.positions.get(product, Decimal(0)) for book in (*near, *before[-1:]))
        if Decimal(meant.terms["size"]) > max(held, Decimal(0)) * case.unit[product]:
            found.append(f"R7 {left.ident} closes {meant.terms['size']} of {held * case.unit[product]} held")
    return found


def _ours_came(before: Book, after: Book) -> bool:
    """True when an order of ours is new, or larger, since `before`."""
    known = {order.order_id: order.size for order in before.orders}
    return any(o.size > known.get(o.order_id, Decimal(0)) for o in after.orders if not o.outside)


def _placed_meanwhile(case: Case, before: Book, after: Book) -> frozenset[str]:
    """Orders from outside that came after the send of every order of ours that is new in `after`."""
    known = {order.order_id for order in before.orders}
    new = {order.client_id for order in after.orders if not order.outside and order.order_id not in known}
    sends = [left.at for left in case.sends if left.op == "create" and left.ident in new]
    if not new or not sends:
        return frozenset()
    seen = {o.order_id for book in case.books if book.at <= max(sends) for o in book.orders}
    return frozenset(o.order_id for o in after.orders if o.outside and o.order_id not in seen)


def _lowest_mark(case: Case, product: str, at: datetime) -> Decimal | None:
    near = [mark for when, name, mark in case.marks if name == product and at - MARK_WINDOW <= when <= at]
    return min(near) if near else None


def _pace(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """R8: no entry was committed when as many writes as allowed had left within the minute before it."""
    bound = int(case.limits.get("orders_per_minute_max", "10"))
    left = {each.ident for each in case.sends if each.op in ("create", "close")}
    made = [each for each in decided.values() if not each.denied and (each.edit or each.ident in left)]
    found = []
    for each in made:
        if not each.edit and each.intent["road"] != "entry":
            continue
        earlier = sum(
            1
            for other in made
            if other.seq < each.seq and not other.edit and timedelta(0) <= each.at - other.at < timedelta(seconds=60)
        )
        if earlier >= bound and not each.edit and not _takes_back(case, each):
            found.append(f"R8 {each.ident} left as number {earlier + 1} of its minute, {bound} are allowed")
    return found


def _takes_back(case: Case, meant: Decided) -> bool:
    """True for an order that closes no more than was held when it was decided: budgets of entries do not bind it."""
    intent = meant.intent
    before = [book for book in case.books if book.at <= meant.at]
    held = before[-1].positions.get(intent["product_id"], Decimal(0)) * case.unit[intent["product_id"]]
    return Decimal(intent["size"]) <= (-held if intent["side"] == "buy" else held)


# --- honesty --------------------------------------------------------------------------------------------------------


def _told(case: Case, decided: Mapping[str, Decided]) -> list[str]:
    """L3, L5: what the operator was told was so in the exchange's book then, and nothing unread was told as zero."""
    found = []
    for told in case.told:
        book = case.books[told.book]
        ours = {order.client_id: order for order in book.orders if not order.outside}
        by_id = {order.order_id: order for order in book.orders}
        where = f"step {told.step} {told.what}"
        if told.what in ("place", "replay", "replace"):
            if told.word == "Accepted" and told.ident not in ours:
                found.append(f"L3 {where}: {told.ident} told accepted, not in the book")
            if told.word in ("NotSent", "Rejected", "denied") and told.ident in ours:
                if ours[told.ident].status != "FAILED":
                    found.append(f"L3 {where}: {told.ident} told {told.word}, and it is in the book")
        for name in told.facts.get("gone", ()):
            if name in by_id and by_id[name].status not in FINAL:
                found.append(f"L3 {where}: {name} told gone, it is {by_id[name].status}")
        if told.word == "clean":
            live = [o.order_id for o in book.orders if o.status not in FINAL]
            if live:
                found.append(f"L3 {where}: attested clean with {len(live)} live orders")
            if told.facts.get("flat_asked") and any(book.positions.values()):
                found.append(f"L5 {where}: attested flat with a position")
        if told.word == "all_gone":
            live = [o.order_id for o in book.orders if o.status not in FINAL]
            if live:
                found.append(f"L3 {where}: told that nothing rests with {len(live)} live orders")
        for product in told.facts.get("flat", ()):
            if book.positions.get(product):
                found.append(f"L5 {where}: {product} told flat, {book.positions[product]} contracts are held")
    return found


def _agree(case: Case, rows: tuple[Row, ...], decided: Mapping[str, Decided]) -> list[str]:
    """I6, I8: after healing and one reconcile both sides agree to the last unit; a second pass writes nothing."""
    if case.healed_at is None:
        return []
    found = [f"I6 the second reconcile still says: {each}" for each in case.breaks]
    if case.rows_between:
        found.append(f"I6 the second reconcile wrote {case.rows_between} rows")
    book = case.books[-1]
    known: dict[str, tuple[str, Decimal]] = {}
    adopted: dict[str, Decimal] = {}
    booked: dict[str, Decimal] = {}
    for row in rows:
        if row.kind in ("order", "outcome"):
            order = row.told["order"] if row.kind == "order" else row.told["outcome"].get("order")
            if order is not None:
                filled = max(Decimal(order["filled"]), known.get(order["venue_order_id"], ("", Decimal(0)))[1])
                known[order["venue_order_id"]] = (order["status"], filled)
        if row.kind == "fill":
            fill = row.told["fill"]
            sign = 1 if fill["side"] == "buy" else -1
            booked[fill["product_id"]] = booked.get(fill["product_id"], Decimal(0)) + sign * Decimal(fill["size"])
        if row.kind in ("reconciled", "operator_decision"):
            for each in row.told.get("adopted") or ():
                adopted[each["product_id"]] = adopted.get(each["product_id"], Decimal(0)) + Decimal(each["coin"])
    for order in book.orders:
        unit = case.unit[order.product]
        status, filled = known.get(order.order_id, ("", Decimal(0)))
        if not status and not (order.outside and order.status in FINAL):
            found.append(f"I6 order {order.order_id} ({order.client_id or 'outside'}) is not in the journal")
        elif status and (status in OUR_FINAL) is not (order.status in FINAL):
            found.append(f"I6 order {order.order_id} is {status} in the journal and {order.status} at the exchange")
        elif status and filled != order.filled * unit:
            found.append(f"I8 order {order.order_id}: {filled} filled in the journal, {order.filled * unit} truly")
    for product, unit in case.unit.items():
        ours = booked.get(product, Decimal(0)) + adopted.get(product, Decimal(0))
        theirs = book.positions.get(product, Decimal(0)) * unit
        if ours != theirs:
            found.append(f"I8 {product}: the journal's fills add up to {ours}, the exchange holds {theirs}")
    return found


def _bounded(case: Case) -> list[str]:
    """L2, T1: no command lasts or asks without end, and what a rate limit held up is done when it ends."""
    found = []
    for each in case.spent:
        took = each.took - each.held_up
        where = f"L2 step {each.step} {each.what}"
        if took > LASTS_AT_MOST:
            found.append(f"{where} took {took}")
        for word, many, (at_once, a_second) in (
            ("reads", each.reads, READS_AT_MOST),
            ("writes", each.writes, WRITES_AT_MOST),
        ):
            if many > at_once + a_second * each.took / timedelta(seconds=1):
                found.append(f"{where} made {many} {word} in {each.took}")
    for told in case.told:
        if told.facts.get("storm_alone") and told.word not in ("all_gone", "clean"):
            found.append(f"L2 step {told.step} {told.what}: told {told.word} after a rate limit of some seconds")
    return found


def _live_again(case: Case) -> list[str]:
    """L1: once faults stopped, every doubt ended within a minute."""
    if case.healed_at is None:
        return ["L1 the schedule never came to its end"]
    if case.certain_at is None:
        return ["L1 a doubt outlived the faults"]
    if case.certain_at - case.healed_at > RESOLVED_WITHIN:
        return [f"L1 the last doubt ended {case.certain_at - case.healed_at} after the faults"]
    return []
