"""The gateway's error codes as data: what each one says about the request (reference 5).

Unknown code: nothing ran for a read, nobody knows for a write. Facts: reference 5 of 2026-11-22 (native Deribit list
plus the codes seen in Coinbase's guides).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ErrorClass(StrEnum):
    """What to do about a refusal; the letters are those of reference 5."""

    REPEAT = "A"  # not executed; repeat after a pause
    REFUSED = "B"  # not executed; do not repeat unchanged
    UNKNOWN = "C"  # nobody knows: a read is repeated, a write is reconciled first
    LOGIN = "D"  # not executed; renew the login, then repeat
    STOP = "E"  # stop trading and tell the operator
    FINAL = "F"  # about an order that is already final


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFact:
    """One code. `for_writes` differs from `for_reads` where an answer proves less about a write."""

    code: int
    name: str
    for_reads: ErrorClass
    for_writes: ErrorClass

    def of(self, *, write: bool) -> ErrorClass:
        return self.for_writes if write else self.for_reads


TIMED_OUT: Final = "timed_out"  # `valid_until` passed before the engine took it: proof it did not run; matched by text
UNKNOWN_NAME: Final = "unknown_code"

_A, _B, _C, _D, _E, _F = ErrorClass

# For reads, for writes, name by code. Where the reference gives two letters the more careful one is for writes; a read of
# class C told nothing and may be repeated.
_ROWS: Final[tuple[tuple[ErrorClass, ErrorClass, dict[int, str]], ...]] = (
    (
        _B,
        _B,
        {
            -32700: "parse_error",
            -32600: "invalid_request",
            -32000: "missing_params",
            -32601: "method_not_found",
            -32602: "invalid_params",
            10002: "qty_too_low",
            10003: "order_overlap",
            10005: "price_too_low4idx",
            10006: "price_too_low",
            10007: "price_too_high4idx",
            10008: "price_too_high",
            10009: "not_enough_funds",
            10011: "price_not_allowed",
            10012: "book_closed",
            10013: "pme_max_total_open_orders",
            10014: "pme_max_future_open_orders",
            10015: "pme_max_option_open_orders",
            10016: "pme_max_future_open_orders_size",
            10017: "pme_max_option_open_orders_size",
            10018: "non_pme_max_future_position_size",
            10020: "invalid_or_unsupported_instrument",
            10021: "invalid_amount",
            10023: "invalid_price",
            10024: "invalid_max_show",
            10025: "invalid_order_id",
            10026: "price_precision_exceeded",
            10027: "non_integer_contract_amount",
            10030: "must_be_websocket_request",
            10031: "invalid_args_for_instrument",
            10032: "whole_cost_too_low",
            10033: "not_implemented",
            10034: "trigger_price_too_high",
            10035: "trigger_price_too_low",
            10036: "invalid_max_show_amount",
            10037: "non_pme_total_short_options_positions_size",
            10038: "pme_max_risk_reducing_orders",
            10043: "price_wrong_tick",
            10044: "trigger_price_wrong_tick",
            10048: "not_on_this_server",
            10072: "disabled_while_position_lock",
            11021: "post_only_price_modification_not_possible",
            11029: "invalid_arguments",
            11030: "other_reject",
            11035: "no_more_triggers",
            11036: "invalid_trigger_price",
            11043: "bad_argument",
            11047: "unsupported_arg_combination",
            11049: "bad_arguments",
            11050: "bad_request",
            11054: "post_only_reject",
            11055: "post_only_not_allowed",
            12001: "too_many_subaccounts",
            12100: "transfer_not_allowed",
            13010: "value_required",
            13011: "value_is_too_short",
            13016: "unsupported_content_type",
            13018: "invalid_value",
            13019: "orderbook_closed",
            13020: "not_found",
            13030: "mmp_trigger",
            13032: "non_unique_order_label",
            13666: "request_cancelled_by_user",
            13777: "replaced",
            13778: "raw_subscriptions_not_available_for_unauthorized",
            14020: "only_for_retail_brokers",
            14033: "isolated_allocated_too_low",
            14034: "insufficient_cleared_balance",
        },
    ),
    (
        _A,
        _A,
        {
            10028: "too_many_requests",
            10040: "retry",
            10041: "settlement_in_progress",
            10047: "matching_engine_queue_full",
            10066: "too_many_concurrent_requests",
            11051: "system_maintenance",
            11052: "subscribe_error_unsubscribed",
            11056: "unauthenticated_public_requests_temporarily_disabled",
            13503: "unavailable",
        },
    ),
    (_D, _D, {10000: "authorization_required", 13004: "invalid_credentials", 13009: "unauthorized"}),
    (
        _E,
        _E,
        {
            9999: "api_not_enabled",
            10019: "locked_by_admin",
            10049: "cancel_on_disconnect_failed",
            11042: "permission_denied",
            11098: "account_locked",
            13002: "account_blocked",
            13021: "forbidden",
            13025: "method_switched_off_by_admin",
            13042: "cancel_on_disconnect_failed",
            13403: "scope_exceeded",
        },
    ),
    (
        _C,
        _C,
        {
            10001: "error",
            11031: "other_error",
            11094: "internal_server_error",
            13008: "request_failed",
            13028: "temporarily_unavailable",
        },
    ),
    # No proof of absence: also an isolated order asked for without `isolated: true` (reference 5, ISO).
    (_F, _C, {10004: "order_not_found", 10029: "not_owner_of_order"}),
    (
        _F,
        _F,
        {
            10010: "already_closed",
            10045: "cannot_cancel_liquidation_order",
            10046: "cannot_edit_liquidation_order",
            11008: "already_filled",
            11044: "not_open_order",
        },
    ),
)


def _rows() -> Iterator[ErrorFact]:
    for for_reads, for_writes, names in _ROWS:
        for code, name in names.items():
            yield ErrorFact(code=code, name=name, for_reads=for_reads, for_writes=for_writes)


ERRORS: Final[dict[int, ErrorFact]] = {fact.code: fact for fact in _rows()}
"""Every code of reference 5, once."""


def error_fact(code: int, message: str = "") -> ErrorFact:
    """What a code means; `timed_out` is known by its message alone, whatever its number."""
    if message.strip().lower() == TIMED_OUT:
        return ErrorFact(code=code, name=TIMED_OUT, for_reads=_A, for_writes=_A)
    unknown = ErrorFact(code=code, name=UNKNOWN_NAME, for_reads=_B, for_writes=_C)
    return ERRORS.get(code, unknown)


def error_class(code: int, message: str = "", *, write: bool) -> ErrorClass:
    """The class of a refusal of a read or of a write."""
    return error_fact(code, message).of(write=write)
