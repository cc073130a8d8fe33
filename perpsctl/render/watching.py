"""One look of `watch` in each form: blocks for a terminal, one line where there is none, data for machines.

Ages are shown everywhere: an age is the first thing to look at when a figure seems wrong.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.outlook import LimitUse, Outlook
from perpsctl.domain.reports import HaltState
from perpsctl.domain.streams import ChannelHealth, ChannelState
from perpsctl.render.account import position_data
from perpsctl.render.answer import Answer, Block, Cell, Facts, Table, Tone, Word, bad, good, quiet, warn
from perpsctl.render.values import NOTHING, clock_time, money, number, share, word

UNREAD = "could not be read"
NEARLY = Decimal("0.8")  # of a limit: worth a look
NAMES = {
    "position_max_share": "position",
    "gross_max_share": "gross",
    "daily_loss_max_share": "daily loss",
    "orders_per_minute_max": "orders a minute",
    "orders_per_day_max": "orders a day",
    "open_orders_max": "open orders",
}
COUNTED = frozenset({"orders_per_minute_max", "orders_per_day_max", "open_orders_max"})
SHORT = 40


def answer(look: Outlook) -> Answer:
    """The whole look."""
    return Answer(data=data(look), blocks=blocks(look), warnings=look.problems)


def data(look: Outlook) -> dict[str, object]:
    """The look for a machine."""
    return {
        "at": look.at,
        "product_id": look.product_id,
        "takes_orders": look.takes_orders,
        "switch": {
            "state": look.switch.state,
            "latch": look.switch.latch,
            "journal": look.switch.journal,
            "reason": look.switch.reason,
            "by": look.switch.by,
            "since": look.switch.since,
            "loss_breach": look.switch.loss_breach,
        },
        "states": look.states,
        "run": {"holder": look.run_holder, "heartbeat": look.heartbeat},
        "orders": {
            "open": look.open_orders,
            "working": look.working,
            "in_doubt": look.in_doubt,
            "exits_pending": look.exits_pending,
        },
        "account": look.account,
        "day_change": look.day_change,
        "positions": None if look.positions is None else [position_data(each) for each in look.positions],
        "marks": look.marks,
        "limits": look.limits,
        "book": look.book,
        "streams": {
            "channels": [_channel(each) for each in look.channels],
            "uptime": None if look.figures is None else look.figures.uptime,
            "gaps": None if look.figures is None else look.figures.gaps,
            "reconnects": None if look.figures is None else look.figures.reconnects,
        },
        "events": look.events,
        "problems": look.problems,
    }


def _channel(each: ChannelHealth) -> dict[str, object]:
    return {
        "part": each.part,
        "product_id": each.product_id,
        "state": each.state,
        "age_s": each.age,
        "bound_s": each.bound,
        "since": each.since,
        "reason": each.reason,
    }


# --- for a person -------------------------------------------------------------------------------------------


def blocks(look: Outlook, *, events: int = 5) -> list[Block]:
    """The look on a terminal, with the newest `events`; without any it is as short as it gets."""
    rows: list[tuple[str, Cell]] = [
        ("switch", _switch(look)),
        ("trading", _trading(look)),
        ("run", _run(look)),
        ("equity", _equity(look)),
        ("orders", _orders(look)),
        *((NAMES.get(each.limit, each.limit), _use(each)) for each in look.limits),
        ("book", _book(look)),
        ("streams", _streams(look)),
        *(("problem", bad(word(problem))) for problem in look.problems),
    ]
    title = f"{look.product_id or 'no product yet'}  {clock_time(look.at)}"
    shown: list[Block] = [Facts(title=title, rows=tuple(rows)), _positions(look)]
    if events:
        shown.append(_events(look, events))
    return shown


def _switch(look: Outlook) -> Cell:
    switch = look.switch
    if switch.state is HaltState.RELEASED:
        return good("released")
    why = f": {word(switch.reason)}" if switch.reason else ""
    unreadable = [told for told in (switch.latch, switch.journal) if told not in ("engaged", "released")]
    return bad(f"ENGAGED{why}{f' ({word(unreadable[0])})' if unreadable else ''}")


def _trading(look: Outlook) -> Cell:
    if look.states is None:
        return bad(UNREAD)
    state = TradingState.ACTIVE if look.product_id is None else look.states.get(look.product_id, TradingState.ACTIVE)
    taking = {True: "the venue takes orders", False: "the venue takes NO orders", None: "the venue has not said"}
    text = f"{state.value}, {taking[look.takes_orders]}"
    others = [f"{product} {each.value}" for product, each in look.states.items() if product != look.product_id]
    text += f"; {', '.join(others)}" if others else ""
    return good(text) if state is TradingState.ACTIVE and look.takes_orders else warn(text)


def _run(look: Outlook) -> Cell:
    if look.run_holder is None:
        return quiet("none holds the lease")
    beat = "no heartbeat yet" if look.heartbeat is None else f"heartbeat {_age(look.at - look.heartbeat)} ago"
    return f"{word(look.run_holder)}, {beat}"


def _equity(look: Outlook) -> Cell:
    account = look.account
    if account is None:
        return bad(UNREAD)
    today = "unknown" if look.day_change is None else _signed(look.day_change)
    return (
        f"{money(account.equity)}, unrealised {_signed(account.unrealised)}, today {today},"
        f" read {_age(look.at - account.as_of)} ago"
    )


def _orders(look: Outlook) -> Cell:
    counts = (
        ("open", look.open_orders),
        ("ours working", look.working),
        ("in doubt", look.in_doubt),
        ("exits pending", look.exits_pending),
    )
    text = ", ".join(f"{'?' if count is None else count} {name}" for name, count in counts)
    return warn(text) if look.in_doubt or look.exits_pending or None in dict(counts).values() else text


def _use(use: LimitUse) -> Cell:
    counted = use.limit in COUNTED
    bound = number(use.bound) if counted else share(use.bound)
    if use.used is None:
        return warn(f"unknown, of {bound}")
    subject = f"  ({word(use.subject)})" if use.subject else ""
    text = f"{number(use.used) if counted else share(use.used)} of {bound}{subject}"
    if use.used > use.bound:
        return bad(f"{text} OVER")
    return warn(text) if use.bound and use.used >= NEARLY * use.bound else text


def _book(look: Outlook) -> Cell:
    book = look.book
    if book is None:
        return bad(UNREAD)
    text = (
        f"{number(book.bid)} x {number(book.bid_size)} / {number(book.ask)} x {number(book.ask_size)},"
        f" {'streamed' if book.source.value == 'stream' else 'read'} {_age(look.at - book.as_of)} ago"
    )
    mark = None if look.product_id is None else look.marks.get(look.product_id)
    text += "" if mark is None else f", mark {number(mark.price)}"
    return text if book.sound else bad(f"{text}: crossed or one-sided")


def _streams(look: Outlook) -> Cell:
    if not look.channels:
        return quiet("none: everything is read")
    parts = [_stream(each, look.at) for each in look.channels]
    live = all(each.state is ChannelState.LIVE for each in look.channels)
    text = ", ".join(parts)
    return Word(text, Tone.GOOD if live else Tone.WARN)


def _stream(each: ChannelHealth, now: datetime) -> str:
    """Live: how old its last message is. Else how long it has not been."""
    if each.state is not ChannelState.LIVE:
        return f"{each.part.value} {each.state.value.upper()} for {_age(now - each.since)}"
    return f"{each.part.value} live{'' if each.age is None else f' {_age(each.age)}'}"


def _positions(look: Outlook) -> Table:
    empty = UNREAD if look.positions is None else "flat"
    rows = []
    for each in look.positions or ():
        mark = look.marks.get(each.product_id)
        rows.append(
            (
                each.product_id,
                number(each.coin),
                number(each.average_entry),
                NOTHING if mark is None else number(mark.price),
                NOTHING if each.unrealised is None else _signed(each.unrealised),
            )
        )
    columns = ("position", "coin", "entry", "mark", "unrealised")
    return Table(title="", columns=columns, rows=tuple(rows), right=frozenset(columns[1:]), empty=f"positions: {empty}")


def _events(look: Outlook, most: int) -> Table:
    rows = tuple(
        (f"{each.at:%H:%M:%SZ}", each.kind.replace("_", " "), word(each.words)[:SHORT])
        for each in (look.events or ())[:most]
    )
    empty = f"events: {UNREAD if look.events is None else 'none'}"
    return Table(title="", columns=("when", "event", "what"), rows=rows, empty=empty)


# --- where nobody watches a terminal ------------------------------------------------------------------------


def line(look: Outlook) -> str:
    """The look in one line: what changes, and what is wrong."""
    book = look.book
    account = look.account
    loss = next((each for each in look.limits if each.limit == "daily_loss_max_share"), None)
    held = _held(look)
    parts: Sequence[str] = (
        f"{look.at:%H:%M:%SZ}",
        "switch released" if look.switch.state is HaltState.RELEASED else "switch ENGAGED",
        f"equity {UNREAD if account is None else money(account.equity)}",
        f"loss {'unknown' if loss is None or loss.used is None else share(loss.used)}",
        f"positions {held}",
        f"orders {'?' if look.open_orders is None else look.open_orders}",
        f"in doubt {'?' if look.in_doubt is None else look.in_doubt}",
        "book " + (UNREAD if book is None else f"{number(book.bid)}/{number(book.ask)} {_age(look.at - book.as_of)}"),
        *_not_live(look.channels),
        *(f"problem: {word(problem)}" for problem in look.problems),
    )
    return "  ".join(parts)


def _held(look: Outlook) -> str:
    if look.positions is None:
        return UNREAD
    return " ".join(f"{each.product_id} {number(each.coin)}" for each in look.positions if each.coin) or "flat"


def _not_live(channels: Sequence[ChannelHealth]) -> tuple[str, ...]:
    if not channels:
        return ("streams none",)
    out = [f"{each.part.value} {each.state.value}" for each in channels if each.state is not ChannelState.LIVE]
    return (f"streams {', '.join(out)}",) if out else ("streams live",)


def _age(gone: timedelta) -> str:
    """An age to the tenth of a second below ten, in whole units above."""
    if gone < timedelta(0):
        return f"-{_age(-gone)}"
    if gone < timedelta(seconds=10):
        tenths = gone // timedelta(milliseconds=100)
        return f"{tenths // 10}.{tenths % 10} s"
    for unit, length in (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if gone >= 2 * length:
            return f"{gone // length} {unit}"
    return f"{gone // timedelta(seconds=1)} s"


def _signed(value: Decimal) -> str:
    text = money(value)
    return f"+{text}" if value > 0 and text != money(Decimal(0)) else text
