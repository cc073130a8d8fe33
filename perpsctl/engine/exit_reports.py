"""What the way out reports, and the small questions it asks of what was read. No reads, no writes."""

from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

from perpsctl.domain.accounts import Position, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import SessionState, TradingStatus
from perpsctl.domain.numbers import Size, plain
from perpsctl.domain.reports import CancelReport, ExitPending, PlaceReport
from perpsctl.domain.verdicts import Denied


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitReport:
    """What became of one product's position; None for a position that could not be read, never zero."""

    product_id: ProductId
    before: Decimal | None
    after: Decimal | None
    wanted: Size | None  # None: all of it
    orders: tuple[PlaceReport, ...]
    cancels: tuple[CancelReport, ...]
    pending: ExitPending | None
    denied: Denied | None
    problems: tuple[str, ...]

    @property
    def done(self) -> bool:
        """True when what was asked for is proven: flat, or reduced by the size wanted."""
        if self.after is None:
            return False
        if self.wanted is None or self.before is None:
            return self.after == 0
        return abs(self.after) <= max(abs(self.before) - self.wanted, Decimal(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenReport:
    """All products that were to be closed; `unread` says what could not be known."""

    exits: tuple[ExitReport, ...]
    unread: tuple[str, ...]

    @property
    def flat(self) -> bool:
        return not self.unread and all(report.done for report in self.exits)


def position_of(read: PositionsRead, product_id: ProductId) -> Position:
    """The position in this product; a product that is not listed is flat."""
    coin = read.coin(product_id)
    held = next((p for p in read.positions if p.product_id == product_id and p.coin == coin), None)
    return held or Position(
        product_id=product_id,
        coin=coin,
        contracts=Decimal(0),
        average_entry=None,
        current_price=None,
        unrealised=None,
        daily_realised=None,
    )


def shut_reason(status: TradingStatus) -> str:
    """Why a product takes no orders now."""
    if status.session is not None and status.session.state is not SessionState.OPEN:
        return f"the session is {status.session.state.value}"
    flags = ("disabled", "cancel_only", "auction", "view_only")
    return ", ".join(flag for flag in flags if getattr(status, flag)) or "it takes no orders"


def pending_payload(pending: ExitPending) -> dict[str, object]:
    """A pending exit as the journal keeps it; without `retry_at` it is due at once."""
    payload: dict[str, object] = {
        "product_id": str(pending.product_id),
        "size": plain(pending.size),
        "reason": pending.reason,
    }
    if pending.retry_at is not None:
        utc = pending.retry_at.astimezone(UTC).replace(tzinfo=None)
        payload["retry_at"] = f"{utc.isoformat(timespec='microseconds')}Z"  # RFC 3339, as the journal's views read it
    return payload
