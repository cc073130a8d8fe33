"""One report, four faces: the JUnit one says what the exit code says, and takes any text there is."""

import json
from datetime import timedelta
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.checks.model import Grave, Report, Row, Status
from perpsctl.domain.errors import ExitCode
from perpsctl.render import checked
from perpsctl.render.values import jsonable
from tests.builders import NOW

HOSTILE = "a\x00b\x1b[31m<testcase/>&amp;]]>\"'\r\n\ufffe\uffff\ud800\u202e end"


def a_row(
    status: Status = Status.PASS,
    *,
    id: str = "one",  # noqa: A002 - the field's own name
    evidence: str = "seen",
    fix: str = "",
    grave: Grave = Grave.STOP,
) -> Row:
    return Row(id=id, title="t", status=status, grave=grave, evidence=evidence, fix=fix, took_ms=1234)


def a_report(*rows: Row) -> Report:
    return Report(name="probe", rows=rows, started=NOW, ended=NOW + timedelta(seconds=2))


def parsed(report: Report) -> ET.Element:
    return ET.fromstring(checked.junit(report).encode("utf-8"))


def test_junit_counts_each_ending_in_its_place() -> None:
    rows = [a_row(status, id=status.value, fix="mend it") for status in Status]
    suite = parsed(a_report(*rows))
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "2",
        "errors": "1",
        "skipped": "1",
    }
    cases = {case.get("name"): case for case in suite}
    assert cases["fail"].find("failure") is not None
    assert cases["unknown"].find("failure") is not None
    assert cases["crashed"].find("error") is not None
    assert cases["skip"].find("skipped") is not None
    assert [child.tag for child in cases["pass"]] == ["system-out"]
    assert [child.tag for child in cases["warn"]] == ["system-out"]
    assert cases["pass"].get("time") == "1.234"
    failure = cases["fail"].find("failure")
    assert failure is not None
    assert failure.get("message") == "seen fix: mend it"


def test_each_row_has_its_evidence_in_junit() -> None:
    suite = parsed(a_report(a_row(evidence="5 of 5, p50 3 ms")))
    assert suite.findtext("testcase/system-out") == "pass: 5 of 5, p50 3 ms"


@pytest.mark.parametrize(("first", "second"), list(product([(s, g) for s in Status for g in Grave], repeat=2)), ids=str)
def test_junit_fails_exactly_when_the_verdict_does(first: tuple[Status, Grave], second: tuple[Status, Grave]) -> None:
    report = a_report(a_row(first[0], id="a", grave=first[1]), a_row(second[0], id="b", grave=second[1]))
    suite = parsed(report)
    red = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
    assert (red == 0) is (report.verdict is Status.PASS)
    assert red == len(suite.findall("testcase/failure")) + len(suite.findall("testcase/error"))
    assert suite.get("tests") == str(len(suite.findall("testcase")))


def test_a_suite_of_skipped_checks_alone_fails_in_junit_too() -> None:
    suite = parsed(a_report(a_row(Status.SKIP, evidence="needs x, which did not pass")))
    assert suite.find("testcase[@name='verdict']/failure") is not None


def test_hostile_evidence_leaves_well_formed_xml_S3() -> None:
    suite = parsed(a_report(a_row(Status.FAIL, id=HOSTILE, evidence=HOSTILE, fix=HOSTILE)))
    assert len(suite) == 1
    text = suite.findtext("testcase/system-out") or ""
    assert "\\x1b[31m<testcase/>&amp;]]>" in text


@given(st.text(alphabet=st.characters(codec=None), max_size=60))
def test_any_text_leaves_well_formed_xml_S3(text: str) -> None:
    assert parsed(a_report(a_row(Status.FAIL, evidence=text, fix=text))).get("failures") == "1"


def test_exit_code_follows_the_verdict() -> None:
    assert checked.report(a_report(a_row())).exit_code is ExitCode.DONE
    assert checked.report(a_report(a_row(Status.WARN))).exit_code is ExitCode.DONE
    assert checked.report(a_report(a_row(Status.SKIP))).exit_code is ExitCode.CHECKS_FAILED
    assert checked.report(a_report()).exit_code is ExitCode.CHECKS_FAILED


def test_json_names_are_those_promised() -> None:
    answer = checked.report(a_report(a_row(Status.FAIL, fix="mend")), ("not in the journal",))
    data = json.loads(json.dumps(jsonable(answer.data)))
    assert data["verdict"] == "fail"
    assert {"id", "status", "evidence", "took_ms", "fix"} <= set(data["checks"][0])
    assert data["checks"][0]["took_ms"] == 1234
    assert answer.warnings == ("not in the journal",)
    assert answer.rows_key == "checks"


def test_the_line_of_a_row_while_it_runs_is_short() -> None:
    assert checked.line(a_row(Status.UNKNOWN, id="clock.skew", evidence="3 ms")) == "unknown clock.skew (1234 ms)"
