"""Refusals as the venue writes them: the shapes on record, unpleasant ones included (reference 9, 2026-11-22)."""

from perpsctl.simulator.faces.messages import HTML, PLAIN, Reply
from perpsctl.wire.advanced_trade.faults import MISSING_SCOPES, ErrorItem, ErrorReply
from perpsctl.wire.guard import encode

HTML_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><h1>%s</h1></body></html>"


class Malformed(Exception):
    """The request cannot be read: HTTP 400. `error` is the venue's word, `unknown` for what its parser says."""

    def __init__(self, details: str, *, error: str = "INVALID_ARGUMENT") -> None:
        super().__init__(details)
        self.error = error
        self.details = details


class Forbidden(Exception):
    """The caller is known and may not do this: HTTP 403."""

    def __init__(self, details: str) -> None:
        super().__init__(details)
        self.details = details


def refusal(status: int, error: str, details: str) -> Reply:
    """`{error, error_details, message}` without spaces: the SDK looks for the scope text literally."""
    return Reply(status=status, body=encode(ErrorReply(error=error, error_details=details, message=details)))


def unauthorized() -> Reply:
    """401 is bare text, not JSON (ccxt/ccxt#26300)."""
    return Reply(status=401, body=b"Unauthorized", content_type=PLAIN)


def missing_scopes() -> Reply:
    """403 for a key without the permission."""
    return refusal(403, "PERMISSION_DENIED", MISSING_SCOPES)


def not_found(details: str) -> Reply:
    """404 in the v3 shape (presumed, as of 2026-11-22)."""
    return refusal(404, "NOT_FOUND", details)


def too_many_requests(*, html: bool, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """429 as documented, or the HTML page production has answered (coinbase-samples/advanced-trade-sdk-go#18)."""
    if html:
        return Reply(status=429, body=HTML_PAGE % b"429 Too Many Requests", content_type=HTML, headers=headers)
    body = encode(ErrorReply(errors=(ErrorItem(id="rate_limit_exceeded", message="Too many requests"),)))
    return Reply(status=429, body=body, headers=headers)


def unavailable(status: int) -> Reply:
    """5xx; its body is unspecified."""
    words = {500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout"}
    return Reply(status=status, body=words.get(status, b"error"), content_type=PLAIN)


def html_page() -> Reply:
    """A captive portal or an edge page: HTTP 200 and HTML."""
    return Reply(status=200, body=HTML_PAGE % b"Welcome", content_type=HTML)
