"""The audit: records as they stand, the two verdicts, anchors and exports."""

from collections.abc import Mapping

from perpsctl.domain.audits import AnchorMade, Audited, AuditExported, AuditPage, AuditRecord, Completeness, Wholeness
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.text import shown
from perpsctl.render.answer import Answer, Block, Cell, Facts, Lines, Table, bad, good, quiet, warn
from perpsctl.render.values import NOTHING, clock_time, word

GIST_LENGTH = 160
HASH_SHOWN = 16
ID_SHOWN = 8


def records(page: AuditPage) -> Answer:
    """Records, newest first; exit 8 when one of them is not as it was sealed."""
    changed = tuple(each.seq for each in page.records if each.sealed is False)
    table = Table(
        title="Records, newest first",
        columns=("record", "at", "kind", "told"),
        rows=tuple(_row(each) for each in page.records),
        right=frozenset({"record"}),
        empty="none that fits",
    )
    blocks: list[Block] = [table]
    if page.next_before is not None:
        blocks.append(Lines(lines=(quiet(f"more below: --before {page.next_before}"),)))
    warnings = []
    if changed:
        warnings.append(f"not as sealed: {', '.join(map(str, changed))}; `perpsctl audit verify` names what was done")
    if any(each.sealed is None for each in page.records):
        warnings.append("audit.key is missing: whether these records are as they were sealed cannot be told")
    data = {"records": [_data(each) for each in page.records], "next_before": page.next_before}
    code = ExitCode.JOURNAL if changed else ExitCode.DONE
    return Answer(data=data, blocks=blocks, exit_code=code, rows_key="records", warnings=tuple(warnings))


def _row(record: AuditRecord) -> tuple[Cell, ...]:
    number = str(record.seq) if record.sealed is not False else bad(f"{record.seq} CHANGED")
    at = shown(record.at)[:19].replace("T", " ")
    return number, at, word(record.kind), _gist(record)


def _data(record: AuditRecord) -> dict[str, object]:
    return {
        "seq": record.seq,
        "account": record.account,
        "kind": record.kind,
        "at": record.at,
        "intent_id": record.intent_id,
        "venue_order_id": record.venue_order_id,
        "ref": record.ref,
        "occurred": record.occurred,
        "payload": record.payload,
        "hash": record.hash,
        "sealed": record.sealed,
    }


def _gist(record: AuditRecord) -> Cell:
    """What a record says, in a line, with the beginnings of its ids: `--id` takes them."""
    if record.payload is None:
        return bad("unreadable")
    told = _GISTS.get(record.kind, _plainly)(record.payload)
    ids = (("intent", record.intent_id), ("order", record.venue_order_id))
    return ", ".join([told, *(f"{what} {shown(each, ID_SHOWN)}" for what, each in ids if each)])


def _intent(payload: Mapping[str, object]) -> str:
    intent, denied = _part(payload, "intent"), payload.get("denied")
    if isinstance(denied, Mapping):
        denials = denied.get("denials")
        codes = (
            [word(each.get("code")) for each in denials if isinstance(each, Mapping)]
            if isinstance(denials, list)
            else []
        )
        verdict = f"DENIED {', '.join(codes)}"
    else:
        verdict = "approved"
    words = [intent.get(name) for name in ("side", "size", "product_id", "type", "limit_price")]
    return " ".join([*(word(each) for each in words if each is not None), verdict])  # fmt: skip


def _edit(payload: Mapping[str, object]) -> str:
    intent = _part(payload, "intent")
    verdict = "DENIED" if isinstance(payload.get("denied"), Mapping) else "approved"
    return f"to {word(intent.get('new_size'))} at {word(intent.get('new_price'))} {verdict}"


def _outcome(payload: Mapping[str, object]) -> str:
    outcome = _part(payload, "outcome")
    reason = outcome.get("reason")
    return word(outcome.get("is")) + (f", {word(reason)}" if reason else "")


def _order(payload: Mapping[str, object]) -> str:
    order = _part(payload, "order")
    return f"{word(order.get('status'))}, filled {word(order.get('filled'))} of {word(order.get('size'))}"


def _fill(payload: Mapping[str, object]) -> str:
    fill = _part(payload, "fill")
    words = [word(fill.get(name)) for name in ("side", "size", "product_id")]
    return f"{' '.join(words)} at {word(fill.get('price'))}, fee {word(fill.get('fee'))}"


def _mark(payload: Mapping[str, object]) -> str:
    return f"equity {word(_part(payload, 'mark').get('equity'))}"


def _halt(payload: Mapping[str, object]) -> str:
    state = "engaged" if payload.get("engaged") is not False else "released"
    return f"{state} by {word(payload.get('by'))}: {word(payload.get('reason'))}"


def _plainly(payload: Mapping[str, object]) -> str:
    told = ", ".join(f"{shown(name, 40)} {_small(value)}" for name, value in payload.items() if name != "is")
    return shown(told, GIST_LENGTH)


def _small(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({len(value)} values)" if value else NOTHING
    if isinstance(value, list):
        return f"({len(value)})" if value else NOTHING
    return shown(word(value), 60)


def _part(payload: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = payload.get(name)
    return found if isinstance(found, Mapping) else {}


_GISTS = {
    "intent": _intent,
    "edit": _edit,
    "outcome": _outcome,
    "order": _order,
    "fill": _fill,
    "mark": _mark,
    "halt": _halt,
}


def verdict(found: Audited) -> Answer:
    """Integrity and completeness, each by itself; exit 8 when either is against the journal."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("records", str(found.rows)),
        ("integrity", good("sound: every record is as it was sealed") if found.sound else bad(f"BROKEN: {word(found.problem)}")),
        ("first bad", _first_bad(found)),
        ("completeness", _complete(found.completeness)),
        ("head", word(found.head[:HASH_SHOWN])),
        ("digest", word(found.digest[:HASH_SHOWN])),
    )  # fmt: skip
    return Answer(data=_verdict_data(found), blocks=[Facts(title="Audit", rows=rows)], exit_code=_code(found))


def _first_bad(found: Audited) -> Cell:
    if found.damage is not None:
        return bad(f"record {found.damage.row}, {found.damage.what.value}")
    if found.completeness.first_missing is not None:
        return bad(f"record {found.completeness.first_missing}, {found.completeness.state.value}")
    return NOTHING


def _complete(whole: Wholeness) -> Cell:
    match whole.state:
        case Completeness.ANCHORED:
            return good(f"proven up to record {whole.up_to} ({_count(whole.anchors)})")
        case Completeness.NOTED:
            return warn(f"record {whole.up_to}, noted beside the journal, is there; no anchor is kept elsewhere")
        case Completeness.NOT_ANCHORED:
            return warn("not judged: nothing was kept that could tell, see `perpsctl audit anchor`")
        case _:
            return bad(f"{whole.state.value.upper()}: {word(whole.problem)}")


def _count(anchors: int) -> str:
    return "1 anchor" if anchors == 1 else f"{anchors} anchors"


def _verdict_data(found: Audited) -> dict[str, object]:
    return {
        "rows": found.rows,
        "head": found.head,
        "digest": found.digest,
        "integrity": {"sound": found.sound, "problem": found.problem, "first_bad": found.damage},
        "completeness": {"sound": found.completeness.sound} | _wholeness_data(found.completeness),
    }


def _wholeness_data(whole: Wholeness) -> dict[str, object]:
    return {
        "state": whole.state,
        "up_to": whole.up_to,
        "anchors": whole.anchors,
        "first_missing": whole.first_missing,
        "problem": whole.problem,
    }


def _code(found: Audited) -> ExitCode:
    return ExitCode.DONE if found.sound and found.completeness.sound else ExitCode.JOURNAL


def anchored(made: AnchorMade) -> Answer:
    """A head was added to a file elsewhere."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("record", str(made.seq)),
        ("hash", word(made.hash)),
        ("digest", word(made.digest)),
        ("at", clock_time(made.at)),
        ("account", word(made.account)),
        ("file", word(made.file)),
    )
    return Answer(data={"anchor": made}, blocks=[Facts(title="Anchored: the journal is whole up to here", rows=rows)])


def exported(made: AuditExported) -> Answer:
    """The document was written; exit 8 when the verdict it carries is against the journal."""
    told = f"{made.rows} records in {word(made.file)}, {made.size_bytes} bytes"
    sound = _code(made.found) is ExitCode.DONE
    lines: list[Cell] = [good(told) if sound else warn(told)]
    if not sound:
        lines.append(
            bad(f"and the verdict is against them: {word(made.found.problem or made.found.completeness.problem)}")
        )
    data = {"file": made.file, "rows": made.rows, "size_bytes": made.size_bytes, **_verdict_data(made.found)}
    data["rows"] = made.rows
    return Answer(data=data, blocks=[Lines(lines=tuple(lines))], exit_code=_code(made.found))
