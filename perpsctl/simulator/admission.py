"""Whether the venue takes an order: grid, status, session, prices, margin, in that order; the first reason is told.

Words are those of reference appendix A. Which word the venue picks for a given cause is known for few of them; where
it is a guess, the guess is the word that names the cause. Judges only: nothing here changes anything.
"""

from collections.abc import Callable
from decimal import Decimal

from perpsctl.domain.numbers import multiple_of
from perpsctl.simulator.book import BRACKET_KINDS, MARKET_KINDS, STOP_KINDS, TIME_IN_FORCE
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.orders import ConfigKind, OrderRequest, Refused, Side, StopDirection, TimeInForce
from perpsctl.simulator.products import Product
from perpsctl.simulator.state import State

UNKNOWN = "UNKNOWN_FAILURE_REASON"
UNKNOWN_PREVIEW = "UNKNOWN_PREVIEW_FAILURE_REASON"
GTD_KINDS = frozenset({ConfigKind.LIMIT_GTD, ConfigKind.STOP_LIMIT_GTD, ConfigKind.BRACKET_GTD})
ATTACHABLE = frozenset(kind for kind in TIME_IN_FORCE if kind not in STOP_KINDS | BRACKET_KINDS)


def refuse(reason: str, preview_reason: str, message: str) -> Refused:
    """A refusal in the venue's words."""
    return Refused(reason=reason, preview_reason=preview_reason, message=message)


class Admission:
    """Judges orders of one account."""

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._checks: tuple[Callable[[Product, OrderRequest], Refused | None], ...] = (
            self._kind,
            self._status,
            self._size,
            self._prices,
            self._times,
            self._session,
            self._stop,
            self._bracket,
            self._attached,
            self._liquidity,
            self._post_only,
            self._funds,
        )

    def judge(self, request: OrderRequest) -> Refused | None:
        """The first reason against an order, or None."""
        product = self._state.products.get(request.product_id)
        if product is None:
            return refuse("INVALID_PRODUCT_ID", "PREVIEW_INVALID_PRODUCT_ID", "no such product")
        for check in self._checks:
            refusal = check(product, request)
            if refusal is not None:
                return refusal
        return None

    # -- what is asked -------------------------------------------------------------------------------

    def _kind(self, product: Product, request: OrderRequest) -> Refused | None:
        if not product.is_future:
            return refuse(
                "UNTRADABLE_PRODUCT", "PREVIEW_UNTRADABLE_PRODUCT", "this exchange lists spot for discovery only"
            )
        if request.configuration.kind not in TIME_IN_FORCE:
            return refuse(
                "UNSUPPORTED_ORDER_CONFIGURATION", UNKNOWN_PREVIEW, "the order configuration is not supported"
            )
        if request.configuration.reduce_only:
            return refuse(
                "REDUCE_ONLY_NOT_ALLOWED_ON_VENUE",
                "PREVIEW_REDUCE_ONLY_NOT_ALLOWED_ON_VENUE",
                "reduce only is not offered here",
            )
        return None

    def _status(self, product: Product, request: OrderRequest) -> Refused | None:
        status = self._state.status[product.product_id]
        market = request.configuration.kind in MARKET_KINDS
        if status.is_disabled or status.view_only:
            return refuse("UNTRADABLE_PRODUCT", "PREVIEW_UNTRADABLE_PRODUCT", "the product cannot be traded")
        if status.trading_disabled:
            return refuse("TRADING_DISABLED", "PREVIEW_TRADING_DISABLED", "trading is disabled")
        if status.cancel_only:
            return refuse("ORDER_ENTRY_DISABLED", "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", "only cancels are taken")
        if status.limit_only and market:
            return refuse("ORDER_ENTRY_DISABLED", "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", "only limit orders are taken")
        if status.post_only and not request.configuration.post_only:
            return refuse(
                "ORDER_ENTRY_DISABLED", "PREVIEW_NOT_ALLOWED_BY_MARKET_STATE", "only post-only orders are taken"
            )
        if status.auction_mode and TIME_IN_FORCE[request.configuration.kind] in {TimeInForce.IOC, TimeInForce.FOK}:
            return refuse("PRODUCT_TRADING_HALTED", "PREVIEW_PRODUCT_TRADING_HALTED", "the product is in auction")
        return None

    def _size(self, product: Product, request: OrderRequest) -> Refused | None:
        size = request.configuration.base_size
        if size is None:
            return refuse(
                "QUOTE_ORDERS_NOT_ALLOWED_FOR_PRODUCT",
                "PREVIEW_QUOTE_ORDERS_NOT_ALLOWED_FOR_PRODUCT",
                "futures are sized in contracts (base_size)",
            )
        if size < product.base_min_size:
            return refuse(UNKNOWN, "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", f"at least {product.base_min_size} contracts")
        if size > product.base_max_size:
            return refuse(UNKNOWN, "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", f"at most {product.base_max_size} contracts")
        if not multiple_of(size, product.base_increment):
            return refuse(
                "INVALID_SIZE_PRECISION",
                "PREVIEW_INVALID_SIZE_PRECISION",
                f"size moves in steps of {product.base_increment}",
            )
        return None

    def _prices(self, product: Product, request: OrderRequest) -> Refused | None:
        terms = request.configuration
        if terms.kind in MARKET_KINDS:
            return None
        if terms.limit_price is None or terms.limit_price <= 0:
            return refuse("INVALID_LIMIT_PRICE", "PREVIEW_INVALID_LIMIT_PRICE", "a limit price above zero is needed")
        if not multiple_of(terms.limit_price, product.price_increment):
            return refuse(
                "INVALID_PRICE_PRECISION",
                "PREVIEW_INVALID_PRICE_PRECISION",
                f"the price moves in steps of {product.price_increment}",
            )
        stop = terms.stop_price if terms.kind in STOP_KINDS else terms.stop_trigger_price
        if terms.kind in STOP_KINDS | BRACKET_KINDS:
            if stop is None or stop <= 0:
                return refuse(UNKNOWN, "PREVIEW_INVALID_STOP_PRICE", "a stop price above zero is needed")
            if not multiple_of(stop, product.price_increment):
                return refuse(
                    "INVALID_PRICE_PRECISION",
                    "PREVIEW_INVALID_STOP_PRICE_PRECISION",
                    f"the stop moves in steps of {product.price_increment}",
                )
        return None

    def _times(self, product: Product, request: OrderRequest) -> Refused | None:
        terms = request.configuration
        if terms.kind not in GTD_KINDS:
            return None
        if terms.end_time is None:
            return refuse(
                "GTD_ORDERS_MUST_HAVE_END_TIME",
                "PREVIEW_GTD_ORDERS_MUST_HAVE_END_TIME",
                "a good-til-date order needs end_time",
            )
        if terms.end_time <= self._state.now:
            return refuse("END_TIME_IS_IN_THE_PAST", "PREVIEW_END_TIME_IS_IN_THE_PAST", "end_time has passed")
        if product.future is not None and terms.end_time > product.future.contract_expiry:
            return refuse(
                "END_TIME_AFTER_CONTRACT_EXPIRATION",
                "PREVIEW_END_TIME_AFTER_CONTRACT_EXPIRATION",
                "end_time lies after the contract's expiry",
            )
        return None

    def _session(self, product: Product, request: OrderRequest) -> Refused | None:
        state = self._state
        if state.session(product.product_id).is_open:
            return None
        status = state.status[product.product_id]
        if status.after_hours_order_entry_disabled or state.in_maintenance(product.product_id):
            return refuse(
                "INVALID_FCM_TRADING_SESSION", "PREVIEW_INVALID_FCM_TRADING_SESSION", "the trading session is closed"
            )
        if request.configuration.kind in MARKET_KINDS:
            return refuse(
                "FUTURES_AFTER_HOUR_INVALID_ORDER_TYPE",
                "PREVIEW_FUTURES_AFTER_HOUR_INVALID_ORDER_TYPE",
                "no market orders while the session is closed",
            )
        if TIME_IN_FORCE[request.configuration.kind] in {TimeInForce.IOC, TimeInForce.FOK}:
            return refuse(
                "FUTURES_AFTER_HOUR_INVALID_TIME_IN_FORCE",
                "PREVIEW_FUTURES_AFTER_HOUR_INVALID_TIME_IN_FORCE",
                "only GTC and GTD while the session is closed",
            )
        return None

    # -- stops and brackets --------------------------------------------------------------------------

    def _stop(self, product: Product, request: OrderRequest) -> Refused | None:
        terms = request.configuration
        if terms.kind not in STOP_KINDS:
            return None
        assert terms.stop_price is not None
        assert terms.limit_price is not None
        if terms.stop_direction is None:
            return refuse("INVALID_REQUEST", "PREVIEW_INVALID_ORDER_CONFIG", "a stop needs its direction")
        if request.side is Side.BUY and terms.limit_price < terms.stop_price:
            return refuse(UNKNOWN, "PREVIEW_STOP_PRICE_ABOVE_LIMIT_PRICE", "a buy's limit is not below its stop")
        if request.side is Side.SELL and terms.limit_price > terms.stop_price:
            return refuse(UNKNOWN, "PREVIEW_STOP_PRICE_BELOW_LIMIT_PRICE", "a sell's limit is not above its stop")
        last = self._state.tapes[product.product_id].last(self._state.step)
        if terms.stop_direction is StopDirection.UP and terms.stop_price <= last:
            return refuse(
                UNKNOWN, "PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE", "a stop upwards lies above the last trade"
            )
        if terms.stop_direction is StopDirection.DOWN and terms.stop_price >= last:
            return refuse(
                UNKNOWN, "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE", "a stop downwards lies below the last trade"
            )
        return None

    def _bracket(self, product: Product, request: OrderRequest) -> Refused | None:
        terms = request.configuration
        if terms.kind not in BRACKET_KINDS:
            return None
        assert terms.stop_trigger_price is not None
        assert terms.limit_price is not None
        assert terms.base_size is not None
        if (terms.limit_price - terms.stop_trigger_price) * request.side.sign >= 0:
            return refuse(
                "INVALID_BRACKET_PRICES",
                "PREVIEW_INVALID_BRACKET_PRICES",
                "target and stop lie on either side of the market",
            )
        mark = self._state.mark(product.product_id)
        if (mark - terms.stop_trigger_price) * request.side.sign >= 0:
            return refuse(
                "INVALID_BRACKET_STOP_TRIGGER_PRICE", "PREVIEW_INVALID_BRACKET_PRICES", "the stop is already passed"
            )
        if self._state.contracts(product.product_id) * -request.side.sign < terms.base_size:
            return refuse(
                "BRACKET_ORDER_NOT_SUPPORTED",
                "PREVIEW_BRACKET_ORDER_SIZE_EXCEEDS_POSITION",
                "a bracket closes at most the position",
            )
        return None

    def _attached(self, product: Product, request: OrderRequest) -> Refused | None:
        attached = request.attached
        if attached is None:
            return None
        if attached.kind is not ConfigKind.BRACKET_GTC or request.configuration.kind not in ATTACHABLE:
            return refuse(
                "ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
                "PREVIEW_ATTACHED_ORDERS_ONLY_ALLOWED_ON_MARKET_LIMIT",
                "only a bracket, on market and limit orders",
            )
        if attached.base_size is not None:
            return refuse(
                "ATTACHED_ORDER_SIZE_MUST_BE_NIL",
                "PREVIEW_ATTACHED_ORDER_SIZE_MUST_BE_NIL",
                "an attached order takes its parent's size",
            )
        for price, reason in (
            (attached.limit_price, "INVALID_ATTACHED_TAKE_PROFIT_PRICE"),
            (attached.stop_trigger_price, "INVALID_ATTACHED_STOP_LOSS_PRICE"),
        ):
            if price is None or price <= 0:
                return refuse(reason, f"PREVIEW_{reason}", "attached prices are above zero")
            if not multiple_of(price, product.price_increment):
                return refuse(f"{reason}_PRECISION", f"PREVIEW_{reason}_PRECISION", "attached prices lie on the grid")
        assert attached.limit_price is not None
        assert attached.stop_trigger_price is not None
        if (attached.limit_price - attached.stop_trigger_price) * request.side.sign <= 0:
            return refuse(
                "INVALID_BRACKET_PRICES",
                "PREVIEW_INVALID_BRACKET_PRICES",
                "profit and loss lie on either side of the entry",
            )
        return None

    # -- what the market and the account allow -------------------------------------------------------

    def _liquidity(self, product: Product, request: OrderRequest) -> Refused | None:
        if request.configuration.kind not in MARKET_KINDS:
            return None
        found = self._lifecycle.prospect(product.product_id, request.side, 1, None)
        if not found.steps:
            return refuse("INVALID_NO_LIQUIDITY", "PREVIEW_INVALID_NO_LIQUIDITY", "nobody offers the other side")
        return None

    def _post_only(self, product: Product, request: OrderRequest) -> Refused | None:
        terms = request.configuration
        if not terms.post_only or not self._state.trading(product.product_id):
            return None
        ticks = self._lifecycle.ticks_of(product.product_id, terms.limit_price)
        own = self._state.books[product.product_id].best(request.side.other)
        best = self._state.depth(product.product_id, request.side.other, 1) if self._quoted(product) else []
        opposite = [ticks_ for ticks_, _ in best] + ([own.ticks] if own is not None and own.ticks is not None else [])
        if ticks is not None and any((ticks - price) * request.side.sign >= 0 for price in opposite):
            return refuse(
                "INVALID_LIMIT_PRICE_POST_ONLY", "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY", "the order would take at once"
            )
        return None

    def _quoted(self, product: Product) -> bool:
        market = self._state.markets[product.product_id]
        return market.fixed is not None or self._state.touch(product.product_id) is not None

    def _funds(self, product: Product, request: OrderRequest) -> Refused | None:
        size = request.configuration.base_size
        assert size is not None
        if not self.affordable(product.product_id, request.side, size):
            return refuse(
                "INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUNDS_FOR_FUTURES", "not enough margin for this order"
            )
        return None

    def affordable(self, product_id: str, side: Side, size: Decimal, without: str = "") -> bool:
        """True when margin holds with the order working, or the order needs no more than is tied up now."""
        before = self._state.margin(without=without)
        after = self._state.margin((product_id, side, size), without=without)
        if after.initial + after.hold <= before.initial + before.hold:
            return True
        return after.initial + after.hold <= after.equity
