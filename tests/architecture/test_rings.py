"""No module of perpsctl imports one that imports it back, however long the way round."""

from tests.architecture.house import module, read_house
from tests.architecture.rings import rings


def test_no_modules_import_one_another_in_a_ring() -> None:
    assert rings(read_house()) == []


def test_a_ring_is_named_whole_also_when_an_import_hides_in_a_function() -> None:
    house = (
        module("perpsctl.a", "from perpsctl import b"),
        module("perpsctl.b", "from perpsctl.c import value"),
        module("perpsctl.c", "def late() -> None:\n    import perpsctl.a"),
        module("perpsctl.d", "from perpsctl.a import value"),
    )
    assert rings(house) == [("perpsctl.a", "perpsctl.b", "perpsctl.c")]


def test_a_way_without_return_is_no_ring() -> None:
    house = (module("perpsctl.a", "import perpsctl.b"), module("perpsctl.b", "import json"))
    assert rings(house) == []
