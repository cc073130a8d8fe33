"""Checks of the record: is the journal whole, and what in it is not settled."""

from decimal import Decimal

from perpsctl.checks.context import CheckContext
from perpsctl.checks.figures import age, plural
from perpsctl.checks.model import Check, Finding, failed, passed, unknown, warned
from perpsctl.domain.errors import (
    CredentialsError,
    JournalCorrupt,
    JournalUnavailable,
    VenueRefusedUs,
    VenueUnreachable,
)
from perpsctl.domain.numbers import plain
from perpsctl.domain.reports import KeyPurpose

_NAMED = 5
_RESTORE = "entries stay shut; restore the journal from its backup, see `perpsctl journal check`"


def journal_whole(ctx: CheckContext) -> Finding:
    """Every row's hash and the chain were verified, from the first row to the head (J4, D7, D10)."""
    try:
        found = ctx.integrity()
        account = ctx.account()
    except JournalCorrupt as corrupt:
        return failed(corrupt.message, fix=corrupt.fix or _RESTORE)
    except JournalUnavailable as trouble:
        return failed(trouble.message, fix=trouble.fix or "look at the disk and the folder's owner")
    except (CredentialsError, VenueRefusedUs, VenueUnreachable) as unopened:
        why = f"whose journal it is could not be asked: {unopened.message}"
        return unknown(why, fix="pin the portfolio in the profile, or mend the key")
    if not found.sound:  # how many rows there are is not known then
        first = "no row can be named" if found.first_bad is None else f"first bad row {found.first_bad}"
        return failed(f"{account}: {first}: {found.problem}", fix=_RESTORE)
    head = found.head[:16] or "none: empty"
    return passed(f"{plural(found.rows, 'row')} of {account}, verified from row {found.verified_from}, head {head}")


def none_in_doubt(ctx: CheckContext) -> Finding:
    """No order's fate is unknown; an order in doubt counts as exposure at its worst."""
    doubts = ctx.journal().in_doubt()
    if not doubts:
        return passed(f"0 in doubt, {plural(len(ctx.journal().working()), 'order')} working")
    now = ctx.clock.now()
    named = ", ".join(f"{each.intent.id} ({age(now - each.committed_at)})" for each in doubts[:_NAMED])
    return failed(
        f"{plural(len(doubts), 'order')} in doubt: {named}",
        fix=f"`perpsctl order resolve {doubts[0].intent.id}`; never place it again by hand",
    )


def no_exit_pending(ctx: CheckContext) -> Finding:
    """No reduction waits for the venue to take it."""
    pending = ctx.journal().exits_pending()
    if not pending:
        return passed("0 exits pending")
    named = "; ".join(f"{each.product_id} {plain(each.size)}: {each.reason}" for each in pending[:_NAMED])
    return failed(f"{plural(len(pending), 'exit')} pending: {named}", fix="`perpsctl positions flatten`, then repeat")


def lease_free(ctx: CheckContext) -> Finding:
    """Nobody else runs this portfolio; beside a `run`, one-shot orders work and a second `run` is refused (J5)."""
    holder = ctx.lease().holder()
    if holder is None:
        return passed(f"nobody holds the lease of {ctx.account()}")
    return warned(f"held by {holder}", fix="a second `run` is refused; stop that one first if you mean to run here")


def positions_booked(ctx: CheckContext) -> Finding:
    """What the journal's fills add up to is what the venue says we hold (I6)."""
    held = ctx.venues.signed(KeyPurpose.TRADE).positions()
    booked = ctx.journal().booked_coin()
    products = sorted({*(p.product_id for p in held.positions), *(p for p, coin in booked.items() if coin)})
    pairs = [(p, booked.get(p, Decimal(0)), held.coin(p)) for p in products]
    apart = [f"{p}: journal {plain(ours)}, venue {plain(theirs)}" for p, ours, theirs in pairs if ours != theirs]
    if apart:
        return failed("; ".join(apart), fix="`perpsctl reconcile`")
    same = ", ".join(f"{p} {plain(ours)}" for p, ours, _ in pairs)
    return passed(f"{plural(len(pairs), 'position')} alike{f': {same}' if same else ''}")


_WHOLE = ("journal.integrity",)
INTEGRITY = Check("journal.integrity", "The journal is whole", run=journal_whole)
DOUBT = Check("orders.in_doubt", "No order is in doubt", run=none_in_doubt, needs=_WHOLE)
EXITS = Check("exits.pending", "No exit is pending", run=no_exit_pending, needs=_WHOLE)
LEASE = Check("lease.free", "No other run holds the portfolio", run=lease_free, needs=_WHOLE)
BOOKED = Check(
    "positions.booked", "Journal and venue agree on positions", run=positions_booked, needs=(*_WHOLE, "auth.trade")
)
