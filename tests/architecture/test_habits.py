"""Habits the source itself can be held to, each shown to bite on a small offending source."""

from collections.abc import Callable, Iterable

import pytest

from tests.architecture.habits import (
    approval_violations,
    catch_all_violations,
    export_violations,
    float_violations,
    outside_violations,
    print_violations,
)
from tests.architecture.house import Module, module, read_house

Checker = Callable[[Iterable[Module]], list[str]]


def test_no_float_comes_near_money_J7() -> None:
    assert float_violations(read_house()) == []


def test_approvals_are_made_in_risk_alone() -> None:
    assert approval_violations(read_house()) == []


def test_no_room_below_commands_prints() -> None:
    assert print_violations(read_house()) == []


def test_everything_is_caught_in_three_homes_only() -> None:
    assert catch_all_violations(read_house()) == []


def test_time_and_randomness_come_through_the_ports() -> None:
    assert outside_violations(read_house()) == []


def test_what_a_module_says_it_exports_is_there() -> None:
    assert export_violations(read_house()) == []


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (float_violations, "perpsctl.risk.rules", "limit = 0.01"),
        (float_violations, "perpsctl.domain.market", "def mid() -> float: ..."),
        (float_violations, "perpsctl.domain.market", "def mid(price: 'float | None') -> None: ..."),
        (float_violations, "perpsctl.journal.store", "x = float('1')"),
        (float_violations, "perpsctl.wire.advanced_trade.orders", "class A:\n    size: float\n"),
        (approval_violations, "perpsctl.engine.desk", "ApprovedOrder(order=None)"),
        (
            approval_violations,
            "perpsctl.engine.desk",
            "from perpsctl.domain import orders\norders.ApprovedEdit()",
        ),
        (
            approval_violations,
            "perpsctl.bootstrap",
            "from perpsctl.domain.orders import ApprovedOrder as Order\nOrder()",
        ),
        (approval_violations, "perpsctl.engine.desk", "object.__new__(ApprovedOrder)"),
        (print_violations, "perpsctl.engine.desk", "print('placed')"),
        (print_violations, "perpsctl.render.table", "import sys\nsys.stdout.write('x')"),
        (print_violations, "perpsctl.render.table", "from sys import stderr\nstderr.write('x')"),
        (print_violations, "perpsctl.render.table", "from rich import print as show\nshow('x')"),
        (catch_all_violations, "perpsctl.engine.desk", "try:\n    f()\nexcept Exception:\n    pass"),
        (catch_all_violations, "perpsctl.engine.desk", "try:\n    f()\nexcept:\n    pass"),
        (
            catch_all_violations,
            "perpsctl.engine.desk",
            "try:\n    f()\nexcept (OSError, BaseException):\n    pass",
        ),
        (catch_all_violations, "perpsctl.engine.desk", "with contextlib.suppress(Exception):\n    f()"),
        (
            catch_all_violations,
            "perpsctl.engine.desk",
            "def g():\n    try:\n        f()\n    except Exception as e:\n        if e.args:\n            return 1\n        raise",
        ),
        (outside_violations, "perpsctl.engine.desk", "import time\ntime.time()"),
        (outside_violations, "perpsctl.engine.desk", "from time import time as now\nnow()"),
        (outside_violations, "perpsctl.engine.desk", "from datetime import datetime, UTC\ndatetime.now(UTC)"),
        (outside_violations, "perpsctl.engine.desk", "import datetime as dt\nclock = dt.datetime.now"),
        (outside_violations, "perpsctl.engine.desk", "from uuid import uuid4\nf(default_factory=uuid4)"),
        (outside_violations, "perpsctl.exchange.client", "import random\nrandom.random()"),
        (outside_violations, "perpsctl.exchange.client", "import random\nr = random.Random(7)"),
        (outside_violations, "perpsctl.simulator.market", "import random\nr = random.Random()"),
        (outside_violations, "perpsctl.simulator.market", "import random\nr = random.uniform(1, 2)"),
        (outside_violations, "perpsctl.gate", "import time\ntime.time()"),
        (export_violations, "perpsctl.domain.orders", "__all__ = ['Order']\ndef f():\n    Order = 1"),
        (export_violations, "perpsctl.domain.orders", "__all__ = ['A', 'A']\nA = 1"),
    ],
)
def test_an_offence_is_named_with_its_place(check: Checker, name: str, source: str) -> None:
    found = check([module(name, source)])
    assert len(found) == 1
    assert found[0].startswith(name)


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [
        (float_violations, "perpsctl.domain.numbers", "if isinstance(x, float):\n    raise TypeError"),
        (float_violations, "perpsctl.exchange.transport", "timeout = 2.5"),
        (approval_violations, "perpsctl.risk.judge", "ApprovedOrder(order=None)"),
        (approval_violations, "perpsctl.exchange.client", "def submit(order: ApprovedOrder) -> None: ..."),
        (print_violations, "perpsctl.commands.app", "print('x')"),
        (catch_all_violations, "perpsctl.checks.runner", "try:\n    f()\nexcept Exception:\n    pass"),
        (
            catch_all_violations,
            "perpsctl.journal.store",
            "try:\n    f()\nexcept BaseException:\n    g()\n    raise",
        ),
        (catch_all_violations, "perpsctl.journal.store", "try:\n    f()\nexcept OSError:\n    pass"),
        (outside_violations, "perpsctl.systemports", "import time\ntime.time()"),
        (outside_violations, "perpsctl.engine.desk", "def f(random):\n    return random.random()"),
        (outside_violations, "perpsctl.engine.desk", "from datetime import datetime\nx: datetime"),
        (
            outside_violations,
            "perpsctl.simulator.market",
            "import random\ndef f(rng: random.Random) -> None: ...\nr = random.Random(7)",
        ),
        (outside_violations, "perpsctl.gate", "import time\ntime.monotonic()"),
        (export_violations, "perpsctl.domain.orders", "from typing import Any\n__all__ = ['A']\nA: Any = 1"),
    ],
)
def test_what_the_house_allows_is_not_accused(check: Checker, name: str, source: str) -> None:
    assert check([module(name, source)]) == []


def test_a_package_that_re_exports_lists_what_it_re_exports() -> None:
    source = "from perpsctl.domain.orders import OrderIntent, Side\n__all__ = ['Side']"
    found = export_violations([module("perpsctl.domain", source, is_package=True)])
    assert found == ["perpsctl.domain: re-exports OrderIntent without naming it in __all__"]
