"""Error bodies: every shape on record, JSON or not, read into one value (reference 9)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec import UNSET, UnsetType

from perpsctl.domain.text import shown
from perpsctl.wire.advanced_trade.common import Body, NullableBody
from perpsctl.wire.guard import WireError, decode

MISSING_SCOPES = "Missing required scopes"  # the official SDK matches this text, without a space after the colon


class ErrorItem(Body, frozen=True, kw_only=True):
    id: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class ErrorDetail(Body, frozen=True, kw_only=True):
    type_url: str | UnsetType = UNSET
    value: str | UnsetType = UNSET


class ErrorReply(NullableBody, frozen=True, kw_only=True):
    """`{error, error_details, message}` as recorded, `{error, code, message, details}` as in the schema, v2's `errors`."""

    nullable: ClassVar[tuple[str, ...]] = ("details", "errors")
    error: str | UnsetType = UNSET
    code: int | UnsetType = UNSET
    error_details: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    details: tuple[ErrorDetail, ...] | UnsetType | None = UNSET
    errors: tuple[ErrorItem, ...] | UnsetType | None = UNSET


class RecordedError(Body, frozen=True, kw_only=True):
    """How the samples keep an error: not every error body is JSON."""

    http_status: int | UnsetType = UNSET
    content_type: str | UnsetType = UNSET
    body: ErrorReply | str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """What an error body says, escaped and cut: safe to show. `code` is "" when the body is not one of the known shapes."""

    code: str
    message: str
    parsed: bool

    @property
    def missing_scopes(self) -> bool:
        """True for a key that lacks a permission the request needs."""
        return MISSING_SCOPES in self.message


def error_facts(body: bytes) -> ErrorFacts:
    """Read any error body; never raises. HTML and plain text give an unparsed answer with their first words."""
    try:
        reply = decode(body, ErrorReply)
    except WireError:
        text = body[:2000].decode("utf-8", "replace").strip()
        return ErrorFacts(code="", message=shown(text), parsed=False)
    item = reply.errors[0] if reply.errors else ErrorItem()
    code = _first(reply.error, item.id)
    message = _first(reply.error_details, reply.message, item.message)
    return ErrorFacts(code=shown(code, 80), message=shown(message), parsed=bool(code or message))


def _first(*texts: str | UnsetType) -> str:
    return next((text for text in texts if text is not UNSET and text), "")
