"""What the payloads of the US venue have in common.

Every field may be absent (`UNSET`): what a conversion cannot do without, it demands. No field is of an open type, so no
binary float can come in through one. Amounts are text here, whatever they are spelled like on the way in, and are read
by `perpsctl.wire.guard.number` when converted, never before.
"""

from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from perpsctl.wire.reading import is_absent

__all__ = ["Amount", "Body", "Money", "NullableBody", "Number", "RequestBody", "is_absent"]

Number = Annotated[str, msgspec.Meta(extra={"holds": "number"})]  # a plain decimal; "" is "no value"


class Body(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """A payload or a part of one. Unknown fields are tolerated and not kept."""

    # Fields the live venue is known to send as null. Null becomes absent at once, so it is never sent on (the official
    # SDK raises on null in several of them, official-sdk-calls.md 1.1).
    nullable: ClassVar[tuple[str, ...]] = ()


class NullableBody(Body, frozen=True, kw_only=True):
    """A payload some of whose fields come as null."""

    def __post_init__(self) -> None:
        for name in self.nullable:
            if getattr(self, name) is None:
                msgspec.structs.force_setattr(self, name, UNSET)


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True, forbid_unknown_fields=True):
    """A request the venue reads strictly: an unknown key at its top level is a 400 (reference 3, ccxt/ccxt#27772)."""


class Amount(Body, frozen=True, kw_only=True, gc=False):
    """A sum of money or coin."""

    value: Number | UnsetType = UNSET
    currency: str | UnsetType = UNSET


# Flat text in some bodies, an Amount in others, for the same field (reference 7, conflicting sources).
Money = Number | Amount
