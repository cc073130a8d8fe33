"""Sessions and budgets: a JWT that names no request buys a token, renewed in time; refusals never storm the venue."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import requests

from perpsctl.domain.errors import (
    CredentialsError,
    RateLimited,
    RefusalCause,
    VenueRefusedRequest,
    VenueRefusedUs,
    VenueSpokeStrangely,
    VenueUnreachable,
)
from perpsctl.domain.ports import Clock
from perpsctl.exchange.credentials import Secret, from_values
from perpsctl.exchange.global_derivatives.credits import Bucket, Credits, Rate, bucket_of
from perpsctl.exchange.global_derivatives.faults import refusal_of
from perpsctl.exchange.pacing import Priority
from perpsctl.exchange.retrying import RetryPolicy
from perpsctl.wire.global_derivatives.rpc import RpcError
from tests.unit.exchange.global_derivatives.parts import (
    NOW_MS,
    TOKEN,
    Call,
    Gateway,
    Raw,
    Refusal,
    a_gateway,
    approved,
    order_body,
    summary_body,
    taken,
)
from tests.unit.exchange.parts import KEY_NAME, FakeClock, OpenGate, ed_pem, told_by

OPEN = "private/get_open_orders"


def claims_of(call: Call) -> tuple[dict[str, Any], ...]:
    head, body, _ = call.params["token"].split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body))


def ready(clock: FakeClock | None = None, **more: Any) -> tuple[Any, Gateway]:
    venue, gateway = a_gateway(clock, **more)
    gateway.on(OPEN, [[]])
    return venue, gateway


def test_the_login_is_a_jwt_of_120_seconds_without_a_uri_claim_and_with_a_nonce() -> None:
    venue, gateway = ready()
    venue.live_orders()
    (login,) = gateway.to("public/auth")
    assert login.params["grant_type"] == "coinbase_cdp"
    head, claims = claims_of(login)
    assert (head["alg"], head["kid"], len(head["nonce"])) == ("ES256", KEY_NAME, 64)
    assert set(claims) == {"sub", "iss", "nbf", "exp"}
    assert (claims["sub"], claims["iss"]) == (KEY_NAME, "cdp")
    assert (claims["nbf"], claims["exp"] - claims["nbf"]) == (NOW_MS // 1000, 120)
    assert login.token == ""


def test_an_ed25519_key_signs_as_eddsa() -> None:
    venue, gateway = ready(key=from_values(KEY_NAME, Secret(ed_pem())))
    venue.live_orders()
    assert claims_of(gateway.to("public/auth")[0])[0]["alg"] == "EdDSA"


def test_a_token_serves_until_80_percent_of_its_life_and_every_login_has_a_jwt_of_its_own() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock)
    venue.live_orders()
    clock.advance(timedelta(seconds=719))
    venue.live_orders()
    assert gateway.logins == 1
    clock.advance(timedelta(seconds=1))
    venue.live_orders()
    assert gateway.logins == 2
    first, second = gateway.to("public/auth")
    assert first.params["token"] != second.params["token"]
    assert [call.token for call in gateway.to(OPEN)] == [f"{TOKEN}-1", f"{TOKEN}-1", f"{TOKEN}-2"]


@pytest.mark.parametrize("code", [13004, 13009])
def test_a_read_refused_for_its_session_is_repeated_once_with_a_new_one(code: int) -> None:
    venue, gateway = ready()
    gateway.on(OPEN, [Refusal(code=code, status=200), []])
    assert venue.live_orders().orders == ()
    assert gateway.logins == 2


def test_a_session_refused_twice_is_a_refusal_and_not_a_storm() -> None:
    venue, gateway = ready()
    gateway.on(OPEN, Refusal(code=13009, message="unauthorized"))
    with pytest.raises(VenueRefusedUs) as refused:
        venue.live_orders()
    assert refused.value.cause is RefusalCause.KEY
    assert len(gateway.to(OPEN)) == 2


def test_A5_a_login_refused_once_is_tried_once_more_with_a_fresh_grant() -> None:
    venue, gateway = ready()
    good = {"access_token": TOKEN, "expires_in": 900, "scope": "rat#view rat#trade", "token_type": "bearer"}
    gateway.on("public/auth", [Refusal(code=13004, message="invalid_credentials"), good])
    gateway.on(OPEN, [[]])
    assert venue.live_orders().orders == ()
    grants = [call.params["token"] for call in gateway.to("public/auth")]
    assert len(set(grants)) == len(grants) == 2


def test_A5_a_login_refused_twice_is_about_the_key_and_says_no_secret() -> None:
    venue, gateway = ready()
    gateway.on("public/auth", lambda call: Refusal(code=13004, message=f"invalid_credentials {call.params['token']}"))
    with pytest.raises(VenueRefusedUs) as refused:
        venue.live_orders()
    assert refused.value.cause is RefusalCause.KEY
    grants = [call.params["token"] for call in gateway.to("public/auth")]
    assert len(set(grants)) == len(grants) == 2
    assert not any(grant in str(refused.value) for grant in grants)


def test_S1_no_frame_of_a_refused_login_holds_what_was_signed() -> None:
    venue, gateway = ready()
    gateway.on("public/auth", Refusal(code=13004, message="invalid_credentials"))
    with pytest.raises(VenueRefusedUs) as refused:
        venue.live_orders()
    assert gateway.to("public/auth")[0].params["token"] not in told_by(refused.value)


def test_A1_a_login_refused_by_a_clock_that_is_off_says_clock() -> None:
    venue, gateway = ready()
    gateway.on("public/auth", Refusal(code=13004, headers={"date": "Sun, 22 Nov 2026 12:03:00 GMT"}))
    with pytest.raises(VenueRefusedUs) as refused:
        venue.live_orders()
    assert refused.value.cause is RefusalCause.CLOCK


@pytest.mark.parametrize(
    "login",
    [
        {"expires_in": 900},
        {"access_token": "", "expires_in": 900},
        {"access_token": "x"},
        {"access_token": "a b", "expires_in": 9},
        {"access_token": "x", "expires_in": 0},
    ],
)
def test_a_login_without_a_token_or_a_life_is_no_session(login: dict[str, Any]) -> None:
    venue, gateway = ready()
    gateway.on("public/auth", lambda call: login)
    with pytest.raises(VenueSpokeStrangely):
        venue.live_orders()
    assert gateway.to(OPEN) == []


def test_S1_the_token_is_in_no_error_and_in_nothing_printed() -> None:
    venue, gateway = ready()
    gateway.on(OPEN, lambda call: Refusal(code=11042, message=f"permission_denied for {call.token * 3}"))
    with pytest.raises(VenueRefusedUs) as refused:
        venue.live_orders()
    assert refused.value.cause is RefusalCause.PERMISSION
    assert TOKEN not in str(refused.value)
    assert TOKEN not in repr(vars(venue))


def test_without_a_key_public_reads_work_and_private_ones_say_what_is_missing() -> None:
    venue, gateway = ready(keyless=True)
    assert venue.server_time().skew == timedelta(microseconds=500)
    with pytest.raises(CredentialsError):
        venue.live_orders()
    assert gateway.methods() == ["public/get_time"]


# --- refusals of reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Refusal(code=-32602, message="invalid params"), VenueRefusedRequest),
        (Refusal(code=10019, message="locked_by_admin"), VenueRefusedUs),
        (Refusal(code=13503, message="unavailable"), VenueUnreachable),
        (Refusal(code=99999, message="what"), VenueRefusedRequest),
        (Raw(body=b"<html>", status=502, content_type="text/html"), VenueUnreachable),
        (Raw(body=b"<html>", status=429, content_type="text/html"), RateLimited),
        (Raw(body=b'{"jsonrpc":"2.0","id":5,"result":[]}'), VenueSpokeStrangely),
        (requests.ReadTimeout("late"), VenueUnreachable),
    ],
)
def test_L5_a_read_that_fails_is_an_error_and_never_nothing(answer: Any, error: type[Exception]) -> None:
    venue, gateway = ready(reads=RetryPolicy(attempts=2, total=timedelta(seconds=60), waits=False))
    gateway.on(OPEN, answer)
    with pytest.raises(error):
        venue.live_orders()


@pytest.mark.parametrize(
    ("reason", "cause", "named"),
    [
        ("", RefusalCause.UNKNOWN, "or not from this address"),
        ("ip not in whitelist", RefusalCause.ADDRESS, "from this address"),
        ("scope does not cover it", RefusalCause.PERMISSION, "may not do this"),
    ],
)
def test_A4_a_13021_names_both_causes_unless_its_text_tells_which(reason: str, cause: RefusalCause, named: str) -> None:
    refused = refusal_of(OPEN, RpcError(code=13021, message="forbidden", data={"reason": reason}))
    assert refused.cause is cause
    assert named in refused.message
    assert ("outgoing address" in refused.fix) == (cause is not RefusalCause.PERMISSION)
    assert ("permission" in refused.fix) == (cause is not RefusalCause.ADDRESS)


# --- budgets ------------------------------------------------------------------------------------------


def test_10028_lets_nothing_but_cancels_out_before_the_bucket_is_full_again() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock, reads=RetryPolicy(attempts=1, total=timedelta(seconds=60)))
    gateway.on(OPEN, [Refusal(code=10028, message="too_many_requests"), []])
    with pytest.raises(RateLimited):
        venue.live_orders()
    refused_at = clock.now()
    gateway.on("private/cancel", order_body(order_state="cancelled"))
    (result,) = venue.cancel(["USDC-1"])
    assert result.accepted
    assert clock.now() - refused_at <= timedelta(seconds=2)
    venue.live_orders()
    assert clock.now() - refused_at >= timedelta(seconds=5)


def test_an_unexplained_close_backs_off_like_10028() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock, reads=RetryPolicy(attempts=2, total=timedelta(seconds=60), waits=False))
    gateway.on(OPEN, [requests.ConnectionError(ConnectionResetError("gone")), []])
    started = clock.now()
    venue.live_orders()
    assert clock.now() - started >= timedelta(seconds=5)


def test_N1_a_429_of_the_edge_empties_the_budget_as_10028_does_and_is_waited_out() -> None:
    clock = FakeClock()
    venue, gateway = ready(clock, reads=RetryPolicy(attempts=2, total=timedelta(seconds=60)))
    gateway.on(OPEN, [Raw(body=b"<html>", status=429, content_type="text/html", headers={"retry-after": "9"}), []])
    gateway.on("private/cancel", order_body(order_state="cancelled"))
    started = clock.now()
    venue.live_orders()
    assert timedelta(seconds=9) <= clock.now() - started <= timedelta(seconds=12)

    gateway.on(OPEN, Raw(body=b"<html>", status=429, content_type="text/html"))
    started = clock.now()
    with pytest.raises(RateLimited):
        venue.live_orders()
    assert clock.now() - started >= timedelta(seconds=5), "no Retry-After: a whole refill"
    started = clock.now()
    venue.cancel(["USDC-1"])
    assert clock.now() - started <= timedelta(seconds=2)


def test_a_write_refused_with_10028_is_not_sent_and_the_next_waits_for_a_full_bucket() -> None:
    clock = FakeClock()
    venue, gateway = a_gateway(clock)
    gateway.on("private/buy", [Refusal(code=10028), taken(label="intent-00000002")])
    assert venue.submit(approved(), OpenGate()).reason == "too_many_requests"  # type: ignore[union-attr]
    started = clock.now()
    venue.submit(approved(id="intent-00000002"), OpenGate())
    assert clock.now() - started >= timedelta(seconds=4)


def test_the_accounts_own_limits_are_adopted_and_never_above_the_known_rate_of_reads() -> None:
    clock = FakeClock()
    credits_ = Credits(clock)
    venue, gateway = ready(clock, pacer=credits_)
    gateway.on("private/get_account_summaries", {"id": 7, "summaries": [summary_body()]})
    venue.account()
    assert credits_.rates[Bucket.MATCHING] == Rate(per_second=7, burst=30)
    assert credits_.rates[Bucket.CANCEL_ALL] == Rate(per_second=6, burst=12)
    assert credits_.rates[Bucket.GENERAL] == Rate(per_second=20, burst=100)


def sent_in_one_second(clock: FakeClock, credits_: Credits, method: str, priority: Priority) -> int:
    deadline = clock.monotonic_ns() + 1_000_000_000
    count = 0
    while True:
        try:
            credits_.take(method, priority, until_ns=deadline)
        except RateLimited:
            return count
        count += 1


def test_N5_orders_leave_room_for_cancels_in_the_matching_bucket() -> None:
    clock = FakeClock()
    credits_ = Credits(clock)
    orders = sent_in_one_second(clock, credits_, "private/buy", Priority.WRITE)
    assert 15 <= orders <= 21
    assert sent_in_one_second(clock, credits_, "private/cancel", Priority.CANCEL) >= 4


@pytest.mark.parametrize(
    ("method", "bucket"),
    [
        ("private/buy", Bucket.MATCHING),
        ("private/cancel", Bucket.MATCHING),
        ("private/cancel_all", Bucket.CANCEL_ALL),
        ("private/cancel_by_label", Bucket.CANCEL_ALL),
        ("public/auth", Bucket.MATCHING),
        ("private/get_positions", Bucket.GENERAL),
        ("public/ticker", Bucket.PUBLIC),
        ("public/get_instruments", Bucket.INSTRUMENTS),
        ("private/get_transaction_log", Bucket.LOG),
    ],
)
def test_each_method_is_counted_where_the_venue_counts_it(method: str, bucket: Bucket) -> None:
    assert bucket_of(method) is bucket


def test_usable_limits_only_are_adopted() -> None:
    clock: Clock = FakeClock()
    credits_ = Credits(clock)
    credits_.adopt({Bucket.MATCHING: Rate(per_second=0, burst=5), Bucket.GENERAL: Rate(per_second=3, burst=1)})
    assert credits_.rates[Bucket.MATCHING] == Rate(per_second=5, burst=20)
    assert credits_.rates[Bucket.GENERAL] == Rate(per_second=3, burst=2)


def test_requests_go_to_the_one_host_under_the_methods_name() -> None:
    venue, gateway = ready()
    venue.live_orders()
    assert gateway.to(OPEN)[0].target == "http://127.0.0.1:9/api/v2/private/get_open_orders"
    assert gateway.to(OPEN)[0].params == {"type": "all", "include_isolated": True}
