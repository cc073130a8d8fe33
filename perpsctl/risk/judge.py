"""The verdict: every rule that binds is asked, every reason shows, and only here is an order approved.

Nothing is approved by default, by timeout or by exception. An approval is as good as the view it rests on: the desk
judges inside the journal's transaction and sends at once.
"""

from perpsctl.domain.accounts import RiskView
from perpsctl.domain.errors import InvariantBroken
from perpsctl.domain.ids import client_order_id
from perpsctl.domain.orders import ApprovedEdit, ApprovedOrder, Origin, QuantizedEdit, QuantizedOrder, Road
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denied
from perpsctl.risk.case import Case, edit_case, order_case
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.rules import Binds, denials


def evaluate(order: QuantizedOrder, view: RiskView, limits: RiskLimits) -> Approved | Denied:
    """The verdict on a new order. On the exit road it is `approve_exit`'s.

    An order on the entry road that provably reduces, and leaves nothing behind that could open when the position is
    gone, meets validity, collar and status alone; any other meets every rule for entries.
    """
    if order.intent.road is not Road.ENTRY:
        return approve_exit(order, view, limits)
    case = order_case(order, view, limits)
    return _order_verdict(order, case, Binds.REDUCTION if _is_reduction(case) else Binds.ENTRY)


def approve_exit(order: QuantizedOrder, view: RiskView, limits: RiskLimits) -> Approved | Denied:
    """The verdict on an order of the exit road or the switch's own: it must provably reduce at a bounded price.

    Needs a position that was read, and the venue's open orders or the journal; no fresh book, no limits of entries.
    """
    if order.intent.road is Road.ENTRY:
        raise InvariantBroken("an order of the entry road was brought to the exit's judge")
    return _order_verdict(order, order_case(order, view, limits), Binds.EXIT)


def evaluate_edit(edit: QuantizedEdit, view: RiskView, limits: RiskLimits) -> ApprovedChange | Denied:
    """The verdict on an edit: judged like an entry at the larger of its old and new size, unless it only takes back.

    An edit that makes the order no larger and its price no more aggressive meets validity and status alone.
    """
    case = edit_case(edit, view, limits)
    found = denials(case, Binds.TRIM if _only_takes_back(edit) else Binds.ENTRY)
    if found:
        return Denied(denials=found)
    return ApprovedChange(edit=ApprovedEdit(edit=edit, judged_at=case.now))


def _order_verdict(order: QuantizedOrder, case: Case, binds: Binds) -> Approved | Denied:
    found = denials(case, binds)
    if found:
        return Denied(denials=found)
    approved = ApprovedOrder(order=order, client_order_id=client_order_id(order.intent.id), judged_at=case.now)
    return Approved(order=approved, notes=_notes(case, binds))


def _is_reduction(case: Case) -> bool:
    """Proven with every source read, and unable to rest without somebody who cancels the excess."""
    if not case.reduces or case.booked is None or case.view.orders is None:
        return False
    watched = case.view.native_reduce_only or case.origin is Origin.STRATEGY  # the loop takes away what is too much
    return case.one_shot or (case.reduce_only and watched)


def _only_takes_back(edit: QuantizedEdit) -> bool:
    if edit.reduce_only or edit.new_size > edit.old_size:
        return False
    if edit.new_price == edit.old_price:
        return True
    if edit.new_price is None or edit.old_price is None:
        return False
    return (edit.new_price - edit.old_price) * edit.side.sign <= 0


def _notes(case: Case, binds: Binds) -> tuple[str, ...]:
    notes = []
    if binds is Binds.REDUCTION:
        notes.append("it provably reduces: limits for entries were not asked")
    if case.view.orders is None:
        notes.append("open orders could not be read: judged against the journal's alone")
    if binds is Binds.EXIT and case.booked is None:
        notes.append("the journal could not be read: judged against the venue's open orders alone")
    if binds is Binds.EXIT and case.market:
        notes.append("the venue's own close has no price bound")
    return tuple(notes)
