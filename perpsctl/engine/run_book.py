"""What one run did, counted: reports in, a RunSummary out. Percentiles come from measured creates only."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from perpsctl.domain.accounts import Position
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import Notional
from perpsctl.domain.orders import Accepted, Fill, FillKind, NotSent, OrderIntent, Rejected, Unknown
from perpsctl.domain.reports import BookProof, DataAgeMs, LatencyMs, PlaceReport, RecoveryS, RunSummary
from perpsctl.domain.streams import StreamFigures
from perpsctl.domain.verdicts import DenialCode, Denied

_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class RunBook:
    """Counts of one run, and the orders it placed."""

    started: datetime
    ticks: int = 0
    intents: int = 0
    accepted: int = 0
    rejected: int = 0
    denied: int = 0
    unknown: int = 0
    not_sent: int = 0
    denials: Counter[str] = field(default_factory=Counter)
    latencies_us: list[int] = field(default_factory=list)
    orders: dict[VenueOrderId, IntentId] = field(default_factory=dict)  # ids alone: a run may place many thousands
    doubts: dict[IntentId, OrderIntent] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)  # client ids of every intent this run handed to the desk
    halted: bool = False

    def take(self, intent: OrderIntent, report: PlaceReport) -> None:
        """Count one placed intent by its ending; remember the order it became."""
        self.intents += 1
        if report.denied is not None:
            self.deny(report.denied)
            return
        match report.outcome:
            case Accepted() as accepted:
                self.accepted += 1
                if accepted.latency_us is not None:
                    self.latencies_us.append(accepted.latency_us)
                self.orders[accepted.venue_order_id] = intent.id
            case Rejected():
                self.rejected += 1
            case NotSent():
                self.not_sent += 1
            case Unknown() | None:
                self.unknown += 1
                self.doubts[intent.id] = intent

    def deny(self, denied: Denied) -> None:
        """Count one local denial under each of its codes."""
        self.denied += 1
        self.denials.update(denial.code.value for denial in denied.denials)
        self.halted = self.halted or any(
            d.code in (DenialCode.KILL_SWITCH_ENGAGED, DenialCode.HALTED) for d in denied.denials
        )

    def summary(
        self,
        *,
        ended: datetime,
        stopped_because: str,
        fills: Sequence[Fill],
        positions: tuple[Position, ...] | None,
        open_orders: int | None,
        streams: StreamFigures | None = None,
        book_proof: BookProof | None = None,
    ) -> RunSummary:
        """The run in figures. Acceptance is accepted over submitted; a doubt counts as submitted and not as accepted."""
        submitted = self.accepted + self.rejected + self.unknown
        return RunSummary(
            ticks=self.ticks,
            intents=self.intents,
            accepted=self.accepted,
            rejected=self.rejected,
            denied=self.denied,
            unknown=self.unknown,
            not_sent=self.not_sent,
            fills=sum(fill.kind is FillKind.FILL for fill in fills),
            acceptance_rate=None if not submitted else (Decimal(self.accepted) / submitted).quantize(Decimal("0.0001")),
            latency_ms=latency(self.latencies_us),
            halted=self.halted,
            stopped_because=stopped_because,
            denials_by_code=dict(sorted(self.denials.items())),
            positions=positions,
            open_orders=open_orders,
            realised=realised(fills),
            started=self.started,
            ended=ended,
            stream_uptime=None if streams is None else streams.uptime,
            gaps=None if streams is None else streams.gaps,
            reconnects=None if streams is None else streams.reconnects,
            recovery_s=recovery(() if streams is None else streams.recoveries),
            data_age_ms=data_age(() if streams is None else streams.ages),
            book_proof=book_proof,
        )


def recovery(samples: Sequence[timedelta]) -> RecoveryS:
    """Recoveries in seconds to three places; None without one."""
    micros = sorted(each // _MICROSECOND for each in samples)
    return RecoveryS(p50=_at(micros, 50, 1_000_000), max=_at(micros, 100, 1_000_000), samples=len(micros))


def data_age(samples: Sequence[timedelta]) -> DataAgeMs:
    """Ages in milliseconds to three places; None without one."""
    micros = sorted(each // _MICROSECOND for each in samples)
    return DataAgeMs(p50=_at(micros, 50, 1_000), p99=_at(micros, 99, 1_000), samples=len(micros))


def latency(samples_us: Sequence[int]) -> LatencyMs:
    """Percentiles by nearest rank, in milliseconds to three places; None without a sample."""
    ranked = sorted(samples_us)
    return LatencyMs(
        p50=_at(ranked, 50, 1_000), p95=_at(ranked, 95, 1_000), p99=_at(ranked, 99, 1_000), samples=len(ranked)
    )


def _at(ranked: Sequence[int], share: int, unit: int) -> Decimal | None:
    """The percentile of sorted microseconds, in units of so many of them."""
    if not ranked:
        return None
    rank = -(-len(ranked) * share // 100)  # the smallest rank that covers the share
    return (Decimal(ranked[max(rank, 1) - 1]) / unit).quantize(Decimal("0.001"))


def realised(fills: Iterable[Fill]) -> Notional | None:
    """Profit of what these fills opened and closed again, at average cost, fees taken off; None when a fee is not told.

    What they closed of an older position has an unknown cost and would count as opened the other way round.
    """
    profit = Decimal(0)
    held: dict[ProductId, tuple[Decimal, Decimal]] = {}  # signed coin, average price
    for fill in sorted(fills, key=lambda each: each.time):
        if fill.fee is None:
            return None
        sign = -fill.side.sign if fill.kind is FillKind.REVERSAL else fill.side.sign
        coin, average = held.get(fill.product_id, (Decimal(0), Decimal(0)))
        change, price = sign * fill.size, Decimal(fill.price)
        closing = min(abs(change), abs(coin)) if coin * change < 0 else Decimal(0)
        profit += closing * (price - average) * (1 if coin > 0 else -1) - fill.fee
        left = coin + change
        if coin * change >= 0 and left:
            average = (abs(coin) * average + abs(change) * price) / abs(left)
        elif coin * left < 0:
            average = price
        held[fill.product_id] = (left, average)
    return Notional(profit)
