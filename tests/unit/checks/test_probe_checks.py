"""Each check of `probe` in its good ending and in the bad ones it is there for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from perpsctl.checks import keys, streams, venue
from perpsctl.checks.context import CheckContext, RetiredAnswer
from perpsctl.checks.model import Check, Status
from perpsctl.checks.probe import PROBE
from perpsctl.domain.accounts import Fees
from perpsctl.domain.errors import RateLimited, RefusalCause, VenueRefusedUs, VenueSpokeStrangely, VenueUnreachable
from perpsctl.domain.ids import ProductId
from perpsctl.domain.orders import OrderType, TimeInForce
from perpsctl.domain.products import Environment
from perpsctl.domain.reports import KeyPurpose, RequestLimit
from perpsctl.domain.sides import Side
from perpsctl.domain.streams import ChannelState, StreamPart
from tests.builders import (
    BTC,
    NOW,
    a_book,
    a_margin_window,
    a_position,
    a_product,
    a_server_time,
    an_account,
    an_order,
    orders_read,
    positions_read,
)
from tests.unit.checks.scene import PORTFOLIO, Capabilities, Scene, rights, some_products
from tests.unit.engine.fake_streams import FakeStreams

Spoil = Callable[[Scene], object]

REFUSED_401 = VenueRefusedUs(
    "GET /key_permissions: HTTP 401: the key was refused (Unauthorized)", cause=RefusalCause.KEY
)
REFUSED_ADDRESS = VenueRefusedUs(
    "GET /key_permissions: HTTP 403: this address is not on the key's allowlist", cause=RefusalCause.ADDRESS
)
REFUSED_SCOPE = VenueRefusedUs(
    "GET /key_permissions: HTTP 403: the key lacks a permission this needs", cause=RefusalCause.PERMISSION
)
REFUSED_SILENTLY = VenueRefusedUs("GET /key_permissions: HTTP 403: the key was refused", cause=RefusalCause.UNKNOWN)
REFUSED_CLOCK = VenueRefusedUs(
    "GET /key_permissions: HTTP 401: our clock is 130 s behind the venue's", cause=RefusalCause.CLOCK
)


def setting(**values: object) -> Spoil:
    return lambda scene: scene.setup.update(values)


def streaming(spoil: Callable[[FakeStreams], object]) -> Spoil:
    return lambda scene: spoil(scene.streams)


def frozen(fake: FakeStreams) -> None:
    """Its channel says it is live, its book has not moved for longer than a book may."""
    fake.live(StreamPart.BOOK, ProductId(BTC))
    fake.books[ProductId(BTC)] = replace(fake.books[ProductId(BTC)], as_of=NOW - timedelta(seconds=3))


def of_trade(name: str, value: object) -> Spoil:
    return lambda scene: setattr(scene.venue, name, value)


def of_all(name: str, value: object) -> Spoil:
    return lambda scene: scene.everywhere(name, value)


def key(purpose: KeyPurpose, **changes: object) -> Spoil:
    return lambda scene: scene.keys.change(purpose, **changes)


def facts_of(purpose: KeyPurpose, **changes: object) -> Spoil:
    return lambda scene: setattr(getattr(scene.venues, purpose.value), "facts", rights(**changes))  # type: ignore[arg-type]


def skew(milliseconds: int, uncertainty: int = 5) -> Spoil:
    read = a_server_time(skew=timedelta(milliseconds=milliseconds), uncertainty=timedelta(milliseconds=uncertainty))
    return of_all("time", read)


def nothing(scene: Scene) -> None: ...


def account_limits(*limits: RequestLimit) -> Spoil:
    """A venue that tells limits with the account and not in headers."""

    def spoil(scene: Scene) -> None:
        scene.venue.capabilities = Capabilities(limits_in_headers=False)
        scene.venues.limits = limits

    return spoil


TRADE, MONITOR = KeyPurpose.TRADE, KeyPurpose.MONITOR
CASES: list[tuple[Check[CheckContext], str, Spoil, Status, str]] = [
    (venue.ENVIRONMENT, "sim", nothing, Status.PASS, "profile sim: us venue, sim, live = false"),
    (
        venue.ENVIRONMENT,
        "sandbox is no venue",
        setting(environment=Environment.SANDBOX),
        Status.FAIL,
        "canned answers, not a venue",
    ),
    (keys.TRADE_FILE, "well", nothing, Status.PASS, "ES256 key trade"),
    (
        keys.TRADE_FILE,
        "30 bytes",
        key(TRADE, problem="key file /keys/trade.json: is not JSON (30 bytes)"),
        Status.FAIL,
        "30 bytes",
    ),
    (keys.TRADE_FILE, "world-readable", key(TRADE, mode=0o644), Status.FAIL, "mode 0644"),
    (keys.TRADE_FILE, "old", key(TRADE, modified=NOW - timedelta(days=91)), Status.WARN, "written 91 d ago"),
    (keys.TRADE_FILE, "none", key(TRADE, configured=False), Status.FAIL, "no trade key"),
    (keys.MONITOR_FILE, "none", key(MONITOR, configured=False), Status.WARN, "no monitor key"),
    (keys.MONITOR_FILE, "well", nothing, Status.PASS, "mode 0600, 340 bytes"),
    (
        keys.ANALYTICS_FILE,
        "in variables",
        key(KeyPurpose.ANALYTICS, source="variables A_NAME and A_SECRET", mode=None, size=None, modified=None),
        Status.PASS,
        "variables A_NAME",
    ),
    (
        keys.ANALYTICS_FILE,
        "a link",
        key(KeyPurpose.ANALYTICS, problem="key file /k is a symbolic link", fix="name the file itself"),
        Status.FAIL,
        "symbolic link",
    ),
    (venue.REACHABLE, "well", nothing, Status.PASS, "GET /time: HTTP 200 in 4.0 ms"),
    (venue.REACHABLE, "no answer", of_all("time", VenueUnreachable("GET /time: refused")), Status.FAIL, "refused"),
    (
        venue.REACHABLE,
        "asked too often",
        of_all("time", RateLimited("public/get_time: the venue's request budget is used up (10028)")),
        Status.FAIL,
        "10028",
    ),
    (venue.REACHABLE, "not on the wire", of_all("latency_us", None), Status.UNKNOWN, "not seen on the wire"),
    (venue.SKEW, "well", skew(-12), Status.PASS, "our clock is 12 ms ahead of the venue's, +/- 5 ms"),
    (venue.SKEW, "at the limit", skew(995), Status.PASS, "995 ms behind"),
    (venue.SKEW, "over with its uncertainty", skew(996), Status.FAIL, "996 ms behind"),
    (venue.SKEW, "130 s", skew(130_000), Status.FAIL, "130000 ms behind"),
    (venue.SKEW, "130 s the other way", skew(-130_000), Status.FAIL, "130000 ms ahead of"),
    (venue.SKEW, "slow road", skew(100, 4000), Status.FAIL, "too uncertain"),
    (keys.ADDRESS, "well", nothing, Status.PASS, "GET /key_permissions was let in; no egress declared"),
    (keys.ADDRESS, "off the list", of_trade("facts", REFUSED_ADDRESS), Status.FAIL, "not on the key's allowlist"),
    (keys.ADDRESS, "wrong key", of_trade("facts", REFUSED_401), Status.UNKNOWN, "so the address was not judged"),
    (keys.ADDRESS, "scope", of_trade("facts", REFUSED_SCOPE), Status.UNKNOWN, "so the address was not judged"),
    (keys.ADDRESS, "cause not told", of_trade("facts", REFUSED_SILENTLY), Status.UNKNOWN, "without a cause"),
    (
        keys.ADDRESS,
        "production without egress",
        setting(environment=Environment.PRODUCTION),
        Status.WARN,
        "no egress declared",
    ),
    (
        keys.ADDRESS,
        "production with egress",
        setting(environment=Environment.PRODUCTION, egress=("203.0.113.7/32",)),
        Status.PASS,
        "declared egress: 203.0.113.7/32",
    ),
    (keys.TRADE_AUTH, "well", nothing, Status.PASS, "5 of 5 accepted, p50 4.0 ms, last request id req-4"),
    (keys.TRADE_AUTH, "wrong key", of_trade("facts", REFUSED_401), Status.FAIL, "0 of 5 accepted"),
    (keys.TRADE_AUTH, "address", of_trade("facts", REFUSED_ADDRESS), Status.UNKNOWN, "before the key counted"),
    (keys.TRADE_AUTH, "clock", of_trade("facts", REFUSED_CLOCK), Status.UNKNOWN, "before the key counted"),
    (keys.TRADE_AUTH, "view revoked", of_trade("facts", REFUSED_SCOPE), Status.FAIL, "lacks a permission"),
    (keys.TRADE_AUTH, "401 now and then", of_trade("statuses", [200, 401, 200]), Status.WARN, "1 refusal (HTTP 401)"),
    (keys.TRADE_AUTH, "damaged file", key(TRADE, problem="30 bytes"), Status.SKIP, "needs key.trade.file"),
    (keys.MONITOR_AUTH, "well", nothing, Status.PASS, "5 of 5"),
    (keys.MONITOR_AUTH, "none", key(MONITOR, configured=False), Status.WARN, "nothing to look at"),
    (keys.MONITOR_AUTH, "damaged file", key(MONITOR, problem="cut short"), Status.SKIP, "needs key.monitor.file"),
    (keys.ANALYTICS_AUTH, "well", nothing, Status.PASS, "5 of 5"),
    (
        keys.ANALYTICS_AUTH,
        "wrong",
        lambda scene: setattr(scene.venues.analytics, "facts", REFUSED_401),
        Status.FAIL,
        "HTTP 401",
    ),
    (keys.PERMISSIONS, "well", nothing, Status.PASS, "view, trade"),
    (keys.PERMISSIONS, "cannot trade", facts_of(TRADE), Status.FAIL, "missing: trade"),
    (keys.LEAST_PRIVILEGE, "well", nothing, Status.PASS, "trade: view, trade; monitor: view; analytics: view"),
    (
        keys.LEAST_PRIVILEGE,
        "A7: the trade key can transfer",
        facts_of(TRADE, trade=True, transfer=True),
        Status.FAIL,
        "trade key can transfer",
    ),
    (keys.LEAST_PRIVILEGE, "monitor trades", facts_of(MONITOR, trade=True), Status.FAIL, "monitor key can trade"),
    (
        keys.LEAST_PRIVILEGE,
        "one key for two purposes",
        key(MONITOR, fingerprint=f"{'trade':0<16}"),
        Status.FAIL,
        "trade and monitor are one key",
    ),
    (
        keys.LEAST_PRIVILEGE,
        "one key cannot be asked",
        lambda scene: setattr(scene.venues.monitor, "facts", REFUSED_401),
        Status.UNKNOWN,
        "monitor: GET /key_permissions: HTTP 401",
    ),
    (keys.LEAST_PRIVILEGE, "damaged file", key(MONITOR, problem="cut"), Status.UNKNOWN, "cannot be used"),
    (keys.PORTFOLIO, "well", nothing, Status.PASS, f"pinned {PORTFOLIO}; 3 keys"),
    (
        keys.PORTFOLIO,
        "A6: a key of another portfolio",
        facts_of(MONITOR, portfolio="other"),
        Status.FAIL,
        "monitor key: other",
    ),
    (
        keys.PORTFOLIO,
        "not pinned",
        setting(portfolio=None, environment=Environment.PRODUCTION),
        Status.FAIL,
        "no portfolio is pinned",
    ),
    (keys.PORTFOLIO, "a throw-away one", setting(portfolio=None), Status.PASS, "one throw-away account"),
    (venue.DISCOVERED, "well", nothing, Status.PASS, "4 perpetuals: BTC-PERP, ETH-PERP, SOL-PERP, XRP-PERP"),
    (venue.DISCOVERED, "none", of_all("listed", ()), Status.FAIL, "0 perpetuals"),
    (venue.DISCOVERED, "no grid", of_all("listed", (a_product(price_step="0"),)), Status.FAIL, "without a usable grid"),
    (venue.RESOLVED, "well", nothing, Status.PASS, f"BTC-PERP = {BTC}"),
    (venue.RESOLVED, "one less", of_all("listed", some_products()[:3]), Status.WARN, "not offered: XRP-PERP"),
    (venue.RESOLVED, "ours is missing", of_all("listed", some_products()[1:]), Status.FAIL, "no product for BTC-PERP"),
    (
        venue.RESOLVED,
        "two of one name",
        of_all("listed", (*some_products(), a_product(product_id="BIP-20DEC31-CDE"))),
        Status.FAIL,
        "two products answer to BTC-PERP",
    ),
    (venue.BOOK, "well", nothing, Status.PASS, "BTC-PERP 59995 / 60005, within 25 bps"),
    (
        venue.BOOK,
        "crossed",
        of_all("books", {BTC: a_book(bids=[("60010", "1")], asks=[("60000", "1")])}),
        Status.FAIL,
        "crossed",
    ),
    (venue.BOOK, "one side", of_all("books", {BTC: a_book(bids=[])}), Status.FAIL, "bid -, ask 60005"),
    (venue.ACCOUNT, "well", nothing, Status.PASS, "equity 1,000,000.00 USD"),
    (venue.ACCOUNT, "no money", of_trade("money", an_account(equity="0")), Status.FAIL, "equity 0.00 USD"),
    (venue.POSITIONS, "flat", nothing, Status.PASS, "0 positions"),
    (venue.POSITIONS, "one", of_trade("held", positions_read(a_position())), Status.PASS, f"1 position: {BTC} 0.1"),
    (
        venue.POSITIONS,
        "L5: unreadable is not flat",
        of_trade("held", VenueSpokeStrangely("the positions: no list")),
        Status.UNKNOWN,
        "no list",
    ),
    (
        venue.ORDERS,
        "two pages",
        of_trade("live", replace(orders_read(an_order()), pages=2)),
        Status.PASS,
        "1 live order on 2 pages",
    ),
    (venue.ORDERS, "unreadable", of_trade("day", VenueUnreachable("page 2: reset")), Status.UNKNOWN, "page 2"),
    (venue.PREVIEW, "well", nothing, Status.PASS, "deferred to the canary's first order"),
    (
        venue.PREVIEW,
        "refused",
        lambda scene: setattr(
            scene.venue,
            "answer",
            replace(scene.venue.answer, problems=("PREVIEW_INSUFFICIENT_FUND",)),  # type: ignore[type-var]
        ),
        Status.FAIL,
        "PREVIEW_INSUFFICIENT_FUND",
    ),
    (venue.PREVIEW, "A3: trade scope gone", of_trade("answer", REFUSED_SCOPE), Status.FAIL, "lacks a permission"),
    (venue.PREVIEW, "no market", of_trade("books", {BTC: a_book(bids=[])}), Status.UNKNOWN, "no bid"),
    (venue.FEES, "well", nothing, Status.PASS, "maker 0.02 %, taker 0.05 %, tier Advanced 1"),
    (
        venue.FEES,
        "absurd",
        of_trade("paid", Fees(maker=Decimal(0), taker=Decimal("0.6"), tier="")),
        Status.FAIL,
        "taker 60 %",
    ),
    (venue.MARGIN_WINDOW, "well", nothing, Status.PASS, "OVERNIGHT, no end told, not enrolled"),
    (
        venue.MARGIN_WINDOW,
        "ended",
        of_trade("window", a_margin_window(ends=NOW - timedelta(hours=3))),
        Status.FAIL,
        "ended 3 h ago",
    ),
    (
        venue.MARGIN_WINDOW,
        "a venue without",
        of_trade("capabilities", Capabilities(margin_windows=False)),
        Status.PASS,
        "no margin windows: one set of rates holds",
    ),
    (venue.MARGIN_WINDOW, "no word", of_trade("window", a_margin_window(kind="UNSPECIFIED")), Status.WARN, "UNSPEC"),
    (venue.RATE, "well", nothing, Status.PASS, "limit 30, remaining 29, reset 1; we keep to 30 a second"),
    (venue.RATE, "none", of_trade("rate_headers", {}), Status.WARN, "no x-ratelimit header on 1 signed answer"),
    (
        venue.RATE,
        "used up",
        of_trade("rate_headers", {"x-ratelimit-remaining": "0"}),
        Status.WARN,
        "used up: remaining 0",
    ),
    (
        venue.RATE,
        "told with the account",
        account_limits(RequestLimit(name="orders", per_second=Decimal(5), burst=Decimal(20))),
        Status.PASS,
        "the account's own limits: orders 5 a second (20 at once); past them the venue answers 10028",
    ),
    (venue.RATE, "told nowhere", account_limits(), Status.WARN, "the account's summary tells no request limits"),
    (venue.LATENCY, "well", nothing, Status.PASS, "p50 4.0 ms, p95 4.0 ms, p99 4.0 ms, worst 4.0 ms, n 30"),
    (venue.LATENCY, "slow", of_trade("latency_us", 250_000), Status.WARN, "p50 250.0 ms"),
    (venue.LATENCY, "lossy", of_trade("statuses", [200, 503]), Status.WARN, "1 failed try"),
    (venue.LATENCY, "not on the wire", of_trade("latency_us", None), Status.UNKNOWN, "no answer was seen"),
    (streams.ACCOUNT_EVENTS, "well", nothing, Status.PASS, "orders live, heard 0 ms ago, balance live"),
    (streams.ACCOUNT_EVENTS, "no key", streaming(lambda fake: fake.channels.clear()), Status.FAIL, "no channel"),
    (
        streams.ACCOUNT_EVENTS,
        "refused (A3)",
        streaming(lambda fake: fake.fail(ChannelState.REFUSED, reason="no right")),
        Status.FAIL,
        "orders refused (no right)",
    ),
    (
        streams.ACCOUNT_EVENTS,
        "never settles (W7)",
        streaming(lambda fake: fake.fail(ChannelState.STARTING)),
        Status.FAIL,
        "settled after 12000 ms",
    ),
    (
        streams.ACCOUNT_EVENTS,
        "no balance",
        streaming(lambda fake: fake.fail(ChannelState.REFUSED, StreamPart.BALANCE)),
        Status.WARN,
        "balance refused",
    ),
    (streams.BOOKS, "well", nothing, Status.PASS, "BTC-PERP 59995 / 60005 0 ms old, 0 bps from a read"),
    (
        streams.BOOKS,
        "mute (W5)",
        streaming(lambda fake: fake.fail(ChannelState.STALE, StreamPart.BOOK, ProductId(BTC))),
        Status.FAIL,
        "BTC-PERP book stale",
    ),
    (streams.BOOKS, "frozen", streaming(frozen), Status.FAIL, "3000 ms old"),
    (streams.BOOKS, "apart", streaming(lambda fake: fake.tell_book("61000")), Status.WARN, "166.7 bps from a read"),
    (streams.BOOKS, "nothing", streaming(lambda fake: fake.channels.clear()), Status.FAIL, "not asked for"),
    (venue.RETIRED, "well", nothing, Status.PASS, "was refused: HTTP 404"),
    (
        venue.RETIRED,
        "served",
        lambda scene: setattr(
            scene.venues, "retired_answer", RetiredAnswer(asked="GET x", served=True, said="product")
        ),
        Status.FAIL,
        "GET x was served",
    ),
]


@pytest.mark.parametrize(
    ("check", "case", "spoil", "status", "evidence"), CASES, ids=[f"{case[0].id}: {case[1]}" for case in CASES]
)
def test_each_ending(check: Check[CheckContext], case: str, spoil: Spoil, status: Status, evidence: str) -> None:
    scene = Scene()
    spoil(scene)
    row = scene.look(check)
    assert (row.status, row.evidence) == (status, row.evidence), case
    assert evidence in row.evidence
    assert row.fix or status in (Status.PASS, Status.SKIP)


def test_each_check_has_a_good_and_a_bad_ending_here() -> None:
    good = {check.id for check, _, _, status, _ in CASES if status is Status.PASS}
    bad = {check.id for check, _, _, status, _ in CASES if status is not Status.PASS}
    assert good == bad == {check.id for check in PROBE}


def test_there_are_at_least_sixteen_checks_and_all_pass_on_a_healthy_scene_with_evidence() -> None:
    report = Scene().series(PROBE)
    assert len(report.rows) >= 16
    assert [(row.id, row.evidence) for row in report.rows if row.status is not Status.PASS] == []
    assert all(row.evidence.strip() for row in report.rows)


def test_evidence_follows_what_is_seen_and_is_no_constant() -> None:
    one, other = Scene(), Scene()
    other.everywhere("latency_us", 7700)
    other.everywhere("money", an_account(equity="777"))
    seen = [{row.id: row.evidence for row in scene.series(PROBE).rows} for scene in (one, other)]
    for check_id in ("venue.reachable", "auth.trade", "auth.monitor", "latency.reads", "account.readable"):
        assert seen[0][check_id] != seen[1][check_id]


def test_the_preview_is_of_one_post_only_contract_far_below_and_nothing_is_sent() -> None:
    scene = Scene()
    scene.look(venue.PREVIEW)
    (order,) = scene.venue.previewed
    assert order.intent.post_only
    assert (order.side, order.intent.type, order.intent.tif) == (Side.BUY, OrderType.LIMIT, TimeInForce.GTC)
    assert order.size == order.product.contract_size
    assert order.limit_price == Decimal("53995")


def bad(scene: Scene) -> dict[str, str]:
    return {row.id: row.status.value for row in scene.series(PROBE).rows if row.status is not Status.PASS}


SIGNED = {
    "auth.trade",
    "key.trade.permissions",
    "keys.least_privilege",
    "portfolio.pinned",
    "account.readable",
    "positions.readable",
    "orders.readable",
    "order.preview",
    "fees.known",
    "margin.window",
    "streams.account",
    "rate.headers",
    "latency.reads",
}


def test_a_wrong_trade_key_turns_its_check_red_and_nothing_that_rests_on_it_green() -> None:
    scene = Scene()
    scene.everywhere("facts", rights())
    scene.venue.facts = REFUSED_401
    found = bad(scene)
    assert found["auth.trade"] == "fail"
    assert found["address.allowed"] == "unknown"
    assert set(found) == SIGNED | {"address.allowed"}
    assert {status for check_id, status in found.items() if check_id in SIGNED - {"auth.trade"}} == {"skip"}


def test_a_clock_130_s_off_turns_its_check_red_and_no_signed_one_is_green_A1() -> None:
    scene = Scene()
    skew(130_000)(scene)
    scene.everywhere("facts", REFUSED_CLOCK)
    found = bad(scene)
    assert found["clock.skew"] == "fail"
    assert set(found) == SIGNED | {"clock.skew", "address.allowed", "auth.monitor", "auth.analytics"}
    assert {status for check_id, status in found.items() if check_id != "clock.skew"} == {"skip"}


def test_a_key_file_of_30_bytes_turns_its_check_red_and_leaves_the_other_keys_theirs() -> None:
    scene = Scene()
    scene.keys.change(TRADE, problem="key file /keys/trade.json: is not JSON (30 bytes)", fix="download it again")
    found = bad(scene)
    assert found["key.trade.file"] == "fail"
    assert set(found) == SIGNED | {"key.trade.file", "address.allowed"}
    assert {status for check_id, status in found.items() if check_id != "key.trade.file"} == {"skip"}


def test_an_address_off_the_list_turns_its_check_red_and_is_not_called_a_bad_key_A4() -> None:
    scene = Scene()
    scene.everywhere("facts", REFUSED_ADDRESS)
    found = bad(scene)
    assert found["address.allowed"] == "fail"
    assert {found[each] for each in ("auth.trade", "auth.monitor", "auth.analytics")} == {"unknown"}
    assert set(found) == SIGNED | {"address.allowed", "auth.monitor", "auth.analytics"}


def test_a_sandbox_is_looked_at_no_further() -> None:
    scene = Scene()
    scene.setup["environment"] = Environment.SANDBOX
    report = scene.series(PROBE)
    assert report.rows[0].status is Status.FAIL
    assert scene.venues.wire == []


def test_a_venue_that_answers_with_its_rate_limit_is_not_looked_for_in_dns_and_tls() -> None:
    scene = Scene()
    scene.everywhere("time", RateLimited("public/get_time: the venue's request budget is used up (10028)"))
    found = scene.look(venue.REACHABLE)
    assert "DNS" not in found.fix
    assert "ask too often" in found.fix
