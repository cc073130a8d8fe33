"""What an order would do now, without doing it."""

from decimal import Decimal

from perpsctl.simulator.admission import UNKNOWN, UNKNOWN_PREVIEW, Admission
from perpsctl.simulator.book import commission_parts
from perpsctl.simulator.edits import Edits
from perpsctl.simulator.lifecycle import Lifecycle
from perpsctl.simulator.margin import Exposure, MarginState, liquidation_price
from perpsctl.simulator.matching import Walk
from perpsctl.simulator.orders import ConfigKind, Configuration, EditPreview, EditRequest, OrderRequest, Preview, Side
from perpsctl.simulator.products import Product
from perpsctl.simulator.state import State

ZERO = Decimal(0)
EIGHT = Decimal("0.00000001")
FOUR = Decimal("0.0001")
NO_ERROR = frozenset({UNKNOWN_PREVIEW})


class Previews:
    """Previews of one account."""

    def __init__(self, state: State, lifecycle: Lifecycle, admission: Admission, edits: Edits) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._admission = admission
        self._edits = edits
        self._count = 0

    def preview(self, request: OrderRequest) -> Preview:
        """The order's price, cost and margin; refusals stand in `errors`."""
        refusal = self._admission.judge(request)
        errors: tuple[str, ...] = ()
        if refusal is not None:
            known = refusal.preview_reason not in NO_ERROR
            errors = (
                refusal.preview_reason
                if known
                else f"PREVIEW_{refusal.reason}"
                if refusal.reason != UNKNOWN
                else UNKNOWN_PREVIEW,
            )
        product = self._state.products.get(request.product_id)
        size = request.configuration.base_size or ZERO
        if product is None or not product.is_future or not 0 < size <= product.base_max_size or size % 1:
            return self._figures(None, request, ZERO, errors)
        return self._figures(product, request, size, errors)

    def edit_preview(self, request: EditRequest) -> EditPreview:
        """The order as it would be after the edit."""
        answer = self._edits.judge(request)
        order = self._state.orders.get(request.order_id)
        if not answer.success or order is None:
            return EditPreview(errors=(answer,), preview=None)
        terms = order.configuration
        edited = Configuration(
            kind=terms.kind if terms.kind is not ConfigKind.STOP_LIMIT_GTC else ConfigKind.LIMIT_GTC,
            base_size=(order.size if request.size is None else request.size) - order.filled,
            limit_price=terms.limit_price if request.price is None else request.price,
        )
        as_new = OrderRequest(product_id=order.product_id, side=order.side, configuration=edited)
        product = self._state.products[order.product_id]
        assert edited.base_size is not None
        return EditPreview(errors=(), preview=self._figures(product, as_new, edited.base_size, ()))

    def _figures(
        self, product: Product | None, request: OrderRequest, size: Decimal, errors: tuple[str, ...]
    ) -> Preview:
        state = self._state
        self._count += 1
        before = state.margin()
        extra = None if product is None else (product.product_id, request.side, size)
        after = state.margin(extra)
        found = self._walk(product, request, size)
        price = self._expected_price(product, request, found)
        notional = ZERO if product is None or price is None else size * product.unit_size * price
        fee = notional * (state.maker_fee_rate if not found.steps else state.taker_fee_rate)
        mark = ZERO if product is None else state.mark(product.product_id)
        average = None if product is None else found.average(product.price_increment)
        exposure = None if product is None else self._after_fill(product, request.side, size, mark)
        tied = ZERO if exposure is None else exposure.margin(request.side.sign * size, intraday=state.intraday)
        return Preview(
            errors=errors,
            warnings=(),
            preview_id=state.new_id("preview", self._count),
            base_size=size,
            quote_size=notional,
            order_total=notional + fee,
            commission=commission_parts(fee),
            best_bid=self._best(product, Side.BUY),
            best_ask=self._best(product, Side.SELL),
            average_filled_price=None if average is None else average.quantize(EIGHT).normalize() + ZERO,
            slippage=ZERO if average is None or not mark else (abs(average - mark) / mark).quantize(EIGHT),
            order_margin_total=tied,
            current_liquidation_buffer=before.buffer,
            projected_liquidation_buffer=after.buffer,
            current_margin_ratio=_ratio(before),
            projected_margin_ratio=_ratio(after),
            predicted_liquidation_price=self._liquidation(product, exposure),
            available_buying_power=before.buying_power,
            long_leverage=_leverage(product, long=True, intraday=state.intraday),
            short_leverage=_leverage(product, long=False, intraday=state.intraday),
        )

    def _walk(self, product: Product | None, request: OrderRequest, size: Decimal) -> Walk:
        if product is None or not self._state.trading(product.product_id):
            return Walk((), int(size))
        limit = request.configuration.limit_price
        ticks = None if limit is None else int(limit / product.price_increment)
        if request.configuration.stop_price is not None:
            return Walk((), int(size))  # it would wait for its trigger
        return self._lifecycle.prospect(product.product_id, request.side, int(size), ticks)

    def _expected_price(self, product: Product | None, request: OrderRequest, found: Walk) -> Decimal | None:
        if product is None:
            return None
        limit = request.configuration.limit_price
        average = found.average(product.price_increment)
        if average is None or (limit is not None and found.left):
            return limit if limit is not None else self._state.mark(product.product_id)
        return average.quantize(EIGHT)

    def _after_fill(self, product: Product, side: Side, size: Decimal, mark: Decimal) -> Exposure:
        position = self._state.positions.get(product.product_id)
        return Exposure(
            product=product,
            contracts=self._state.contracts(product.product_id) + side.sign * size,
            buys=ZERO,
            sells=ZERO,
            mark=mark,
            unrealized=ZERO if position is None else position.unrealized(mark, product.unit_size),
        )

    def _liquidation(self, product: Product | None, exposure: Exposure | None) -> Decimal | None:
        if product is None or exposure is None:
            return None
        others = [e for e in self._state.exposures() if e.product.product_id != product.product_id]
        return liquidation_price(
            self._state.cash, [*others, exposure], product.product_id, intraday=self._state.intraday
        )

    def _best(self, product: Product | None, side: Side) -> Decimal | None:
        if product is None:
            return None
        touch = self._state.touch(product.product_id)
        if touch is None:
            return None
        return (touch.bid if side is Side.BUY else touch.ask) * product.price_increment


def _ratio(margin: MarginState) -> Decimal | None:
    return (margin.available / margin.threshold).quantize(FOUR) if margin.threshold else None


def _leverage(product: Product | None, *, long: bool, intraday: bool) -> Decimal:
    if product is None or product.future is None:
        return Decimal(1)
    rates = product.future.intraday if intraday else product.future.overnight
    return (1 / (rates.long if long else rates.short)).quantize(FOUR)
