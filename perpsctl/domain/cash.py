"""Money as books: rows as a venue keeps them, and the ledger that explains a balance by what happened.

Every amount is signed as it moved the balance: a fee that was paid is below zero. Nothing here rounds.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum

from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional, Price

EXACT = Context(prec=400)  # wider than any product of two numbers that `numbers.exact` lets in


@dataclass(frozen=True, slots=True, kw_only=True)
class CashRow:
    """A row of the venue's own books. Rows of one `scope` are numbered one by one; None is "the row does not tell"."""

    scope: str  # the account, or an isolated part of it
    seq: int
    kind: str  # the venue's word: trade, settlement, deposit, ...
    at: datetime
    product_id: ProductId | None
    change: Notional  # what it did to the cash of its scope
    balance: Notional | None  # cash of the scope after it
    trade_id: str | None = None
    sign: int | None = None  # of a trade: 1 bought, -1 sold
    coin: Decimal | None = None  # of a trade: how much, unsigned; of a settlement: see `position`
    price: Price | None = None  # of the trade, or at which the position was settled
    position: Decimal | None = None  # signed coin after it
    fee: Notional | None = None  # above zero: paid
    accrued: Notional | None = None  # funding since the previous row of this product
    funding: Notional | None = None  # of a settlement: funding of the session that became cash
    moved: bool = False  # money that came or went without a trade


class LedgerBasis(StrEnum):
    """Where the funding of a ledger was read."""

    ROWS = "rows"  # the venue's own rows tell each payment
    BALANCE = "balance"  # the venue tells none: the balance shows it, held against the published rates


@dataclass(frozen=True, slots=True, kw_only=True)
class CashLedger:
    """opening + realised + fees + funding + transfers = closing, by our books; `balance` is what the venue says.

    `unsettled` is result of trades that will be cash at the next settlement, outside the balance; None where trades become
    cash at once. `funding_expected` is what the published rates make of the positions; None where nothing could be expected.
    """

    currency: str
    opened_at: datetime
    opening: Decimal
    realised: Decimal
    fees: Decimal
    funding: Decimal
    transfers: Decimal
    balance: Decimal
    fills: int
    basis: LedgerBasis
    funding_expected: Decimal | None = None
    unsettled: Decimal | None = None
    notes: tuple[str, ...] = ()

    @property
    def closing(self) -> Decimal:
        """The balance by our books, exact."""
        total = self.opening
        for part in (self.realised, self.fees, self.funding, self.transfers):
            total = EXACT.add(total, part)
        return total

    @property
    def difference(self) -> Decimal:
        """What the venue has more than our books explain; zero to the last decimal when all is explained."""
        return EXACT.subtract(self.balance, self.closing)
