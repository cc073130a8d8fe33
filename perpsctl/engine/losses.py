"""Reads what gains and losses rest on and works them out: for `pnl`, and for a release after a loss breach."""

from perpsctl.domain.accounts import AccountView
from perpsctl.domain.ports import Journal
from perpsctl.engine.reading import Reads
from perpsctl.engine.views import Views
from perpsctl.risk.loss import LossReading, read_loss


def losses_now(account: AccountView, journal: Journal, views: Views) -> LossReading:
    """Every window's loss at this account and at marks read now; products without a mark stand in `unmarked`.

    Raises JournalUnavailable when the bases cannot be read.
    """
    bases = journal.booked().loss_bases
    held = {mark.product_id for basis in bases if basis.baseline is not None for mark in basis.baseline.held}
    held |= {flow.product_id for basis in bases for flow in basis.flows}
    reads = Reads()
    found = {product_id: views.mark(product_id, reads) for product_id in sorted(held)}
    return read_loss(bases, account.equity, {key: mark for key, mark in found.items() if mark is not None})
