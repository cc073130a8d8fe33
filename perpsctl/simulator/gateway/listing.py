"""What the gateway lists here: four USDC perpetuals on the paths of the US products' coins.

Facts: the contract of BTC (0.0001) and ETH (0.001), BTC's price step 0.1, BTC's standard margin of 2 % + 0.005 % a coin,
SOL's 4 % + 0.0005 % a coin, 50x, fees 0.00015 / 0.00035 (Global Derivatives reference sections 7 and 11, 2026-11-22). Ours,
because no record exists: SOL's contract 0.01 and step 0.01, XRP's contract 1 and step 0.0001, ETH's step 0.05, the margin of ETH
and XRP, that maintenance is half of initial for every coin, and the price band of 1.5 %.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from perpsctl.simulator.products import Future, Product
from perpsctl.simulator.views import MarginRates

NEVER = datetime(3000, 1, 1, 8, tzinfo=UTC)
LISTED_AT = datetime(2026, 8, 15, 14, 34, 5, tzinfo=UTC)
PRICE_BAND = Decimal("0.015")
MAX_LEVERAGE = 50
LABEL_MAX = 64
SETTLEMENT_HOUR = 8
SETTLEMENT_S = 5  # "some seconds around 08:00 UTC": five is ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the gateway tells of a perpetual beyond the core's product."""

    product_id: str
    coin: str
    instrument_id: int
    index_id: int
    product_group: str
    margin_base: Decimal  # initial margin as a share of notional
    margin_slope: Decimal  # and so much more for each coin of position
    maker: Decimal = Decimal("0.00015")
    taker: Decimal = Decimal("0.00035")
    max_leverage: int = MAX_LEVERAGE

    @property
    def price_index(self) -> str:
        """The index's name."""
        return f"{self.coin.lower()}_usdc"

    def initial_rate(self, coins: Decimal) -> Decimal:
        """Initial margin of a position of so many coins, as a share of its notional."""
        return self.margin_base + self.margin_slope * abs(coins)


def _product(coin: str, contract: str, step: str, price: str, volatility: str) -> Product:
    nothing = MarginRates(long=Decimal(0), short=Decimal(0))  # US rates: the gateway's margin is `Contract`'s
    return Product(
        product_id=f"{coin}_USDC-PERPETUAL",
        coin=coin,
        display_name=f"{coin} PERPETUAL",
        base_increment=Decimal(1),
        quote_increment=Decimal(step),
        price_increment=Decimal(step),
        base_min_size=Decimal(1),
        base_max_size=Decimal(10_000_000),
        quote_min_size=Decimal(0),
        quote_max_size=Decimal(1_000_000_000),
        start_price=Decimal(price),
        volatility=Decimal(volatility),
        future=Future(
            contract_code=coin,
            contract_expiry=NEVER,
            contract_size=Decimal(contract),
            contract_root_unit=coin,
            group_description="",
            group_short_description="",
            contract_display_name="",
            contract_expiry_name="",
            display_name="",
            perpetual=True,
            open_interest=Decimal(2_000_000),
            intraday=nothing,
            overnight=nothing,
        ),
    )


def _contract(coin: str, number: int, group: str, base: str, slope: str) -> Contract:
    return Contract(
        product_id=f"{coin}_USDC-PERPETUAL",
        coin=coin,
        instrument_id=600_000 + number,
        index_id=34_000_000 + number,
        product_group=group,
        margin_base=Decimal(base),
        margin_slope=Decimal(slope),
    )


GLOBAL_LISTED = (
    _product("BTC", "0.0001", "0.1", "68930", "0.55"),
    _product("ETH", "0.001", "0.05", "2150", "0.70"),
    _product("SOL", "0.01", "0.01", "84.5", "0.85"),
    _product("XRP", "1", "0.0001", "1.35", "0.85"),
)
CONTRACTS = {
    contract.product_id: contract
    for contract in (
        _contract("BTC", 1, "BTC", "0.02", "0.00005"),
        _contract("ETH", 2, "ETH", "0.02", "0.000005"),
        _contract("SOL", 3, "TIER_2", "0.04", "0.000005"),
        _contract("XRP", 4, "TIER_2", "0.04", "0.00000005"),
    )
}
