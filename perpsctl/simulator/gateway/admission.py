"""Whether the gateway takes an order: gates, size, words, price, post-only, margin, in that order; the first reason is told.

Judges only: nothing here changes anything. A refusal is `RpcError`; which code answers which cause is in `refusal.py`.
"""

from dataclasses import dataclass
from decimal import Decimal

from perpsctl.domain.numbers import multiple_of
from perpsctl.simulator.gateway.lifecycle import GatewayLifecycle
from perpsctl.simulator.gateway.refusal import RpcError, bad
from perpsctl.simulator.gateway.state import CROSS, GatewayState, Scope
from perpsctl.simulator.margin import CENT
from perpsctl.simulator.orders import ConfigKind, Side, StopDirection
from perpsctl.simulator.tape import micros

ZERO = Decimal(0)
TRIGGERS_MAX = 100  # ours: the gateway's number is not on record
PLAIN_KINDS = frozenset({"limit", "market", "market_limit"})
TRIGGER_KINDS = frozenset({"stop_limit", "stop_market", "take_limit", "take_market"})
DAY_AND_CANCELLED = frozenset({"good_til_cancelled", "good_til_day"})
LIMIT_KINDS = {
    "good_til_cancelled": ConfigKind.LIMIT_GTC,
    "good_til_day": ConfigKind.LIMIT_GTC,
    "immediate_or_cancel": ConfigKind.LIMIT_IOC,
    "fill_or_kill": ConfigKind.LIMIT_FOK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a client asks for in buy or sell."""

    product_id: str
    side: Side
    contracts: Decimal
    kind: str = "limit"
    price: Decimal | None = None
    time_in_force: str = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    label: str = ""
    trigger: str | None = None
    trigger_price: Decimal | None = None
    isolated: bool = False
    allocated_margin: Decimal | None = None
    valid_until_ms: int | None = None
    connection: str = ""


class GatewayAdmission:
    """Judges orders and edits of the gateway's account."""

    def __init__(self, state: GatewayState, lifecycle: GatewayLifecycle) -> None:
        self._gateway = state
        self._lifecycle = lifecycle

    def open_for(self, product_id: str, valid_until_ms: int | None, *, entry: bool) -> None:
        """The request is in time and the instrument takes orders (`entry`) or edits."""
        state = self._gateway
        if product_id not in state.products:
            raise RpcError(10020)
        if valid_until_ms is not None and micros(state.now) > valid_until_ms * 1000:
            raise RpcError(13888)
        status = state.status[product_id]
        if state.locked:
            raise RpcError(10019)
        if state.in_maintenance(product_id):
            raise RpcError(11051)
        if state.settling:
            raise RpcError(10041)
        if status.is_disabled or status.view_only or status.trading_disabled or status.session_closed:
            raise RpcError(10012)
        if entry and (status.cancel_only or status.auction_mode):
            raise RpcError(10012)

    def size(self, product_id: str, contracts: Decimal) -> None:
        """The size lies on the grid and within bounds."""
        product = self._gateway.products[product_id]
        if contracts < product.base_min_size:
            raise RpcError(10002)
        if not multiple_of(contracts, product.base_increment):
            raise bad("amount", f"must be a multiple of contract size {product.unit_size}")
        if contracts > product.base_max_size:
            raise RpcError(10021)

    @staticmethod
    def words(terms: Terms) -> None:
        """Every word is one the gateway knows, and those given go together."""
        if terms.kind not in PLAIN_KINDS | TRIGGER_KINDS:
            raise RpcError(10033, None, {"reason": f"this exchange does not offer type {terms.kind}"})
        if terms.time_in_force not in LIMIT_KINDS:
            raise bad("time_in_force", "unknown value")
        if terms.post_only and (
            terms.kind in {"market", "market_limit"} or terms.time_in_force not in DAY_AND_CANCELLED
        ):
            raise RpcError(11055)
        if terms.reject_post_only and not terms.post_only:
            raise bad("reject_post_only", "needs post_only")
        if terms.kind in TRIGGER_KINDS:
            if terms.trigger_price is None:
                raise bad("trigger_price", "required")
            if terms.trigger not in {"mark_price", "index_price", "last_price"}:
                raise bad("trigger", "must be one of index_price, mark_price, last_price")
        elif terms.trigger_price is not None or terms.trigger is not None:
            raise RpcError(11047)

    def price(self, terms: Terms) -> Decimal | None:
        """The price the order stands at: moved to the allowed band without a word; None waits for a trigger's market."""
        state = self._gateway
        step = state.products[terms.product_id].price_increment
        lowest, highest = state.limits(terms.product_id)
        bound = highest if terms.side is Side.BUY else lowest
        self._trigger_price(terms, step)
        if terms.kind in {"market", "stop_market", "take_market"}:
            if terms.kind == "market" and not self._lifecycle.prospect(terms.product_id, terms.side, 1, None).steps:
                raise RpcError(11030, "other_reject no_liquidity")
            return bound if terms.kind == "market" else None
        if terms.kind == "market_limit":
            best = self._lifecycle.prospect(terms.product_id, terms.side, 1, None).steps
            if not best:
                raise RpcError(11030, "other_reject no_liquidity")
            return best[0][0] * step
        if terms.price is None:
            raise bad("price", "required")
        if terms.kind in TRIGGER_KINDS:  # the band of the moment it triggers applies
            return self.on_grid(terms.product_id, terms.price)
        return self.clamped(terms.product_id, terms.side, terms.price)

    def on_grid(self, product_id: str, price: Decimal) -> Decimal:
        """A price above zero on the grid, as it is."""
        if price <= 0:
            raise RpcError(10011)
        if not multiple_of(price, self._gateway.products[product_id].price_increment):
            raise RpcError(10043)
        return price

    def clamped(self, product_id: str, side: Side, price: Decimal) -> Decimal:
        """Buys above the maximum and sells below the minimum are moved there without a word (reference section 7)."""
        self.on_grid(product_id, price)
        lowest, highest = self._gateway.limits(product_id)
        return min(price, highest) if side is Side.BUY else max(price, lowest)

    def _trigger_price(self, terms: Terms, step: Decimal) -> None:
        if terms.trigger_price is None:
            return
        if terms.trigger_price <= 0 or not multiple_of(terms.trigger_price, step):
            raise RpcError(10043)
        mark = self._gateway.mark(terms.product_id)
        if direction(terms) is StopDirection.UP and terms.trigger_price <= mark:
            raise RpcError(10035)
        if direction(terms) is StopDirection.DOWN and terms.trigger_price >= mark:
            raise RpcError(10034)
        waiting = sum(1 for order in self._gateway.own_orders() if order.live and order.is_trigger)
        if waiting >= TRIGGERS_MAX:
            raise RpcError(11035, f"no_more_triggers {TRIGGERS_MAX}")

    def reducing(self, terms: Terms) -> Decimal:
        """The size an order may have: a reduce-only one is cut to what it can reduce."""
        if not terms.reduce_only:
            return terms.contracts
        slot = self._gateway.slots.get(terms.product_id, -1) if terms.isolated else CROSS
        room = -self._gateway.held((terms.product_id, slot)) * terms.side.sign
        if room <= 0:
            if terms.kind in TRIGGER_KINDS:
                return terms.contracts  # judged when it triggers
            raise RpcError(11030, "other_reject reduce_direction")
        return min(terms.contracts, room)

    def scope(self, terms: Terms) -> Scope:
        """Whose position it would change; slot -1 stands for an isolated slot that is yet to be made."""
        if not terms.isolated:
            if terms.allocated_margin is not None:
                raise bad("allocated_margin", "needs isolated")
            return terms.product_id, CROSS
        if terms.kind in TRIGGER_KINDS:
            raise RpcError(11047)
        known = self._gateway.slots.get(terms.product_id)
        if known is None and self._gateway.free_slot() is None:
            raise RpcError(12001)
        return terms.product_id, -1 if known is None else known

    def outside(self, product_id: str, side: Side, price: Decimal | None, *, reject: bool) -> Decimal | None:
        """The price of a post-only order: refused where it would take, or moved to just outside the spread."""
        if price is None:
            return None
        state = self._gateway
        step = state.products[product_id].price_increment
        own = state.books[product_id].best(side.other)
        best = self._lifecycle.prospect(product_id, side, 1, None).steps
        opposite = [ticks for ticks, _ in best] + ([own.ticks] if own is not None and own.ticks is not None else [])
        if not opposite:
            return price
        nearest = min(opposite) if side is Side.BUY else max(opposite)
        if (price - nearest * step) * side.sign < 0:
            return price
        if reject:
            raise RpcError(11054)
        return (nearest - side.sign) * step

    def fund(self, terms: Terms, scope: Scope, contracts: Decimal) -> None:
        """Margin for the order: from the cross account, or moved to the isolated slot."""
        state = self._gateway
        if not terms.isolated:
            after = state.money(CROSS, (scope, terms.side, contracts))
            if after.initial > after.equity and after.initial > state.money(CROSS).initial:
                raise RpcError(10009)
            return
        slot = scope[1]
        required = state.scope_initial(scope, contracts)
        if slot >= 0:
            after = state.money(slot, (scope, terms.side, contracts))
            required = max(ZERO, after.initial - after.equity)
        required = required.quantize(CENT) + CENT if required else ZERO
        given = terms.allocated_margin
        if given is not None and given < required:
            raise RpcError(14033, None, {"required_minimum": required, "suggested_amount": required * 2})
        wanted = required if given is None else given
        if wanted > state.money(CROSS).available:
            raise RpcError(14034, None, {"required_minimum": required, "suggested_amount": required})


def direction(terms: Terms) -> StopDirection:
    """Which way the trigger lies: a stop buy above, a take buy below."""
    up = (terms.side is Side.BUY) == terms.kind.startswith("stop")
    return StopDirection.UP if up else StopDirection.DOWN
