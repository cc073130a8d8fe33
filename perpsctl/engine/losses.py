"""Reads what gains and losses rest on and works them out: for `pnl`, and for a release after a loss breach."""

from collections.abc import Callable

from perpsctl.domain.accounts import AccountView
from perpsctl.domain.ports import Journal
from perpsctl.engine.reading import Reads
from perpsctl.engine.transfers import TransferBook
from perpsctl.engine.views import Views
from perpsctl.risk.loss import LossReading, read_loss


def losses_now(
    account: Callable[[], AccountView], journal: Journal, views: Views, transfers: TransferBook
) -> LossReading:
    """Every window's loss at the account and at marks read now; products without a mark stand in `unmarked`.

    Money that left is told apart first, by the venue's own books where it keeps some, and booked. The account is read
    after them: what leaves in between counts as a loss, never the reverse. Raises venue errors where books or account
    cannot be read, and JournalUnavailable.
    """
    transfers.update()
    equity = account().equity
    bases = journal.booked().loss_bases
    held = {mark.product_id for basis in bases if basis.baseline is not None for mark in basis.baseline.held}
    held |= {flow.product_id for basis in bases for flow in basis.flows}
    reads = Reads()
    found = {product_id: views.mark(product_id, reads) for product_id in sorted(held)}
    return read_loss(bases, equity, {key: mark for key, mark in found.items() if mark is not None})
