"""Gap rules: what is next, what is known already, what is missing (W1, W2, W3)."""

from itertools import combinations, permutations

import pytest

from perpsctl.exchange.streams.gaps import (
    ChangeChain,
    ConnectionSequence,
    Continuity,
    GapRule,
    Step,
    TradeSequence,
)

APPLY, IGNORE, GAP = Continuity.APPLY, Continuity.IGNORE, Continuity.GAP
# change_id, prev_change_id: ids jump, only the link counts; the first is a snapshot.
CHAIN = ((100, None), (104, 100), (105, 104), (117, 105), (130, 117))


def kinds(rule: GapRule, *numbers: int) -> list[Continuity]:
    return [rule.take(number).kind for number in numbers]


# --- US: one counter per connection --------------------------------------------------------------------


def test_a_connections_messages_count_from_zero_by_one() -> None:
    assert kinds(ConnectionSequence(), 0, 1, 2, 3) == [APPLY] * 4


def test_a_jump_is_a_gap_that_names_what_is_missing_W1() -> None:
    rule = ConnectionSequence()
    rule.take(0)
    step = rule.take(4)
    assert step == Step(kind=GAP, expected=1, got=4, missing=(1, 3))
    assert step.told() == "expected 1, got 4"
    assert kinds(rule, 5, 6) == [APPLY, APPLY], "a gap is told once; what is not missing goes on"


def test_a_first_message_lost_is_a_gap_too_W1() -> None:
    assert ConnectionSequence().take(1) == Step(kind=GAP, expected=0, got=1, missing=(0, 0))


def test_a_counter_may_be_said_to_begin_anywhere() -> None:
    assert kinds(ConnectionSequence(first=None), 17, 18, 20) == [APPLY, APPLY, GAP]


def test_a_message_told_twice_is_ignored_W3() -> None:
    assert kinds(ConnectionSequence(), 0, 1, 1, 0, 2) == [APPLY, APPLY, IGNORE, IGNORE, APPLY]


def test_a_new_connection_counts_from_zero_again() -> None:
    rule = ConnectionSequence()
    kinds(rule, 0, 1, 2)
    rule.restart()
    assert kinds(rule, 0, 1) == [APPLY, APPLY]


@pytest.mark.parametrize("order", [order for order in permutations(range(5)) if order != tuple(range(5))])
def test_a_connections_messages_in_any_other_order_are_a_gap_before_anything_wrong_is_applied_W2(
    order: tuple[int, ...],
) -> None:
    rule, applied = ConnectionSequence(), []
    for number in order:
        step = rule.take(number)
        if step.kind is GAP:
            break
        applied.append(number)
    else:
        pytest.fail("no gap was seen")
    assert applied == list(range(len(applied)))


@pytest.mark.parametrize("lost", [lost for count in (1, 2, 3) for lost in combinations(range(5), count)])
def test_every_loss_but_the_last_ones_is_told_with_exactly_the_missing_numbers_W1(lost: tuple[int, ...]) -> None:
    rule, missing = ConnectionSequence(), set[int]()
    came = [number for number in range(6) if number not in lost]  # number 5 always comes: it reveals the others
    for number in came:
        step = rule.take(number)
        if step.missing is not None:
            missing |= set(range(step.missing[0], step.missing[1] + 1))
    assert missing == set(lost)


# --- Global: a chain of ids ------------------------------------------------------------------------------


def test_a_chain_of_changes_behind_its_snapshot_is_applied() -> None:
    rule = ChangeChain()
    assert [rule.take(*link).kind for link in CHAIN] == [APPLY] * 5


def test_a_broken_link_is_told_once_and_everything_is_ignored_until_the_next_snapshot_W1() -> None:
    rule = ChangeChain()
    rule.take(100, None)
    assert rule.take(105, 104) == Step(kind=GAP, expected=100, got=104)
    assert [rule.take(117, 105).kind, rule.take(130, 117).kind] == [IGNORE, IGNORE]
    assert [rule.take(140, None).kind, rule.take(141, 140).kind] == [APPLY, APPLY]


def test_changes_before_a_snapshot_are_ignored() -> None:
    assert ChangeChain().take(104, 100).kind is IGNORE


def test_a_change_or_snapshot_told_twice_is_ignored_W3_W8() -> None:
    rule = ChangeChain()
    told = [(100, None), (104, 100), (104, 100), (100, None), (105, 104)]
    assert [rule.take(*link).kind for link in told] == [APPLY, APPLY, IGNORE, IGNORE, APPLY]


def test_a_newer_snapshot_begins_a_new_chain_without_being_asked_for() -> None:
    rule = ChangeChain()
    told = [(100, None), (200, None), (201, 200)]
    assert [rule.take(*link).kind for link in told] == [APPLY] * 3


def test_a_subscription_made_anew_takes_whatever_snapshot_comes() -> None:
    rule = ChangeChain()
    rule.take(100, None)
    rule.restart()
    assert [rule.take(100, None).kind, rule.take(104, 100).kind] == [APPLY, APPLY]


@pytest.mark.parametrize("order", list(permutations(CHAIN)))
def test_whatever_the_order_only_an_unbroken_chain_is_ever_applied_W2(
    order: tuple[tuple[int, int | None], ...],
) -> None:
    rule, standing = ChangeChain(), list[int]()
    for number, previous in order:
        step = rule.take(number, previous)
        if step.kind is GAP:
            standing = []  # what the feed does: the book is thrown away
        elif step.kind is APPLY:
            if previous is None:
                standing = []
            assert previous is None or previous == standing[-1]
            standing.append(number)
    ids = [number for number, _ in CHAIN]
    assert standing == ids[: len(standing)]
    assert (standing == ids) == (order == CHAIN)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_change_is_seen_at_the_next_one_W1(lost: int) -> None:
    rule = ChangeChain()
    seen = [rule.take(*link).kind for index, link in enumerate(CHAIN) if index != lost]
    assert seen == [APPLY] * lost + [GAP] + [IGNORE] * (len(CHAIN) - lost - 2)


# --- Global: trades --------------------------------------------------------------------------------------


def test_a_missing_range_of_trades_is_named_for_a_refill() -> None:
    rule = TradeSequence(last=9)
    assert rule.take(10).kind is APPLY
    assert rule.take(14) == Step(kind=GAP, expected=11, got=14, missing=(11, 13))
    assert kinds(rule, 15, 12, 15, 16) == [APPLY, IGNORE, IGNORE, APPLY]


def test_trades_missed_while_away_are_a_gap_after_a_restart() -> None:
    rule = TradeSequence()
    assert rule.take(5).kind is APPLY, "without an earlier trade the first is the beginning"
    rule.restart()
    assert rule.take(8).missing == (6, 7)


@pytest.mark.parametrize("order", list(permutations(range(1, 6))))
def test_in_any_order_each_trade_is_told_or_refilled_exactly_once_W2(order: tuple[int, ...]) -> None:
    rule, counted = TradeSequence(last=0), list[int]()
    for number in order:
        step = rule.take(number)
        if step.missing is not None:
            counted += range(step.missing[0], step.missing[1] + 1)
        if step.kind is not IGNORE:
            counted.append(number)
    assert sorted(counted) == [1, 2, 3, 4, 5]
