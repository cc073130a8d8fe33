"""Orders of somebody else on the same portfolio: placed in the simple app, unknown to our journal."""

from decimal import Decimal

from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, PlacementSource, Side
from tests.rig import World


def an_outside_order(world: World, *, contracts: str = "2", price: str = "50000") -> object:
    """A resting buy that no journal of ours knows."""
    return world.embedded.exchange.control.inject_order(
        OrderRequest(
            product_id="BIP-20DEC30-CDE",
            side=Side.BUY,
            configuration=Configuration(
                kind=ConfigKind.LIMIT_GTC,
                base_size=Decimal(contracts),
                limit_price=Decimal(price),
                post_only=False,
            ),
            client_order_id="outside-1",
            source=PlacementSource.RETAIL_SIMPLE,
        )
    )
