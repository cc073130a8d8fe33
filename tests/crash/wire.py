"""Which write of the venue a request's own bytes are, read without any code of the product."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

US_WRITES = {
    "/api/v3/brokerage/orders": "create",
    "/api/v3/brokerage/orders/edit": "edit",
    "/api/v3/brokerage/orders/close_position": "close",
    "/api/v3/brokerage/orders/batch_cancel": "cancel",
}
GLOBAL_WRITES = {
    "private/buy": "create",
    "private/sell": "create",
    "private/edit": "edit",
    "private/close_position": "close",
    "private/cancel": "cancel",
    "private/cancel_all": "cancel_all",
    "private/cancel_all_by_instrument": "cancel_all",
    "private/cancel_all_by_kind_or_type": "cancel_all",
    "private/cancel_all_by_currency": "cancel_all",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write as it leaves: what it does, whose name it bears, and its terms."""

    op: str
    ident: str
    body: Mapping[str, Any]


def of_http(whole: bytes) -> Write | None:
    """The write in one HTTP request; None for a read."""
    head, _, body = whole.partition(b"\r\n\r\n")
    method, path, *_ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
    if method != "POST":
        return None
    path = path.partition("?")[0]
    if path in US_WRITES:
        told = json.loads(body or b"{}")
        named = told.get("client_order_id") or told.get("order_id") or ",".join(told.get("order_ids", ()))
        return Write(op=US_WRITES[path], ident=str(named), body=told)
    return of_rpc(body) if path.startswith("/api/v2/") else None


def of_rpc(text: bytes) -> Write | None:
    """The write in one JSON-RPC request; None for anything else."""
    told = json.loads(text or b"{}")
    method, params = str(told.get("method", "")), dict(told.get("params") or {})
    op = GLOBAL_WRITES.get(method)
    if op is None:
        return None
    if method in ("private/buy", "private/sell"):
        params["side"] = method.removeprefix("private/")
    return Write(op=op, ident=str(params.get("label") or params.get("order_id") or ""), body=params)
