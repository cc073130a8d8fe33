"""The tree of commands, built as far as one command line needs: what is not asked for is neither imported nor built.

Building all of it takes longer than most commands run, and the first act of an emergency must not wait for it.
"""

from collections.abc import Callable, Iterable, Sequence

import typer

from perpsctl.commands.globals import REPORTS, TAKE_VALUES, VersionOption, new_group, with_globals
from perpsctl.commands.help import LOOK, PROVE, SET_UP, TRADE

Part = Callable[[typer.Typer], None]

HELP = "Trade Coinbase perpetual futures, and prove that it is safe to do so."
EXAMPLES = """\
perpsctl products list
perpsctl order place --product BTC-PERP --side buy --size 0.01 --price 60000
perpsctl killswitch engage --flatten
perpsctl COMMAND --help"""


def _run(root: typer.Typer) -> None:
    from perpsctl.commands import run

    run.add_to(root, TRADE, PROVE)


def _pnl(root: typer.Typer) -> None:
    from perpsctl.commands import positions

    positions.add_pnl(root, LOOK)


def _watch(root: typer.Typer) -> None:
    from perpsctl.commands import watch

    watch.add_to(root, LOOK)


def _checks(root: typer.Typer) -> None:
    from perpsctl.commands import checks

    checks.add_to(root)
    for report in root.registered_commands:
        if report.name in REPORTS:
            report.rich_help_panel = PROVE


def _order(root: typer.Typer) -> None:
    from perpsctl.commands import order

    root.add_typer(order.app, name="order", rich_help_panel=TRADE)


def _positions(root: typer.Typer) -> None:
    from perpsctl.commands import positions

    root.add_typer(positions.app, name="positions", rich_help_panel=TRADE)


def _products(root: typer.Typer) -> None:
    from perpsctl.commands import products

    root.add_typer(products.app, name="products", rich_help_panel=LOOK)


def _fills(root: typer.Typer) -> None:
    from perpsctl.commands import positions

    root.add_typer(positions.fills_app, name="fills", rich_help_panel=LOOK)


def _limits(root: typer.Typer) -> None:
    from perpsctl.commands import limits

    root.add_typer(limits.app, name="limits", rich_help_panel=LOOK)


def _killswitch(root: typer.Typer) -> None:
    from perpsctl.commands import killswitch

    root.add_typer(killswitch.app, name="killswitch", rich_help_panel=PROVE)


def _journal(root: typer.Typer) -> None:
    from perpsctl.commands import journal

    root.add_typer(journal.app, name="journal", rich_help_panel=PROVE)


def _audit(root: typer.Typer) -> None:
    from perpsctl.commands import audit

    root.add_typer(audit.app, name="audit", rich_help_panel=PROVE)


def _config(root: typer.Typer) -> None:
    from perpsctl.commands import config

    root.add_typer(config.app, name="config", rich_help_panel=SET_UP)


def _sim(root: typer.Typer) -> None:
    from perpsctl.commands import sim

    root.add_typer(sim.app, name="sim", rich_help_panel=SET_UP)


# In the order of the help; the names each part brings, which a test holds to what it does bring.
PARTS: tuple[tuple[tuple[str, ...], Part], ...] = (
    (("run", "reconcile"), _run),
    (("pnl",), _pnl),
    (("watch",), _watch),
    (("probe", "preflight"), _checks),
    (("order",), _order),
    (("positions",), _positions),
    (("products",), _products),
    (("fills",), _fills),
    (("limits",), _limits),
    (("killswitch",), _killswitch),
    (("journal",), _journal),
    (("audit",), _audit),
    (("config",), _config),
    (("sim",), _sim),
)


def _root(ctx: typer.Context, version: VersionOption = False) -> None: ...


_root.__doc__ = HELP


def tree(parts: Iterable[Part] | None = None) -> typer.Typer:
    """The root with these parts; with all of them when none are named."""
    root = new_group(HELP, epilog=EXAMPLES)
    root.callback()(with_globals(_root))
    for part in (part for _, part in PARTS) if parts is None else parts:
        part(root)
    return root


def tree_for(arguments: Sequence[str]) -> typer.Typer:
    """What this command line can reach; all of it where that is not plain, as for the root's help or a word nobody knows."""
    if list(arguments) == ["--version"]:
        return tree(())
    word = _command_word(arguments)
    found = [part for names, part in PARTS if word in names]
    return tree(found) if found else tree()


def _command_word(arguments: Sequence[str]) -> str | None:
    """The first word that is neither an option nor an option's value; None without one, or with help asked before it."""
    rest = iter(arguments)
    for each in rest:
        if each in TAKE_VALUES:
            next(rest, None)
        elif not each.startswith("-"):
            return each
        elif each in ("-h", "--help", "--"):
            return None
    return None
