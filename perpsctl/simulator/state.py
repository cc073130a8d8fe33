"""Everything one account of the exchange consists of, and the figures that follow from it. Nothing here decides.

A start or reset makes a new `State`: another portfolio, an empty book, the path at its beginning. Memory is bounded:
finished orders, fills, requests and cash rows are kept up to a cap.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from perpsctl.simulator.book import LiveOrder, RestingBook
from perpsctl.simulator.calendar import Calendar, Session
from perpsctl.simulator.funding import FundingRates
from perpsctl.simulator.generator import GeneratedPath, Path
from perpsctl.simulator.ledger import CBI, CFM, Ledger, Position
from perpsctl.simulator.margin import Exposure, MarginState, measure
from perpsctl.simulator.market import Market, Touch
from perpsctl.simulator.options import Options
from perpsctl.simulator.orders import FillView, Side
from perpsctl.simulator.products import BIT, LISTED, PERP_OF_COIN, PERPS, SPOT, Product, Status
from perpsctl.simulator.recordings import BadRecording, coin_of
from perpsctl.simulator.replay import open_replay
from perpsctl.simulator.seeded import identifier
from perpsctl.simulator.tape import Tape, Timeline, micros
from perpsctl.simulator.views import JudgedRequest, PortfolioView, SweepView

ORDERS_KEPT = 20_000
FILLS_KEPT = 50_000
REQUESTS_KEPT = 50_000
ZERO = Decimal(0)
STANDARD = "INTRADAY_MARGIN_SETTING_STANDARD"
INTRADAY = "INTRADAY_MARGIN_SETTING_INTRADAY"


class State:
    """One account, its products, its market and its clocked facts. Guarded by the exchange's lock."""

    LISTED: ClassVar[tuple[Product, ...]] = LISTED

    def __init__(self, options: Options, start: datetime, account: int) -> None:
        self.options = options
        self.account = account
        self.start = start
        self.now = start
        self.user_id = identifier(options.seed, "user")
        self.portfolio_uuid = identifier(options.seed, "portfolio", account)
        self.timeline = Timeline(start, options.speed)
        self.calendar = Calendar(options.calendar, start)
        self.funding = FundingRates()
        self.products: dict[str, Product] = {product.product_id: product for product in self.LISTED}
        self.status: dict[str, Status] = {product_id: Status() for product_id in self.products}
        self.markets = self._open_markets()
        self.tapes = {product_id: Tape(market, self.timeline) for product_id, market in self.markets.items()}
        self.marks: dict[str, Decimal] = {}
        self.maker_fee_rate = options.maker_fee_rate
        self.taker_fee_rate = options.taker_fee_rate
        self.dedupe = options.dedupe
        self.margin_setting = STANDARD
        self.sweep: SweepView | None = None
        self.other_portfolios: dict[str, PortfolioView] = {}
        self.portfolio_name = "Perps"

        self.ledger = Ledger()
        self._open_wallets()
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, LiveOrder] = {}
        self.live: dict[str, LiveOrder] = {}
        self.books: dict[str, RestingBook] = {product_id: RestingBook() for product_id in self.products}
        self.stops: dict[str, list[LiveOrder]] = {product_id: [] for product_id in self.products}
        self.client_ids: dict[str, tuple[str, datetime]] = {}
        self.fills: deque[FillView] = deque(maxlen=FILLS_KEPT)
        self.requests: deque[JudgedRequest] = deque(maxlen=REQUESTS_KEPT)
        self.fill_count = 0
        self.order_count = 0
        self.request_count = 0
        self.rank = 0
        self.total_volume = ZERO
        self.total_fees = ZERO

    def _open_wallets(self) -> None:
        options = self.options
        self.ledger.post(at=self.start, kind="opening", wallet=CBI, amount=options.cbi_usd)
        self.ledger.post(at=self.start, kind="opening", wallet=CFM, amount=options.cfm_usd)

    def _open_markets(self) -> dict[str, Market]:
        options = self.options
        paths: dict[str, Path] = {
            product.product_id: GeneratedPath(
                seed=options.seed,
                name=product.coin,
                base=float(product.start_price),
                volatility=float(product.volatility),
            )
            for product in PERPS
        }
        if options.replay is not None:
            product_id = options.replay.product_id or PERP_OF_COIN[coin_of(options.replay.path)]
            if product_id not in paths:
                raise BadRecording(options.replay.path, "can drive a perpetual product only")
            paths[product_id] = open_replay(options.replay, self.products[product_id].coin.lower(), paths[product_id])
        markets = {
            product.product_id: Market(
                product, paths[product.product_id], seed=options.seed, depth_usd=options.depth_usd
            )
            for product in PERPS
        }
        bitcoin = paths[PERP_OF_COIN["btc"]]
        markets[BIT.product_id] = Market(BIT, bitcoin, seed=options.seed, depth_usd=options.depth_usd, ratio=1.0095)
        markets[SPOT.product_id] = Market(SPOT, bitcoin, seed=options.seed, depth_usd=options.depth_usd, ratio=0.9999)
        return markets

    # -- time ----------------------------------------------------------------------------------------

    @property
    def host_us(self) -> int:
        """Now, in microseconds since 1970."""
        return micros(self.now)

    @property
    def step(self) -> int:
        """The path step in force now."""
        return self.timeline.step(self.host_us)

    @contextmanager
    def as_of(self, at: datetime | None) -> Iterator[None]:
        """Reads inside are those of an earlier instant (None: of now). Nothing may be changed in there (fault M2)."""
        now = self.now
        self.now = now if at is None else at
        try:
            yield
        finally:
            self.now = now

    # -- market --------------------------------------------------------------------------------------

    def touch(self, product_id: str) -> Touch | None:
        """The makers' best prices now; None when control left a side empty."""
        return self.markets[product_id].touch(self.step)

    def mark(self, product_id: str) -> Decimal:
        """Mid of the makers' touch; the last one known where a side is empty."""
        touch = self.touch(product_id)
        if touch is not None:
            self.marks[product_id] = Decimal(touch.bid + touch.ask) / 2 * self.products[product_id].price_increment
        return self.marks.get(product_id, self.products[product_id].start_price)

    def depth(self, product_id: str, side: Side, levels: int | None = None) -> list[tuple[int, int]]:
        """Makers' depth now on one side, best first."""
        return self.markets[product_id].ladder(side, self.step, self.host_us, levels)

    def session(self, product_id: str) -> Session:
        """The product's trading session now; control and maintenance can shut it."""
        session = self.calendar.session(self.now)
        if self._shut(product_id):
            return Session(is_open=False, open_time=session.open_time, close_time=session.close_time)
        return session

    def _shut(self, product_id: str) -> bool:
        status = self.status[product_id]
        return status.session_closed or self.in_maintenance(product_id)

    def in_maintenance(self, product_id: str) -> bool:
        """True while the product is under maintenance."""
        status = self.status[product_id]
        window = status.maintenance_window
        return status.maintenance or (window is not None and window[0] <= self.now < window[1])

    def trading(self, product_id: str) -> bool:
        """True when resting orders of the product can match now."""
        product = self.products[product_id]
        return product.is_future and self.status[product_id].matching and self.session(product_id).is_open

    # -- account -------------------------------------------------------------------------------------

    @property
    def cash(self) -> Decimal:
        """Spot and futures USD together."""
        return self.ledger.balance(CBI) + self.ledger.balance(CFM)

    def contracts(self, product_id: str) -> Decimal:
        """Signed contracts held."""
        position = self.positions.get(product_id)
        return ZERO if position is None else position.contracts

    def exposed(self, product_id: str) -> bool:
        """True while a position is held in the product."""
        return bool(self.contracts(product_id))

    def working(self, product_id: str) -> tuple[Decimal, Decimal]:
        """Contracts that live buys and sells may still fill."""
        buys = sells = ZERO
        for order in self.live.values():
            if order.product_id == product_id:
                if order.side is Side.BUY:
                    buys += order.left
                else:
                    sells += order.left
        return buys, sells

    def exposures(self, extra: tuple[str, Side, Decimal] | None = None, without: str = "") -> Iterator[Exposure]:
        """Every futures product with a position or a working order, `extra` counted as one more order.

        `without` leaves out one order: what an edit replaces.
        """
        sums: dict[str, list[Decimal]] = {}
        for order in self.live.values():
            if order.order_id != without:
                sums.setdefault(order.product_id, [ZERO, ZERO])[0 if order.side is Side.BUY else 1] += order.left
        if extra is not None:
            sums.setdefault(extra[0], [ZERO, ZERO])[0 if extra[1] is Side.BUY else 1] += extra[2]
        held = [product_id for product_id, position in self.positions.items() if position.contracts]
        for product_id in dict.fromkeys((*held, *sums)):
            product = self.products[product_id]
            if not product.is_future:
                continue
            buys, sells = sums.get(product_id, (ZERO, ZERO))
            mark = self.mark(product_id)
            position = self.positions.get(product_id)
            yield Exposure(
                product=product,
                contracts=ZERO if position is None else position.contracts,
                buys=buys,
                sells=sells,
                mark=mark,
                unrealized=ZERO if position is None else position.unrealized(mark, product.unit_size),
            )

    @property
    def intraday(self) -> bool:
        """True when the intraday margin rates apply to this account now."""
        return self.margin_setting == INTRADAY and self.calendar.window(self.now).intraday

    def margin(
        self, extra: tuple[str, Side, Decimal] | None = None, *, intraday: bool | None = None, without: str = ""
    ) -> MarginState:
        """The account's margin now, `extra` counted as a working order."""
        rates = self.intraday if intraday is None else intraday
        return measure(self.cash, self.exposures(extra, without), intraday=rates)

    # -- bounds --------------------------------------------------------------------------------------

    def add_order(self, order: LiveOrder) -> None:
        """Remembers an order; the oldest finished one is forgotten beyond the cap."""
        self.orders[order.order_id] = order
        self.live[order.order_id] = order
        if len(self.orders) > ORDERS_KEPT:
            oldest = next((key for key, kept in self.orders.items() if not kept.live), None)
            if oldest is not None:
                self.client_ids.pop(self.orders.pop(oldest).client_order_id, None)

    def new_id(self, *parts: str | int) -> str:
        """An id no other order, fill or transfer of any account with this seed has."""
        return identifier(self.options.seed, self.account, *parts)

    # -- for the judge -------------------------------------------------------------------------------

    def log(
        self, operation: str, client_order_id: str, product_id: str, answer: str, order_ids: tuple[str, ...]
    ) -> None:
        """Writes a request down as it truly went."""
        self.requests.append(
            JudgedRequest(
                sequence=self.request_count,
                received_at=self.now,
                operation=operation,
                client_order_id=client_order_id,
                product_id=product_id,
                answer=answer,
                order_ids=order_ids,
            )
        )

    def judge_worst(self, order: LiveOrder) -> None:
        """Notes what the product's position could become at worst, either way, with this order accepted (R5)."""
        held = self.contracts(order.product_id)
        buys, sells = self.working(order.product_id)
        order.worst_long, order.worst_short = held + buys, held - sells
