"""A process that places orders one after another through the real desk, until it has tried so many times.

`python -m tests.scenarios.placer COUNT [--without-gate] [--held-up]`: one JSON line an attempt. Without the gate the desk
still looks at the switch before it judges, as a naive tool would; that look is what the gate is there to replace. Held up, a
send takes a while between its last look and its first byte, which is where a switch that does not wait is outrun.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import Any

from perpsctl import bootstrap, settings
from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import IntentId
from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import OrderIntent, OrderType, TimeInForce
from perpsctl.domain.ports import Gate
from perpsctl.domain.products import find_product
from perpsctl.domain.reports import HaltFacts
from perpsctl.domain.sides import Side

HELD_UP_S = 0.2


class Ungated:
    """Halts with the gate taken out."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def facts(self) -> HaltFacts:
        found: HaltFacts = self._real.facts()
        return found

    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Gate:
        gate: Gate = nullcontext()
        return gate


class HeldUp:
    """Halts whose gate is passed a while before the first byte."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def facts(self) -> HaltFacts:
        found: HaltFacts = self._real.facts()
        return found

    @contextmanager
    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Iterator[None]:
        with self._real.gate(switch_road=switch_road, spooled=spooled):
            time.sleep(HELD_UP_S)
            yield


def main() -> None:
    count, gated = int(sys.argv[1]), "--without-gate" not in sys.argv
    toolkit = bootstrap.Toolkit(settings.load())
    if not gated:
        toolkit.__dict__["halts"] = Ungated(toolkit.halts)
    if "--held-up" in sys.argv:
        toolkit.__dict__["halts"] = HeldUp(toolkit.halts)
    product = find_product(toolkit.venue.products(), "BTC-PERP")
    first = OrderIntent(
        id=IntentId(toolkit.ids.new()),
        product_id=product.product_id,
        side=Side.BUY,
        size=product.min_size,
        type=OrderType.LIMIT,
        tif=TimeInForce.GTC,
        limit_price=Price(Decimal(50000)),
        post_only=True,
        again=True,
        created_at=toolkit.clock.now(),
    )
    for _ in range(count):
        intent = replace(first, id=IntentId(toolkit.ids.new()), created_at=toolkit.clock.now())
        try:
            report = toolkit.engine.desk.place(intent)
            told = "denied" if report.denied is not None else type(report.outcome).__name__.lower()
            why = [d.code.value for d in report.denied.denials] if report.denied is not None else []
        except PerpsctlError as error:
            told, why = "error", [error.message]
        print(json.dumps({"intent": intent.id, "outcome": told, "why": why}), flush=True)
    toolkit.close()


if __name__ == "__main__":
    main()
