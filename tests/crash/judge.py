"""Decides over one killed process: what was acknowledged is in the journal's file, and the exchange's book agrees with it.

Standard library only, and `tests.dst.judge`, which is no more: it reads the exchange's own book and record of requests, and the
journal's file; nothing of the product is imported (a test holds it). One line per broken invariant.

Acknowledged is what a process printed, what its exit code 0 says, and what it had committed when a byte of a request left.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.dst import judge as schedules
from tests.dst.judge import FINAL, OUR_FINAL, Book, BookOrder, Case, JournalEye, Left, Row, moment

# What needs the book of every instant, or takes its orders from a strategy: the deterministic harness judges these.
NOT_JUDGED_HERE = ("R5", "R7", "R8")
OUTCOMES = {"accepted": "Accepted", "rejected": "Rejected", "not_sent": "NotSent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One process of the case: what it was asked, printed and told, and how it ended; `killed` by SIGKILL."""

    argv: tuple[str, ...]
    code: int | None
    killed: bool
    document: Mapping[str, Any] | None  # a whole one on its stdout
    err: str
    told: Sequence[Mapping[str, Any]]

    @property
    def what(self) -> str:
        """`order place`, `run`, …"""
        return " ".join(word for word in self.argv[:2] if not word.startswith("-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Journal, latch and book as they stood at one moment; the folder is a copy nobody writes to."""

    folder: Path
    rows: tuple[Row, ...]
    latched: bool
    book: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Everything one kill left behind."""

    venue: str
    unit: Mapping[str, Decimal]
    before: Found
    killed: Found  # at once after the kill
    after: Found  # after the restart, its doubts resolved, reconciled
    heard: Sequence[tuple[Heard, Found]]  # each process with what stood when it had ended
    breaks: Sequence[str] = field(default=())  # what the second reconcile still said
    rows_between: int = 0


def found(folder: Path, book: Mapping[str, Any]) -> Found:
    """What stands in this copy of a profile's folder; a journal that was never begun has no rows."""
    eye = JournalEye(folder)
    try:
        rows = eye.rows() if _begun(folder) else ()
        return Found(folder=folder, rows=rows, latched=eye.latched(), book=book)
    finally:
        eye.close()


def _begun(folder: Path) -> bool:
    """False while no table was committed, which a process that died at its first start leaves behind."""
    if not (folder / "journal.db").exists():
        return False
    eye = JournalEye(folder)
    try:
        return bool(eye._ask("SELECT 1 FROM sqlite_schema WHERE name = 'events'"))
    finally:
        eye.close()


def judge(crash: Crash) -> list[str]:
    """One line per broken invariant, its id first."""
    lines = []
    for heard, then in crash.heard:
        lines += _kept(heard, then)
        lines += _sent(heard, then)
        lines += _printed(heard, then, crash)
    lines += _announced(crash)
    lines += _only_appended(crash)
    lines += [each for each in schedules.judge(_as_schedule(crash)) if not each.startswith(NOT_JUDGED_HERE)]
    return list(dict.fromkeys(lines))


# --- J1: nothing acknowledged is lost -----------------------------------------------------------------------------


def _kept(heard: Heard, then: Found) -> list[str]:
    """Every row a process knew to be committed is in the file, byte for byte."""
    there = {row.seq: row.hash for row in then.rows}
    return [
        f"J1 row {seq}, committed by `{heard.what}`, is not in the journal"
        for line in heard.told
        for seq, sealed in line.get("kept", ())
        if there.get(seq) != sealed
    ]


def _sent(heard: Heard, then: Found) -> list[str]:
    """I2: every write of which a byte may have left has its intent in the file now."""
    named = {row.intent_id for row in then.rows if row.kind in ("intent", "edit")}
    edited = {row.told["intent"]["venue_order_id"] for row in then.rows if row.kind == "edit"}
    lines = []
    for line in heard.told:
        op, ident = line.get("left"), line.get("ident")
        if op in ("create", "close") and ident not in named:
            lines.append(f"I2 {op} {ident} left and has no intent in the journal")
        if op == "edit" and ident not in edited:
            lines.append(f"I2 edit of {ident} left and is not in the journal")
    return lines


def _printed(heard: Heard, then: Found, crash: Crash) -> list[str]:
    """What the operator was told stands in the journal's file, and is so in the exchange's book."""
    lines = []
    if "; nothing is being sent any more" in heard.err and "killswitch engage" in heard.what and not then.latched:
        lines.append("R2 told as latched, and there is no latch")
    if heard.document is None or "error" in heard.document:
        return lines
    data, say = heard.document["data"], TELLS.get(heard.what)
    lines += [f"J1 `{heard.what}`: {each}" for each in say(data, then, crash)] if say is not None else []
    if heard.code == 0:
        done = DONE.get(heard.what)
        lines += [f"L3 `{heard.what}` ended with 0: {each}" for each in done(data, then)] if done is not None else []
    return lines


def _told_order(data: Mapping[str, Any], then: Found, crash: Crash) -> Iterable[str]:
    """`place` and `edit`: the intent and the outcome that were told are in the file."""
    if "placed" in data:
        yield from _told_gone(data["cancelled"], then, crash)
        data = data["placed"] or {}
    ident, word = data.get("intent_id"), data.get("outcome")
    rows = [row for row in then.rows if row.intent_id == ident]
    if word == "denied":
        if not any(row.kind in ("intent", "edit") and row.told["denied"] is not None for row in rows):
            yield f"the denial of {ident} is not in the journal"
    elif word in OUTCOMES:
        if not any(row.kind == "outcome" and row.told["outcome"]["is"] == OUTCOMES[word] for row in rows):
            yield f"{ident} was told {word}, which is not in the journal"
        if word == "accepted" and data.get("order") is not None:
            yield from _order_is_booked(data["order"], then)


def _order_is_booked(order: Mapping[str, Any], then: Found) -> Iterable[str]:
    """The order was shown as it is in a row, or its row says more."""
    name = order["venue_order_id"]
    filled = [
        Decimal(row.told["order"]["filled"]) for row in then.rows if row.kind == "order" and row.venue_order_id == name
    ]
    filled += [
        Decimal(row.told["outcome"]["order"]["filled"])
        for row in then.rows
        if row.kind == "outcome" and (row.told["outcome"].get("order") or {}).get("venue_order_id") == name
    ]
    shown = Decimal(order.get("filled", 0))
    if "filled" in order and (not filled or max(filled) < shown):
        yield f"order {name} was shown with {shown} filled, which is not in the journal"


def _told_gone(data: Mapping[str, Any], then: Found, _: Crash) -> Iterable[str]:
    """Orders told as gone are over in the book, and those we know are over in the file."""
    truth = {order["order_id"]: order["status"] for order in then.book["orders"]}
    held: dict[str, str] = {}
    for row in then.rows:
        if row.kind in ("order", "outcome"):
            order = row.told["order"] if row.kind == "order" else row.told["outcome"].get("order")
            if order is not None:
                held[order["venue_order_id"]] = order["status"]
    for name in data["gone"]:
        if truth.get(name) not in FINAL:
            yield f"{name} was told gone; the book says {truth.get(name)}"
        if name in held and held[name] not in OUR_FINAL:
            yield f"{name} was told gone; the journal says {held[name]}"


def _told_exits(data: Mapping[str, Any], then: Found, crash: Crash) -> Iterable[str]:
    for each in data["exits"]:
        for order in each["orders"]:
            yield from _told_order(order, then, crash)
        truth = Decimal(then.book["positions"].get(each["product_id"], 0)) * crash.unit[each["product_id"]]
        if each["done"] and truth:
            yield f"{each['product_id']} was told closed; {truth} is held"


def _told_resolved(data: Mapping[str, Any], then: Found, crash: Crash) -> Iterable[str]:
    for each in data["resolved"]:
        yield from _told_order({"intent_id": each["intent_id"], "outcome": each["outcome"]}, then, crash)


def _told_breaks(data: Mapping[str, Any], then: Found, _: Crash) -> Iterable[str]:
    """What `reconcile` says it booked is in the file."""
    fills = {row.ref for row in then.rows if row.kind == "fill"}
    orders = {row.venue_order_id for row in then.rows if row.kind in ("order", "outcome")}
    for each in data["breaks"]:
        there = {"fill": fills, "order": orders}.get(each["kind"])
        if each["settled"] and there is not None and each["subject"] not in there:
            yield f"{each['kind']} {each['subject']} was told as booked and is not in the journal"


def _told_switch(data: Mapping[str, Any], then: Found, _: Crash) -> Iterable[str]:
    """`engage`: the latch stands, the halt is in the file, and what was attested is so."""
    for each in data["profiles"].values():
        attested = each["attestation"]
        if not then.latched:
            yield "told as engaged, and there is no latch"
        if attested["journal_durable"] and _halted(then.rows) is not True:
            yield "told as engaged in the journal, which does not say so"
        if attested["clean"]:
            live = [order["order_id"] for order in then.book["orders"] if order["status"] not in FINAL]
            if live:
                yield f"attested clean with {len(live)} live orders"
            if attested["flatten_asked"] and any(Decimal(each) for each in then.book["positions"].values()):
                yield "attested flat with a position"


def _halted(rows: Iterable[Row]) -> bool | None:
    told = [bool(row.told["engaged"]) for row in rows if row.kind == "halt"]
    return told[-1] if told else None


Say = Callable[[Mapping[str, Any], Found, Crash], Iterable[str]]
TELLS: Mapping[str, Say] = {
    "order place": _told_order,
    "order edit": _told_order,
    "order cancel": _told_gone,
    "order cancel-all": _told_gone,
    "order resolve": _told_resolved,
    "order close": _told_exits,
    "positions close": _told_exits,
    "positions flatten": _told_exits,
    "killswitch engage": _told_switch,
    "reconcile": _told_breaks,
}


def _flat(data: Mapping[str, Any], then: Found) -> Iterable[str]:
    if any(Decimal(each) for each in then.book["positions"].values()):
        yield "a position is held"


def _nothing_rests(data: Mapping[str, Any], then: Found) -> Iterable[str]:
    yield from (f"{o['order_id']} is {o['status']}" for o in then.book["orders"] if o["status"] not in FINAL)


def _open_again(data: Mapping[str, Any], then: Found) -> Iterable[str]:
    if then.latched:
        yield "the latch stands"
    if _halted(then.rows) is True:
        yield "the journal says engaged"


def _run_is_over(data: Mapping[str, Any], then: Found) -> Iterable[str]:
    if not any(row.kind == "run_stopped" for row in then.rows):
        yield "no row says that the run ended"
    leases = [row.told["act"] for row in then.rows if row.kind == "lease"]
    if leases[-1:] != ["released"]:
        yield "its lease was not given back"
    yield from _nothing_rests(data, then)


DONE: Mapping[str, Callable[[Mapping[str, Any], Found], Iterable[str]]] = {
    "positions flatten": _flat,
    "order cancel-all": _nothing_rests,
    "killswitch release": _open_again,
    "run": _run_is_over,
}


# --- the whole case -----------------------------------------------------------------------------------------------


def _announced(crash: Crash) -> list[str]:
    """The harness is not blind: no write reached the exchange that was not seen leaving, and each bears an intent's name."""
    seen = {line["ident"] for heard, _ in crash.heard for line in heard.told if line.get("left") in ("create", "close")}
    named = {row.intent_id for row in crash.after.rows if row.kind == "intent"}
    lines = []
    for request in crash.after.book["requests"]:
        if request["operation"] in ("create_order", "close_position"):
            name = request["client_order_id"]
            if name not in seen:
                lines.append(f"HARNESS the exchange received {name}, which nobody saw leaving")
            if name not in named:
                lines.append(f"I2 the exchange received {name}, which has no intent")
    return lines


def _only_appended(crash: Crash) -> list[str]:
    """What stood at the kill stands unchanged at the end, as its beginning."""
    lines = []
    for earlier, later in ((crash.before, crash.killed), (crash.killed, crash.after)):
        if later.rows[: len(earlier.rows)] != earlier.rows:
            lines.append("J1 a row that stood before is gone or changed")
    if crash.killed.latched and not crash.after.latched and not _was_released(crash):
        lines.append("R2 the latch was lost")
    return lines


def _was_released(crash: Crash) -> bool:
    return any(heard.what == "killswitch release" for heard, _ in crash.heard)


def _doubts(rows: Iterable[Row]) -> list[str]:
    """Intents and edits that left doubt behind."""
    rows = tuple(rows)
    last = {row.intent_id: row.told["outcome"]["is"] for row in rows if row.kind == "outcome"}
    decided = [row for row in rows if row.kind in ("intent", "edit") and row.told["denied"] is None]
    return [str(row.intent_id) for row in decided if last.get(row.intent_id, "Unknown") == "Unknown"]


def _as_schedule(crash: Crash) -> Case:
    healed = moment(crash.after.book["at"])
    return Case(
        venue=crash.venue,
        folder=crash.after.folder,
        limits={},
        unit=crash.unit,
        alias={},
        books=[_book(each.book, crash.venue) for each in (crash.before, crash.killed, crash.after)],
        sends=[
            Left(
                at=moment(line["at"]), process=heard.what, op=line["left"], ident=line["ident"], body=line["body"],
                committed=line["committed"], latched=line["latched"], seq=line["seq"],
            )
            for heard, _ in crash.heard
            for line in heard.told
            if "left" in line
        ],
        healed_at=healed,
        certain_at=None if _doubts(crash.after.rows) else healed,
        breaks=list(crash.breaks),
        rows_between=crash.rows_between,
    )  # fmt: skip


def _book(told: Mapping[str, Any], venue: str) -> Book:
    cash = Decimal(told["cbi_usd"]) + Decimal(told["cfm_usd"]) if venue == "us" else Decimal(told["usdc"])
    return Book(
        at=moment(told["at"]),
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
            for each in told["orders"]
        ),
        positions={name: Decimal(each) for name, each in told["positions"].items()},
        cash=cash,
        disturbed=True,
    )
