"""A process that places orders one after another through the real desk, until it has tried so many times.

`python -m tests.scenarios.placer COUNT [--without-gate]`: one JSON line an attempt. Without the gate the desk still looks
at the switch before it judges, as a naive tool would; that look is what the gate is there to replace.
"""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from perpsctl import bootstrap, settings
from perpsctl.commands import asking, inputs
from perpsctl.domain.errors import PerpsctlError
from perpsctl.domain.ids import IntentId
from perpsctl.domain.orders import OrderType, TimeInForce
from perpsctl.domain.ports import Gate
from perpsctl.domain.reports import HaltFacts
from perpsctl.domain.sides import Side


class Ungated:
    """Halts with the gate taken out."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def facts(self) -> HaltFacts:
        found: HaltFacts = self._real.facts()
        return found

    def gate(self, *, switch_road: bool = False) -> Gate:
        gate: Gate = nullcontext()
        return gate


def main() -> None:
    count, gated = int(sys.argv[1]), "--without-gate" not in sys.argv
    toolkit = bootstrap.Toolkit(settings.load())
    if not gated:
        toolkit.__dict__["halts"] = Ungated(toolkit.halts)
    terms = inputs.terms(
        product="BTC-PERP", side=Side.BUY, size="0.01", contracts=None, kind=OrderType.LIMIT, price="50000",
        stop_price=None, tif=TimeInForce.GTC, post_only=True, reduce_only=False, expires=None, again=True,
    )  # fmt: skip
    first = asking.intent_of(toolkit, terms)
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
