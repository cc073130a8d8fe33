"""What is listed: four US perpetual-style futures, one dated future, one spot pair, and their switchable status.

Recorded facts: contract sizes, price steps, limits and the margin rates of BIP (venues.md sections 2 and 3, records of
2026-04-06; ETP's overnight rates of 2026). Ours, because no record exists: XPP's price step 0.0001, the intraday rates
of ETP, the margin rates of SLP and XPP, all start prices but BIP's, open interest.
"""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal

from perpsctl.simulator.views import MarginRates

PERP_EXPIRY = datetime(2030, 12, 20, 16, 0, tzinfo=UTC)
FUNDING_INTERVAL_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """Terms of a futures contract."""

    contract_code: str
    contract_expiry: datetime
    contract_size: Decimal
    contract_root_unit: str
    group_description: str
    group_short_description: str
    contract_display_name: str
    contract_expiry_name: str
    display_name: str
    perpetual: bool
    open_interest: Decimal
    intraday: MarginRates
    overnight: MarginRates


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is listed about a product. Replaced as a whole when control changes an increment (fault M5)."""

    product_id: str
    coin: str
    display_name: str
    base_increment: Decimal
    quote_increment: Decimal
    price_increment: Decimal
    base_min_size: Decimal
    base_max_size: Decimal
    quote_min_size: Decimal
    quote_max_size: Decimal
    start_price: Decimal
    volatility: Decimal  # a year
    future: Future | None
    base_name: str = ""
    base_currency_id: str = ""
    alias_to: tuple[str, ...] = ()
    new_at: datetime | None = None

    @property
    def is_future(self) -> bool:
        """True for contracts, false for spot."""
        return self.future is not None

    @property
    def product_type(self) -> str:
        """FUTURE or SPOT."""
        return "FUTURE" if self.is_future else "SPOT"

    @property
    def unit_size(self) -> Decimal:
        """Coins per unit of base_size: the contract's size, or 1 for spot."""
        return Decimal(1) if self.future is None else self.future.contract_size


@dataclass(slots=True, kw_only=True)
class Status:
    """Trading gates of one product, all open. `session_closed` and `maintenance` shut the trading session."""

    cancel_only: bool = False
    limit_only: bool = False
    post_only: bool = False
    trading_disabled: bool = False
    is_disabled: bool = False
    auction_mode: bool = False
    view_only: bool = False
    hidden: bool = False
    session_closed: bool = False
    maintenance: bool = False
    after_hours_order_entry_disabled: bool = False
    maintenance_window: tuple[datetime, datetime] | None = field(default=None)

    @property
    def matching(self) -> bool:
        """True when resting orders may trade."""
        return not (self.cancel_only or self.trading_disabled or self.is_disabled or self.auction_mode)


STATUS_FLAGS = frozenset(f.name for f in fields(Status) if f.name != "maintenance_window")


def _perp(
    code: str, coin: str, contract: str, step: str, price: str, volatility: str, rates: tuple[str, ...], interest: str
) -> Product:
    numbers = [Decimal(rate) for rate in rates]
    return Product(
        product_id=f"{code}-20DEC30-CDE",
        coin=coin,
        display_name=f"{coin} PERP",
        base_increment=Decimal(1),
        quote_increment=Decimal("0.01"),
        price_increment=Decimal(step),
        base_min_size=Decimal(1),
        base_max_size=Decimal(5000),
        quote_min_size=Decimal(0),
        quote_max_size=Decimal(100_000_000),
        start_price=Decimal(price),
        volatility=Decimal(volatility),
        future=Future(
            contract_code=code,
            contract_expiry=PERP_EXPIRY,
            contract_size=Decimal(contract),
            contract_root_unit=coin,
            group_description=f"nano {coin} Perp Futures",
            group_short_description=f"nano {coin} Perp",
            contract_display_name=f"{coin} PERP",
            contract_expiry_name="2030-12",
            display_name=f"{coin} Perpetual",
            perpetual=True,
            open_interest=Decimal(interest),
            intraday=MarginRates(long=numbers[0], short=numbers[1]),
            overnight=MarginRates(long=numbers[2], short=numbers[3]),
        ),
    )


BIP = _perp("BIP", "BTC", "0.01", "5", "68930", "0.55", ("0.1000185", "0.1000008", "0.245625", "0.306375"), "183283")
ETP = _perp("ETP", "ETH", "0.1", "0.5", "2150", "0.70", ("0.1", "0.1", "0.245", "0.335"), "95120")
SLP = _perp("SLP", "SOL", "5", "0.01", "84.5", "0.85", ("0.2", "0.2", "0.35", "0.42"), "41007")
XPP = _perp("XPP", "XRP", "500", "0.0001", "1.35", "0.85", ("0.2", "0.2", "0.35", "0.42"), "28455")

BIT = Product(
    product_id="BIT-29JAN27-CDE",
    coin="BTC",
    display_name="BTC 29 JAN 27",
    base_increment=Decimal(1),
    quote_increment=Decimal("0.01"),
    price_increment=Decimal(5),
    base_min_size=Decimal(1),
    base_max_size=Decimal(100_000_000),
    quote_min_size=Decimal(0),
    quote_max_size=Decimal(100_000_000),
    start_price=Decimal(69600),
    volatility=Decimal("0.55"),
    future=Future(
        contract_code="BIT",
        contract_expiry=datetime(2027, 1, 29, 16, 0, tzinfo=UTC),
        contract_size=Decimal("0.01"),
        contract_root_unit="BTC",
        group_description="Nano Bitcoin Futures",
        group_short_description="Nano BTC",
        contract_display_name="BTC 29 JAN 27",
        contract_expiry_name="2027-01",
        display_name="BTC 29 JAN 27",
        perpetual=False,
        open_interest=Decimal(12044),
        intraday=MarginRates(long=Decimal("0.1000185"), short=Decimal("0.1000008")),
        overnight=MarginRates(long=Decimal("0.245625"), short=Decimal("0.306375")),
    ),
)

SPOT = Product(
    product_id="BTC-USD",
    coin="BTC",
    display_name="BTC-USD",
    base_increment=Decimal("0.00000001"),
    quote_increment=Decimal("0.01"),
    price_increment=Decimal("0.01"),
    base_min_size=Decimal("0.00000001"),
    base_max_size=Decimal(3400),
    quote_min_size=Decimal(1),
    quote_max_size=Decimal(150_000_000),
    start_price=Decimal("68923.67"),
    volatility=Decimal("0.55"),
    future=None,
    base_name="Bitcoin",
    base_currency_id="BTC",
    alias_to=("BTC-USDC",),
    new_at=datetime(2023, 1, 1, tzinfo=UTC),
)

PERPS = (BIP, ETP, SLP, XPP)
LISTED = (*PERPS, BIT, SPOT)
PERP_OF_COIN = {product.coin.lower(): product.product_id for product in PERPS}
