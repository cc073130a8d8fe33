"""The account's cash and positions. Every movement of USD is a row; the rows of a wallet sum to its balance exactly.

No rounding touches a balance: prices, fees and rates are finite decimals. Only the realised part of a partly closed
position is rounded (to 8 digits), and what the rounding leaves stays in the position's cost, so a flat position has
paid out exactly what its trades earned.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.simulator.views import LedgerRow

ROWS_KEPT = 50_000
CBI = "cbi"  # spot side
CFM = "cfm"  # futures side
CENT_PARTS = Decimal("0.00000001")
ZERO = Decimal(0)


class Ledger:
    """Wallet balances and the rows that made them. Old rows are folded into one per wallet to bound memory."""

    def __init__(self) -> None:
        self._rows: deque[LedgerRow] = deque()
        self._folded: dict[str, LedgerRow] = {}
        self._balances: dict[str, Decimal] = {}
        self._sequence = 0

    def post(
        self, *, at: datetime, kind: str, wallet: str, amount: Decimal, product_id: str = "", reference: str = ""
    ) -> None:
        """Moves `amount` into a wallet (out when negative). A zero amount leaves no row."""
        if amount == 0:
            return
        self._sequence += 1
        self._rows.append(
            LedgerRow(
                sequence=self._sequence,
                at=at,
                kind=kind,
                wallet=wallet,
                amount=amount,
                product_id=product_id,
                reference=reference,
            )
        )
        self._balances[wallet] = self.balance(wallet) + amount
        if len(self._rows) > ROWS_KEPT:
            self._fold(self._rows.popleft())

    def _fold(self, row: LedgerRow) -> None:
        before = self._folded.get(row.wallet)
        amount = row.amount if before is None else before.amount + row.amount
        self._folded[row.wallet] = LedgerRow(
            sequence=row.sequence,
            at=row.at,
            kind="folded",
            wallet=row.wallet,
            amount=amount,
            product_id="",
            reference="",
        )

    def balance(self, wallet: str) -> Decimal:
        """USD in a wallet."""
        return self._balances.get(wallet, ZERO)

    def move(self, *, at: datetime, source: str, target: str, amount: Decimal, reference: str) -> None:
        """A transfer: two rows that sum to zero."""
        self.post(at=at, kind="transfer", wallet=source, amount=-amount, reference=reference)
        self.post(at=at, kind="transfer", wallet=target, amount=amount, reference=reference)

    def rows(self) -> tuple[LedgerRow, ...]:
        """All rows in order, folded ones first."""
        return (*sorted(self._folded.values(), key=lambda row: row.wallet), *self._rows)


@dataclass(slots=True)
class Position:
    """A product's position: signed contracts and their signed cost in USD."""

    contracts: Decimal = ZERO
    cost: Decimal = ZERO
    realized_today: Decimal = ZERO
    funding_pending: Decimal = ZERO  # accrued, not yet cash
    funding_today: Decimal = ZERO  # accrued since the session day began

    def trade(self, contracts: Decimal, price: Decimal, unit: Decimal) -> Decimal:
        """Adds signed contracts at a price and returns the PnL realised by it."""
        realized = ZERO
        if self.contracts and (self.contracts > 0) != (contracts > 0):
            closed = min(abs(self.contracts), abs(contracts)).copy_sign(contracts)
            cost_part = self.cost
            if abs(closed) < abs(self.contracts):
                cost_part = (self.cost * abs(closed) / abs(self.contracts)).quantize(CENT_PARTS)
            realized = -(closed * unit * price) - cost_part
            self.cost -= cost_part
            self.contracts += closed
            contracts -= closed
        self.contracts += contracts
        self.cost += contracts * unit * price
        self.realized_today += realized
        return realized

    def average_entry(self, unit: Decimal) -> Decimal:
        """Average entry price to 8 digits; 0 when flat."""
        if not self.contracts:
            return ZERO
        return (self.cost / (self.contracts * unit)).quantize(CENT_PARTS).normalize() + ZERO

    def unrealized(self, mark: Decimal, unit: Decimal) -> Decimal:
        """PnL if closed at the mark."""
        return self.contracts * unit * mark - self.cost
