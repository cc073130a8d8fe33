"""Checks of the API keys: the file on this disk, what the venue says to it, what it may do, and which portfolio it is of.

A key's purpose decides its rights: `trade` views and trades, `monitor` and `analytics` only view, none may transfer.
"""

from collections.abc import Callable
from datetime import timedelta

from perpsctl.checks.context import CheckContext, KeyFile
from perpsctl.checks.figures import age, ms, percentile, plural
from perpsctl.checks.model import Check, Finding, failed, passed, skipped, unknown, warned
from perpsctl.checks.refusals import Cause, cause_of
from perpsctl.domain.errors import PerpsctlError, VenueRefusedUs
from perpsctl.domain.products import Environment
from perpsctl.domain.reports import KeyFacts, KeyPurpose

SAMPLES = 5
KEY_AGE_MAX = timedelta(days=90)  # the rotation the security page asks for
_TRADE, _MONITOR, _ANALYTICS = KeyPurpose.TRADE, KeyPurpose.MONITOR, KeyPurpose.ANALYTICS
_NOT_CONFIGURED = "no {} key in the profile: nothing to look at"
_NAME_ONE = "name a key file under keys.{} in the profile; each purpose has a key of its own"


# --- files ------------------------------------------------------------------------------------------


def _file(purpose: KeyPurpose) -> Callable[[CheckContext], Finding]:
    def look(ctx: CheckContext) -> Finding:
        """The key can be read, is ours alone, parses, and is not overdue for rotation."""
        key = ctx.keys.facts(purpose)
        if not key.configured:
            text = _NOT_CONFIGURED.format(purpose)
            told = failed if purpose is _TRADE else warned
            return told(text, fix=_NAME_ONE.format(purpose))
        if key.problem:
            return failed(key.problem, fix=key.fix or "make a new key and download it again")
        if key.mode is not None and key.mode & 0o077:
            return failed(f"{key.source} has mode {key.mode:04o}: others can use it", fix="chmod 600, replace the key")
        return _aged(ctx, key)

    return look


def _aged(ctx: CheckContext, key: KeyFile) -> Finding:
    parts = [f"{key.algorithm} key {key.fingerprint}", key.source]
    if key.mode is not None and key.size is not None:
        parts.append(f"mode {key.mode:04o}, {key.size} bytes")
    if key.modified is None:
        return passed(", ".join(parts))
    old = ctx.clock.now() - key.modified
    parts.append(f"written {age(old)} ago")
    if old > KEY_AGE_MAX:
        return warned(", ".join(parts), fix=f"rotate keys every {KEY_AGE_MAX.days} days")
    return passed(", ".join(parts))


# --- what the venue says to the key -----------------------------------------------------------------


def _auth(purpose: KeyPurpose) -> Callable[[CheckContext], Finding]:
    def look(ctx: CheckContext) -> Finding:
        """The venue accepts a fresh token of this key, each time it is asked."""
        obstacle = _obstacle(ctx, purpose)
        return obstacle if obstacle is not None else _sampled(ctx, purpose)

    return look


def _obstacle(ctx: CheckContext, purpose: KeyPurpose) -> Finding | None:
    """Why there is nothing to ask the venue about."""
    key = ctx.keys.facts(purpose)
    if not key.configured:
        told = failed if purpose is _TRADE else warned
        return told(_NOT_CONFIGURED.format(purpose), fix=_NAME_ONE.format(purpose))
    if key.problem:
        return skipped(f"needs key.{purpose}.file, which did not pass")
    return None


def _sampled(ctx: CheckContext, purpose: KeyPurpose) -> Finding:
    venue, before = ctx.venues.signed(purpose), len(ctx.venues.seen())
    accepted = 0
    try:
        while accepted < SAMPLES:
            venue.key_facts()
            accepted += 1
    except VenueRefusedUs as refused:
        return _refused(refused, f"{accepted} of {SAMPLES}")
    made = [seen for seen in ctx.venues.seen()[before:] if seen.signed_as is purpose]
    times = sorted(seen.latency_us for seen in made if seen.status == 200 and seen.latency_us is not None)
    if not times:
        return unknown(f"{SAMPLES} answers, none of them seen on the wire", fix="a bug in perpsctl: report this line")
    last = next((seen.request_id for seen in reversed(made) if seen.request_id), "none sent")
    told = f"{SAMPLES} of {SAMPLES} accepted, p50 {ms(percentile(times, 50))}, last request id {last}"
    denied = sum(1 for seen in ctx.venues.seen() if seen.signed_as is purpose and seen.status == 401)
    if denied:
        return warned(
            f"{told}; {plural(denied, 'refusal')} (HTTP 401) on the way",
            fix="the venue's nodes refuse good keys now and then; look at the key if it stays",
        )
    return passed(told)


def _refused(refused: VenueRefusedUs, accepted: str) -> Finding:
    told = f"{accepted} accepted; {refused.message}"
    match cause_of(refused):
        case Cause.ADDRESS:
            return unknown(f"the address was refused before the key counted: {told}", fix="see address.allowed")
        case Cause.CLOCK:
            return unknown(f"the clock was refused before the key counted: {told}", fix=refused.fix)
        case Cause.PERMISSION:
            return failed(told, fix="give the key the View permission, or use another key")
        case Cause.NOT_TOLD if refused.fix != VenueRefusedUs.default_fix:
            return failed(told, fix=refused.fix)
        case _:
            return failed(told, fix="wrong, expired or deleted key: compare its fingerprint, or make a new one")


def address_allowed(ctx: CheckContext) -> Finding:
    """The venue takes signed requests from this host's address: one off the key's list is told apart from a bad key."""
    declared = f"declared egress: {', '.join(ctx.setup.egress)}" if ctx.setup.egress else "no egress declared"
    try:
        ctx.venues.signed(_TRADE).key_facts()
    except VenueRefusedUs as refused:
        return _not_let_in(refused, declared)
    made = [seen for seen in ctx.venues.seen() if seen.signed_as is _TRADE and seen.status == 200]
    name = f"{made[-1].method} {made[-1].path}" if made else "a signed request"
    told = f"{name} was let in; {declared}"
    if ctx.setup.environment is Environment.PRODUCTION and not ctx.setup.egress:
        return warned(told, fix="list this host's outgoing addresses under egress, and on the key at the venue")
    return passed(told)


def _not_let_in(refused: VenueRefusedUs, declared: str) -> Finding:
    fix = "put this host's outgoing address on the key's allowlist at the venue, or go out through a listed one"
    match cause_of(refused):
        case Cause.ADDRESS:
            return failed(f"{refused.message}; {declared}", fix=fix)
        case Cause.NOT_TOLD:
            return unknown(f"refused without a cause: {refused.message}; {declared}", fix=fix)
        case cause:
            told = f"refused for another cause ({cause}), so the address was not judged: {refused.message}"
            return unknown(told, fix="see auth.trade")


# --- rights and portfolio ---------------------------------------------------------------------------


def trade_permissions(ctx: CheckContext) -> Finding:
    """The trade key may view and trade."""
    facts = ctx.venues.signed(_TRADE).key_facts()
    missing = [name for name, there in (("view", facts.can_view), ("trade", facts.can_trade)) if not there]
    told = f"the venue says: {_rights(facts)}"
    if missing:
        return failed(f"{told}; missing: {', '.join(missing)}", fix="give the trade key View and Trade at the venue")
    return passed(told)


def least_privilege(ctx: CheckContext) -> Finding:
    """No key can move money away, only the trade key can trade, and no key serves two purposes (A7)."""
    told, wrong, unseen = [], list(_shared(ctx)), []
    for purpose in KeyPurpose:
        key = ctx.keys.facts(purpose)
        if not key.configured:
            continue
        if key.problem:
            unseen.append(f"{purpose}: its file cannot be used")
            continue
        try:
            facts = ctx.venues.signed(purpose).key_facts()
        except PerpsctlError as error:
            unseen.append(f"{purpose}: {error.message}")
            continue
        told.append(f"{purpose}: {_rights(facts)}")
        wrong.extend(f"{purpose} key can {right}" for right in _too_much(purpose, facts))
    evidence = "; ".join([*wrong, *told, *unseen])
    if wrong:
        return failed(evidence, fix="make a new key with only the rights its purpose needs, then delete this one")
    if unseen:
        return unknown(evidence, fix="see the rows of that key")
    return passed(evidence)


def _too_much(purpose: KeyPurpose, facts: KeyFacts) -> list[str]:
    rights = ["transfer"] if facts.can_transfer else []
    return [*rights, "trade"] if facts.can_trade and purpose is not _TRADE else rights


def _shared(ctx: CheckContext) -> list[str]:
    by_print: dict[str, list[str]] = {}
    for purpose in KeyPurpose:
        key = ctx.keys.facts(purpose)
        if key.configured and key.fingerprint:
            by_print.setdefault(key.fingerprint, []).append(purpose)
    return [f"{' and '.join(names)} are one key ({print_})" for print_, names in by_print.items() if len(names) > 1]


def _rights(facts: KeyFacts) -> str:
    held = (("view", facts.can_view), ("trade", facts.can_trade), ("transfer", facts.can_transfer))
    return ", ".join(name for name, there in held if there) or "nothing"


def portfolio_pinned(ctx: CheckContext) -> Finding:
    """Each key is of the pinned portfolio (A6): orders of another one are nobody's."""
    pinned, found = ctx.setup.portfolio, {}
    for purpose in KeyPurpose:
        key = ctx.keys.facts(purpose)
        if not key.configured or key.problem:
            continue
        try:
            found[purpose] = ctx.venues.signed(purpose).key_facts().portfolio_id
        except PerpsctlError as error:
            return unknown(f"{purpose} key: {error.message}", fix=f"see auth.{purpose}")
    told = ", ".join(f"{purpose} key: {portfolio}" for purpose, portfolio in found.items())
    if pinned is None and ctx.setup.environment is Environment.SIM:
        same = len(set(found.values())) == 1
        return passed(f"one throw-away account: {told}") if same else failed(told, fix="`perpsctl sim reset`")
    if pinned is None:
        return failed(f"no portfolio is pinned; {told}", fix=f'portfolio = "{found.get(_TRADE, "")}" in the profile')
    others = [purpose.value for purpose, portfolio in found.items() if portfolio != pinned]
    if others:
        return failed(f"pinned {pinned}; {told}", fix=f"use keys of the pinned portfolio: {', '.join(others)}")
    return passed(f"pinned {pinned}; {plural(len(found), 'key')} of it ({', '.join(found)})")


TRADE_FILE = Check("key.trade.file", "The trade key can be used, by us alone", run=_file(_TRADE))
MONITOR_FILE = Check("key.monitor.file", "The monitor key can be used, by us alone", run=_file(_MONITOR))
ANALYTICS_FILE = Check("key.analytics.file", "The analytics key can be used, by us alone", run=_file(_ANALYTICS))
_ASKED = ("venue.reachable", "clock.skew")
TRADE_AUTH = Check(
    "auth.trade", "The venue accepts the trade key", run=_auth(_TRADE), needs=(*_ASKED, "key.trade.file")
)
MONITOR_AUTH = Check("auth.monitor", "The venue accepts the monitor key", run=_auth(_MONITOR), needs=_ASKED)
ANALYTICS_AUTH = Check("auth.analytics", "The venue accepts the analytics key", run=_auth(_ANALYTICS), needs=_ASKED)
ADDRESS = Check(
    "address.allowed", "The venue lets this address in", run=address_allowed, needs=(*_ASKED, "key.trade.file")
)
PERMISSIONS = Check(
    "key.trade.permissions", "The trade key may view and trade", run=trade_permissions, needs=("auth.trade",)
)
LEAST_PRIVILEGE = Check(
    "keys.least_privilege", "No key can do more than it is for", run=least_privilege, needs=("auth.trade",)
)
PORTFOLIO = Check(
    "portfolio.pinned", "Every key is of the pinned portfolio", run=portfolio_pinned, needs=("auth.trade",)
)
