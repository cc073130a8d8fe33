"""Reports of checks: table, JSON and JUnit from the same report."""

from xml.etree import ElementTree as ET

from perpsctl.checks.model import Report, Row, Status
from perpsctl.domain.errors import ExitCode
from perpsctl.render.answer import Answer, Cell, Facts, Table, bad, good, quiet, warn
from perpsctl.render.values import clock_time, word


def report(found: Report) -> Answer:
    """The report; exit 0 only when the verdict is pass."""
    table = Table(
        title=found.name,
        columns=("check", "status", "evidence", "ms"),
        rows=tuple(_row(row) for row in found.rows),
        right=frozenset({"ms"}),
    )
    fixes = tuple((row.id, word(row.fix)) for row in found.rows if row.fix and row.status is not Status.PASS)
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
        rows_key="checks",
        junit=junit(found),
    )


def _row(row: Row) -> tuple[Cell, ...]:
    return (row.id, _status(row), word(row.evidence), str(row.took_ms))


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
    """One JUnit document. Skipped checks are skipped there too, and the suite still fails: skipped never passes."""
    suite = ET.Element(
        "testsuite",
        name=found.name,
        tests=str(len(found.rows)),
        failures=str(sum(1 for row in found.rows if row.status in (Status.FAIL, Status.UNKNOWN))),
        errors=str(found.count(Status.CRASHED)),
        skipped=str(found.count(Status.SKIP)),
        timestamp=found.started.isoformat(),
    )
    for row in found.rows:
        case = ET.SubElement(
            suite, "testcase", classname=found.name, name=row.id, time=_seconds(row.took_ms)
        )  # fmt: skip
        ET.SubElement(case, "system-out").text = f"{row.status.value}: {row.evidence}"
        text = f"{row.evidence} fix: {row.fix}" if row.fix else row.evidence
        if row.status is Status.CRASHED:
            ET.SubElement(case, "error", message=text)
        elif row.status is Status.SKIP:
            ET.SubElement(case, "skipped", message=text)
        elif row.status in (Status.FAIL, Status.UNKNOWN):
            ET.SubElement(case, "failure", message=text, type=row.status.value)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def _seconds(took_ms: int) -> str:
    whole, rest = divmod(took_ms, 1000)
    return f"{whole}.{rest:03d}"
