"""The judge of the kill trials, on trials made up by hand: it must see what it is there for, and only that (R1)."""

from typing import Any

from tests.killtrials.judge import Judge, Window, quantile

CALLED, LATCHED, RETURNED, RELEASED = 1_000, 2_000, 3_000, 9_000
SAME_HOST, OTHER_HOST = 0, 1


def line(told: str, began: int, ended: int, *sends: tuple[int, int], key: str = "a") -> dict[str, Any]:
    return {"kind": "create", "key": key, "began": began, "ended": ended, "told": told, "why": "", "sends": sends}


def received(key: str, sequence: int = 1) -> dict[str, Any]:
    return {
        "operation": "create_order", "client_order_id": key, "order_ids": ["x"], "sequence": sequence,
        "received_at": "1970-01-01T00:00:00Z",
    }  # fmt: skip


def judged(*heard: tuple[int, dict[str, Any]], rows: tuple[dict[str, Any], ...] = ()) -> tuple[Judge, bool]:
    judge = Judge((SAME_HOST, OTHER_HOST))
    judge.engaged(Window(number=7, host=SAME_HOST, by_command=False, called=CALLED, latched=LATCHED, returned=RETURNED))
    for placer, told in heard:
        judge.heard(placer, told)
    judge.requests(rows)
    return judge, judge.closed(RELEASED)


def test_R1_a_send_that_ends_after_the_latch_step_is_late_on_its_host() -> None:
    judge, _ = judged((SAME_HOST, line("accepted", 900, 4_000, (1_900, 2_001))), rows=(received("a"),))
    assert (judge.late, judge.late_elsewhere, judge.first_late) == (1, 0, 7)
    assert len(judge.violations) == 1


def test_R1_the_same_send_of_another_host_is_in_time_and_counted() -> None:
    judge, counted = judged((OTHER_HOST, line("accepted", 900, 4_000, (1_900, 2_001))), rows=(received("a"),))
    assert counted
    assert judge.violations == []
    assert judge.between == 1
    assert judge.by_latch == [(1_001, 0)]
    assert judge.elsewhere_by_latch == [1]


def test_R1_after_engage_returned_no_host_may_send() -> None:
    judge, _ = judged((OTHER_HOST, line("accepted", 900, 4_000, (3_500, 3_600))), rows=(received("a"),))
    assert (judge.late, judge.late_elsewhere, judge.first_late_elsewhere) == (1, 1, 7)


def test_R1_a_late_send_told_of_after_the_release_is_late_all_the_same() -> None:
    judge, _ = judged((SAME_HOST, line("refused", 900, 2_500)))
    judge.heard(SAME_HOST, line("accepted", 8_000, 9_900, (8_990, 9_100)))
    assert judge.late == 1


def test_a_send_after_the_release_is_none_of_this_trials() -> None:
    judge, _ = judged((SAME_HOST, line("refused", 900, 2_500)))
    judge.heard(SAME_HOST, line("accepted", 8_000, 9_900, (9_001, 9_100)))
    assert judge.late == 0


def test_R1_an_order_at_the_exchange_that_no_placer_told_of_is_a_violation() -> None:
    judge, _ = judged((SAME_HOST, line("refused", 900, 2_500)), rows=(received("b"),))
    assert "no placer told of" in judge.violations[0]


def test_a_send_that_the_exchange_never_saw_is_a_violation() -> None:
    judge, _ = judged((SAME_HOST, line("accepted", 100, 950, (600, 700))))
    assert "never reached the exchange" in judge.violations[0]


def test_a_send_without_an_answer_may_not_have_arrived() -> None:
    judge, _ = judged((SAME_HOST, line("unknown", 100, 950, (600, 700))))
    assert judge.violations == []
    assert sum(judge.others.values()) == 1


def test_a_trial_in_which_nobody_was_at_work_does_not_count() -> None:
    judge, counted = judged((SAME_HOST, line("refused", 1_500, 2_500)))
    assert not counted
    assert judge.by_latch == []


def test_refusals_are_seen_when_every_placer_had_one_after_the_call() -> None:
    judge = Judge((SAME_HOST, OTHER_HOST))
    judge.engaged(Window(number=1, host=0, by_command=True, called=CALLED, latched=LATCHED, returned=RETURNED))
    judge.heard(0, line("refused", 900, 2_500))
    assert not judge.refused_by_all()
    judge.heard(1, line("refused", 3_100, 3_200))
    assert judge.refused_by_all()
    assert not judge.refused_anew_by_all()
    judge.heard(0, line("refused", 3_100, 3_200))
    assert judge.refused_anew_by_all()


def test_quantiles_are_values_that_were_seen() -> None:
    assert quantile([], 999) == 0
    assert quantile(list(range(1, 1001)), 999) == 999
    assert quantile(list(range(1, 11)), 500) == 5
    assert quantile([3, 1, 2], 1000) == 3
