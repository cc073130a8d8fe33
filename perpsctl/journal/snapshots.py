"""A folded state as canonical text and back: equal states are equal bytes, which is how a replay is compared (J3)."""

import json
import re
from collections import deque
from decimal import Decimal

from perpsctl.domain.accounts import EquityMark, TradingState
from perpsctl.domain.ids import AccountKey, IntentId, ProductId, VenueOrderId
from perpsctl.domain.numbers import exact, plain
from perpsctl.domain.orders import VenueOrder
from perpsctl.domain.reports import ExitPending
from perpsctl.journal.codec import Json, Unreadable, decode, encode, moment, parse, stamp
from perpsctl.journal.entries import Tracked
from perpsctl.journal.fold import Halted, State
from perpsctl.journal.ledger import Happened, KeptMark, Ledger, Sums

_WIDE = re.compile(r"-?[0-9]{1,300}(?:\.[0-9]{1,300})?", re.ASCII)  # sums may be longer than what a venue may say


# Raised with every change of what is folded or how it is written: a snapshot of another form is passed over and the rows
# are folded again. Without it a change would read as damage, since the views would differ from a replay.
FORM = 2


def of_this_form(text: str) -> bool:
    """True when this version wrote the snapshot, or one that folds alike."""
    try:
        return parse(text).get("form") == FORM
    except Unreadable:
        return True  # not an object at all: `state_of` says what is wrong with it


def state_text(state: State) -> str:
    """The state as canonical JSON."""
    ledger = state.ledger
    told: dict[str, Json] = {
        "form": FORM,
        "account": state.account,
        "seq": state.seq,
        "head": state.head,
        "tracked": [encode(held) for held in state.tracked.values()],
        "owner": {str(order): str(intent) for order, intent in state.owner.items()},
        "ended": [[stamp(at), str(intent)] for at, intent in state.ended],
        "others": [encode(order) for order in state.others.values()],
        "sent": [stamp(at) for at in state.sent],
        "sent_by_day": dict(state.sent_by_day),
        "openings": {str(product): plain(coin) for product, coin in state.openings.items()},
        "halted": {
            "engaged": state.halted.engaged,
            "reason": state.halted.reason,
            "by": state.halted.by,
            "since": None if state.halted.since is None else stamp(state.halted.since),
            "loss_breach": state.halted.loss_breach,
        },
        "states": {str(product): [word.value, reason] for product, (word, reason) in state.states.items()},
        "exits": [encode(pending) for pending in state.exits.values()],
        "ledger": _ledger_told(ledger),
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False)


def state_of(text: str) -> State:
    """The state `state_text` wrote; Unreadable otherwise."""
    told = parse(text)
    try:
        return _state(told)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as trouble:
        raise Unreadable(f"not a stored state: {type(trouble).__name__}") from None


def _state(told: dict[str, Json]) -> State:
    state = State(AccountKey(_text(told["account"])), seq=_whole(told["seq"]), head=_text(told["head"]))
    for each in _list(told["tracked"]):
        held = decode(Tracked, each)
        state.tracked[held.record.intent.id] = held
    state.owner = {VenueOrderId(order): IntentId(_text(intent)) for order, intent in _dict(told["owner"]).items()}
    state.ended = deque((moment(_list(each)[0]), IntentId(_text(_list(each)[1]))) for each in _list(told["ended"]))
    for each in _list(told["others"]):
        order = decode(VenueOrder, each)
        state.others[order.venue_order_id] = order
    state.sent = deque(moment(at) for at in _list(told["sent"]))
    state.sent_by_day = {day: _whole(sent) for day, sent in _dict(told["sent_by_day"]).items()}
    state.openings = {ProductId(product): exact(_text(coin)) for product, coin in _dict(told["openings"]).items()}
    halted = _dict(told["halted"])
    state.halted = Halted(
        engaged=halted["engaged"] is not False,
        reason=_text(halted["reason"]),
        by=_text(halted["by"]),
        since=None if halted["since"] is None else moment(halted["since"]),
        loss_breach=halted["loss_breach"] is not False,
    )
    for product, pair in _dict(told["states"]).items():
        state.states[ProductId(product)] = (TradingState(_text(_list(pair)[0])), _text(_list(pair)[1]))
    for each in _list(told["exits"]):
        pending = decode(ExitPending, each)
        state.exits[pending.product_id] = pending
    state.ledger = _ledger(_dict(told["ledger"]))
    return state


def _ledger_told(ledger: Ledger) -> Json:
    """Marks between two fills share one mapping of sums, so each mapping is written once and named by its place."""
    places: dict[int, int] = {}
    mappings: list[Json] = []
    marks: list[Json] = []
    for kept in ledger.marks:
        place = places.get(id(kept.sums))
        if place is None:
            written = _sums_told(kept.sums)
            if mappings and mappings[-1] == written:  # equal neighbours share a place, however they came to be equal
                place = len(mappings) - 1
            else:
                place = len(mappings)
                mappings.append(written)
            places[id(kept.sums)] = place
        marks.append([encode(kept.mark), place, plain(kept.transfers)])
    return {
        "sums": _sums_told(ledger.sums),
        "transfers": plain(ledger.transfers),
        "mappings": mappings,
        "marks": marks,
        "latest": [[stamp(each.at), each.product_id, plain(each.coin), plain(each.cash)] for each in ledger.latest],
    }


def _ledger(told: dict[str, Json]) -> Ledger:
    ledger = Ledger()
    ledger.sums = _sums(_dict(told["sums"]))
    ledger.transfers = _wide(told["transfers"])
    mappings = [_sums(_dict(each)) for each in _list(told["mappings"])]
    for each in _list(told["marks"]):
        mark, place, transfers = _list(each)
        ledger.marks.append(
            KeptMark(mark=decode(EquityMark, mark), sums=mappings[_whole(place)], transfers=_wide(transfers))
        )
    for each in _list(told["latest"]):
        at, product, coin, cash = _list(each)
        product_id = None if product is None else ProductId(_text(product))
        ledger.latest.append(Happened(at=moment(at), product_id=product_id, coin=_wide(coin), cash=_wide(cash)))
    return ledger


def _sums_told(sums: Sums) -> dict[str, Json]:
    return {str(product): [plain(coin), plain(cash)] for product, (coin, cash) in sums.items()}


def _sums(told: dict[str, Json]) -> Sums:
    return {ProductId(product): (_wide(_list(pair)[0]), _wide(_list(pair)[1])) for product, pair in told.items()}


def _wide(told: Json) -> Decimal:
    text = _text(told)
    if _WIDE.fullmatch(text) is None:
        raise Unreadable("not a sum")
    return Decimal(text)


def _text(told: Json) -> str:
    if not isinstance(told, str):
        raise Unreadable("not text")
    return told


def _whole(told: Json) -> int:
    if type(told) is not int:
        raise Unreadable("not a whole number")
    return told


def _list(told: Json) -> list[Json]:
    if not isinstance(told, list):
        raise Unreadable("not a list")
    return told


def _dict(told: Json) -> dict[str, Json]:
    if not isinstance(told, dict):
        raise Unreadable("not an object")
    return told
