"""The deterministic harness in small: a few schedules of every kind, every regression, and a judge that is seen to bite."""

import ast
import multiprocessing
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.dst import judge as judging
from tests.dst.judge import Case, Told, judge
from tests.dst.mutants import hunt
from tests.dst.schedule import FAULTS_MAX, ExchangeFault, Schedule, Step, draw, of_json
from tests.dst.shrink import shrunk
from tests.dst.story import Story, run
from tests.dst.world import site_of

HERE = Path(__file__).resolve().parent
REGRESSIONS = [
    line for line in (HERE / "regressions.txt").read_text().splitlines() if line.strip() and not line.startswith("#")
]


@pytest.mark.scenario
@pytest.mark.parametrize("first", range(1, 61, 10))
def test_I1_to_L5_hold_over_schedules_of_faults(first: int) -> None:
    for seed in range(first, first + 10):
        assert run(draw(seed)).violations == (), f"make dst SEED={seed} SEEDS=1"


@pytest.mark.scenario
@pytest.mark.parametrize("line", REGRESSIONS)
def test_a_schedule_that_failed_once_holds(line: str) -> None:
    assert run(of_json(line)).violations == ()


@pytest.mark.parametrize("seed", [3, 5, 11])
def test_L6_one_seed_gives_one_trace_byte_for_byte(seed: int) -> None:
    first, second = run(draw(seed)), run(draw(seed))
    assert first.trace == second.trace
    assert len(first.trace) > 50


def test_a_trace_holds_no_key_and_no_token() -> None:
    for venue in ("us", "global"):
        text = "\n".join(run(draw(5, venue=venue)).trace).lower()
        assert not {word for word in ("bearer", "eyj", "private key", "access_token") if word in text}


def test_a_seed_fixes_its_schedule_and_survives_being_written_down() -> None:
    drawn = [draw(seed) for seed in range(200)]
    assert [of_json(each.as_json()) for each in drawn] == drawn == [draw(seed) for seed in range(200)]
    faults = [len(each.exchange) + len(each.process) for each in drawn]
    assert max(faults) == FAULTS_MAX
    assert min(faults) == 0
    assert {each.venue for each in drawn} == {"us", "global"}
    assert {each.mode for each in drawn} == {"forever", "60s", "never"}


def test_the_exchanges_faults_do_not_depend_on_the_processs() -> None:
    """Independent streams: with and without process faults the exchange does the same."""
    for seed in range(200):
        drawn = draw(seed)
        assert all(0 <= each.before < len(drawn.steps) for each in drawn.exchange)
        assert all(0 <= each.step < len(drawn.steps) for each in drawn.process)


def test_the_judge_shares_no_code_with_the_product() -> None:
    tree = ast.parse(Path(judging.__file__).read_text())
    roots = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert roots <= {
        "hmac",
        "json",
        "os",
        "sqlite3",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "pathlib",
        "typing",
    }
    assert "perpsctl" not in roots
    assert "tests" not in roots


# --- the judge bites ---------------------------------------------------------------------------------------------

PLACED = Step(
    do="place",
    args={"side": "buy", "lots": 2, "below": 40, "tif": "gtc", "post_only": 1, "wait": 20},
)
TAKEN = Step(
    do="place",
    args={"side": "buy", "lots": 3, "below": -30, "tif": "ioc", "post_only": 0, "wait": 20},
)
QUIET = Schedule(
    seed=1,
    venue="us",
    socket=False,
    mode="forever",
    latency_ms=5,
    limits={"duplicate_guard_s": "1", "funding_cash_times": "20:00"},
    steps=(PLACED, TAKEN, Step(do="cancel", args={"which": 1}), Step(do="close", args={"lots": 0})),
    exchange=(),
    process=(),
)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    site = site_of(QUIET, tmp_path)
    story = Story(site)
    story.tell()
    yield site.case
    story.close()


def test_the_honest_case_has_no_violation(case: Case) -> None:
    assert judge(case) == []
    assert len(case.sends) >= 4
    assert len(case.books[-1].orders) == 3


def _second_order(case: Case) -> None:
    case.books[-1] = replace(case.books[-1], orders=(*case.books[-1].orders, case.books[-1].orders[0]))


def _sent_twice(case: Case) -> None:
    case.sends.append(case.sends[0])


def _not_durable(case: Case) -> None:
    case.sends[0] = replace(case.sends[0], committed=False)


def _latched(case: Case) -> None:
    case.sends[0] = replace(case.sends[0], latched=True)


def _other_side(case: Case) -> None:
    case.sends[0] = replace(case.sends[0], body={**case.sends[0].body, "side": "SELL"})


def _late(case: Case) -> None:
    case.sends[0] = replace(case.sends[0], at=case.sends[0].at + timedelta(seconds=9))


def _larger_fill(case: Case) -> None:
    orders = tuple(replace(each, filled=each.filled + 1) for each in case.books[-1].orders)
    case.books[-1] = replace(case.books[-1], orders=orders)


def _position_left(case: Case) -> None:
    case.books[-1] = replace(case.books[-1], positions={next(iter(case.unit)): Decimal(1)})


def _poorer(case: Case) -> None:
    case.books[:] = [replace(each, cash=each.cash / 1000) for each in case.books]


def _unasked(case: Case) -> None:
    case.books[-1] = replace(case.books[-1], orders=case.books[-1].orders[1:])


def _told_gone(case: Case) -> None:
    orders = tuple(replace(each, status="OPEN") for each in case.books[-1].orders)
    case.books.append(replace(case.books[-1], orders=orders))
    name = orders[0].order_id
    case.told.append(
        Told(
            step=9,
            what="cancel",
            ident="",
            word="done",
            book=len(case.books) - 1,
            sent=9,
            seq=99,
            facts={"gone": [name]},
        )
    )


def _never_certain(case: Case) -> None:
    case.certain_at = None


def _wrote_again(case: Case) -> None:
    case.rows_between = 1


def _small_budget(case: Case) -> None:
    case.limits = {**case.limits, "orders_per_minute_max": "1"}


def _endless(case: Case) -> None:
    case.spent.append(replace(case.spent[0], took=timedelta(seconds=121)))


def _insistent(case: Case) -> None:
    case.spent.append(replace(case.spent[0], writes=21 + 4 * 60, took=timedelta(seconds=60)))


def _stuck_in_a_storm(case: Case) -> None:
    case.told.append(
        Told(step=9, what="cancel_all", ident="", word="done", book=0, sent=0, seq=2, facts={"storm_alone": True})
    )


def _released(case: Case) -> None:
    case.told.append(Told(step=9, what="release", ident="", word="released", book=0, sent=0, seq=2))


@pytest.mark.parametrize(
    ("tamper", "ident"),
    [
        (_second_order, "I1"),
        (_sent_twice, "I3"),
        (_not_durable, "I2"),
        (_latched, "R1"),
        (_other_side, "I7"),
        (_late, "P3"),
        (_larger_fill, "I8"),
        (_position_left, "I8"),
        (_poorer, "R5"),
        (_unasked, "I4"),
        (_told_gone, "L3"),
        (_never_certain, "L1"),
        (_wrote_again, "I6"),
        (_small_budget, "R8"),
        (_endless, "L2"),
        (_insistent, "L2"),
        (_stuck_in_a_storm, "L2"),
        (_released, "R4"),
    ],
)
def test_the_judge_names_what_was_broken(case: Case, tamper: Callable[[Case], None], ident: str) -> None:
    tamper(case)
    assert ident in {each.split()[0] for each in judge(case)}


@pytest.mark.parametrize(
    ("change", "ident"),
    [
        ("UPDATE events SET payload = replace(payload, '\"buy\"', '\"sell\"') WHERE seq = 2", "J4"),
        ("DELETE FROM events WHERE seq = 3", "J4"),
        ("DELETE FROM events WHERE seq = (SELECT max(seq) FROM events WHERE kind = 'fill')", "I8"),
        ("DELETE FROM events WHERE kind = 'intent'", "I2"),
    ],
)
def test_J4_the_judge_reads_the_file_itself(case: Case, tmp_path: Path, change: str, ident: str) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(case.folder, copied)
    with sqlite3.connect(copied / "journal.db") as changed:
        for trigger in ("events_keep_update", "events_keep_delete"):
            changed.execute(f"DROP TRIGGER {trigger}")
        changed.execute(change)
    changed.close()
    assert ident in {each.split()[0] for each in judge(replace(case, folder=copied))}


# --- scenes ---------------------------------------------------------------------------------------------------------


def test_each_scene_is_played_and_leaves_the_drawn_steps_as_they_were() -> None:
    """Chance alone meets these too rarely: a clock that is stepped, a storm over a cancel, a list that fails, a full disk."""
    drawn = [draw(seed) for seed in range(1, 400)]
    assert any(step.do == "clock" for each in drawn for step in each.steps)
    assert any(fault.kind == "clock" for each in drawn for fault in each.process)
    assert any(fault.name == "N6" and each.exchange == (fault,) for each in drawn for fault in each.exchange)
    assert any(fault.kind == "disk" and fault.step == len(each.steps) - 1 for each in drawn for fault in each.process)


STEPPED = Step(do="clock", args={"s": -3600})
RIGHT = (Step(do="clock", args={"s": 0}), Step(do="wait", args={"ms": 61_000}))  # the skew is measured anew by then


@pytest.mark.parametrize("venue", ["us", "global"])
@pytest.mark.parametrize("seconds", [-3600, 86_400])
def test_T1_J8_a_stepped_clock_keeps_the_order_of_the_records_and_no_order_is_taken_meanwhile(
    venue: str, seconds: int, tmp_path: Path
) -> None:
    """The host's time of day jumps: what is sent under it is refused, and once it is right again all goes on."""
    stepped = replace(STEPPED, args={"s": seconds})
    schedule = replace(QUIET, venue=venue, steps=(PLACED, stepped, TAKEN, *RIGHT, TAKEN, Step(do="cancel_all")))
    site = site_of(schedule, tmp_path)
    story = Story(site)
    story.tell()
    try:
        assert judge(site.case) == []
        rows = site.watch.eye.rows()
        assert [row.seq for row in rows] == sorted(row.seq for row in rows)
        placed = {told.step: (told.word, told.facts) for told in site.case.told if told.what == "place"}
        assert placed.get(2, ("refused", {}))[0] != "Accepted"
        assert placed[5][0] == "Accepted", placed
        assert max(each.took - each.held_up for each in site.case.spent) < timedelta(seconds=60)
    finally:
        story.close()


# --- shrinking, and planted bugs ----------------------------------------------------------------------------------


@pytest.mark.scenario
def test_a_failing_schedule_shrinks_to_what_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes offence at one fault only: everything else goes."""
    noisy = replace(
        QUIET,
        exchange=(
            ExchangeFault(before=0, name="E4", operation="create_order"),
            ExchangeFault(before=1, name="N12", operation="create_order"),
            ExchangeFault(before=2, name="E11", operation="cancel_orders", params={"seconds": 2}),
        ),
    )

    def offended(case: Case) -> list[str]:
        lost = [row for row in judging.JournalEye(case.folder).rows() if '"is":"Unknown"' in row.payload]
        return ["X1 a reply was lost"] if lost else []

    monkeypatch.setattr("tests.dst.story.judge", offended)
    smallest = shrunk(noisy)
    assert [each.name for each in smallest.schedule.exchange] == ["N12"]
    assert len(smallest.schedule.steps) == 1
    assert smallest.schedule.latency_ms == 0


@pytest.mark.slow
@pytest.mark.scenario
def test_planted_bugs_are_caught_by_the_schedules() -> None:
    """Two of `make mutants`, each in a process of its own."""
    names = ("sent_before_the_journal", "unknown_forgotten")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        caught = pool.map(hunt, [(name, 1, 60) for name in names])
    assert [each.after is not None for each in caught] == [True, True], caught
