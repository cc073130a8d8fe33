"""Reads the source of perpsctl as text, never by importing it, so that a broken room can still be judged."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "perpsctl"
REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file: its dotted name and its syntax tree."""

    name: str
    tree: ast.Module
    is_package: bool = False

    @property
    def room(self) -> str:
        """The first name below the package; empty for perpsctl/__init__.py itself."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    def is_in(self, *homes: str) -> bool:
        """Whether the module is one of `homes` or lives below one of them."""
        return any(self.name == home or self.name.startswith(f"{home}.") for home in homes)

    def at(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 0)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module or name, written out in full."""

    target: str
    line: int


def module(name: str, source: str, *, is_package: bool = False) -> Module:
    return Module(name=name, tree=ast.parse(source), is_package=is_package)


def read_house(root: Path = REPOSITORY / PACKAGE) -> tuple[Module, ...]:
    """Every module under `root`, in the order of their names."""
    modules = []
    for path in sorted(root.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(root).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules.append(module(name, path.read_text(encoding="utf-8"), is_package=is_package))
    return tuple(modules)


def imports_of(source: Module) -> Iterator[Import]:
    """All imports at any depth: inside functions, under TYPE_CHECKING, and by a literal name at run time.

    `from a import b` yields `a.b`: whether b is a room or a value, its longest known prefix tells.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(target=alias.name, line=node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            for alias in node.names:
                yield Import(target=f"{base}.{alias.name}" if base else alias.name, line=node.lineno)
        elif isinstance(node, ast.Call) and _is_import_call(node.func) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(target=first.value, line=node.lineno)


def _absolute(source: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = source.name.split(".")
    keep = len(parts) - node.level + (1 if source.is_package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def _is_import_call(func: ast.expr) -> bool:
    if isinstance(func, ast.Attribute):
        return func.attr == "import_module"
    return isinstance(func, ast.Name) and func.id in {"import_module", "__import__"}


def aliases_of(source: Module) -> dict[str, str]:
    """What each imported local name stands for: {"dt": "datetime", "now": "time.time"}."""
    names: dict[str, str] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is not None:
                    names[alias.asname] = alias.name
                else:
                    top = alias.name.split(".")[0]
                    names[top] = top
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            for alias in node.names:
                names[alias.asname or alias.name] = f"{base}.{alias.name}"
    return names


def dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """`dt.datetime.now` written out in full, or None where the expression is not a plain dotted name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, aliases)
        return None if base is None else f"{base}.{node.attr}"
    return None
