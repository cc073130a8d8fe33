"""Which strategies there are: installed entry points of one group, and nothing else.

No path, module name or text from configuration is ever imported (S7).
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from perpsctl.domain.errors import ConfigError, UsageError
from perpsctl.domain.ids import ProductId
from perpsctl.domain.text import shown
from perpsctl.engine.strategies.protocol import Strategy

GROUP = "perpsctl.strategies"

Maker = Callable[[ProductId], Strategy]


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Names of the installed strategies, sorted."""
    return tuple(sorted(_installed()))


def load(name: str, product_id: ProductId) -> Strategy:
    """The installed strategy of this name for one product; UsageError names what is installed."""
    points = _installed()
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise UsageError(f"no strategy {shown(name, 40)} is installed", fix=f"installed: {known}")
    try:
        maker: Maker = points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"strategy {name} cannot be loaded: {shown(error)}", fix="reinstall it") from error
    return maker(product_id)
