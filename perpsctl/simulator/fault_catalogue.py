"""The faults that can be armed, one literal each: id, name, default operation, what it does, default parameters.

Ids are those of the project's fault catalogue. D, P, T, H and X rows are not here: they live in disks and processes, and
of the M rows all but M2 are states that control sets.
"""

from dataclasses import dataclass
from enum import StrEnum

Value = str | int


class EffectKind(StrEnum):
    """What a face does to a request or its answer; the parameters it may read stand beside each."""

    HTTP_429 = "http_429"  # retry_after: seconds|date|past|negative|day_ahead|none, seconds, body: json|html
    HTTP_STATUS = "http_status"  # status: 500|502|503|504, when: before|after the core handled it
    REFUSE_CONNECTION = "refuse_connection"  # nothing is read
    DNS_FAILURE = "dns_failure"  # in process only
    RESET = "reset"  # when: during_request|before|after|mid_body
    DELAY = "delay"  # when: before|after, seconds; the request is handled exactly once
    DEFER = "defer"  # no answer; the core handles the request `seconds` later (delayed acceptance)
    OTHER_RESPONSE = "other_response"  # form: other (the previous answer again) | duplicate (this one written twice)
    SLOW_BODY = "slow_body"  # one byte every interval_ms
    SLOW_READ = "slow_read"  # the request is read at bytes_per_second
    TRUNCATED_BODY = "truncated_body"  # Content-Length is right for the cut body
    EMPTY_BODY = "empty_body"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    HTML_200 = "html_200"
    REDIRECT = "redirect"  # status: 301|302|307|308, target: same|other|loop
    CLOSE_IDLE = "close_idle"  # the kept connection is closed as the next request starts
    BAD_CHUNKS = "bad_chunks"  # form: broken|lying_length
    SLICED = "sliced"  # segments of `bytes` every interval_ms
    CLOCK_OFFSET = "clock_offset"  # seconds; the venue's clock differs from the host's
    KEY_EXPIRED = "key_expired"  # 401
    SCOPE_REVOKED = "scope_revoked"  # scope: trade|view; 403
    IP_NOT_ALLOWED = "ip_not_allowed"  # 403
    UNAUTHORIZED = "unauthorized"  # 401 now and then, the key is good
    OTHER_PORTFOLIO = "other_portfolio"  # key_permissions names another portfolio
    TRANSFER_RIGHT = "transfer_right"  # key_permissions says can_transfer
    EXCHANGE = "exchange"  # interpreted by the core, never by a face
    MARKET_STALE = "market_stale"  # product, age_seconds; reads and streams of a product stand still
    # What happens on sockets; `channel` is a channel's word (level2 is also the gateway's book, and so on) or any.
    STREAM_GAP = "stream_gap"  # a message never leaves; its sequence number is used up
    STREAM_REORDER = "stream_reorder"  # a message leaves after its successor
    STREAM_DUPLICATE = "stream_duplicate"  # a message leaves twice
    STREAM_STALL = "stream_stall"  # seconds: the socket stays open and silent
    CHANNEL_MUTE = "channel_mute"  # the channel says nothing, the others do
    STREAM_DISCONNECT = "stream_disconnect"  # when: subscribe|snapshot|data|age, seconds (age), code (0: reset)
    SUBSCRIBE_FAULTY = "subscribe_faulty"  # how: refused|ignored|wrong_product
    STREAM_REPLAY = "stream_replay"  # messages: as many old updates come again after a subscribe
    BAD_BOOK = "bad_book"  # form: crossed|empty|stale_snapshot, seconds until a true snapshot
    STREAM_FLOOD = "stream_flood"  # per_second, seconds, after_seconds (the connection's age)
    BAD_FRAME = "bad_frame"  # form: oversize|invalid_utf8|unknown_type|not_json|bomb|binary
    LATE_READING = "late_reading"  # the token ends between its making and its reading


AFTER = frozenset(
    {
        EffectKind.OTHER_RESPONSE,
        EffectKind.SLOW_BODY,
        EffectKind.TRUNCATED_BODY,
        EffectKind.EMPTY_BODY,
        EffectKind.WRONG_CONTENT_TYPE,
        EffectKind.HTML_200,
        EffectKind.BAD_CHUNKS,
        EffectKind.SLICED,
    }
)
STREAM_KINDS = frozenset(kind for kind in EffectKind if kind.value.startswith("stream_")) | {
    EffectKind.CHANNEL_MUTE,
    EffectKind.SUBSCRIBE_FAULTY,
    EffectKind.BAD_BOOK,
    EffectKind.BAD_FRAME,
    EffectKind.LATE_READING,
}
ON_STREAMS = "stream"  # the operation of a fault that strikes any socket; else one socket's own word


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One fault that can be armed by its id or its name."""

    fault: str
    name: str
    kind: EffectKind
    operation: str
    does: str
    defaults: tuple[tuple[str, Value], ...] = ()
    lasting: bool = False  # a state of the venue: unless told otherwise it holds until disarmed


_K = EffectKind
CATALOGUE = (
    CatalogueEntry(
        "N1",
        "rate_limited",
        _K.HTTP_429,
        "any",
        "429 with Retry-After in seconds",
        (("retry_after", "seconds"), ("seconds", 2), ("body", "json")),
    ),
    CatalogueEntry(
        "N2",
        "rate_limited_date",
        _K.HTTP_429,
        "any",
        "429 with Retry-After as a date, past, negative or a day ahead",
        (("retry_after", "date"), ("seconds", 2), ("body", "json")),
    ),
    CatalogueEntry(
        "N3",
        "rate_limited_html",
        _K.HTTP_429,
        "any",
        "429 without Retry-After, an HTML page",
        (("retry_after", "none"), ("seconds", 0), ("body", "html")),
    ),
    CatalogueEntry(
        "N4",
        "rate_limited_create",
        _K.HTTP_429,
        "create_order",
        "429 on a create; nothing is placed",
        (("retry_after", "none"), ("seconds", 0), ("body", "json")),
    ),
    CatalogueEntry(
        "N5",
        "rate_limited_cancel",
        _K.HTTP_429,
        "cancel_orders",
        "429 on a cancel; nothing is cancelled",
        (("retry_after", "none"), ("seconds", 0), ("body", "json")),
    ),
    CatalogueEntry(
        "N6",
        "rate_limit_storm",
        _K.HTTP_429,
        "any",
        "429 on everything, for five minutes unless told otherwise",
        (("retry_after", "seconds"), ("seconds", 1), ("body", "html")),
        lasting=True,
    ),
    CatalogueEntry(
        "N7",
        "error_before_accept",
        _K.HTTP_STATUS,
        "create_order",
        "5xx before the exchange accepted",
        (("status", 503), ("when", "before")),
    ),
    CatalogueEntry(
        "N8",
        "error_after_accept",
        _K.HTTP_STATUS,
        "create_order",
        "5xx after the exchange accepted",
        (("status", 502), ("when", "after")),
    ),
    CatalogueEntry("N9", "connection_refused", _K.REFUSE_CONNECTION, "any", "the connection is refused"),
    CatalogueEntry("N10", "dns_failure", _K.DNS_FAILURE, "any", "the name does not resolve (in process)"),
    CatalogueEntry(
        "N11",
        "reset_during_request",
        _K.RESET,
        "create_order",
        "reset before the request was fully read",
        (("when", "during_request"),),
    ),
    CatalogueEntry(
        "N12",
        "reset_after_accept",
        _K.RESET,
        "create_order",
        "the request is handled, then reset before a byte of the answer",
        (("when", "after"),),
    ),
    CatalogueEntry(
        "N13",
        "reset_mid_body",
        _K.RESET,
        "create_order",
        "reset in the middle of the answer's body",
        (("when", "mid_body"),),
    ),
    CatalogueEntry(
        "N14",
        "delayed_acceptance",
        _K.DEFER,
        "create_order",
        "no answer; the order is accepted later",
        (("seconds", 5),),
    ),
    CatalogueEntry(
        "N15",
        "timeout_after_accept",
        _K.DELAY,
        "create_order",
        "handled at once, the answer never comes in time",
        (("when", "after"), ("seconds", 60)),
    ),
    CatalogueEntry(
        "N16",
        "late_answer",
        _K.DELAY,
        "create_order",
        "handled at once, the answer comes late",
        (("when", "after"), ("seconds", 12)),
    ),
    CatalogueEntry(
        "N17",
        "other_response",
        _K.OTHER_RESPONSE,
        "create_order",
        "the answer of an earlier request, or this one twice",
        (("form", "other"),),
    ),
    CatalogueEntry(
        "N18", "slow_loris", _K.SLOW_BODY, "any", "the answer comes a byte a second", (("interval_ms", 1000),)
    ),
    CatalogueEntry(
        "N19", "slow_upload", _K.SLOW_READ, "any", "the request is read at 1 kB/s", (("bytes_per_second", 1000),)
    ),
    CatalogueEntry("N20", "truncated_json", _K.TRUNCATED_BODY, "any", "half a body with the right Content-Length"),
    CatalogueEntry("N21", "empty_body", _K.EMPTY_BODY, "any", "200 without a body"),
    CatalogueEntry("N22", "wrong_content_type", _K.WRONG_CONTENT_TYPE, "any", "valid JSON called text/plain"),
    CatalogueEntry("N23", "html_200", _K.HTML_200, "any", "an HTML page with 200"),
    CatalogueEntry(
        "N24",
        "redirect",
        _K.REDIRECT,
        "any",
        "a redirect to the same host, another, or itself",
        (("status", 307), ("target", "other")),
    ),
    CatalogueEntry(
        "N25", "closed_keep_alive", _K.CLOSE_IDLE, "any", "the kept connection closes as the request is sent"
    ),
    CatalogueEntry(
        "N28",
        "bad_chunks",
        _K.BAD_CHUNKS,
        "any",
        "broken chunked encoding or a lying Content-Length",
        (("form", "broken"),),
    ),
    CatalogueEntry(
        "N29", "sliced", _K.SLICED, "any", "the answer in tiny segments", (("bytes", 1), ("interval_ms", 2))
    ),
    CatalogueEntry(
        "E1",
        "order_invisible",
        _K.EXCHANGE,
        "create_order",
        "the order cannot be read by id or list for some seconds",
        (("seconds", 10),),
    ),
    CatalogueEntry(
        "E2",
        "order_half_visible",
        _K.EXCHANGE,
        "create_order",
        "missing from the list but there by id, or the reverse",
        (("missing", "list"), ("seconds", 30)),
    ),
    CatalogueEntry(
        "E3",
        "refused_in_200",
        _K.EXCHANGE,
        "create_order",
        "success false with a reason",
        (("reason", "INSUFFICIENT_FUND"),),
    ),
    CatalogueEntry(
        "E4",
        "success_with_reason",
        _K.EXCHANGE,
        "create_order",
        "accepted, with a failure reason beside success",
        (("reason", "UNKNOWN_FAILURE_REASON"),),
    ),
    CatalogueEntry(
        "E5",
        "duplicate_refused",
        _K.EXCHANGE,
        "create_order",
        "a repeated client id is refused as DUPLICATE_CLIENT_ORDER_ID instead of answered with the first order",
        lasting=True,
    ),
    CatalogueEntry(
        "E6",
        "forgets_client_ids",
        _K.EXCHANGE,
        "create_order",
        "client ids are forgotten after some seconds",
        (("seconds", 0),),
        lasting=True,
    ),
    CatalogueEntry(
        "E7",
        "rejected_later",
        _K.EXCHANGE,
        "create_order",
        "accepted, then rejected asynchronously",
        (("seconds", 2), ("reason", "HOLD_FAILURE")),
    ),
    CatalogueEntry(
        "E8", "partial_fill_then_cancel", _K.EXCHANGE, "cancel_orders", "the order fills in part as the cancel arrives"
    ),
    CatalogueEntry(
        "E9",
        "fill_after_cancel_ack",
        _K.EXCHANGE,
        "cancel_orders",
        "the cancel is acknowledged, then the order fills",
        (("seconds", 2), ("per_cent", 100)),
    ),
    CatalogueEntry(
        "E10",
        "filled_before_cancel",
        _K.EXCHANGE,
        "cancel_orders",
        "the order fills whole as the cancel arrives, which is refused",
    ),
    CatalogueEntry(
        "E11",
        "slow_cancel",
        _K.EXCHANGE,
        "cancel_orders",
        "acknowledged, but it stays CANCEL_QUEUED for some time",
        (("seconds", 60),),
    ),
    CatalogueEntry(
        "E12",
        "cancelled_by_exchange",
        _K.EXCHANGE,
        "create_order",
        "the exchange cancels the order some time later",
        (("seconds", 2), ("message", "cancelled by the exchange")),
    ),
    CatalogueEntry(
        "E19",
        "funding_gone_wrong",
        _K.EXCHANGE,
        "settle_funding",
        "funding becomes cash twice, missed, wrong_sign, hourly (an 8-hour rate each hour) or at the wrong_time",
        (("how", "twice"), ("seconds", 3600)),
    ),
    CatalogueEntry(
        "E24", "slow_edit", _K.EXCHANGE, "edit_order", "the edit stays EDIT_QUEUED for some time", (("seconds", 5),)
    ),
    CatalogueEntry(
        "A1", "clock_off", _K.CLOCK_OFFSET, "any", "the venue's clock is off", (("seconds", 130),), lasting=True
    ),
    CatalogueEntry("A2", "key_expired", _K.KEY_EXPIRED, "any", "the key is expired or deleted", lasting=True),
    CatalogueEntry(
        "A3",
        "scope_revoked",
        _K.SCOPE_REVOKED,
        "any",
        "the trade or view scope is gone",
        (("scope", "trade"),),
        lasting=True,
    ),
    CatalogueEntry(
        "A4", "ip_not_allowed", _K.IP_NOT_ALLOWED, "any", "the caller's address is not on the key's list", lasting=True
    ),
    CatalogueEntry("A5", "sporadic_401", _K.UNAUTHORIZED, "any", "401 now and then with a good key"),
    CatalogueEntry(
        "A6", "other_portfolio", _K.OTHER_PORTFOLIO, "any", "the key belongs to another portfolio", lasting=True
    ),
    CatalogueEntry("A7", "transfer_right", _K.TRANSFER_RIGHT, "any", "the key can transfer", lasting=True),
    CatalogueEntry(
        "M2",
        "market_stale",
        _K.MARKET_STALE,
        "any",
        "reads and streams show a product as it stood, venue times included; the exchange itself goes on",
        (("product", "any"), ("age_seconds", 0)),
        lasting=True,
    ),
    CatalogueEntry(
        "W1",
        "stream_gap",
        _K.STREAM_GAP,
        ON_STREAMS,
        "a message is lost; its sequence number is used up",
        (("channel", "any"), ("every", 1)),
    ),
    CatalogueEntry(
        "W2",
        "stream_reorder",
        _K.STREAM_REORDER,
        ON_STREAMS,
        "a message leaves after its successor",
        (("channel", "any"), ("every", 1)),
    ),
    CatalogueEntry(
        "W3",
        "stream_duplicate",
        _K.STREAM_DUPLICATE,
        ON_STREAMS,
        "a message leaves twice",
        (("channel", "any"), ("every", 1)),
    ),
    CatalogueEntry(
        "W4",
        "stream_stall",
        _K.STREAM_STALL,
        ON_STREAMS,
        "the socket stays open and nothing comes, heartbeats neither; what would have come is lost",
        (("seconds", 30), ("every", 1)),
    ),
    CatalogueEntry(
        "W5",
        "channel_mute",
        _K.CHANNEL_MUTE,
        ON_STREAMS,
        "one channel says nothing while the others do; no sequence number is used up",
        (("channel", "level2"), ("product", "any")),
        lasting=True,
    ),
    CatalogueEntry(
        "W6",
        "stream_disconnect",
        _K.STREAM_DISCONNECT,
        ON_STREAMS,
        "the connection is cut: as a subscribe arrives, in the middle of a snapshot, at a message, or at an age",
        (("when", "data"), ("channel", "any"), ("seconds", 20), ("code", 0), ("every", 1)),
    ),
    CatalogueEntry(
        "W7",
        "subscribe_faulty",
        _K.SUBSCRIBE_FAULTY,
        ON_STREAMS,
        "a subscribe is refused, ignored, or acknowledged for another product",
        (("how", "refused"), ("channel", "any")),
    ),
    CatalogueEntry(
        "W8",
        "stream_replay",
        _K.STREAM_REPLAY,
        ON_STREAMS,
        "after a subscribe old updates come once more",
        (("channel", "user"), ("messages", 20)),
    ),
    CatalogueEntry(
        "W9",
        "bad_book",
        _K.BAD_BOOK,
        ON_STREAMS,
        "the book as told is crossed, empty, or a snapshot older than the updates; a true snapshot follows",
        (("form", "crossed"), ("seconds", 5), ("every", 1)),
    ),
    CatalogueEntry(
        "W10",
        "stream_flood",
        _K.STREAM_FLOOD,
        ON_STREAMS,
        "true book updates at a pace; the judge tells the pace reached",
        (("per_second", 50_000), ("seconds", 2), ("after_seconds", 0)),
    ),
    CatalogueEntry(
        "W11",
        "bad_frame",
        _K.BAD_FRAME,
        ON_STREAMS,
        "a frame over any cap, not UTF-8, of an unknown kind, or compressed although nobody agreed to it",
        (("form", "oversize"), ("channel", "any"), ("bytes", 12_000_000), ("every", 1)),
    ),
    CatalogueEntry(
        "W12",
        "token_expires",
        _K.LATE_READING,
        ON_STREAMS,
        "the token ends between its making and its reading: a subscribe (a login at the gateway) is refused",
        (("seconds", 130),),
    ),
)

BY_NAME = {key: entry for entry in CATALOGUE for key in (entry.fault, entry.name)}
STORM_SECONDS = 300

WRITES = frozenset(
    {
        "create_order",
        "edit_order",
        "cancel_orders",
        "close_position",
        "move_funds",
        "schedule_sweep",
        "cancel_sweep",
        "set_margin_setting",
    }
)
