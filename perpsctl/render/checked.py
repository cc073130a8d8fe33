"""Reports of checks: table, JSON and JUnit from the same report."""

from xml.etree import ElementTree as ET

from perpsctl.checks.model import Report, Row, Status
from perpsctl.domain.errors import ExitCode
from perpsctl.domain.text import shown
from perpsctl.render.answer import Answer, Cell, Facts, Table, bad, good, quiet, warn
from perpsctl.render.values import clock_time

_TONES = {
    Status.PASS: "green",
    Status.WARN: "yellow",
    Status.SKIP: "dim",
    Status.FAIL: "bold red",
    Status.UNKNOWN: "bold red",
    Status.CRASHED: "bold red",
}
_LONGEST = 1000


def line(row: Row) -> str:
    """One row while the series runs; its evidence stands in the report."""
    return f"{row.status.value:<8}{row.id} ({row.took_ms} ms)"


def tone(row: Row) -> str:
    """How that line is coloured where there is colour; its word says the same."""
    return _TONES[row.status]


def report(found: Report, warnings: tuple[str, ...] = ()) -> Answer:
    """The report; exit 0 only when the verdict is pass."""
    table = Table(
        title=found.name,
        columns=("check", "status", "evidence", "ms"),
        rows=tuple(_row(row) for row in found.rows),
        right=frozenset({"ms"}),
        empty="no check was run: nothing is known",
    )
    fixes = tuple((row.id, shown(row.fix, _LONGEST)) for row in found.rows if row.fix and row.status is not Status.PASS)
    blocks: list[Table | Facts] = [table]
    if fixes:
        blocks.append(Facts(title="What to do", rows=fixes))
    passed = found.verdict is Status.PASS
    counts = ", ".join(f"{found.count(status)} {status.value}" for status in Status if found.count(status))
    verdict: Cell = good(f"PASS: {counts}") if passed else bad(f"FAIL: {counts}")
    blocks.append(Facts(title="", rows=(("verdict", verdict), ("at", clock_time(found.ended)))))
    return Answer(
        data={
            "name": found.name,
            "verdict": found.verdict,
            "checks": [_data(row) for row in found.rows],
            "started": found.started,
            "ended": found.ended,
        },
        blocks=blocks,
        exit_code=ExitCode.DONE if passed else ExitCode.CHECKS_FAILED,
        warnings=warnings,
        rows_key="checks",
        junit=junit(found),
    )


def _row(row: Row) -> tuple[Cell, ...]:
    return (row.id, _status(row), shown(row.evidence, _LONGEST), str(row.took_ms))


def _status(row: Row) -> Cell:
    if row.status is Status.PASS:
        return good("pass")
    if row.status is Status.WARN:
        return warn("warn")
    if row.status is Status.SKIP:
        return quiet("skip")
    return bad(row.status.value.upper())


def _data(row: Row) -> dict[str, object]:
    return {
        "id": row.id,
        "title": row.title,
        "status": row.status,
        "grave": row.grave,
        "evidence": row.evidence,
        "fix": row.fix,
        "took_ms": row.took_ms,
    }


def junit(found: Report) -> str:
    """One JUnit document that says what the exit code says: what stops the verdict is a failure or an error there.

    A skipped check is `skipped`, and readers of JUnit let that pass; where nothing else stops the suite although the
    verdict is fail, a case named `verdict` fails for it. What only warns fails nothing. Text is escaped before it comes
    here and again here: XML has no place for control characters, however they are written.
    """
    stopped = [row for row in found.rows if row.status in (Status.FAIL, Status.UNKNOWN) and not row.acceptable]
    crashed, skipped = found.count(Status.CRASHED), found.count(Status.SKIP)
    unsaid = found.verdict is not Status.PASS and not stopped and not crashed
    suite = ET.Element(
        "testsuite",
        name=_legal(found.name),
        tests=str(len(found.rows) + unsaid),
        failures=str(len(stopped) + unsaid),
        errors=str(crashed),
        skipped=str(skipped),
        timestamp=found.started.isoformat(),
        time=_seconds(sum(row.took_ms for row in found.rows)),
    )
    for row in found.rows:
        case = ET.SubElement(
            suite, "testcase", classname=_legal(found.name), name=_legal(row.id), time=_seconds(row.took_ms)
        )
        text = _legal(f"{row.evidence} fix: {row.fix}" if row.fix else row.evidence)
        if row.status is Status.CRASHED:
            ET.SubElement(case, "error", message=text, type=row.status.value)
        elif row.status is Status.SKIP:
            ET.SubElement(case, "skipped", message=text)
        elif row in stopped:
            ET.SubElement(case, "failure", message=text, type=row.status.value)
        ET.SubElement(case, "system-out").text = _legal(f"{row.status.value}: {row.evidence}")
    if unsaid:
        case = ET.SubElement(suite, "testcase", classname=_legal(found.name), name="verdict", time=_seconds(0))
        why = f"{skipped} of {len(found.rows)} checks were skipped: what was not looked at did not pass"
        ET.SubElement(case, "failure", message=why, type=found.verdict.value)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """`text` as XML can hold it: what XML forbids is control, surrogate or unassigned, and so escaped by `shown`."""
    return shown(text, 2 * _LONGEST)


def _seconds(took_ms: int) -> str:
    whole, rest = divmod(took_ms, 1000)
    return f"{whole}.{rest:03d}"
