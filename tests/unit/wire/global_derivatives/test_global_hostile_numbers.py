"""No hostile number gets into any field of any payload, nor out of the room (H1, H2, H3, J7)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from perpsctl.wire.global_derivatives import accounts, market, params, trading
from perpsctl.wire.global_derivatives.common import Body, decode, encode
from perpsctl.wire.guard import WireError
from tests.unit.wire.test_hostile_numbers import HOSTILE_TEXTS, HOSTILE_TOKENS

STRUCTS = [
    found
    for room in (market, trading, accounts, params)
    for found in vars(room).values()
    if isinstance(found, type) and issubclass(found, Body) and found.__module__ == room.__name__
]


@dataclass(frozen=True)
class Field:
    struct: type[Body]
    name: str

    def __str__(self) -> str:
        return f"{self.struct.__module__.rpartition('.')[2]}.{self.struct.__name__}.{self.name}"

    def read(self, token: str) -> Any:
        return getattr(decode(f'{{"{self.name}":{token}}}'.encode(), self.struct), self.name)


def fields(kind: type[msgspec.inspect.Type]) -> Iterator[Field]:
    for struct in STRUCTS:
        described = msgspec.inspect.type_info(struct)
        assert isinstance(described, msgspec.inspect.StructType)
        for field in described.fields:
            choices = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
            if any(isinstance(choice, kind) for choice in choices):
                yield Field(struct, field.name)


AMOUNTS = list(fields(msgspec.inspect.DecimalType))
PRICES = list(fields(msgspec.inspect.CustomType))
FLAGS = list(fields(msgspec.inspect.BoolType))
COUNTERS = [field for field in fields(msgspec.inspect.IntType) if field.name not in ("continuation",)]


def test_the_fields_looked_at_are_all_there() -> None:
    assert len(AMOUNTS) > 250
    assert len(COUNTERS) > 60
    assert len(FLAGS) > 80
    assert {str(field) for field in PRICES} == {
        "trading.Order.price",
        "trading.TriggerEntry.price",
        "params.EditParams.price",
    }


@pytest.mark.parametrize("field", AMOUNTS + PRICES, ids=str)
def test_no_hostile_json_token_passes_for_a_number_H1_H2_H3(field: Field) -> None:
    for token in (*HOSTILE_TOKENS, "{}", '"one"'):
        with pytest.raises(WireError):
            field.read(token)


@pytest.mark.parametrize("field", AMOUNTS + PRICES, ids=str)
def test_no_hostile_text_passes_for_a_number_H1_H3(field: Field) -> None:
    for text in HOSTILE_TEXTS:
        with pytest.raises(WireError):
            field.read(json.dumps(text))


@pytest.mark.parametrize("field", AMOUNTS, ids=str)
def test_a_plain_number_is_read_exactly_however_it_is_spelled_H3(field: Field) -> None:
    for token, value in (("1.50", "1.5"), ("-9e-9", "-0.000000009"), ('"0.10"', "0.1"), ("0", "0"), ("5.5E3", "5500")):
        found = field.read(token)
        assert isinstance(found, Decimal)
        assert found == Decimal(value)
        assert encode({"n": found}) == f'{{"n":{value}}}'.encode()


@pytest.mark.parametrize("field", COUNTERS, ids=str)
def test_no_hostile_number_passes_for_a_counter(field: Field) -> None:
    for token in ("1.5", "1e3", "true", '"1_0"', "9" * 5_000, "-0", "NaN", "[1]"):
        with pytest.raises(WireError):
            field.read(token)
    assert field.read("1788645577021") == field.read('"1788645577021"') == 1788645577021


@pytest.mark.parametrize("field", FLAGS, ids=str)
def test_a_number_is_no_flag_and_a_flag_in_words_is_one(field: Field) -> None:
    for token in ("1", "0", '"yes"', "[]"):
        with pytest.raises(WireError):
            field.read(token)
    assert (field.read('"true"'), field.read("false")) == (True, False)
