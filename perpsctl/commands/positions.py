"""`positions`, `fills` and `pnl`: the venue's truth joined with the journal, and the way out."""

from typing import Annotated

import typer

from perpsctl.commands import asking, inputs
from perpsctl.commands.globals import command, new_group
from perpsctl.commands.output import finish
from perpsctl.commands.toolkits import confirm, open_toolkit

app = new_group("Look at positions, and close them.")
fills_app = new_group("Executed trades.")

UnboundedOption = Annotated[
    bool,
    typer.Option("--unbounded", help="No price bound: the venue's close call, or a market order that only reduces."),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, newest first.")]
VenueOption = Annotated[bool, typer.Option("--venue", help="Read them from the venue instead of the journal.")]


@command(app, "list")
def list_positions(ctx: typer.Context) -> None:
    """List the venue's positions, with what the journal's fills add up to."""
    from perpsctl.render import account

    with open_toolkit(ctx) as toolkit:
        finish(ctx, account.positions(toolkit.venue.positions(), asking.booked_coin(toolkit)))


@command(app, "show")
def show(ctx: typer.Context, product: inputs.ProductArgument) -> None:
    """Show one product's position."""
    from perpsctl.domain.accounts import PositionsRead
    from perpsctl.render import account

    asked = inputs.a_product(product)
    with open_toolkit(ctx) as toolkit:
        wanted = asking.product_of(toolkit, asked).product_id
        read, booked = toolkit.venue.positions(), asking.booked_coin(toolkit)
        mine = PositionsRead(
            positions=tuple(p for p in read.positions if p.product_id == wanted), as_of=read.as_of
        )  # fmt: skip
        finish(
            ctx, account.positions(mine, None if booked is None else {k: v for k, v in booked.items() if k == wanted})
        )


@command(app, "close")
def close(
    ctx: typer.Context,
    product: inputs.ProductOption,
    unbounded: UnboundedOption = False,
    wait: inputs.WaitOption = "20s",
) -> None:
    """Close one product's position: cancel its orders, then reduce within the exit collar until flat."""
    close_positions(ctx, product, unbounded=unbounded, wait=wait)


@command(app, "flatten")
def flatten(ctx: typer.Context, unbounded: UnboundedOption = False, wait: inputs.WaitOption = "60s") -> None:
    """Close every derivatives position."""
    close_positions(ctx, None, unbounded=unbounded, wait=wait)


def close_positions(ctx: typer.Context, product: str | None, *, unbounded: bool, wait: str) -> None:
    """Close one product's position, or all; exit 0 only when a read shows them gone."""
    from perpsctl.render import account

    waited = inputs.a_duration(wait, "--wait")
    asked = None if product is None else inputs.a_product(product)
    with open_toolkit(ctx, way_out=True) as toolkit:
        confirm(ctx, toolkit, "close all positions" if product is None else "close the position")
        wanted = None if asked is None else asking.product_of(toolkit, asked).product_id
        report = toolkit.engine.exits.flatten(None if wanted is None else [wanted], unbounded=unbounded, wait=waited)
        finish(ctx, account.flattened(report))


@command(fills_app, "list")
def list_fills(ctx: typer.Context, limit: LimitOption = 50, venue: VenueOption = False) -> None:
    """List fills, newest first: booked ones, or the venue's own list."""
    from perpsctl.render import account

    with open_toolkit(ctx) as toolkit:
        if venue:
            finish(ctx, account.fills(toolkit.venue.fills()[::-1][:limit], source="venue"))
        toolkit.engine.tracker.update()
        finish(ctx, account.fills(toolkit.journal.fills(limit=limit), source="journal"))


def add_pnl(root: typer.Typer, panel: str) -> None:
    """`pnl` stands at the root, under a heading."""

    @command(root, "pnl", rich_help_panel=panel)
    def pnl(ctx: typer.Context) -> None:
        """Show equity, profit and loss and margin, the venue's word beside the journal's."""
        from perpsctl.render import account

        with open_toolkit(ctx) as toolkit:
            toolkit.engine.tracker.update()
            money = toolkit.venue.account()
            finish(ctx, account.pnl(money, toolkit.venue.positions(), asking.gains(toolkit, money)))
