"""How the gateway says no: the code and words of its error table (Global Derivatives reference section 5, 2026-11-22).

Which code the gateway picks for a cause is known for few of them; where it is a guess, the guess is the code whose
words name the cause.
"""

from decimal import Decimal

Data = dict[str, str | int | bool | Decimal | None]

WORDS = {
    -32700: "Parse error",
    -32600: "Invalid Request",
    -32601: "Method not found",
    -32602: "Invalid params",
    10001: "error",
    10002: "qty_too_low",
    10004: "order_not_found",
    10009: "not_enough_funds",
    10010: "already_closed",
    10011: "price_not_allowed",
    10012: "book_closed",
    10019: "locked_by_admin",
    10020: "invalid_or_unsupported_instrument",
    10021: "invalid_amount",
    10028: "too_many_requests",
    10030: "must_be_websocket_request",
    10033: "not_implemented",
    10034: "trigger_price_too_high",
    10035: "trigger_price_too_low",
    10041: "settlement_in_progress",
    10043: "price_wrong_tick",
    11030: "other_reject",
    11042: "permission_denied",
    11044: "not_open_order",
    11047: "unsupported_arg_combination",
    11051: "system_maintenance",
    11054: "post_only_reject",
    11055: "post_only_not_allowed",
    12001: "too_many_subaccounts",
    13004: "invalid_credentials",
    13009: "unauthorized",
    13020: "not_found",
    13021: "forbidden",
    13032: "non_unique_order_label",
    13403: "scope_exceeded",
    13888: "timed_out",
    14020: "only_for_retail_brokers",
    14033: "isolated_allocated_too_low",
    14034: "insufficient_cleared_balance",
}


class RpcError(Exception):
    """A refusal in the gateway's words. Nothing was done."""

    def __init__(self, code: int, message: str | None = None, data: Data | None = None) -> None:
        self.code = code
        self.message = WORDS[code] if message is None else message
        self.data = data
        super().__init__(f"[{code}] {self.message}")


def bad(param: str, reason: str) -> RpcError:
    """An argument that is missing or malformed; nothing was done."""
    return RpcError(-32602, None, {"param": param, "reason": reason})
