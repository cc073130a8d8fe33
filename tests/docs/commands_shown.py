"""Finds the perpsctl commands that documents show and messages recommend."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCED = re.compile(r"^```(?:console|sh)\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
ANY_FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`perpsctl ([^`…]+?)`")
WORD = re.compile(r"[a-z]+(-[a-z]+)*")
GROUPS_AT_MOST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One command as it is shown: where, its arguments, and the exit code the page says it ends with."""

    where: str
    arguments: tuple[str, ...]
    exit_code: int = 0

    @property
    def path(self) -> tuple[str, ...]:
        """The names of the subcommands: what comes before the first option or value."""
        names: list[str] = []
        for argument in self.arguments[:GROUPS_AT_MOST]:
            if WORD.fullmatch(argument) is None:
                break
            names.append(argument)
        return tuple(names)

    @property
    def options(self) -> tuple[str, ...]:
        return tuple(each.split("=", 1)[0] for each in self.arguments if each.startswith("--"))


def told(page: Path) -> Iterator[Shown]:
    """The commands of a page's console blocks, in order; `$ echo $?` and its answer give the exit code before it."""
    for block in FENCED.findall(page.read_text(encoding="utf-8")):
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        for number, line in enumerate(lines):
            if line.startswith(("$ perpsctl ", "perpsctl ")):
                code = 0
                if lines[number + 1 : number + 2] == ["$ echo $?"]:
                    code = int(lines[number + 2])
                text = line.removeprefix("$ ").removeprefix("perpsctl ")
                yield Shown(where=page.name, arguments=tuple(shlex.split(text, comments=True)), exit_code=code)


def mentioned(page: Path) -> Iterator[Shown]:
    """The commands a page names in running text."""
    for text in INLINE.findall(ANY_FENCE.sub("", page.read_text(encoding="utf-8"))):
        yield Shown(where=page.name, arguments=tuple(shlex.split(text)))


def recommended(source: Path) -> Iterator[Shown]:
    """The commands the program itself recommends, in the text of its messages; not those of docstrings."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "VALUE" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = node.value
        for command in INLINE.findall(text):
            yield Shown(where=source.name, arguments=tuple(shlex.split(command)))
