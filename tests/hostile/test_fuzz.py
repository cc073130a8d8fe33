"""The fuzzer in its short form, and that it notices what it is there for; `make fuzz` is the long one."""

import json
from decimal import Decimal

import pytest

from perpsctl.wire import guard
from perpsctl.wire.advanced_trade import outcomes
from tests.hostile import cases, frames, oracle
from tests.hostile.corpus import Call
from tests.hostile.playback import Spoilt, play
from tests.hostile.run import main

SHORT = 2_000


def test_S4_hostile_responses_end_as_a_value_they_bear_out_or_a_typed_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--cases", str(SHORT), "--jobs", "1"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.strip().endswith("0 violations")


@pytest.mark.parametrize("call", cases.calls(), ids=lambda call: call.told)
def test_every_call_succeeds_on_honest_replies(call: Call) -> None:
    assert cases.honest(call.told).error is None


def test_a_case_repeats_by_its_number() -> None:
    one, other = ([(each.how, each.ended) for each in cases.batch(5, 3)] for _ in range(2))
    assert one == other


@pytest.mark.parametrize("venue", ["us", "global"])
def test_W11_streams_live_through_spoiled_messages_and_come_back(venue: str) -> None:
    struck, broken = frames.rain(venue, "suite")
    assert struck > 5
    assert broken == []


def test_planted_an_escape_that_lets_bidi_through_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lax(text: object, limit: int = 200) -> str:
        return "".join(each for each in str(text)[:limit] if each.isprintable() or each == "\u202e")

    submit = next(call for call in cases.calls() if call.told == "us.submit")
    body = json.dumps(
        {"success": False, "error_response": {"error": "X", "message": "no \u202eevil", "error_details": ""}}
    ).encode()
    reply, honest = oracle.reply_of(submit, submit.exchanges[0], body, 200), cases.honest(submit.told)
    struck = Spoilt(number=0, body=body)
    assert list(oracle.violations(reply, play(submit, struck), honest)) == []
    monkeypatch.setattr(outcomes, "shown", lax)
    assert any("raw" in why for why in oracle.violations(reply, play(submit, struck), honest))


def test_planted_a_reader_that_takes_a_key_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_unique", dict)
    submit = next(call for call in cases.calls() if call.told == "us.submit")
    body = submit.exchanges[0].body
    twice = b'{"success":false,' + body[1:]
    played_ = play(submit, Spoilt(number=0, body=twice))
    reply = oracle.reply_of(submit, submit.exchanges[0], twice, 200)
    assert any("twice" in why for why in oracle.violations(reply, played_, cases.honest(submit.told)))


def test_planted_a_nan_that_passes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    account = next(call for call in cases.calls() if call.told == "us.account")
    body = account.exchanges[0].body
    at = body.index(b'"total_usd_balance":{"value":"') + len(b'"total_usd_balance":{"value":"')
    nan = body[:at] + b"NaN" + body[body.index(b'"', at) :]
    reply = oracle.reply_of(account, account.exchanges[0], nan, 200)
    honest = cases.honest(account.told)
    assert list(oracle.violations(reply, play(account, Spoilt(number=0, body=nan)), honest)) == []
    monkeypatch.setattr(guard, "exact", Decimal)
    assert list(oracle.violations(reply, play(account, Spoilt(number=0, body=nan)), honest)) != []
