"""Finds modules that import one another in a ring: the rooms' arrows do not show those inside a room."""

from collections.abc import Iterable

from tests.architecture.house import Module, imports_of


def rings(modules: Iterable[Module]) -> list[tuple[str, ...]]:
    """Every group of modules of which each reaches each other, imports at any depth counted; by name."""
    house = {each.name: each for each in modules}
    arrows = {name: _imported(each, house.keys() - {name}) for name, each in house.items()}
    reached = {name: _reached(name, arrows) for name in house}
    found = {tuple(sorted(o for o in reached[name] if name in reached[o])) for name in house if name in reached[name]}
    return sorted(found)


def _imported(source: Module, others: set[str]) -> set[str]:
    return {
        named
        for each in imports_of(source)
        for named in (each.target, each.target.rpartition(".")[0])
        if named in others
    }


def _reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(arrows[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(arrows[name])
    return reached
