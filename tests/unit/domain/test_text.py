"""Nothing from outside reaches a terminal raw (S3; faults H4, H5)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perpsctl.domain.text import SHOWN_LENGTH, shown

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("plain words, 1 %", "plain words, 1 %"),
        ("größe 数 ₿", "größe 数 ₿"),
        ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
        ("\u202eevil\u202c", "\\u202eevil\\u202c"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("\u2028line", "\\u2028line"),
        ("\x9b31m", "\\x9b31m"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out_S3(raw: str, safe: str) -> None:
    assert shown(raw) == safe


@given(st.text(alphabet=st.characters()), st.integers(1, 300))
def test_whatever_comes_in_nothing_hidden_comes_out_and_the_length_is_bounded_S3(raw: str, limit: int) -> None:
    safe = shown(raw, limit)
    assert all(each == " " or (each.isprintable() and unicodedata.category(each) not in HIDDEN) for each in safe)
    assert len(safe) <= 10 * limit + 1
    safe.encode("utf-8")


def test_long_text_is_cut_and_says_so() -> None:
    assert shown("a" * SHOWN_LENGTH) == "a" * SHOWN_LENGTH
    assert shown("a" * (SHOWN_LENGTH + 1)) == "a" * SHOWN_LENGTH + "…"
    assert shown(ValueError("x\ny")) == "x\\ny"


@given(st.text(st.characters(codec="ascii"), max_size=20), st.integers(0, 25))
def test_plain_text_comes_out_as_character_by_character_S3(raw: str, limit: int) -> None:
    one_by_one = "".join(shown(character) for character in raw[:limit])
    assert shown(raw, limit) == one_by_one + ("…" if len(raw) > limit else "")
    assert all(shown(character) == character for character in raw if " " <= character <= "~")
