"""What reconcile found: differences first, the oldest open one on top, then the ledger as a column that adds up."""

from collections.abc import Mapping
from decimal import Decimal

from perpsctl.domain.cash import CashLedger
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.reports import Break, ReconcileReport
from perpsctl.render.answer import Ago, Answer, Block, Cell, Facts, Table, bad, good, quiet, warn
from perpsctl.render.values import clock_time, number, word

__all__ = ["accepted", "reconciled"]


def reconciled(report: ReconcileReport) -> Answer:
    """Exit 0 when journal, venue and ledger agree, 1 when something differs, 10 when something could not be read."""
    blocks: list[Block] = [_breaks(report)]
    if report.ledger is not None:
        blocks.append(_ledger(report.ledger))
    compared = f"{report.orders_compared} orders, {report.fills_compared} fills, {report.positions_compared} positions"
    facts: list[tuple[str, Cell]] = [("compared", compared), ("at", clock_time(report.at))]
    facts.extend(("unread", bad(word(problem))) for problem in report.unread)
    if report.ledger is not None:
        facts.extend(("note", word(note)) for note in report.ledger.notes)
    blocks.append(Facts(title="", rows=tuple(facts)))
    if report.unread:
        code = ExitCode.PARTLY_DONE
    else:
        code = ExitCode.CHECKS_FAILED if report.breaks else ExitCode.DONE
    data = {
        "breaks": [_break_data(b, report) for b in report.breaks],
        "ledger": None if report.ledger is None else _ledger_data(report.ledger),
        "unread": report.unread,
        "matched": report.matched,
        "compared": {
            "orders": report.orders_compared,
            "fills": report.fills_compared,
            "positions": report.positions_compared,
        },
        "at": report.at,
    }
    return Answer(data=data, blocks=blocks, exit_code=code, rows_key="breaks")


def accepted(difference: Decimal, currency: str, by: str, reason: str) -> Answer:
    """A named decision: the ledger counts on from the balance as it is."""
    rows: tuple[tuple[str, Cell], ...] = (
        ("accepted", f"{number(difference)} {currency} that nothing explained"),
        ("by", word(by)),
        ("reason", word(reason)),
    )
    data = {"accepted": difference, "currency": currency, "by": by, "reason": reason}
    return Answer(data=data, blocks=[Facts(title="The ledger counts on from the present balance", rows=rows)])


def _breaks(report: ReconcileReport) -> Table:
    ordered = sorted(report.breaks, key=lambda each: (each.settled, each.since))
    return Table(
        title="Differences",
        columns=("what", "class", "since", "state", "owner", "subject", "ours", "theirs", "why", "next step"),
        rows=tuple(_break_row(each) for each in ordered),
        empty="none: journal and venue agree",
    )


def _break_row(b: Break) -> tuple[Cell, ...]:
    state = good("booked") if b.settled else warn("open")
    return (
        b.kind, b.cls.value, Ago(b.since), state, b.owner, word(b.subject), word(b.ours), word(b.theirs),
        word(b.detail), word(b.next_step),
    )  # fmt: skip


def _break_data(b: Break, report: ReconcileReport) -> dict[str, object]:
    return {
        "kind": b.kind,
        "class": b.cls,
        "subject": b.subject,
        "ours": b.ours,
        "theirs": b.theirs,
        "owner": b.owner,
        "since": b.since,
        "age_s": max(report.at - b.since, report.at - report.at),
        "settled": b.settled,
        "detail": b.detail,
        "next_step": b.next_step,
    }


def _ledger(ledger: CashLedger) -> Table:
    """Each figure with as many places as the longest needs, so that the eye can add them up."""
    parts: list[tuple[str, Decimal]] = [
        (f"opening {clock_time(ledger.opened_at)}", ledger.opening),
        (f"realised by {ledger.fills} fills", ledger.realised),
        ("fees", ledger.fees),
        ("funding", ledger.funding),
        ("transfers", ledger.transfers),
        ("closing by our books", ledger.closing),
        ("balance by the venue", ledger.balance),
    ]
    places = max(2, *(_places(amount) for _, amount in (*parts, ("", ledger.difference))))
    rows: list[tuple[Cell, ...]] = [(name, number(amount, places)) for name, amount in parts]
    told = number(ledger.difference, places)
    rows.append(("difference", quiet(told) if ledger.difference == 0 else bad(told)))
    return Table(
        title="Ledger", columns=("what", ledger.currency), rows=tuple(rows), right=frozenset({ledger.currency})
    )


def _places(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent if amount else 0
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _ledger_data(ledger: CashLedger) -> Mapping[str, object]:
    return {
        "currency": ledger.currency,
        "opened_at": ledger.opened_at,
        "opening": ledger.opening,
        "realised": ledger.realised,
        "fees": ledger.fees,
        "funding": ledger.funding,
        "transfers": ledger.transfers,
        "closing": ledger.closing,
        "balance": ledger.balance,
        "difference": ledger.difference,
        "explained": ledger.difference == 0,
        "fills": ledger.fills,
        "funding_basis": ledger.basis,
        "funding_expected": ledger.funding_expected,
        "unsettled": ledger.unsettled,
        "notes": ledger.notes,
    }
