"""Kill switch, run, journal, limits, configuration, the embedded exchange."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from perpsctl.domain.errors import ExitCode
from perpsctl.domain.ports import Integrity
from perpsctl.domain.reports import (
    Attestation,
    BookProof,
    EngageReport,
    HaltState,
    ReleaseReport,
    RunSummary,
    SwitchStatus,
)
from perpsctl.domain.verdicts import Denial, Denied
from perpsctl.render.account import exit_notes, position_data
from perpsctl.render.answer import Ago, Answer, Block, Cell, Facts, Lines, Table, bad, good, quiet, warn
from perpsctl.render.orders import denial_table, order_data
from perpsctl.render.values import NOTHING, clock_time, money, number, share, word


def switch_state(name: str, status: SwitchStatus) -> Answer:
    """The kill switch as it stands, with what would hinder a release."""
    facts = status.facts
    rows: list[tuple[str, Cell]] = [
        ("state", bad("ENGAGED") if facts.state is HaltState.ENGAGED else good("released")),
        ("latch", word(facts.latch)),
        ("journal", word(facts.journal)),
        ("since", clock_time(facts.since)),
        ("age", NOTHING if facts.since is None else Ago(facts.since)),
        ("reason", word(facts.reason)),
        ("by", word(facts.by)),
        ("in doubt", bad("could not be read") if status.in_doubt is None else str(len(status.in_doubt))),
        ("exits pending", bad("could not be read") if status.exit_pending is None else str(len(status.exit_pending))),
    ]
    data = {
        "state": facts.state,
        "latch": facts.latch,
        "journal": facts.journal,
        "reason": facts.reason,
        "by": facts.by,
        "since": facts.since,
        "loss_breach": facts.loss_breach,
        "in_doubt": status.in_doubt,
        "exit_pending": status.exit_pending,
        "problems": status.problems,
    }
    return Answer(data=data, blocks=[Facts(title=f"{name}: kill switch", rows=tuple(rows))], warnings=status.problems)


def engaged(reports: Mapping[str, EngageReport | str]) -> Answer:
    """The attestation of each profile; exit 0 only when every one is clean. A text is why none could be made."""
    blocks: list[Block] = []
    clean = True
    for name, report in reports.items():
        if isinstance(report, str):
            clean = False
            blocks.append(Facts(title=f"{name}: latched", rows=(("attestation", bad(word(report))),)))
        else:
            clean = clean and report.attestation.clean
            blocks.append(_attested(name, report))
    each = {name: _engaged_data(report) for name, report in reports.items()}
    data: dict[str, object] = {"state": HaltState.ENGAGED, "profiles": each}
    data |= next(iter(each.values())) if len(each) == 1 else _joined(each)
    code = ExitCode.DONE if clean else ExitCode.PARTLY_DONE
    return Answer(data=data, blocks=blocks, exit_code=code, warnings=tuple(_noted(reports)))


def _noted(reports: Mapping[str, EngageReport | str]) -> Iterator[str]:
    """What was noted on the exits of each profile, under its name where there are several."""
    for name, report in reports.items():
        if not isinstance(report, str) and report.flattened is not None:
            yield from (f"{name}: {note}" if len(reports) > 1 else note for note in exit_notes(report.flattened))


def _joined(each: Mapping[str, dict[str, object]]) -> dict[str, object]:
    """Several profiles as one attestation: what one could not read, the whole could not; `profiles` holds each apart."""
    attested = {name: told["attestation"] for name, told in each.items()}
    parts = {name: part for name, part in attested.items() if isinstance(part, dict)}

    def all_of(field: str) -> list[object] | None:
        found: list[object] = []
        for part in parts.values():
            rows = part.get(field)
            if rows is None:
                return None
            found.extend(rows)
        return found

    unread = [f"{name}: {what}" for name, part in parts.items() for what in part.get("unread", ())]
    joined = {field: all_of(field) for field in ("open_orders", "positions", "in_doubt", "exit_pending")}
    problems = [f"{name}: {word(what)}" for name, told in each.items() for what in _texts(told["problems"])]
    return {"attestation": joined | {"unread": unread}, "problems": problems}


def _texts(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _engaged_data(report: EngageReport | str) -> dict[str, object]:
    problems = (report,) if isinstance(report, str) else report.problems
    attestation = report if isinstance(report, str) else report.attestation
    return {"attestation": attestation_data(attestation), "problems": problems}


def attestation_data(attestation: Attestation | str) -> dict[str, object]:
    """What was read back; null is "could not be read", never zero."""
    if isinstance(attestation, str):
        return {"open_orders": None, "positions": None, "in_doubt": None, "unread": [attestation], "exit_pending": None}
    return {
        "at": attestation.at,
        "clean": attestation.clean,
        "latch_durable": attestation.latch_durable,
        "journal_durable": attestation.journal_durable,
        "open_orders": None if attestation.open_orders is None else [order_data(o) for o in attestation.open_orders],
        "positions": None if attestation.positions is None else [position_data(p) for p in attestation.positions],
        "in_doubt": attestation.in_doubt,
        "unread": attestation.unread,
        "exit_pending": attestation.exit_pending,
        "stuck_sender": attestation.stuck_sender,
        "flatten_asked": attestation.flatten_asked,
    }


def _attested(name: str, report: EngageReport) -> Facts:
    a = report.attestation
    rows: list[tuple[str, Cell]] = [
        ("latch", good("durable") if a.latch_durable else bad("NOT DURABLE")),
        ("journal", good("durable") if a.journal_durable else bad("not written")),
        ("open orders", _count(None if a.open_orders is None else len(a.open_orders), want_zero=True)),
        ("positions", _count(None if a.positions is None else len(a.positions), want_zero=a.flatten_asked)),
        ("in doubt", _count(None if a.in_doubt is None else len(a.in_doubt), want_zero=True)),
        ("exits pending", _count(len(a.exit_pending), want_zero=a.flatten_asked)),
    ]
    rows.extend(("unread", bad(word(problem))) for problem in a.unread)
    rows.extend(
        ("pending", warn(f"{p.product_id} {number(p.size)}: {word(p.reason)}, retry {clock_time(p.retry_at)}"))
        for p in a.exit_pending
    )
    rows.extend(("problem", warn(word(problem))) for problem in report.problems)
    if a.stuck_sender is not None:
        rows.append(("stuck sender", bad(word(a.stuck_sender))))
    rows.append(("verdict", good("clean") if a.clean else bad("NOT CLEAN: see above")))
    return Facts(title=f"{name}: kill switch ENGAGED", rows=tuple(rows))


def _count(count: int | None, *, want_zero: bool) -> Cell:
    if count is None:
        return bad("could not be read")
    if count == 0:
        return good("none, read back")
    return bad(str(count)) if want_zero else warn(str(count))


def released(name: str, report: ReleaseReport) -> Answer:
    """The switch is open again, or every reason why not (exit 3)."""
    facts = report.facts
    data = {
        "state": facts.state,
        "released": report.released,
        "refusals": report.refusals,
        "reason": facts.reason,
        "by": facts.by,
        "since": facts.since,
    }
    if report.released:
        return Answer(data=data, blocks=[Lines(lines=(good(f"{name}: kill switch released"),))])
    lines = (bad(f"{name}: still ENGAGED; nothing was changed"), *(warn(word(each)) for each in report.refusals))
    return Answer(data=data, blocks=[Lines(lines=lines)], exit_code=ExitCode.DENIED)


def ran(summary: RunSummary, code: ExitCode, problems: tuple[str, ...]) -> Answer:
    """What one run did, and why it ended."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("stopped because", word(summary.stopped_because)),
        ("from / to", f"{clock_time(summary.started)} / {clock_time(summary.ended)}"),
        ("ticks", str(summary.ticks)),
        ("intents", str(summary.intents)),
        ("accepted", good(str(summary.accepted))),
        ("rejected", _bad_unless_zero(summary.rejected)),
        ("denied here", _bad_unless_zero(summary.denied)),
        ("unknown", _bad_unless_zero(summary.unknown)),
        ("not sent", _bad_unless_zero(summary.not_sent)),
        ("fills", str(summary.fills)),
        ("acceptance", share(summary.acceptance_rate)),
        (
            "latency ms p50/p95/p99",
            f"{number(summary.latency_ms.p50, 1)} / {number(summary.latency_ms.p95, 1)}"
            f" / {number(summary.latency_ms.p99, 1)}  ({summary.latency_ms.samples})",
        ),
        *_stream_rows(summary),
        ("realised", money(summary.realised)),
        ("open orders", NOTHING if summary.open_orders is None else str(summary.open_orders)),
        ("halted", bad("yes") if summary.halted else good("no")),
    )
    blocks: list[Block] = [Facts(title="Run", rows=rows)]
    if summary.denials_by_code:
        denied = tuple((code, str(count)) for code, count in sorted(summary.denials_by_code.items()))
        blocks.append(Table(title="Denials", columns=("rule", "times"), rows=denied, right=frozenset({"times"})))
    data = {
        "ticks": summary.ticks,
        "intents": summary.intents,
        "accepted": summary.accepted,
        "rejected": summary.rejected,
        "denied": summary.denied,
        "unknown": summary.unknown,
        "not_sent": summary.not_sent,
        "fills": summary.fills,
        "acceptance_rate": summary.acceptance_rate,
        "latency_ms": summary.latency_ms,
        "halted": summary.halted,
        "stopped_because": summary.stopped_because,
        "denials_by_code": summary.denials_by_code,
        "positions": None if summary.positions is None else [position_data(p) for p in summary.positions],
        "open_orders": summary.open_orders,
        "realised": summary.realised,
        "started": summary.started,
        "ended": summary.ended,
        "stream_uptime": summary.stream_uptime,
        "gaps": summary.gaps,
        "reconnects": summary.reconnects,
        "recovery_s": summary.recovery_s,
        "data_age_ms": summary.data_age_ms,
        "book_proof": summary.book_proof,
    }
    document = {"summary": data, "problems": problems, "denials": ()}
    return Answer(data=document, blocks=blocks, exit_code=code, warnings=problems)


def _stream_rows(summary: RunSummary) -> tuple[tuple[str, Cell], ...]:
    """How well the streams served, where the run had any."""
    if summary.gaps is None or summary.reconnects is None:
        return (("streams", quiet("none: everything was read")),)
    recovered, ages = summary.recovery_s, summary.data_age_ms
    return (
        ("stream uptime", _uptime(summary.stream_uptime)),
        ("gaps, reconnects", f"{summary.gaps}, {summary.reconnects}"),
        ("recovery s p50/max", f"{number(recovered.p50, 1)} / {number(recovered.max, 1)}  ({recovered.samples})"),
        ("data age ms p50/p99", f"{number(ages.p50, 1)} / {number(ages.p99, 1)}  ({ages.samples})"),
        ("book at the end", _proof(summary.book_proof)),
    )


def _uptime(found: Decimal | None) -> str:
    """Rounded down: what is not whole never reads as 100 %."""
    return NOTHING if found is None else f"{number((found * 100).quantize(Decimal('0.001'), ROUND_FLOOR), 3)} %"


def _proof(proof: BookProof | None) -> Cell:
    if proof is None or proof.agreed is None:
        return warn(f"not compared{'' if proof is None else f': {word(proof.detail)}'}")
    if proof.agreed:
        return good(f"equal to a read, {proof.levels} levels")
    return bad(f"DIFFERS from {proof.reads} reads: {word(proof.detail)}")


def run_refused(denials: Sequence[Denial]) -> Answer:
    """The loop did not start: what forbids it here."""
    blocks: list[Block] = [
        Lines(lines=(bad("denied: the loop was not started"),)),
        denial_table(Denied(denials=tuple(denials))),
    ]
    data = {"summary": None, "problems": (), "denials": denials}
    return Answer(data=data, blocks=blocks, exit_code=ExitCode.DENIED)


def _bad_unless_zero(count: int) -> Cell:
    return quiet("0") if count == 0 else warn(str(count))


def journal_info(info: Mapping[str, object]) -> Answer:
    """Where the journal is and what it holds."""
    rows = [(key.replace("_", " "), word(value)) for key, value in info.items() if key not in ("head", "noted")]
    noted = info["noted"]
    assert noted is None or isinstance(noted, Mapping)
    rows.append(("head", word(info["head"])))
    rows.append(("noted head", NOTHING if noted is None else f"row {word(noted['seq'])}"))
    return Answer(data=dict(info), blocks=[Facts(title="Journal", rows=tuple(rows))])


def journal_checked(found: Integrity) -> Answer:
    """The verdict on the whole chain; exit 8 when it is broken. Whether its end is missing is another question."""
    verdict = (
        good("sound: no row was changed, put in or taken out of the middle")
        if found.sound
        else bad(f"BROKEN: {word(found.problem)}")
    )
    rows: tuple[tuple[str, Cell], ...] = (
        ("rows", str(found.rows)),
        ("verified from", str(found.verified_from)),
        ("integrity", verdict),
        ("first bad row", NOTHING if found.first_bad is None else str(found.first_bad)),
        ("head", found.head[:16]),
        (
            "completeness",
            quiet("not judged: rows cut off at the end show only against a head kept elsewhere, and none is"),
        ),
    )
    code = ExitCode.DONE if found.sound else ExitCode.JOURNAL
    data = {"integrity": found, "completeness": "not_anchored"}
    return Answer(data=data, blocks=[Facts(title="Journal", rows=rows)], exit_code=code)


def named_rows(
    title: str,
    key: str,
    rows: Sequence[tuple[str, ...]],
    columns: tuple[str, ...],
    *,
    left_out: frozenset[str] = frozenset(),
) -> Answer:
    """A plain listing: limits, configuration. Columns `left_out` are for machines alone."""
    shown = [position for position, name in enumerate(columns) if name not in left_out]
    table = Table(
        title=title,
        columns=tuple(columns[position] for position in shown),
        rows=tuple(tuple(row[position] for position in shown) for row in rows),
    )
    data = {key: [dict(zip(columns, row, strict=True)) for row in rows]}
    return Answer(data=data, blocks=[table], rows_key=key)


def said(text: str, data: Mapping[str, object] | None = None, *, at: datetime | None = None) -> Answer:
    """One sentence of success."""
    body = dict(data or {})
    if at is not None:
        body["at"] = at
    return Answer(data=body, blocks=[Lines(lines=(good(text),))])
