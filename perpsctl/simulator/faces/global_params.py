"""The parameters of one call, from a JSON body or a query string, each read as the type its method wants.

In JSON a number is a number and a flag a flag: text in their place is refused. A query string has only text.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from perpsctl.domain.numbers import exact
from perpsctl.simulator.gateway.refusal import bad
from perpsctl.simulator.tape import instant
from perpsctl.wire.guard import PlainJson

_LAST_MS = 253_402_300_799_000


class Params:
    """Named values; every reader raises RpcError -32602 for a value that is not of its type."""

    def __init__(self, values: Mapping[str, PlainJson], *, from_query: bool = False) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}
        self._from_query = from_query

    def has(self, name: str) -> bool:
        """True when the parameter was given."""
        return name in self._values

    def maybe_text(self, name: str) -> str | None:
        """A text or None."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise bad(name, "must be a string")
        return value

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.maybe_text(name)
        if not value:
            raise bad(name, "value required")
        return value

    def maybe_texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, or one text with commas in a query string; empty when absent."""
        value = self._values.get(name)
        if isinstance(value, str) and self._from_query:
            return tuple(value.split(","))
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise bad(name, "must be a list of strings")
        return tuple(str(each) for each in value)

    def order_id(self) -> str:
        """`order_id`; a bare number is read as its digits."""
        value = self._values.get("order_id")
        return f"{value:f}" if isinstance(value, Decimal) else self.text("order_id")

    def number(self, name: str) -> Decimal | None:
        """A number or None."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, Decimal):
            return value
        if self._from_query and isinstance(value, str):
            try:
                return exact(value)
            except ValueError:
                pass
        raise bad(name, "must be a number")

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number, or the default."""
        value = self.number(name)
        if value is None:
            return default
        if value != value.to_integral_value():
            raise bad(name, "must be an integer")
        return int(value)

    def count(self, most: int, default: int) -> int:
        """`count`, from 1 to `most`."""
        value = self.whole("count", default)
        assert value is not None
        if not 1 <= value <= most:
            raise bad("count", f"must be between 1 and {most}")
        return value

    def flag(self, name: str) -> bool | None:
        """A flag or None."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        if self._from_query and isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        raise bad(name, "must be a boolean")

    def is_on(self, name: str) -> bool:
        """A flag that is false when absent."""
        return self.flag(name) is True

    def time(self, name: str) -> datetime | None:
        """Milliseconds since 1970 as an instant, or None."""
        value = self.whole(name)
        if value is None:
            return None
        if not 0 <= value <= _LAST_MS:
            raise bad(name, "must be a timestamp in milliseconds")
        return instant(value * 1000)

    def needed_time(self, name: str) -> datetime:
        """An instant that must be there."""
        value = self.time(name)
        if value is None:
            raise bad(name, "value required")
        return value

    def currency(self) -> str:
        """`currency`; any when absent."""
        return self.maybe_text("currency") or "any"
