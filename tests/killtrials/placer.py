"""A process that places and edits orders for as long as it is let, through the real engine, journal, gate and HTTP client.

`python -m tests.killtrials.placer [--seed N] [--without-gate] [--held-up-ms N]`: one JSON line an attempt, with the span of
each send: from when the gate was passed (the last look at the switch) to when the last byte was handed over. Refused, it
waits a little, or for a byte on stdin; SIGTERM ends it after the attempt it is at.

Most attempts are the engine's own `Sender` - verdict and commit, gate, one request, outcome, read back - judged by the real
rules on a view of at most half a minute: five times as many sends meet the switch as when all is read anew for each. One in
sixteen is an edit, one goes the whole way through the desk, which takes so long that engage mostly finds it on the way. Two
things are lifted, both for the pace: the request budget, which three processes in a loop would only wait for, and what the
duplicate guard looks back on: `again` skips the guard, and building thousands of orders for each verdict would be most of
the work.

Without the gate the desk still looks at the switch before it judges, as a naive tool would, and the journal still refuses
inside the verdict; what is between them and the first byte is what the gate is there to close.
"""

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any

from perpsctl import settings
from perpsctl.bootstrap import Toolkit
from perpsctl.domain.accounts import Booked, RiskView
from perpsctl.domain.errors import InvariantBroken, PerpsctlError
from perpsctl.domain.ids import IntentId
from perpsctl.domain.numbers import Price
from perpsctl.domain.orders import EditIntent, OrderIntent, OrderType, SubmitOutcome, TimeInForce, VenueOrder
from perpsctl.domain.ports import Gate, Known
from perpsctl.domain.products import Product, find_product
from perpsctl.domain.quantize import quantize, quantize_edit
from perpsctl.domain.reports import HaltFacts, PlaceReport
from perpsctl.domain.sides import Side
from perpsctl.domain.verdicts import Approved, ApprovedChange, DenialCode, Denied
from perpsctl.engine.outdated import current
from perpsctl.engine.sending import Sent, gate_refused
from perpsctl.engine.views import Seen
from perpsctl.exchange.pacing import Pacer
from perpsctl.journal import fold
from perpsctl.risk.judge import evaluate, evaluate_edit
from tests.killtrials.exchange import end_with_parent

UNBOUNDED = 1_000_000
DRAWN_OF = 16
EDITS_OF_ONE = 50
VIEW_MAY_BE = timedelta(seconds=30)
REFUSED = "refused"
PAUSE_WHEN_REFUSED_S = 0.25
PRICES = (Price(Decimal(50000)), Price(Decimal(49995)))  # far below the market: nothing fills


class Watched:
    """Halts whose gate notes when it was passed and when the last byte had left; without it, the same with no gate."""

    def __init__(self, real: Any, *, gated: bool, held_up_s: float) -> None:
        self._real = real
        self._gated = gated
        self._held_up_s = held_up_s
        self.spans: list[tuple[int, int]] = []

    def facts(self) -> HaltFacts:
        found: HaltFacts = self._real.facts()
        return found

    def gate(self, *, switch_road: bool = False, spooled: bool = False) -> Gate:
        real: Gate = self._real.gate(switch_road=switch_road, spooled=spooled)
        return self._passed(real if self._gated else nullcontext())

    @contextmanager
    def _noted(self, gate: Gate) -> Iterator[None]:
        with gate:
            began = time.time_ns()
            try:
                if self._held_up_s:
                    time.sleep(self._held_up_s)
                yield
            finally:
                self.spans.append((began, time.time_ns()))  # before the gate is left: whoever waits for it comes later

    def _passed(self, gate: Gate) -> Gate:
        noted: Any = self._noted(gate)
        passed: Gate = noted
        return passed


class Placer:
    """One account's orders in a loop: immediate ones that find no market, and one that rests and is edited."""

    def __init__(self, toolkit: Toolkit, halts: Watched, product: Product, *, seed: int) -> None:
        self._toolkit = toolkit
        self._halts = halts
        self._product = product
        self._resting: tuple[IntentId, VenueOrder] | None = None
        self._edits = 0
        self._chance = random.Random(seed)
        self._engine = toolkit.engine
        self._seen: Seen | None = None
        self._seen_at = toolkit.clock.now()
        self._before = toolkit.journal.booked()

    def attempt(self) -> dict[str, object]:
        """One create or edit, and how it ended."""
        self._halts.spans.clear()
        began = time.time_ns()
        kind, key = "create", ""
        try:
            drawn = self._chance.randrange(DRAWN_OF)  # taken in turns, one kind would meet the switch again and again
            if drawn == 0 and self._resting is not None:
                kind, key = "edit", self._resting[1].venue_order_id
                told, why = self._edited(*self._resting)
            else:
                intent = self._order(TimeInForce.IOC if drawn else TimeInForce.GTC)
                key = intent.id
                told, why = _told(self._engine.desk.place(intent)) if drawn == 1 else self._sent(intent)
        except PerpsctlError as error:
            told, why = "error", error.message
        return {
            "kind": kind, "key": key, "began": began, "ended": time.time_ns(), "told": told, "why": why,
            "sends": list(self._halts.spans),
        }  # fmt: skip

    def _sent(self, intent: OrderIntent) -> tuple[str, str]:
        """By the sender, on a view that is kept for a while; one that rests is kept for the edits."""
        view, before = self._view()
        order = quantize(intent, view.product)

        def judge(booked: Booked) -> Approved | Denied:
            return evaluate(order, self._current(view, before, booked), self._toolkit.profile.limits)

        told, why, outcome = self._ended(self._engine.sender.send(order, judge))
        if outcome is not None:
            shown, _ = self._engine.desk.read_back(intent.id, outcome, one_shot=order.one_shot)
            if intent.tif is TimeInForce.GTC and shown is not None:
                self._resting, self._edits = (intent.id, shown), 0
        return told, why

    def _edited(self, target: IntentId, order: VenueOrder) -> tuple[str, str]:
        view, before = self._view()
        self._edits += 1
        intent = EditIntent(
            id=IntentId(self._toolkit.ids.new()),
            target=target,
            venue_order_id=order.venue_order_id,
            new_price=PRICES[order.limit_price == PRICES[0]],
            new_size=None,
            created_at=self._toolkit.clock.now(),
        )
        edit = quantize_edit(intent, order, view.product, post_only=True, reduce_only=False)

        def judge(booked: Booked) -> ApprovedChange | Denied:
            return evaluate_edit(edit, self._current(view, before, booked), self._toolkit.profile.limits)

        told, why, outcome = self._ended(self._engine.sender.send_edit(edit, judge))
        if outcome is not None:
            shown, _ = self._engine.desk.read_back(target, outcome, one_shot=False)
            # The kill command cancels it; the edit is rejected then, and nothing is shown.
            self._resting = None if shown is None or shown.status.final else (target, shown)
        elif told != REFUSED:
            self._resting = None
        if self._resting is not None and self._edits >= EDITS_OF_ONE:
            self._resting = None
            self._engine.desk.cancel([order.venue_order_id])
        return told, why

    def _view(self) -> tuple[RiskView, Booked]:
        engine, now = self._engine, self._toolkit.clock.now()
        if self._seen is None or now - self._seen_at > VIEW_MAY_BE:
            self._before, self._seen_at = engine.journal.booked(), now
            self._seen = engine.views.fresh(self._product.product_id, orders=engine.tracker.update().orders)
        return self._seen.view, self._before

    def _current(self, view: RiskView, before: Booked, booked: Booked) -> RiskView:
        return current(view, before, booked, self._toolkit.clock.now(), last=True)

    def _ended(self, ended: Denied | Known | Sent) -> tuple[str, str, SubmitOutcome | None]:
        if not isinstance(ended, Denied | Sent):
            raise InvariantBroken("an id that was never used is known")
        denied = ended if isinstance(ended, Denied) else gate_refused(ended.outcome)
        if denied is not None:
            told, why = _denied(denied)
            if told != REFUSED:  # the view may be to blame
                self._seen = None
            return told, why, None
        assert isinstance(ended, Sent)
        return type(ended.outcome).__name__.lower(), getattr(ended.outcome, "reason", ""), ended.outcome

    def _order(self, tif: TimeInForce) -> OrderIntent:
        return OrderIntent(
            id=IntentId(self._toolkit.ids.new()),
            product_id=self._product.product_id,
            side=Side.BUY,
            size=self._product.min_size,
            type=OrderType.LIMIT,
            tif=tif,
            limit_price=PRICES[0],
            post_only=tif is TimeInForce.GTC,
            again=True,
            created_at=self._toolkit.clock.now(),
        )


def _denied(denied: Denied) -> tuple[str, str]:
    codes = [each.code for each in denied.denials]
    # HALTED is the same switch met in the journal, inside the verdict's transaction.
    by_switch = DenialCode.KILL_SWITCH_ENGAGED in codes or DenialCode.HALTED in codes
    return (REFUSED if by_switch else "denied"), ",".join(codes)


def _told(report: PlaceReport) -> tuple[str, str]:
    if report.denied is not None:
        return _denied(report.denied)
    return type(report.outcome).__name__.lower(), getattr(report.outcome, "reason", "")


def wait_for_a_byte(seconds: float) -> None:
    """Returns when the driver says that something changed, or after a while."""
    if select.select([0], [], [], seconds)[0] and not os.read(0, 4096):
        raise SystemExit("the driver is gone")


def given(option: str) -> int:
    """The whole number behind an option, 0 without it."""
    return int(sys.argv[sys.argv.index(option) + 1]) if option in sys.argv else 0


def main() -> None:
    end_with_parent()
    fold.RECENT = timedelta(seconds=1)
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    toolkit = Toolkit(settings.load())
    toolkit.__dict__["pacer"] = Pacer(toolkit.clock, private_per_second=UNBOUNDED, public_per_second=UNBOUNDED)
    halts = Watched(toolkit.halts, gated="--without-gate" not in sys.argv, held_up_s=given("--held-up-ms") / 1000)
    toolkit.__dict__["halts"] = halts
    placer = Placer(toolkit, halts, find_product(toolkit.venue.products(), "BTC-PERP"), seed=given("--seed"))
    while not ended:
        line = placer.attempt()
        os.write(1, json.dumps(line).encode() + b"\n")
        if line["told"] == REFUSED:
            wait_for_a_byte(PAUSE_WHEN_REFUSED_S)
    toolkit.close()


if __name__ == "__main__":
    main()
