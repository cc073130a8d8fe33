"""The small questions the way out asks of what was read, and how a pending exit is kept. No reads, no writes."""

from datetime import UTC
from decimal import Decimal

from perpsctl.domain.accounts import Position, PositionsRead
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import SessionState, TradingStatus
from perpsctl.domain.numbers import plain
from perpsctl.domain.reports import ExitPending


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
        "part": pending.part,
    }
    if pending.retry_at is not None:
        utc = pending.retry_at.astimezone(UTC).replace(tzinfo=None)
        payload["retry_at"] = f"{utc.isoformat(timespec='microseconds')}Z"  # RFC 3339, as the journal's views read it
    return payload
