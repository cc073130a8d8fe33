"""A patient second reading of a body whose shape is right and whose scalars are not what the struct declares.

It changes spelling only: a number becomes its own text, "true" a flag, null or "" an absent field, one object a list
of one where its struct allows that. It never makes a value out of another (a boolean stays a boolean and is refused by
whoever wants a number). What it cannot mend it leaves for the decoder to refuse.
"""

import re
import types
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Union, cast, get_args, get_origin

import msgspec

from perpsctl.domain.numbers import NotANumber, exact

_WHOLE = re.compile(r"(?!-0+$)-?[0-9]{1,18}", re.ASCII)  # no negative zero (H2)
_FLAGS = {"true": True, "false": False}
_ABSENT = object()


class NumberText(str):
    """A JSON number as it stood in the body; whoever makes one has read it exactly before."""

    __slots__ = ()


def loosened(value: object, wanted: Any) -> object:
    """`value` respelled for the type `wanted`, a struct or what its fields may hold."""
    respelled = _respell(value, _choices(wanted))
    return None if respelled is _ABSENT else respelled


def _respell(value: object, choices: tuple[Any, ...]) -> object:
    kind = type(value)  # exactly these: the body was read by our own reader
    if kind is NumberText:
        return _respell_number(cast(NumberText, value), choices)
    if kind is str:
        return _respell_text(cast(str, value), choices)
    if kind is dict:
        return _respell_object(cast("dict[str, object]", value), choices)
    if kind is list:
        return _respell_list(cast("list[object]", value), choices)
    return _ABSENT if value is None else value


def _respell_object(value: dict[str, object], choices: tuple[Any, ...]) -> object:
    for choice in choices:
        if _is_struct(choice):
            fields = _fields(choice)
            pairs = ((key, _respell(item, fields.get(key, ()))) for key, item in value.items())
            return {key: item for key, item in pairs if item is not _ABSENT}
        if get_origin(choice) is tuple and _may_stand_alone(choice):
            return [_respell_object(value, _choices(get_args(choice)[0]))]
        if get_origin(choice) is dict:
            inner = _choices(get_args(choice)[1])
            pairs = ((key, _respell(item, inner)) for key, item in value.items())
            return {key: item for key, item in pairs if item is not _ABSENT}
    return value


def _respell_list(value: list[object], choices: tuple[Any, ...]) -> object:
    for choice in choices:
        if get_origin(choice) is tuple:
            kinds = _item_choices(choice, len(value))
            items = (_respell(item, kind) for item, kind in zip(value, kinds, strict=True))
            return [None if item is _ABSENT else item for item in items]
    return value


def _item_choices(wanted: Any, length: int) -> list[tuple[Any, ...]]:
    """What each item may hold: one kind for all, or place by place (a book level is action, price, amount)."""
    kinds = get_args(wanted)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return [_choices(kinds[0])] * length
    return [_choices(kinds[index]) if index < len(kinds) else () for index in range(length)]


def _respell_number(value: NumberText, choices: tuple[Any, ...]) -> object:
    if Decimal in choices:
        return Decimal(value)
    if int in choices and _WHOLE.fullmatch(value):
        return int(value)
    return str(value)


def _respell_text(value: str, choices: tuple[Any, ...]) -> object:
    if str in choices or not choices:
        return value
    if bool in choices and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    if int in choices and _WHOLE.fullmatch(value):
        return int(value)
    if value == "":
        return _ABSENT
    return _number_of(value) if Decimal in choices else value


def _number_of(text: str) -> object:
    """The number a text spells; the text itself, for the decoder to refuse, where it is none or a negative zero."""
    try:
        found = exact(text)
    except NotANumber:
        return text
    return text if not found and text.startswith("-") else found


def _may_stand_alone(wanted: Any) -> bool:
    """True where a row's struct says so: any other object in a list's place is no list, least of all one without rows (L5)."""
    row = get_args(wanted)[0]
    return _is_struct(row) and bool(getattr(row, "may_stand_alone", False))


def _is_struct(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)


@cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    return {field.encode_name: _choices(field.type) for field in msgspec.structs.fields(struct)}


@cache
def _choices(wanted: Any) -> tuple[Any, ...]:
    """The alternatives of a declared type, without "absent", null and annotations."""
    origin = get_origin(wanted)
    if origin is Annotated:
        return _choices(get_args(wanted)[0])
    if origin in (Union, types.UnionType):
        return tuple(choice for option in get_args(wanted) for choice in _choices(option))
    if wanted in (msgspec.UnsetType, type(None)):
        return ()
    return (wanted,)
