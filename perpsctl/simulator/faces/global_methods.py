"""What a method of the gateway is: which right it needs, which budget it draws on, where it is served, who answers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from perpsctl.simulator.credits import Pool
from perpsctl.simulator.faces.global_params import Params
from perpsctl.simulator.faces.global_session import Session, Transport
from perpsctl.simulator.faces.routes import Needs
from perpsctl.simulator.faults import Effect
from perpsctl.simulator.gateway.core import GatewayCore
from perpsctl.simulator.gateway.state import GatewayState

TRADING_HOST = frozenset({Transport.HTTP, Transport.SOCKET})
SOCKETS = frozenset({Transport.SOCKET, Transport.STREAMS})
EVERYWHERE = frozenset(Transport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call on its way to an answer; the account is locked while it is being answered."""

    core: GatewayCore
    params: Params
    session: Session
    now: datetime  # the venue's clock, fault A1 included
    effects: tuple[Effect, ...] = ()

    @property
    def state(self) -> GatewayState:
        """The account."""
        return self.core.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method. `operation` is what faults are armed for; the words are those of the US face where it has one."""

    name: str
    operation: str
    needs: Needs
    answer: Callable[[Call], object]
    pool: Pool = Pool.READS
    served: frozenset[Transport] = TRADING_HOST


def table(*methods: Method) -> Mapping[str, Method]:
    """The methods by name."""
    return {method.name: method for method in methods}


def public(
    name: str,
    answer: Callable[[Call], object],
    *,
    operation: str = "",
    pool: Pool = Pool.READS,
    served: frozenset[Transport] = TRADING_HOST,
) -> Method:
    """A public read."""
    return Method(
        name=f"public/{name}",
        operation=operation or name,
        needs=Needs.NOTHING,
        answer=answer,
        pool=pool,
        served=served,
    )


def private(
    name: str,
    answer: Callable[[Call], object],
    *,
    operation: str = "",
    needs: Needs = Needs.VIEW,
    pool: Pool = Pool.READS,
    served: frozenset[Transport] = TRADING_HOST,
) -> Method:
    """A method that needs a login."""
    return Method(
        name=f"private/{name}", operation=operation or name, needs=needs, answer=answer, pool=pool, served=served
    )
