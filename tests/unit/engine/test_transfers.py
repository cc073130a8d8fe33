"""Money that came or went without a trade is booked once, and at the moment that hides no loss."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from perpsctl.domain.accounts import EquityMark, Transfer
from perpsctl.domain.errors import VenueUnreachable
from perpsctl.domain.numbers import Notional
from perpsctl.domain.reports import BreakClass
from perpsctl.engine.losses import losses_now
from perpsctl.engine.reading import Reads
from perpsctl.engine.transfers import TransferBook
from tests.unit.engine.conftest import House

SKEW = timedelta(seconds=2)


def marked(house: House, equity: str = "1000000") -> datetime:
    at = house.clock.now()
    house.journal.record_mark(EquityMark(at=at, equity=Notional(Decimal(equity)), held=()))
    house.clock.advance(timedelta(minutes=5))
    return at


def moved(house: House, amount: str, name: str = "USDC:1") -> Transfer:
    row = Transfer(id=name, kind="withdrawal", amount=Notional(Decimal(amount)), at=house.clock.now())
    house.venue.books_ = [*(house.venue.books_ or []), row]
    return row


def book(house: House) -> TransferBook:
    return TransferBook(venue=house.venue, journal=house.journal)


@pytest.mark.parametrize(("amount", "earlier"), [("-100", True), ("100", False)])
def test_what_went_counts_early_and_what_came_late_by_as_much_as_the_clocks_differ(
    house: House, amount: str, earlier: bool
) -> None:
    marked(house)
    row = moved(house, amount)
    house.venue.skew = SKEW
    (booked,) = book(house).update()
    apart = SKEW + timedelta(milliseconds=5)
    assert booked.at == (row.at - apart if earlier else row.at + apart)


def test_nothing_is_read_while_no_loss_is_counted_from_anywhere(house: House) -> None:
    moved(house, "-100")
    assert book(house).update() == ()
    assert "transfers" not in house.venue.calls


def test_a_venue_without_books_books_nothing(house: House) -> None:
    marked(house)
    assert book(house).update() == ()
    assert house.journal.transfers == {}


def test_L5_books_that_cannot_be_read_are_no_empty_books(house: House) -> None:
    marked(house)
    moved(house, "-100")
    house.venue.fail("transfers")
    with pytest.raises(VenueUnreachable):
        book(house).update()
    report = house.engine.reconciler.run()
    assert any("transfers" in note for note in report.unread)


def test_a_row_listed_late_is_still_booked(house: House) -> None:
    marked(house)
    held = book(house)
    assert held.update() == ()
    late = moved(house, "-100")
    house.venue.books_ = []
    house.clock.advance(timedelta(minutes=5))
    assert held.update() == ()
    house.venue.books_ = [late]
    assert [each.id for each in held.update()] == ["USDC:1"]


def test_the_account_is_read_after_the_books_so_that_what_leaves_in_between_counts_as_a_loss(house: House) -> None:
    marked(house)
    house.venue.books_ = []
    engine = house.engine
    losses_now(house.venue.account, house.journal, engine.views, engine.reconciler.transfers)
    assert house.venue.calls.index("transfers") < house.venue.calls.index("account")


def test_I6_reconcile_names_a_transfer_once(house: House) -> None:
    marked(house)
    moved(house, "-100.5")
    house.engine.reconciler.run()
    assert [each.amount for each in house.journal.transfers.values()] == [Decimal("-100.5")]
    assert house.engine.reconciler.run().breaks == ()
    moved(house, "7", "USDC:2")
    (found,) = house.engine.reconciler.run().breaks
    assert (found.kind, found.cls, found.settled) == ("transfer", BreakClass.MISSED, True)
    assert found.theirs == "withdrawal 7"


def test_books_are_asked_only_where_a_loss_is_over_its_limit(house: House) -> None:
    marked(house)
    house.venue.books_ = []
    view = house.engine.views.for_exit(house.venue.product(next(iter(house.venue.specs))).product_id).view
    assert not book(house).explain(view, house.engine.limits, Reads())
    assert "transfers" not in house.venue.calls
    house.venue.equity = "900000"
    view = house.engine.views.for_exit(view.product.product_id).view
    assert not book(house).explain(view, house.engine.limits, Reads())
    assert "transfers" in house.venue.calls
    moved(house, "-100000")
    assert book(house).explain(view, house.engine.limits, Reads())
