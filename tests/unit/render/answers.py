"""Answers with fixed values, one of each kind: what the golden files and the hostile-text tests draw."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from perpsctl.domain.accounts import TradingState
from perpsctl.domain.cash import CashLedger, LedgerBasis
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import IntentId, ProductId, VenueOrderId
from perpsctl.domain.market import DataSource, Mark, MarkSource
from perpsctl.domain.numbers import Notional, Price, Size
from perpsctl.domain.orders import Accepted, NotSent, OrderStatus, Preview, Rejected, Unknown
from perpsctl.domain.outlook import BookTop, Happening, LimitUse, Outlook
from perpsctl.domain.ports import Integrity
from perpsctl.domain.reports import (
    Attestation,
    BookProof,
    Break,
    BreakClass,
    CancelReport,
    DataAgeMs,
    EngageReport,
    ExitPending,
    ExitReport,
    FlattenReport,
    HaltFacts,
    HaltState,
    IntentRecord,
    IntentStage,
    LatencyMs,
    PlaceReport,
    PreviewReport,
    ReconcileReport,
    RecoveryS,
    ReleaseReport,
    ReplaceReport,
    RunSummary,
    SwitchStatus,
)
from perpsctl.domain.streams import ChannelHealth, ChannelState, StreamPart
from perpsctl.domain.verdicts import Denial, DenialCode, Denied
from perpsctl.render import account, market, operations, orders, watching
from perpsctl.render import reconciled as reconciling
from perpsctl.render.answer import Answer
from tests.builders import (
    BTC,
    NOW,
    a_book,
    a_fill,
    a_position,
    a_product,
    a_quantized,
    an_account,
    an_intent,
    an_order,
    orders_read,
    positions_read,
)

INTENT = IntentId("b724c4b3-85be-4f52-b07d-0e08c5cb3b4c")
ORDER = VenueOrderId("63e482db-c111-4361-96a1-269fa48971b7")
LATER = NOW + timedelta(seconds=3)
"""The moment the answers are drawn at: everything in them was read 3 s before."""


def answers(said: str = "a plain word") -> dict[str, Answer]:
    """One answer of each kind; `said` stands wherever a venue, a journal or an operator can put text of its own."""
    order = replace(
        an_order(venue_order_id=ORDER, client_order_id=str(INTENT), reason=said, placement_source=said), raw_status=said
    )
    odd = replace(
        an_order(venue_order_id="outside-1", client_order_id=said, status=OrderStatus.UNRECOGNISED), raw_status=said
    )
    denied = Denied(denials=(Denial(code=DenialCode.POSITION_ABOVE_MAX, observed=said, limit="0.01", detail=said),))
    intent = an_intent(id=str(INTENT), reason=said)
    record = IntentRecord(
        intent=intent, stage=IntentStage.UNKNOWN, committed_at=NOW, sent_size=Size(Decimal("0.01")), denied=None,
        outcome=Unknown(reason=said, evidence=said), venue_order_id=None, order=None,
    )  # fmt: skip
    working = IntentRecord(
        intent=an_intent(id="working-intent-1"), stage=IntentStage.WORKING, committed_at=NOW, sent_size=Size(Decimal("0.01")),
        denied=None, outcome=Accepted(venue_order_id=ORDER, order=order, evidence=said, latency_us=1200),
        venue_order_id=ORDER, order=order,
    )  # fmt: skip
    cancels = CancelReport(
        requested=(ORDER, VenueOrderId("second-order"), VenueOrderId("third-order")), gone=(ORDER,),
        still_live=(VenueOrderId("second-order"),), unproven=(VenueOrderId("third-order"),), problems=(said,),
        in_doubt=(IntentId("lost-intent-1"),),
    )  # fmt: skip
    facts = HaltFacts(state=HaltState.ENGAGED, latch="engaged", journal=said, reason=said, by=said, since=NOW)
    pending = ExitPending(product_id=ProductId(BTC), size=Size(Decimal("0.02")), reason=said, retry_at=LATER)
    attestation = Attestation(
        at=NOW, latch_durable=True, journal_durable=False, open_orders=(order,), positions=(a_position(coin="0.02"),),
        in_doubt=(INTENT,), unread=(said,), exit_pending=(pending,), stuck_sender=said, flatten_asked=True,
    )  # fmt: skip
    clean = Attestation(
        at=NOW, latch_durable=True, journal_durable=True, open_orders=(), positions=(), in_doubt=(), unread=(),
        exit_pending=(), stuck_sender=None, flatten_asked=True,
    )  # fmt: skip

    def placed(outcome: Accepted | Rejected | NotSent | Unknown | None, *, why: Denied | None = None) -> PlaceReport:
        return PlaceReport(
            intent_id=INTENT,
            denied=why,
            outcome=outcome,
            order=order if isinstance(outcome, Accepted) else None,
            notes=(said,),
        )

    accepted = placed(Accepted(venue_order_id=ORDER, order=order, evidence=said, latency_us=1200))
    exits = FlattenReport(
        exits=(
            ExitReport(
                product_id=ProductId(BTC), before=Decimal("0.02"), after=None, wanted=None, orders=(accepted,), cancels=(cancels,),
                pending=pending, denied=denied, problems=(said,),
            ),
        ),
        unread=(said,),
    )  # fmt: skip
    preview = Preview(
        problems=(said,), warnings=(said,), order_total=Notional(Decimal("600")), commission=Notional(Decimal("0.18")),
        margin=None, best_bid=None, best_ask=None, average_price=None, slippage=None, estimate=False,
    )  # fmt: skip
    summary = RunSummary(
        ticks=60, intents=12, accepted=11, rejected=1, denied=2, unknown=0, not_sent=0, fills=4,
        acceptance_rate=Decimal("0.9166"), latency_ms=LatencyMs(p50=Decimal("3.2"), p95=Decimal("9.9"), p99=None, samples=12),
        halted=False, stopped_because=said, denials_by_code={"quiet_window": 2}, positions=(), open_orders=0,
        realised=Notional(Decimal("-1.25")), started=NOW, ended=LATER, stream_uptime=Decimal("0.99953"), gaps=2, reconnects=1,
        recovery_s=RecoveryS(p50=Decimal("0.812"), max=Decimal("1.25"), samples=3),
        data_age_ms=DataAgeMs(p50=Decimal("41.5"), p99=Decimal("310"), samples=60),
        book_proof=BookProof(agreed=True, levels=40, reads=2, detail=""),
    )  # fmt: skip
    difference = Break(
        kind="order", cls=BreakClass.FOREIGN, subject=str(ORDER), ours=said, theirs=said, owner="operator", since=NOW,
        settled=False, detail=said, next_step=said,
    )  # fmt: skip
    ledger = CashLedger(
        currency="USD", opened_at=NOW, opening=Decimal(1000000), realised=Decimal("-19"), fees=Decimal("-1.441935"),
        funding=Decimal("-0.0123901859174"), transfers=Decimal(0), balance=Decimal("999979.5456748140826"), fills=2,
        basis=LedgerBasis.BALANCE, funding_expected=Decimal("-0.01239974"), notes=(said,),
    )  # fmt: skip
    reconciled = ReconcileReport(
        at=LATER, breaks=(difference,), unread=(said,), orders_compared=3, fills_compared=2, positions_compared=1,
        ledger=ledger,
    )  # fmt: skip
    return {
        "watch": watching.answer(a_look(said)),
        "order-accepted": orders.placed(accepted),
        "order-rejected": orders.placed(placed(Rejected(reason=said, message=said, evidence=said))),
        "order-not-sent": orders.placed(placed(NotSent(reason=said, evidence=said))),
        "order-unknown": orders.placed(placed(Unknown(reason=said, evidence=said))),
        "order-denied": orders.placed(placed(None, why=denied)),
        "order-preview": orders.previewed(
            PreviewReport(order=a_quantized(), preview=preview, denied=denied, notes=(said,))
        ),
        "order-list": orders.listed(orders_read(order), (record, working), everything=True, over=(odd,)),
        "order-list-empty": orders.listed(orders_read(), (), everything=False),
        "order-show": orders.shown_record(record, order),
        "order-show-foreign": orders.shown_order(odd),
        "order-cancel": orders.cancelled(cancels),
        "order-replace": orders.replaced(
            ReplaceReport(cancelled=cancels, old_filled=Size(Decimal("0.01")), placed=accepted, notes=(said,))
        ),
        "order-replace-denied": orders.replaced(
            ReplaceReport(
                cancelled=CancelReport(requested=(), gone=(), still_live=(), unproven=(), problems=()),
                old_filled=None,
                placed=placed(None, why=denied),
                notes=(said,),
            )
        ),
        "order-resolve": orders.resolved((record,)),
        "positions": account.positions(positions_read(a_position(coin="0.02")), {ProductId(BTC): Decimal("0.01")}),
        "positions-unbooked": account.positions(positions_read(), None),
        "positions-close": account.flattened(exits),
        "fills": account.fills([a_fill()], source="journal"),
        "pnl": account.pnl(
            an_account(), positions_read(), {"utc_day by fills": Decimal("-1.5"), "rolling_24h by fills": None}
        ),
        "products": market.products([a_product()]),
        "product": market.product(a_product()),
        "book": market.book(a_book(), 5),
        "switch-status": operations.switch_state(
            "sim", SwitchStatus(facts=facts, in_doubt=None, exit_pending=(pending,), problems=(said,))
        ),
        "switch-engaged": operations.engaged(
            {
                "sim": EngageReport(
                    attestation=attestation, first=True, cancels=(cancels,), flattened=exits, problems=(said,)
                ),
                "spare": said,
            }
        ),
        "switch-clean": operations.engaged(
            {"sim": EngageReport(attestation=clean, first=True, cancels=(), flattened=None, problems=())}
        ),
        "switch-kept": operations.released("sim", ReleaseReport(released=False, refusals=(said,), facts=facts)),
        "run": operations.ran(summary, ExitCode.DONE, (said,)),
        "run-refused": operations.run_refused(denied.denials),
        "reconcile": reconciling.reconciled(reconciled),
        "reconcile-accepted": reconciling.accepted(Decimal("-50.25"), "USD", "ann", said),
        "journal-check": operations.journal_checked(
            Integrity(rows=40, verified_from=0, sound=False, first_bad=7, problem=said, head="ab" * 32)
        ),
        "journal-info": operations.journal_info(
            {"path": said, "size_bytes": 4096, "rows": 40, "head": "ab" * 32, "noted": {"seq": 40, "hash": "ab" * 32}}
        ),
        "limits": operations.named_rows(
            "Limits", "limits", [("gross_max_share", "0.05", said)], ("limit", "value", "source")
        ),
        "said": operations.said(said, {"file": said}),
    }


def a_look(said: str) -> Outlook:
    """One look of `watch` with something wrong in most places; `said` stands wherever a stranger's word can."""
    return Outlook(
        at=LATER, product_id=ProductId(BTC), takes_orders=True,
        switch=HaltFacts(
            state=HaltState.ENGAGED, latch="engaged", journal=said, reason=said, by=said, since=NOW, loss_breach=True
        ),
        states={ProductId(BTC): TradingState.REDUCING}, run_holder=said, heartbeat=NOW, in_doubt=1, working=2,
        exits_pending=0, open_orders=None, account=an_account(), positions=(a_position(coin="0.02"),),
        marks={ProductId(BTC): Mark(price=Price(Decimal("60000")), as_of=NOW, source=MarkSource.BOOK_MID)},
        day_change=Notional(Decimal("-12.5")),
        limits=(
            LimitUse(limit="position_max_share", subject=said, used=Decimal("0.0123"), bound=Decimal("0.01")),
            LimitUse(limit="daily_loss_max_share", subject="utc_day", used=None, bound=Decimal("0.02")),
            LimitUse(limit="orders_per_minute_max", subject="", used=Decimal(9), bound=Decimal(10)),
        ),
        book=BookTop(
            product_id=ProductId(BTC), bid=Price(Decimal("59995")), bid_size=Size(Decimal("5")), ask=None, ask_size=None,
            sound=False, as_of=NOW, source=DataSource.STREAM,
        ),
        channels=(
            ChannelHealth(
                part=StreamPart.ORDERS, product_id=None, state=ChannelState.DOWN, age=timedelta(seconds=3),
                bound=timedelta(seconds=2), since=NOW, reason=said,
            ),
        ),
        figures=None,
        events=(Happening(at=NOW, kind="order", intent_id=None, words=said),),
        problems=(said,),
    )  # fmt: skip
