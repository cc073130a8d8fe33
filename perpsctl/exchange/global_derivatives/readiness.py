"""What has to be known before a write may leave: the venue's clock, and for entries that the account is not locked.

Both are read at most once a minute. A lock that could not be read stops entries; it never stops a way out.
"""

from datetime import timedelta

from perpsctl.domain.errors import VenueRefusedRequest, VenueRefusedUs, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ports import Clock
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.venue_clock import VenueClock
from perpsctl.exchange.pacing import Priority
from perpsctl.wire.global_derivatives import accounts, params
from perpsctl.wire.reading import flag, required

__all__ = ["MARGIN_MODELS", "AccountLocked", "MarginModelUnknown", "Readiness"]

LOCKS_AT_MOST = timedelta(seconds=60)
CURRENCY = "USDC"
# reference section 11, 2026-11-22: values by native documentation
MARGIN_MODELS = ("cross_pm", "cross_sm", "segregated_pm", "segregated_sm")
_MICROSECOND = timedelta(microseconds=1)


class AccountLocked(VenueRefusedRequest):
    """The venue has locked the account: no entry can be placed. Nothing was sent."""

    code = "account_locked"


class MarginModelUnknown(VenueRefusedRequest):
    """The account is margined by a model whose figures we cannot judge. Nothing was sent."""

    code = "margin_model_unknown"


class Readiness:
    """Checked before each write."""

    def __init__(self, link: Link, venue_clock: VenueClock, clock: Clock) -> None:
        self._link = link
        self._venue_clock = venue_clock
        self._clock = clock
        self._locks_read_ns: int | None = None
        self.margin_model: str | None = None  # as last told by the account summary

    def for_order(self, *, entry: bool) -> None:
        """The venue's clock is known, and for an entry the account is open; else raises what stands in the way."""
        self._venue_clock.ensure_fresh()
        if entry:
            self._check_margin_model()
            self._check_locks()

    def locked(self) -> str | None:
        """What the venue says of a lock on the account, read at most once a minute while there is none.

        None also where that could not be read: the account is told all the same, and an entry asks again before it goes.
        """
        try:
            self._check_locks()
        except AccountLocked as locked:
            return locked.message
        except (VenueUnreachable, VenueRefusedRequest, VenueRefusedUs, VenueSpokeStrangely):
            return None
        return None

    def valid_until_ms(self) -> int:
        return self._venue_clock.valid_until_ms()

    def _check_margin_model(self) -> None:
        if self.margin_model is not None and self.margin_model not in MARGIN_MODELS:
            raise MarginModelUnknown(
                f"the account's margin model is {shown(self.margin_model, 60)}",
                reason="margin_model_unknown",
                fix=f"use one of {', '.join(MARGIN_MODELS)}",
            )

    def _check_locks(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._locks_read_ns is not None and now_ns - self._locks_read_ns <= LOCKS_AT_MOST // _MICROSECOND * 1000:
            return
        got = self._link.read(
            "private/get_user_locks", params.NoParams(), tuple[accounts.UserLock, ...], priority=Priority.WRITE
        )
        for lock in got.body:
            with strangeness("the locks of the account"):  # a row that tells nothing tells of no open account (L5)
                flag(lock.locked, "locked")
                required(lock.currency, "currency")
            if lock.locked is True and lock.currency in (CURRENCY, "any", "ALL"):
                told = f": {shown(lock.message, 80)}" if isinstance(lock.message, str) and lock.message else ""
                self._locks_read_ns = None
                raise AccountLocked(
                    f"the account is locked in {CURRENCY}{told}",
                    reason="account_locked",
                    fix="open orders and positions stay as they are; ask the venue, then run `perpsctl probe`",
                )
        self._locks_read_ns = now_ns
