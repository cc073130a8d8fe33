"""Names of things, as distinct types, and how an intent's id is made.

An intent's id is minted once, with the intent, and stored before anything is sent; what the venue sees derives from it.
It is never minted in the client or in a retry (invariant I2).
"""

import re
from typing import NewType, Protocol

from perpsctl.domain.errors import UsageError

IntentId = NewType("IntentId", str)
ClientOrderId = NewType("ClientOrderId", str)
VenueOrderId = NewType("VenueOrderId", str)
ProductId = NewType("ProductId", str)
FillId = NewType("FillId", str)
AccountKey = NewType("AccountKey", str)  # "<venue>:<environment>:<portfolio>": what a journal row belongs to

_INTENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}", re.ASCII)
_PRODUCT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{1,63}", re.ASCII)


class Ids(Protocol):
    """Where new names and chance come from; tests seed it."""

    def new(self) -> str:
        """A fresh UUID-like name of 36 characters, never given before."""

    def nonce(self) -> str:
        """64 random hex digits."""

    def jitter(self) -> int:
        """A random whole number from 0 to 999,999: millionths of the range to jitter over."""


def intent_id(text: str) -> IntentId:
    """Read an intent id typed by an operator; 8 to 64 letters, digits, `-` or `_`, else UsageError."""
    if _INTENT_ID.fullmatch(text) is None:
        raise UsageError("a client order id is 8 to 64 letters, digits, - or _", fix="choose another id")
    return IntentId(text)


def product_id(text: str) -> ProductId:
    """Read a product id or alias typed by an operator; refuses what could not be one (fault H11)."""
    if _PRODUCT_ID.fullmatch(text) is None:
        raise UsageError("not a product id", fix="see `perpsctl products list`")
    return ProductId(text)


def client_order_id(intent: IntentId) -> ClientOrderId:
    """The id the US venue sees for an intent: the intent's own (design 5)."""
    return ClientOrderId(intent)
