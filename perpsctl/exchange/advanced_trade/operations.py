"""The endpoints of an operator's day beyond the `Venue` port: wallets, portfolios, sweeps, margin setting, one position.

Nothing here places an order. Moving money is sent once and never repeated: an answer that did not come is an error that
says so, and the reads beside it tell what happened.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.accounts import Position
from perpsctl.domain.errors import RateLimited, UsageError, VenueRefusedRequest, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Notional, plain
from perpsctl.domain.text import shown
from perpsctl.exchange.advanced_trade.link import Ask, Link, in_path, strangeness
from perpsctl.exchange.advanced_trade.venue import AdvancedTradeVenue
from perpsctl.exchange.pages import Pages
from perpsctl.wire.advanced_trade import accounts, convert_accounts, futures, reading
from perpsctl.wire.advanced_trade.common import Amount, is_absent
from perpsctl.wire.guard import encode

__all__ = ["MARGIN_SETTINGS", "Breakdown", "Operations", "Portfolio", "Sweep", "Wallet"]

MARGIN_SETTINGS = {
    "standard": "INTRADAY_MARGIN_SETTING_STANDARD",
    "intraday": "INTRADAY_MARGIN_SETTING_INTRADAY",
}
ACCOUNT_ROWS = 250
_ONCE_FIX = "it was sent once and not repeated; look at the balances before asking again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """One currency at the venue. `available` and `held` are amounts of `currency`."""

    wallet_id: str
    name: str
    currency: str
    available: Decimal
    held: Decimal | None
    platform: str
    portfolio_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """One portfolio of the user; `kind` is the venue's word (DEFAULT, CONSUMER, INTX)."""

    portfolio_id: str
    name: str
    kind: str
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """What a portfolio holds in sum, in its currency; None is "not told"."""

    portfolio: Portfolio
    total: Notional | None
    futures: Notional | None
    cash: Notional | None
    crypto: Notional | None
    futures_unrealised: Notional | None
    as_of: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A transfer of USD from the futures side back to spot, pending or being processed."""

    sweep_id: str
    amount: Notional | None  # None: everything
    all: bool
    status: str
    scheduled: datetime | None


class Operations:
    """The rest of the venue, over the same key, budget and connection."""

    def __init__(self, venue: AdvancedTradeVenue) -> None:
        self._venue = venue
        self._link: Link = venue.link

    def wallets(self) -> tuple[Wallet, ...]:
        """Every wallet, to the last page, each once (pages have been seen to repeat: ccxt/ccxt#22780)."""
        found: dict[str, Wallet] = {}
        pages = Pages("accounts")
        while True:
            query = (("limit", str(ACCOUNT_ROWS)), *pages.query)
            reply = self._link.read(Ask(path="/accounts", query=query), accounts.AccountsReply).body
            with strangeness("the list of accounts"):
                found.update(
                    (each.wallet_id, each) for each in map(_wallet, reading.required(reply.accounts, "accounts"))
                )
                more = reading.flag(reply.has_next, "has_next")
                cursor = reading.required(reply.cursor, "cursor") if more else None
            if not pages.turn(cursor, rows=len(reply.accounts or ())):
                return tuple(found.values())

    def wallet(self, wallet_id: str) -> Wallet:
        reply = self._link.read(Ask(path=f"/accounts/{in_path(wallet_id)}"), accounts.AccountReply)
        with strangeness("the account"):
            return _wallet(reading.required(reply.body.account, "account"))

    def portfolios(self) -> tuple[Portfolio, ...]:
        reply = self._link.read(Ask(path="/portfolios"), accounts.PortfoliosReply)
        with strangeness("the portfolios"):
            return reading.each(reply.body.portfolios, "portfolios", _portfolio)

    def breakdown(self, portfolio_id: str) -> Breakdown:
        reply = self._link.read(Ask(path=f"/portfolios/{in_path(portfolio_id)}"), accounts.PortfolioBreakdownReply)
        with strangeness("the portfolio's breakdown"):
            body = reading.required(reply.body.breakdown, "breakdown")
            sums = reading.required(body.portfolio_balances, "portfolio_balances")
            return Breakdown(
                portfolio=_portfolio(reading.required(body.portfolio, "portfolio")),
                total=reading.notional_or_none(sums.total_balance, "total_balance"),
                futures=reading.notional_or_none(sums.total_futures_balance, "total_futures_balance"),
                cash=reading.notional_or_none(sums.total_cash_equivalent_balance, "total_cash_equivalent_balance"),
                crypto=reading.notional_or_none(sums.total_crypto_balance, "total_crypto_balance"),
                futures_unrealised=reading.notional_or_none(sums.futures_unrealized_pnl, "futures_unrealized_pnl"),
                as_of=reply.answer.asked,
            )

    def move_funds(self, amount: Decimal, currency: str, *, source: str, target: str) -> None:
        """Moves money between portfolios of the same user. Needs a key with transfer right, which trading keys lack (A7)."""
        if amount <= 0 or source == target:
            raise UsageError("an amount above zero, between two portfolios")
        body = accounts.MoveFundsRequest(
            funds=Amount(value=plain(amount), currency=currency),
            source_portfolio_uuid=source,
            target_portfolio_uuid=target,
        )
        ask = Ask(method="POST", path="/portfolios/move_funds", body=encode(body))
        with _said_once("moving funds"):
            reply = self._link.once(ask, accounts.MoveFundsReply).body
            if (reply.source_portfolio_uuid, reply.target_portfolio_uuid) != (source, target):
                raise VenueSpokeStrangely("the answer names other portfolios")

    def position(self, product_id: ProductId) -> Position | None:
        """One position; None when the venue says that there is none."""
        product = self._venue.product(product_id)
        reply = self._link.read(Ask(path=f"/cfm/positions/{in_path(product_id)}"), futures.FuturesPositionReply)
        if not isinstance(reply.body.position, futures.FuturesPositionBody):
            return None
        with strangeness(f"the position in {product_id}"):
            found = convert_accounts.position_from(reply.body.position, {product_id: product.contract_size})
            return None if found.contracts == 0 else found

    def sweeps(self) -> tuple[Sweep, ...]:
        reply = self._link.read(Ask(path="/cfm/sweeps"), futures.SweepsReply)
        with strangeness("the sweeps"):
            return reading.each(reply.body.sweeps, "sweeps", _sweep)

    def schedule_sweep(self, usd: Decimal | None) -> None:
        """Asks for a sweep of `usd`, everything when None. Raises when the venue does not say yes."""
        if usd is not None and usd <= 0:
            raise UsageError("an amount above zero")
        body = futures.ScheduleSweepRequest() if usd is None else futures.ScheduleSweepRequest(usd_amount=plain(usd))
        ask = Ask(method="POST", path="/cfm/sweeps/schedule", body=encode(body))
        with _said_once("scheduling the sweep"):
            _must_succeed(self._link.once(ask, futures.SuccessReply).body, "the sweep was not scheduled")

    def cancel_sweeps(self) -> None:
        """No sweep is pending afterwards; asked again while that can help, since it changes nothing the second time."""
        reply = self._link.read(Ask(method="DELETE", path="/cfm/sweeps"), futures.SuccessReply)
        _must_succeed(reply.body, "the pending sweep was not cancelled")

    def margin_setting(self) -> str:
        """`standard` or `intraday`; the venue's own word, escaped, where it is neither."""
        setting = self._link.read(Ask(path="/cfm/intraday/margin_setting"), futures.MarginSetting).body.setting
        with strangeness("the margin setting"):
            word = reading.required(setting, "setting")
        return next((ours for ours, theirs in MARGIN_SETTINGS.items() if theirs == word), shown(word, 80))

    def set_margin_setting(self, setting: str) -> None:
        """The account's margin setting is `standard` or `intraday` afterwards, read back to be sure."""
        if setting not in MARGIN_SETTINGS:
            raise UsageError("the setting is standard or intraday")
        body = encode(futures.MarginSetting(setting=MARGIN_SETTINGS[setting]))
        self._link.read(Ask(method="POST", path="/cfm/intraday/margin_setting", body=body), futures.MarginSetting)
        stands = self.margin_setting()
        if stands != setting:
            raise VenueSpokeStrangely(f"the margin setting reads back as {stands}")


def _wallet(body: accounts.AccountBody) -> Wallet:
    available = reading.required(body.available_balance, "available_balance")
    return Wallet(
        wallet_id=reading.venue_id(body.uuid, "uuid"),
        name=shown(reading.text(body.name), 80),
        currency=reading.venue_id(body.currency, "currency"),
        available=reading.figure(available.value, "available_balance"),
        held=reading.figure_or_none(body.hold, "hold"),
        platform=shown(reading.text(body.platform), 80),
        portfolio_id=shown(reading.text(body.retail_portfolio_id), 80),
    )


def _portfolio(body: accounts.PortfolioBody) -> Portfolio:
    return Portfolio(
        portfolio_id=reading.venue_id(body.uuid, "uuid"),
        name=shown(reading.text(body.name), 80),
        kind=shown(reading.text(body.type), 80),
        deleted=body.deleted is True,
    )


def _sweep(body: futures.SweepBody) -> Sweep:
    scheduled = body.schedule_time if is_absent(body.scheduled_time) else body.scheduled_time
    return Sweep(
        sweep_id=reading.venue_id(body.id, "id"),
        amount=reading.notional_or_none(body.requested_amount, "requested_amount"),
        all=body.should_sweep_all is True,
        status=shown(reading.text(body.status), 80),
        scheduled=reading.moment_or_none(scheduled, "scheduled_time"),
    )


def _must_succeed(reply: futures.SuccessReply, otherwise: str) -> None:
    if reply.success is not True:
        raise VenueRefusedRequest(otherwise, reason="not_done", fix="look at `/cfm/sweeps` before asking again")


@contextmanager
def _said_once(what: str) -> Iterator[None]:
    """An answer that did not come, or could not be read, is said to be unknown, with what to look at."""
    failure: VenueUnreachable | VenueSpokeStrangely
    try:
        yield
    except RateLimited:  # refused at the door, ours or theirs: nothing was done
        raise
    except VenueUnreachable as unanswered:
        failure = VenueUnreachable(f"{what}: not known to be done ({unanswered.message})", fix=_ONCE_FIX)
    except VenueSpokeStrangely as unreadable:
        failure = VenueSpokeStrangely(f"{what}: not known to be done ({unreadable.message})", fix=_ONCE_FIX)
    else:
        return
    raise failure
