"""Rules about the order itself and our own conduct: status, halts, budgets, doubles, and what reduce-only means."""

from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import LiveOrder, TradingState
from perpsctl.domain.market import SessionState, TradingStatus
from perpsctl.domain.numbers import plain
from perpsctl.domain.orders import Origin, Road
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Denial, DenialCode
from perpsctl.risk.case import Case
from perpsctl.risk.figures import UNKNOWN, denial, moment, names, seconds


def account_open(case: Case) -> Denial | None:
    """The venue has not locked the account, as far as it tells; an account that was not read is another rule's."""
    account = case.view.account
    if account is None or account.locked is None:
        return None
    return denial(
        DenialCode.ACCOUNT_LOCKED,
        "locked",
        "not locked",
        f"the venue: {account.locked}; open orders and positions stay as they are: ask the venue",
    )


def product_status(case: Case) -> Denial | None:
    """The product takes this kind of order now (fault M4). An exit with an unknown status is the venue's to judge."""
    status = case.view.market.status
    if status is None:
        if case.road is Road.ENTRY:
            return denial(DenialCode.PRODUCT_STATUS, UNKNOWN, "a known status", "the product's status was not read")
        return None
    against = _against(case, status)
    if not against:
        return None
    return denial(DenialCode.PRODUCT_STATUS, names(against), "takes this order", f"{case.product_id} at the venue")


def _against(case: Case, status: TradingStatus) -> list[str]:
    flags = {
        "disabled": status.disabled,
        "cancel_only": status.cancel_only,
        "auction": status.auction,
        "view_only": status.view_only,
        "limit_only": status.limit_only and case.market,
        "post_only": status.post_only and case.takes,
    }
    return [name for name, raised in flags.items() if raised]


def session_open(case: Case) -> Denial | None:
    """The venue's session is open by its own word, and no maintenance is on (fault M7)."""
    status = case.view.market.status
    session = None if status is None else status.session
    if session is None:
        return None
    if session.state is not SessionState.OPEN:
        opens = "" if session.opens is None else f"opens {moment(session.opens)}"
        return denial(DenialCode.SESSION_CLOSED, session.state.value, SessionState.OPEN.value, opens)
    if session.maintenance is not None and session.maintenance[0] <= case.now < session.maintenance[1]:
        return denial(
            DenialCode.SESSION_CLOSED, "maintenance", "no maintenance", f"until {moment(session.maintenance[1])}"
        )
    return None


def not_halted(case: Case) -> Denial | None:
    """Neither the account nor the product is halted.

    The switch's own road passes while the account is halted, and every exit while only the product is: the gate looks at
    the latch alone, so a halt that stands in the journal alone has to be found here (R1).
    """
    if case.booked is None or case.road is Road.SWITCH:
        return None
    if case.booked.halted:
        return denial(DenialCode.HALTED, "account halted", TradingState.ACTIVE.value)
    if case.road is Road.ENTRY and case.booked.states.get(case.product_id) is TradingState.HALTED:
        return denial(DenialCode.HALTED, f"{case.product_id} halted", TradingState.ACTIVE.value)
    return None


def not_reducing(case: Case) -> Denial | None:
    """The product may be entered: it is not in REDUCING."""
    if case.booked is None or case.booked.states.get(case.product_id) is not TradingState.REDUCING:
        return None
    return denial(
        DenialCode.PRODUCT_REDUCING,
        TradingState.REDUCING.value,
        TradingState.ACTIVE.value,
        "only orders that provably reduce pass, until exposure is back within limits",
    )


def product_allowed(case: Case) -> Denial | None:
    """The product is among those the profile names, where it names any."""
    allowed = case.limits.products_allowed
    if not allowed or case.product.product_id.upper() in allowed or case.product.alias.upper() in allowed:
        return None
    return denial(DenialCode.PRODUCT_NOT_ALLOWED, case.product_id, names(allowed))


def orders_per_minute(case: Case) -> Denial | None:
    """This send still fits the budget of a minute, counted by the journal over all processes (R8)."""
    if case.booked is None or case.booked.sent_last_minute < case.limits.orders_per_minute_max:
        return None
    observed = case.booked.sent_last_minute + 1
    return denial(
        DenialCode.ORDERS_PER_MINUTE_ABOVE_MAX, str(observed), str(case.limits.orders_per_minute_max), "with this one"
    )


def orders_per_day(case: Case) -> Denial | None:
    """This send still fits the budget of the UTC day, where the profile sets one (R8)."""
    bound = case.limits.orders_per_day_max
    if bound is None or case.booked is None or case.booked.sent_today < bound:
        return None
    return denial(DenialCode.ORDERS_PER_DAY_ABOVE_MAX, str(case.booked.sent_today + 1), str(bound), "with this one")


def open_orders(case: Case) -> Denial | None:
    """With this one, no more orders live than the profile allows, in-doubt and foreign ones included."""
    bound = case.limits.open_orders_max
    if bound is None or case.is_edit:
        return None
    count = len(case.live.orders) + 1
    if count <= bound:
        return None
    return denial(DenialCode.OPEN_ORDERS_ABOVE_MAX, str(count), str(bound), "with this one")


def no_duplicate(case: Case) -> Denial | None:
    """No other intent of the same terms and reason is younger than the guard and may have filled; `again` overrides."""
    if case.booked is None or case.again:
        return None
    guard = timedelta(seconds=case.limits.duplicate_guard_s)
    for each in case.booked.recent:
        same = (
            each.product_id == case.product_id
            and each.side is case.side
            and each.size == case.size
            and each.price == case.limit_price
            and each.reason == case.reason
        )
        if same and each.intent_id != case.intent_id and not each.ended_empty and case.now - each.at <= guard:
            return _duplicate(case, str(each.intent_id), each.at)
    return None


def _duplicate(case: Case, intent_id: str, at: datetime) -> Denial:
    return denial(
        DenialCode.DUPLICATE_INTENT,
        seconds(case.now - at),
        f"more than {case.limits.duplicate_guard_s}",
        f"s since {intent_id} asked for the same; `--again` places it all the same",
    )


def no_crossing(case: Case) -> Denial | None:
    """It could not trade with an order of the same portfolio that rests, or may rest.

    A market order reaches as far as the book it would walk now; where that book cannot fill it, it reaches any price. An
    order that ended just before our reads counts for exposure, but nothing of it rests and nothing can trade with it.
    """
    reach = _reach(case)
    for other in case.live.orders:
        if other.product_id != case.product_id or other.side is case.side or not _may_rest(other):
            continue
        if reach is None or other.price is None or (reach - other.price) * case.side.sign >= 0:
            price = "any price" if other.price is None else plain(other.price)
            whose = other.intent_id or other.venue_order_id or "an order of the portfolio"
            return denial(
                DenialCode.CROSSES_OWN_ORDER,
                "any price" if reach is None else plain(reach),
                f"{'below' if case.side is Side.BUY else 'above'} {price}",
                f"{whose} could trade with it; cancel that one first",
            )
    return None


def _reach(case: Case) -> Decimal | None:
    """The price it could still trade at; None is any."""
    if case.limit_price is not None:
        return case.limit_price
    book = case.view.market.book
    if book is None or not book.sound:
        return None
    walked = book.walk(case.side, case.size)
    return walked.worst if walked.filled == case.size else None


def _may_rest(other: LiveOrder) -> bool:
    """False for what never rests (IOC, FOK), and for an intent that is neither at the venue nor in doubt: it has ended."""
    return not other.one_shot and (other.venue_order_id is not None or other.in_doubt)


def reduces_if_asked(case: Case) -> Denial | None:
    """A reduce-only order provably reduces: it is no larger than what every other live order surely leaves (R7)."""
    return None if case.reduces or not case.reduce_only else must_reduce(case)


def must_reduce(case: Case) -> Denial | None:
    """The order provably reduces: it is no larger than what every other live order surely leaves (R7)."""
    if case.reduces:
        return None
    if case.before is None:
        return denial(DenialCode.NOT_REDUCING, plain(case.size), UNKNOWN, "positions could not be read")
    unsized = [str(order) for product, order in case.live.unsized if product == case.product_id]
    if unsized:
        return denial(
            DenialCode.NOT_REDUCING, plain(case.size), UNKNOWN, f"orders of unknown size rest: {names(unsized)}"
        )
    return denial(
        DenialCode.NOT_REDUCING,
        plain(case.size),
        plain(case.before.least_left(case.side)),
        f"{case.product.base} surely left to a {case.side.value}: position {plain(case.before.position)}, "
        f"live buys {plain(case.before.buys)}, live sells {plain(case.before.sells)}",
    )


def reduces_in_one_shot(case: Case) -> Denial | None:
    """Where the venue knows no reduce-only, such an order does not rest: nobody would cancel it when the position goes.

    A strategy's may rest, because the loop that made it cancels any excess; an exit may rest while the product takes
    post-only orders alone (design 5).
    """
    if case.one_shot or case.view.native_reduce_only:
        return None
    if case.road is Road.ENTRY:
        if not case.reduce_only or case.origin is Origin.STRATEGY:
            return None
    elif case.view.market.status is not None and case.view.market.status.post_only and not case.takes:
        return None
    return denial(
        DenialCode.REDUCE_ONLY_MUST_BE_ONE_SHOT, "rests", "ioc or fok", "this venue has no reduce-only of its own"
    )
