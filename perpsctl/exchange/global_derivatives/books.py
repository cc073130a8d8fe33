"""The account's books at the gateway: every row of the transaction log, whole, and what of it came or went without a trade.

A row that may be collateral moved to an isolated slot of our own is never told as money that left: equity counts the slot
too, and a withdrawal that was none would hide a loss of its size.
"""

from datetime import datetime
from itertools import pairwise
from typing import Final

from perpsctl.domain.accounts import Transfer
from perpsctl.domain.cash import CashRow
from perpsctl.domain.errors import VenueSpokeStrangely
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.moments import millis
from perpsctl.exchange.global_derivatives.slots import Slots
from perpsctl.exchange.pages import Pages
from perpsctl.wire.global_derivatives import accounts, convert_accounts
from perpsctl.wire.global_derivatives.common import JsonValue

__all__ = ["Books"]

LOG_ROWS: Final = 250  # the most one page may hold (reference section 11, 2026-11-22)
BETWEEN_ACCOUNTS: Final = "transfer"
WITHOUT_TRADE: Final = frozenset({"deposit", "withdrawal", BETWEEN_ACCOUNTS, "correction"})


class Books:
    """The books of one key."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._slots = Slots(link)

    def rows(self, start: datetime, slot: int | None = None) -> tuple[convert_accounts.Booking, ...]:
        """The USDC books from `start` on, oldest first, whole: rows are numbered, and a jump is an error (E21).

        An isolated slot keeps books of its own, asked for by its id (reference section 11).

        Funding stands in the rows of trades and settlements; there is no row of its own (reference section 11).
        """
        pages = Pages("bookings")
        found: dict[int, convert_accounts.Booking] = {}
        end = self._link.clock.now()
        cursor: int | str | None = None
        while True:
            asked: dict[str, JsonValue] = {
                "currency": CURRENCY,
                "start_timestamp": millis(start),
                "end_timestamp": millis(end),
                "count": LOG_ROWS,
            }
            if slot is not None:
                asked["subaccount_id"] = slot
            if cursor is not None:
                asked["continuation"] = cursor
            got = self._link.read("private/get_transaction_log", asked, accounts.TransactionLog)
            with strangeness("the books"):
                rows = convert_accounts.bookings_from(got.body)
            found.update((row.seq, row) for row in rows)
            told = got.body.continuation
            cursor = told if isinstance(told, int | str) and told != "" else None
            if not pages.turn(None if cursor is None else str(cursor), rows=len(rows)):
                return _whole(found)

    def transfers(self, start: datetime) -> tuple[Transfer, ...]:
        """Deposits, withdrawals, transfers and corrections of the USDC account from `start` on, oldest first."""
        moved = [row for row in self.rows(start) if row.kind in WITHOUT_TRADE and row.change != 0]
        if any(row.kind == BETWEEN_ACCOUNTS for row in moved):
            slots = self._slots.ids()
            moved = [row for row in moved if row.kind != BETWEEN_ACCOUNTS or _left_us(row, slots)]
        return tuple(Transfer(id=f"{CURRENCY}:{row.seq}", kind=row.kind, amount=row.change, at=row.at) for row in moved)

    def cash_rows(self, start: datetime) -> tuple[CashRow, ...]:
        """Every row of the account and of its slots; collateral that moves between them stands on both sides."""
        scopes = (None, *sorted(self._slots.ids()))
        return tuple(_cash_row(row, slot) for slot in scopes for row in self.rows(start, slot))


def _cash_row(row: convert_accounts.Booking, slot: int | None) -> CashRow:
    traded = row.trade_id is not None
    return CashRow(
        scope="account" if slot is None else f"slot {slot}",
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        product_id=row.product_id,
        change=row.change,
        balance=row.balance,
        trade_id=row.trade_id,
        sign=row.sign if traded else None,
        coin=row.coin if traded else None,
        price=row.price,
        position=row.position,
        fee=row.fee,
        accrued=row.funding,
        funding=row.settled_funding,
        moved=row.kind in WITHOUT_TRADE,
    )


def _left_us(row: convert_accounts.Booking, slots: frozenset[int]) -> bool:
    """False where the other side is a slot of our own, or where nobody says who it is and it could be one."""
    return row.counterpart not in slots if row.counterpart is not None else not slots


def _whole(found: dict[int, convert_accounts.Booking]) -> tuple[convert_accounts.Booking, ...]:
    """The rows by number. Numbers run over all the account's rows of the currency, one by one."""
    rows = tuple(found[seq] for seq in sorted(found))
    for earlier, later in pairwise(rows):
        if later.seq != earlier.seq + 1:
            raise VenueSpokeStrangely(f"the books are incomplete: row {earlier.seq + 1} is missing")
    return rows
