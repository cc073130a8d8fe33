"""The account's money: USDC, cross and isolated together, with the request limits that come along.

One read tells all of it: the extended summaries with isolated rows (reference section 11, 2026-11-22).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.accounts import AccountView, MarginLevel
from perpsctl.domain.errors import VenueRefusedRequest
from perpsctl.domain.numbers import Notional
from perpsctl.domain.reports import KeyFacts, RequestLimit
from perpsctl.domain.text import shown
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY
from perpsctl.exchange.global_derivatives.credits import DEFAULT_RATES, Bucket, Rate
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.readiness import Readiness
from perpsctl.wire.global_derivatives import accounts, convert_accounts, params
from perpsctl.wire.guard import WireError
from perpsctl.wire.reading import no_two_alike

__all__ = ["Money", "key_facts_of", "own_rows"]

_GRAVITY = (
    MarginLevel.BASE,
    MarginLevel.WARNING,
    MarginLevel.DANGER,
    MarginLevel.UNRECOGNISED,
    MarginLevel.LIQUIDATION,
)
# The venue's words for what a session may do: CDP's, and OAuth's where a method names it (reference section 3).
_VIEW = ("rat#view", "rat#trade", "account:read", "account:read_write", "trade:read", "trade:read_write")
_TRADE = ("rat#trade", "trade:read_write", "wallet:buys:create")
_TRANSFER = ("rat#transfer", "wallet:read_write", "wallet:transactions:send")


class Money:
    """Account reads of one key. Each adopts the account's own request limits and remembers its margin model."""

    def __init__(self, link: Link, ready: Readiness) -> None:
        self._link = link
        self._ready = ready

    def account(self) -> AccountView:
        """Equity, margins and PnL in USDC, isolated positions included, and whether the venue has locked the account."""
        got = self.summaries()
        cross = own_rows(got.body)
        if not cross:
            raise VenueRefusedRequest(
                f"the account has no {CURRENCY} balance",
                reason="no_usdc_account",
                fix="enable Global Derivatives and move USDC there",
            )
        with strangeness("the account summary"):
            if len(cross) > 1:
                raise WireError(f"the {CURRENCY} account is told twice")
            views = [convert_accounts.account_from(row, got.answer.asked) for row in (*cross, *isolated_rows(got.body))]
        return replace(together(views, got.answer.asked), locked=self._ready.locked())

    def summaries(self) -> Got[accounts.AccountSummaries]:
        """Every currency's summary as the venue tells it; limits and margin model of the USDC row are kept."""
        asked = params.SummaryParams(extended=True, include_isolated=True)
        got = self._link.read("private/get_account_summaries", asked, accounts.AccountSummaries)
        if not isinstance(got.body.summaries, tuple):
            with strangeness("the account summaries"):
                raise WireError("no summaries in the answer")
        own = own_rows(got.body)
        if own:
            self._keep(own[0])
        return got

    def request_limits(self) -> tuple[RequestLimit, ...]:
        """The budgets of the USDC row, read now, in the venue's figures."""
        own = own_rows(self.summaries().body)
        if not own:
            return ()
        with strangeness("the account's request limits"):
            told = convert_accounts.budgets_from(own[0])
        named = {"orders": told.matching, "mass cancels": told.cancel_all, "everything else": told.plain}
        return tuple(
            RequestLimit(name=name, per_second=budget.rate, burst=budget.burst)
            for name, budget in named.items()
            if budget is not None
        )

    def _keep(self, row: accounts.AccountSummary) -> None:
        self._ready.margin_model = row.margin_model if isinstance(row.margin_model, str) else None
        with strangeness("the account's request limits"):
            told = convert_accounts.budgets_from(row)
        rates = {
            Bucket.MATCHING: _rate(told.matching),
            Bucket.CANCEL_ALL: _rate(told.cancel_all),
            Bucket.GENERAL: _at_most(_rate(told.plain), DEFAULT_RATES[Bucket.GENERAL]),
        }
        self._link.rpc.credits.adopt({bucket: rate for bucket, rate in rates.items() if rate is not None})


def own_rows(body: accounts.AccountSummaries) -> list[accounts.AccountSummary]:
    """The account's own rows in USDC; one is right."""
    return [row for row in body.summaries or () if row.currency == CURRENCY and row.isolated is not True]


def isolated_rows(body: accounts.AccountSummaries) -> list[accounts.AccountSummary]:
    """The USDC rows of the isolated slots that are bound now. WireError for a slot told twice, or without such a row."""
    slots = body.isolated_account_summaries or ()
    no_two_alike((str(slot.id) for slot in slots), "isolated slot")
    found: list[accounts.AccountSummary] = []
    for slot in slots:
        rows = [row for row in slot.summaries or () if row.currency == CURRENCY]
        if len(rows) != 1:
            raise WireError(f"an isolated slot tells {len(rows)} {CURRENCY} accounts")
        found += rows
    return found


def _rate(told: convert_accounts.Budget | None) -> Rate | None:
    return None if told is None else Rate(per_second=int(told.rate), burst=int(told.burst))


def _at_most(told: Rate | None, native: Rate) -> Rate | None:
    """Whether these figures are requests or credits of 500 is on no record: never more than the known rate."""
    if told is None:
        return None
    return Rate(per_second=min(told.per_second, native.per_second), burst=min(told.burst, native.burst))


def together(views: Sequence[AccountView], as_of: datetime) -> AccountView:
    """Cross and isolated as one account; a figure one of them does not tell is not told. The worst level counts."""
    first = views[0]
    if len(views) == 1:
        return first

    def total(values: Sequence[Notional | None]) -> Notional | None:
        told = [value for value in values if value is not None]
        return Notional(sum(told, Decimal(0))) if len(told) == len(values) else None

    return replace(
        first,
        equity=Notional(sum((view.equity for view in views), Decimal(0))),
        balance=Notional(sum((view.balance for view in views), Decimal(0))),
        unrealised=Notional(sum((view.unrealised for view in views), Decimal(0))),
        daily_realised=total([view.daily_realised for view in views]),
        funding_pnl=total([view.funding_pnl for view in views]),
        initial_margin=total([view.initial_margin for view in views]),
        liquidation_threshold=total([view.liquidation_threshold for view in views]),
        # what the isolated slots hold buys nothing outside them: room and buffer are the cross account's
        margin_level=max((view.margin_level for view in views), key=_GRAVITY.index),
        as_of=as_of,
    )


def key_facts_of(scope: Sequence[str], body: accounts.AccountSummaries) -> KeyFacts:
    """What the session was granted, in the venue's words; a word we do not know grants nothing."""
    words = {word.strip(",;").lower() for word in scope}
    return KeyFacts(
        can_view=bool(words.intersection(_VIEW)),
        can_trade=bool(words.intersection(_TRADE)),
        can_transfer=bool(words.intersection(_TRANSFER)),
        portfolio_id=str(body.id) if isinstance(body.id, int) else "",
        portfolio_type=shown(body.type, 40) if isinstance(body.type, str) else "",
    )
