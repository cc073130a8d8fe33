"""Explains the cash of a venue that keeps rows of its books, to the last decimal. Pure.

What each trade earned and cost is taken from our own fills, funding and transfers from the venue's rows, since nobody else
knows them. A position's result becomes cash at the settlements, so between them it is kept as (coin, value): the session
has earned `value + coin x price`. Facts: transaction log of the Global Derivatives reference section 11, 2026-11-22.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final

from perpsctl.domain.cash import EXACT, CashRow
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import Fill
from perpsctl.domain.reports import Break, BreakClass
from perpsctl.domain.text import shown
from perpsctl.engine.breaks import OPERATOR, OURS, VENUE, a_break, fill_cash

ACCOUNT: Final = "account"
SETTLEMENT: Final = "settlement"
ZERO: Final = Decimal(0)
ON_TIME: Final = timedelta(minutes=10)  # a settlement takes some seconds around its time (reference section 11)


class BooksCutOff(Exception):
    """The rows that were read do not show where the positions began."""


@dataclass(slots=True, kw_only=True)
class Running:
    """One product in one scope since its last settlement; `accrued` is the funding its rows told of."""

    coin: Decimal = ZERO
    value: Decimal = ZERO
    accrued: Decimal = ZERO
    since: datetime | None = None  # when this session of it began, where it was seen to begin
    turns: list[tuple[datetime, Decimal]] = field(default_factory=list)  # (from when, coin held), of that session


@dataclass(slots=True, kw_only=True)
class RowsState:
    """Where the books stand after the last row that was counted."""

    at: datetime
    balance: Decimal
    seq: dict[str, int]
    running: dict[tuple[str, ProductId], Running]

    @property
    def result(self) -> Decimal:
        """The constant part of what is not settled yet, without the positions' price."""
        return total(each.value for each in self.running.values())

    def coin(self) -> dict[ProductId, Decimal]:
        """Signed coin by product, all scopes together."""
        held: dict[ProductId, Decimal] = {}
        for (_, product_id), each in self.running.items():
            held[product_id] = EXACT.add(held.get(product_id, ZERO), each.coin)
        return held


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidFunding:
    """One payment with the positions it was paid for; `turns` tell from when which coin was held."""

    product_id: ProductId
    begin: datetime
    end: datetime
    turns: tuple[tuple[datetime, Decimal], ...]
    amount: Decimal
    price: Decimal | None


@dataclass(slots=True, kw_only=True)
class Explained:
    """What happened since a state, as parts of the balance's change, and what does not agree."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    fills: int = 0
    breaks: list[Break] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    payments: list[PaidFunding] = field(default_factory=list)


def anchored(rows: Sequence[CashRow], balance: Decimal, at: datetime) -> RowsState:
    """The state after the last of these rows, by the venue's own word, from the last settlement on.

    BooksCutOff when the rows begin within a session: then more of them are needed.
    """
    state = RowsState(at=rows[-1].at if rows else at, balance=balance, seq={}, running={})
    for scope, of_scope in _by_scope(rows):
        settled = _last_settlement(of_scope)
        for row in of_scope[settled.start : settled.stop]:
            if row.product_id is not None and row.price is not None and row.position is not None:
                state.running[scope, row.product_id] = Running(
                    coin=row.position, value=EXACT.multiply(-row.position, row.price)
                )
        for row in of_scope[settled.stop :]:
            _take_row(state, row)
        state.seq[scope] = of_scope[-1].seq
    return state


def explain(
    state: RowsState, rows: Sequence[CashRow], fills: Mapping[str, Fill], cash_times: Sequence[time]
) -> Explained:
    """Everything after `state`, which moves on to the last row. `fills` are ours, by the venue's trade id."""
    told = Explained()
    opened = state.at
    for each in state.running.values():
        if each.coin == 0 and each.accrued == 0:  # flat: what comes is held from a moment we know
            each.since, each.turns = opened, [(opened, ZERO)]
    for scope, of_scope in _by_scope(rows):
        before = state.seq.get(scope)
        fresh = [row for row in of_scope if before is None or row.seq > before]
        if not fresh:
            continue
        if before is not None and fresh[0].seq != before + 1:
            raise BooksCutOff(f"row {before + 1} of {scope} is missing")
        for row in fresh:
            if row.product_id is not None and (scope, row.product_id) not in state.running:
                state.running[scope, row.product_id] = Running(since=opened, turns=[(opened, ZERO)])
        for trade_id, group in groupby(fresh, key=lambda row: row.trade_id):
            if trade_id is None:
                for row in group:
                    _row(state, told, row, cash_times)
            else:
                _trade(state, told, trade_id, tuple(group), fills)
        state.seq[scope] = fresh[-1].seq
        state.at = max(state.at, fresh[-1].at)
    return told


def _trade(
    state: RowsState, told: Explained, trade_id: str, rows: tuple[CashRow, ...], fills: Mapping[str, Fill]
) -> None:
    """One trade, which may stand in two rows where it closes and opens."""
    first = rows[0]
    running = None if first.product_id is None else _running(state, first.scope, first.product_id)
    for row in rows:
        if running is not None and row.accrued is not None:
            running.accrued = EXACT.add(running.accrued, row.accrued)
    fill = fills.get(trade_id)
    if fill is None:
        text = f"{first.kind} of {shown(str(first.product_id))} in the venue's books"
        told.breaks.append(
            a_break("cash", BreakClass.MISSED, f"trade {trade_id}", "no such fill", text, OURS, first.at)
        )
        return
    told.fills += 1
    coin, gross, fee = fill_cash(fill)
    if running is not None:
        running.coin, running.value = EXACT.add(running.coin, coin), EXACT.add(running.value, gross)
        running.turns.append((first.at, running.coin))
    if fee is not None:
        told.fees = EXACT.subtract(told.fees, fee)
    charged = total(row.fee for row in rows if row.fee is not None)
    if fee is None or fee != charged:
        ours = "not told" if fee is None else plain(fee)
        told.breaks.append(
            a_break(
                "fee", BreakClass.FEE, f"trade {trade_id}", ours, plain(charged), OPERATOR, first.at,
                "the fill's fee and what the books charged",
            )
        )  # fmt: skip


def _row(state: RowsState, told: Explained, row: CashRow, cash_times: Sequence[time]) -> None:
    if row.kind == SETTLEMENT and row.product_id is not None:
        _settlement(state, told, row, cash_times)
    elif row.moved:
        told.transfers = EXACT.add(told.transfers, row.change)
    elif row.change != 0:
        subject, text = f"{row.scope} row {row.seq}", f"{shown(row.kind)} {plain(row.change)}"
        told.breaks.append(
            a_break(
                "cash", BreakClass.UNKNOWN, subject, "not explained", text, OPERATOR, row.at,
                "a row of a kind this version knows nothing of",
            )
        )  # fmt: skip


def _settlement(state: RowsState, told: Explained, row: CashRow, cash_times: Sequence[time]) -> None:
    """The session's result and funding become cash; a new session begins at the settlement price."""
    assert row.product_id is not None
    running = _running(state, row.scope, row.product_id)
    if row.price is None and running.coin != 0:
        told.breaks.append(
            a_break(
                "cash", BreakClass.UNKNOWN, f"{row.scope} row {row.seq}", f"{plain(running.coin)} held", "no price",
                OPERATOR, row.at, "a settlement without a price",
            )
        )  # fmt: skip
        return
    price = ZERO if row.price is None else row.price
    told.realised = EXACT.add(told.realised, EXACT.add(running.value, EXACT.multiply(running.coin, price)))
    accrued = EXACT.add(running.accrued, row.accrued or ZERO)
    paid = accrued if row.funding is None else row.funding
    told.funding = EXACT.add(told.funding, paid)
    subject = f"{row.product_id} {row.at.isoformat(timespec='seconds')}"
    if paid != accrued:
        told.breaks.append(
            a_break(
                "funding", BreakClass.FUNDING, subject, plain(accrued), plain(paid), VENUE, row.at,
                "what accrued by the venue's rows, and what it settled",
            )
        )  # fmt: skip
    if paid != 0 and row.scope == ACCOUNT and not on_time(row.at, cash_times):
        times = " ".join(f"{each:%H:%M}Z" for each in cash_times)
        told.breaks.append(
            a_break(
                "funding", BreakClass.FUNDING, f"{subject} time", f"due at {times}", f"{row.at:%H:%M}Z", VENUE, row.at,
                "funding became cash at another time than it is due",
            )
        )  # fmt: skip
    if running.since is not None:
        told.payments.append(
            PaidFunding(
                product_id=row.product_id, begin=running.since, end=row.at, turns=tuple(running.turns), amount=paid,
                price=row.price,
            )
        )  # fmt: skip
    state.running[row.scope, row.product_id] = Running(
        coin=running.coin,
        value=EXACT.multiply(-running.coin, price),
        since=row.at,
        turns=[(row.at, running.coin)],
    )


def on_time(at: datetime, times: Sequence[time]) -> bool:
    """True near one of these times of day; without any nothing can be called late."""
    if not times:
        return True
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    due = (midnight + timedelta(days=day, hours=each.hour, minutes=each.minute) for each in times for day in (-1, 0, 1))
    return any(abs(at - each) <= ON_TIME for each in due)


def _running(state: RowsState, scope: str, product_id: ProductId) -> Running:
    return state.running.setdefault((scope, product_id), Running())


def _take_row(state: RowsState, row: CashRow) -> None:
    """A row before our ledger opened, taken as the venue tells it."""
    if row.product_id is None:
        return
    if row.trade_id is not None and row.sign is not None and row.coin is not None and row.price is not None:
        known = (row.scope, row.product_id) in state.running
        running = _running(state, row.scope, row.product_id)
        coin = row.coin * row.sign
        if not known and row.position is not None and row.position != coin:
            raise BooksCutOff(f"{row.product_id} was held before the first row")
        running.coin = EXACT.add(running.coin, coin)
        running.value = EXACT.subtract(running.value, EXACT.multiply(coin, row.price))
    if row.accrued is not None:
        running = _running(state, row.scope, row.product_id)
        running.accrued = EXACT.add(running.accrued, row.accrued)


def _by_scope(rows: Iterable[CashRow]) -> Iterator[tuple[str, list[CashRow]]]:
    """Each scope's rows by number; the account's first."""
    ordered = sorted(rows, key=lambda row: (row.scope != ACCOUNT, row.scope, row.seq))
    for scope, group in groupby(ordered, key=lambda row: row.scope):
        yield scope, list(group)


def _last_settlement(rows: Sequence[CashRow]) -> slice:
    """The rows of the last settlement, which settles every product at one moment; an empty slice at the start without one."""
    last = max((at for at, row in enumerate(rows) if row.kind == SETTLEMENT), default=-1)
    first = last
    while first > 0 and rows[first - 1].kind == SETTLEMENT and rows[first - 1].at == rows[last].at:
        first -= 1
    return slice(max(first, 0), last + 1)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum."""
    found = ZERO
    for each in amounts:
        found = EXACT.add(found, each)
    return found
