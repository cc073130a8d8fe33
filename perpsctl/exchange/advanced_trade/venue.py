"""AdvancedTradeVenue: the `Venue` port on the US venue, domain values in and out.

Reads answer whole or raise; writes are sent once and never raise. Sizes are coin on this side of `wire`.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from requests.adapters import BaseAdapter

from perpsctl.domain.accounts import (
    AccountView,
    Fees,
    MarginWindow,
    OrdersRead,
    PositionsRead,
    ServerTime,
    Transfer,
)
from perpsctl.domain.cash import CashRow
from perpsctl.domain.errors import PerpsctlError, UsageError, VenueRefusedRequest, VenueSpokeStrangely
from perpsctl.domain.funding import FundingReport
from perpsctl.domain.ids import Ids, ProductId, VenueOrderId
from perpsctl.domain.market import BookView, Candle, FundingTerms, PublicTrade
from perpsctl.domain.orders import (
    CancelResult,
    Fill,
    Preview,
    QuantizedEdit,
    QuantizedOrder,
    VenueOrder,
)
from perpsctl.domain.ports import Clock, Venue
from perpsctl.domain.products import DoubtTerms, VenueCapabilities, VenueId
from perpsctl.domain.reports import KeyFacts
from perpsctl.exchange.advanced_trade.candles import BARS_PER_REQUEST, granularity_of
from perpsctl.exchange.advanced_trade.catalogue import Catalogue
from perpsctl.exchange.advanced_trade.link import Ask, Link, in_path, strangeness
from perpsctl.exchange.advanced_trade.listings import SOURCES, Lists
from perpsctl.exchange.advanced_trade.live_lists import LiveLists
from perpsctl.exchange.advanced_trade.writes import Writes
from perpsctl.exchange.common_venue import CommonVenue, from_moment
from perpsctl.exchange.credentials import Credentials
from perpsctl.exchange.hosts import Endpoint
from perpsctl.exchange.listing import ForeignOrder, Listing, joined
from perpsctl.exchange.pacing import Pacer, Priority
from perpsctl.exchange.retrying import CANCELS, READS, RetryPolicy
from perpsctl.exchange.search import LISTINGS_APART, SKEW_TOLERATED, VISIBILITY, Search
from perpsctl.exchange.signing import WRITE_TTL, Signer
from perpsctl.exchange.transport import Observer, Timing, Transport
from perpsctl.wire.advanced_trade import (
    accounts,
    convert_accounts,
    convert_market,
    convert_orders,
    futures,
    market,
    orders,
    outcomes,
    reading,
    requests,
)
from perpsctl.wire.guard import encode

__all__ = ["US_CAPABILITIES", "AdvancedTradeVenue"]

US_CAPABILITIES = VenueCapabilities(
    venue=VenueId.US,
    dedupes_client_id=True,
    has_preview=True,
    has_cancel_on_disconnect=False,
    has_server_expiry=False,
    native_reduce_only=False,
    native_gtd=True,
    publishes_mark=False,
    ws_order_snapshot=True,
    leverage_settable=False,
    requests_per_second_private=30,
    requests_per_second_public=10,
    cancel_batch=100,
    doubt=DoubtTerms(write_ttl=WRITE_TTL, visibility=VISIBILITY, listings=2, listings_apart=LISTINGS_APART),
)
MANY = 10  # orders to ask for by id; more are asked for as a list first
IDS_PER_LIST = 50  # that many ids stay below what any server takes as an address
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)


class AdvancedTradeVenue(CommonVenue):
    """Coinbase Advanced Trade with one key, or with none for public reads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        clock: Clock,
        ids: Ids,
        *,
        capabilities: VenueCapabilities = US_CAPABILITIES,
        timing: Timing | None = None,
        adapter: BaseAdapter | None = None,
        observer: Observer | None = None,
        pacer: Pacer | None = None,
        reads: RetryPolicy = READS,
        cancels: RetryPolicy = CANCELS,
    ) -> None:
        """`adapter` replaces the socket (in-process simulator, tests); `pacer` is shared where several venues share a key."""
        transport = Transport(endpoint, clock, timing=timing, adapter=adapter, observer=observer)
        signer = Signer(credentials, endpoint.authority) if credentials is not None and endpoint.signs else None
        pacer = pacer or Pacer(
            clock,
            private_per_second=capabilities.requests_per_second_private,
            public_per_second=capabilities.requests_per_second_public,
        )
        self._link = Link(transport, signer, pacer, clock, ids, reads=reads, cancels=cancels)
        self._catalogue = Catalogue(self._link)
        self._lists = Lists(self._link, self._catalogue)
        self._live = LiveLists(self._lists, clock)
        self._writes = Writes(self._link, self.order)
        search = Search(
            clock=clock,
            by_id=self.order,
            since=lambda sought: self._since(sought.sent_after - SKEW_TOLERATED),
            fills_since=lambda sought: self.fills(since=sought.sent_after - SKEW_TOLERATED),
        )
        super().__init__(
            capabilities=capabilities,
            clock=clock,
            transport=transport,
            products=self._catalogue,
            writes=self._writes,
            search=search,
        )

    @property
    def link(self) -> Link:
        """For the endpoints beyond the port (`operations`): one key, one budget, one connection."""
        return self._link

    # market

    def book(self, product_id: ProductId, depth: int) -> BookView:
        product = self._catalogue.known(product_id)
        query = (("product_id", product_id), ("limit", str(depth)))
        ask = Ask(path="/product_book", public_path="/market/product_book", query=query)
        reply = self._link.read(ask, market.ProductBookReply)
        with strangeness(f"the book of {product_id}"):
            return convert_market.book_from(reply.body, product, reply.answer.asked)

    def best_bid_ask(self, product_id: ProductId) -> BookView | None:
        """The best level a side as a one-level book; None when the venue does not list the product there."""
        product = self._catalogue.known(product_id)
        reply = self._link.read(Ask(path="/best_bid_ask", query=(("product_ids", product_id),)), market.BestBidAskReply)
        with strangeness(f"best bid and ask of {product_id}"):
            return convert_market.best_bid_ask_from(reply.body, product, reply.answer.asked)

    def candles(
        self, product_id: ProductId, *, start: datetime, end: datetime, granularity: timedelta
    ) -> tuple[Candle, ...]:
        """Bars that start in [start, end), oldest first. Ranges over the venue's 350 bars are read in several requests."""
        name = granularity_of(granularity)
        product = self._catalogue.known(product_id)
        path = f"/products/{in_path(product_id)}/candles"

        def read(first: int, last: int) -> tuple[Candle, ...]:
            query = (("start", str(first)), ("end", str(last)), ("granularity", name), ("limit", "350"))
            reply = self._link.read(Ask(path=path, public_path=f"/market{path}", query=query), market.CandlesReply)
            with strangeness(f"candles of {product_id}"):
                return convert_market.candles_from(reply.body, product)

        return self._bars(start, end, granularity, per_request=BARS_PER_REQUEST, read=read)

    def trades(self, product_id: ProductId, limit: int) -> tuple[PublicTrade, ...]:
        if limit < 1:
            raise UsageError("at least one trade")
        product = self._catalogue.known(product_id)
        path = f"/products/{in_path(product_id)}/ticker"
        ask = Ask(path=path, public_path=f"/market{path}", query=(("limit", str(limit)),))
        reply = self._link.read(ask, market.TickerTradesReply)
        with strangeness(f"trades of {product_id}"):
            return convert_market.trades_from(reply.body, product)

    def server_time(self) -> ServerTime:
        """The venue's clock against ours at the middle of the flight; a whole-second answer adds half a second of doubt."""
        reply = self._link.read(Ask(path="/time", open_to_all=True), market.ServerTime)
        with strangeness("the venue's clock"):
            theirs = convert_market.server_time_from(reply.body)
        answer = reply.answer
        half_trip = timedelta(microseconds=(answer.arrived_ns - answer.sent_ns) // 2000)
        exact = reading.text(reply.body.epoch_millis) != ""
        grain = MILLISECOND if exact else timedelta(seconds=1)
        ours = answer.arrived - half_trip
        return ServerTime(
            venue_time=theirs, skew=theirs + grain / 2 - ours, uncertainty=half_trip + grain / 2, as_of=ours
        )

    # account

    def key_facts(self) -> KeyFacts:
        reply = self._link.read(Ask(path="/key_permissions"), accounts.KeyPermissions)
        with strangeness("the key's permissions"):
            return convert_accounts.key_facts_from(reply.body)

    def account(self) -> AccountView:
        reply = self._link.read(Ask(path="/cfm/balance_summary"), futures.BalanceSummaryReply)
        try:
            with strangeness("the balance summary"):
                return convert_accounts.account_from(reply.body, reply.answer.asked)
        except VenueSpokeStrangely:
            if isinstance(reply.body.balance_summary, futures.BalanceSummary):
                raise
        raise VenueRefusedRequest(
            "the account has no futures wallet",
            reason="no_futures_wallet",
            fix="open a futures account at Coinbase Financial Markets, or use a key of the portfolio that has one",
        )

    def positions(self) -> PositionsRead:
        reply = self._link.read(Ask(path="/cfm/positions"), futures.FuturesPositionsReply)
        with strangeness("the positions"):
            for row in reading.required(reply.body.positions, "positions"):
                self._catalogue.sizes_with(reading.product_id(row.product_id))
            return convert_accounts.positions_from(reply.body, self._catalogue.sizes, reply.answer.asked)

    def fees(self) -> Fees:
        query = (("product_type", "FUTURE"),)
        reply = self._link.read(Ask(path="/transaction_summary", query=query), accounts.TransactionSummary)
        with strangeness("the fee summary"):
            return convert_accounts.fees_from(reply.body)

    def margin_window(self) -> MarginWindow:
        setting = self._margin_setting()
        intraday = setting is not None and setting.setting == "INTRADAY_MARGIN_SETTING_INTRADAY"
        profile = "RETAIL_INTRADAY_MARGIN_1" if intraday else "RETAIL_REGULAR"
        query = (("margin_profile_type", f"MARGIN_PROFILE_TYPE_{profile}"),)
        reply = self._link.read(Ask(path="/cfm/intraday/current_margin_window", query=query), futures.MarginWindowReply)
        with strangeness("the margin window"):
            return convert_accounts.margin_window_from(reply.body, setting)

    def transfers(self, since: datetime) -> tuple[Transfer, ...] | None:
        """None: no endpoint of this venue is known that tells them (reference section 5, 2026-11-22)."""
        return None

    def cash_rows(self, since: datetime) -> tuple[CashRow, ...] | None:
        """None: no row of this venue's books is known to any endpoint (reference sections 7, 12, 2026-11-22)."""
        return None

    def _margin_setting(self) -> futures.MarginSetting | None:
        try:
            return self._link.read(Ask(path="/cfm/intraday/margin_setting"), futures.MarginSetting).body
        except VenueRefusedRequest:  # not every account has the choice; then nobody knows, and None says so
            return None

    # orders

    def live_orders(self) -> OrdersRead:
        """Every order that could still fill, of every source (`live_lists`).

        Then, by id, whatever was live when we last looked and is told neither as live nor as ended now (E2).
        """
        read = self._live.read()
        listing = read.listing
        self._writes.note(*(order.venue_order_id for order in listing.orders), *read.ended)
        live = self._still_live(
            listing.orders, self._known_ones, live=lambda order: order.status.live, ended=read.ended
        )
        return OrdersRead(orders=live, as_of=listing.as_of, pages=listing.pages)

    def _known_ones(self, order_ids: Collection[VenueOrderId]) -> tuple[VenueOrder, ...]:
        """Many are asked for as a list first; what it does not tell, or where it is refused, each by its id."""
        wanted = tuple(order_ids)
        told: dict[VenueOrderId, VenueOrder] = {}
        if len(wanted) > MANY:
            for at in range(0, len(wanted), IDS_PER_LIST):
                named = tuple(("order_ids", str(order_id)) for order_id in wanted[at : at + IDS_PER_LIST])
                for source in SOURCES:
                    with suppress(VenueRefusedRequest):
                        listing = self._lists.read_orders((("order_placement_source", source), *named))
                        told.update((order.venue_order_id, order) for order in listing.orders)
        found = (told.get(order_id) or self.order(order_id) for order_id in wanted)
        return tuple(order for order in found if order is not None)

    def orders_since(self, start: datetime) -> OrdersRead:
        listing = self._since(start)
        return OrdersRead(orders=listing.orders, as_of=listing.as_of, pages=listing.pages)

    def foreign_orders(self) -> tuple[ForeignOrder, ...]:
        """Working orders outside our scope (spot and the like), of every source: shown, never touched."""
        still_open = ("order_status", "OPEN")
        return joined(
            self._lists.read_orders((("order_placement_source", source), still_open)) for source in SOURCES
        ).foreign

    def _since(self, start: datetime) -> Listing:
        since = ("start_date", reading.rfc3339(start.astimezone(UTC)))
        whole = joined(self._lists.read_orders((("order_placement_source", source), since)) for source in SOURCES)
        self._writes.note(*(order.venue_order_id for order in whole.orders))
        return whole

    def order(self, venue_order_id: VenueOrderId) -> VenueOrder | None:
        path = f"/orders/historical/{in_path(venue_order_id)}"
        try:
            reply = self._link.read(Ask(path=path), orders.OrderReply)
        except VenueRefusedRequest as refused:
            if _unknown_order(refused):
                return None
            raise
        with strangeness(f"order {venue_order_id}"):
            body = reading.required(reply.body.order, "order")
            if body.order_id != venue_order_id:
                self._transport.forget_connections()
                raise VenueSpokeStrangely("the venue answered with another order than was asked for")
            sizes = self._lists.sizes_for(body.product_id, body.product_type)
            if sizes is None:
                raise VenueRefusedRequest(
                    f"order {venue_order_id} is no derivatives order",
                    reason="out_of_scope",
                    fix="spot orders are not touched",
                )
            return convert_orders.order_from(body, sizes, reply.answer.asked)

    def fills(self, *, since: datetime | None = None, venue_order_id: VenueOrderId | None = None) -> tuple[Fill, ...]:
        """`order_ids` excludes every other filter (hummingbot/hummingbot#7220), so `since` is applied here as well."""
        if venue_order_id is not None:
            found = self._lists.read_fills((("order_ids", venue_order_id),))
            wrong = next((fill for fill in found if fill.venue_order_id != venue_order_id), None)
            if wrong is not None:
                raise VenueSpokeStrangely(f"fills of another order than {venue_order_id} were sent")
        elif since is not None:
            found = self._lists.read_fills((("start_sequence_timestamp", reading.rfc3339(since.astimezone(UTC))),))
        else:
            found = self._lists.read_fills(())
        return from_moment(found, since)

    def funding(self, product_id: ProductId, hours: int) -> FundingReport:
        """Funding now; of the past nothing, however many hours are asked for: v3 publishes no history (reference 12)."""
        if hours < 1:
            raise UsageError("funding of at least one hour")
        product = self.product(product_id)
        nothing = FundingTerms(rate=None, interval=None, next_accrual=None, as_of=product.as_of)
        return FundingReport(
            product_id=product.product_id,
            terms=product.funding or nothing,
            hours=None,
            sums=(),
            last_full=None,
            accruing=None,
            as_of=product.as_of,
        )

    def preview(self, order: QuantizedOrder) -> Preview:
        body = encode(requests.preview_request(order))
        reply = self._link.read(Ask(method="POST", path="/orders/preview", body=body), orders.PreviewReply)
        with strangeness("the preview"):
            return convert_orders.preview_from(reply.body)

    def preview_edit(self, edit: QuantizedEdit) -> Preview:
        """What the venue says an edit would do."""
        body = encode(requests.edit_request(edit))
        reply = self._link.read(Ask(method="POST", path="/orders/edit_preview", body=body), orders.PreviewReply)
        with strangeness("the preview of the edit"):
            return convert_orders.preview_from(reply.body)

    def cancel(self, venue_order_ids: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        """One result per order, in the order given. A batch without an answer does not stop the others.

        Raises only when no batch was answered; else the orders of an unanswered one come back as not accepted.
        """
        unique = tuple(dict.fromkeys(venue_order_ids))
        size = self._capabilities.cancel_batch
        results: dict[VenueOrderId, CancelResult] = {}
        failures: list[PerpsctlError] = []
        batches = [unique[at : at + size] for at in range(0, len(unique), size)]
        for batch in batches:
            try:
                results.update((result.venue_order_id, result) for result in self._cancel_batch(batch))
            except PerpsctlError as failure:
                failures.append(failure)
                results.update((missed, _unanswered(missed, failure)) for missed in batch)
        if failures and len(failures) == len(batches):
            raise failures[0]
        return tuple(results[asked] for asked in unique)

    def cancel_all(self, product_id: ProductId | None) -> int | None:
        """None: the venue cancels by id only (reference section 6.4, 2026-11-22)."""
        return None

    def _cancel_batch(self, batch: Sequence[VenueOrderId]) -> tuple[CancelResult, ...]:
        body = encode(requests.cancel_request(batch))
        ask = Ask(method="POST", path="/orders/batch_cancel", body=body, priority=Priority.CANCEL)
        reply = self._link.read(ask, orders.CancelReply)
        with strangeness("the answer to the cancel"):
            return outcomes.cancel_results(reply.body, batch)


def _unanswered(missed: VenueOrderId, failure: PerpsctlError) -> CancelResult:
    return CancelResult(venue_order_id=missed, accepted=False, reason=f"no answer: {failure.message}")


def _unknown_order(refused: VenueRefusedRequest) -> bool:
    """A parsed 404, or the recorded wording (reference section 6.6: status UNVERIFIED, text on record)."""
    words = refused.message.lower()
    return "http 404" in words or "was not found" in words


_is_a_venue: Callable[[AdvancedTradeVenue], Venue] = lambda venue: venue  # noqa: E731 - a static assertion, for mypy
