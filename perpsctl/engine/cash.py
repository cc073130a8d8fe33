"""The cash ledger of a profile: from where it counts is durable, and each look explains the balance from there (design 9).

It only reads the venue. It writes one row when the ledger opens, when an hour of funding was seen that nobody can ask for
later, and when a proven ledger is carried on to a new day; a second look without news writes nothing (I6). A balance that
cannot be explained stays a difference: nothing is rounded away and nothing is called a transfer without evidence.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import AccountView
from perpsctl.domain.cash import CashLedger, CashRow, LedgerBasis
from perpsctl.domain.errors import UsageError, VenueSpokeStrangely
from perpsctl.domain.ids import FillId, ProductId
from perpsctl.domain.numbers import exact, plain
from perpsctl.domain.orders import Fill, VenueOrder
from perpsctl.domain.ports import Clock, EventKind, Journal, Venue
from perpsctl.domain.products import Product
from perpsctl.domain.reports import Break, BreakClass
from perpsctl.domain.text import shown
from perpsctl.engine import cash_balance, cash_rows, expected_funding
from perpsctl.engine.breaks import OPERATOR, VENUE, a_break, order_fee_breaks
from perpsctl.engine.reading import Reads

LOOKS: Final = 3  # what moves between two reads explains a difference; the same three times is real
PAUSE: Final = timedelta(milliseconds=500)
BACK: Final = timedelta(hours=25)  # a settlement comes daily
FURTHER_BACK: Final = timedelta(days=8)  # where positions began, when the last settlement does not tell
CARRIED: Final = timedelta(hours=24)  # a ledger that was proven counts on from a new opening
FILLS_KEPT: Final = timedelta(minutes=10)  # fills around the opening are told apart by id, not by time
OVERLAP: Final = timedelta(minutes=10)
WIRE_LENGTH: Final = 48  # what `numbers.exact` takes
ZERO: Final = Decimal(0)

CashTimes = Callable[[], Sequence[time]]
Look = tuple[CashLedger, tuple[Break, ...]]


class CashBooks:
    """The ledger of one account, on whichever of the two kinds of books its venue keeps."""

    def __init__(self, *, venue: Venue, journal: Journal, clock: Clock, cash_times: CashTimes) -> None:
        self._venue = venue
        self._journal = journal
        self._clock = clock
        self._cash_times = cash_times

    def look(self, reads: Reads, orders: Sequence[VenueOrder]) -> tuple[CashLedger | None, tuple[Break, ...]]:
        """The ledger and what it cannot explain; None with a problem noted when it could not be read (L5).

        Raises JournalUnavailable.
        """
        found = reads.attempt("ledger", self._look)
        if found is None:
            return None, ()
        ledger, breaks = found
        since = self._clock.now() - CARRIED
        return ledger, (*breaks, *order_fee_breaks(orders, self._journal.fills(since=since)))

    def accept(self, *, by: str, reason: str) -> Decimal:
        """A named decision ends what the ledger cannot explain; it counts on from the balance as it is. What it was.

        UsageError without a name and a reason, or when nothing differs; venue errors when it cannot be read.
        """
        if not by.strip() or not reason.strip():
            raise UsageError("a decision needs a name and a reason", fix="give --by and a reason")
        ledger, breaks = self._look()
        if ledger.difference == 0 and not breaks:
            raise UsageError("the ledger explains the balance: there is nothing to accept")
        payload = {
            "cash": plain(ledger.difference),
            "currency": ledger.currency,
            "accepted": [f"{each.kind} {each.subject}: {each.ours} / {each.theirs}" for each in breaks],
            "by": shown(by),
            "reason": shown(reason),
        }
        self._journal.record_event(EventKind.OPERATOR_DECISION, payload)  # step: accept_cash
        self._open_again()
        return ledger.difference

    def _look(self) -> Look:
        held = self._held()
        rows = self._venue.cash_rows(self._rows_from(held))
        if rows is None:
            return self._by_balance(held)
        return self._by_rows(held, rows)

    def _open_again(self) -> None:
        rows = self._venue.cash_rows(self._clock.now() - BACK)
        if rows is None:
            self._write(_opening_payload(self._balance_opening()))
        else:
            self._write(_rows_payload(self._anchored(rows, self._clock.now())))

    # --- a venue that keeps rows -----------------------------------------------------------------------------

    def _rows_from(self, held: Mapping[str, object] | None) -> datetime:
        if held is None or "seq" not in held:
            return self._clock.now() - BACK
        return datetime.fromisoformat(str(held["at"])) - OVERLAP

    def _by_rows(self, held: Mapping[str, object] | None, rows: tuple[CashRow, ...]) -> Look:
        """Read again while a row and the balance do not go together: something happened in between."""
        now = self._clock.now()
        account = self._venue.account()
        for _ in range(LOOKS - 1):
            if _goes_with(rows, account.balance):
                break
            self._clock.sleep(PAUSE)
            again = self._venue.cash_rows(self._rows_from(held))
            rows = rows if again is None else again
            account = self._venue.account()
        if held is None or "seq" not in held:
            self._write(_rows_payload(self._anchored(rows, now)))
            held = self._held()
            assert held is not None
        opening, state = _rows_state(held), _rows_state(held)
        fills = self._journal.fills(since=opening.at - OVERLAP)
        try:
            told = cash_rows.explain(state, rows, {fill.trade_id: fill for fill in fills}, self._cash_times())
        except cash_rows.BooksCutOff as cut:
            raise VenueSpokeStrangely(f"the books are incomplete: {cut}") from None
        state.balance = account.balance
        ledger = CashLedger(
            currency=self._venue.capabilities.currency,
            opened_at=opening.at,
            opening=opening.balance,
            realised=told.realised,
            fees=told.fees,
            funding=told.funding,
            transfers=told.transfers,
            balance=account.balance,
            fills=told.fills,
            basis=LedgerBasis.ROWS,
            unsettled=account.daily_realised,
            notes=tuple(told.notes),
        )
        expected, odd = expected_funding.held_against(told.payments, self._venue, now)
        ledger = replace(ledger, funding_expected=expected)
        breaks = (*told.breaks, *odd)
        if ledger.difference != 0:
            breaks = (*breaks, _difference(ledger, BreakClass.UNKNOWN, now, "no row of the venue's books explains it"))
        if not breaks and now - opening.at >= CARRIED and state.at > opening.at:
            state.at = max(state.at, opening.at)
            self._write(_rows_payload(state))
        return ledger, breaks

    def _anchored(self, rows: tuple[CashRow, ...], now: datetime) -> cash_rows.RowsState:
        """Where the ledger opens: now, with the positions as the venue's rows since its last settlement tell them."""
        positions = self._venue.positions()
        balance = self._venue.account().balance
        held = {each.product_id: each.coin for each in positions.positions}
        for read in (rows, None):
            try:
                state = cash_rows.anchored(self._older_rows(now) if read is None else read, balance, now)
            except cash_rows.BooksCutOff:
                continue
            if _same_coin(state, held):
                return replace(state, at=now)
        raise VenueSpokeStrangely(
            "the ledger cannot open: the venue's books do not show where its positions began",
            fix="run reconcile again after the next settlement",
        )

    def _older_rows(self, now: datetime) -> tuple[CashRow, ...]:
        return self._venue.cash_rows(now - FURTHER_BACK) or ()

    # --- a venue that tells a balance ------------------------------------------------------------------------

    def _by_balance(self, held: Mapping[str, object] | None) -> Look:
        if held is None or "costs" not in held:
            self._write(_opening_payload(self._balance_opening()))
        opening = _balance_opening(self._held() or {})
        account, costs, _ = self._still()
        now = self._clock.now()
        fills = cash_balance.after(opening, self._journal.fills(since=opening.through - FILLS_KEPT), FILLS_KEPT)
        products = self._venue.products()
        fresh = cash_balance.seen_now(opening, fills, products, now)
        if fresh:
            opening = replace(opening, hours=(*opening.hours, *fresh))
            self._write(_opening_payload(opening))
        told = cash_balance.counted(opening, fills, costs, account.balance)
        choices = cash_balance.expectations(opening, fills, products, self._cash_times(), now)
        fitting = next((each for each in choices if each.admits(told.rest)), None)
        chosen = fitting or choices[0]
        ledger = CashLedger(
            currency=self._venue.capabilities.currency,
            opened_at=opening.at,
            opening=opening.balance,
            realised=told.realised,
            fees=told.fees,
            funding=chosen.amount if fitting is None else told.rest,
            transfers=ZERO,
            balance=account.balance,
            fills=told.fills,
            basis=LedgerBasis.BALANCE,
            funding_expected=chosen.amount,
            notes=_notes(chosen),
        )
        if ledger.difference != 0:
            return ledger, (self._unexplained(ledger, opening, fills, products, now),)
        if now - opening.at >= CARRIED:
            kept = tuple(each for each in opening.hours if each.hour > chosen.to)
            new = self._balance_opening(chosen.to)
            if new.balance == account.balance and new.costs == costs:
                self._write(_opening_payload(replace(new, hours=kept)))
        return ledger, ()

    def _unexplained(
        self,
        ledger: CashLedger,
        opening: cash_balance.Opening,
        fills: Sequence[Fill],
        products: Sequence[Product],
        now: datetime,
    ) -> Break:
        """Funding gone wrong where a position was charged and the amount is of its size; else nobody knows."""
        due = cash_balance.charged(opening, fills, products, now)
        paid = ledger.difference + ledger.funding
        if due > 0 and abs(paid) <= due * cash_balance.FUNDING_LIKE:
            text = f"funding: expected {plain(ledger.funding)}, the balance shows {plain(paid)}"
            return _difference(ledger, BreakClass.FUNDING, now, text)
        text = "this venue tells no deposits, withdrawals or sweeps: one of them would look like this"
        return _difference(ledger, BreakClass.UNKNOWN, now, text)

    def _balance_opening(self, funded_to: datetime | None = None) -> cash_balance.Opening:
        """Cash as it stands; funding of hours up to `funded_to` is in it, else of those up to the last cash time."""
        server = self._venue.server_time()
        account, costs, coin = self._still()
        now = self._clock.now()
        paid_to = cash_balance.paid_to(self._cash_times(), now) if funded_to is None else funded_to
        fills = self._journal.fills(since=min(paid_to, server.venue_time - 2 * FILLS_KEPT))
        return cash_balance.Opening(
            at=now,
            through=server.venue_time,
            balance=account.balance,
            costs=costs,
            held=cash_balance.turns(coin, (each for each in fills if each.time > paid_to), paid_to),
            known=frozenset(each.fill_id for each in fills if each.time > server.venue_time - 2 * FILLS_KEPT),
            funded_to=paid_to,
            hours=(),
        )

    def _still(self) -> tuple[AccountView, dict[ProductId, Decimal], dict[ProductId, Decimal]]:
        """A balance with costs and coin that go with it: the positions read before and after it are the same."""
        for turn in range(LOOKS):
            if turn:
                self._clock.sleep(PAUSE)
            before = cash_balance.costs_of(self._venue.positions())
            account = self._venue.account()
            positions = self._venue.positions()
            after = cash_balance.costs_of(positions)
            if before is None or after is None:
                raise VenueSpokeStrangely("the venue does not tell what its positions cost")
            if before == after:
                return account, after, {each.product_id: each.coin for each in positions.positions}
        raise VenueSpokeStrangely("positions moved while the balance was read", fix="run reconcile again")

    # --- what is durable -------------------------------------------------------------------------------------

    def _held(self) -> Mapping[str, object] | None:
        last = self._journal.events(kind=EventKind.LEDGER, limit=1)
        if not last:
            return None
        held = json.loads(last[0].payload)
        assert isinstance(held, dict)
        return held

    def _write(self, payload: Mapping[str, object]) -> None:
        self._journal.record_event(EventKind.LEDGER, payload)  # step: ledger


def _notes(chosen: cash_balance.Expected) -> tuple[str, ...]:
    if not chosen.unwatched:
        return ()
    return (f"{chosen.unwatched} hours of funding were not watched and are judged by their neighbours",)


def _difference(ledger: CashLedger, cls: BreakClass, now: datetime, why: str) -> Break:
    owner = VENUE if cls is BreakClass.FUNDING else OPERATOR
    detail = f"{plain(ledger.difference)} {ledger.currency} not explained: {why}"
    return a_break("cash", cls, ledger.currency, plain(ledger.closing), plain(ledger.balance), owner, now, detail)


def _goes_with(rows: Sequence[CashRow], balance: Decimal) -> bool:
    """True when the last row of each scope leaves the balance as it is told; nothing is known without a row."""
    last: dict[str, CashRow] = {}
    for row in rows:
        if row.scope not in last or row.seq > last[row.scope].seq:
            last[row.scope] = row
    if cash_rows.ACCOUNT not in last:
        return True
    return cash_rows.total(row.balance for row in last.values() if row.balance is not None) == balance


def _same_coin(state: cash_rows.RowsState, held: Mapping[ProductId, Decimal]) -> bool:
    ours = {product: coin for product, coin in state.coin().items() if coin != 0}
    return ours == {product: coin for product, coin in held.items() if coin != 0}


def _rows_payload(state: cash_rows.RowsState) -> dict[str, object]:
    running = [
        {
            "scope": scope,
            "product_id": str(product_id),
            "coin": plain(each.coin),
            "value": plain(each.value),
            "accrued": plain(each.accrued),
        }
        for (scope, product_id), each in state.running.items()
    ]
    seq = {scope: str(number) for scope, number in state.seq.items()}
    return {"at": state.at.isoformat(), "balance": plain(state.balance), "seq": seq, "running": running}


def _rows_state(held: Mapping[str, object]) -> cash_rows.RowsState:
    seq, running = held["seq"], held["running"]
    assert isinstance(seq, dict)
    assert isinstance(running, list)
    return cash_rows.RowsState(
        at=datetime.fromisoformat(str(held["at"])),
        balance=_number(held["balance"]),
        seq={str(scope): int(number) for scope, number in seq.items()},
        running={
            (str(each["scope"]), ProductId(each["product_id"])): cash_rows.Running(
                coin=_number(each["coin"]), value=_number(each["value"]), accrued=_number(each["accrued"])
            )
            for each in running
        },
    )


def _opening_payload(opening: cash_balance.Opening) -> dict[str, object]:
    return {
        "at": opening.at.isoformat(),
        "through": opening.through.isoformat(),
        "balance": plain(opening.balance),
        "costs": {str(product): plain(cost) for product, cost in opening.costs.items()},
        "held": {
            str(product): [[since.isoformat(), plain(coin)] for since, coin in turns]
            for product, turns in opening.held.items()
        },
        "known": sorted(str(fill_id) for fill_id in opening.known),
        "funded_to": opening.funded_to.isoformat(),
        "hours": [
            {
                "product_id": str(each.product_id),
                "hour": each.hour.isoformat(),
                "rate": plain(each.rate),
                "price": plain(each.price),
            }
            for each in opening.hours
        ],
    }


def _balance_opening(held: Mapping[str, object]) -> cash_balance.Opening:
    costs, turns, known, hours = held["costs"], held["held"], held["known"], held["hours"]
    assert isinstance(costs, dict)
    assert isinstance(turns, dict)
    assert isinstance(known, list)
    assert isinstance(hours, list)
    return cash_balance.Opening(
        at=datetime.fromisoformat(str(held["at"])),
        through=datetime.fromisoformat(str(held["through"])),
        balance=_number(held["balance"]),
        costs={ProductId(product): _number(cost) for product, cost in costs.items()},
        held={
            ProductId(product): tuple((datetime.fromisoformat(since), _number(coin)) for since, coin in each)
            for product, each in turns.items()
        },
        known=frozenset(FillId(each) for each in known),
        funded_to=datetime.fromisoformat(str(held["funded_to"])),
        hours=tuple(
            cash_balance.HourSeen(
                product_id=ProductId(each["product_id"]),
                hour=datetime.fromisoformat(each["hour"]),
                rate=_number(each["rate"]),
                price=_number(each["price"]),
            )
            for each in hours
        ),
    )


def _number(text: object) -> Decimal:
    """A number this room wrote itself; wider than the venue's may be, since sums of products are."""
    told = str(text)
    return exact(told) if len(told) <= WIRE_LENGTH else Decimal(told)
