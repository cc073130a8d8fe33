"""The runner: order, needs and deadlines are its alone; what was not looked at never passes."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from perpsctl.checks.model import Check, Finding, Grave, Report, Row, Status, failed, passed, skipped, unknown, warned
from perpsctl.checks.runner import MAX_EVIDENCE, run_checks
from perpsctl.domain.errors import ConfigError, VenueUnreachable
from tests.builders import NOW
from tests.unit.checks.scene import FakeClock


def a_check(
    id: str = "one",  # noqa: A002 - the field's own name
    run: Callable[[None], Finding] = lambda _: passed("seen 1"),
    *,
    needs: tuple[str, ...] = (),
    grave: Grave = Grave.STOP,
    deadline_ms: int = 5000,
) -> Check[None]:
    return Check(id, f"about {id}", run=run, needs=needs, grave=grave, deadline=timedelta(milliseconds=deadline_ms))


def run(*checks: Check[None], progress: Callable[[Row], None] = lambda row: None) -> Report:
    return run_checks("series", checks, None, FakeClock(), progress)


def raises(error: Exception) -> Callable[[None], Finding]:
    def look(_: None) -> Finding:
        raise error

    return look


def statuses(report: Report) -> dict[str, str]:
    return {row.id: row.status.value for row in report.rows}


def test_every_check_is_a_row_in_order_and_is_told_as_it_ends() -> None:
    told: list[str] = []
    report = run(a_check("a"), a_check("b"), a_check("c"), progress=lambda row: told.append(row.id))
    assert [row.id for row in report.rows] == told == ["a", "b", "c"]
    assert report.verdict is Status.PASS


def test_a_check_whose_need_did_not_pass_is_skipped_with_the_reason_and_is_not_run() -> None:
    ran: list[str] = []

    def notes(_: None) -> Finding:
        ran.append("c")
        return passed("ran")

    report = run(
        a_check("a", lambda _: failed("broken", fix="mend")),
        a_check("b", needs=("a",)),
        a_check("c", notes, needs=("b",)),
    )
    assert statuses(report) == {"a": "fail", "b": "skip", "c": "skip"}
    assert report.rows[1].evidence == "needs a, which did not pass"
    assert report.rows[2].evidence == "needs b, which did not pass"
    assert ran == []


@pytest.mark.parametrize(
    ("finding", "met"),
    [
        (passed("1"), True),
        (warned("1", fix="look"), True),
        (failed("1", fix="mend"), False),
        (unknown("1", fix="look"), False),
        (skipped("needs something"), False),
    ],
)
def test_a_need_is_met_by_a_pass_or_a_warning_only(finding: Finding, met: bool) -> None:
    report = run(a_check("a", lambda _: finding), a_check("b", needs=("a",)))
    assert (report.rows[1].status is Status.PASS) is met


def test_a_crash_is_crashed_names_kind_and_place_and_never_the_text_S1() -> None:
    report = run(a_check("a", raises(KeyError("privateKey=hunter2"))), a_check("b"))
    assert statuses(report) == {"a": "crashed", "b": "pass"}
    assert "KeyError at test_runner.py:" in report.rows[0].evidence
    assert "hunter2" not in report.rows[0].evidence + report.rows[0].fix
    assert report.verdict is Status.FAIL


def test_an_error_of_ours_is_told_with_its_fix_and_unknown_when_repeating_may_help() -> None:
    report = run(
        a_check("a", raises(ConfigError("no such file", fix="make it"))),
        a_check("b", raises(VenueUnreachable("no answer"))),
    )
    assert statuses(report) == {"a": "fail", "b": "unknown"}
    assert (report.rows[0].evidence, report.rows[0].fix) == ("no such file", "make it")


def test_a_hanging_check_is_unknown_within_its_deadline_and_the_next_one_runs() -> None:
    let_go = threading.Event()

    def hangs(_: None) -> Finding:
        let_go.wait(30)
        return passed("too late")

    report = run(a_check("a", hangs, deadline_ms=50), a_check("b", lambda _: passed("its own answer")))
    let_go.set()
    assert statuses(report) == {"a": "unknown", "b": "pass"}
    assert report.rows[0].evidence == "no answer within 0.05 s"
    assert report.rows[1].evidence == "its own answer"
    assert report.verdict is Status.FAIL


def test_a_late_answer_is_never_taken_for_the_next_checks() -> None:
    let_go = threading.Event()

    def late(_: None) -> Finding:
        let_go.wait(30)
        return passed("the late one")

    def frees_the_late_one(_: None) -> Finding:
        let_go.set()
        threading.Event().wait(0.05)
        return failed("the second one", fix="mend")

    report = run(a_check("a", late, deadline_ms=30), a_check("b", frees_the_late_one))
    assert [row.evidence for row in report.rows] == ["no answer within 0.03 s", "the second one"]


def test_contradicting_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        run(a_check("a"), a_check("a"))
    with pytest.raises(ValueError, match="needs b, which is not declared before it"):
        run(a_check("a", needs=("b",)), a_check("b"))


@pytest.mark.parametrize("status", [Status.FAIL, Status.UNKNOWN, Status.SKIP, Status.CRASHED])
def test_what_is_not_seen_to_be_good_never_passes(status: Status) -> None:
    assert report_of(status).verdict is Status.FAIL


def test_a_warning_and_a_failure_that_only_warns_leave_the_verdict() -> None:
    assert report_of(Status.WARN).verdict is Status.PASS
    assert report_of(Status.FAIL, grave=Grave.WARN).verdict is Status.PASS


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.SKIP, Status.CRASHED])
def test_what_was_not_looked_at_stops_also_where_a_failure_would_only_warn(status: Status) -> None:
    assert report_of(status, grave=Grave.WARN).verdict is Status.FAIL


def test_nothing_looked_at_is_no_pass() -> None:
    assert run().verdict is Status.FAIL


def test_a_finding_without_evidence_is_our_bug_and_called_one() -> None:
    assert statuses(run(a_check("a", lambda _: passed("  ")))) == {"a": "crashed"}


def test_evidence_is_escaped_and_cut_S3() -> None:
    report = run(a_check("a", lambda _: failed("\x1b]0;x\x07\u202e" + "y" * 5000, fix="\x00")))
    row = report.rows[0]
    assert "\x1b" not in row.evidence
    assert "\u202e" not in row.evidence
    assert len(row.evidence) <= MAX_EVIDENCE * 8
    assert row.fix == "\\x00"


def report_of(status: Status, *, grave: Grave = Grave.STOP) -> Report:
    good = Row(id="a", title="a", status=Status.PASS, grave=Grave.STOP, evidence="1", fix="", took_ms=1)
    other = Row(id="b", title="b", status=status, grave=grave, evidence="2", fix="mend", took_ms=1)
    return Report(name="series", rows=(good, other), started=NOW, ended=NOW)
