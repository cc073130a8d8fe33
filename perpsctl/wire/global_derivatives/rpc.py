"""The JSON-RPC 2.0 envelope of the gateway, for HTTP and sockets, both directions (reference 4).

Judge by the body, not by the HTTP status. A reply has `result` or `error`, never both; a frame with a `method` is a
notification from the venue or a request to it. An id nobody sent is not matched to anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

from msgspec import UNSET, UnsetType

from perpsctl.domain.text import shown
from perpsctl.wire import guard
from perpsctl.wire.global_derivatives.common import Body, JsonValue, encode, fitted
from perpsctl.wire.guard import PlainJson, WireError
from perpsctl.wire.leniency import NumberText

VERSION: Final = "2.0"
MAX_FRAME_BYTES: Final = 32 * 1024  # of a socket frame to the venue (reference 2)
RequestId = int | str

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the exchange reads it; `params` are plain values with exact Decimals, {} when there were none."""

    method: str
    params: Mapping[str, PlainJson]
    id: RequestId | None
    jsonrpc: str = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcError:
    """The venue's refusal. `message` is raw text from outside: escape it before showing; `data` may be anything."""

    code: int
    message: str
    data: PlainJson = None

    @property
    def reason(self) -> str:
        """`data.reason`, escaped and cut; "" when there is none."""
        found = self.data.get("reason") if isinstance(self.data, dict) else None
        return shown(found, 160) if isinstance(found, str) else ""

    @property
    def retry_after_ms(self) -> int | None:
        """How long the venue asks to wait: `retry_after_ms`, or `retry_after` in seconds (reference 5, 10028)."""
        if not isinstance(self.data, dict):
            return None
        millis, seconds = self.data.get("retry_after_ms"), self.data.get("retry_after")
        wait = millis if isinstance(millis, Decimal) else seconds * 1000 if isinstance(seconds, Decimal) else None
        return int(wait) if wait is not None and 0 <= wait <= _LONGEST_WAIT_MS else None


_LONGEST_WAIT_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[T]):
    """An answer: exactly one of `result` and `error` is there. Times are microseconds of the venue's clock."""

    id: RequestId | None
    result: T | None
    error: RpcError | None
    us_in: int | None = None
    us_out: int | None = None
    us_diff: int | None = None
    testnet: bool | None = None

    def outcome(self) -> T | RpcError:
        """The result or the refusal, whichever there is."""
        return self.error if self.error is not None else self.result  # type: ignore[return-value]  # one of them is


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What the venue sends unasked: `subscription` (with channel and data) or `heartbeat` (with its type)."""

    method: str
    channel: str  # "" for a heartbeat
    kind: str  # of a heartbeat: "heartbeat" or "test_request"; else ""
    data: object  # a tree; read it with `data_as`

    def data_as(self, type_: type[T]) -> T:
        """The data as `type_`; WireError when it does not fit."""
        return fitted(self.data, type_)


class _Params(Body, frozen=True, kw_only=True):
    channel: str | UnsetType = UNSET
    type: str | UnsetType = UNSET


class _Envelope(Body, frozen=True, kw_only=True):
    jsonrpc: str | UnsetType = UNSET
    id: int | str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    usIn: int | UnsetType = UNSET  # noqa: N815 - the venue's name
    usOut: int | UnsetType = UNSET  # noqa: N815 - the venue's name
    usDiff: int | UnsetType = UNSET  # noqa: N815 - the venue's name
    testnet: bool | UnsetType = UNSET


class _Fault(Body, frozen=True, kw_only=True):
    code: int | UnsetType = UNSET
    message: str | UnsetType = UNSET


# --- to the venue ------------------------------------------------------------------------------------


def encode_request(method: str, params: Mapping[str, JsonValue] | Body, request_id: RequestId | None = 1) -> bytes:
    """One request; numbers are plain digits and never text. TypeError for a float anywhere in it."""
    return encode(_head(request_id) | {"method": method, "params": params})


def decode_request(body: bytes) -> Request:
    """A request as the exchange reads it. WireError when it is none, a batch, or names a key twice."""
    tree = _object(guard.tree(body), "request")
    envelope = fitted(tree, _Envelope)
    if envelope.method is UNSET or not envelope.method:
        raise WireError("a request without a method")
    params = plain_tree(tree.get("params"))
    if params is not None and not isinstance(params, dict):
        raise WireError("params are not an object")
    return Request(method=envelope.method, params=params or {}, id=_id(envelope), jsonrpc=_told(envelope.jsonrpc) or "")


def read_params(params: Mapping[str, PlainJson] | Mapping[str, str], type_: type[T]) -> T:
    """Parameters as a struct, from a JSON body or from a query string (all text); WireError when they do not fit."""
    return fitted({key: _retold(value) for key, value in params.items()}, type_)


# --- from the venue ----------------------------------------------------------------------------------


def encode_result(
    result: object, request_id: RequestId | None, *, us_in: int, us_out: int, testnet: bool = False
) -> bytes:
    """A successful reply with `result`: a struct, a tuple of structs, or plain values."""
    return _encode(request_id, result, None, us_in, us_out, testnet)


def encode_error(
    error: RpcError, request_id: RequestId | None, *, us_in: int, us_out: int, testnet: bool = False
) -> bytes:
    """A refusal; `data` is left out when there is none."""
    return _encode(request_id, None, error, us_in, us_out, testnet)


def _encode(
    request_id: RequestId | None, result: object, error: RpcError | None, us_in: int, us_out: int, testnet: bool
) -> bytes:
    return encode_reply(
        Reply(
            id=request_id,
            result=result,
            error=error,
            us_in=us_in,
            us_out=us_out,
            us_diff=us_out - us_in,
            testnet=testnet,
        )
    )


def encode_notification(channel: str, data: object) -> bytes:
    """One message of a channel."""
    return encode({"jsonrpc": VERSION, "method": "subscription", "params": {"channel": channel, "data": data}})


def encode_heartbeat(kind: str) -> bytes:
    """A `heartbeat`, or a `test_request` that must be answered with `public/test`."""
    return encode({"jsonrpc": VERSION, "method": "heartbeat", "params": {"type": kind}})


def encode_reply(reply: "Reply[Any]") -> bytes:
    """A reply as it was told: what it did not tell is left out."""
    told: dict[str, object] = _head(reply.id)
    told |= {"error": _fault_of(reply.error)} if reply.error is not None else {"result": reply.result}
    rest = {"usIn": reply.us_in, "usOut": reply.us_out, "usDiff": reply.us_diff, "testnet": reply.testnet}
    return encode(told | {name: value for name, value in rest.items() if value is not None})


def _fault_of(error: RpcError) -> dict[str, object]:
    told: dict[str, object] = {"code": error.code, "message": error.message}
    return told if error.data is None else told | {"data": error.data}


def _head(request_id: RequestId | None) -> dict[str, object]:
    return {"jsonrpc": VERSION} if request_id is None else {"jsonrpc": VERSION, "id": request_id}


def decode_reply(body: bytes, result_type: type[T]) -> Reply[T]:
    """A reply whose result is a `result_type`; WireError for a body that is none or whose result does not fit."""
    return _reply(_object(guard.tree(body), "reply"), result_type)


def decode_frame(body: bytes) -> "Notification | LooseReply":
    """One frame of a socket: a notification, or a reply whose result is read later, when its request is known."""
    tree = _object(guard.tree(body), "frame")
    method = fitted(tree, _Envelope).method
    if method is UNSET:
        return LooseReply(tree=tree, id=_id(fitted(tree, _Envelope)))
    params = tree.get("params")
    named = fitted(params, _Params) if isinstance(params, dict) else _Params()
    data = params.get("data") if isinstance(params, dict) else None
    if method == "subscription" and not named.channel:
        raise WireError("a subscription message without a channel")
    return Notification(
        method=method,
        channel="" if named.channel is UNSET else named.channel,
        kind="" if named.type is UNSET else named.type,
        data=data,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseReply:
    """A reply off a socket, to be matched by `id` first."""

    tree: dict[str, Any]
    id: RequestId | None

    def read(self, result_type: type[T]) -> Reply[T]:
        """The same with its result as `result_type`; WireError when it does not fit."""
        return _reply(self.tree, result_type)


def _reply(tree: dict[str, Any], result_type: type[T]) -> Reply[T]:
    envelope = fitted(tree, _Envelope)
    fault, told = tree.get("error"), tree.get("result")
    if (fault is None) == (told is None):
        raise WireError("a reply with both or neither of result and error")
    return Reply(
        id=_id(envelope),
        result=None if told is None else fitted(told, result_type),
        error=None if fault is None else _error(fault),
        us_in=_told(envelope.usIn),
        us_out=_told(envelope.usOut),
        us_diff=_told(envelope.usDiff),
        testnet=_told(envelope.testnet),
    )


def _error(tree: object) -> RpcError:
    found = _object(tree, "error")
    fault = fitted(found, _Fault)
    if fault.code is UNSET:
        raise WireError("an error without a code")
    return RpcError(
        code=fault.code, message="" if fault.message is UNSET else fault.message, data=plain_tree(found.get("data"))
    )


def plain_tree(value: object) -> PlainJson:
    """A part of a tree as plain values: every number an exact Decimal."""
    if isinstance(value, NumberText):
        return guard.number(value)
    if isinstance(value, dict):
        return {key: plain_tree(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_tree(item) for item in value]
    return value  # type: ignore[return-value]  # a tree holds text, flags and null besides


def _retold(value: object) -> object:
    """The way back from plain values to a tree."""
    if isinstance(value, Decimal):
        return NumberText(f"{value:f}")
    if isinstance(value, dict):
        return {key: _retold(item) for key, item in value.items()}
    return [_retold(item) for item in value] if isinstance(value, list) else value


def _object(tree: object, what: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        raise WireError(f"the {what} is not a JSON object")
    return tree


def _told(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value


def _id(envelope: _Envelope) -> RequestId | None:
    return None if isinstance(envelope.id, UnsetType) else envelope.id
