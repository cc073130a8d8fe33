"""The error table of reference 5, as data."""

import re
from pathlib import Path

import pytest

from perpsctl.wire.global_derivatives.errors import ERRORS, ErrorClass, error_class, error_fact

REFERENCE = Path(__file__).parents[4] / ".." / "shared" / "api" / "coinbase-global-derivatives.md"


@pytest.mark.parametrize(
    ("code", "read", "write"),
    [
        (10028, "A", "A"),
        (10041, "A", "A"),
        (10047, "A", "A"),
        (10009, "B", "B"),
        (11054, "B", "B"),
        (-32601, "B", "B"),
        (10001, "C", "C"),
        (13028, "C", "C"),
        (11094, "C", "C"),
        (13004, "D", "D"),
        (13009, "D", "D"),
        (10049, "E", "E"),
        (13021, "E", "E"),
        (10004, "F", "C"),
        (11044, "F", "F"),
    ],
)
def test_a_code_has_its_class(code: int, read: str, write: str) -> None:
    assert (error_class(code, write=False), error_class(code, write=True)) == (read, write)


def test_an_unknown_code_refuses_a_read_and_leaves_a_write_in_doubt_I4() -> None:
    assert error_class(424242, write=False) is ErrorClass.REFUSED
    assert error_class(424242, write=True) is ErrorClass.UNKNOWN
    assert error_fact(424242).name == "unknown_code"


@pytest.mark.parametrize("code", [13888, 1, 10001])
def test_timed_out_is_known_by_its_message_and_proves_that_nothing_ran(code: int) -> None:
    assert error_fact(code, "timed_out").name == "timed_out"
    assert error_class(code, "timed_out", write=True) is ErrorClass.REPEAT


def test_every_code_of_the_reference_is_here() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference is not beside the repository")
    section = REFERENCE.read_text().split("## 5. Errors")[1].split("## 6.")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if re.match(r"\| -?[0-9]", line)]
    named = set()
    for cell in rows:
        for first, last in re.findall(r"(-?[0-9]{4,5})(?:-([0-9]{5}))?", cell):
            named |= set(range(int(first), int(last or first) + 1))
    assert len(named) > 90
    assert named - set(ERRORS) == set()


def test_codes_say_what_they_stand_for() -> None:
    assert all(code == fact.code and fact.name for code, fact in ERRORS.items())
    assert ERRORS[10028].name == "too_many_requests"
