"""Which payload is what: by the name of the file it is kept in, and by its body where that tells.

A name is `http_`, `rpc_`, `ws_` or `req_`, then a method without its room and a variant (`rpc_buy_limit_linear` is a
reply to `private/buy`); the longest known method wins. Socket frames and requests name themselves. What has no struct
is read as plain values only.
"""

from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Final

from perpsctl.wire import guard
from perpsctl.wire.global_derivatives import channels, rpc
from perpsctl.wire.global_derivatives.common import Body, encode, fitted
from perpsctl.wire.global_derivatives.methods import METHODS
from perpsctl.wire.global_derivatives.trading import CancelledGroup, OrderHistoryPage, UserTrade, UserTrades
from perpsctl.wire.guard import PlainJson, WireError
from perpsctl.wire.venues import of_global_venue, without_mark

__all__ = [
    "Bare",
    "Message",
    "Payload",
    "TypedRequest",
    "known_prefix",
    "of_global_venue",
    "plain_payload",
    "read_payload",
    "write_payload",
]

_BY_SHORT_NAME: Final = {name.partition("/")[2]: fact for name, fact in METHODS.items() if fact.private} | {
    name.partition("/")[2]: fact for name, fact in METHODS.items() if not fact.private
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedRequest:
    """A request with its parameters as the method's struct."""

    method: str
    id: rpc.RequestId | None
    params: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A notification with its data as the channel's type; a heartbeat has a kind and no channel."""

    channel: str
    kind: str
    data: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A result without its envelope."""

    result: Any


Payload = rpc.Reply[Any] | TypedRequest | Message | Bare


def known_prefix(stem: str) -> str | None:
    """The longest known method, without its room, that a payload's name begins with; None when there is none."""
    words = without_mark(stem).split("_")
    if words[0] in ("public", "private"):
        words = words[1:]
    names = ("_".join(words[:length]) for length in range(len(words), 0, -1))
    told = (name if name in _BY_SHORT_NAME else f"get_{name}" for name in names)
    return next((name for name in told if name in _BY_SHORT_NAME), None)


def read_payload(stem: str, body: bytes) -> Payload | None:
    """The payload of this name; None when it has no struct and is to be read by `guard.plain_values`."""
    tree = guard.tree(body)
    if isinstance(tree, dict) and "method" in tree:
        return _request(body) if "id" in tree or stem.startswith("req_") else _message(body)
    prefix = known_prefix(stem)
    if isinstance(tree, dict) and tree.get("error") is not None:
        return rpc.decode_reply(body, str)  # a refusal has no result
    if prefix is None:
        return None
    if isinstance(tree, dict) and tree.keys() & {"jsonrpc", "result", "error"}:
        return rpc.decode_reply(body, _result_type(prefix, tree.get("result")))
    return Bare(result=fitted(tree, _result_type(prefix, tree)))


def _result_type(prefix: str, result: object) -> Any:
    """The method's own type, or the other shape on record for it where the body has that one.

    Mass cancels answer with a number, or a list when detailed; a history with a page when it goes on; fills and single
    objects come bare and in a list.
    """
    usual = _BY_SHORT_NAME[prefix].result
    if isinstance(result, list):
        if usual is int:
            return tuple[CancelledGroup, ...]
        if usual is UserTrades:
            return tuple[UserTrade, ...]
        return GenericAlias(tuple, (usual, ...)) if isinstance(usual, type) and issubclass(usual, Body) else usual
    if isinstance(result, dict) and prefix.startswith("get_order_history"):
        return OrderHistoryPage
    if isinstance(result, dict) and prefix.startswith("get_user_trades"):
        return UserTrades
    return usual


def _request(body: bytes) -> TypedRequest | None:
    request = rpc.decode_request(body)
    fact = METHODS.get(request.method)
    if fact is None:
        return None
    return TypedRequest(method=request.method, id=request.id, params=rpc.read_params(request.params, fact.params))


def _message(body: bytes) -> Message | None:
    frame = rpc.decode_frame(body)
    if isinstance(frame, rpc.LooseReply):
        raise WireError("a frame with a method and without one")
    if frame.method == "heartbeat":
        return Message(channel="", kind=frame.kind, data=None)
    if channels.data_type(frame.channel) is None:
        return None
    return Message(channel=frame.channel, kind="", data=channels.read_data(frame))


def write_payload(payload: Payload) -> bytes:
    """The payload as it travels."""
    if isinstance(payload, TypedRequest):
        return rpc.encode_request(payload.method, payload.params, payload.id)
    if isinstance(payload, Message):
        if payload.channel:
            return rpc.encode_notification(payload.channel, payload.data)
        return rpc.encode_heartbeat(payload.kind)
    return encode(payload.result) if isinstance(payload, Bare) else rpc.encode_reply(payload)


def plain_payload(body: bytes) -> PlainJson:
    """Any payload as plain values with exact numbers: what is left for those without a struct."""
    return guard.plain_values(body, unique_keys=True)
