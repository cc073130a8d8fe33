"""One schedule from its first command to its last read-back: safety while it rages, then healing, then liveness.

Each step is what an operator's command would do. What it told is kept as plain words for the judge, with the number of the
book as it stood then; an exception that is no answer to an operator is a finding.
"""

import hashlib
import shutil
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from perpsctl.domain.errors import InvariantBroken, JournalUnavailable, PerpsctlError
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Price, Size
from perpsctl.domain.orders import EditIntent, OrderIntent, OrderType, TimeInForce
from perpsctl.domain.reports import CancelReport, ExitReport, IntentRecord, PlaceReport, ReconcileReport
from perpsctl.domain.sides import Side
from perpsctl.engine.cancels import PATIENCE
from perpsctl.engine.strategies.canary import Canary
from perpsctl.engine.supervisor import RunOptions, Supervisor
from perpsctl.journal.lease import Holder, RowLease
from perpsctl.simulator.orders import ConfigKind, Configuration, OrderRequest, PlacementSource
from perpsctl.simulator.orders import Side as TheirSide
from tests.dst.judge import FINAL, Case, Spent, Told, judge
from tests.dst.schedule import ExchangeFault, ProcessFault, Schedule, Step
from tests.dst.world import LOT, PRODUCTS, Died, Site, site_of

STATES = {
    "cancel_only": {"cancel_only": True},
    "post_only": {"post_only": True},
    "limit_only": {"limit_only": True},
    "closed": {"session_closed": True},
}
ALL_OPEN = {"cancel_only": False, "post_only": False, "limit_only": False, "session_closed": False}
LOOKS_UNTIL = timedelta(seconds=90)
QUIET_TRIALS = (
    40  # more pairs of passes, until the exchange traded during none: a resting order may be eaten crumb by crumb
)
EFFECTS_OVER = timedelta(seconds=130)  # by then what faults did to orders is past (a minute), and every GTD has expired
STORMS = frozenset({"N1", "N3", "N5", "N6"})
STORM_ENDS_S = 20
MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What one schedule came to."""

    schedule: Schedule
    violations: tuple[str, ...]
    digest: str
    trace: tuple[str, ...]
    struck: int  # process faults that fired
    sends: int


def run(schedule: Schedule) -> Ran:
    """The schedule on a fresh exchange and a fresh journal in memory; both are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="perpsctl-dst-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        site = site_of(schedule, folder)
        story = Story(site)
        try:
            story.tell()
            violations = tuple(dict.fromkeys(judge(site.case)))
            trace = (*site.life.trace, *story.journal_lines())
        finally:
            story.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    digest = hashlib.sha256("\n".join(trace).encode()).hexdigest()
    return Ran(
        schedule=schedule,
        violations=violations,
        digest=digest,
        trace=trace,
        struck=len(site.life.fired),
        sends=len(site.case.sends),
    )


class Story:
    """Takes a site through its schedule."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.case: Case = site.case
        self.number = -1
        self.intents: list[OrderIntent] = []
        self._others = 0
        site.life.interrupt = self._interrupted

    # --- the three phases ---------------------------------------------------------------------------------------

    def tell(self) -> None:
        schedule, site = self.site.schedule, self.site
        site.watch.look()
        for number, step in enumerate(schedule.steps):
            for fault in schedule.exchange:
                if fault.before == number:
                    self._arm(fault)
            self.number = number
            site.watch.disturbed = False
            site.life.begin(number)
            site.life.note(f"step {number}: {step.do} {sorted(step.args.items())}")
            site.watch.asked.clear()
            began = site.host.true.now()
            self._guarded(step.do, lambda step=step: getattr(self, f"_{step.do}")(step))  # type: ignore[misc]
            self._spent(step, began)
            site.watch.look()
        site.life.begin(-1)
        self._heal()

    def _spent(self, step: Step, began: datetime) -> None:
        asked = self.site.watch.asked
        self.case.spent.append(
            Spent(
                step=self.number,
                what=step.do,
                took=self.site.host.true.now() - began,
                reads=asked["read"],
                writes=sum(asked.values()) - asked["read"],
                held_up=self._held_up(step),
            )
        )

    def _held_up(self, step: Step) -> timedelta:
        """What the schedule itself let pass: waits, a stopped process, answers that take long."""
        waits = timedelta(milliseconds=int(step.args.get("ms", 0)))
        stopped = sum(int(f.size) for f in self.site.life.fired if f.kind == "pause" and f.step == self.number)
        return waits + timedelta(seconds=stopped)

    @property
    def _storm_alone(self) -> bool:
        """Nothing disturbs this command but a rate limit of at most twenty seconds: what it held up gets through (L2)."""
        schedule = self.site.schedule
        armed = [fault for fault in schedule.exchange if fault.before <= self.number]
        return (
            any(fault.name in STORMS for fault in armed)
            and all(fault.name in STORMS and (fault.for_seconds or 0) <= STORM_ENDS_S for fault in armed)
            and not schedule.process
            and not any(step.do in ("outside", "clock") for step in schedule.steps)
        )

    def _guarded(self, what: str, act: Callable[[], None]) -> None:
        """The command, and whatever ends it: an answer, a death, or a finding."""
        try:
            act()
            return
        except Died as died:
            self.site.life.note(f"died: {died}")
        except JournalUnavailable as error:
            self._told(what, "", f"journal: {error.code}")
        except InvariantBroken as error:
            self._bug(what, error)
        except PerpsctlError as error:
            self._told(what, "", f"refused: {error.code}")
            return
        except Exception as error:
            self._bug(what, error)
        self._reborn()

    def _reborn(self) -> None:
        try:
            self.site.reborn()
        except PerpsctlError as error:
            self._bug("open", error)

    def _bug(self, what: str, error: Exception) -> None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.name}"
        self.case.bugs.append(f"step {self.number} {what}: {type(error).__name__} in {where}: {error}")

    def _heal(self) -> None:
        """Faults stop; the next process finds out what is so, and a second look finds nothing more."""
        site, exchange = self.site, self.site.embedded.exchange
        site.watch.disturbed = site.watch.crossed = False
        site.heal()
        if site.host.ahead:
            site.step_clock(timedelta(0))
        for product in self.case.unit:
            exchange.control.set_status(product, **ALL_OPEN)
            exchange.control.set_price(product, self._mark(product), hold=True)
        self._reborn()
        site.life.note("healed")
        with site.life.silence():
            self.case.healed_at = site.clock.now()
            try:
                self._live_again()
            except Exception as error:
                self._bug("heal", error)
        site.watch.look()

    def _live_again(self) -> None:
        site = self.site
        healed = site.clock.now()
        site.engine.resolver.resolve_all(LOOKS_UNTIL)
        if not site.journal.in_doubt():
            self.case.certain_at = site.clock.now()
        left = healed + EFFECTS_OVER - site.clock.now()
        if left > timedelta(0):
            site.clock.sleep(left)
        again, moved = self._two_passes()
        for _ in range(QUIET_TRIALS):
            if not moved:
                break
            again, moved = self._two_passes()
        self.case.breaks += [
            f"{each.kind} {each.cls} {each.subject}: {each.ours} / {each.theirs}" for each in again.breaks
        ]
        self.case.breaks += [f"unread {each}" for each in again.unread]

    def _two_passes(self) -> tuple[ReconcileReport, bool]:
        """What the second of two passes told, and whether the exchange traded meanwhile: then it had something to book."""
        site, books = self.site, self.case.books
        before = books[site.watch.look()]
        site.engine.reconciler.run()
        rows = site.watch.eye.last()
        again = site.engine.reconciler.run()
        self.case.rows_between = site.watch.eye.last() - rows
        after = books[site.watch.look()]
        return again, (before.orders, before.positions) != (after.orders, after.positions)

    def journal_lines(self) -> list[str]:
        """Every row of the journal, for the trace."""
        return [f"{row.seq} {row.kind} {row.at} {row.payload} {row.hash}" for row in self.site.watch.eye.rows()]

    def close(self) -> None:
        self.site.life.dead = False
        self.site.watch.eye.close()
        with self.site.life.silence(), suppress(PerpsctlError):
            self.site.close()

    # --- what is told ---------------------------------------------------------------------------------------------

    def _told(self, what: str, ident: str, word: str, **facts: object) -> None:
        self.site.life.note(f"told {what} {ident} {word} {sorted(facts.items())}")
        watch = self.site.watch
        self.case.told.append(
            Told(
                step=self.number,
                what=what,
                ident=ident,
                word=word,
                book=watch.look(),
                sent=len(self.case.sends),
                seq=watch.eye.last(),
                facts=facts,
            )
        )

    def _placed(self, what: str, report: PlaceReport) -> None:
        word = "denied" if report.denied is not None else type(report.outcome).__name__
        codes = [] if report.denied is None else [each.code.value for each in report.denied.denials]
        self._told(what, str(report.intent_id), word, codes=codes)

    def _cancelled(self, what: str, report: CancelReport, *, everything: bool = False) -> None:
        proven = everything and not (report.still_live or report.unproven or report.problems or report.in_doubt)
        gone = [str(each) for each in report.gone]
        alone = everything and self._storm_alone
        self._told(what, "", "all_gone" if proven else "done", gone=gone, storm_alone=alone)

    def _left(self, what: str, exits: tuple[ExitReport, ...]) -> None:
        flat = [str(each.product_id) for each in exits if each.after == 0]
        gone = [str(name) for each in exits for report in each.cancels for name in report.gone]
        self._told(what, "", "exits", flat=flat, gone=gone)

    # --- the operator ---------------------------------------------------------------------------------------------

    def _product(self, step: Step) -> str:
        return PRODUCTS[self.case.venue][str(step.args.get("product", "BTC-PERP"))]

    def _coin(self, product: str, lots: int) -> Size:
        return Size(LOT[self.case.alias[product]] * lots)

    def _mark(self, product: str) -> Decimal:
        bid, ask = self.site.touch(product)
        step = self.site.listed(product).price_increment
        return (bid + ask) / 2 // step * step

    def _price_at(self, product: str, side: Side, below: int) -> Price:
        bid, ask = self.site.touch(product)
        best = bid if side is Side.BUY else ask
        return Price(best - side.sign * below * self.site.listed(product).price_increment)

    def _intent(self, step: Step, ident: str) -> OrderIntent:
        args, product = step.args, self._product(step)
        side = Side(str(args["side"]))
        tif = TimeInForce(str(args["tif"]))
        now = self.site.clock.now()
        return OrderIntent(
            id=IntentId(ident),
            product_id=ProductId(product),
            side=side,
            size=self._coin(product, int(args["lots"])),
            type=OrderType.LIMIT,
            tif=tif,
            limit_price=self._price_at(product, side, int(args["below"])),
            post_only=bool(args["post_only"]),
            reduce_only=bool(args.get("reduce_only", 0)),
            expires=now + timedelta(seconds=120) if tif is TimeInForce.GTD else None,
            reason="place",
            created_at=now,
        )

    def _place(self, step: Step) -> None:
        intent = self._intent(step, f"dst-place-{self.number:03d}")
        self.intents.append(intent)
        report = self.site.engine.desk.place(intent, wait=timedelta(seconds=int(step.args["wait"])))
        self._placed("place", report)

    def _replay(self, step: Step) -> None:
        if self.intents:
            intent = self.intents[int(step.args["which"]) % len(self.intents)]
            self._placed("replay", self.site.engine.desk.place(intent, wait=timedelta(seconds=5)))

    def _working(self, step: Step) -> IntentRecord | None:
        orders = [r for r in self.site.journal.working() if isinstance(r.intent, OrderIntent) and r.order is not None]
        return orders[-1 - int(step.args["which"]) % len(orders)] if orders else None

    def _edit_intent(self, step: Step) -> EditIntent | None:
        record = self._working(step)
        price = None if record is None or record.order is None else record.order.limit_price
        if record is None or record.order is None or price is None:
            return None
        assert isinstance(record.intent, OrderIntent)
        product, order = str(record.intent.product_id), record.order
        move, lots = int(step.args["move"]), int(step.args.get("lots", 0))
        shift = record.intent.side.sign * move * self.site.listed(product).price_increment
        return EditIntent(
            id=IntentId(f"dst-edit-{self.number:03d}"),
            target=record.intent.id,
            venue_order_id=VenueOrderId(order.venue_order_id),
            new_price=Price(price - shift) if move or not lots else None,
            new_size=self._coin(product, lots) if lots else None,
            created_at=self.site.clock.now(),
        )

    def _edit(self, step: Step) -> None:
        intent = self._edit_intent(step)
        if intent is not None:
            self._placed("edit", self.site.engine.edits.edit(intent))

    def _replace(self, step: Step) -> None:
        intent = self._edit_intent(step)
        if intent is not None:
            report = self.site.engine.edits.replace(intent)
            self._cancelled("replace", report.cancelled)
            if report.placed is not None:
                self._placed("replace", report.placed)

    def _cancel(self, step: Step) -> None:
        if self.intents:
            intent = self.intents[-1 - int(step.args["which"]) % len(self.intents)]
            self._cancelled("cancel", self.site.engine.canceller.cancel([str(intent.id)]))

    def _cancel_all(self, step: Step) -> None:
        report = self.site.engine.canceller.cancel_all(patience=PATIENCE)  # as the command asks
        self._cancelled("cancel_all", report, everything=True)

    def _close(self, step: Step) -> None:
        product, lots = ProductId(self._product(step)), int(step.args["lots"])
        size = self._coin(product, lots) if lots else None
        self._left("close", (self.site.engine.exits.close(product, size),))

    def _flatten(self, step: Step) -> None:
        self._left("flatten", self.site.engine.exits.flatten().exits)

    def _run(self, step: Step) -> None:
        site = self.site
        offered = site.venue.capabilities
        if not (offered.native_gtd or offered.orders_die_with_connection):
            self._told("run", "", "no dead man")  # the order socket could not be had: `run` does not begin
            return
        holder = Holder(host="dst", pid=1, boot="", namespace="", started="", instance=site.ids.new())
        supervisor = Supervisor(
            engine=site.engine,
            lease=RowLease(site.journal, holder),
            switch=site.switch,
            strategy=Canary(ProductId(PRODUCTS[self.case.venue]["BTC-PERP"])),
            options=RunOptions(
                ticks=int(step.args["ticks"]),
                interval=timedelta(milliseconds=int(step.args["interval_ms"])),
                give_up_after=timedelta(seconds=45),
            ),
        )
        result = supervisor.run()
        self._told("run", "", result.exit_code.name)
        if any("a bug" in each for each in result.problems):
            self.case.bugs.append(f"step {self.number} run: {result.problems}")
        self._reborn()  # a run is a process of its own; its lease fences nobody after it

    def _engage(self, step: Step) -> None:
        flatten = bool(step.args["flatten"])
        report = self.site.switch.engage(reason="schedule", by="dst", flatten=flatten)
        word = "clean" if report.attestation.clean else "not clean"
        gone = [str(name) for each in report.cancels for name in each.gone]
        self._told("engage", "", word, flat_asked=flatten, gone=gone)

    def _release(self, step: Step) -> None:
        report = self.site.switch.release(reason="schedule", by="dst")
        self._told("release", "", "released" if report.released else "refused")

    def _reconcile(self, step: Step) -> None:
        report = self.site.engine.reconciler.run()
        self._told("reconcile", "", "matched" if report.matched else "differs")

    def _resolve(self, step: Step) -> None:
        ended = self.site.engine.resolver.resolve_all(timedelta(seconds=int(step.args["seconds"])))
        for intent_id, outcome in ended:
            if not str(intent_id).startswith("dst-edit"):
                self._told("replay", str(intent_id), type(outcome).__name__)

    def _wait(self, step: Step) -> None:
        self.site.clock.sleep(timedelta(milliseconds=int(step.args["ms"])))

    def _clock(self, step: Step) -> None:
        """The host's time of day is stepped: by hand, by a time service that was off, by a resumed machine (T1)."""
        self.site.step_clock(timedelta(seconds=int(step.args["s"])))

    # --- the world around --------------------------------------------------------------------------------------------

    def _outside(self, step: Step) -> None:
        self._others += 1
        product, side = self._product(step), Side(str(step.args["side"]))
        unit = self.case.unit[product]
        self.site.embedded.exchange.control.inject_order(
            OrderRequest(
                product_id=product,
                side=TheirSide(side.value.upper()),
                configuration=Configuration(
                    kind=ConfigKind.LIMIT_GTC,
                    base_size=self._coin(product, int(step.args["lots"])) / unit,
                    limit_price=self._price_at(product, side, int(step.args["below"])),
                    post_only=False,
                ),
                client_order_id=f"outside-{self._others}",
                source=PlacementSource.RETAIL_SIMPLE,
            )
        )

    def _fill(self, step: Step) -> None:
        exchange = self.site.embedded.exchange
        live = [o for o in exchange.judge_view().orders if o.status not in FINAL and o.sequence]
        if live:
            order = live[-1 - int(step.args["which"]) % len(live)]
            left = order.size - order.filled_size
            grain = self.site.listed(order.product_id).base_increment
            part = left // (int(step.args["part"]) * grain) * grain
            if part > 0:
                with suppress(ValueError):  # a waiting order takes none
                    exchange.control.external_fill(order.order_id, part)

    def _price(self, step: Step) -> None:
        self._shift(int(step.args["bps"]))

    def _shift(self, bps: int) -> None:
        product = PRODUCTS[self.case.venue]["BTC-PERP"]
        step = self.site.listed(product).price_increment
        moved = self._mark(product) * (10_000 + bps) / 10_000 // step * step
        self.site.embedded.exchange.control.set_price(product, moved)

    # --- faults ----------------------------------------------------------------------------------------------------------

    def _arm(self, fault: ExchangeFault) -> None:
        exchange = self.site.embedded.exchange
        self.site.life.note(
            f"armed: {fault.name} {fault.operation} {fault.nth} {fault.count} {sorted(fault.params.items())}"
        )
        if fault.name == "crossed":
            self.site.watch.crossed = True
            return
        if fault.name in STATES:
            exchange.control.set_status(PRODUCTS[self.case.venue]["BTC-PERP"], **STATES[fault.name])
            return
        exchange.faults.arm(
            fault.name,
            operation=fault.operation,
            nth=fault.nth,
            count=fault.count,
            for_seconds=fault.for_seconds,
            **fault.params,  # type: ignore[arg-type]
        )

    def _interrupted(self, fault: ProcessFault) -> None:
        """Somebody else acts between two instructions of the process under way."""
        site = self.site
        if fault.kind == "outside":
            site.watch.disturbed = True
        strange: Any = {
            "engage": self._other_engages,
            "other_place": self._other_places,
            "outside": self._other_outside,
            "price": lambda size: self._shift(int(size)),
            "clock": lambda size: site.step_clock(timedelta(seconds=int(size))),
            "pause": lambda size: self._paused(int(size)),
            "fill": lambda size: self._fill(Step(do="fill", args={"which": 0, "part": 1})),
        }[fault.kind]
        strange(fault.size)
        site.watch.look()

    def _other_engages(self, size: str) -> None:
        """Another process engages: latch, then journal; the cancels are left to the first."""
        site = self.site
        held = site.latch.engage(reason="other", by="other", at=site.clock.now())
        closed = site.latch.close_gate()
        site.life.note(f"other engaged {held.in_force} {closed.quiet}")
        other = site.another()
        try:
            other.journal.record_halt(engaged=True, reason="other", by="other")
        finally:
            other.close()

    def _other_places(self, size: str) -> None:
        site = self.site
        self._others += 1
        args: dict[str, str | int] = {"side": "buy", "lots": int(size), "below": 40, "tif": "gtc", "post_only": 1}
        intent = self._intent(Step(do="place", args=args), f"dst-other-{self._others:03d}")
        other = site.another()
        try:
            report = other.engine.desk.place(intent, wait=timedelta(0))
            site.life.note(f"other placed {report.intent_id} {type(report.outcome).__name__}")
        except PerpsctlError as error:
            site.life.note(f"other refused {error.code}")
        finally:
            other.close()

    def _other_outside(self, size: str) -> None:
        self._outside(Step(do="outside", args={"side": "buy", "lots": int(size), "below": 60}))

    def _paused(self, seconds: int) -> None:
        """The process was stopped and went on (P3)."""
        self.site.clock.sleep(timedelta(seconds=seconds))
