"""`watch` without a terminal: one line a look, with what is wrong in words; nothing of a stranger's text reaches it raw (S3)."""

from dataclasses import replace
from decimal import Decimal

from perpsctl.domain.outlook import LimitUse
from perpsctl.render import watching
from perpsctl.render.answer import Cell, Facts, bad, warn
from tests.unit.render.answers import a_look
from tests.unit.render.test_forms import HOSTILE


def used(used: str, bound: str) -> Cell:
    """How a limit's row reads."""
    limit = LimitUse(limit="gross_max_share", subject="", used=Decimal(used), bound=Decimal(bound))
    facts = watching.blocks(replace(a_look("why"), limits=(limit,)))[0]
    assert isinstance(facts, Facts)
    return dict(facts.rows)["gross"]


def test_a_line_tells_the_switch_the_money_the_book_and_what_is_not_live() -> None:
    assert watching.line(a_look("why")) == (
        "12:00:03Z  switch ENGAGED  equity 1,000,000.00  loss unknown  positions BIP-20DEC30-CDE 0.02  orders ?"
        "  in doubt 1  book 59,995/- 3.0 s  streams orders down  problem: why"
    )


def test_S3_hostile_text_stays_on_its_line() -> None:
    line = watching.line(a_look(HOSTILE))
    assert line.isprintable()


def test_L5_what_could_not_be_read_is_said_and_never_shown_as_zero_or_flat() -> None:
    blind = replace(a_look("why"), account=None, positions=None, book=None, in_doubt=None, channels=())
    line = watching.line(blind)
    for part in ("equity could not be read", "positions could not be read", "orders ?", "in doubt ?", "streams none"):
        assert part in line
    assert "flat" not in line


def test_a_limit_nearly_used_up_and_one_that_is_over_are_told_apart() -> None:
    assert used("0.01", "0.05") == "1.00 % of 5.00 %"
    assert used("0.045", "0.05") == warn("4.50 % of 5.00 %")
    assert used("0.06", "0.05") == bad("6.00 % of 5.00 % OVER")


def test_a_terminal_without_room_for_events_gets_fewer_of_them() -> None:
    look = a_look("why")
    assert len(watching.blocks(look)) == 3
    assert len(watching.blocks(look, events=0)) == 2
