"""GlobalDerivativesVenue: the `Venue` port on the Deribit-powered gateway, domain values in and out.

Reads answer whole or raise; writes are sent once and never raise. Sizes are coin here and on the wire.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from requests.adapters import BaseAdapter

from perpsctl.domain.accounts import AccountView, Fees, MarginWindow, OrdersRead, PositionsRead, ServerTime, Transfer
from perpsctl.domain.cash import CashRow
from perpsctl.domain.errors import UsageError, VenueRefusedUs
from perpsctl.domain.funding import FundingReport
from perpsctl.domain.ids import ClientOrderId, Ids, ProductId, VenueOrderId, client_order_id
from perpsctl.domain.market import BookView, Candle, Mark, PublicTrade
from perpsctl.domain.orders import (
    CancelResult,
    Fill,
    Preview,
    QuantizedOrder,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Sought, Venue
from perpsctl.domain.products import DoubtTerms, VenueCapabilities, VenueId
from perpsctl.domain.reports import KeyFacts, RequestLimit
from perpsctl.exchange.answers import strangeness
from perpsctl.exchange.common_venue import CommonVenue, from_moment
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.global_derivatives.books import Books
from perpsctl.exchange.global_derivatives.cancels import Cancels
from perpsctl.exchange.global_derivatives.catalogue import CURRENCY, Catalogue
from perpsctl.exchange.global_derivatives.credits import Credits
from perpsctl.exchange.global_derivatives.estimates import estimate
from perpsctl.exchange.global_derivatives.funding import CashTimes
from perpsctl.exchange.global_derivatives.link import Link
from perpsctl.exchange.global_derivatives.listings import Lists, moved_on, standing
from perpsctl.exchange.global_derivatives.money import Money, key_facts_of, own_rows
from perpsctl.exchange.global_derivatives.readiness import Readiness
from perpsctl.exchange.global_derivatives.rpc import Rpc
from perpsctl.exchange.global_derivatives.session import Session
from perpsctl.exchange.global_derivatives.venue_clock import WRITE_TTL, VenueClock
from perpsctl.exchange.global_derivatives.writes import Writes
from perpsctl.exchange.hosts import Endpoint
from perpsctl.exchange.listing import ForeignOrder, Listing, joined
from perpsctl.exchange.retrying import CANCELS, READS, RetryPolicy
from perpsctl.exchange.search import LISTINGS_APART, SKEW_TOLERATED, VISIBILITY, Search
from perpsctl.exchange.signing import Signer
from perpsctl.exchange.transport import Observer, Timing, Transport
from perpsctl.wire.global_derivatives import accounts, convert_accounts, convert_market, market, params

__all__ = ["GLOBAL_CAPABILITIES", "GlobalDerivativesVenue"]

GLOBAL_CAPABILITIES = VenueCapabilities(
    venue=VenueId.GLOBAL,
    dedupes_client_id=False,
    has_preview=False,
    has_cancel_on_disconnect=True,
    has_server_expiry=True,
    native_reduce_only=True,
    native_gtd=False,
    publishes_mark=True,
    ws_order_snapshot=False,
    leverage_settable=True,
    requests_per_second_private=20,
    requests_per_second_public=20,
    cancel_batch=1,
    doubt=DoubtTerms(write_ttl=WRITE_TTL, visibility=VISIBILITY, listings=2, listings_apart=LISTINGS_APART),
    margin_windows=False,
    limits_in_headers=False,
    currency=CURRENCY,
)
RESOLUTIONS = {timedelta(minutes=minutes): str(minutes) for minutes in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)}
RESOLUTIONS[timedelta(days=1)] = "1D"
BARS_PER_REQUEST = 1000  # no cap is on record; few enough for any (reference section 12, 2026-11-22)
DEPTH_MAX = 10_000
TRADES_MAX = 1_000
FUNDING_HOURS_MAX = 720  # thirty days in one request; no cap is on record (reference section 11, 2026-11-22)
# How long the venue is sure to tell of an order by its label (native: 30 minutes); after that the history is read too.
LABEL_REMEMBERED = timedelta(minutes=20)
NO_WINDOWS = MarginWindow(kind="NONE", ends=None, intraday_enrolled=False)


class GlobalDerivativesVenue(CommonVenue):
    """The gateway with one key, or with none for public reads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        clock: Clock,
        ids: Ids,
        *,
        capabilities: VenueCapabilities = GLOBAL_CAPABILITIES,
        timing: Timing | None = None,
        adapter: BaseAdapter | None = None,
        observer: Observer | None = None,
        pacer: Credits | None = None,
        reads: RetryPolicy = READS,
        cancels: RetryPolicy = CANCELS,
        road: Callable[[Link], Link] | None = None,
        cash_times: CashTimes | None = None,
    ) -> None:
        """`cash_times` tells when funding becomes cash, where that is not at 08:00 UTC (the simulator, a setting).

        `adapter` replaces the socket (in-process simulator, tests); `pacer` is shared where several venues share a key.

        `road` carries orders and edits another way than HTTP: `streams.order_road.over` for the loop's order socket.
        """
        transport = Transport(endpoint, clock, timing=timing, adapter=adapter, observer=observer)
        signer = Signer(credentials, endpoint.authority) if credentials is not None else None
        rpc = Rpc(transport, pacer or Credits(clock), ids)
        self._session = Session(rpc, signer, clock, ids)
        self._link = Link(rpc, self._session, clock, ids, reads=reads, cancels=cancels)
        self._venue_clock = VenueClock(self._link, clock)
        self._ready = Readiness(self._link, self._venue_clock, clock)
        self._catalogue = Catalogue(self._link, clock, cash_times)
        self._lists = Lists(self._link, self._catalogue, clock)
        self._money = Money(self._link, self._ready)
        self._books = Books(self._link)
        writes = Writes(self._link if road is None else road(self._link), self._ready, self._catalogue.limits)
        self._cancels = Cancels(self._link, self._lists)
        search = Search(
            clock=clock,
            by_id=self.order,
            since=self._sought,
            fills_since=lambda sought: self._lists.fills(
                sought.sent_after - SKEW_TOLERATED, label=client_order_id(sought.record.intent.id)
            ),
        )
        super().__init__(
            capabilities=capabilities,
            clock=clock,
            transport=transport,
            products=self._catalogue,
            writes=writes,
            search=search,
        )

    @property
    def link(self) -> Link:
        """For the methods beyond the port (`operations`): one key, one budget, one session."""
        return self._link

    @property
    def books(self) -> Books:
        """The account's books, row by row."""
        return self._books

    # market

    def mark(self, product_id: ProductId) -> Mark:
        """The venue's own mark price, dated."""
        return self._catalogue.mark(product_id)

    def book(self, product_id: ProductId, depth: int) -> BookView:
        product = self._catalogue.known(product_id)
        asked = params.InstrumentParams(instrument_name=product_id, depth=max(1, min(depth, DEPTH_MAX)))
        got = self._link.read("public/get_order_book", asked, market.OrderBook)
        with strangeness(f"the book of {product_id}"):
            return convert_market.book_from(got.body, product, got.answer.asked)

    def candles(
        self, product_id: ProductId, *, start: datetime, end: datetime, granularity: timedelta
    ) -> tuple[Candle, ...]:
        """Bars that start in [start, end), oldest first, long ranges in several requests."""
        name = RESOLUTIONS.get(granularity)
        if name is None:
            raise UsageError(
                "the venue has no bars of that length", fix=f"one of {', '.join(RESOLUTIONS.values())} (minutes, days)"
            )
        product = self._catalogue.known(product_id)

        def read(first: int, last: int) -> tuple[Candle, ...]:
            asked = params.PeriodParams(
                instrument_name=product_id, start_timestamp=first * 1000, end_timestamp=last * 1000, resolution=name
            )
            got = self._link.read("public/get_tradingview_chart_data", asked, market.ChartData)
            with strangeness(f"candles of {product_id}"):
                return convert_market.candles_from(got.body, product)

        return self._bars(start, end, granularity, per_request=BARS_PER_REQUEST, read=read)

    def funding(self, product_id: ProductId, hours: int) -> FundingReport:
        """Funding now, as orders are judged by it, and the venue's history of the last so many full hours."""
        if not 1 <= hours <= FUNDING_HOURS_MAX:
            raise UsageError(f"1 to {FUNDING_HOURS_MAX} hours of funding")
        return self._catalogue.funding(product_id, hours)

    def trades(self, product_id: ProductId, limit: int) -> tuple[PublicTrade, ...]:
        if not 1 <= limit <= TRADES_MAX:
            raise UsageError(f"1 to {TRADES_MAX} trades")
        product = self._catalogue.known(product_id)
        asked = params.TradesParams(instrument_name=product_id, count=limit, sorting="desc")
        got = self._link.read("public/get_last_trades_by_instrument", asked, market.TapeTrades)
        with strangeness(f"trades of {product_id}"):
            found = convert_market.trades_from(got.body, product)
        return tuple(sorted(found, key=lambda trade: trade.time, reverse=True))

    def server_time(self) -> ServerTime:
        return self._venue_clock.measured()

    # account

    def key_facts(self) -> KeyFacts:
        """What the session of this key was granted, by the venue's own words at login. VenueRefusedUs when it was none."""
        body = self._money.summaries().body
        if not self._session.scope:
            raise VenueRefusedUs("the venue granted a session and did not tell its scope")
        return key_facts_of(self._session.scope, body)

    def request_limits(self) -> tuple[RequestLimit, ...]:
        """What the account's own summary tells now of how often it may ask; those it does not tell are not there."""
        return self._money.request_limits()

    def account(self) -> AccountView:
        return self._money.account()

    def positions(self) -> PositionsRead:
        asked = params.PositionsParams(currency=CURRENCY, kind="future", include_isolated=True)
        got = self._link.read("private/get_positions", asked, tuple[accounts.Position, ...])
        sizes = self._catalogue.sizes_with(row.instrument_name for row in got.body)
        with strangeness("the positions"):
            return convert_accounts.positions_from(got.body, sizes, got.answer.asked)

    def fees(self) -> Fees:
        """The highest fees over the perpetuals: the account's own where it is told, else the instruments'."""
        self._catalogue.products()
        own = own_rows(self._money.summaries().body)
        with strangeness("the fees"):
            return convert_accounts.fees_from(own[0] if own else None, self._catalogue.instruments)

    def margin_window(self) -> MarginWindow:
        """This venue has no margin windows: its rates depend on size, not on the hour (api/venues.md section 3)."""
        return NO_WINDOWS

    def transfers(self, since: datetime) -> tuple[Transfer, ...] | None:
        """By the venue's own books; USDC only."""
        return self._books.transfers(since)

    def cash_rows(self, since: datetime) -> tuple[CashRow, ...]:
        """The transaction log of the account and of each isolated slot there ever was."""
        return self._books.cash_rows(since)

    # orders

    def live_orders(self) -> OrdersRead:
        """Every order that rests or waits for a trigger, cross and isolated; and, by id, what was live when we last looked

        and is not listed now (E2): a listing may lag.
        """
        listing = self._lists.open()
        live = self._still_live(
            listing.orders,
            lambda missing: self._lists.each(missing).values(),
            live=lambda order: order.status.live and not moved_on(order),
        )
        return OrdersRead(orders=live, as_of=listing.as_of, pages=listing.pages)

    def orders_since(self, start: datetime) -> OrdersRead:
        listing = self._lists.since(start)
        return OrdersRead(orders=listing.orders, as_of=listing.as_of, pages=listing.pages)

    def foreign_orders(self) -> tuple[ForeignOrder, ...]:
        """Working orders outside our scope (spot): shown, never touched."""
        return self._lists.open().foreign

    def order(self, venue_order_id: VenueOrderId) -> VenueOrder | None:
        """As it stands; a stop that fired is told as the order it became."""
        found = self._lists.one(venue_order_id)
        return found if found is None or not moved_on(found) else self._lists.successor(found) or found

    def fills(self, *, since: datetime | None = None, venue_order_id: VenueOrderId | None = None) -> tuple[Fill, ...]:
        """The recent window and the history joined, each fill once."""
        if venue_order_id is None:
            return self._lists.fills(since)
        return from_moment(self._lists.fills_of(venue_order_id), since)

    def preview(self, order: QuantizedOrder) -> Preview:
        """An estimate: the venue has no preview."""
        return estimate(self._link, self._catalogue, order)

    def cancel(self, venue_order_ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        return self._cancels.each(venue_order_ids)

    def cancel_all(self, product_id: ProductId | None) -> int | None:
        """Isolated orders included; one product's, or every USDC derivative's."""
        return self._cancels.of_perpetuals() if product_id is None else self._cancels.of_product(product_id)

    def by_label(self, label: ClientOrderId) -> tuple[VenueOrder, ...]:
        """Every order the venue knows under this label; more than one is a duplicate (reference section 9)."""
        return self._lists.by_label(label).orders

    def _sought(self, sought: Sought) -> Listing:
        """Reference section 9: by label in any state, by label open; and the history, once labels may be forgotten."""
        start = sought.sent_after - SKEW_TOLERATED
        label = client_order_id(sought.record.intent.id)
        found = self._lists.standing_for(label)
        if self._clock.now() - sought.sent_after > LABEL_REMEMBERED:
            whole = joined([found, self._lists.since(start)], what="the lists by label and the whole history")
            found = standing(whole)
        return self._lists.in_their_terms(found, label)


_is_a_venue: Callable[[GlobalDerivativesVenue], Venue] = lambda venue: venue  # noqa: E731 - a static assertion, for mypy
