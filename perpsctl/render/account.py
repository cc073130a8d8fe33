"""Positions, fills and profit and loss."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, Position, PositionsRead
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import Fill
from perpsctl.domain.reports import ExitReport, FlattenReport
from perpsctl.render.answer import Ago, Answer, Block, Cell, Facts, Lines, Table, bad, good, warn
from perpsctl.render.orders import denial_table, placed
from perpsctl.render.values import money, number, word


def positions(read: PositionsRead, booked: Mapping[ProductId, Decimal] | None) -> Answer:
    """The venue's positions beside what the journal's fills add up to; exit 1 when they differ."""
    rows, data, differs = [], [], False
    for position in read.positions:
        ours = None if booked is None else booked.get(position.product_id, Decimal(0))
        agree = ours is None or ours == position.coin
        differs = differs or not agree
        data.append(position_data(position) | {"booked_coin": ours, "agrees": agree})
        rows.append(
            (
                position.product_id,
                "long" if position.coin > 0 else "short",
                number(position.coin),
                number(position.average_entry, 2),
                number(position.current_price, 2),
                money(position.unrealised),
                good("same") if agree else bad(f"journal {number(ours)}"),
            )
        )
    listed = {p.product_id for p in read.positions}
    missing = {} if booked is None else {k: v for k, v in booked.items() if v != 0 and k not in listed}
    for product_id, coin in missing.items():
        differs = True
        rows.append((product_id, "flat", "0", "-", "-", "-", bad(f"journal {number(coin)}")))
    table = Table(
        title="Positions",
        columns=("product", "side", "coin", "entry", "price", "unrealised", "journal"),
        rows=tuple(rows),
        right=frozenset({"coin", "entry", "price", "unrealised"}),
        empty="flat",
    )
    warnings = ("positions and journal differ: run `perpsctl reconcile`",) if differs else ()
    if booked is None:
        warnings = ("the journal could not be read: positions are the venue's alone",)
    facts = Facts(title="", rows=(("read", Ago(read.as_of)),))
    return Answer(
        data={"positions": data, "as_of": read.as_of, "unlisted_booked": missing},
        blocks=[table, facts],
        warnings=warnings,
        rows_key="positions",
    )


def position_data(position: Position) -> dict[str, object]:
    """One position as data; coin is signed."""
    return {
        "product_id": position.product_id,
        "side": "long" if position.coin > 0 else "short",
        "coin": position.coin,
        "contracts": position.contracts,
        "average_entry": position.average_entry,
        "current_price": position.current_price,
        "unrealised": position.unrealised,
        "daily_realised": position.daily_realised,
    }


def flattened(report: FlattenReport) -> Answer:
    """What closing did, product by product; exit 0 only when a read proves it, 10 otherwise."""
    table = Table(
        title="Closed",
        columns=("product", "before", "after", "orders", "result"),
        rows=tuple(_exit_row(each) for each in report.exits),
        right=frozenset({"before", "after", "orders"}),
        empty="nothing to close",
    )
    problems = [f"could not be read: {what}" for what in report.unread]
    problems += [f"{each.product_id}: {problem}" for each in report.exits for problem in each.problems]
    blocks: list[Block] = [table]
    blocks.extend(denial_table(each.denied) for each in report.exits if each.denied is not None)
    if problems:
        blocks.append(Lines(lines=tuple(warn(word(problem)) for problem in problems)))
    data = {
        "flat": report.flat,
        "exits": [_exit_data(each) for each in report.exits],
        "unread": report.unread,
    }
    code = ExitCode.DONE if report.flat else ExitCode.PARTLY_DONE
    return Answer(data=data, blocks=blocks, exit_code=code, rows_key="exits", warnings=exit_notes(report))


def exit_notes(report: FlattenReport) -> tuple[str, ...]:
    """What was noted on the orders that closed, each once: a price drawn in by the venue's limits, a state read late."""
    noted = (f"{each.product_id}: {note}" for each in report.exits for order in each.orders for note in order.notes)
    return tuple(dict.fromkeys(noted))


def _exit_row(each: ExitReport) -> tuple[Cell, ...]:
    if each.done:
        result: Cell = good("done, read back")
    elif each.pending is not None:
        result = warn(f"pending: {word(each.pending.reason)}")
    else:
        result = bad("NOT PROVEN")
    return (each.product_id, number(each.before), number(each.after), str(len(each.orders)), result)


def _exit_data(each: ExitReport) -> dict[str, object]:
    return {
        "product_id": each.product_id,
        "before": each.before,
        "after": each.after,
        "wanted": each.wanted,
        "done": each.done,
        "orders": [placed(report).data for report in each.orders],
        "pending": each.pending,
        "denials": () if each.denied is None else each.denied.denials,
        "problems": each.problems,
    }


def fills(found: Sequence[Fill], *, source: str) -> Answer:
    """Fills, newest first."""
    table = Table(
        title=f"Fills ({source})",
        columns=("when", "product", "side", "size", "price", "fee", "as"),
        rows=tuple(
            (
                Ago(fill.time),
                fill.product_id,
                fill.side.value,
                number(fill.size),
                number(fill.price),
                number(fill.fee),
                fill.liquidity.value if fill.kind.value == "fill" else warn(fill.kind.value),
            )
            for fill in found
        ),
        right=frozenset({"size", "price", "fee"}),
    )
    return Answer(data={"fills": list(found), "source": source}, blocks=[table], rows_key="fills")


def pnl(account: AccountView, read: PositionsRead, booked: Mapping[str, Decimal | None]) -> Answer:
    """Money now, by the venue's word, with the journal's own count beside it."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("equity", money(account.equity)),
        ("balance", money(account.balance)),
        ("unrealised", money(account.unrealised)),
        ("realised today", money(account.daily_realised)),
        ("funding", money(account.funding_pnl)),
        ("buying power", money(account.buying_power)),
        ("margin used / free", f"{money(account.initial_margin)} / {money(account.available_margin)}"),
        ("margin level", _level(account.margin_level.value)),
        ("read", Ago(account.as_of)),
    )
    ours = Facts(title="By the journal's fills", rows=tuple((name, money(value)) for name, value in booked.items()))
    return Answer(
        data={"account": account, "positions": [position_data(p) for p in read.positions], "booked": booked},
        blocks=[Facts(title="Account", rows=rows), ours],
    )


def _level(level: str) -> Cell:
    return good(level) if level == "base" else bad(level)
