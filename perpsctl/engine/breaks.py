"""What differs between journal and venue, as plain comparisons of two sides that were read. Pure: nothing is read or booked here.

Each difference has a class (why), an owner (who acts), a next step (what they do) and the moment it stands since. It never
invents a fill: what no evidence explains stays a difference.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from perpsctl.domain.accounts import PositionsRead, Transfer
from perpsctl.domain.cash import EXACT
from perpsctl.domain.ids import FillId, ProductId, VenueOrderId
from perpsctl.domain.numbers import exact, plain
from perpsctl.domain.orders import Fill, FillKind, VenueOrder, later_status
from perpsctl.domain.reports import Break, BreakClass, IntentRecord
from perpsctl.domain.sameness import terms_apart
from perpsctl.domain.text import shown

OURS, OPERATOR, VENUE = "perpsctl", "operator", "venue"
NEXT_STEPS: Final = {
    ("order", BreakClass.FOREIGN): "see who placed it; it counts as exposure, `order cancel ID` ends it",
    ("order", BreakClass.UNKNOWN): "`order resolve ID`, then ask the venue about this order id",
    ("order", BreakClass.MISSED): "none: the venue's word is booked",
    ("order", BreakClass.TIMING): "none: the next pass settles it",
    ("fill", BreakClass.FOREIGN): "see who traded; `positions list` shows what is held now",
    ("fill", BreakClass.MISSED): "none: the venue's fill is booked",
    ("position", BreakClass.FOREIGN): "the venue closed it: look at margin, then at what is still held",
    ("position", BreakClass.UNKNOWN): "entries on it are stopped; ask the venue which fill is missing",
    ("transfer", BreakClass.MISSED): "none: booked, and not counted as a loss",
    ("fee", BreakClass.FEE): "compare with the venue's statement and claim the difference",
    ("funding", BreakClass.FUNDING): "compare with the venue's statement and claim the difference",
    ("cash", BreakClass.MISSED): "run reconcile again; if it stays, ask the venue for that trade",
    ("cash", BreakClass.FUNDING): "compare funding with the venue's statement",
    ("cash", BreakClass.UNKNOWN): "find the movement; `reconcile --accept-cash REASON` counts on from here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSide:
    """What we hold to be true."""

    by_order: Mapping[VenueOrderId, IntentRecord]  # of every order the venue told of, as far as it is ours
    by_client_id: Mapping[str, IntentRecord]
    working: tuple[IntentRecord, ...]
    fill_ids: frozenset[FillId]
    coin: Mapping[ProductId, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSide:
    """What the venue told, each part read to its end; `disowned` are orders of ours it says it does not know."""

    orders: tuple[VenueOrder, ...]
    disowned: tuple[VenueOrderId, ...]
    fills: tuple[Fill, ...]
    positions: PositionsRead


def compare(ours: JournalSide, theirs: VenueSide, now: datetime) -> tuple[Break, ...]:
    """Every difference, none of them settled yet. Pure."""
    return (
        *_order_breaks(ours, theirs, now),
        *_fill_breaks(ours, theirs),
        *position_breaks(with_unbooked(ours, theirs.fills), theirs, now),
    )


def _order_breaks(ours: JournalSide, theirs: VenueSide, now: datetime) -> list[Break]:
    found = []
    for order in theirs.orders:
        record = ours.by_order.get(order.venue_order_id)
        if record is None:
            found.append(_unknown_order(ours, order, now))
        elif _moved(record, order):
            found.append(_state_break(record, order, now))
    for order_id in theirs.disowned:
        found.append(
            a_break("order", BreakClass.UNKNOWN, str(order_id), "working", "the venue knows no such order", VENUE, now)
        )
    return found


def _unknown_order(ours: JournalSide, order: VenueOrder, now: datetime) -> Break:
    subject, since, theirs = str(order.venue_order_id), order.created or now, _order_text(order)
    record = None if order.client_order_id is None else ours.by_client_id.get(str(order.client_order_id))
    if record is None:
        cls, text = BreakClass.FOREIGN, f"placed by {shown(order.placement_source) or 'somebody else'}"
        return a_break("order", cls, subject, "not in the journal", theirs, OPERATOR, since, text)
    differs = ", ".join(terms_apart(order, record))
    if differs:
        return a_break(
            "order", BreakClass.UNKNOWN, subject, f"intent {record.intent.id}", theirs, OPERATOR, since, differs
        )
    return a_break(
        "order", BreakClass.MISSED, subject, record.stage.value, theirs, OURS, since, f"intent {record.intent.id}"
    )


def _moved(record: IntentRecord, order: VenueOrder) -> bool:
    held = record.order
    if held is None or held.venue_order_id == order.succeeds:
        return True
    return later_status(held.status, order.status) is not held.status or order.filled > held.filled


def _state_break(record: IntentRecord, order: VenueOrder, now: datetime) -> Break:
    ours = record.stage.value if record.order is None else _order_text(record.order)
    cls = BreakClass.MISSED if order.status.final or order.filled > 0 else BreakClass.TIMING
    return a_break(
        "order", cls, str(order.venue_order_id), ours, _order_text(order), OURS, order.created or now,
        f"intent {record.intent.id}",
    )  # fmt: skip


def _fill_breaks(ours: JournalSide, theirs: VenueSide) -> list[Break]:
    found = []
    forced = {order.venue_order_id for order in theirs.orders if order.is_liquidation}
    for fill in theirs.fills:
        if fill.fill_id in ours.fill_ids:
            continue
        mine = fill.venue_order_id in ours.by_order
        cls, owner = (BreakClass.MISSED, OURS) if mine else (BreakClass.FOREIGN, OPERATOR)
        told = f"{fill.side.value} {plain(fill.size)} at {plain(fill.price)}"
        behind = f"order {fill.venue_order_id}" + (", a liquidation" if fill.venue_order_id in forced else "")
        found.append(a_break("fill", cls, str(fill.fill_id), "not booked", told, owner, fill.time, behind))
    return found


def position_breaks(coin: Mapping[ProductId, Decimal], theirs: VenueSide, now: datetime) -> tuple[Break, ...]:
    """Products whose position is not what `coin` adds up to."""
    held = {position.product_id for position in theirs.positions.positions}
    liquidated = {order.product_id for order in theirs.orders if order.is_liquidation}
    found = []
    for product_id in sorted(held | set(coin)):
        mine, told = coin.get(product_id, Decimal(0)), theirs.positions.coin(product_id)
        if mine == told:
            continue
        cls = BreakClass.FOREIGN if product_id in liquidated else BreakClass.UNKNOWN
        found.append(
            a_break(
                "position", cls, str(product_id), plain(mine), plain(told), OPERATOR, now, "fills do not add up to it"
            )
        )
    return tuple(found)


def transfer_breaks(moved: Iterable[Transfer]) -> tuple[Break, ...]:
    """Money that moved without a trade, named once: it is booked already."""
    return tuple(
        replace(
            a_break(
                "transfer", BreakClass.MISSED, each.id, "not booked", f"{shown(each.kind)} {plain(each.amount)}",
                OPERATOR, each.at,
            ),
            settled=True,
        )
        for each in moved
    )  # fmt: skip


def order_fee_breaks(orders: Iterable[VenueOrder], fills: Iterable[Fill]) -> tuple[Break, ...]:
    """Orders whose fees are not what their fills were charged, and fills whose fee the venue did not tell (E16).

    Only orders whose every fill is known here are judged.
    """
    of_order: dict[VenueOrderId, list[Fill]] = {}
    for fill in fills:
        of_order.setdefault(fill.venue_order_id, []).append(fill)
    found = []
    for order in orders:
        mine = of_order.get(order.venue_order_id, [])
        if not mine or abs(sum((signed_coin(fill) for fill in mine), Decimal(0))) != order.filled:
            continue
        since = max(fill.time for fill in mine)
        charged = [fill_cash(fill)[2] for fill in mine]
        told = sum((fee for fee in charged if fee is not None), Decimal(0))
        if None in charged:
            found.append(
                a_break(
                    "fee", BreakClass.FEE, str(order.venue_order_id), "a fill's fee is not told",
                    "?" if order.fees is None else plain(order.fees), VENUE, since,
                )
            )  # fmt: skip
        elif order.fees is not None and order.fees != told:
            found.append(
                a_break(
                    "fee", BreakClass.FEE, str(order.venue_order_id), plain(told), plain(order.fees), OPERATOR, since,
                    "the fees of its fills, and what the order says",
                )
            )  # fmt: skip
    return tuple(found)


def standing_since(breaks: Iterable[Break], last: tuple[datetime, str] | None) -> tuple[Break, ...]:
    """Unsettled breaks with the moment an earlier pass, of this process or another, saw them first.

    `last` is when the last finding was written, and its JSON text; what the venue itself dates earlier stays so.
    """
    if last is None:
        return tuple(breaks)
    told = json.loads(last[1]).get("since", {})
    seen = {key: datetime.fromisoformat(at) for key, at in told.items()}
    return tuple(
        replace(found, since=min(found.since, seen[found.key])) if not found.settled and found.key in seen else found
        for found in breaks
    )


def with_unbooked(ours: JournalSide, fills: Iterable[Fill]) -> dict[ProductId, Decimal]:
    """What our position would be with every fill the venue told of: a missed fill is one break, not two."""
    coin = dict(ours.coin)
    for fill in fills:
        if fill.fill_id not in ours.fill_ids:
            coin[fill.product_id] = coin.get(fill.product_id, Decimal(0)) + signed_coin(fill)
    return coin


def opening(found: Break) -> str:
    """The coin a position break would take over: theirs less ours, as plain text."""
    return plain(exact(found.theirs) - exact(found.ours))


def signed_coin(fill: Fill) -> Decimal:
    """What a row of the fill list did to the position; a reversal takes back (E14)."""
    sign = -fill.side.sign if fill.kind is FillKind.REVERSAL else fill.side.sign
    return sign * fill.size


def fill_cash(fill: Fill) -> tuple[Decimal, Decimal, Decimal | None]:
    """(signed coin, cash for it before fees, the fee above zero when paid or None when not told); exact.

    A reversal takes all of it back (E14).
    """
    coin = signed_coin(fill)
    fee = fill.fee
    if fee is not None and fill.kind is FillKind.REVERSAL:
        return coin, EXACT.multiply(-coin, fill.price), -fee
    return coin, EXACT.multiply(-coin, fill.price), fee


def _order_text(order: VenueOrder) -> str:
    size = "?" if order.size is None else plain(order.size)
    return f"{order.status.value} {order.side.value} {plain(order.filled)}/{size} {shown(order.product_id)}"


def a_break(
    kind: str, cls: BreakClass, subject: str, ours: str, theirs: str, owner: str, since: datetime, detail: str = ""
) -> Break:
    """A difference that is not settled yet, with the next step of its kind and class."""
    return Break(
        kind=kind, cls=cls, subject=shown(subject), ours=ours, theirs=theirs, owner=owner, since=since,
        settled=False, detail=detail, next_step=NEXT_STEPS.get((kind, cls), "look at it with `reconcile --format json`"),
    )  # fmt: skip
