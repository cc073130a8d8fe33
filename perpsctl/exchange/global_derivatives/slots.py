"""The hidden accounts behind isolated positions ("slots"), by id: what is needed to read their histories.

A slot is bound to one instrument while something is held or open in it, then given back and used again under its id; its
records are told by that id alone, and no flag gathers them (guide on isolated positions, 2026-09-24). So nothing here
remembers which instrument a slot belongs to.
"""

from datetime import timedelta
from typing import Final

from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.wire.global_derivatives import accounts, params
from perpsctl.wire.reading import required

__all__ = ["AGE_FOR_FILLS", "Slots"]

AGE_FOR_FILLS: Final = timedelta(seconds=15)  # fills are asked for again and again, with times that overlap by far more
_MICROSECOND: Final = timedelta(microseconds=1)


class Slots:
    """The slots of one account."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: tuple[int, frozenset[int]] | None = None  # (our nanoseconds of the read, ids)

    def ids(self, *, max_age: timedelta = timedelta(0)) -> frozenset[int]:
        """Every slot there ever was, given back or not. Raises like any read: without them no history is whole (L5)."""
        asked_ns = self._link.clock.monotonic_ns()
        if self._held is not None and asked_ns - self._held[0] < max_age // _MICROSECOND * 1000:
            return self._held[1]
        asked = params.SubaccountsParams(include_isolated=True)
        rows = self._link.read("private/get_subaccounts", asked, tuple[accounts.Subaccount, ...]).body
        with strangeness("the subaccounts"):
            found = frozenset(required(row.id, "id") for row in rows if row.isolated is True)
        self._held = (asked_ns, found)
        return found
