"""Books money that came and went without a trade, so that a withdrawal is not taken for a loss (design 6).

Only what the venue's own books tell, each row once. Where a venue keeps none, a fall of equity stays a loss: that fails
closed. The venue's clock and ours differ, so a row counts at the end of its span that shows more loss, never less.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from perpsctl.domain.accounts import RiskView, ServerTime, Transfer
from perpsctl.domain.ports import Journal, Venue
from perpsctl.engine.reading import Reads
from perpsctl.risk.limits import RiskLimits
from perpsctl.risk.loss import exceeds, read_loss

TOLD_LATE: Final = timedelta(minutes=10)  # a row may be listed after younger ones were read


class TransferBook:
    """The journal's transfers of one account, as far back as losses are counted."""

    def __init__(self, *, venue: Venue, journal: Journal) -> None:
        self._venue = venue
        self._journal = journal
        self._read_to: datetime | None = None

    def update(self) -> tuple[Transfer, ...]:
        """What was not booked before, now booked. Raises venue errors and JournalUnavailable; nothing is booked then.

        Nothing is read while no loss is counted from anywhere yet.
        """
        begins = [basis.baseline.at for basis in self._journal.booked().loss_bases if basis.baseline is not None]
        if not begins:
            return ()
        since = min(begins) if self._read_to is None else max(min(begins), self._read_to)
        server = self._venue.server_time()
        told = self._venue.transfers(since - TOLD_LATE - abs(server.skew))
        if told is None:
            return ()
        booked = self._journal.record_transfers([_severe(each, server) for each in told])  # step: record_transfers
        self._read_to = server.as_of
        return booked

    def explain(self, view: RiskView, limits: RiskLimits, reads: Reads) -> bool:
        """True when a loss over its limit was looked up and transfers were found: read the journal again.

        Nothing is asked while no loss is over. A failed read explains nothing.
        """
        if view.account is None:
            return False
        losses = read_loss(self._journal.booked().loss_bases, view.account.equity, view.marks)
        if not any(exceeds(window, limits.daily_loss_max_share) for window in losses.windows):
            return False
        return bool(reads.attempt("transfers", self.update))


def _severe(told: Transfer, server: ServerTime) -> Transfer:
    """At our clock: what went is counted early and what came late, by as much as the two clocks may differ.

    A baseline taken meanwhile then counts as if it held what went and lacked what came.
    """
    apart = abs(server.skew) + server.uncertainty
    return replace(told, at=told.at - apart if told.amount < 0 else told.at + apart)
