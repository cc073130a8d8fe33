"""Each check of `preflight` in its good ending and in the bad ones it is there for; those of `probe` have their own file."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal

import pytest

from perpsctl.checks import grids, home, readiness, record, venue
from perpsctl.checks.context import CheckContext
from perpsctl.checks.model import Check, Finding, Status
from perpsctl.checks.preflight import PREFLIGHT
from perpsctl.checks.probe import PROBE
from perpsctl.domain.accounts import MarginLevel
from perpsctl.domain.errors import (
    JournalCorrupt,
    JournalUnavailable,
    LeaseHeld,
    RefusalCause,
    VenueRefusedUs,
    VenueUnreachable,
)
from perpsctl.domain.ids import ProductId
from perpsctl.domain.market import SessionState
from perpsctl.domain.numbers import Size
from perpsctl.domain.ports import Integrity
from perpsctl.domain.products import Environment
from perpsctl.domain.reports import ExitPending, HaltFacts, HaltState, IntentRecord, IntentStage
from perpsctl.risk.limits import RiskLimits
from tests.builders import (
    BTC,
    ETH,
    NOW,
    a_book,
    a_booked,
    a_flow,
    a_funding,
    a_margin_window,
    a_position,
    a_product,
    a_session,
    a_status,
    an_account,
    an_intent,
    both_loss_bases,
    positions_read,
)
from tests.unit.checks.scene import CONFIG_FILE, JOURNAL_FILE, STATE, Scene, some_products
from tests.unit.checks.test_probe_checks import SIGNED, of_all, of_trade, setting

Spoil = Callable[[Scene], object]


def nothing(scene: Scene) -> None: ...


def both(*spoils: Spoil) -> Spoil:
    def spoil(scene: Scene) -> None:
        for each in spoils:
            each(scene)

    return spoil


def host(**values: object) -> Spoil:
    def spoil(scene: Scene) -> None:
        for name, value in values.items():
            setattr(scene.host, name, value)

    return spoil


def journal(**values: object) -> Spoil:
    def spoil(scene: Scene) -> None:
        for name, value in values.items():
            setattr(scene.journal, name, value)

    return spoil


def limits(**values: object) -> Spoil:
    return setting(limits=RiskLimits.from_mapping(values))


def products(*changed: object) -> Spoil:
    return of_all("listed", (*changed, *some_products()[1:]))


def halted(**values: object) -> Spoil:
    told = HaltFacts(
        state=HaltState.ENGAGED, latch="engaged", journal="released", reason="fat finger", by="ana",
        since=NOW - timedelta(minutes=5),
    )  # fmt: skip
    return lambda scene: setattr(scene.halts, "told", replace(told, **values))  # type: ignore[arg-type]


def a_doubt() -> IntentRecord:
    return IntentRecord(
        intent=an_intent(),
        stage=IntentStage.UNKNOWN,
        committed_at=NOW - timedelta(minutes=10),
        sent_size=None,
        denied=None,
        outcome=None,
        venue_order_id=None,
        order=None,
    )


def remembered(scene: Scene, **changes: str) -> None:
    scene.journal.rows.clear()
    scene.journal.remember_grids((a_product(**changes),))  # type: ignore[arg-type]


def broken(first_bad: int | None, problem: str) -> Integrity:
    return Integrity(rows=9, verified_from=1, sound=False, first_bad=first_bad, problem=problem, head="")


def lost(cash: str) -> Spoil:
    return journal(book=a_booked(loss_bases=both_loss_bases(flows=(a_flow(coin="0", cash=cash),))))


PENDING = ExitPending(product_id=ProductId(BTC), size=Size(Decimal("0.1")), reason="closed session", retry_at=None)
FULL_DISK = OSError(errno.ENOSPC, "No space left on device")
CASES: list[tuple[Check[CheckContext], str, Spoil, Status, str]] = [
    (home.CONFIG, "well", nothing, Status.PASS, "perpsctl.toml mode 0600, limits "),
    (home.CONFIG, "others can write", host(modes={CONFIG_FILE: 0o666}), Status.FAIL, "mode 0666: others can change"),
    (home.CONFIG, "gone since", host(modes={CONFIG_FILE: None}), Status.FAIL, "has gone since it was read"),
    (home.CONFIG, "none in sim", setting(config_exists=False), Status.PASS, "no file at"),
    (
        home.CONFIG,
        "none in production",
        setting(config_exists=False, environment=Environment.PRODUCTION),
        Status.FAIL,
        "no file at",
    ),
    (home.TOKEN, "sim", nothing, Status.PASS, "sim: entries need no token"),
    (
        home.TOKEN,
        "production",
        setting(environment=Environment.PRODUCTION, live=True),
        Status.FAIL,
        "tokens are not built yet",
    ),
    (home.FOLDERS, "well", nothing, Status.PASS, "mode 0700, 2 files"),
    (home.FOLDERS, "open folder", host(modes={STATE: 0o755}), Status.FAIL, "others can reach the folder itself"),
    (home.FOLDERS, "open file", host(modes={JOURNAL_FILE: 0o644}), Status.FAIL, "journal.sqlite 0644"),
    (home.FOLDERS, "not there", host(modes={STATE: None}), Status.FAIL, "is not there"),
    (home.DISK, "well", nothing, Status.PASS, "50 GiB of 100 GiB free"),
    (home.DISK, "full", host(free=100 << 20), Status.FAIL, "100 MiB of 100 GiB free"),
    (home.DISK, "nearly full", host(free=500 << 20), Status.WARN, "500 MiB"),
    (home.DISK, "no inodes", host(files_free=3), Status.FAIL, "3 files"),
    (home.DISK, "uncounted", host(files_free=None), Status.PASS, "free"),
    (home.DESCRIPTORS, "well", nothing, Status.PASS, "20 open of 4096"),
    (home.DESCRIPTORS, "used up", host(opened=250, limit=256), Status.FAIL, "250 open of 256"),
    (home.DESCRIPTORS, "few", host(limit=256), Status.WARN, "20 open of 256"),
    (home.LATCH, "well", nothing, Status.PASS, "a file was synced in 0.9 ms; latch reads released"),
    (home.LATCH, "disk full", host(sync_trouble=FULL_DISK), Status.FAIL, "No space left on device"),
    (home.JOURNAL_DURABLE, "well", nothing, Status.PASS, "a sync beside it took 0.9 ms"),
    (home.JOURNAL_DURABLE, "disk full", host(sync_trouble=FULL_DISK), Status.FAIL, "No space left"),
    (home.JOURNAL_DURABLE, "read-only", host(modes={JOURNAL_FILE: 0o400}), Status.FAIL, "mode 0400: not writable"),
    (home.JOURNAL_DURABLE, "gone", host(modes={JOURNAL_FILE: None}), Status.FAIL, "is not there"),
    (home.JOURNAL_DURABLE, "elsewhere", setting(journal_file=None), Status.FAIL, "no file of this host"),
    (home.RELEASED, "well", nothing, Status.PASS, "latch released, journal released"),
    (home.RELEASED, "engaged", halted(), Status.FAIL, "by ana 5 min ago: fat finger"),
    (
        home.RELEASED,
        "R2: unreadable counts as engaged",
        halted(latch="released", journal="unreadable: damaged", reason="", by="", since=None),
        Status.FAIL,
        "counts as engaged: latch released, journal unreadable: damaged",
    ),
    (record.INTEGRITY, "well", nothing, Status.PASS, "12 rows of us:sim:"),
    (
        record.INTEGRITY,
        "J4: the first bad row is named",
        journal(integrity=broken(7, "its content was changed")),
        Status.FAIL,
        "first bad row 7: its content was changed",
    ),
    (record.INTEGRITY, "D7: no database", journal(integrity=broken(None, "malformed")), Status.FAIL, "no row can be"),
    (record.INTEGRITY, "corrupt", journal(integrity=JournalCorrupt("row 3", fix="")), Status.FAIL, "row 3"),
    (record.INTEGRITY, "unreadable", journal(integrity=JournalUnavailable("EIO")), Status.FAIL, "EIO"),
    (
        record.INTEGRITY,
        "whose it is, is not known",
        journal(integrity=VenueRefusedUs("HTTP 401")),
        Status.UNKNOWN,
        "whose journal it is could not be asked",
    ),
    (record.DOUBT, "none", nothing, Status.PASS, "0 in doubt, 0 orders working"),
    (record.DOUBT, "one", journal(doubts=(a_doubt(),)), Status.FAIL, "1 order in doubt: intent-0001 (10 min)"),
    (record.EXITS, "none", nothing, Status.PASS, "0 exits pending"),
    (record.EXITS, "one", journal(pending=(PENDING,)), Status.FAIL, f"1 exit pending: {BTC} 0.1: closed session"),
    (record.LEASE, "free", nothing, Status.PASS, "nobody holds the lease of us:sim:"),
    (
        record.LEASE,
        "held",
        lambda scene: setattr(scene.lease, "by", "process 7 on box"),
        Status.WARN,
        "held by process 7 on box",
    ),
    (
        record.LEASE,
        "unreadable",
        lambda scene: setattr(scene.lease, "holder", _raises(LeaseHeld("cannot be read"))),
        Status.FAIL,
        "cannot be read",
    ),
    (record.BOOKED, "flat", nothing, Status.PASS, "0 positions alike"),
    (record.BOOKED, "I6: apart", of_trade("held", positions_read(a_position())), Status.FAIL, "journal 0, venue 0.1"),
    (
        record.BOOKED,
        "journal holds what the venue does not",
        journal(coin={ProductId(BTC): Decimal("-0.2")}),
        Status.FAIL,
        "journal -0.2, venue 0",
    ),
    (venue.STATUS, "well", nothing, Status.PASS, "BTC-PERP: open, no restriction"),
    (
        venue.STATUS,
        "M: cancel only",
        products(a_product(status=a_status(cancel_only=True))),
        Status.FAIL,
        "cancel_only",
    ),
    (
        venue.STATUS,
        "closed",
        products(a_product(status=a_status(session=a_session(state=SessionState.CLOSED)))),
        Status.FAIL,
        "session closed",
    ),
    (readiness.INCREMENTS, "unchanged", nothing, Status.PASS, "unchanged since 2026-11-21 12:00Z"),
    (readiness.INCREMENTS, "first time", lambda scene: scene.journal.rows.clear(), Status.WARN, "no earlier run"),
    (
        readiness.INCREMENTS,
        "M5: another price step",
        lambda scene: remembered(scene, price_step="1"),
        Status.FAIL,
        "BTC-PERP price_steps 1 from 0 -> 5 from 0",
    ),
    (
        readiness.INCREMENTS,
        "M5: another contract",
        lambda scene: remembered(scene, contract_size="0.1"),
        Status.FAIL,
        "contract_size 0.1 -> 0.01",
    ),
    (
        readiness.INCREMENTS,
        "a new product",
        lambda scene: remembered(scene, product_id=ETH),
        Status.WARN,
        "not seen before: BTC-PERP",
    ),
    (readiness.LIQUIDITY, "deep", nothing, Status.PASS, "(limit 100,000.00 USD)"),
    (readiness.LIQUIDITY, "thin", of_all("books", {BTC: a_book(size="0.001")}), Status.WARN, "BTC-PERP"),
    (readiness.LIQUIDITY, "no middle", of_all("books", {BTC: a_book(asks=[])}), Status.FAIL, "no middle"),
    (readiness.FUNDING, "cheap", nothing, Status.PASS, "BTC-PERP: longs pay 0.0312 % a day"),
    (
        readiness.FUNDING,
        "dear",
        products(a_product(funding=a_funding(rate="-0.0001"))),
        Status.WARN,
        "shorts pay 0.24 % a day (limit 0.1 %)",
    ),
    (
        readiness.FUNDING,
        "dear for both",
        products(a_product(funding=replace(a_funding(), long_rate=Decimal("0.00005"), short_rate=Decimal("-0.0001")))),
        Status.WARN,
        "longs pay 0.12 % a day; BTC-PERP: shorts pay 0.24 % a day",
    ),
    (readiness.FUNDING, "not told", products(a_product(funding=None)), Status.FAIL, "BTC-PERP: not told"),
    (readiness.QUIET, "open", nothing, Status.PASS, "open; funding moves cash at 20:00Z"),
    (
        readiness.QUIET,
        "quiet",
        lambda scene: setattr(scene, "cash_times", (time(12, 20),)),
        Status.WARN,
        "quiet_window",
    ),
    (
        readiness.QUIET,
        "hourly accrual where no cash time is known",
        lambda scene: setattr(scene, "cash_times", ()),
        Status.PASS,
        "no cash times known",
    ),
    (
        readiness.QUIET,
        "dearer margin ahead",
        of_trade("window", a_margin_window(kind="INTRADAY", ends=NOW + timedelta(minutes=10), intraday_enrolled=True)),
        Status.WARN,
        "margin_window_ahead",
    ),
    (readiness.MARGIN, "flat", nothing, Status.PASS, "margin level base, 0 positions"),
    (
        readiness.MARGIN,
        "danger",
        of_trade("money", an_account(margin_level=MarginLevel.DANGER)),
        Status.FAIL,
        "margin level danger",
    ),
    (
        readiness.MARGIN,
        "warning",
        of_trade("money", an_account(margin_level=MarginLevel.WARNING)),
        Status.WARN,
        "margin level warning",
    ),
    (
        readiness.MARGIN,
        "a new word with a position",
        both(
            of_trade("money", an_account(margin_level=MarginLevel.UNRECOGNISED)),
            of_trade("held", positions_read(a_position())),
        ),
        Status.UNKNOWN,
        "unrecognised, 1 position",
    ),
    (
        readiness.MARGIN,
        "little buffer",
        both(
            of_trade("money", an_account(liquidation_buffer="100000")),
            of_trade("held", positions_read(a_position())),
        ),
        Status.WARN,
        "(10 % of equity)",
    ),
    (
        readiness.FEASIBLE,
        "room",
        nothing,
        Status.PASS,
        "BTC-PERP: up to 0.16 (smallest order 600.00 USD, cap 10,000.00 USD by position_max_share)",
    ),
    (
        readiness.FEASIBLE,
        "1 % of 50,000 admits no contract",
        of_trade("money", an_account(equity="50000")),
        Status.FAIL,
        "equity 50,000.00 USD; BTC-PERP: up to 0 (smallest order 600.00 USD, cap 500.00 USD by position_max_share)",
    ),
    (
        readiness.FEASIBLE,
        "notional cap",
        limits(order_notional_max="599"),
        Status.FAIL,
        "cap 599.00 USD by order_notional_max",
    ),
    (
        readiness.FEASIBLE,
        "one of two",
        both(setting(products=("BTC-PERP", "ETH-PERP")), limits(order_notional_max="700")),
        Status.WARN,
        "ETH-PERP: up to 0 (smallest order 6,000.00 USD",
    ),
    (
        readiness.FEASIBLE,
        "no minute of the day is open",
        both(limits(quiet_minutes=60), lambda scene: setattr(scene, "cash_times", ())),
        Status.FAIL,
        "open 0 min a day by accrual times",
    ),
    (readiness.FEASIBLE, "no price", of_all("books", {BTC: a_book(asks=[])}), Status.UNKNOWN, "no price for BTC-PERP"),
    (readiness.LOSS, "none lost", nothing, Status.PASS, "utc_day: lost 0.00 USD of 20,000.00 USD allowed"),
    (
        readiness.LOSS,
        "used up by balances",
        of_trade("money", an_account(equity="979000")),
        Status.FAIL,
        "21,000.00 USD",
    ),
    (readiness.LOSS, "used up by flows", lost("-20000"), Status.FAIL, "lost 20,000.00 USD of 20,000.00 USD"),
    (
        readiness.LOSS,
        "no baseline",
        journal(book=a_booked(loss_bases=both_loss_bases(baseline=None))),
        Status.WARN,
        "no baseline yet for utc_day, rolling_24h",
    ),
    (readiness.VERDICT, "well", nothing, Status.PASS, "no rule objects"),
    (readiness.VERDICT, "halted", journal(book=a_booked(halted=True)), Status.WARN, "halted (seen"),
    (
        readiness.VERDICT,
        "only the baseline is missing",
        journal(book=a_booked(loss_bases=both_loss_bases(baseline=None))),
        Status.PASS,
        "which the desk records before it judges",
    ),
    (
        readiness.VERDICT,
        "the baseline and more",
        journal(book=a_booked(halted=True, loss_bases=both_loss_bases(baseline=None))),
        Status.WARN,
        "loss_baseline_missing",
    ),
    (
        readiness.VERDICT,
        "small equity",
        of_trade("money", an_account(equity="50000")),
        Status.WARN,
        "position_above_max (seen 0.012, limit 0.01)",
    ),
    (readiness.VERDICT, "unread", of_trade("live", VenueUnreachable("no listing")), Status.UNKNOWN, "no listing"),
]


def _raises(error: Exception) -> Callable[[], str | None]:
    def holder() -> str | None:
        raise error

    return holder


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


def test_each_check_has_a_good_and_a_bad_ending_here_or_in_probes_file() -> None:
    good = {check.id for check, _, _, status, _ in CASES if status is Status.PASS}
    bad = {check.id for check, _, _, status, _ in CASES if status is not Status.PASS}
    assert good == bad == {check.id for check in PREFLIGHT} - {check.id for check in PROBE}


def test_there_are_at_least_sixteen_checks_and_all_pass_on_a_healthy_scene() -> None:
    report = Scene().series(PREFLIGHT)
    assert len(report.rows) >= 16
    assert [(row.id, row.evidence) for row in report.rows if row.status is not Status.PASS] == []


def test_a_check_declared_in_both_series_is_the_same_check() -> None:
    probe = {check.id: check for check in PROBE}
    shared = [check for check in PREFLIGHT if check.id in probe]
    assert shared
    assert all(check is probe[check.id] for check in shared)


def bad(scene: Scene) -> dict[str, str]:
    return {row.id: row.status.value for row in scene.series(PREFLIGHT).rows if row.status is not Status.PASS}


def test_a_corrupt_journal_turns_its_check_red_and_what_rests_on_it_is_skipped_D7() -> None:
    scene = Scene()
    scene.journal.integrity = broken(4, "its content was changed")
    scene.journal_trouble = JournalCorrupt("row 4")
    found = bad(scene)
    assert found["journal.integrity"] == "fail"
    assert {check_id for check_id, status in found.items() if status == "skip"} == {
        "orders.in_doubt",
        "exits.pending",
        "lease.free",
        "positions.booked",
        "loss.headroom",
        "risk.verdict",
        "products.increments",
    }
    assert set(found.values()) == {"fail", "skip"}


def test_a_wrong_key_leaves_no_signed_check_of_preflight_green() -> None:
    scene = Scene()
    scene.everywhere(
        "facts", VenueRefusedUs("GET /key_permissions: HTTP 401: the key was refused", cause=RefusalCause.KEY)
    )
    scene.everywhere("money", VenueRefusedUs("401"))
    found = bad(scene)
    assert found["auth.trade"] == found["auth.monitor"] == "fail"
    signed = {check.id for check in PREFLIGHT} & SIGNED
    assert signed <= set(found)
    assert not {"auth.trade", "limits.feasible", "margin.level", "loss.headroom", "risk.verdict"} - set(found)


def test_a_lost_need_in_every_place_never_leaves_a_dependant_passing() -> None:
    """Whatever single check fails, everything that needs it, directly or not, is skipped."""
    for victim in PREFLIGHT:
        resting = {victim.id}
        for check in PREFLIGHT:
            if resting & set(check.needs):
                resting.add(check.id)
        spoilt = tuple(replace(check, run=_raises_finding) if check.id == victim.id else check for check in PREFLIGHT)
        report = Scene().series(spoilt)
        assert {row.id for row in report.rows if row.status is not Status.PASS} == resting
        assert {row.status for row in report.rows if row.id in resting - {victim.id}} <= {Status.SKIP}


def _raises_finding(context: CheckContext) -> Finding:
    raise RuntimeError("broken on purpose")


def test_the_run_is_recorded_with_its_verdict_rows_and_grids() -> None:
    scene = Scene()
    scene.host.free = 1
    report = scene.series(PREFLIGHT)
    grids.record(scene.context(), report)
    ((kind, payload),) = scene.journal.recorded
    assert kind == "checks_run"
    assert (payload["name"], payload["verdict"]) == ("series", "fail")
    told = json.loads(json.dumps(payload))
    assert told["rows"]["disk.free"] == "fail"
    assert list(told["told"]) == ["disk.free"]
    assert told["grids"][BTC]["price_steps"] == "5 from 0"


def test_grids_that_could_not_be_seen_are_not_recorded_and_older_ones_are_compared_with() -> None:
    scene = Scene()
    scene.everywhere("listed", VenueUnreachable("no list"))
    grids.record(scene.context(), scene.series(PREFLIGHT))
    assert scene.journal.recorded[0][1]["grids"] == {}
    row = replace(scene.journal.rows[0], seq=2, at=NOW, payload=json.dumps(scene.journal.recorded[0][1]))
    scene.journal.rows.insert(0, row)
    seen = grids.last_seen(scene.context().journal())
    assert seen is not None
    assert seen.at == NOW - timedelta(days=1)


def test_nothing_is_written_by_a_check() -> None:
    scene = Scene()
    scene.series(PREFLIGHT)
    scene.series(PROBE)
    assert scene.journal.recorded == []
