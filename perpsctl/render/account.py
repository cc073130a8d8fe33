"""Positions, fills and profit and loss."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, Position, PositionsRead
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import Fill
from perpsctl.domain.reports import PlaceReport
from perpsctl.render.answer import Answer, Block, Cell, Facts, Lines, Table, bad, good, warn
from perpsctl.render.orders import placed
from perpsctl.render.values import clock_time, money, number, word


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
    facts = Facts(title="", rows=(("read", clock_time(read.as_of)),))
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


def flattened(reports: Sequence[PlaceReport], left: PositionsRead | None, problems: Sequence[str]) -> Answer:
    """What a close or flatten did, and what is left by a read; done only when that read shows nothing."""
    steps = Table(
        title="Steps",
        columns=("intent", "outcome"),
        rows=tuple((report.intent_id, _word_of(report)) for report in reports),
        empty="no order was needed",
    )
    if left is None:
        state: Cell = bad("positions could not be read back")
    elif left.positions:
        state = bad("left: " + ", ".join(f"{p.product_id} {number(p.coin)}" for p in left.positions))
    else:
        state = good("flat, read back")
    blocks: list[Block] = [steps, Facts(title="", rows=(("after", state),))]
    if problems:
        blocks.append(Lines(lines=tuple(warn(word(problem)) for problem in problems)))
    done = left is not None and not left.positions and not problems
    return Answer(
        data={
            "steps": [placed(report).data for report in reports],
            "positions": None if left is None else [position_data(p) for p in left.positions],
            "problems": tuple(problems),
        },
        blocks=blocks,
        exit_code=ExitCode.DONE if done else ExitCode.PARTLY_DONE,
    )


def _word_of(report: PlaceReport) -> str:
    return str(placed(report).data["outcome"])


def fills(found: Sequence[Fill], *, source: str) -> Answer:
    """Fills, newest first."""
    table = Table(
        title=f"Fills ({source})",
        columns=("time", "product", "side", "size", "price", "fee", "as"),
        rows=tuple(
            (
                clock_time(fill.time),
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
        ("as of", clock_time(account.as_of)),
    )
    ours = Facts(title="By the journal's fills", rows=tuple((name, money(value)) for name, value in booked.items()))
    return Answer(
        data={"account": account, "positions": [position_data(p) for p in read.positions], "booked": booked},
        blocks=[Facts(title="Account", rows=rows), ours],
    )


def _level(level: str) -> Cell:
    return good(level) if level == "base" else bad(level)
