"""Habits of the house that a reader of the source can hold: each function returns one line per offence."""

import ast
from collections.abc import Iterable, Iterator

from tests.architecture.house import Module, aliases_of, dotted

FLOATLESS = ("perpsctl.domain", "perpsctl.risk", "perpsctl.journal", "perpsctl.wire")

APPROVALS = frozenset({"ApprovedOrder", "ApprovedEdit"})
APPROVAL_HOME = "perpsctl.risk"

TALKING_ROOM = "perpsctl.commands"
VOICES = frozenset({"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "rich.print"})

# Where everything may be caught: what comes out is a CRASHED check, a halted tick, exit code 70.
CATCH_ALL_HOMES = ("perpsctl.checks.runner", "perpsctl.engine.supervisor", "perpsctl.commands.app")
CATCH_ALL = frozenset({"Exception", "BaseException"})

# The module that implements the Clock and Ids ports; the simulator's own clock (the wing imports nothing of
# the client); and its two shells, which run before and around the ports. Everything else is handed its time
# and its randomness.
OUTSIDE_HOMES = (
    "perpsctl.systemports",
    "perpsctl.simulator.clock",
    "perpsctl.simulator.launcher",
    "perpsctl.simulator.server",
)
OUTSIDE = frozenset(
    {
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "time.time",
        "time.time_ns",
        "uuid.uuid1",
        "uuid.uuid4",
        "os.urandom",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.sleep",
    }
)
OUTSIDE_MODULES = ("random.", "secrets.")
SEEDED = "random.Random"  # with a seed: what the simulator's core is made of
# The gate may not import the ports (standard library only, loaded before everything), yet its wait for the
# gate is bounded in time.
PARDONS = {"perpsctl.gate": frozenset({"time.monotonic", "time.sleep"})}


def float_violations(modules: Iterable[Module]) -> list[str]:
    """Float literals, annotations and calls near money; `isinstance(x, float)`, which refuses one, is fine."""
    found = []
    for source in modules:
        if not source.is_in(*FLOATLESS):
            continue
        pardoned = _asked_about(source.tree)
        for node in _with_quoted_annotations(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
                found.append(f"{source.at(node)} float literal {node.value!r}")
            elif isinstance(node, ast.Name) and node.id == "float" and id(node) not in pardoned:
                found.append(f"{source.at(node)} float used")
    return sorted(found)


def _asked_about(tree: ast.Module) -> set[int]:
    """The nodes inside `isinstance(...)` and `issubclass(...)`: questions, not uses."""
    asked: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in {"isinstance", "issubclass"}:
                asked.update(id(inner) for argument in node.args[1:] for inner in ast.walk(argument))
    return asked


def _with_quoted_annotations(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        yield node
        for annotation in _annotations(node):
            if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
                for inner in ast.walk(ast.parse(annotation.value, mode="eval")):
                    yield ast.copy_location(inner, annotation)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    annotation: ast.expr | None = None
    if isinstance(node, ast.AnnAssign | ast.arg):
        annotation = node.annotation
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        annotation = node.returns
    if annotation is not None:
        yield annotation


def approval_violations(modules: Iterable[Module]) -> list[str]:
    """An approval made anywhere but in risk: by its class, by an alias of it, or around its constructor."""
    found = []
    for source in modules:
        if source.is_in(APPROVAL_HOME):
            continue
        aliases = aliases_of(source)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                made = _approval(node.func, aliases) or _approval_around_constructor(node, aliases)
                if made is not None:
                    found.append(f"{source.at(node)} makes {made}; only {APPROVAL_HOME} may")
    return sorted(found)


def _approval(node: ast.expr, aliases: dict[str, str]) -> str | None:
    name = (dotted(node, aliases) or "").rsplit(".", 1)[-1]
    return name if name in APPROVALS else None


def _approval_around_constructor(node: ast.Call, aliases: dict[str, str]) -> str | None:
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "__new__":
        return None
    candidates = (node.func.value, *node.args[:1])
    return next((made for each in candidates if (made := _approval(each, aliases)) is not None), None)


def print_violations(modules: Iterable[Module]) -> list[str]:
    """Rooms below commands return values; they neither print nor touch the process's own streams."""
    found = []
    for source in modules:
        if source.is_in(TALKING_ROOM):
            continue
        aliases = aliases_of(source)
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(f"{source.at(node)} prints")
            elif isinstance(node, ast.Name | ast.Attribute) and dotted(node, aliases) in VOICES:
                found.append(f"{source.at(node)} uses {dotted(node, aliases)}")
    return sorted(found)


def catch_all_violations(modules: Iterable[Module]) -> list[str]:
    """`except Exception` and its relatives outside their three homes; cleaning up and re-raising is no catch."""
    found = []
    for source in modules:
        if source.is_in(*CATCH_ALL_HOMES):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and _catches_all(node.type) and not _re_raises(node):
                found.append(f"{source.at(node)} catches everything")
            elif isinstance(node, ast.Call) and _is_suppress(node.func):
                if any(_catches_all(argument) for argument in node.args):
                    found.append(f"{source.at(node)} suppresses everything")
    return sorted(found)


def _catches_all(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(_catches_all(each) for each in caught.elts)
    if isinstance(caught, ast.Attribute):
        return caught.attr in CATCH_ALL
    return isinstance(caught, ast.Name) and caught.id in CATCH_ALL


def _re_raises(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    leaves_early = any(isinstance(node, ast.Return) for node in ast.walk(handler))
    return isinstance(last, ast.Raise) and last.exc is None and not leaves_early


def _is_suppress(func: ast.expr) -> bool:
    return (isinstance(func, ast.Name) and func.id == "suppress") or (
        isinstance(func, ast.Attribute) and func.attr == "suppress"
    )


def outside_violations(modules: Iterable[Module]) -> list[str]:
    """Time and randomness taken from the machine instead of from the ports, called or handed on."""
    found: set[str] = set()
    for source in modules:
        if source.is_in(*OUTSIDE_HOMES):
            continue
        aliases = aliases_of(source)
        seeded = _seeded(source, aliases)
        for node in ast.walk(source.tree):
            name = _imported_name(node, aliases)
            if name is None or id(node) in seeded or name in PARDONS.get(source.name, ()):
                continue
            if name in OUTSIDE or name.startswith(OUTSIDE_MODULES):
                found.add(f"{source.at(node)} takes {name} from outside the ports")
    return sorted(found)


def _imported_name(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """The full dotted name of something imported; a local variable that happens to be called `random` is not."""
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    return dotted(node, aliases) if isinstance(root, ast.Name) and root.id in aliases else None


def _seeded(source: Module, aliases: dict[str, str]) -> set[int]:
    """The uses of `random.Random` the simulator may make: with a seed, or as the name of a type."""
    if not source.is_in("perpsctl.simulator"):
        return set()
    fine: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and node.args and dotted(node.func, aliases) == SEEDED:
            fine.add(id(node.func))
        for annotation in _annotations(node):
            fine.update(id(each) for each in ast.walk(annotation) if dotted(each, aliases) == SEEDED)
    return fine


def export_violations(modules: Iterable[Module]) -> list[str]:
    """`__all__` names what is there, once each; a package that re-exports lists all that it re-exports."""
    found = []
    for source in modules:
        listed = _listed(source.tree)
        bound = _bound(source.tree)
        if listed is not None:
            found += [
                f"{source.name}: __all__ names {name}, which is not there" for name in listed if name not in bound
            ]
            found += [f"{source.name}: __all__ names {name} twice" for name in set(listed) if listed.count(name) > 1]
        if source.is_package:
            exported = {
                name
                for name, target in aliases_of(source).items()
                if name in bound and target.startswith("perpsctl.") and not name.startswith("_")
            }
            missing = exported - set(listed or ())
            found += [f"{source.name}: re-exports {name} without naming it in __all__" for name in missing]
    return sorted(found)


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert node.value is not None
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def _bound(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in _top_level(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(inner.id for target in targets for inner in ast.walk(target) if isinstance(inner, ast.Name))
    return names


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: also those under `if TYPE_CHECKING` and `try`, none inside a function."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top_level([*node.body, *node.orelse])
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                yield from _top_level(handler.body)
