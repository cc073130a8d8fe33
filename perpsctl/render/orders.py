"""What became of orders: place, edit, cancel, list, show, preview."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from perpsctl.domain.accounts import OrdersRead
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ids import IntentId, VenueOrderId
from perpsctl.domain.orders import (
    Accepted,
    EditIntent,
    NotSent,
    OrderIntent,
    Preview,
    Rejected,
    Unknown,
    VenueOrder,
)
from perpsctl.domain.reports import (
    CancelReport,
    IntentRecord,
    IntentStage,
    PlaceReport,
    PreviewReport,
    ReplaceReport,
)
from perpsctl.domain.verdicts import Denied
from perpsctl.render.answer import Ago, Answer, Block, Cell, Facts, Lines, Table, Word, bad, good, quiet, warn
from perpsctl.render.values import NOTHING, clock_time, money, number, word


def placed(report: PlaceReport, *, what: str = "order") -> Answer:
    """One intent's outcome; the exit code tells denied, rejected, not sent and unknown apart."""
    name, code, headline, detail = _outcome(report, what)
    data: dict[str, object] = {
        "intent_id": report.intent_id,
        "outcome": name,
        "reason": detail,
        "order": None if report.order is None else order_data(report.order),
        "denials": () if report.denied is None else report.denied.denials,
        "evidence": "" if report.outcome is None else report.outcome.evidence,
        "replayed": report.replayed,
        "latency_us": None,
    }
    if isinstance(report.outcome, Accepted):
        data["latency_us"] = report.outcome.latency_us
        data["order"] = data["order"] or {"venue_order_id": report.outcome.venue_order_id, "status": None}
    blocks: list[Block] = [Lines(lines=(headline,))]
    if report.denied is not None:
        blocks.append(denial_table(report.denied))
    if report.order is not None:
        blocks.append(_order_facts(report.order))
    blocks.append(Facts(title="", rows=(("intent", report.intent_id), *_evidence(report))))
    return Answer(data=data, blocks=blocks, exit_code=code, warnings=report.notes)


def _evidence(report: PlaceReport) -> tuple[tuple[str, Cell], ...]:
    rows: list[tuple[str, Cell]] = []
    if isinstance(report.outcome, Rejected) and report.outcome.message not in ("", report.outcome.reason):
        rows.append(("reason", word(report.outcome.message)))
    if report.outcome is not None and report.outcome.evidence:
        rows.append(("evidence", word(report.outcome.evidence)))
    if report.replayed:
        rows.append(("note", quiet("this id was placed before: its stored outcome, nothing was sent now")))
    return tuple(rows)


def _outcome(report: PlaceReport, what: str) -> tuple[str, ExitCode, Cell, str]:
    outcome = report.outcome
    if report.denied is not None or outcome is None:
        return "denied", ExitCode.DENIED, bad(f"denied: no {what} was sent"), ""
    if isinstance(outcome, Accepted):
        return "accepted", ExitCode.DONE, good(f"accepted: {what} {outcome.venue_order_id}"), ""
    if isinstance(outcome, Rejected):
        text = f"rejected by the venue: {word(outcome.reason)}; nothing rests"
        return "rejected", ExitCode.REJECTED, bad(text), f"{outcome.reason}: {outcome.message}"
    if isinstance(outcome, NotSent):
        return "not_sent", outcome.exit_code, bad(f"not sent: {word(outcome.reason)}"), outcome.reason
    text = f"unknown: it may be live; `perpsctl order resolve {report.intent_id}` looks again"
    assert isinstance(outcome, Unknown)
    return "unknown", ExitCode.UNKNOWN, warn(text), outcome.reason


def denial_table(denied: Denied) -> Table:
    """Every reason with what was seen and the bound."""
    return Table(
        title="Why",
        columns=("rule", "seen", "bound", "note"),
        rows=tuple((d.code.value, d.observed, d.limit, d.detail) for d in denied.denials),
        right=frozenset({"seen", "bound"}),
    )


def previewed(report: PreviewReport) -> Answer:
    """What venue and limits say of an order; exit 3 when we would deny it, 4 when the venue would refuse it."""
    order, preview = report.order, report.preview
    blocks: list[Block] = []
    code = ExitCode.DONE
    if preview is None:
        blocks.append(Lines(lines=(bad("the venue gave no preview"),)))
        code = ExitCode.UNREACHABLE
    else:
        would = not preview.problems
        title = "an estimate of ours; this venue has no preview" if preview.estimate else "the venue's preview"
        rows: tuple[tuple[str, Cell], ...] = (
            _opinion(preview),
            ("size", f"{number(order.size)} {order.product.base}"),
            ("order total", money(preview.order_total)),
            ("commission", money(preview.commission)),
            ("margin", money(preview.margin)),
            ("average price", number(preview.average_price)),
            ("best bid / ask", f"{number(preview.best_bid)} / {number(preview.best_ask)}"),
        )
        blocks.append(Facts(title=f"{order.product_id}: {title}", rows=rows))
        code = ExitCode.DONE if would else ExitCode.REJECTED
    if report.denied is not None:
        blocks.append(Lines(lines=(bad("our limits would deny it"),)))
        blocks.append(denial_table(report.denied))
        code = ExitCode.DENIED
    data = {
        "product_id": order.product_id,
        "size": order.size,
        "side": order.side,
        "preview": preview,
        "denials": () if report.denied is None else report.denied.denials,
        "ok": code is ExitCode.DONE,
    }
    warnings = report.notes + (() if preview is None else preview.warnings)
    return Answer(data=data, blocks=blocks, exit_code=code, warnings=warnings)


def _opinion(preview: Preview) -> tuple[str, Cell]:
    """A preview is the venue's word; an estimate only has figures that may speak against the order."""
    against = ", ".join(word(problem) for problem in preview.problems)
    if preview.estimate:
        return "objections", bad(against) if against else good("none that the figures show")
    return "would be taken", bad(f"no: {against}") if against else good("yes")


def replaced(report: ReplaceReport) -> Answer:
    """The old order proven gone, then the remainder placed; exit 10 while the old one is not proven gone.

    A replacement that was denied cancelled nothing, and no cancels are shown.
    """
    gone = cancelled(report.cancelled)
    if report.placed is None:
        code = gone.exit_code
        data: dict[str, object] = {"cancelled": gone.data, "placed": None, "old_filled": report.old_filled}
        return Answer(data=data, blocks=gone.blocks, exit_code=code, warnings=report.notes)
    new = placed(report.placed)
    return Answer(
        data={"cancelled": gone.data, "placed": new.data, "old_filled": report.old_filled},
        blocks=[*(gone.blocks if report.cancelled.requested else ()), *new.blocks],
        exit_code=new.exit_code,
        warnings=report.notes + new.warnings,
    )


def listed(
    read: OrdersRead, records: Sequence[IntentRecord], *, everything: bool, over: Sequence[VenueOrder] = ()
) -> Answer:
    """Open orders at the venue with the journal's word on each; with `everything` both sides' history.

    `over` is what the venue tells of the last day and is live no more, whoever placed it.
    """
    mine = _ours((*read.orders, *over), records)
    doubtful = [record for record in records if record.stage.in_doubt]

    def rows(orders: Sequence[VenueOrder]) -> list[dict[str, object]]:
        intents = [(order, mine.get(order.venue_order_id)) for order in orders]
        return [
            order_data(order) | {"intent_id": _intent_of(ours), "ours": ours is not None} for order, ours in intents
        ]

    blocks: list[Block] = []
    if doubtful:
        blocks.append(_record_table("In doubt: counted as live until proven", doubtful))
    blocks.extend(_order_tables(read.orders, mine, "Open orders"))
    if over:
        blocks.extend(_order_tables(over, mine, "Over within a day"))
    if everything:
        blocks.append(_record_table("Intents in the journal, newest first", records))
    blocks.append(Facts(title="", rows=(("read", Ago(read.as_of)),)))
    data: dict[str, object] = {
        "orders": rows(read.orders),
        "in_doubt": [record.intent.id for record in doubtful],
        "as_of": read.as_of,
    }
    if everything:
        data["over"] = rows(over)
        data["intents"] = [record_data(record) for record in records]
    return Answer(data=data, blocks=blocks, rows_key="orders")


def shown_record(record: IntentRecord, order: VenueOrder | None) -> Answer:
    """One intent with everything known of it."""
    blocks: list[Block] = [_record_facts(record)]
    if record.denied is not None:
        blocks.append(denial_table(record.denied))
    if order is not None:
        blocks.append(_order_facts(order))
    code = ExitCode.UNKNOWN if record.stage.in_doubt else ExitCode.DONE
    data = record_data(record) | {"order": None if order is None else order_data(order)}
    return Answer(data=data, blocks=blocks, exit_code=code)


def shown_order(order: VenueOrder) -> Answer:
    """One order that is not in the journal."""
    note = Lines(lines=(warn("not in the journal: placed by something else on this portfolio"),))
    return Answer(data={"order": order_data(order), "ours": False}, blocks=[_order_facts(order), note])


def cancelled(report: CancelReport, *, filled: tuple[str, ...] = ()) -> Answer:
    """What became of cancels: gone is proven by a read, never by an acknowledgement (I8)."""
    asked = len(report.gone) == len(report.requested) and not report.problems
    words = {
        **dict.fromkeys(report.gone, good("gone")),
        **dict.fromkeys(report.still_live, bad("still live")),
        **dict.fromkeys(report.unproven, warn("unproven")),
    }
    table = Table(
        title="Cancels",
        columns=("order", "result"),
        rows=tuple((order_id, words.get(order_id, warn("unproven"))) for order_id in report.requested),
        empty="none is proven" if report.problems or report.in_doubt else "nothing to cancel",
    )
    blocks: list[Block] = [table]
    if report.problems:
        blocks.append(Lines(lines=tuple(bad(word(problem)) for problem in report.problems)))
    if report.in_doubt:
        blocks.append(Lines(lines=tuple(map(_may_rest, report.in_doubt))))
    data = {
        "requested": report.requested,
        "gone": report.gone,
        "still_live": report.still_live,
        "unproven": report.unproven,
        "in_doubt": report.in_doubt,
        "problems": report.problems,
    }
    code = ExitCode.PARTLY_DONE if not asked else ExitCode.UNKNOWN if report.in_doubt else ExitCode.DONE
    return Answer(data=data, blocks=blocks, exit_code=code, warnings=filled)


def _may_rest(intent: IntentId) -> Cell:
    return warn(f"{intent} is in doubt: its order may rest. `perpsctl order resolve {intent}`")


def resolved(records: Sequence[IntentRecord]) -> Answer:
    """What is left of a doubt after looking again; exit 5 while any is left."""
    left = [record for record in records if record.stage.in_doubt]
    data = {"resolved": [record_data(r) for r in records if not r.stage.in_doubt],
            "in_doubt": [r.intent.id for r in left]}  # fmt: skip
    blocks = [_record_table("Resolved" if not left else "Looked at", records, empty="nothing is in doubt")]
    return Answer(data=data, blocks=blocks, exit_code=ExitCode.UNKNOWN if left else ExitCode.DONE, rows_key="resolved")


def record_data(record: IntentRecord) -> dict[str, object]:
    """One intent as data."""
    intent = record.intent
    return {
        "intent_id": intent.id,
        "kind": "edit" if isinstance(intent, EditIntent) else "order",
        "stage": record.stage,
        "committed_at": record.committed_at,
        "terms": intent,
        "sent_size": record.sent_size,
        "venue_order_id": record.venue_order_id,
        "outcome": _outcome_name(record),
        "evidence": "" if record.outcome is None else record.outcome.evidence,
        "denials": () if record.denied is None else record.denied.denials,
    }


def _outcome_name(record: IntentRecord) -> str:
    names = {Accepted: "accepted", Rejected: "rejected", NotSent: "not_sent", Unknown: "unknown"}
    if record.denied is not None:
        return "denied"
    return "unknown" if record.outcome is None else names[type(record.outcome)]


def order_data(order: VenueOrder) -> dict[str, object]:
    """One order as data."""
    return {
        "venue_order_id": order.venue_order_id,
        "client_order_id": order.client_order_id,
        "product_id": order.product_id,
        "side": order.side,
        "type": order.type,
        "tif": order.tif,
        "size": order.size,
        "filled": order.filled,
        "status": order.status,
        "raw_status": order.raw_status,
        "limit_price": order.limit_price,
        "stop_price": order.stop_price,
        "post_only": order.post_only,
        "average_price": order.average_price,
        "fees": order.fees,
        "created": order.created,
        "expires": order.expires,
        "placement_source": order.placement_source,
        "reason": order.reason,
        "is_liquidation": order.is_liquidation,
        "read_at": order.read_at,
    }


def _intent_of(record: IntentRecord | None) -> str | None:
    return None if record is None else record.intent.id


def _status(order: VenueOrder) -> Word:
    text = order.status.value if order.status.value != "unrecognised" else f"? {word(order.raw_status)}"
    if order.status.live:
        return good(text)
    return quiet(text)


def _ours(orders: Sequence[VenueOrder], records: Sequence[IntentRecord]) -> dict[VenueOrderId, IntentRecord]:
    """The record of each order that is ours: by the venue's id, else (in doubt) by the id the intent was sent with."""
    by_order = {record.venue_order_id: record for record in records if record.venue_order_id is not None}
    by_intent = {str(record.intent.id): record for record in records}
    found = {}
    for order in orders:
        record = by_order.get(order.venue_order_id) or by_intent.get(str(order.client_order_id))
        if record is not None:
            found[order.venue_order_id] = record
    return found


def _order_tables(orders: Sequence[VenueOrder], mine: Mapping[VenueOrderId, IntentRecord], title: str) -> list[Table]:
    """One table a product, so that ids stand whole within 80 columns: they are what `order cancel` takes."""
    columns = ("order", "side", "size", "filled", "price", "status")
    products = sorted({order.product_id for order in orders})
    if not products:
        return [Table(title=title, columns=columns, rows=())]
    return [
        Table(
            title=f"{title} · {product}",
            columns=columns,
            rows=tuple(_order_row(order, mine) for order in orders if order.product_id == product),
            right=frozenset({"size", "filled", "price"}),
        )
        for product in products
    ]


def _order_row(order: VenueOrder, mine: Mapping[VenueOrderId, IntentRecord]) -> tuple[Cell, ...]:
    status, record = _status(order), mine.get(order.venue_order_id)
    if record is None:
        status = warn(f"{status.text}, foreign")
    elif record.stage.in_doubt:
        status = warn(f"{status.text}, in doubt")
    if order.stop_price is not None:
        status = replace(status, text=f"{status.text}, stop {number(order.stop_price)}")
    return (
        order.venue_order_id,
        order.side.value,
        number(order.size),
        number(order.filled),
        number(order.limit_price),
        status,
    )


def _record_table(title: str, records: Sequence[IntentRecord], *, empty: str = "none") -> Table:
    return Table(
        title=title,
        columns=("intent", "when", "side", "size", "stage", "why"),
        rows=tuple(
            (
                record.intent.id,
                Ago(record.committed_at),
                record.intent.side.value if isinstance(record.intent, OrderIntent) else "edit",
                number(record.sent_size),
                _stage(record.stage),
                word(record.intent.reason),
            )
            for record in records
        ),
        right=frozenset({"when", "size"}),
        empty=empty,
    )


def _stage(stage: IntentStage) -> Cell:
    text = stage.value.replace("_", " ")
    if stage.in_doubt:
        return warn(text)
    return good(text) if stage is IntentStage.WORKING else quiet(text)


def _order_facts(order: VenueOrder) -> Facts:
    filled = f"{number(order.filled)} of {number(order.size)}"
    rows: list[tuple[str, Cell]] = [
        ("order", order.venue_order_id),
        ("product", order.product_id),
        ("terms", f"{order.side.value} {order.type.value} {order.tif.value}"),
        ("price", number(order.limit_price)),
        ("filled", filled if order.average_price is None else f"{filled} at {number(order.average_price)}"),
        ("status", _status(order)),
    ]
    if order.stop_price is not None:
        rows.insert(4, ("stop", number(order.stop_price)))
    if order.expires is not None:
        rows.append(("expires", clock_time(order.expires)))
    if order.reason:
        rows.append(("reason", word(order.reason)))
    return Facts(title="", rows=tuple(rows))


def _record_facts(record: IntentRecord) -> Facts:
    rows: list[tuple[str, Cell]] = [
        ("intent", record.intent.id),
        ("stage", _stage(record.stage)),
        ("committed", clock_time(record.committed_at)),
        ("size sent", number(record.sent_size)),
        ("why", word(record.intent.reason)),
        ("order", NOTHING if record.venue_order_id is None else record.venue_order_id),
    ]
    if record.outcome is not None:
        rows.append(("evidence", word(record.outcome.evidence)))
    return Facts(title="", rows=tuple(rows))
